//! The loss scale against traces of `torch.amp.GradScaler`: scale and count after each step to the bit, parameters within 2e-5
//! relative or 1e-6 absolute.

use crate::golden::{Case, number};
use crate::golden_optim::rule_of;
use gradus::engine::Engine;
use gradus::optim::{Clip, LossScale, Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row};

/// Steps over gradients that are scaled as the trace says, and spoiled where it says so.
pub fn check_loss_scale(case: &Case, engine: &Engine) {
    let what = format!("{} on {}", case.name, engine.name());
    let args = &case.json["args"];
    let mut scale = LossScale::default();
    let number_of = |key: &str| args[key].as_f64().map(|value| value as f32);
    scale = scale.init_scale(number_of("init_scale").unwrap_or(scale.init_scale));
    scale = scale.growth_factor(number_of("growth_factor").unwrap_or(scale.growth_factor));
    scale = scale.backoff_factor(number_of("backoff_factor").unwrap_or(scale.backoff_factor));
    scale = scale.growth_interval(args["growth_interval"].as_u64().map_or(scale.growth_interval, |steps| steps as u32));
    let clip = case.json["clip_max_norm"].as_f64().map_or(Clip::None, Clip::norm);
    let names: Vec<&str> = case.arrays.keys().filter_map(|name| name.strip_prefix("init.")).collect();
    let params: Vec<Param> =
        names.iter().map(|name| Param::new(*name, vec![case.f32s(&format!("init.{name}")).len()])).collect();
    let rule = rule_of(case.json["optimizer"]["class"].as_str().expect("a class")).expect("a rule that is built");
    let parameters = Parameters::new(engine, &params, None).expect("parameters");
    let mut groups = Vec::new();
    for (place, name) in names.iter().copied().enumerate() {
        parameters.upload(name, &case.f32s(&format!("init.{name}"))).expect("an upload");
        let lr = case.json["optimizer"]["group_lrs"][place].as_f64().expect("a rate");
        groups.push(Group::new(name, Row::of(rule).lr(lr), [name]));
    }
    let settings = Settings::default().clip(clip).loss_scale(scale);
    let mut optimizer = Optimizer::new(engine, &parameters, &groups, settings).expect("an optimizer");
    let scale_on_device = optimizer.loss_scale().expect("a loss scale");
    for (step, told) in case.json["trace"].as_array().expect("a trace").iter().enumerate() {
        let of_step = |values: Vec<f32>, name: &str| {
            let count = params[names.iter().position(|known| *known == name).expect("a name")].elements();
            values[step * count..][..count].to_vec()
        };
        let before = engine.read::<f32>(&scale_on_device).expect("the scale")[0];
        assert_eq!(f64::from(before), told["scale_before"].as_f64().expect("a scale"), "{what}: before step {step}");
        for name in names.iter().copied() {
            let mut gradient = of_step(case.f32s(&format!("grad.{name}")), name);
            gradient.iter_mut().for_each(|slope| *slope *= before);
            let spoiled = &case.json["nonfinite"][step.to_string()];
            if spoiled["param"] == name {
                let element = spoiled["element"].as_u64().expect("an element") as usize;
                gradient[element] = number(&spoiled["value"]).expect("a number") as f32;
            }
            optimizer.upload_gradient(name, &gradient).expect("a gradient");
        }
        optimizer.step().expect("a step");
        engine.wait().expect("a wait");
        let stats = optimizer.stats().expect("no complaint").expect("stats");
        assert_eq!(Some(stats.skipped), told["skipped"].as_bool(), "{what}: step {step}");
        let now = optimizer.read_loss_scale().expect("a state").expect("a loss scale");
        assert_eq!(stats.loss_scale, Some(now.scale), "{what}: step {step}");
        assert_eq!(f64::from(now.scale), told["scale_after"].as_f64().expect("a scale"), "{what}: after step {step}");
        assert_eq!(Some(u64::from(now.growth_tracker)), told["growth_tracker"].as_u64(), "{what}: step {step}");
        if let (Some(norm), false) = (told["total_norm"].as_f64(), stats.skipped) {
            let got = f64::from(stats.grad_norm.expect("a norm"));
            assert!((got - norm).abs() <= 2e-5 * norm, "{what}: norm {got} at step {step}, expected {norm}");
        }
        let counts = optimizer.read_applied_counts().expect("counts");
        for (place, name) in names.iter().copied().enumerate() {
            assert_eq!(
                Some(counts[name] as f64),
                told["opt_step_count"][place].as_f64().or(Some(0.0)),
                "{what}: {name}, step {step}"
            );
            let got = parameters.read(name).expect("a parameter");
            for (got, expected) in got.iter().zip(of_step(case.f32s(&format!("param.{name}")), name)) {
                let apart = (got - expected).abs();
                assert!(
                    apart <= 2e-5 * expected.abs() + 1e-6,
                    "{what}: {name} is {got}, expected {expected}, step {step}"
                );
            }
        }
    }
}
