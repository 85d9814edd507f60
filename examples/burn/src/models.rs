//! Two models of Burn's on made-up data. Both have an `input`, a `body` of two layers and a `head`.

use burn::module::Module;
use burn::nn::attention::generate_autoregressive_mask;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};

/// Batches that there are; they come round again.
const BATCHES: usize = 8;

#[derive(Module, Debug)]
pub struct Mlp {
    input: Linear,
    body: Vec<Linear>,
    head: Linear,
}

/// An MLP and its loss at a step: which of a row's first ten numbers is the largest?
pub fn mlp(device: &Device) -> (Mlp, impl Fn(&Mlp, usize) -> Tensor<1>) {
    let linear = |from, to| LinearConfig::new(from, to).init(device);
    let model = Mlp { input: linear(64, 256), body: vec![linear(256, 256), linear(256, 256)], head: linear(256, 10) };
    let batch = |_| {
        let x = Tensor::<2>::random([128, 64], Distribution::Normal(0.0, 1.0), device);
        let labels: Tensor<1, Int> = x.clone().narrow(1, 0, 10).argmax(1).squeeze_dim(1);
        (x, labels)
    };
    let batches: Vec<_> = (0..BATCHES).map(batch).collect();
    let cross_entropy = CrossEntropyLossConfig::new().init(device);
    let loss = move |model: &Mlp, step: usize| {
        let (x, labels) = batches[step % BATCHES].clone();
        let first = relu(model.input.forward(x));
        let last = model.body.iter().fold(first, |x, layer| relu(layer.forward(x)));
        cross_entropy.forward(model.head.forward(last), labels)
    };
    (model, loss)
}

#[derive(Module, Debug)]
pub struct Transformer {
    input: Embedding,
    body: TransformerEncoder,
    head: Linear,
}

/// A decoder and its loss at a step: which token is next in a sequence that goes up by 1 to 5 at a time?
pub fn transformer(device: &Device) -> (Transformer, impl Fn(&Transformer, usize) -> Tensor<1>) {
    let (hidden, heads, vocabulary, rows, time) = (64, 4, 32, 4, 16);
    let body = TransformerEncoderConfig::new(hidden, 4 * hidden, heads, 2).with_norm_first(true).with_dropout(0.0);
    let model = Transformer {
        input: EmbeddingConfig::new(vocabulary, hidden).init(device),
        body: body.init(device),
        head: LinearConfig::new(hidden, vocabulary).init(device),
    };
    let tokens = |batch: usize, from: usize| {
        let token = |at: usize| {
            let (row, place) = (at / time + batch, at % time + from);
            ((7 * row + (1 + row % 5) * place) % vocabulary) as i32
        };
        let tokens: Vec<i32> = (0..rows * time).map(token).collect();
        Tensor::<2, Int>::from_data(TensorData::new(tokens, [rows, time]), device)
    };
    let batches: Vec<_> = (0..BATCHES).map(|batch| (tokens(batch, 0), tokens(batch, 1).flatten::<1>(0, 1))).collect();
    let mask = generate_autoregressive_mask(rows, time, device);
    let cross_entropy = CrossEntropyLossConfig::new().init(device);
    let loss = move |model: &Transformer, step: usize| {
        let (tokens, labels) = batches[step % BATCHES].clone();
        let input = TransformerEncoderInput::new(model.input.forward(tokens)).mask_attn(mask.clone());
        cross_entropy.forward(model.head.forward(model.body.forward(input)).flatten(0, 1), labels)
    };
    (model, loss)
}
