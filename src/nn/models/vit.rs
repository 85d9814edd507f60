//! Vision transformers: ViT, DeiT and DINOv2. A picture is cut into patches, which are the tokens of an encoder with norms before
//! each half of a block; its class token is classified.

use super::positions::interpolated;
use super::sizes::{DEVIATION, check_block, check_drop_path, check_size, dropped_path};
use super::vit_style::VitStyle;
use super::{Head, Network, pair};
use crate::nn::graph::{Graph, Value};
use crate::nn::ops::{Heads, Sight, Window};
use crate::nn::{Activation, Error, init};
use crate::params::Param;
use crate::setters::setters;

/// A vision transformer by its sizes, with the names of Hugging Face's files. The weights of the patches' projection are
/// `[hidden, patch, patch, channels]`; in files they are `[hidden, channels, patch, patch]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Vit {
    /// Which of the vision transformers.
    pub style: VitStyle,
    /// Height and width of a picture.
    pub picture: [usize; 2],
    /// Channels of a picture.
    pub channels: usize,
    /// Pixels of a patch, down and across. What is left of a picture at the right and below is not seen.
    pub patch: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of the attention; they divide `hidden` into multiples of 4.
    pub heads: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width inside the feed-forward half of a block; of a DINOv2 a multiple of `hidden`.
    pub intermediate: usize,
    /// The feed-forward activation.
    pub activation: Activation,
    /// Added to the variance of a layer norm.
    pub norm_eps: f32,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// What the LayerScales of a DINOv2 begin with.
    pub layer_scale: f32,
    /// Stochastic depth: the share of examples that both halves of the last block are left out of; less in the blocks before it.
    pub drop_path_rate: f32,
    /// From the class token, and the mean of the patches, to its outputs.
    pub head: Head,
}

const CLASS_TOKEN: &str = "embeddings.cls_token";
const PROJECTION: &str = "embeddings.patch_embeddings.projection";
const QKV: &str = "attention.attention.qkv";
const PROJECTIONS: [&str; 3] = ["attention.attention.query", "attention.attention.key", "attention.attention.value"];
const ATTENDED: &str = "attention.output.dense";
const NORM: &str = "layernorm";
const CLASSIFIER: &str = "classifier";

impl Vit {
    /// The name of its table of positions: of pictures of another size it has another number of rows.
    pub const POSITIONS: &'static str = "embeddings.position_embeddings";

    /// A ViT of so many layers, heads and numbers of a token, for pictures of this height and width in three channels, cut into
    /// patches of so many pixels down and across. The feed-forward half is four times as wide, with GELU; norms add 1e-12.
    pub fn new([layers, heads, hidden]: [usize; 3], picture: [usize; 2], patch: usize, classes: usize) -> Vit {
        Vit {
            style: VitStyle::Vit,
            picture,
            channels: 3,
            patch,
            layers,
            heads,
            hidden,
            intermediate: hidden.saturating_mul(4),
            activation: Activation::Gelu,
            norm_eps: 1e-12,
            qkv_bias: true,
            layer_scale: 1.0,
            drop_path_rate: 0.0,
            head: Head::new(classes),
        }
    }

    setters! {
        style: VitStyle,
        channels: usize,
        intermediate: usize,
        activation: Activation,
        norm_eps: f32,
        qkv_bias: bool,
        layer_scale: f32,
        drop_path_rate: f32,
        head: Head,
    }

    /// Patches of a picture, down and across.
    pub fn patches(&self) -> [usize; 2] {
        self.picture.map(|side| side.checked_div(self.patch).unwrap_or(0))
    }

    /// Tokens in front of the patches: the class token, and the distillation token of a DeiT.
    pub fn tokens(&self) -> usize {
        1 + usize::from(self.style.names().second_token.is_some())
    }

    /// Rows of a picture: tokens and patches.
    fn rows(&self) -> usize {
        let [down, across] = self.patches();
        self.tokens().saturating_add(down.saturating_mul(across))
    }

    /// Patches down and across of a table of positions of this shape. It is of square pictures, as transformers takes it to be.
    fn grid_of(&self, shape: &[usize]) -> Option<[usize; 2]> {
        let &[1, rows, hidden] = shape else { return None };
        let patches = rows.checked_sub(self.tokens())?;
        let side = patches.isqrt();
        (hidden == self.hidden && side > 0 && side * side == patches).then_some([side; 2])
    }

    fn pixels(&self) -> usize {
        self.picture[0].saturating_mul(self.picture[1])
    }

    /// Numbers that are classified.
    fn pooled(&self) -> usize {
        if self.style == VitStyle::Dinov2 { 2 * self.hidden } else { self.hidden }
    }

    /// Tokens and patches, with their positions.
    fn embedded(&self, graph: &mut Graph) -> Value {
        let pixels = graph.rows("rows", self.pixels(), self.channels);
        let window = Window::new(self.picture, self.patch).stride(self.patch);
        let patches = graph.conv(PROJECTION, pixels, window, self.hidden, true);
        graph.prefix_tokens(patches, CLASS_TOKEN, self.style.names().second_token, Vit::POSITIONS)
    }

    // x += scale(attention(norm(x))); x += scale(feed_forward(norm(x))). Only DINOv2 scales.
    fn block(&self, graph: &mut Graph, layer: usize, x: Value, mask: Value) -> Value {
        let names = self.style.names();
        let at = |name: &str| block(layer, name);
        let scaled = |graph: &mut Graph, place: usize, z| match names.scales {
            Some(scales) => graph.layer_scale(&at(scales[place]), z),
            None => z,
        };
        let heads = Heads::new(self.heads, Sight::Both);
        let normed = graph.layer_norm(&at(names.norms[0]), x, self.norm_eps);
        let qkv = graph.linear_planes(&at(QKV), &PROJECTIONS.map(at), normed, self.hidden, self.qkv_bias);
        let attended = graph.attention(&at("attention.attention"), qkv, mask, heads);
        let attended = graph.linear(&at(ATTENDED), attended, self.hidden);
        // As Dinov2's: the first block drops nothing, the last one all of the share.
        let rate = self.drop_path_rate * layer as f32 / (self.layers - 1).max(1) as f32;
        let attended = scaled(graph, 0, attended);
        let attended = graph.stochastic_depth(attended, rate, 2 * layer as u32);
        let x = graph.add(attended, x);
        let normed = graph.layer_norm(&at(names.norms[1]), x, self.norm_eps);
        let inner = graph.linear(&at(names.up), normed, self.intermediate);
        let inner = graph.activate(&at(names.up), self.activation, inner);
        let outer = graph.linear(&at(names.down), inner, self.hidden);
        let outer = scaled(graph, 1, outer);
        let outer = graph.stochastic_depth(outer, rate, 2 * layer as u32 + 1);
        graph.add(outer, x)
    }
}

impl Network for Vit {
    fn check(&self) -> Result<(), Error> {
        let [height, width] = self.picture;
        for (setting, size) in [
            ("height", height),
            ("width", width),
            ("pixels of a picture", height.saturating_mul(width)),
            ("channels", self.channels),
            ("patch", self.patch),
            ("layers", self.layers),
            ("heads", self.heads),
            ("hidden", self.hidden),
            ("intermediate", self.intermediate),
        ] {
            check_size(setting, size, 1)?;
        }
        self.head.check()?;
        check_drop_path(self.drop_path_rate)?;
        check_block([self.heads, self.hidden], self.norm_eps)?;
        let bad = |setting, value: f64, allowed| Err(Error::BadConfig { setting, value, allowed });
        if self.patches().contains(&0) {
            return bad("patch", self.patch as f64, "at most height and width of a picture");
        }
        if self.style == VitStyle::Dinov2 && !self.intermediate.is_multiple_of(self.hidden) {
            return bad("intermediate", self.intermediate as f64, "a multiple of hidden, as DINOv2's is");
        }
        if !self.layer_scale.is_finite() {
            return bad("layer_scale", f64::from(self.layer_scale), "finite");
        }
        Ok(())
    }

    fn params(&self) -> Vec<Param> {
        let Vit { hidden, intermediate, patch, channels, .. } = *self;
        let names = self.style.names();
        let mut params = vec![Param::new(CLASS_TOKEN, [1, 1, hidden])];
        params.extend(names.second_token.map(|token| Param::new(token, [1, 1, hidden])));
        params.push(Param::new(Vit::POSITIONS, [1, self.rows(), hidden]));
        pair(&mut params, PROJECTION, &[hidden, patch, patch, channels]);
        for layer in 0..self.layers {
            let scale = |params: &mut Vec<Param>, place: usize| {
                let name = names.scales.map(|scales| format!("{}.lambda1", block(layer, scales[place])));
                params.extend(name.map(|name| Param::new(name, [hidden])));
            };
            pair(&mut params, &block(layer, names.norms[0]), &[hidden]);
            for projection in PROJECTIONS {
                let weight = block(layer, projection);
                match self.qkv_bias {
                    true => pair(&mut params, &weight, &[hidden, hidden]),
                    false => params.push(Param::new(format!("{weight}.weight"), [hidden, hidden])),
                }
            }
            pair(&mut params, &block(layer, ATTENDED), &[hidden, hidden]);
            scale(&mut params, 0);
            pair(&mut params, &block(layer, names.norms[1]), &[hidden]);
            pair(&mut params, &block(layer, names.up), &[intermediate, hidden]);
            pair(&mut params, &block(layer, names.down), &[hidden, intermediate]);
            scale(&mut params, 1);
        }
        pair(&mut params, NORM, &[hidden]);
        self.head.params(&mut params, self.pooled(), CLASSIFIER);
        params
    }

    fn buffers(&self) -> Vec<Param> {
        self.head.buffers()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let [height, width] = self.picture;
        let own = vec![
            ("style", format!("{:?}", self.style)),
            ("picture", format!("{height} x {width}")),
            ("heads", self.heads.to_string()),
            ("activation", format!("{:?}", self.activation)),
            ("norm_eps", self.norm_eps.to_string()),
        ];
        [own, dropped_path(self.drop_path_rate), self.head.settings()].concat()
    }

    /// As transformers: weights, tokens and positions normal (torch cuts off at ±2, which is a hundred deviations away), but 0 the
    /// tokens and positions of a DeiT.
    fn initial_of(&self, param: &Param, seed: u32, place: u32) -> Vec<f32> {
        let begins_with = match param.shape[..] {
            [_] if param.name.ends_with(".lambda1") => self.layer_scale,
            [_] if param.name.ends_with(".weight") => 1.0,
            [_] => 0.0,
            [_, _, _] if self.style == VitStyle::Deit => 0.0,
            _ => return init::normal(DEVIATION, param.elements(), seed, place),
        };
        vec![begins_with; param.elements()]
    }

    fn context(&self) -> usize {
        self.pixels()
    }

    /// Numbers of the largest activation for each pixel of the picture.
    fn widest(&self) -> usize {
        let row = (3 * self.hidden).max(self.intermediate).next_multiple_of(4);
        let pixels = self.pixels().saturating_mul(self.channels.next_multiple_of(4));
        self.rows().saturating_mul(row).max(pixels).div_ceil(self.pixels().max(1))
    }

    /// That of the class token.
    fn vector_width(&self) -> Option<usize> {
        Some(self.hidden)
    }

    fn outputs(&self) -> usize {
        self.head.outputs
    }

    fn last_layer(&self) -> Vec<String> {
        vec![format!("{CLASSIFIER}.")]
    }

    fn on_top(&self) -> Vec<String> {
        self.head.on_top().into_iter().collect()
    }

    /// The projection has channels last here, and first in files.
    fn is_transposed(&self, name: &str) -> bool {
        name.strip_prefix(PROJECTION) == Some(".weight")
    }

    /// The positions of pictures of another size.
    fn fits_other(&self, name: &str, shape: &[usize]) -> bool {
        name == Vit::POSITIONS && self.grid_of(shape).is_some()
    }

    fn fitted(&self, name: &str, shape: &[usize], values: &[f32]) -> Option<Vec<f32>> {
        let grid = self.grid_of(shape).filter(|_| self.fits_other(name, shape))?;
        interpolated(values, grid, self.patches(), self.tokens(), self.hidden)
    }

    fn unused(&self) -> &'static [&'static str] {
        self.style.names().unused
    }

    fn name_in_class(&self, name: &str) -> String {
        let is_on_top = [CLASSIFIER, "head."].iter().any(|start| name.starts_with(start));
        if is_on_top { name.to_owned() } else { format!("{}.{name}", self.style.names().base) }
    }

    fn forward(&self, graph: &mut Graph) -> Value {
        let mut x = self.embedded(graph);
        let mask = graph.rows_after(x, 0);
        for layer in 0..self.layers {
            x = self.block(graph, layer, x, mask);
        }
        let normed = graph.layer_norm(NORM, x, self.norm_eps);
        let mut pooled = graph.first_token(normed);
        if self.style == VitStyle::Dinov2 {
            let patches = graph.mean_pool_after(normed, self.tokens());
            pooled = graph.join(pooled, patches);
        }
        self.head.forward(graph, pooled, (0.0, 2 * self.layers as u32), CLASSIFIER)
    }
}

fn block(layer: usize, name: &str) -> String {
    format!("encoder.layer.{layer}.{name}")
}
