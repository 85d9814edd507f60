//! What a rule refuses: one error each, and nothing changes.

use crate::support::{engines, noise};
use gradus::engine::Engine;
use gradus::optim::{External, Optimizer, Parameters, Precision, Settings};
use gradus::params::{Field, Group, Param, Row, Rule, Storage};

const SHAPE: [usize; 2] = [6, 5];

fn begun(engine: &Engine, row: Row) -> (Parameters, Optimizer) {
    let parameters = Parameters::new(engine, &[Param::new("p", SHAPE)], None).expect("parameters");
    parameters.upload("p", &noise(1, 30)).expect("an upload");
    let optimizer = Optimizer::new(engine, &parameters, &[Group::new("all", row, ["p"])], Settings::default());
    (parameters, optimizer.expect("an optimizer"))
}

fn made(engine: &Engine, row: Row) -> Result<Optimizer, String> {
    let parameters = Parameters::new(engine, &[Param::new("p", SHAPE)], None).expect("parameters");
    let optimizer = Optimizer::new(engine, &parameters, &[Group::new("all", row, ["p"])], Settings::default());
    optimizer.map_err(|error| error.to_string())
}

/// Numbers that no field allows, and what is just past the fields that have an upper bound.
fn bad(field: Field) -> Vec<f64> {
    let past = if field.allows(1.0) && field.allows(2.0) { None } else { Some(2.0) };
    if field == Field::Beta2Decay {
        return vec![0.5, f64::NAN, f64::NEG_INFINITY, -1e39];
    }
    [-0.5, f64::NAN, f64::INFINITY, 1e39].into_iter().chain(past).collect()
}

#[test]
fn every_field_of_every_rule_has_its_range() {
    for engine in engines() {
        for rule in Rule::ALL {
            let row = Row::of(rule);
            let (parameters, mut optimizer) = begun(&engine, row);
            optimizer.upload_gradient("p", &noise(2, 30)).expect("a gradient");
            optimizer.step().expect("a step");
            let before = (parameters.read("p").expect("values"), optimizer.read_state().expect("state"));
            for field in row.fields() {
                for value in bad(field) {
                    let expected = format!("group \"all\": {field} = {value} is not {}", field.allowed());
                    let told = made(&engine, row.with(field, value)).expect_err("refused");
                    assert_eq!(told, expected, "{rule}");
                    let told = optimizer.set("all", field, value).expect_err("refused").to_string();
                    assert_eq!(told, expected, "{rule}");
                }
            }
            for field in Field::ALL.into_iter().filter(|field| !row.has(*field)) {
                let told = optimizer.set("all", field, 0.5).expect_err("refused").to_string();
                assert!(told.contains(&format!("{rule} has no {field}")), "{told}");
            }
            let after = (parameters.read("p").expect("values"), optimizer.read_state().expect("state"));
            assert_eq!(before, after, "{rule} on {}", engine.name());
        }
    }
}

#[test]
fn what_a_rule_does_not_store_or_keep_is_refused() {
    let engine = Engine::cpu();
    for rule in Rule::ALL {
        let row = Row::of(rule);
        for moments in Storage::ALL {
            let made = made(&engine, row.moments(moments));
            match rule.storages().contains(&moments) {
                true => assert!(made.is_ok(), "{rule}: {moments}"),
                false => {
                    let told = made.expect_err("refused");
                    assert!(told.contains(&format!("moments of {rule} are stored as")), "{told}");
                }
            }
        }
        match made(&engine, row.ema_decay(0.9)) {
            Ok(_) => assert!(rule.keeps_average(), "{rule}"),
            Err(told) => {
                assert!(!rule.keeps_average() && told.contains(&format!("{rule} has no ema_decay")), "{told}");
            }
        }
        for precision in [Precision::Mixed, Precision::Bf16] {
            let values = engine.buffer("values", 64).and_then(|buffer| buffer.range(0, 60)).expect("a range");
            let external = External::new(Param::new("p", SHAPE), values).precision(precision);
            let groups = [Group::new("all", row, ["p"])];
            match Optimizer::over(&engine, &[external], &groups, Settings::default()) {
                Ok(_) => assert!(rule.stores_bf16(), "{rule}"),
                Err(error) => {
                    let told = error.to_string();
                    let expected =
                        format!("its values are in bf16, which the kernel of {} does not store", rule.title());
                    assert!(!rule.stores_bf16() && told.contains(&expected), "{rule}: {told}");
                }
            }
        }
    }
}
