//! Parameters that an optimizer treats in their own way, as a file says it.

use super::place::Place;
use super::raw::Raw;
use super::row_keys::{check, keys_of, raw_of, read_row, refuse_class, rule_of};
use super::section::Section;
use crate::params::{Row, Rule};
use crate::schedule::Error;

/// An entry of `optimizer.groups`: the parameters that it names have a rule, a rate or other fields of their own. A parameter
/// belongs to the first entry that names it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GroupSpec {
    /// `match`: a parameter's name, or a pattern that matches the start of names.
    pub pattern: String,
    /// What its groups start with. Where the rule is the optimizer's own, what the entry does not say is as there; else it is
    /// as in the rule's class. Its lr in a later phase is as much of the phase's as it is of the optimizer's here.
    pub row: Row,
    /// Whether it says a `clip_norm`: then its gradients are clipped by their own norm, apart from all others.
    pub clips_alone: bool,
    pub(in crate::schedule) place: Place,
}

impl GroupSpec {
    /// Reads an entry beside an optimizer with this row.
    pub(super) fn read(mut section: Section, optimizer: &Row) -> Result<GroupSpec, Error> {
        refuse_class(&section)?;
        let asked = section.peek("type").and_then(Rule::named).unwrap_or(optimizer.rule);
        section.only(&[&["match", "type"], &keys_of(asked)[..], &["clip_norm"]].concat())?;
        let pattern = section.text("match")?;
        let rule = if section.has("type") { rule_of(&mut section)? } else { optimizer.rule };
        let Row { clip_norm, ema_decay, .. } = *optimizer;
        if ema_decay.is_some() && !rule.keeps_average() {
            let why = "cannot be with optimizer.ema_decay: an average beside its state is more than a kernel can bind";
            return Err(section.unfit("type", rule, why));
        }
        let usual = if rule == optimizer.rule { *optimizer } else { Row { clip_norm, ema_decay, ..Row::of(rule) } };
        let own_norm: Option<f64> = section.optional("clip_norm")?;
        let row = read_row(&mut section, Row { clip_norm: own_norm.or(clip_norm), ..usual })?;
        check(&section, &row)?;
        Ok(GroupSpec { pattern, row, clips_alone: own_norm.is_some(), place: section.place() })
    }
}

impl From<&GroupSpec> for Raw {
    fn from(group: &GroupSpec) -> Raw {
        let raw = Raw::default().with("match", group.pattern.as_str()).with_all(raw_of(&group.row));
        match group.row.clip_norm.filter(|_| group.clips_alone) {
            Some(norm) => raw.with("clip_norm", norm),
            None => raw,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::params::{Param, Rule};
    use crate::schedule::{Epochs, Plan, Spec};

    const NAMES: [&str; 4] = ["encoder.0.weight", "encoder.0.bias", "head.weight", "head.bias"];

    fn spec(keys: &str, more: &str) -> Result<Spec, String> {
        let text = format!("optimizer: {{{keys}}}\nlr_scheduler: {{type: constant}}\n{more}");
        Spec::parse("run.yaml", &text).map_err(|error| error.to_string())
    }

    fn plan(keys: &str, more: &str) -> Result<Plan, String> {
        let params = NAMES.map(|name| Param::new(name, [2]));
        let run = Epochs { epochs: 4, steps_per_epoch: 2 };
        Plan::new(&spec(keys, more)?, &params[..], run).map_err(|error| error.to_string())
    }

    /// Name, rule, lr, weight decay and parameters of each group.
    fn groups(plan: &Plan, phase: usize) -> Vec<(String, Rule, f64, f64, Vec<String>)> {
        let groups = plan.groups(&plan.latest().unwrap()[phase]).unwrap().into_iter();
        groups.map(|group| (group.name, group.row.rule, group.row.lr, group.row.weight_decay, group.params)).collect()
    }

    fn group(name: &str, rule: Rule, lr: f64, decay: f64, params: &[usize]) -> (String, Rule, f64, f64, Vec<String>) {
        (name.to_owned(), rule, lr, decay, params.iter().map(|place| NAMES[*place].to_owned()).collect())
    }

    #[test]
    fn a_parameter_belongs_to_the_first_entry_that_names_it() {
        let keys = "type: adamw, lr: 0.01, weight_decay: 0.1, no_decay: [bias], groups: [\
             {match: encoder.*weight, type: lion, lr: 0.002, weight_decay: 0.3}, {match: encoder, lr: 0.02}]";
        let plan = plan(keys, "").unwrap();
        let expected = [
            group("decay", Rule::AdamW, 0.01, 0.1, &[2]),
            group("no_decay", Rule::AdamW, 0.01, 0.0, &[3]),
            group("encoder.*weight", Rule::Lion, 0.002, 0.3, &[0]),
            group("encoder, no decay", Rule::AdamW, 0.02, 0.0, &[1]),
        ];
        assert_eq!(groups(&plan, 0), expected);
        let again = Spec::parse("again.yaml", &plan.to_yaml()).unwrap();
        let params = NAMES.map(|name| Param::new(name, [2]));
        let again = Plan::new(&again, &params[..], Epochs { epochs: 4, steps_per_epoch: 2 }).unwrap();
        assert_eq!((groups(&again, 0), again.to_yaml()), (expected.to_vec(), plan.to_yaml()));
    }

    /// A later phase's rate is the optimizer's; an entry has as much of it as in the first phase. A new optimizer has no
    /// entries.
    #[test]
    fn an_entry_keeps_its_share_of_a_phases_rate() {
        let phases = "phases:\n  0: {params: [head.*], max_transition_epoch: 1}\n  1: {params: [encoder.*weight], lr: 0.001, \
             max_transition_epoch: 2}\n  2: {params: [encoder.*bias], max_transition_epoch: 3, new_optimizer: \
             {optimizer_init: {class_path: timm.optim.Lion, init_args: {lr: 0.5}}}}\n";
        let keys = "type: sgd, lr: 0.01, groups: [{match: '.*weight', type: adan, lr: 0.002}]";
        let plan = plan(keys, phases).unwrap();
        assert_eq!(
            groups(&plan, 1),
            [
                group("phase 0", Rule::Sgd, 0.01, 0.0, &[3]),
                group("phase 0, .*weight", Rule::Adan, 0.002, 0.0, &[2]),
                group("phase 1, .*weight", Rule::Adan, 0.001 * (0.002 / 0.01), 0.0, &[0]),
            ]
        );
        let of_lion = groups(&plan, 2);
        assert!(of_lion.iter().all(|(_, rule, ..)| *rule == Rule::Lion) && of_lion.len() == 3, "{of_lion:?}");
        assert_eq!((plan.row_of_param(0, 2).rule, plan.row_of_param(2, 2).rule), (Rule::Adan, Rule::Lion));
    }

    #[test]
    fn what_an_entry_does_not_say_is_as_in_the_optimizer_or_in_its_own_class() {
        let keys = "type: adamw, lr: 0.01, eps: 1.0e-6, moments: bf16, amsgrad: true, clip_norm: 2.0, groups: [\
             {match: head, weight_decay: 0.5}, {match: encoder, type: nadam}]";
        let spec = spec(keys, "").unwrap();
        let [same, other] = [0, 1].map(|entry| spec.groups[entry].row);
        assert_eq!(same, spec.row.weight_decay(0.5));
        assert_eq!(other, crate::params::Row::of(Rule::NAdam).clip_norm(2.0));
    }

    #[test]
    fn entries_are_refused_by_key_and_value() {
        let known = "known are match, type, lr, weight_decay, betas";
        for (entry, expected) in [
            ("type: lion", "[0].match is missing".to_owned()),
            ("match: head, type: lion, eps: 1.0e-8", format!("[0].eps is not a known key; {known}, maximize, moments")),
            (
                "match: head, ema_decay: 0.9",
                format!("[0].ema_decay is not a known key; {known}, eps, amsgrad, maximize, moments, clip_norm"),
            ),
            ("match: head, clip_norm: 0", "[0].clip_norm = 0 is not a finite number above 0".to_owned()),
            (
                "match: head, type: sgd, momentum: -1",
                "[0].momentum = -1 is not a finite number that is 0 or more".to_owned(),
            ),
            (
                "match: head, type: lion, betas: [0.9, 1.0]",
                "[0].betas = [0.9, 1] is not two numbers in [0, 1)".to_owned(),
            ),
            (
                "match: heat.weight",
                "[0].match = heat.weight is not the name of a parameter, or a pattern that matches the start of one \
                 (did you mean \"head.weight\"?)"
                    .to_owned(),
            ),
            ("match: 'head('", "[0].match = head( is not a valid pattern".to_owned()),
            (
                "match: head}, {match: head.bias",
                "[1].match = head.bias names nothing that the entries before it do not name".to_owned(),
            ),
            (
                "match: head, class_path: timm.optim.Lion",
                "[0].class_path has no place here: type: names the optimizer, adamw, adam".to_owned(),
            ),
        ] {
            let told = plan(&format!("type: adamw, groups: [{{{entry}}}]"), "").unwrap_err();
            assert!(told.starts_with(&format!("run.yaml: optimizer.groups{expected}")), "{entry}: {told}");
        }
        let told = plan("type: adamw, ema_decay: 0.9, groups: [{match: head, type: adan}]", "").unwrap_err();
        let why = "cannot be with optimizer.ema_decay: an average beside its state is more than a kernel can bind";
        assert_eq!(told, format!("run.yaml: optimizer.groups[0].type = adan {why}"));
    }

    #[test]
    fn laws_move_what_any_entry_has() {
        let laws = "laws: [{field: momentum, type: constant, warmup_steps: 2}]";
        let keys = |entry: &str| format!("type: adamw, groups: [{{match: head, {entry}}}]");
        let told = plan(&keys("lr: 1.0"), laws).unwrap_err();
        assert!(told.contains("laws[0].field = momentum is not one of weight_decay, beta1, beta2, eps"), "{told}");
        let plan = plan(&keys("type: sgd, momentum: 0.8"), laws).unwrap();
        let rows = plan.rows(&plan.start().unwrap(), 3).unwrap();
        assert_eq!(rows.iter().map(|row| row.momentum).collect::<Vec<_>>(), [0.0, 0.0, 0.0, 0.4, 0.0, 0.8]);
    }
}
