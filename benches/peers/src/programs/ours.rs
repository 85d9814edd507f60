//! gradus: forward, backward and update in one submission. The batch lies on the device.

use super::Steps;
use crate::Failure;
use crate::workload::{self, Group, Mlp, Model, Tensor, Transformer, Work, names, product, reals};
use gradus::engine::layout::Metrics;
use gradus::engine::{AdapterChoice, Engine, Prepared, Program, Range, Submission};
use gradus::nn::models::{self, Bert, Gpt2, TransformerSizes};
use gradus::nn::{self, Activation, Batch, LossOptions, Network};
use gradus::optim::{Next, Optimizer, Parameters, Settings};
use gradus::params::{self, Param, Row};

/// A model on an engine.
struct Ours {
    engine: Engine,
    parameters: Parameters,
    optimizer: Optimizer,
    /// Forward, loss and backward; none where the update is alone.
    pass: Option<Prepared>,
    loss: Loss,
}

/// Where the loss is to be found.
enum Loss {
    /// In the counts that the pass leaves.
    Counted(Range),
    /// The mean of parameter times gradient.
    Product(Vec<f32>),
}

pub fn open(choice: &AdapterChoice, work: &Work) -> Result<Box<dyn Steps>, Failure> {
    let engine = Engine::new(choice)?;
    let ours = match &work.model {
        Model::Mlp(mlp) => Ours::mlp(engine, mlp, &work.groups),
        Model::Transformer(sizes) => Ours::transformer(engine, sizes, &work.groups),
        Model::Tensors(tensors) => Ours::update(engine, tensors, &work.groups),
    };
    Ok(Box::new(ours?))
}

/// The parameters of group number `place`, and what the update knows of them.
fn group(place: usize, Group { rate, decay }: Group, params: impl IntoIterator<Item = String>) -> params::Group {
    params::Group::new(place.to_string(), Row::adamw(rate).weight_decay(decay), params)
}

/// Parameters with these values, and an optimizer over them in one group.
fn trained(
    engine: &Engine,
    params: &[Param],
    initial: Vec<(String, Vec<f32>)>,
    groups: &[Group],
) -> Result<(Parameters, Optimizer), Failure> {
    let parameters = Parameters::new(engine, params, None)?;
    for (name, values) in initial {
        parameters.upload(&name, &values)?;
    }
    let all = [group(0, groups[0], params.iter().map(|param| param.name.clone()))];
    let optimizer = Optimizer::new(engine, &parameters, &all, Settings::default())?;
    Ok((parameters, optimizer))
}

impl Ours {
    fn mlp(engine: Engine, work: &Mlp, groups: &[Group]) -> Result<Ours, Failure> {
        let model = models::Mlp::new(&work.sizes, Activation::Relu)?;
        let rows = engine.buffer_with("rows", &reals(1, work.batch * model.inputs()))?.all();
        let labels = engine.buffer_with("labels", &names(2, work.batch, model.classes()))?.all();
        let batch = Batch::new(&engine, work.batch, 1)?.with("rows", rows).with("labels", labels);
        Ours::training(engine, &model.into(), &batch, groups)
    }

    fn transformer(engine: Engine, work: &Transformer, groups: &[Group]) -> Result<Ours, Failure> {
        let Transformer { causal, layers, hidden, heads, vocabulary, positions, types, outputs, .. } = *work;
        let sizes = TransformerSizes::new([layers, heads, hidden], vocabulary, positions);
        let model: nn::Model = match causal {
            true => Gpt2::new(sizes).tied(false).into(),
            false => Bert::new(sizes, outputs).types(types).into(),
        };
        let batch = sequences(&engine, work)?;
        Ours::training(engine, &model, &batch, groups)
    }

    /// A model that is trained on one batch.
    fn training(engine: Engine, model: &nn::Model, batch: &Batch, groups: &[Group]) -> Result<Ours, Failure> {
        let (parameters, optimizer) = trained(&engine, &model.params(), model.initial(1), groups)?;
        let space = model.training(batch.examples, batch.context, |_| true)?.allocate(&engine)?;
        let loss = LossOptions::new(1);
        let parameter = |name: &str| parameters.place(name).map_err(Failure::from);
        let gradient = |name: &str| Ok(Some(optimizer.gradient(name)?));
        let dispatches = space.dispatches(batch, loss, parameter, gradient, false)?;
        let pass = Some(engine.prepare(Program::of("pass", dispatches))?);
        Ok(Ours { engine, parameters, optimizer, pass, loss: Loss::Counted(space.metrics[0].all()) })
    }

    fn update(engine: Engine, tensors: &[Tensor], groups: &[Group]) -> Result<Ours, Failure> {
        let param = |(place, tensor): (usize, &Tensor)| Param::new(place.to_string(), [tensor.elements]);
        let params: Vec<Param> = tensors.iter().enumerate().map(param).collect();
        let members = |number: usize| {
            let own = params.iter().zip(tensors).filter(move |(_, tensor)| tensor.group == number);
            own.map(|(param, _)| param.name.clone())
        };
        let groups: Vec<params::Group> =
            groups.iter().enumerate().map(|(place, settings)| group(place, *settings, members(place))).collect();
        let parameters = Parameters::new(&engine, &params, None)?;
        let optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default())?;
        let gradient = workload::gradient(tensors);
        let ones = vec![1.0; gradient.len()];
        for param in &params {
            parameters.upload(&param.name, &ones[..param.elements()])?;
            optimizer.upload_gradient(&param.name, &gradient[..param.elements()])?;
        }
        Ok(Ours { engine, parameters, optimizer, pass: None, loss: Loss::Product(gradient) })
    }
}

/// A batch of sequences on the device.
fn sequences(engine: &Engine, work: &Transformer) -> Result<Batch, Failure> {
    let rows = work.tokens();
    let upload =
        |label: &str, values: &[u32]| -> Result<Range, Failure> { Ok(engine.buffer_with(label, values)?.all()) };
    let batch = Batch::new(engine, work.batch, work.time)?
        .with("tokens", upload("tokens", &names(1, rows, work.vocabulary))?)
        .with("mask", upload("mask", &vec![1; rows])?)
        .with("labels", upload("labels", &names(2, work.labels(), work.outputs))?);
    Ok(match work.types {
        0 => batch,
        _ => batch.with("types", upload("types", &vec![0; rows])?),
    })
}

impl Steps for Ours {
    fn device(&self) -> String {
        match self.engine.adapter() {
            Some(adapter) => format!("{}; {}; {}", adapter.name, adapter.backend, adapter.driver),
            None => format!("CPU; {} threads", std::thread::available_parallelism().map_or(1, usize::from)),
        }
    }

    fn kind(&self) -> &'static str {
        match self.engine.adapter() {
            None => "cpu",
            Some(_) if self.engine.is_software() => "software",
            Some(_) => "gpu",
        }
    }

    fn parameters(&self) -> usize {
        self.parameters.params().iter().map(Param::elements).sum()
    }

    fn step(&mut self) -> Result<(), Failure> {
        let Next { uploads, program, slot, .. } = self.optimizer.next(None)?;
        let programs: Vec<_> = self.pass.iter().chain([program]).collect();
        self.engine.submit(&Submission::of(&programs).uploads(uploads).slot(slot))?;
        Ok(self.engine.wait()?)
    }

    fn loss(&mut self) -> Result<f64, Failure> {
        match &self.loss {
            Loss::Counted(counts) => Ok(self.engine.read::<Metrics>(counts)?.first().map_or(f64::NAN, mean)),
            Loss::Product(gradient) => {
                let mut sum = 0.0;
                for param in self.parameters.params() {
                    let values = self.parameters.read(&param.name)?;
                    sum += product(&values, gradient);
                }
                Ok(sum / self.parameters() as f64)
            }
        }
    }
}

/// The mean loss of the last batch.
fn mean(counts: &Metrics) -> f64 {
    counts.loss.into()
}
