//! The kernels of linear layers.

use super::call::Call;
use super::family::Access::{Read, ReadWrite, Uniform};
use super::family::{BF16_VALUES, F16_VALUES, Family, Word};
use super::flags::Flag::{Activated, Cooperative, Ragged, Residual, Squares, Tiled, Weight16};
use crate::engine::forms::Forms;
use crate::twin::nn::Epilogue;
use crate::twin::shared::{Linear, Squares as PartialSquares};

/// Forward: x, weight, bias, z, shape; then what is folded in.
pub static LINEAR: Family = Family::new(
    "linear",
    include_str!("../../../shaders/nn/linear.wgsl"),
    &[Read, Read, Read, ReadWrite, Uniform],
    linear,
)
.with(&[
    Word::of(Tiled),
    Word::of(Cooperative).never_with(&[Tiled]),
    Word::of(Ragged),
    Word::of(Weight16).never_with(&[Ragged]),
    BF16_VALUES,
    F16_VALUES,
    Word::of(Activated).adds(&[ReadWrite]),
    Word::of(Residual).adds(&[Read]).never_with(&[Activated]),
]);

/// To the input: dz, weight, z below, dz below, shape.
pub static LINEAR_BACKWARD_INPUT: Family = Family::new(
    "linear_backward_input",
    include_str!("../../../shaders/nn/linear_backward_input.wgsl"),
    &[Read, Read, Read, ReadWrite, Uniform],
    linear_backward_input,
)
.with(&[Word::of(Tiled), Word::of(Ragged), Word::of(Weight16).never_with(&[Ragged]), BF16_VALUES, F16_VALUES]);

/// To the weight: dz, x, dweight, dbias, shape; then squares.
pub static LINEAR_BACKWARD_WEIGHT: Family = Family::new(
    "linear_backward_weight",
    include_str!("../../../shaders/nn/linear_backward_weight.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, Uniform],
    linear_backward_weight,
)
.with(&[Word::of(Tiled), Word::of(Ragged), BF16_VALUES, F16_VALUES, Word::of(Squares).adds(&[ReadWrite])])
.adding_rows();

/// Layers side by side, which are taken one after the other.
#[derive(Clone, Copy)]
struct Planes {
    count: usize,
    /// Numbers from one plane of z to the next, and from a layer's weight and bias to the next one's.
    z: usize,
    weight: usize,
    bias: usize,
    /// Numbers from the first weight to the first bias, where they are bound together.
    bias_at: usize,
}

impl Planes {
    fn of(call: &Call<'_>, shape: &Linear) -> Planes {
        let named = |name| 4 * call.constant(name, 0) as usize;
        let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
        Planes {
            count: call.constant("PLANES", 1) as usize,
            z: 4 * shape.plane as usize,
            weight: inputs * outputs + named("GAP"),
            bias: outputs + named("BIAS_GAP"),
            bias_at: named("BIAS_AT"),
        }
    }
}

/// Binding 4 of each.
fn shape_of(call: &Call<'_>) -> Linear {
    bytemuck::cast_slice(&call.slots[4].words()[..size_of::<Linear>() / 4])[0]
}

fn linear(mut call: Call<'_>) {
    let (forms, biased, is_16) = (call.forms, call.switch("BIAS", true), call.has(Weight16));
    let activation = call.constant("ACTIVATION", 0);
    let activated = call.take_array(Activated).map(|h| Epilogue::Activated(activation, h));
    let residual = call.take_added(Residual).map(|[residual]| Epilogue::Residual(residual.get()));
    let epilogue = activated.or(residual);
    let shape = shape_of(&call);
    let planes = Planes::of(&call, &shape);
    let [x, weight, bias, z, _] = call.take();
    let (x, weight, bias, z) = (x.get(), weight.widened(is_16), biased.then(|| bias.get()), z.get_mut());
    if let Some(epilogue) = epilogue {
        return (forms.linear)(x, &weight, bias, z, &shape, epilogue);
    }
    for layer in 0..planes.count {
        let (weight, z) = (&weight[layer * planes.weight..], &mut z[layer * planes.z..]);
        let bias = bias.map(|bias: &[f32]| &bias[layer * planes.bias..]);
        (forms.linear)(x, weight, bias, z, &shape, Epilogue::Plain);
    }
}

fn linear_backward_input(call: Call<'_>) {
    let (forms, is_16) = (call.forms, call.has(Weight16));
    let (activation, accumulate) = (call.constant("ACTIVATION", 0), call.switch("ACCUMULATE", false));
    let shape = shape_of(&call);
    let planes = Planes::of(&call, &shape);
    let [dz, weight, z_below, dz_below, _] = call.take();
    let (dz, weight, z_below): (&[f32], _, _) = (dz.get(), weight.widened(is_16), z_below.get());
    let dz_below = dz_below.get_mut();
    for layer in 0..planes.count {
        let (dz, weight) = (&dz[layer * planes.z..], &weight[layer * planes.weight..]);
        let accumulate = accumulate || layer > 0;
        (forms.linear_backward_input)(dz, weight, z_below, dz_below, &shape, activation, accumulate);
    }
}

fn linear_backward_weight(mut call: Call<'_>) {
    let forms = call.forms;
    // A tile of the variants without them is one invocation's.
    let tile = [call.constant("SIDE", 1), call.constant("QUADS", 2)].map(|size| size as usize);
    let accumulate = call.switch("ACCUMULATE", false);
    let (weight, bias) = (call.switch("WEIGHT", true), call.switch("BIAS", true));
    let squares = call.take_array(Squares);
    let shape = shape_of(&call);
    let planes = Planes::of(&call, &shape);
    let [dz, x, dweight, dbias, _] = call.take();
    let (dz, x): (&[f32], &[f32]) = (dz.get(), x.get());
    if planes.count > 1 {
        let gradient = LayersGradient { planes, shape, forms, tile };
        return gradient.make(dz, x, dweight.get_mut(), accumulate, squares);
    }
    let (mut dweight, mut dbias) = (weight.then(|| dweight.get_mut()), bias.then(|| dbias.get_mut()));
    let (weight, bias) = (dweight.as_deref_mut(), dbias.as_deref_mut());
    (forms.linear_backward_weight)(dz, x, weight, bias, &shape, accumulate);
    if let Some(squares) = squares {
        let (weight, bias) = (dweight.as_deref(), dbias.as_deref());
        (forms.linear_backward_weight_squares)(weight, bias, &shape, tile, squares);
    }
}

/// The gradients of layers side by side, weights and biases in one array.
struct LayersGradient {
    planes: Planes,
    shape: Linear,
    forms: &'static Forms,
    tile: [usize; 2],
}

impl LayersGradient {
    fn make(self, dz: &[f32], x: &[f32], all: &mut [f32], adds: bool, mut squares: Option<&mut [PartialSquares]>) {
        let LayersGradient { planes, shape, forms, tile: [side, quads] } = self;
        let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
        let edge = 4 * side * quads;
        let biases = outputs.div_ceil(edge) * side;
        let weights = biases * side * inputs.div_ceil(edge);
        for layer in 0..planes.count {
            let dz = &dz[layer * planes.z..];
            let (weight, bias) = all[layer * planes.weight..].split_at_mut(planes.bias_at);
            let (weight, bias) = (&mut weight[..inputs * outputs], &mut bias[..outputs]);
            (forms.linear_backward_weight)(dz, x, Some(weight), Some(bias), &shape, adds);
            if let Some(squares) = &mut squares {
                let behind = squares.len() - planes.count * biases;
                let of_weight = &mut squares[layer * weights..][..weights];
                (forms.linear_backward_weight_squares)(Some(weight), None, &shape, [side, quads], of_weight);
                let of_bias = &mut squares[behind + layer * biases..][..biases];
                (forms.linear_backward_weight_squares)(None, Some(bias), &shape, [side, quads], of_bias);
            }
        }
    }
}
