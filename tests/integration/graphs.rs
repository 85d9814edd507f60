//! Gradients of graphs that no model of ours has: diamonds, values that many read, an activation whose reader is not a linear
//! layer, several losses, frozen middles, parameters used twice, outputs that nobody reads. By directional finite differences
//! on the twins, with operations folded and each for itself; the same numbers on both engines, and the same bits whether
//! values share memory or not.

use crate::support::{engines, gpu, noise};
use crate::transformer_bed::{LOSS, assert_near, bits};
use gradus::engine::kernels::ValueStorage;
use gradus::engine::layout::{Metrics, Position};
use gradus::engine::{Buffer, Engine, Prepared, Program, Submission};
use gradus::nn::graph::{Graph, Value};
use gradus::nn::models::{Bert, TransformerSizes};
use gradus::nn::ops::{Heads, Sight, Table};
use gradus::nn::{Activation, Batch, Error, MixedPrecision, Network as _, Parameter, Workspace};
use gradus::params::{Param, Storage};
use std::collections::HashMap;

const EXAMPLES: usize = 3;
const CONTEXT: usize = 4;
const WIDTH: usize = 8;
const CLASSES: usize = 5;
const VOCABULARY: usize = 6;

/// A network down to its logits, and the losses on it.
type Network = fn(&mut Graph) -> Value;

/// A name, the network, and what its frozen parameters start with.
type Case = (&'static str, Network, &'static [&'static str]);

const CASES: [Case; 20] = [
    ("a diamond", diamond, &[]),
    ("a diamond with one side frozen", diamond, &["left"]),
    ("five readers", five_readers, &[]),
    ("five readers, a frozen first layer", five_readers, &["first"]),
    ("an activation under a norm", activation_under_norm, &[]),
    ("an activation that two read", activation_read_twice, &[]),
    ("two losses", two_losses, &[]),
    ("two losses on the same logits", two_losses_on_one, &[]),
    ("a loss in the middle", loss_in_the_middle, &[]),
    ("a frozen middle", straight, &["middle"]),
    ("only the first layer", straight, &["middle", "last"]),
    ("a layer used twice", used_twice, &[]),
    ("a weight used twice, with a bias and without", weight_used_twice, &[]),
    ("a layer on top of its own input", onto_itself, &[]),
    ("a value added to itself", twice_itself, &[]),
    ("an output that nobody reads", unread, &[]),
    ("attention over what a norm reads too", shared_attention, &[]),
    ("attention over planes, and a pool", planes, &["key", "table"]),
    ("a table at both ends and in the middle", tied, &[]),
    ("dropout beside itself", dropped, &[]),
];

fn rows(graph: &mut Graph) -> Value {
    graph.rows("rows", CONTEXT, WIDTH)
}

/// The last layer, and its loss.
fn finish(graph: &mut Graph, x: Value) -> Value {
    let logits = graph.linear("last", x, CLASSES);
    let labels = graph.words("labels", CONTEXT);
    graph.softmax_cross_entropy(logits, labels);
    logits
}

fn diamond(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let x = graph.linear("first", x, WIDTH);
    let left = graph.linear("left", x, WIDTH);
    let right = graph.linear("right", x, WIDTH);
    let right = graph.activate("right", Activation::Gelu, right);
    let sum = graph.add(left, right);
    finish(graph, sum)
}

fn five_readers(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let x = graph.linear("first", x, WIDTH);
    let one = graph.linear("one", x, WIDTH);
    let two = graph.linear("two", x, WIDTH);
    let two = graph.activate("two", Activation::Tanh, two);
    let three = graph.activate("three", Activation::GeluNew, x);
    let four = graph.layer_norm("four.norm", x, 1e-5);
    let sum = graph.add(one, two);
    let sum = graph.add(sum, three);
    let sum = graph.add(sum, four);
    let sum = graph.add(sum, x);
    finish(graph, sum)
}

/// As the head of BERT's pretraining.
fn activation_under_norm(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let z = graph.linear("first", x, WIDTH);
    let h = graph.activate("first", Activation::Gelu, z);
    let normed = graph.layer_norm("norm", h, 1e-5);
    finish(graph, normed)
}

fn activation_read_twice(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let z = graph.linear("first", x, WIDTH);
    let h = graph.activate("first", Activation::Gelu, z);
    let normed = graph.layer_norm("norm", h, 1e-5);
    let second = graph.linear("second", h, WIDTH);
    let third = graph.linear("third", z, WIDTH);
    let sum = graph.add(second, normed);
    let sum = graph.add(sum, third);
    finish(graph, sum)
}

fn two_losses(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let z = graph.linear("first", x, WIDTH);
    let h = graph.activate("first", Activation::Gelu, z);
    let other = graph.linear("other", h, 3);
    let labels = graph.words("other labels", CONTEXT);
    graph.softmax_cross_entropy(other, labels);
    finish(graph, h)
}

fn two_losses_on_one(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let logits = finish(graph, x);
    let labels = graph.words("other labels", CONTEXT);
    graph.softmax_cross_entropy(logits, labels);
    logits
}

fn loss_in_the_middle(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let middle = graph.linear("first", x, WIDTH);
    let labels = graph.words("other labels", CONTEXT);
    graph.softmax_cross_entropy(middle, labels);
    let h = graph.activate("first", Activation::Tanh, middle);
    finish(graph, h)
}

fn straight(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let first = graph.linear("first", x, WIDTH);
    let first = graph.activate("first", Activation::Relu, first);
    let middle = graph.linear("middle", first, 6);
    let middle = graph.layer_norm("middle.norm", middle, 1e-5);
    let middle = graph.activate("middle", Activation::Gelu, middle);
    finish(graph, middle)
}

fn used_twice(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let once = graph.linear("first", x, WIDTH);
    let once = graph.activate("first", Activation::Gelu, once);
    let once = graph.layer_norm("norm", once, 1e-5);
    let twice = graph.linear("first", once, WIDTH);
    let twice = graph.layer_norm("norm", twice, 1e-5);
    finish(graph, twice)
}

fn weight_used_twice(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let bare = graph.product("bare", "first.weight", x, WIDTH);
    let bare = graph.activate("bare", Activation::Gelu, bare);
    let whole = graph.linear("first", bare, WIDTH);
    finish(graph, whole)
}

fn onto_itself(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let x = graph.linear("first", x, WIDTH);
    let y = graph.linear("second", x, WIDTH);
    let y = graph.add(y, x);
    let normed = graph.layer_norm("norm", y, 1e-5);
    let sum = graph.add(normed, y);
    finish(graph, sum)
}

fn twice_itself(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let x = graph.linear("first", x, WIDTH);
    let double = graph.add(x, x);
    let normed = graph.layer_norm("norm", double, 1e-5);
    finish(graph, normed)
}

fn unread(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let x = graph.linear("first", x, WIDTH);
    let nobody = graph.linear("unread", x, WIDTH);
    graph.activate("unread", Activation::Gelu, nobody);
    finish(graph, x)
}

const HEADS: Heads = Heads::new(2, Sight::Causal);

fn shared_attention(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let mask = graph.words("mask", CONTEXT);
    let qkv = graph.linear("first", x, 3 * WIDTH);
    let normed = graph.layer_norm("norm", qkv, 1e-5);
    let one = graph.attention("one", qkv, mask, HEADS);
    let two = graph.attention("two", qkv, mask, HEADS.sight(Sight::Both));
    let narrow = graph.linear("narrow", normed, WIDTH);
    let sum = graph.add(one, two);
    let sum = graph.add(narrow, sum);
    finish(graph, sum)
}

fn planes(graph: &mut Graph) -> Value {
    let (tokens, mask) = (graph.words("tokens", CONTEXT), graph.words("mask", CONTEXT));
    let x = graph.embedding(tokens, tables(), None, WIDTH);
    let modules = ["query", "key", "value"].map(str::to_owned);
    let qkv = graph.linear_planes("qkv", &modules, x, WIDTH, true);
    let attended = graph.attention("attention", qkv, mask, HEADS);
    let first = graph.first_token(attended);
    let mean = graph.mean_pool(attended, mask);
    let sum = graph.add(mean, first);
    let logits = graph.linear("last", sum, CLASSES);
    let labels = graph.words("pooled labels", 1);
    graph.softmax_cross_entropy(logits, labels);
    // The rows have a loss too.
    finish(graph, attended)
}

fn tables() -> [Table; 2] {
    [Table::new("table", VOCABULARY), Table::new("positions", CONTEXT)]
}

fn tied(graph: &mut Graph) -> Value {
    let tokens = graph.words("tokens", CONTEXT);
    let x = graph.embedding(tokens, tables(), None, WIDTH);
    let again = graph.embedding(tokens, tables(), None, WIDTH);
    let normed = graph.layer_norm("norm", x, 1e-5);
    let sum = graph.add(normed, again);
    let logits = graph.product("logits", "table", sum, VOCABULARY);
    let labels = graph.words("labels", CONTEXT);
    graph.softmax_cross_entropy(logits, labels);
    logits
}

fn dropped(graph: &mut Graph) -> Value {
    let x = rows(graph);
    let z = graph.linear("first", x, WIDTH);
    let h = graph.activate("first", Activation::Gelu, z);
    let one = graph.dropout(h, 0.3, 0);
    let two = graph.dropout(h, 0.3, 1);
    let two = graph.add(two, h);
    let sum = graph.add(one, two);
    let alone = graph.linear("second", sum, WIDTH);
    let alone = graph.activate("second", Activation::Tanh, alone);
    let alone = graph.dropout(alone, 0.3, 2);
    finish(graph, alone)
}

// ---- parameters and batches ----

/// Shapes by what a network says of them: a run over an empty batch tells names alone, so they stand here.
fn params(network: Network) -> Vec<Param> {
    let wide = |module: &str, outputs: usize, inputs: usize| {
        [Param::new(format!("{module}.weight"), [outputs, inputs]), Param::new(format!("{module}.bias"), [outputs])]
    };
    let norm =
        |module: &str, width: usize| ["weight", "bias"].map(|part| Param::new(format!("{module}.{part}"), [width]));
    let qkv = std::ptr::fn_addr_eq(network, shared_attention as Network);
    let narrow = if qkv { 3 * WIDTH } else { WIDTH };
    let mut all: Vec<Param> = wide("first", if qkv { 3 * WIDTH } else { WIDTH }, WIDTH).into();
    for module in ["left", "right", "one", "two", "second", "third", "unread", "query", "key", "value"] {
        all.extend(wide(module, WIDTH, WIDTH));
    }
    all.extend(wide("other", 3, WIDTH));
    all.extend(wide("middle", 6, WIDTH));
    all.extend(wide("narrow", WIDTH, 3 * WIDTH));
    all.extend(norm("norm", narrow));
    all.extend(norm("four.norm", WIDTH));
    all.extend(norm("middle.norm", 6));
    all.extend([Param::new("table", [VOCABULARY, WIDTH]), Param::new("positions", [CONTEXT, WIDTH])]);
    let last = if std::ptr::fn_addr_eq(network, straight as Network) { 6 } else { WIDTH };
    all.extend(wide("last", CLASSES, last));
    all
}

struct Bed {
    engine: Engine,
    params: Vec<Param>,
    values: HashMap<String, Buffer>,
    gradients: HashMap<String, Buffer>,
    space: Workspace,
    pass: Prepared,
}

/// No gradient is this.
const JUNK: f32 = -7.25e7;

impl Bed {
    fn new(engine: &Engine, case: Case, is_fused: bool, keeps: bool) -> Bed {
        Bed::over(&batch(engine), engine, case, (is_fused, keeps), ValueStorage::F32)
    }

    /// Over a batch, with values in so many bits.
    fn over(
        batch: &Batch,
        engine: &Engine,
        (_, network, frozen): Case,
        (is_fused, keeps): (bool, bool),
        values: impl Into<MixedPrecision>,
    ) -> Bed {
        let graph = Graph::new(EXAMPLES, CONTEXT, true);
        let mut graph = if is_fused { graph } else { graph.unfused() };
        let logits = network(&mut graph);
        let params = params(network);
        let trainable = |name: &str| !frozen.iter().any(|start| name.starts_with(start));
        let pass = graph.pass(logits, params.clone(), trainable);
        let pass = if keeps { pass.keeping(|_| true) } else { pass };
        let space = pass.stored_in(values).allocate(engine).expect("memory");
        let (mut values, mut gradients) = (HashMap::new(), HashMap::new());
        for (seed, param) in (1..).zip(&params) {
            let around = if param.name.ends_with("norm.weight") { 1.0 } else { 0.0 };
            let value: Vec<f32> = noise(seed, param.elements()).iter().map(|x| around + 0.6 * x).collect();
            let junk = vec![JUNK; param.elements()];
            values.insert(param.name.clone(), engine.buffer_with(&param.name, &value).expect("a buffer"));
            gradients.insert(param.name.clone(), engine.buffer_with(&param.name, &junk).expect("a buffer"));
        }
        let mut program = Program::new("pass");
        program.dispatches = space
            .dispatches(
                batch,
                LOSS,
                |name| Ok::<Parameter, Error>((values[name].all(), Storage::F32)),
                |name| Ok(Some(gradients[name].all())),
                false,
            )
            .expect("dispatches");
        let pass = engine.prepare(program).expect("a program");
        Bed { engine: engine.clone(), params, values, gradients, space, pass }
    }

    /// The sum of the losses.
    fn run(&self) -> f64 {
        self.engine.submit(&Submission::of(&[&self.pass])).expect("a pass");
        let loss = |metrics: &Buffer| self.engine.read::<Metrics>(&metrics.all()).expect("metrics")[0].mean_loss();
        self.space.metrics.iter().map(loss).sum()
    }

    /// A parameter's numbers; buffers end in whole vec4s.
    fn read(&self, buffers: &HashMap<String, Buffer>, name: &str) -> Vec<f32> {
        let param = self.params.iter().find(|param| param.name == name).expect("a parameter");
        let mut numbers = self.engine.read(&buffers[name].all()).expect("numbers");
        numbers.truncate(param.elements());
        numbers
    }

    /// Gradients that were written, by name.
    fn gradients(&self) -> Vec<(&str, Vec<f32>)> {
        let all = self.params.iter().map(|param| (param.name.as_str(), self.read(&self.gradients, &param.name)));
        all.filter(|(_, gradient): &(&str, Vec<f32>)| gradient.iter().any(|value| *value != JUNK)).collect()
    }
}

fn batch(engine: &Engine) -> Batch {
    let places = EXAMPLES * CONTEXT;
    let words = |name: &'static str, values: Vec<u32>| (name, engine.buffer_with(name, &values).expect("one").all());
    let below = |seed: u32, count: usize, end: usize| -> Vec<u32> {
        noise(seed, count).iter().map(|x| ((x + 1.0) / 2.0 * end as f32) as u32).collect()
    };
    let batch = Batch::new(engine, EXAMPLES, CONTEXT).expect("a batch");
    let inputs = [
        ("rows", engine.buffer_with("rows", &noise(99, places * WIDTH)).expect("rows").all()),
        words("tokens", below(1, places, VOCABULARY)),
        words("mask", (0..places).map(|place| u32::from(place != places - 1)).collect()),
        words("labels", below(2, places, CLASSES)),
        words("other labels", below(3, places, 3)),
        words("pooled labels", below(4, EXAMPLES, CLASSES)),
    ];
    inputs.into_iter().fold(batch, |batch, (name, range)| batch.with(name, range))
}

// ---- the tests ----

/// Each kernel is held against its twin by `gradus check`; here it is what is stored where, and cast.
#[test]
fn values_in_16_bits_give_nearly_the_same_gradients_in_any_graph() {
    for engine in [Some(Engine::twins()), Some(Engine::cpu()), gpu()].into_iter().flatten() {
        for (storage, most) in [(ValueStorage::Bf16, 0.04), (ValueStorage::F16, 0.005)] {
            let mut differing = 0;
            for case in CASES {
                let of = |storage| {
                    let bed = Bed::over(&batch(&engine), &engine, case, (true, true), storage);
                    (bed.run(), bed)
                };
                let ((wide_loss, wide), (loss, narrow)) = (of(ValueStorage::F32), of(storage));
                let what = format!("{} in {}", case.0, storage.name());
                assert!((loss - wide_loss).abs() < most * wide_loss, "{what}: {loss}, {wide_loss}");
                differing += usize::from(loss != wide_loss);
                let (wide, narrow) = (wide.gradients(), narrow.gradients());
                assert_eq!(wide.len(), narrow.len(), "{what}");
                for ((name, wide), (_, narrow)) in wide.iter().zip(&narrow) {
                    let apart: Vec<f32> = wide.iter().zip(narrow).map(|(a, b)| a - b).collect();
                    // Gradients of a bias may cancel.
                    let error = length(&apart) / length(wide).max(0.1);
                    assert!(error < most, "{what}: {name} by {error:e}");
                }
            }
            // Two have nothing but inputs and logits.
            assert!(differing >= CASES.len() - 2, "{differing} in {}", storage.name());
        }
    }
}

/// Modules that work in f32 are stored so, with all that they read: if these are all, nothing is rounded.
#[test]
fn modules_that_work_in_f32_are_exact() {
    for engine in [Some(Engine::twins()), gpu()].into_iter().flatten() {
        let case = ("straight", straight as Network, &[][..]);
        let of = |wide: &[&str]| {
            let wide = wide.iter().map(|module| (*module).to_owned()).collect::<Vec<_>>();
            let precision = MixedPrecision::new(ValueStorage::Bf16).wide(wide);
            let bed = Bed::over(&batch(&engine), &engine, case, (true, true), precision);
            (bed.run(), bed)
        };
        let exact = Bed::new(&engine, case, true, true);
        let loss = exact.run();
        let off = |bed: &Bed| -> f64 {
            let pairs = exact.gradients().into_iter().zip(bed.gradients());
            let apart = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
            pairs.map(|((_, a), (_, b))| length(&apart((&a, &b)))).sum()
        };
        let (none, some) = (of(&[]), of(&["middle", "middle.norm"]));
        let all = of(&["first", "middle", "middle.norm", "last"]);
        assert_eq!((all.0, off(&all.1)), (loss, 0.0), "on {}", engine.name());
        assert!(off(&some.1) > 0.0 && off(&some.1) < 0.9 * off(&none.1), "{} of {}", off(&some.1), off(&none.1));
    }
}

/// In f16 the gradients of a step of millions of rows are 0, but for a loss scale.
#[test]
fn a_loss_scale_keeps_small_gradients() {
    for engine in [Some(Engine::twins()), Some(Engine::cpu()), gpu()].into_iter().flatten() {
        let position = Position { counting: 1 << 22, ..Position::default() };
        let position = engine.buffer_with("position", &[position]).expect("a position").all();
        let of = |case, storage, scale: f32| {
            let loss_scale = engine.buffer_with("loss_scale", &[scale]).expect("a scale").all();
            let batch = batch(&engine).with("position", position.clone()).with("loss_scale", loss_scale);
            let bed = Bed::over(&batch, &engine, case, (true, true), storage);
            bed.run();
            let gradients = bed.gradients().into_iter();
            gradients.map(|(name, gradient)| (name.to_owned(), gradient)).collect::<Vec<(String, Vec<f32>)>>()
        };
        let mut lost = 0;
        for case in CASES {
            let exact = of(case, ValueStorage::F32, 65_536.0);
            let [scaled, unscaled] = [65_536.0, 1.0].map(|scale| of(case, ValueStorage::F16, scale));
            for (((name, exact), (_, scaled)), (_, unscaled)) in exact.iter().zip(&scaled).zip(&unscaled) {
                let error = |gradient: &[f32], scale: f32| {
                    let apart: Vec<f32> = exact.iter().zip(gradient).map(|(a, b)| a - b / scale).collect();
                    // Gradients of a bias may cancel.
                    length(&apart) / length(exact).max(2e-8)
                };
                assert!(error(scaled, 65_536.0) < 0.005, "{}: {name} by {:e}", case.0, error(scaled, 65_536.0));
                lost += usize::from(error(unscaled, 1.0) > 0.2);
            }
        }
        assert!(lost >= CASES.len(), "only {lost} are lost without");
    }
}

#[test]
fn values_in_16_bits_take_little_more_than_half_of_the_memory() {
    let model = Bert::new(TransformerSizes::new([6, 4, 64], 96, 32), 3);
    let bytes = |storage| model.training(8, 32, |_| true).expect("a pass").stored_in(storage).bytes();
    let [wide, bf16, f16] = [ValueStorage::F32, ValueStorage::Bf16, ValueStorage::F16].map(bytes);
    // Log-sum-exps and moments are f32.
    assert!(bf16 == f16 && bf16 * 100 < wide * 58, "{bf16} of {wide}");
}

fn length(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn gradients_of_any_graph_are_those_of_finite_differences() {
    const STEP: f32 = 4e-3;
    let engine = Engine::twins();
    for case in CASES {
        for is_fused in [true, false] {
            let what = format!("{}, {}", case.0, if is_fused { "folded" } else { "each for itself" });
            let bed = Bed::new(&engine, case, is_fused, false);
            bed.run();
            let gradients = bed.gradients();
            assert!(gradients.len() > 1, "{what}");
            for (seed, (name, gradient)) in gradients.iter().enumerate() {
                assert!(!case.2.iter().any(|start| name.starts_with(start)), "{what}: {name} is frozen");
                assert!(!name.starts_with("unread"), "{what}: nobody reads it");
                let value = bed.read(&bed.values, name);
                // Half along the gradient, so that the loss changes, half anywhere, so that errors across it show.
                let other = noise(seed as u32 + 77, value.len());
                let (size, other_size) = (length(gradient).max(1e-9) as f32, length(&other) as f32);
                let direction: Vec<f32> =
                    gradient.iter().zip(&other).map(|(g, other)| g / size + other / other_size).collect();
                let loss_at = |step: f32| {
                    let moved: Vec<f32> = value.iter().zip(&direction).map(|(value, d)| value + step * d).collect();
                    engine.write(&bed.values[*name], 0, &moved).expect("values");
                    bed.run()
                };
                let got = (loss_at(STEP) - loss_at(-STEP)) / (2.0 * f64::from(STEP));
                engine.write(&bed.values[*name], 0, &value).expect("values");
                let expected: f64 = gradient.iter().zip(&direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                // A loss of 2 in f32 over a step of 0.008 is known to 5e-5.
                let allowed = 1e-2 * expected.abs() + 2e-4;
                assert!((got - expected).abs() <= allowed, "{what}: {name}: {got:e}, not {expected:e}");
            }
        }
    }
}

#[test]
fn folding_changes_no_more_than_rounding() {
    for engine in engines() {
        for case in CASES {
            let [folded, alone] = [true, false].map(|is_fused| Bed::new(&engine, case, is_fused, false));
            let what = format!("{} on {}", case.0, engine.name());
            assert!((folded.run() - alone.run()).abs() < 1e-5, "{what}");
            let (got, expected) = (folded.gradients(), alone.gradients());
            assert_eq!(got.len(), expected.len(), "{what}");
            for ((name, got), (_, expected)) in got.iter().zip(&expected) {
                assert_near(&format!("{what}: {name}"), got, expected, 1e-4);
            }
        }
    }
}

#[test]
fn values_that_share_memory_keep_every_bit() {
    for engine in engines() {
        for case in CASES {
            for is_fused in [true, false] {
                let [shared, kept] = [false, true].map(|keeps| Bed::new(&engine, case, is_fused, keeps));
                assert_eq!(shared.run().to_bits(), kept.run().to_bits(), "{} on {}", case.0, engine.name());
                for ((name, got), (_, expected)) in shared.gradients().iter().zip(&kept.gradients()) {
                    assert_eq!(bits(got), bits(expected), "{}: {name} on {}", case.0, engine.name());
                }
            }
        }
    }
}

#[test]
fn engines_agree_on_any_graph() {
    for engine in crate::support::sized_engines() {
        for case in CASES {
            let [got, expected] = [&engine, &Engine::twins()].map(|engine| Bed::new(engine, case, true, false));
            let what = format!("{} on {}", case.0, engine.name());
            assert!((got.run() - expected.run()).abs() < 1e-5, "{what}");
            for ((name, got), (_, expected)) in got.gradients().iter().zip(&expected.gradients()) {
                assert_near(&format!("{what}: {name}"), got, expected, 1e-4);
            }
        }
    }
}

/// Logits stay where an operation behind them would have been folded into what makes them.
#[test]
fn logits_and_kept_values_are_never_folded_away() {
    for engine in engines() {
        let mut graph = Graph::new(EXAMPLES, CONTEXT, true);
        let x = rows(&mut graph);
        let x = graph.linear("first", x, WIDTH);
        let logits = graph.linear("second", x, WIDTH);
        let sum = graph.add(logits, x);
        finish(&mut graph, sum);
        let pass = graph.pass(logits, params(diamond), |_| true).keeping(|_| true);
        let space = pass.allocate(&engine).expect("memory");
        let of = |label: &str| space.value(label);
        assert_eq!(space.logits().offset, of("second.z").expect("the logits").offset);
        assert!(space.logits().buffer.same(&of("second.z").expect("the logits").buffer));
        assert!(of("second.z.sum").is_some() && of("rows").is_none() && of("labels").is_none() && of("").is_none());
    }
}

/// What nobody reads gets no gradient, and the pass says so.
#[test]
fn a_pass_tells_which_parameters_get_a_gradient() {
    let mut graph = Graph::new(EXAMPLES, CONTEXT, true);
    let logits = unread(&mut graph);
    let pass = graph.pass(logits, params(unread), |name| !name.starts_with("last.bias"));
    assert_eq!(pass.trained(), ["first.weight", "first.bias", "last.weight"]);
}
