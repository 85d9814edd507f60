//! `gradus check`: what it tries, what it finds where a shader is wrong, and what stands in for that.

use crate::support::{engines, folder, fresh_gpu, gpu};
use gradus::check::{Certificate, Form, Found, Refused, family_of, forms, kernels, standing};
use gradus::data::digits;
use gradus::engine::kernels::{self, Flag};
use gradus::engine::{AdapterChoice, Choices, Engine, Shaders, Sizes, Tiling};
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::schedule::{Plan, Spec};
use gradus::train::{Classify, Config, Trainer};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn shader(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders").join(format!("{name}.wgsl"));
    std::fs::read_to_string(path).expect("a shader")
}

/// An engine on which a shader has another text.
fn with(name: &str, from: &str, to: &str) -> Engine {
    let text = shader(name);
    assert!(text.contains(from), "{name}: {from}");
    let shaders = Shaders::new([(name.to_owned(), text.replacen(from, to, 1))]).expect("a shader of ours");
    Engine::with_shaders(&AdapterChoice::from_env(), shaders).expect("an engine")
}

fn of_family(engine: &Engine, family: &str) -> Found {
    kernels(&forms(engine, false), &|kernel| kernel.family.name == family, |_| ()).expect("what was found")
}

/// A kernel that is in no sample would never be checked.
#[test]
fn check_tries_every_kernel_that_there_is() {
    let mut tried = BTreeSet::new();
    // The CPU engine is held against the twins as any other.
    let forms = forms(&Engine::cpu(), true);
    let names = ["processor registers", "gpu tiles64"];
    let usual: Vec<Form> = forms.into_iter().filter(|form| names.contains(&form.name.as_str())).collect();
    let found = kernels(&usual, &|_| true, |_| ()).expect("what was found");
    assert!(found.refused.is_empty(), "{:?}", found.refused);
    tried.extend(found.kernels.keys().filter_map(|name| name.split(' ').next()).map(str::to_owned));
    let all = kernels::all().filter(|kernel| !kernel.has(Flag::Cooperative)).map(|kernel| kernel.name.to_owned());
    // Nothing is cast from f32 to f32.
    let all = all.filter(|name| !["cast", "cast.widened"].contains(&name.as_str()));
    let missing: Vec<String> = all.filter(|name| !tried.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn check_finds_every_kernel_right_here() {
    let Some(gpu) = gpu() else { return };
    let forms: Vec<Form> = forms(&gpu, true);
    assert_eq!(forms.len(), 8, "{forms:?}");
    let found = kernels(&forms[..1], &|_| true, |_| ()).expect("what was found");
    assert!(found.refused.is_empty(), "{:?}", found.refused);
    let worst = found.kernels.values().map(|checked| checked.error).fold(0.0, f64::max);
    assert!(worst > 0.0 && worst < 1e-3, "{worst:e}");
}

#[test]
fn check_names_the_kernel_whose_shader_is_wrong() {
    let Some(_) = gpu() else { return };
    for (name, from, to, family) in [
        ("nn/layer_norm", "1.0 / sqrt(", "1.0 + sqrt(", "layer_norm"),
        ("nn/mean_pool", "sum / max(", "sum / min(", "mean_pool"),
        ("optim/rule/adamw", "sqrt(root)", "sqrt(2.0 * root)", "adamw"),
    ] {
        let found = of_family(&with(name, from, to), family);
        assert!(!found.refused.is_empty(), "{name}");
        assert!(found.refused.iter().all(|refused| refused.kernel.split('.').next() == Some(family)), "{name}");
    }
}

/// A text that does not compile is a driver's refusal, and no end of the check.
#[test]
fn check_goes_on_where_a_driver_refuses_a_shader() {
    let Some(_) = gpu() else { return };
    let engine = with("nn/add", "fn main", "fn mein");
    let found = of_family(&engine, "add");
    let family = |refused: &Refused| refused.kernel.split('.').next().map(str::to_owned).unwrap_or_default();
    assert!(found.refused.iter().all(|refused| family(refused) == "add" && refused.reason.contains("main")));
    assert!(!found.refused.is_empty());
    assert!(of_family(&engine, "dropout").refused.is_empty());
}

#[test]
fn check_has_another_form_stand_in_for_one_that_is_wrong() {
    let Some(_) = gpu() else { return };
    // The tiles of a workgroup alone are wrong.
    let engine =
        with("shared/linear_tiles", "near_near += a0", "near_near -= a0").choosing(Choices::all(Tiling::Tiles64));
    let family = family_of("linear.tiled_activated").expect("a family");
    assert!(!of_family(&engine, "linear").refused.is_empty());
    let stands = standing(&engine, &[family]).expect("what stands in");
    let other = stands.engine.expect("an engine");
    assert_eq!(other.choices().instead.get("linear"), Some(&Tiling::Registers));
    assert_eq!(other.tiling("linear", 512, 512), Tiling::Registers);
    assert_eq!(other.tiling("linear_backward_input", 512, 512), Tiling::Tiles64);
    assert!(stands.instead["linear"].ends_with("linear registers"), "{:?}", stands.instead);

    // A row that several lanes share is wrong; one lane has nobody to share it with.
    let engine = with("shared/rows", "+=", "-=").sized(Sizes::GPU);
    assert!(!of_family(&engine, "layer_norm").refused.is_empty());
    let stands = standing(&engine, &[family_of("layer_norm").expect("a family")]).expect("what stands in");
    assert_eq!(*stands.engine.expect("an engine").sizes(), Sizes::PROCESSOR);

    let engine = with("nn/add", "+ wide(residual[at])", "- wide(residual[at])");
    let stands = standing(&engine, &[family_of("add").expect("a family")]).expect("what stands in");
    assert!(stands.engine.is_none());
    assert_eq!(stands.without, Some("add"));
}

#[test]
fn check_keeps_its_certificate_and_goes_by_it() {
    let Some(gpu) = fresh_gpu() else { return };
    let caches = folder("certificates");
    std::fs::create_dir_all(&caches).expect("a folder");
    let gradus = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        let folders = ["HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"].map(|name| (name, &caches));
        command.envs(folders).current_dir(&caches).args(["--adapter", gpu.name()]).args(arguments);
        let output = command.output().expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let run = "model: {type: mlp, hidden: [16]}\ndata: {embedded: digits}\nepochs: 1\nbatch_size: 64\n";
    std::fs::write(caches.join("run.yaml"), run).expect("a file");
    let (code, told, warned) = gradus(&["train", "run.yaml"]);
    assert_eq!(code, Some(0), "{told}{warned}");
    let line = |told: &str| told.lines().find(|line| line.starts_with("checked ")).map(str::to_owned);
    let first = line(&told).expect("a line");
    assert!(first.contains("kernels agree with the host") && first.contains("gradients of the first batch"), "{first}");
    let report = std::fs::read_to_string(caches.join("runs/run/report.html")).expect("a report");
    assert!(report.contains("gradients of the first batch"), "the report says what was checked");
    // What was tried once is known.
    let (_, told, _) = gradus(&["train", "run.yaml", "--overwrite"]);
    assert!(line(&told).expect("a line").contains("kernels agree with the host"));
    // A certificate that knows of a kernel which is wrong here: another form stands in for it, from now on.
    let kept = |ending: &str| {
        let files = ["gradus", "Library/Caches/gradus"].map(|below| std::fs::read_dir(caches.join(below)));
        let mut files = files.into_iter().flatten().flatten().map(|entry| entry.expect("an entry").path());
        files.find(|path| path.to_string_lossy().ends_with(ending))
    };
    let certificate = kept(".check.json").expect("a certificate");
    let text = std::fs::read_to_string(&certificate).expect("a certificate");
    let mut known: Certificate = serde_json::from_str(&text).expect("a certificate");
    let usual = forms(&gpu, false).remove(0).name;
    assert!(known.of_kernel("linear.activated", &usual).is_some(), "{:?}", known.kernels.keys());
    known.refused.push(Refused {
        kernel: "linear.activated".to_owned(),
        form: usual,
        tried: "a trial".to_owned(),
        reason: "wrong".to_owned(),
        instead: None,
    });
    std::fs::write(&certificate, serde_json::to_string(&known).expect("JSON")).expect("a file");
    let (code, told, warned) = gradus(&["train", "run.yaml", "--overwrite"]);
    assert_eq!(code, Some(0), "{told}{warned}");
    assert!(warned.contains("linear is wrong on this adapter in its usual form"), "{warned}");
    assert!(line(&told).expect("a line").contains("1 in another form than usual"), "{told}");
    let (_, told, warned) = gradus(&["train", "run.yaml", "--overwrite"]);
    assert!(line(&told).expect("a line").contains("gradients of the first batch"), "{told}");
    assert!(!warned.contains("is wrong on this adapter"), "the choice was kept: {warned}");
    let (_, told, _) = gradus(&["info"]);
    assert!(told.contains("instead of one that is wrong here"), "{told}");

    let (_, told, _) = gradus(&["train", "run.yaml", "--overwrite", "--set", "check=off"]);
    assert_eq!(line(&told), None);
    let (code, _, warned) = gradus(&["train", "run.yaml", "--overwrite", "--set", "check=always"]);
    assert_eq!(code, Some(2));
    assert!(warned.contains("auto") && warned.contains("first") && warned.contains("off"), "{warned}");
}

#[test]
fn check_takes_shaders_from_a_folder() {
    let Some(gpu) = gpu() else { return };
    let shaders = folder("shaders");
    let put = |text: &str| {
        std::fs::create_dir_all(shaders.join("nn")).expect("a folder");
        std::fs::write(shaders.join("nn/mean_pool.wgsl"), text).expect("a file");
    };
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        let output = command.args(["--adapter", gpu.name(), "check", "--json", "--shaders"]).arg(&shaders).output();
        let output = output.expect("the binary runs");
        (output.status.code(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    put(&shader("nn/mean_pool"));
    let (code, _, warned) = check();
    assert_eq!(code, Some(2));
    assert!(warned.contains("no shader in it differs"), "{warned}");
    put(&shader("nn/mean_pool").replace("max(", "min("));
    let (code, told, _) = check();
    assert_eq!(code, Some(1));
    let told: serde_json::Value = serde_json::from_slice(&told).expect("JSON");
    assert_eq!(told["refused"][0]["kernel"], "mean_pool");
}

fn trainer(engine: &Engine) -> Trainer {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 24, 10], Activation::Gelu).expect("a model");
    let spec =
        Spec::parse("run.yaml", "optimizer: {type: adamw, lr: 1.0e-2}\nlr_scheduler: {type: cosine}").expect("a spec");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let config = Config::default().epochs(2);
    Trainer::new(engine, &task, config, |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

/// At the beginning and in the midst of an epoch: the run continues as if nobody had asked.
#[test]
fn check_of_coming_gradients_leaves_no_trace() {
    for engine in engines() {
        let left = |asks: bool| {
            let mut trainer = trainer(&engine);
            for steps in [0, 7] {
                (0..steps).for_each(|_| drop(trainer.take_step().expect("a step")));
                if asks {
                    let gradients = trainer.coming_gradients().expect("gradients");
                    assert_eq!(gradients.len(), 4);
                    assert!(gradients == trainer.coming_gradients().expect("gradients"), "asked twice");
                    assert_eq!(trainer.disagreements().expect("none"), [], "on {}", engine.name());
                }
            }
            let mut told = Vec::new();
            trainer
                .run(|event| {
                    if let gradus::train::Event::Evaluation(e) = event {
                        told.push(*e)
                    }
                })
                .expect("a run");
            (told, trainer.parameters().read_file().expect("a file"))
        };
        assert!(left(true) == left(false), "{}", engine.name());
    }
}

#[test]
fn check_of_the_first_gradients_names_the_kernel_that_disagrees() {
    let Some(gpu) = gpu() else { return };
    let registers = Choices::all(Tiling::Registers);
    let wrong = with("shared/forward_products", "sums00 += w0 * x0", "sums00 -= w0 * x0").choosing(registers.clone());
    for (engine, is_right) in [(gpu.choosing(registers), true), (wrong, false)] {
        let (mut asked, mut host) = (trainer(&engine), trainer(&Engine::cpu()));
        host.stand_as(&asked).expect("a place");
        let agreement = asked.agreement(&mut host).expect("an agreement");
        assert_eq!((agreement.tensors, agreement.holds()), (4, is_right), "{agreement:?}");
        let named = asked.disagreements().expect("what disagrees");
        assert_eq!(named.is_empty(), is_right, "{named:?}");
        assert!(
            named.iter().all(|one| one.kernel.starts_with("linear") && !one.kernel.contains("backward")),
            "{named:?}"
        );
    }
}
