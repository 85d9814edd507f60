//! EfficientNet-Lite (Tan & Le 2019, without squeeze and excitation and with ReLU6), with timm's names.

use super::efficientnet_names::in_timm;
use super::sizes::{check_drop_path, check_size, dropped_path};
use super::{Head, Network};
use crate::nn::graph::{Graph, Value};
use crate::nn::ops::{Norm, Window};
use crate::nn::{Activation, Error, init};
use crate::params::Param;
use crate::setters::setters;

/// An EfficientNet-Lite by its sizes. Parameters and buffers have timm's names: `blocks.1.0.conv_dw.weight`. Weights of convolutions
/// are `[outputs, height, width, inputs]`; in timm's files they are `[outputs, inputs, height, width]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EfficientNetLite {
    /// Channels of the first convolution.
    pub stem: usize,
    /// Its stages. Blocks of the first one do not expand their channels.
    pub stages: Vec<LiteStage>,
    /// Channels of the last convolution.
    pub features: usize,
    /// Height and width of a picture.
    pub picture: [usize; 2],
    /// From the mean of a picture's pixels to its outputs.
    pub head: Head,
    /// Whether convolutions have their zeros as in TensorFlow, where the odd one is below and at the right; else as many on either side.
    pub pads_same: bool,
    /// Its batch norms.
    pub norm: Norm,
    /// Stochastic depth: the share of examples that the last block's part is left out of; less in the blocks before it.
    pub drop_path_rate: f32,
}

/// Blocks of one size, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiteStage {
    /// How many blocks.
    pub blocks: usize,
    /// Taps of the depthwise convolution, down and across.
    pub kernel: usize,
    /// The stride of the first block.
    pub stride: usize,
    /// How many times as many channels a block works on as it reads.
    pub expansion: usize,
    /// Channels that a block gives.
    pub channels: usize,
}

impl LiteStage {
    /// So many blocks of this kernel, stride, expansion and width.
    pub const fn new(blocks: usize, [kernel, stride, expansion]: [usize; 3], channels: usize) -> LiteStage {
        LiteStage { blocks, kernel, stride, expansion, channels }
    }
}

/// The stages of variant 0.
const STAGES: [LiteStage; 7] = [
    LiteStage::new(1, [3, 1, 1], 16),
    LiteStage::new(2, [3, 2, 6], 24),
    LiteStage::new(2, [5, 2, 6], 40),
    LiteStage::new(3, [3, 2, 6], 80),
    LiteStage::new(3, [5, 1, 6], 112),
    LiteStage::new(4, [5, 2, 6], 192),
    LiteStage::new(1, [3, 1, 6], 320),
];

/// What each variant multiplies channels and blocks by.
const VARIANTS: [[f64; 2]; 5] = [[1.0, 1.0], [1.0, 1.1], [1.1, 1.2], [1.2, 1.4], [1.4, 1.8]];

/// The last layer.
const LAST: &str = "classifier";

/// The eps of TensorFlow's batch norms.
const EPS: f32 = 1e-3;

impl EfficientNetLite {
    /// EfficientNet-Lite0 to 4, for pictures of this height and width in three channels.
    ///
    /// # Errors
    /// [`Error::BadConfig`] for another variant, or what [`check`](Network::check) refuses.
    pub fn new(variant: usize, picture: [usize; 2], classes: usize) -> Result<EfficientNetLite, Error> {
        let bad = Error::BadConfig { setting: "variant", value: variant as f64, allowed: "from 0 to 4" };
        let [widths, depths] = VARIANTS.get(variant).ok_or(bad)?;
        let last = STAGES.len() - 1;
        let scaled = |(place, stage): (usize, &LiteStage)| {
            // The first and the last stage have the same depth in all variants.
            let blocks = if place == 0 || place == last { 1.0 } else { *depths } * stage.blocks as f64;
            LiteStage { blocks: blocks.ceil() as usize, channels: in_eights(stage.channels as f64 * widths), ..*stage }
        };
        let stages = STAGES.iter().enumerate().map(scaled).collect();
        let norm = Norm { eps: EPS, ..Norm::new() };
        let head = Head::new(classes);
        let model = EfficientNetLite {
            stem: 32,
            stages,
            features: 1280,
            picture,
            head,
            pads_same: true,
            norm,
            drop_path_rate: 0.0,
        };
        model.check()?;
        Ok(model)
    }

    /// What the names of timm's models begin with that have their zeros so.
    pub(super) fn name_in_timm(pads_same: bool) -> &'static str {
        if pads_same { "tf_efficientnet_lite" } else { "efficientnet_lite" }
    }

    /// How many variants there are.
    pub const fn variants() -> usize {
        VARIANTS.len()
    }

    /// Which variant it is, if it is one.
    pub fn variant(&self) -> Option<usize> {
        let is_it = |variant: &usize| {
            EfficientNetLite::new(*variant, self.picture, 1).is_ok_and(|known| {
                [known.stem, known.features] == [self.stem, self.features] && known.stages == self.stages
            })
        };
        (0..VARIANTS.len()).find(is_it)
    }

    setters! {
        stem: usize,
        stages: Vec<LiteStage>,
        features: usize,
        head: Head,
        pads_same: bool,
        norm: Norm,
        drop_path_rate: f32,
    }

    fn pixels(&self) -> usize {
        self.picture[0] * self.picture[1]
    }

    /// A window of k by k taps whose places are the pixels of a picture, or every so many of them.
    fn window(&self, picture: [usize; 2], kernel: usize, stride: usize) -> Window {
        let window = Window::new(picture, kernel).stride(stride);
        if self.pads_same { window.same() } else { window.padded((kernel - 1) / 2) }
    }

    /// The network as it is written down for a test of one picture.
    fn written_down(&self) -> Graph {
        let mut graph = Graph::new(1, self.pixels(), false);
        self.forward(&mut graph);
        graph
    }

    /// Each block's module, sizes and channels that it reads.
    fn blocks(&self) -> impl Iterator<Item = (String, Block)> {
        let mut inputs = self.stem;
        let mut all = Vec::new();
        for (place, stage) in self.stages.iter().enumerate() {
            for block in 0..stage.blocks {
                let stride = if block == 0 { stage.stride } else { 1 };
                all.push((
                    format!("blocks.{place}.{block}"),
                    Block { inputs, stride, stage: *stage, expands: place > 0, number: all.len() },
                ));
                inputs = stage.channels;
            }
        }
        all.into_iter()
    }

    /// A convolution, its batch norm, and ReLU6 after it where it `acts`.
    fn normed(
        &self,
        graph: &mut Graph,
        [conv, norm]: [&str; 2],
        x: Value,
        (window, outputs): (Window, usize),
        acts: bool,
    ) -> Value {
        let y = graph.conv(conv, x, window, outputs, false);
        let y = graph.batch_norm(norm, y, self.norm);
        if acts { graph.activate(norm, Activation::Relu6, y) } else { y }
    }

    /// A block on pictures of this size: its output, and the size of that.
    fn block(
        &self,
        graph: &mut Graph,
        module: &str,
        x: Value,
        (block, picture): (&Block, [usize; 2]),
    ) -> (Value, [usize; 2]) {
        let part = |part: &str| format!("{module}.{part}");
        let (stage, wide) = (&block.stage, block.wide());
        let (mut y, mut norms) = (x, 1..);
        let mut norm = || part(&format!("bn{}", norms.next().unwrap_or_default()));
        if block.expands {
            y = self.normed(graph, [&part("conv_pw"), &norm()], y, (Window::new(picture, 1), wide), true);
        }
        let window = self.window(picture, stage.kernel, block.stride).groups(wide);
        y = self.normed(graph, [&part("conv_dw"), &norm()], y, (window, wide), true);
        let made = window.places();
        let project = part(if block.expands { "conv_pwl" } else { "conv_pw" });
        y = self.normed(graph, [&project, &norm()], y, (Window::new(made, 1), stage.channels), false);
        if block.stride == 1 && block.inputs == stage.channels {
            // As timm's: the first block drops nothing.
            let count: usize = self.stages.iter().map(|stage| stage.blocks).sum();
            let rate = self.drop_path_rate * block.number as f32 / count as f32;
            y = graph.stochastic_depth(y, rate, block.number as u32);
            y = graph.add(y, x);
        }
        (y, made)
    }
}

/// One block of a stage.
struct Block {
    inputs: usize,
    stride: usize,
    stage: LiteStage,
    expands: bool,
    /// Among all blocks.
    number: usize,
}

impl Block {
    /// Channels of its depthwise convolution.
    fn wide(&self) -> usize {
        self.inputs * self.stage.expansion
    }
}

/// A number of channels as a multiple of 8 that is not a tenth smaller, as timm's `make_divisible`.
fn in_eights(channels: f64) -> usize {
    let near = (((channels + 4.0) as usize) / 8 * 8).max(8);
    if (near as f64) < 0.9 * channels { near + 8 } else { near }
}

impl Network for EfficientNetLite {
    fn check(&self) -> Result<(), Error> {
        let [height, width] = self.picture;
        for (setting, size) in [
            ("height", height),
            ("width", width),
            ("stem", self.stem),
            ("features", self.features),
            ("stages", self.stages.len()),
        ] {
            check_size(setting, size, 1)?;
        }
        let check = |stage: &LiteStage| {
            check_size("blocks", stage.blocks, 1)?;
            check_size("kernel", stage.kernel, 1)?;
            check_size("stride", stage.stride, 1)?;
            check_size("expansion", stage.expansion, 1)?;
            check_size("stage's channels", stage.channels, 1)
        };
        self.head.check()?;
        check_drop_path(self.drop_path_rate)?;
        self.stages.iter().try_for_each(check)
    }

    fn params(&self) -> Vec<Param> {
        self.written_down().params()
    }

    fn buffers(&self) -> Vec<Param> {
        self.written_down().buffers()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let [height, width] = self.picture;
        let padding = if self.pads_same { "same" } else { "symmetric" };
        let own = vec![
            ("picture", format!("{height} x {width}")),
            ("padding", padding.to_owned()),
            ("norm", format!("{:?}", self.norm)),
        ];
        [own, dropped_path(self.drop_path_rate), self.head.settings()].concat()
    }

    /// As timm: convolutions normal, by their outputs in a group; the last layer as `torch.nn.Linear`, which timm's
    /// `reset_classifier` makes.
    fn initial_of(&self, param: &Param, seed: u32, place: u32) -> Vec<f32> {
        match param.shape[..] {
            [outputs, height, width, _] => {
                let outputs = if param.name.contains("conv_dw") { 1 } else { outputs };
                let deviation = (2.0 / (outputs * height * width) as f32).sqrt();
                init::normal(deviation, param.elements(), seed, place)
            }
            _ if self.head.has(&param.name, LAST) => self.head.initial(param, self.features, (seed, place)),
            _ => vec![if param.name.ends_with("weight") { 1.0 } else { 0.0 }; param.elements()],
        }
    }

    fn context(&self) -> usize {
        self.pixels()
    }

    /// Numbers of the largest activation for each pixel of the picture.
    fn widest(&self) -> usize {
        let numbers = |[height, width]: [usize; 2], channels: usize| height * width * channels.next_multiple_of(4);
        let mut picture = self.window(self.picture, 3, 2).places();
        let mut most = numbers(self.picture, 3).max(numbers(picture, self.stem));
        for (_, block) in self.blocks() {
            most = most.max(numbers(picture, block.wide()));
            picture = self.window(picture, block.stage.kernel, block.stride).places();
        }
        most.max(numbers(picture, self.features)).div_ceil(self.pixels())
    }

    fn vector_width(&self) -> Option<usize> {
        Some(self.features)
    }

    fn outputs(&self) -> usize {
        self.head.outputs
    }

    fn last_layer(&self) -> Vec<String> {
        vec![format!("{LAST}.")]
    }

    fn on_top(&self) -> Vec<String> {
        self.head.on_top().into_iter().collect()
    }

    /// Convolutions have channels last here, and first in files.
    fn is_transposed(&self, name: &str) -> bool {
        name.ends_with("weight") && name.contains("conv")
    }

    fn name_here(&self, name: &str) -> Option<String> {
        in_timm(name, &self.stages)
    }

    fn forward(&self, graph: &mut Graph) -> Value {
        let x = graph.rows("rows", self.pixels(), 3);
        let first = self.window(self.picture, 3, 2);
        let mut x = self.normed(graph, ["conv_stem", "bn1"], x, (first, self.stem), true);
        let mut picture = first.places();
        for (module, block) in self.blocks() {
            (x, picture) = self.block(graph, &module, x, (&block, picture));
        }
        let x = self.normed(graph, ["conv_head", "bn2"], x, (Window::new(picture, 1), self.features), true);
        let pooled = graph.global_pool(x);
        self.head.forward(graph, pooled, (0.0, self.blocks().count() as u32), LAST)
    }
}
