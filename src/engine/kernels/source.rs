//! The text of a shader: what it imports, and the lines that its flags choose.
//!
//! `#import name` inserts `shaders/shared/name.wgsl`, and `#import rule` the family's rule, each once; `#ifdef NAME`,
//! `#else`, `#endif` choose lines. There is nothing else.

use super::rule_text::RuleText;
use std::collections::BTreeMap;

/// Texts that replace our shaders, by folder and name: `nn/linear`, `shared/quad`. So a changed shader can be checked
/// without a build.
#[derive(Clone, Debug, Default)]
pub struct Shaders {
    texts: BTreeMap<String, String>,
}

impl Shaders {
    /// Those of these names and texts.
    ///
    /// # Errors
    /// The first name that no shader of ours has.
    pub fn new(texts: impl IntoIterator<Item = (String, String)>) -> Result<Shaders, String> {
        let texts: BTreeMap<String, String> = texts.into_iter().collect();
        let rules = super::FAMILIES.iter().filter_map(|family| family.rule).map(|rule| rule.name);
        let known: Vec<&str> =
            super::FAMILIES.iter().map(|family| family.shader()).chain(SHARED.iter().map(|(name, _)| *name)).collect();
        let rules: Vec<&str> = rules.collect();
        let is_known = |path: &str| if is_rule(path) { &rules } else { &known }.contains(&plain(path));
        match texts.keys().find(|name| !is_known(name)) {
            Some(name) => Err(name.clone()),
            None => Ok(Shaders { texts }),
        }
    }

    /// The replacement of the shader of this name, which is not a rule.
    pub(super) fn of(&self, shader: &str) -> Option<&str> {
        let mut texts = self.texts.iter().filter(|(path, _)| !path.starts_with("shared/") && !is_rule(path));
        texts.find(|(path, _)| plain(path) == shader).map(|(_, text)| text.as_str())
    }

    fn shared(&self, name: &str) -> Option<&str> {
        self.texts.get(&format!("shared/{name}")).map(String::as_str)
    }

    fn rule(&self, name: &str) -> Option<&str> {
        let mut texts = self.texts.iter().filter(|(path, _)| is_rule(path));
        texts.find(|(path, _)| plain(path) == name).map(|(_, text)| text.as_str())
    }
}

/// Whether a path leads to the arithmetic of an update rule.
fn is_rule(path: &str) -> bool {
    path.rsplit('/').nth(1) == Some("rule")
}

/// The name without its folder.
fn plain(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

pub(super) static SHARED: [(&str, &str); 54] = [
    ("activation", include_str!("../../../shaders/shared/activation.wgsl")),
    ("attention", include_str!("../../../shaders/shared/attention.wgsl")),
    ("attention_backward", include_str!("../../../shaders/shared/attention_backward.wgsl")),
    ("attention_block", include_str!("../../../shaders/shared/attention_block.wgsl")),
    ("attention_rows", include_str!("../../../shaders/shared/attention_rows.wgsl")),
    ("attention_run", include_str!("../../../shaders/shared/attention_run.wgsl")),
    ("batch_norm", include_str!("../../../shaders/shared/batch_norm.wgsl")),
    ("bf16", include_str!("../../../shaders/shared/bf16.wgsl")),
    ("chunk", include_str!("../../../shaders/shared/chunk.wgsl")),
    ("clock", include_str!("../../../shaders/shared/clock.wgsl")),
    ("control", include_str!("../../../shaders/shared/control.wgsl")),
    ("conv", include_str!("../../../shaders/shared/conv.wgsl")),
    ("counting", include_str!("../../../shaders/shared/counting.wgsl")),
    ("depthwise", include_str!("../../../shaders/shared/depthwise.wgsl")),
    ("dropout", include_str!("../../../shaders/shared/dropout.wgsl")),
    ("elements", include_str!("../../../shaders/shared/elements.wgsl")),
    ("embedding", include_str!("../../../shaders/shared/embedding.wgsl")),
    ("factors", include_str!("../../../shaders/shared/factors.wgsl")),
    ("float", include_str!("../../../shaders/shared/float.wgsl")),
    ("forward_products", include_str!("../../../shaders/shared/forward_products.wgsl")),
    ("input_products", include_str!("../../../shaders/shared/input_products.wgsl")),
    ("int8", include_str!("../../../shaders/shared/int8.wgsl")),
    ("join", include_str!("../../../shaders/shared/join.wgsl")),
    ("layer_norm", include_str!("../../../shaders/shared/layer_norm.wgsl")),
    ("layer_scale", include_str!("../../../shaders/shared/layer_scale.wgsl")),
    ("linear", include_str!("../../../shaders/shared/linear.wgsl")),
    ("linear_cooperative", include_str!("../../../shaders/shared/linear_cooperative.wgsl")),
    ("linear_tiles", include_str!("../../../shaders/shared/linear_tiles.wgsl")),
    ("loss", include_str!("../../../shaders/shared/loss.wgsl")),
    ("matrix", include_str!("../../../shaders/shared/matrix.wgsl")),
    ("metrics", include_str!("../../../shaders/shared/metrics.wgsl")),
    ("moments", include_str!("../../../shaders/shared/moments.wgsl")),
    ("pool", include_str!("../../../shaders/shared/pool.wgsl")),
    ("power", include_str!("../../../shaders/shared/power.wgsl")),
    ("prefix_tokens", include_str!("../../../shaders/shared/prefix_tokens.wgsl")),
    ("quad", include_str!("../../../shaders/shared/quad.wgsl")),
    ("resize", include_str!("../../../shaders/shared/resize.wgsl")),
    ("rng", include_str!("../../../shaders/shared/rng.wgsl")),
    ("rounding", include_str!("../../../shaders/shared/rounding.wgsl")),
    ("rows", include_str!("../../../shaders/shared/rows.wgsl")),
    ("second_moment", include_str!("../../../shaders/shared/second_moment.wgsl")),
    ("squares", include_str!("../../../shaders/shared/squares.wgsl")),
    ("standing", include_str!("../../../shaders/shared/standing.wgsl")),
    ("state", include_str!("../../../shaders/shared/state.wgsl")),
    ("step_weight", include_str!("../../../shaders/shared/step_weight.wgsl")),
    ("streams", include_str!("../../../shaders/shared/streams.wgsl")),
    ("streams16", include_str!("../../../shaders/shared/streams16.wgsl")),
    ("table", include_str!("../../../shaders/shared/table.wgsl")),
    ("tokens", include_str!("../../../shaders/shared/tokens.wgsl")),
    ("turned", include_str!("../../../shaders/shared/turned.wgsl")),
    ("update", include_str!("../../../shaders/shared/update.wgsl")),
    ("values", include_str!("../../../shaders/shared/values.wgsl")),
    ("weight_products", include_str!("../../../shaders/shared/weight_products.wgsl")),
    ("weight", include_str!("../../../shaders/shared/weight.wgsl")),
];

/// A shader's text with its imports and its conditions resolved.
pub(super) fn resolved(
    source: &str,
    rule: Option<&RuleText>,
    shaders: &Shaders,
    is_defined: impl Fn(&str) -> bool,
) -> String {
    let mut text = String::new();
    Imports { rule, shaders, is_defined: &is_defined, known: Vec::new() }.expand(source, &mut text);
    text
}

/// The expansion of imports and conditions, and what has been imported.
struct Imports<'a> {
    rule: Option<&'a RuleText>,
    shaders: &'a Shaders,
    is_defined: &'a dyn Fn(&str) -> bool,
    known: Vec<String>,
}

impl<'a> Imports<'a> {
    /// The text of a name.
    fn find(&self, name: &str) -> Option<&'a str> {
        match self.rule {
            Some(rule) if name == "rule" => Some(self.shaders.rule(rule.name).unwrap_or(rule.text)),
            _ => {
                let (name, shared) = SHARED.iter().find(|(known, _)| *known == name)?;
                Some(self.shaders.shared(name).unwrap_or(shared))
            }
        }
    }

    fn expand(&mut self, source: &str, text: &mut String) {
        // What the conditions around a line say.
        let mut conditions: Vec<bool> = Vec::new();
        for line in source.lines() {
            let wanted = conditions.iter().all(|holds| *holds);
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("#ifdef"), Some(name)) => conditions.push((self.is_defined)(name)),
                (Some("#else"), _) => conditions.iter_mut().last().into_iter().for_each(|holds| *holds = !*holds),
                (Some("#endif"), _) => _ = conditions.pop(),
                (Some("#import"), Some(name)) if wanted => {
                    // An unknown name leaves its line in the text, and the shader compiler points at it.
                    match self.find(name) {
                        Some(_) if self.known.iter().any(|known| known == name) => {}
                        Some(imported) => {
                            self.known.push(name.to_owned());
                            self.expand(imported, text);
                        }
                        None => text.push_str(line),
                    }
                    text.push('\n');
                }
                _ if wanted => {
                    text.push_str(line);
                    text.push('\n');
                }
                _ => {}
            }
        }
    }
}
