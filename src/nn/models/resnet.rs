//! ResNet (He et al. 2015), with torchvision's names and its place of the stride.

use super::resnet_names::in_torchvision;
use super::sizes::{check_drop_path, check_size, dropped_path};
use super::{Head, Network};
use crate::nn::graph::{Graph, Value};
use crate::nn::ops::{Norm, Window};
use crate::nn::{Activation, Error, init};
use crate::params::Param;
use crate::setters::setters;

/// A ResNet by its sizes. Parameters and buffers have torchvision's names: `layer1.0.conv1.weight`, `bn1.running_mean`. Weights of
/// convolutions are `[outputs, height, width, inputs]`; in torchvision's files they are `[outputs, inputs, height, width]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ResNet {
    /// Blocks of each stage. A stage has twice the channels of the one before it, and half its height and width.
    pub blocks: Vec<usize>,
    /// Whether a block is a bottleneck: three convolutions, the last one with four times the channels.
    pub bottleneck: bool,
    /// Channels of the first stage.
    pub width: usize,
    /// Height and width of a picture.
    pub picture: [usize; 2],
    /// Channels of a picture.
    pub channels: usize,
    /// From the mean of a picture's pixels to its outputs.
    pub head: Head,
    /// Its batch norms.
    pub norm: Norm,
    /// Stochastic depth: the share of examples that the last block's part is left out of; less in the blocks before it.
    pub drop_path_rate: f32,
}

/// Depths with a name, their blocks, and whether those are bottlenecks.
const DEPTHS: [(usize, [usize; 4], bool); 4] =
    [(18, [2, 2, 2, 2], false), (34, [3, 4, 6, 3], false), (50, [3, 4, 6, 3], true), (101, [3, 4, 23, 3], true)];

/// The last layer.
const LAST: &str = "fc";

impl ResNet {
    /// A ResNet of 18, 34, 50 or 101 layers, for pictures of this height and width in three channels.
    ///
    /// # Errors
    /// [`Error::BadConfig`] for another depth, or what [`check`](Network::check) refuses.
    pub fn new(depth: usize, picture: [usize; 2], classes: usize) -> Result<ResNet, Error> {
        let known = DEPTHS.iter().find(|(known, ..)| *known == depth);
        let bad = Error::BadConfig { setting: "depth", value: depth as f64, allowed: "18, 34, 50 or 101" };
        let (_, blocks, bottleneck) = known.ok_or(bad)?;
        let (blocks, bottleneck) = (blocks.to_vec(), *bottleneck);
        let model = ResNet {
            blocks,
            bottleneck,
            width: 64,
            picture,
            channels: 3,
            head: Head::new(classes),
            norm: Norm::new(),
            drop_path_rate: 0.0,
        };
        model.check()?;
        Ok(model)
    }

    /// The depths that have a name.
    pub fn depths() -> impl Iterator<Item = usize> {
        DEPTHS.iter().map(|(depth, ..)| *depth)
    }

    /// Whether these are the blocks of this depth.
    pub(super) fn is_of(depth: usize, blocks: &[usize], bottleneck: bool) -> bool {
        DEPTHS.iter().any(|known| *known == (depth, known.1, bottleneck) && known.1[..] == *blocks)
    }

    /// Its layers, if they are those of a depth with a name.
    pub fn depth(&self) -> Option<usize> {
        ResNet::depths().find(|depth| ResNet::is_of(*depth, &self.blocks, self.bottleneck))
    }

    /// Whether it has the channels of torchvision's and timm's.
    pub(super) fn is_usual(&self) -> bool {
        self.width == 64 && self.channels == 3
    }

    setters! {
        blocks: Vec<usize>,
        bottleneck: bool,
        width: usize,
        channels: usize,
        head: Head,
        norm: Norm,
        drop_path_rate: f32,
    }

    /// Channels of the last stage.
    fn pooled(&self) -> usize {
        let width = self.width << self.blocks.len().saturating_sub(1);
        if self.bottleneck { 4 * width } else { width }
    }

    fn pixels(&self) -> usize {
        self.picture[0] * self.picture[1]
    }

    /// The network as it is written down for a test of one picture.
    fn written_down(&self) -> Graph {
        let mut graph = Graph::new(1, self.pixels(), false);
        self.forward(&mut graph);
        graph
    }

    /// The window of the first convolution, and of the pool after it.
    fn stem(&self) -> [Window; 2] {
        let first = Window::new(self.picture, 7).stride(2).padded(3);
        [first, Window::new(first.places(), 3).stride(2).padded(1)]
    }

    /// A block on pictures of this size: its output, and the size of that.
    fn block(&self, graph: &mut Graph, module: &str, x: Value, step: &Step) -> (Value, [usize; 2]) {
        let Step { picture, inputs, width, stride, number } = *step;
        let one = |picture: [usize; 2]| Window::new(picture, 1);
        let three = |picture: [usize; 2]| Window::new(picture, 3).padded(1);
        // torchvision strides at the convolution of 3 by 3 (ResNet v1.5).
        let strided = three(picture).stride(stride);
        let windows = match self.bottleneck {
            true => vec![(one(picture), width), (strided, width), (one(strided.places()), 4 * width)],
            false => vec![(strided, width), (three(strided.places()), width)],
        };
        let outputs = windows[windows.len() - 1].1;
        let mut y = x;
        for (place, (window, width)) in windows.iter().enumerate() {
            y = graph.conv(&format!("{module}.conv{}", place + 1), y, *window, *width, false);
            let norm = format!("{module}.bn{}", place + 1);
            y = graph.batch_norm(&norm, y, self.norm);
            if place + 1 < windows.len() {
                y = graph.activate(&norm, Activation::Relu, y);
            }
        }
        let mut past = x;
        if stride != 1 || inputs != outputs {
            let shortcut = format!("{module}.downsample");
            past = graph.conv(&format!("{shortcut}.0"), past, one(picture).stride(stride), outputs, false);
            past = graph.batch_norm(&format!("{shortcut}.1"), past, self.norm);
        }
        // As timm's: the first block drops nothing, the last one all of the share.
        let last = self.blocks.iter().sum::<usize>() - 1;
        let rate = if last == 0 { 0.0 } else { self.drop_path_rate * number as f32 / last as f32 };
        let y = graph.stochastic_depth(y, rate, number as u32);
        let sum = graph.add(y, past);
        (graph.activate(module, Activation::Relu, sum), strided.places())
    }
}

/// What a block works on.
struct Step {
    picture: [usize; 2],
    inputs: usize,
    width: usize,
    stride: usize,
    /// The block among all.
    number: usize,
}

impl Network for ResNet {
    fn check(&self) -> Result<(), Error> {
        let [height, width] = self.picture;
        for (setting, size) in [
            ("height", height),
            ("width", width),
            ("channels", self.channels),
            ("stages", self.blocks.len()),
            ("first stage's channels", self.width),
        ] {
            check_size(setting, size, 1)?;
        }
        self.head.check()?;
        check_drop_path(self.drop_path_rate)?;
        self.blocks.iter().try_for_each(|blocks| check_size("blocks", *blocks, 1))
    }

    fn params(&self) -> Vec<Param> {
        self.written_down().params()
    }

    fn buffers(&self) -> Vec<Param> {
        self.written_down().buffers()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let [height, width] = self.picture;
        let own = vec![("picture", format!("{height} x {width}")), ("norm", format!("{:?}", self.norm))];
        [own, dropped_path(self.drop_path_rate), self.head.settings()].concat()
    }

    /// As torchvision: convolutions normal, by their outputs (He et al. 2015); the last layer as `torch.nn.Linear`.
    fn initial_of(&self, param: &Param, seed: u32, place: u32) -> Vec<f32> {
        match param.shape[..] {
            [outputs, height, width, _] => {
                let deviation = (2.0 / (outputs * height * width) as f32).sqrt();
                init::normal(deviation, param.elements(), seed, place)
            }
            _ if self.head.has(&param.name, LAST) => self.head.initial(param, self.pooled(), (seed, place)),
            _ => vec![if param.name.ends_with("weight") { 1.0 } else { 0.0 }; param.elements()],
        }
    }

    fn context(&self) -> usize {
        self.pixels()
    }

    /// Numbers of the largest activation for each pixel of the picture.
    fn widest(&self) -> usize {
        let [first, pool] = self.stem();
        let numbers = |places: [usize; 2], channels: usize| places[0] * places[1] * channels.next_multiple_of(4);
        let most = if self.bottleneck { 4 * self.width } else { self.width };
        let all = [self.pixels() * 4, numbers(first.places(), self.width), numbers(pool.places(), most)];
        all.into_iter().max().unwrap_or(0).div_ceil(self.pixels())
    }

    fn vector_width(&self) -> Option<usize> {
        Some(self.pooled())
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
        name.ends_with("weight") && (name.contains("conv") || name.contains("downsample.0"))
    }

    fn name_here(&self, name: &str) -> Option<String> {
        in_torchvision(name)
    }

    fn forward(&self, graph: &mut Graph) -> Value {
        let [first, pool] = self.stem();
        let x = graph.rows("rows", self.pixels(), self.channels);
        let x = graph.conv("conv1", x, first, self.width, false);
        let x = graph.batch_norm("bn1", x, self.norm);
        let x = graph.activate("bn1", Activation::Relu, x);
        let mut x = graph.max_pool("maxpool", x, pool);
        let (mut picture, mut inputs) = (pool.places(), self.width);
        for (stage, blocks) in self.blocks.iter().enumerate() {
            let width = self.width << stage;
            for block in 0..*blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let number = self.blocks[..stage].iter().sum::<usize>() + block;
                let step = Step { picture, inputs, width, stride, number };
                (x, picture) = self.block(graph, &format!("layer{}.{block}", stage + 1), x, &step);
                inputs = if self.bottleneck { 4 * width } else { width };
            }
        }
        let pooled = graph.global_pool(x);
        self.head.forward(graph, pooled, (0.0, self.blocks.iter().sum::<usize>() as u32), LAST)
    }
}
