//! Convolutions: three passes, each a product over the pixels below a window. A depthwise one has kernels of its own.
//!
//! A picture's pixels are rows of channels, and a value of pictures has as many rows for an example as a picture has pixels.

use super::squares::{Target, constant, elements, invocations};
use super::tiled::Tiled;
use super::{Constants, Draft, Operate, Uses, lanes, or_aside, quads, switch};
use crate::engine::kernels::{
    CONV, CONV_BACKWARD_INPUT, CONV_BACKWARD_WEIGHT, DEPTHWISE, DEPTHWISE_BACKWARD_INPUT, DEPTHWISE_BACKWARD_WEIGHT,
    Family, Flag,
};
use crate::engine::{Binding, Dispatch, Engine, Range, counted, layout};
use crate::nn::Error;
use crate::nn::graph::{Backward, Form, Graph, Nodes, Placing, Sample, Value};
use crate::setters::setters;

/// A window that moves over pictures, and which channels it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// Height and width of the pictures.
    pub picture: [usize; 2],
    /// Its taps, down and across.
    pub kernel: [usize; 2],
    /// Pixels from one place of the window to the next.
    pub stride: usize,
    /// Pixels from tap to tap.
    pub dilation: usize,
    /// Pixels of zeros above, below, left and right of a picture.
    pub padding: [usize; 4],
    /// Groups of channels: outputs of a group read the inputs of that group alone.
    pub groups: usize,
}

impl Window {
    /// A window of k by k taps, side by side, without padding.
    pub const fn new(picture: [usize; 2], k: usize) -> Window {
        Window { picture, kernel: [k, k], stride: 1, dilation: 1, padding: [0; 4], groups: 1 }
    }

    setters! {
        kernel: [usize; 2],
        stride: usize,
        dilation: usize,
        padding: [usize; 4],
        groups: usize,
    }

    /// The same number of zeros on every side.
    #[must_use]
    pub const fn padded(self, pixels: usize) -> Window {
        Window { padding: [pixels; 4], ..self }
    }

    /// Zeros as TensorFlow's SAME has them: so many that ceil(size / stride) places fit, the odd one below and at the right.
    #[must_use]
    pub fn same(self) -> Window {
        let [down, across] = [0, 1].map(|side| {
            let reach = (self.kernel[side] - 1) * self.dilation + 1;
            let places = self.picture[side].div_ceil(self.stride);
            let all = ((places - 1) * self.stride + reach).saturating_sub(self.picture[side]);
            [all / 2, all - all / 2]
        });
        Window { padding: [down[0], down[1], across[0], across[1]], ..self }
    }

    /// Places of the window, down and across: height and width of the pictures that it makes.
    pub fn places(&self) -> [usize; 2] {
        [0, 1].map(|side| {
            let reach = (self.kernel[side] - 1) * self.dilation + 1;
            let room = self.picture[side] + self.padding[2 * side] + self.padding[2 * side + 1];
            if room < reach { 0 } else { (room - reach) / self.stride + 1 }
        })
    }

    /// Multiplications over so many pictures, from so many channels to so many.
    fn products(&self, pictures: usize, [inputs, outputs]: [usize; 2]) -> u64 {
        let [sides, places] = [self.kernel, self.places()].map(|[down, across]| down * across);
        (pictures * places) as u64 * (sides * inputs / self.groups * outputs) as u64
    }

    /// Sizes of a convolution of so many pictures, from so many channels to so many.
    pub fn shape(&self, pictures: usize, [inputs, outputs]: [usize; 2]) -> layout::Conv {
        let [out_height, out_width] = self.places();
        layout::Conv {
            rows: counted(pictures * out_height * out_width),
            inputs: counted(inputs),
            outputs: counted(outputs),
            input_quads: counted(quads(inputs)),
            output_quads: counted(quads(outputs)),
            in_height: counted(self.picture[0]),
            in_width: counted(self.picture[1]),
            out_height: counted(out_height),
            out_width: counted(out_width),
            kernel_height: counted(self.kernel[0]),
            kernel_width: counted(self.kernel[1]),
            stride: counted(self.stride),
            dilation: counted(self.dilation),
            top: counted(self.padding[0]),
            left: counted(self.padding[2]),
            group_inputs: counted(inputs / self.groups),
            group_outputs: counted(outputs / self.groups),
            ..layout::Conv::default()
        }
    }
}

/// z = the products of each window of x with W, and b.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Conv {
    window: Window,
    weight: String,
    bias: Option<String>,
    x: Value,
    z: Value,
}

/// dx from dz, added to what is there where it `adds`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct ConvBackwardInput {
    window: Window,
    weight: String,
    dz: Value,
    dx: Value,
    adds: bool,
}

/// The gradients of weight and bias.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct ConvBackwardWeight {
    window: Window,
    parameters: [Option<String>; 2],
    dz: Value,
    x: Value,
    adds: bool,
}

impl Graph {
    /// The convolution of x with `module`'s weight, [outputs, taps down, taps across, inputs of a
    /// group], and its bias if it has one.
    pub fn conv(&mut self, module: &str, x: Value, window: Window, outputs: usize, has_bias: bool) -> Value {
        let [height, width] = window.places();
        let form = Form::Rows { per_example: height * width, width: outputs };
        let z = self.nodes.shared(format!("{module}.z"), form);
        let bias = has_bias.then(|| format!("{module}.bias"));
        self.push(Conv { window, weight: format!("{module}.weight"), bias, x, z });
        z
    }
}

impl Operate for Conv {
    fn uses(&self) -> Uses {
        Uses::new([self.x], [self.z])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.x, &mut self.z].into_iter().for_each(see);
    }

    fn params(&self) -> Vec<&str> {
        [Some(&self.weight), self.bias.as_ref()].into_iter().flatten().map(String::as_str).collect()
    }

    fn shapes(&self, nodes: &Nodes) -> Vec<Vec<usize>> {
        let [inputs, outputs] = [self.x, self.z].map(|value| nodes[value].form.width());
        let [down, across] = self.window.kernel;
        vec![vec![outputs, down, across, inputs / self.window.groups], vec![outputs]]
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dz) = back.of(self.z) else { return };
        let window = self.window;
        for (parameters, adds) in back.trained([Some(&self.weight), self.bias.as_deref()]) {
            back.push(ConvBackwardWeight { window, parameters, dz, x: self.x, adds });
        }
        if back.needs(self.x) {
            let weight = self.weight.clone();
            back.add(self.x, |dx, adds| ConvBackwardInput { window, weight, dz, dx, adds });
        }
    }

    fn products(&self, nodes: &Nodes, examples: usize) -> u64 {
        self.window.products(examples, [self.x, self.z].map(|value| nodes[value].form.width()))
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let bias = self.bias.as_ref().map(|bias| at.vector(bias)).transpose()?;
        let shape = self.window.shape(at.examples(), [at.width(self.x), at.width(self.z)]);
        let [x, z] = at.ranges([self.x, self.z])?;
        Ok(Some(conv(at.engine(), &shape, [x, at.vector(&self.weight)?, z], bias)?))
    }
}

impl Operate for ConvBackwardInput {
    fn uses(&self) -> Uses {
        Uses::new([self.dz], [self.dx]).adding(self.adds)
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.dz, &mut self.dx].into_iter().for_each(see);
    }

    fn products(&self, nodes: &Nodes, examples: usize) -> u64 {
        self.window.products(examples, [self.dx, self.dz].map(|value| nodes[value].form.width()))
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let shape = self.window.shape(at.examples(), [at.width(self.dx), at.width(self.dz)]);
        let [dz, dx] = at.ranges([self.dz, self.dx])?;
        Ok(Some(conv_backward_input(at.engine(), &shape, [dz, at.vector(&self.weight)?, dx], self.adds)?))
    }
}

impl Operate for ConvBackwardWeight {
    fn uses(&self) -> Uses {
        Uses::reading([self.dz, self.x])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.dz, &mut self.x].into_iter().for_each(see);
    }

    fn products(&self, nodes: &Nodes, examples: usize) -> u64 {
        self.window.products(examples, [self.x, self.dz].map(|value| nodes[value].form.width()))
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let shape = self.window.shape(at.examples(), [at.width(self.x), at.width(self.dz)]);
        let (memory, gradients) = (at.ranges([self.dz, self.x])?, at.gradients(&self.parameters)?);
        Ok(Some(conv_backward_weight(at.engine(), &shape, memory, gradients, at.accumulates(self.adds))?))
    }
}

/// Windows of one tap and of several, with strides, padding and dilation, over channels that are whole vec4s and others; groups
/// of several channels, and of one.
pub(super) fn samples() -> Vec<Sample> {
    let dense = |picture: [usize; 2], channels: usize| {
        move |graph: &mut Graph| {
            let x = graph.rows("rows", picture[0] * picture[1], channels);
            let first = Window::new(picture, 3).stride(2).padded(1);
            let x = graph.conv("first", x, first, 8, false);
            let second = Window::new(first.places(), 2).kernel([2, 3]).dilation(2).padding([1, 2, 0, 3]);
            let y = graph.conv("second", x, second, 12, true);
            let third = Window::new(second.places(), 1);
            let z = graph.conv("third", y, third, 5, true);
            graph.classified(z, 7)
        }
    };
    let grouped = |picture: [usize; 2], channels: usize| {
        move |graph: &mut Graph| {
            let x = graph.rows("rows", picture[0] * picture[1], channels);
            let first = Window::new(picture, 3).padded(1).groups(2);
            let x = graph.conv("first", x, first, 10, true);
            let own = Window::new(first.places(), 3).stride(2).same().groups(10);
            let x = graph.conv("own", x, own, 10, true);
            let again = Window::new(own.places(), 3).dilation(2).padded(2).groups(10);
            let y = graph.conv("again", x, again, 10, false);
            let sum = graph.add(y, x);
            let last = Window::new(again.places(), 1).groups(5);
            let z = graph.conv("parts", sum, last, 20, false);
            graph.classified(z, 7)
        }
    };
    vec![
        Sample::of("convolutions of 2 pictures, 7 by 9 pixels of 3", [2, 63], dense([7, 9], 3)),
        Sample::of("convolutions of 9 pictures, 16 by 12 pixels of 16", [9, 192], dense([16, 12], 16)),
        Sample::of("convolutions in groups, 3 pictures, 5 by 8 pixels of 6", [3, 40], grouped([5, 8], 6)),
        Sample::of("convolutions in groups, 4 pictures, 12 by 14 pixels of 8", [4, 168], grouped([12, 14], 8)),
    ]
}

/// z = the products of each window of x with W, and b. Memory: x, weight, z.
///
/// # Errors
/// Out of device memory.
pub fn conv(
    engine: &Engine,
    shape: &layout::Conv,
    [x, weight, z]: [Range; 3],
    bias: Option<Range>,
) -> Result<Dispatch, Error> {
    let constants = vec![switch("BIAS", bias.is_some())];
    let bias = bias.unwrap_or_else(|| weight.clone());
    let memory = vec![x.into(), weight.into(), bias.into(), z.into()];
    let results = [shape.rows, shape.outputs];
    Pass { families: [&CONV, &DEPTHWISE], forward: shape, shape, results, memory, constants, place: 4 }.dispatch(engine)
}

/// dx from dz, added to what is there with `accumulate`. Memory: dz, weight, dx. The shape is that of the forward pass.
///
/// # Errors
/// Out of device memory.
pub fn conv_backward_input(
    engine: &Engine,
    forward: &layout::Conv,
    [dz, weight, dx]: [Range; 3],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let pixels = counted(forward.pixels(forward.rows as usize));
    let shape = &layout::Conv { rows: pixels, ..*forward };
    let memory = vec![dz.into(), weight.into(), dx.into()];
    let constants = vec![switch("ACCUMULATE", accumulate)];
    let families = [&CONV_BACKWARD_INPUT, &DEPTHWISE_BACKWARD_INPUT];
    Pass { families, forward, shape, results: [pixels, shape.inputs], memory, constants, place: 3 }.dispatch(engine)
}

/// dW and db, added to what is there with `accumulate`; `None` for what is frozen. Memory: dz, x.
///
/// # Errors
/// Out of device memory.
pub fn conv_backward_weight(
    engine: &Engine,
    shape: &layout::Conv,
    [dz, x]: [Range; 2],
    [dweight, dbias]: [Option<Range>; 2],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let (weight, bias) = (dweight.is_some(), dbias.is_some());
    let (dweight, dbias) = (or_aside(engine, dweight)?, or_aside(engine, dbias)?);
    let memory = vec![dz.into(), x.into(), dweight.into(), dbias.into()];
    let constants = vec![switch("ACCUMULATE", accumulate), switch("WEIGHT", weight), switch("BIAS", bias)];
    let taps = if weight { counted(shape.taps()) } else { 1 };
    let results = [shape.outputs, 4 * shape.input_quads * taps];
    let families = [&CONV_BACKWARD_WEIGHT, &DEPTHWISE_BACKWARD_WEIGHT];
    Pass { families, forward: shape, shape, results, memory, constants, place: 4 }.dispatch(engine)
}

/// A pass over a convolution, before it has a tiling.
struct Pass<'a> {
    /// For groups of any size, and for groups of one channel.
    families: [&'static Family; 2],
    forward: &'a layout::Conv,
    shape: &'a layout::Conv,
    /// How many down and across.
    results: [u32; 2],
    memory: Vec<Binding>,
    constants: Constants,
    /// Where sizes are bound.
    place: usize,
}

impl Pass<'_> {
    fn dispatch(self, engine: &Engine) -> Result<Dispatch, Error> {
        let (forward, depth) = (self.forward, counted(self.forward.depth()));
        let pixels = forward.pixels(forward.rows as usize) as u64;
        let values =
            pixels * u64::from(forward.input_quads) + u64::from(forward.rows) * u64::from(forward.output_quads);
        let weights = u64::from(depth) * u64::from(forward.outputs);
        let (bytes, flops) = (16 * values + 4 * weights, 2 * u64::from(forward.rows) * weights);
        let (shape, place) = (self.shape, self.place);
        let draft = if forward.is_depthwise() { self.depthwise(engine) } else { self.tiled(engine, depth)? };
        Draft { bytes, flops, ..draft }.dispatch(engine, place, shape)
    }

    /// In the tiling that is chosen for it.
    fn tiled(self, engine: &Engine, depth: u32) -> Result<Draft, Error> {
        let Pass { families: [family, _], forward, results, memory, mut constants, .. } = self;
        let tiled = Tiled::of(engine, family, [depth, forward.outputs], results);
        let is_ragged = forward.groups() > 1 || !forward.inputs.is_multiple_of(4);
        let kernel = family.variant(tiled.flags | Flag::Ragged.when(is_ragged))?;
        constants.extend(tiled.constants);
        let Tiled { workgroup, invocations, .. } = tiled;
        Ok(Draft { kernel, memory, constants, invocations, workgroup, bytes: 0, flops: 0 })
    }

    /// A vec4 an invocation; for weights, lanes that share a column.
    fn depthwise(self, engine: &Engine) -> Draft {
        let Pass { families: [_, family], shape, results: [down, across], memory, mut constants, .. } = self;
        let (workgroup, invocations) = if *family == DEPTHWISE_BACKWARD_WEIGHT {
            let [workgroup, lanes] = engine.sizes().columns;
            constants.push(self::lanes(lanes));
            (workgroup, u64::from(across / 4) * u64::from(lanes))
        } else {
            (engine.sizes().elements, u64::from(down) * u64::from(shape.input_quads))
        };
        Draft { kernel: family.plain(), memory, constants, invocations, workgroup, bytes: 0, flops: 0 }
    }
}

/// Partial sums of squares: one of the weight for each column, then those of the bias, one for each vec4.
pub(super) fn depthwise_squares(dispatch: &Dispatch) -> Vec<Target> {
    let columns = invocations(dispatch) / constant(dispatch, "LANES", 1);
    let weight = Target::of(dispatch, 2, [0, columns]).filter(|_| constant(dispatch, "WEIGHT", 1) != 0);
    let biases = [columns, elements(dispatch, 3).div_ceil(4)];
    let bias = Target::of(dispatch, 3, biases).filter(|_| constant(dispatch, "BIAS", 1) != 0);
    [weight, bias].into_iter().flatten().collect()
}
