//! Going on from a checkpoint, against traces of finetuning-scheduler: every `fts_*` file with a `resumed` part.
//!
//! Our cursor is saved where the reference's checkpoint was written, read back, and followed by a plan made again for a
//! longer run. It is always the run that never stopped. Where the reference keeps its place, its epochs are compared too;
//! where it loses it, the test says how.

use crate::golden::{Case, number};
use crate::golden_phases::{BATCHES, Device, all_cases, check_end, check_groups, plan_of, run_epoch};
use gradus::schedule::{Cursor, Plan};
use serde_json::Value as Json;

#[test]
fn golden_phases_resumed() {
    let (mut compared, mut lost, mut fit_arg) = (0, Vec::new(), 0);
    for case in all_cases("fts").iter().filter(|case| case.json["resumed"].is_object()) {
        let saved = Saved::at_checkpoint(case);
        let longer = plan_of(case, &changed(case, &case.json["resumed"]["changes"])).expect("a longer run");
        check_uninterrupted(case, &saved, &longer);
        match saved.lost_by_the_reference(case) {
            Some(how) => lost.push(format!("{} ({how})", case.name)),
            None => {
                compared += 1;
                check_resumed(case, saved, &longer);
            }
        }
        fit_arg += usize::from(case.json["resumed_fit_arg"].is_object());
    }
    println!("golden_phases_resumed: {compared} compared; place lost by the reference: {}", lost.join(", "));
    println!(
        "golden_phases_resumed: by fit(ckpt_path=...) the reference starts again at depth 0: {fit_arg}, not compared"
    );
}

/// What is on disk.
#[derive(Clone)]
struct Saved {
    cursor: String,
    device: Device,
    epoch: u64,
}

impl Saved {
    /// The run as it was when the reference wrote its checkpoint: after the validation of that epoch.
    fn at_checkpoint(case: &Case) -> Saved {
        let plan = plan_of(case, &case.json["args"]).expect("a plan");
        let epoch = case.json["checkpoint_content"]["epoch"].as_u64().expect("an epoch");
        let (mut cursor, mut device) = (plan.start().expect("a start"), Device::default());
        for _ in 0..=epoch {
            run_epoch(case, &plan, &mut cursor, &mut device, None, false);
        }
        Saved { cursor: serde_json::to_string(&cursor).expect("a cursor saves"), device, epoch }
    }

    fn cursor(&self) -> Cursor {
        serde_json::from_str(&self.cursor).expect("a cursor reads back")
    }

    fn lost_by_the_reference(&self, case: &Case) -> Option<&'static str> {
        let cursor = self.cursor();
        if !case.json["resumed"]["error"].is_null() {
            return Some("a reinitialised optimizer: it crashes");
        }
        if cursor.stop().is_some() {
            return Some("a pending stop: it trains on");
        }
        if cursor.patience().is_complete {
            return Some("a pending transition: it waits once more");
        }
        let json: Json = serde_json::from_str(&self.cursor).expect("JSON");
        let source = &json["rates"]["scheduler"]["source"];
        let is_other = !source.is_null() && source != "Start";
        is_other.then_some("a reinitialised scheduler: its state is poured into the first one's class")
    }
}

fn changed(case: &Case, changes: &Json) -> Json {
    let mut args = case.json["args"].clone();
    for (key, value) in changes.as_object().expect("changes") {
        args[key] = value.clone();
    }
    args
}

fn is_over(plan: &Plan, cursor: &Cursor) -> bool {
    cursor.stop().is_some() || cursor.step() / BATCHES >= plan.epochs()
}

/// What is saved continues as the run does that never stopped.
fn check_uninterrupted(case: &Case, saved: &Saved, plan: &Plan) {
    let (mut cursor, mut device) = (saved.cursor(), saved.device.clone());
    let (mut whole, mut whole_device) = (plan.start().expect("a start"), Device::default());
    plan.check(&cursor).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    while whole.step() < cursor.step() {
        run_epoch(case, plan, &mut whole, &mut whole_device, None, false);
    }
    assert_eq!((&cursor, &device), (&whole, &whole_device), "{}: what was saved", case.name);
    while !is_over(plan, &cursor) {
        run_epoch(case, plan, &mut cursor, &mut device, None, true);
        run_epoch(case, plan, &mut whole, &mut whole_device, None, false);
        assert_eq!((&cursor, &device), (&whole, &whole_device), "{}: step {}", case.name, cursor.step());
    }
    assert!(is_over(plan, &whole), "{}", case.name);
}

/// The reference's epochs: the first is the tail of the one in which the checkpoint was written.
fn check_resumed(case: &Case, saved: Saved, plan: &Plan) {
    let resumed = &case.json["resumed"];
    let (mut cursor, mut device) = (saved.cursor(), saved.device);
    let epochs = resumed["epochs"].as_array().expect("epochs");
    for expected in epochs {
        let epoch = expected["epoch"].as_u64().expect("an epoch");
        let at = format!("{}, resumed, epoch {epoch}", case.name);
        if epoch == saved.epoch {
            assert_eq!(Some(cursor.depth() as u64), expected["depth"].as_u64(), "{at}: depth");
            check_groups(plan, &cursor, expected, &at);
            device.check(expected, &at);
            check_end(&cursor, &expected["after_validation"], &at);
        } else {
            assert!(!is_over(plan, &cursor), "{at}: ours is over");
            run_epoch(case, plan, &mut cursor, &mut device, Some(expected), true);
        }
    }
    assert!(is_over(plan, &cursor), "{}: resumed: ours goes on", case.name);
    let last = &resumed["final"];
    assert_eq!(Some(cursor.depth() as u64), last["depth"].as_u64(), "{}: resumed", case.name);
    assert_eq!(number(&last["max_epochs_effective"]), Some(plan.epochs() as f64), "{}: resumed", case.name);
    assert_eq!(Some(cursor.stop().is_some()), last["should_stop"].as_bool(), "{}: resumed", case.name);
}
