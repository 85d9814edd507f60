//! `gradus optimizers`, and the page that it prints.

use gradus::params::{Field, Refused, Row, Rule};
use gradus::schedule::{Epochs, Plan, Spec};
use std::process::{Command, Output};

fn output(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.arg("optimizers").args(arguments).output().expect("the binary runs")
}

fn told(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn refused(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text").trim_end().to_owned()
}

#[test]
fn the_page_is_what_the_declarations_say() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/optimizers.md");
    let is = std::fs::read_to_string(page).expect("the page");
    assert!(is == told(&["--markdown"]), "make it anew: gradus optimizers --markdown > docs/optimizers.md");
    for rule in Rule::ALL {
        for class in rule.classes() {
            assert!(is.contains(class), "{class}");
        }
    }
}

#[test]
fn json_has_every_rule_and_every_field() {
    let json: serde_json::Value = serde_json::from_str(&told(&["--json"])).expect("JSON");
    let all = json["optimizers"].as_array().expect("a list");
    assert_eq!(all.len(), Rule::ALL.len());
    for (rule, told) in Rule::ALL.into_iter().zip(all) {
        assert_eq!(told["type"], rule.name());
        let fields: Vec<&str> =
            told["fields"].as_array().expect("fields").iter().map(|it| it["name"].as_str().expect("a name")).collect();
        assert_eq!(fields, Row::of(rule).fields().map(Field::name).collect::<Vec<_>>());
    }
    let bytes = |name: &str| {
        let told = all.iter().find(|told| told["type"] == name).expect("a rule");
        (told["state_bytes"].as_f64(), told["step_bytes"].as_f64())
    };
    assert_eq!((bytes("adamw"), bytes("lion")), ((Some(8.0), Some(28.0)), (Some(4.0), Some(20.0))));
    assert_eq!(json["not_built"].as_array().map(Vec::len), Some(Refused::all().len()));
}

#[test]
fn one_rule_is_told_by_its_name_or_its_class() {
    let lion = told(&["lion"]);
    assert!(lion.contains("p <- p - lr sign") && lion.contains("0.99  in [0, 1)"), "{lion}");
    assert_eq!(lion, told(&["timm.optim.Lion"]));
    assert!(refused(&["lino"]).contains("no optimizer is named \"lino\"; did you mean \"lion\"?"));
    assert!(
        refused(&["LBFGS"]).contains(
            "torch.optim.LBFGS is not built: it asks for the loss several times a step; the nearest is adamw"
        )
    );
}

/// What is refused by name is refused in files too, with the nearest there is.
#[test]
fn files_name_the_nearest_of_what_is_not_built() {
    let plan = |text: &str| {
        let spec = Spec::parse("run.yaml", text)?;
        Plan::new(
            &spec,
            &[gradus::params::Param::new("p", [2]), gradus::params::Param::new("q", [2])][..],
            Epochs { epochs: 1, steps_per_epoch: 1 },
        )
    };
    let told = plan("optimizer: {type: lbfgs}\nlr_scheduler: {type: constant}").expect_err("refused").to_string();
    let why = "is not built: it asks for the loss several times a step; the nearest is";
    assert_eq!(told, format!("run.yaml: optimizer.type = lbfgs {why} adamw"));
    for refused in Refused::all() {
        let new = format!("{{optimizer_init: {{class_path: {}}}}}", refused.class);
        let told = plan(&format!("0: {{params: [p]}}\n1: {{params: [q], new_optimizer: {new}}}"))
            .expect_err("refused")
            .to_string();
        let nearest = refused.instead.0.classes()[0];
        assert!(
            told.contains(&format!(
                "class_path = {} is not built: {}; the nearest is {nearest}",
                refused.class, refused.why
            )),
            "{told}"
        );
    }
}
