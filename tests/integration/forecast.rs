//! Bytes told beforehand against the bytes that optimizers have and programs move.

use gradus::engine::Engine;
use gradus::optim::{Clip, Forecast, Optimizer, Parameters, Refreeze, Settings};
use gradus::params::{Group, Param, Row, Rule, Storage};

#[test]
fn forecasts_are_the_optimizers_own_count() {
    let engine = Engine::cpu();
    let params =
        [Param::new("a", [3]), Param::new("b", [5 * 4096 + 77]), Param::new("c", [64]), Param::new("d", [9000])];
    let [a, b, c, d] = &params;
    let parameters = Parameters::new(&engine, &params, None).expect("parameters");
    let plain = Row::default();
    for row in [
        plain,
        plain.amsgrad(true),
        plain.moments(Storage::Bf16),
        plain.moments(Storage::Int8),
        plain.moments(Storage::Int8).amsgrad(true).ema_decay(0.9),
        plain.ema_decay(0.9),
        Row::of(Rule::Sgd).ema_decay(0.9),
        plain.moments(Storage::Bf16).amsgrad(true),
        Row::of(Rule::Adam),
        Row::of(Rule::Sgd),
        Row::of(Rule::Sgd).clip_norm(1.0),
    ] {
        for settings in [
            Settings::default(),
            Settings::default().clip(Clip::norm(1.0)).page_bytes(4096 * 4),
            Settings::default().guard(true).page_bytes(3 * 4096 * 4),
        ] {
            let groups = [Group::new("one", row, ["a", "b"]), Group::new("two", row, ["d", "c"]).frozen()];
            let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings).expect("an optimizer");
            let forecast = Forecast::of(&[row], &settings);
            let check = |optimizer: &mut Optimizer, thawed: &[&Param], trainable: &[&Param]| {
                let thawed = || thawed.iter().copied();
                assert_eq!(optimizer.state_bytes(), forecast.state_bytes(thawed()), "{row:?} {settings:?}");
                assert_eq!(optimizer.gradient_bytes(), forecast.gradient_bytes(thawed()));
                let moved = optimizer.program().expect("a program").bytes();
                assert_eq!(moved, forecast.step_bytes(trainable.iter().copied()), "{row:?} {settings:?}");
            };
            check(&mut optimizer, &[a, b], &[a, b]);
            optimizer.thaw("two").expect("a group");
            check(&mut optimizer, &[a, b, c, d], &[a, b, c, d]);
            optimizer.freeze("one", Refreeze::KeepState).expect("a group");
            check(&mut optimizer, &[a, b, c, d], &[c, d]);
            optimizer.freeze("one", Refreeze::DropState).expect("a group");
            check(&mut optimizer, &[c, d], &[c, d]);
        }
    }
}
