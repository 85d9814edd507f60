//! meganeura 0.3 on blade-graphics. The batch lies on the device.
//!
//! Its attention has no batch axis. Tokens are therefore laid out time-major: row t * batch + b of a
//! [time * batch, hidden] matrix is, without a copy, head (b, h) of a [time, batch * hidden] one.
//!
//! Its GELU is the tanh form. It has no groups with a decay of their own.

use super::Steps;
use crate::Failure;
use crate::workload::{self, Group, Mlp, Model, Tensor, Transformer, Work, names, product, reals};
use meganeura::{Graph, NodeId, Session, SessionConfig, build, nn};

const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

struct Meganeura {
    session: Session,
    parameters: usize,
    /// Where the update is alone: it is called on its own, over gradients made once.
    alone: Option<Alone>,
}

struct Alone {
    rate: f32,
    tensors: Vec<Tensor>,
    slopes: Vec<f32>,
}

pub fn open(work: &Work) -> Result<Box<dyn Steps>, Failure> {
    let [group] = work.groups[..] else { return Err("it has no groups of parameters".into()) };
    let mut graph = Graph::new();
    let loss = match &work.model {
        Model::Mlp(sizes) => mlp(&mut graph, sizes),
        Model::Transformer(sizes) => transformer(&mut graph, sizes),
        Model::Tensors(tensors) => products(&mut graph, tensors),
    };
    graph.set_outputs(vec![loss]);
    let (mut session, _) = build(&graph, SessionConfig::default());
    let parameters = set_parameters(&mut session, matches!(work.model, Model::Tensors(_)));
    match &work.model {
        Model::Mlp(sizes) => give_rows(&mut session, sizes),
        Model::Transformer(sizes) => give_sequences(&mut session, sizes),
        Model::Tensors(tensors) => give_slopes(&mut session, tensors),
    }
    Ok(Box::new(Meganeura::new(session, parameters, &work.model, group)))
}

// ---- graphs ----

fn cross_entropy(graph: &mut Graph, logits: NodeId, rows: usize, classes: usize) -> NodeId {
    let labels = graph.input("labels", &[rows, classes]);
    graph.cross_entropy_loss(logits, labels)
}

fn mlp(graph: &mut Graph, work: &Mlp) -> NodeId {
    let [inputs, first, second, classes] = work.sizes;
    let x = graph.input("x", &[work.batch, inputs]);
    let x = nn::Linear::new(graph, "0", inputs, first).forward(graph, x);
    let x = graph.relu(x);
    let x = nn::Linear::new(graph, "1", first, second).forward(graph, x);
    let x = graph.relu(x);
    let logits = nn::Linear::new(graph, "2", second, classes).forward(graph, x);
    cross_entropy(graph, logits, work.batch, classes)
}

fn attend(graph: &mut Graph, sizes: &Transformer, name: &str, x: NodeId) -> NodeId {
    let Transformer { hidden, heads, batch, time, .. } = *sizes;
    let [query, key, value] = ["query", "key", "value"].map(|part| {
        let projected = nn::Linear::new(graph, &format!("{name}.{part}"), hidden, hidden).forward(graph, x);
        graph.reshape(projected, &[time, batch * hidden])
    });
    let (all, width) = ((heads * batch) as u32, (hidden / heads) as u32);
    let attended = match sizes.causal {
        true => graph.causal_attention(query, key, value, all, all, width),
        false => graph.full_attention(query, key, value, all, all, width),
    };
    let attended = graph.reshape(attended, &[time * batch, hidden]);
    nn::Linear::new(graph, &format!("{name}.output"), hidden, hidden).forward(graph, attended)
}

fn block(graph: &mut Graph, sizes: &Transformer, name: &str, x: NodeId) -> NodeId {
    let hidden = sizes.hidden;
    let attention_norm = nn::LayerNorm::new(graph, &format!("{name}.attention_norm"), hidden, 1e-5);
    let norm = nn::LayerNorm::new(graph, &format!("{name}.norm"), hidden, 1e-5);
    let feed = nn::Mlp::new(graph, name, hidden, 4 * hidden, hidden, nn::Activation::Gelu);
    if sizes.causal {
        let normed = attention_norm.forward(graph, x);
        let attended = attend(graph, sizes, name, normed);
        let x = graph.add(x, attended);
        let normed = norm.forward(graph, x);
        let fed = feed.forward(graph, normed);
        return graph.add(x, fed);
    }
    let attended = attend(graph, sizes, name, x);
    let x = graph.add(x, attended);
    let x = attention_norm.forward(graph, x);
    let fed = feed.forward(graph, x);
    let x = graph.add(x, fed);
    norm.forward(graph, x)
}

fn embed(graph: &mut Graph, name: &str, rows: usize, sizes: &Transformer) -> NodeId {
    let names = graph.input_u32(&format!("{name} names"), &[sizes.tokens()]);
    nn::Embedding::new(graph, name, rows, sizes.hidden).forward(graph, names)
}

fn transformer(graph: &mut Graph, sizes: &Transformer) -> NodeId {
    let Transformer { causal, hidden, batch, time, .. } = *sizes;
    let tokens = embed(graph, "tokens", sizes.vocabulary, sizes);
    let positions = embed(graph, "positions", sizes.positions, sizes);
    let mut x = graph.add(tokens, positions);
    if sizes.types > 0 {
        let types = embed(graph, "types", sizes.types, sizes);
        x = graph.add(x, types);
    }
    let norm = nn::LayerNorm::new(graph, "norm", hidden, 1e-5);
    if !causal {
        x = norm.forward(graph, x);
    }
    for layer in 0..sizes.layers {
        x = block(graph, sizes, &format!("block{layer}"), x);
    }
    let pooled = if causal { norm.forward(graph, x) } else { mean_over_time(graph, x, batch, time, hidden) };
    let head = if causal { nn::Linear::no_bias } else { nn::Linear::new };
    let logits = head(graph, "head", hidden, sizes.outputs).forward(graph, pooled);
    cross_entropy(graph, logits, sizes.labels(), sizes.outputs)
}

/// A row of 1 / time times the [time, batch * hidden] view.
fn mean_over_time(graph: &mut Graph, x: NodeId, batch: usize, time: usize, hidden: usize) -> NodeId {
    let wide = graph.reshape(x, &[time, batch * hidden]);
    let shares = graph.constant(vec![1.0 / time as f32; time], &[1, time]);
    let mean = graph.matmul(shares, wide);
    graph.reshape(mean, &[batch, hidden])
}

/// The sum over tensors of the mean of parameter times input.
fn products(graph: &mut Graph, tensors: &[Tensor]) -> NodeId {
    let terms: Vec<NodeId> = tensors
        .iter()
        .enumerate()
        .map(|(place, tensor)| {
            let parameter = graph.parameter(&place.to_string(), &[1, tensor.elements]);
            let slopes = graph.input(&format!("slopes {place}"), &[1, tensor.elements]);
            let product = graph.mul(parameter, slopes);
            graph.mean_all(product)
        })
        .collect();
    terms[1..].iter().fold(terms[0], |sum, term| graph.add(sum, *term))
}

// ---- values ----

/// Gives every parameter its value, and tells how many elements they have.
fn set_parameters(session: &mut Session, are_ones: bool) -> usize {
    let names: Vec<String> = session.plan().param_buffers.iter().map(|buffer| buffer.0.clone()).collect();
    let mut elements = 0;
    for (place, name) in names.iter().enumerate() {
        let size = session.param_size(name).unwrap_or(0);
        elements += size;
        let is_gain = name.contains("norm") && name.ends_with("weight");
        let values = match are_ones || is_gain {
            true => vec![1.0; size],
            false => reals(100 + place as u32, size).into_iter().map(|value| 0.05 * value).collect(),
        };
        session.set_parameter(name, &values);
    }
    elements
}

fn give_labels(session: &mut Session, labels: &[u32], classes: usize) {
    let mut hot = vec![0.0; labels.len() * classes];
    for (row, label) in labels.iter().enumerate() {
        hot[row * classes + *label as usize] = 1.0;
    }
    session.set_input("labels", &hot);
}

fn give_rows(session: &mut Session, Mlp { batch, sizes }: &Mlp) {
    session.set_input("x", &reals(1, batch * sizes[0]));
    give_labels(session, &names(2, *batch, sizes[3]), sizes[3]);
}

fn give_sequences(session: &mut Session, sizes: &Transformer) {
    let places: Vec<u32> = (0..sizes.tokens()).map(|at| (at / sizes.batch) as u32).collect();
    session.set_input_u32("tokens names", &names(1, sizes.tokens(), sizes.vocabulary));
    session.set_input_u32("positions names", &places);
    if sizes.types > 0 {
        session.set_input_u32("types names", &vec![0; sizes.tokens()]);
    }
    give_labels(session, &names(2, sizes.labels(), sizes.outputs), sizes.outputs);
}

/// As many times the gradient as the tensor has elements, since its term of the loss is a mean.
fn give_slopes(session: &mut Session, tensors: &[Tensor]) {
    let gradient = workload::gradient(tensors);
    for (place, tensor) in tensors.iter().enumerate() {
        let scaled: Vec<f32> = gradient[..tensor.elements].iter().map(|slope| slope * tensor.elements as f32).collect();
        session.set_input(&format!("slopes {place}"), &scaled);
    }
}

// ---- steps ----

impl Meganeura {
    fn new(mut session: Session, parameters: usize, model: &Model, Group { rate, decay }: Group) -> Meganeura {
        let rate = rate as f32;
        session.set_weight_decay(decay as f32);
        if let Model::Tensors(tensors) = model {
            session.step();
            session.wait();
            let alone = Alone { rate, tensors: tensors.clone(), slopes: workload::gradient(tensors) };
            return Meganeura { session, parameters, alone: Some(alone) };
        }
        session.set_adam(rate, BETAS[0], BETAS[1], EPSILON);
        Meganeura { session, parameters, alone: None }
    }
}

impl Steps for Meganeura {
    fn device(&self) -> String {
        let info = self.session.device_information();
        format!("{}; {} {}; meganeura 0.3.0", info.device_name, info.driver_name, info.driver_info)
    }

    fn kind(&self) -> &'static str {
        if self.session.device_information().is_software_emulated { "software" } else { "gpu" }
    }

    fn parameters(&self) -> usize {
        self.parameters
    }

    fn step(&mut self) -> Result<(), Failure> {
        match &self.alone {
            Some(alone) => self.session.adam_step(alone.rate, BETAS[0], BETAS[1], EPSILON),
            None => self.session.step(),
        }
        self.session.wait();
        Ok(())
    }

    fn loss(&mut self) -> Result<f64, Failure> {
        let Some(Alone { tensors, slopes, .. }) = &self.alone else { return Ok(self.session.read_loss().into()) };
        let mut sum = 0.0;
        for (place, tensor) in tensors.iter().enumerate() {
            let mut values = vec![0.0; tensor.elements];
            self.session.read_param(&place.to_string(), &mut values);
            sum += product(&values, slopes);
        }
        Ok(sum / self.parameters as f64)
    }
}
