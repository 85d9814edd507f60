//! A decoder on text: it learns, a step is one submission, and a run continues to the same bits, dropout included.

use crate::support::{engines, folder, fresh_gpu};
use gradus::data::{TokenStream, Vocabulary, kjv};
use gradus::engine::Engine;
use gradus::nn::Activation;
use gradus::nn::models::{Gpt2, TransformerSizes};
use gradus::schedule::{Plan, Spec};
use gradus::train::{Checkpoints, Config, Evaluation, Event, Generator, Language, Sampling, Trainer};

const GRADUAL: &str = "
optimizer: {type: adamw, lr: 3.0e-3, weight_decay: 0.01, clip_norm: 1.0, no_decay: [bias, ln_]}
early_stopping: {monitor: val_loss, patience: 9}
phases:
  0: {params: [lm_head, 'transformer.ln_f', 'transformer.h.1'], max_transition_epoch: 1}
  1: {params: ['transformer.(h.0|w.e)'], lr: 2.0e-3}
";

fn model() -> Gpt2 {
    let sizes = TransformerSizes::new([2, 2, 16], Vocabulary::printable_ascii().len(), 12)
        .intermediate(32)
        .activation(Activation::GeluNew)
        .norm_eps(1e-5)
        .dropout(0.1);
    Gpt2::new(sizes).tied(false)
}

fn streams() -> (TokenStream, TokenStream) {
    let vocabulary = Vocabulary::printable_ascii();
    let tokens = vocabulary.encode(&kjv()).expect("tokens");
    TokenStream::new(tokens[..1200].to_vec(), vocabulary.len()).expect("a stream").split(20).expect("two")
}

fn trainer(engine: &Engine, schedule: &str) -> Trainer {
    let (train, test) = streams();
    let task = Language::new(&model(), (&train, &test)).expect("a task");
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let config = Config::default().batch_size(4).micro_batches(2).epochs(3).seed(5);
    Trainer::new(engine, &task, config, |model, epochs| Plan::new(&spec, model, epochs)).expect("a trainer")
}

fn run(trainer: &mut Trainer) -> Vec<Evaluation> {
    let mut evaluations = Vec::new();
    let tell = |event: &Event| {
        if let Event::Evaluation(evaluation) = event {
            evaluations.push(*evaluation);
        }
    };
    trainer.run(tell).expect("a run");
    evaluations
}

fn bits(trainer: &Trainer) -> Vec<u32> {
    let parameters = trainer.parameters();
    let values = |name: &str| parameters.read(name).expect("values");
    parameters.params().iter().flat_map(|param| values(&param.name)).map(f32::to_bits).collect()
}

#[test]
fn a_decoder_learns_a_text_phase_by_phase() {
    for engine in engines() {
        let mut trainer = trainer(&engine, GRADUAL);
        let before = trainer.evaluate_now().expect("an evaluation");
        // Of 96 characters none is known to be likelier.
        assert!((before.val_loss - 96f64.ln()).abs() < 0.1, "{before:?}");
        let evaluations = run(&mut trainer);
        let last = evaluations.last().expect("an evaluation");
        assert!(last.phase == 1 && last.val_loss < 3.7, "on {}: {evaluations:?}", engine.name());
        assert!(evaluations[0].val_loss < before.val_loss);
        // The second phase moves more than the first.
        assert!(trainer.optimizer_bytes() > 0);
    }
}

#[test]
fn a_run_on_text_goes_on_to_the_same_bits() {
    for engine in engines() {
        let mut whole = trainer(&engine, GRADUAL);
        let told = run(&mut whole);
        let steps = whole.plan().steps_per_epoch();
        for stop in [3, steps, steps + 1] {
            let folder = folder("language");
            let checkpoints = |every| Checkpoints::new(&folder, 3, Some(every)).expect("a folder");
            let mut first = trainer(&engine, GRADUAL);
            first.checkpoint_to(checkpoints(stop));
            while first.cursor().step() < stop {
                first.advance(|_| ()).expect("a step");
            }
            let mut again = trainer(&engine, GRADUAL);
            again.resume(checkpoints(1000)).expect("a resumption").expect("a checkpoint");
            let rest = run(&mut again);
            assert!(bits(&again) == bits(&whole), "after {stop} steps on {}", engine.name());
            assert!(told.ends_with(&rest), "after {stop} steps: {rest:?}");
            std::fs::remove_dir_all(folder).expect("the folder was ours");
        }
    }
}

#[test]
fn a_step_on_text_is_one_submission() {
    let Some(engine) = fresh_gpu() else { return };
    let mut trainer = trainer(&engine, GRADUAL);
    trainer.take_step().expect("a step");
    let before = engine.counters();
    for _ in 0..5 {
        trainer.take_step().expect("a step");
    }
    let counted = engine.counters() - before;
    assert_eq!((counted.submissions, counted.blocking_waits, counted.uploads), (5, 0, 0));
}

#[test]
fn text_is_drawn_from_a_model_by_a_seed() {
    for engine in engines() {
        let trainer = trainer(&engine, GRADUAL);
        let draw = |prompt: &[u32], seed| {
            let (mut tokens, sampling) = (Vec::new(), Sampling::new(20, seed));
            let mut generator = Generator::new(&engine, &model(), trainer.parameters())?;
            generator.write(prompt, &sampling, &[], |token| {
                tokens.push(token);
                Ok(true)
            })?;
            Ok::<_, gradus::train::Error>(tokens)
        };
        // Longer than the context, which is 12.
        let text = draw(&[5, 6, 7], 1).expect("a text");
        assert!(text.len() == 20 && text.iter().all(|token| *token < 96));
        assert_eq!(text, draw(&[5, 6, 7], 1).expect("a text"));
        assert_ne!(text, draw(&[5, 6, 7], 2).expect("a text"));
        let told = draw(&[], 1).expect_err("an error").to_string();
        assert_eq!(told, "a prompt of 0 tokens: it needs from 1 to 12, each below 96");
        let told = draw(&[1; 13], 1).expect_err("an error").to_string();
        assert_eq!(told, "a prompt of 13 tokens: it needs from 1 to 12, each below 96");
        assert!(draw(&[96], 1).is_err());
    }
}

#[test]
fn a_text_of_another_vocabulary_is_refused() {
    let other = TokenStream::new(vec![0; 100], 50).expect("a stream");
    let told = Language::new(&model(), (&other, &other)).expect_err("an error").to_string();
    assert_eq!(told, "the text has a vocabulary of 50 tokens, the model of 96");
}
