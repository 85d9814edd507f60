//! The page `docs/optimizers.md`, from what the declarations of the rules say.

use super::rates::short;
use super::rules_told::{FieldTold, RefusedTold, Told, refused_told};
use std::fmt::Write as _;

/// The head of the page.
const HEAD: &str = r#"# Optimizers

This page is what `gradus optimizers --markdown` prints, from the declarations that the program itself goes by. A
run file says `optimizer: {type: lion, lr: 1.0e-4}`; a phase's `new_optimizer` and `reinit_optim_cfg` name a class,
as finetuning-scheduler does. Every field follows a law (`laws: [{field: beta2, type: linear}]`). Some parameters
may have a rule and fields of their own:

```yaml
optimizer:
  type: adamw
  lr: 1.0e-3
  groups:
    - {match: "encoder.*weight", type: lion, lr: 2.0e-4}   # a name, or a pattern that matches the start of names
    - {match: "encoder", weight_decay: 0.0}                # AdamW as above, without decay
```

A parameter belongs to the first entry that names it, and to none if no entry does. An entry without `type`, or with
the optimizer's own, has the optimizer's fields where it does not say others; one with another `type` has those of
that rule's class. In a later phase its lr is as much of the phase's as it is of the optimizer's. `ema_decay` and
`no_decay` are the optimizer's, for all. An entry with a `clip_norm` is clipped by the norm of its own gradients
(`{match: "head", clip_norm: 0.5}`), and all others by the optimizer's `clip_norm` together, or not at all. A phase's
`new_optimizer` has no entries. `muon` is for matrices alone: an entry gives it the weights
(`{match: "encoder.*weight", type: muon, lr: 2.0e-2}`), and the rest has another rule.

In a formula `g` is the gradient as it is clipped, `p` a parameter, `t` the number of steps applied to its tensor.
Decay comes first. Where it acts on the parameter, `p` becomes `p (1 - lr weight_decay)`; where it joins the
gradient, `g` becomes `g + weight_decay p`; else it stands in the formula. With `maximize` the gradient's sign is turned.

Bytes are those of a parameter in f32, in a matrix of 1,024 rows and columns: of the state beside it, and of all that
a step moves. A slot in bf16 has half of that.

"#;

/// The page of all rules.
pub(super) fn page(told: &[Told]) -> Result<String, std::fmt::Error> {
    let mut text = HEAD.to_owned();
    writeln!(
        text,
        "| type | class | state | step | `moments` | bf16 parameters | `ema_decay` |\n|---|---|---|---|---|---|---|"
    )?;
    let is = |is_so: bool| if is_so { "yes" } else { "no" };
    for Told { name, classes, state_bytes, step_bytes, moments, bf16_parameters, ema_decay, .. } in told {
        let (classes, moments) = (classes.join(", "), moments.join(", "));
        let (bf16, average) = (is(*bf16_parameters), is(*ema_decay));
        writeln!(
            text,
            "| [`{name}`](#{name}) | {classes} | {state_bytes} | {step_bytes} | {moments} | {bf16} | {average} |"
        )?;
    }
    for rule in told {
        section(&mut text, rule)?;
    }
    writeln!(text, "\n## Not built\n\n| class | why | nearest |\n|---|---|---|")?;
    for RefusedTold { class, why, nearest } in refused_told() {
        writeln!(text, "| `{class}` | {why} | `{nearest}` |")?;
    }
    Ok(text)
}

fn section(text: &mut String, told: &Told) -> std::fmt::Result {
    writeln!(
        text,
        "\n## {}\n\n```text\n{}\n```\n\n| field | default | is |\n|---|---|---|",
        told.name,
        told.formula.join("\n")
    )?;
    for FieldTold { name, default, allowed } in &told.fields {
        writeln!(text, "| `{name}` | {} | {allowed} |", short(*default))?;
    }
    if !told.switches.is_empty() {
        writeln!(text, "\nSwitches: `{}`.", told.switches.join("`, `"))?;
    }
    writeln!(text, "\nDecay {}. State: {}.", told.decay, told.state.join(", "))?;
    if !told.differences.is_empty() {
        writeln!(text, "\nDifferences from {} on purpose: {}.", told.classes.join(", "), told.differences.join("; "))?;
    }
    Ok(())
}
