//! A decoder continues a text: as transformers does it, whatever the length, and as the user of `gradus generate` sees it.

use crate::golden::{cases, own_folder};
use crate::support::{engines, noise};
use crate::train_command::Desk;
use gradus::engine::Engine;
use gradus::engine::layout::IGNORED;
use gradus::engine::{Program, Submission};
use gradus::nn::models::{Gpt2, TransformerSizes};
use gradus::nn::{Activation, Batch, LossOptions, Network};
use gradus::optim::Parameters;
use gradus::run::TrainedDecoder;
use gradus::train::{Ended, Error, Generator, Sampling};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn tokens(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|token| token as u32).collect()
}

#[test]
fn the_filters_are_those_of_transformers() {
    let trace = cases(&own_folder("generate"), &["filters"]).pop().expect("a trace");
    let listed = trace.json["cases"].as_array().expect("cases");
    assert_eq!(listed.len(), 24);
    for case in listed {
        let logits: Vec<f32> = numbers(&case["logits"]).into_iter().map(|logit| logit as f32).collect();
        let sampling = Sampling::new(1, 0)
            .temperature(case["temperature"].as_f64().expect("a number"))
            .top_k(case["top_k"].as_u64().map(|count| count as usize))
            .top_p(case["top_p"].as_f64().unwrap_or(1.0));
        for (ours, theirs) in sampling.shares(&logits).into_iter().zip(numbers(&case["shares"])) {
            assert!(
                (ours - theirs).abs() < 1e-10 && (ours == 0.0) == (theirs == 0.0),
                "{sampling:?}: {ours}, {theirs}"
            );
        }
    }
}

fn with_values(engine: &Engine, model: &impl Network, values: &[(String, Vec<f32>)]) -> Parameters {
    let parameters = Parameters::new(engine, &model.params(), None).expect("parameters");
    for (name, values) in values {
        parameters.upload(name, values).expect("an upload");
    }
    parameters
}

fn written(generator: &mut Generator<'_>, prompt: &[u32], sampling: &Sampling, ends: &[u32]) -> (Vec<u32>, Ended) {
    let mut tokens = Vec::new();
    let each = |token| {
        tokens.push(token);
        Ok(true)
    };
    let ended = generator.write(prompt, sampling, ends, each).expect("a text");
    (tokens, ended)
}

#[test]
fn a_greedy_text_is_that_of_transformers_token_for_token() {
    let decoder = TrainedDecoder::of_pretrained(&own_folder("generate").join("gpt2")).expect("a decoder");
    let values = decoder.values().expect("values");
    let trace = cases(&own_folder("generate"), &["greedy"]).pop().expect("a trace");
    assert_eq!(decoder.ends(), [0]);
    for engine in engines() {
        let parameters = with_values(&engine, decoder.model(), &values);
        let mut generator = Generator::new(&engine, decoder.model(), &parameters).expect("a generator");
        for case in trace.json["cases"].as_array().expect("cases") {
            let prompt = decoder.prompt("prompt", case["prompt"].as_str().expect("a text")).expect("a prompt");
            assert_eq!(prompt.tokens, tokens(&case["ids"]), "{case}");
            let new = case["new"].as_u64().expect("a number") as usize;
            let greedy = Sampling::new(new, 1).temperature(0.0);
            let (text, ended) = written(&mut generator, &prompt.tokens, &greedy, decoder.ends());
            assert_eq!(text, tokens(&case["tokens"]), "{case} on {}", engine.name());
            assert_eq!(ended == Ended::Length, text.len() == new && text.last() != Some(&0), "{case}");
            let end = case["end"].as_u64().expect("a token") as u32;
            let (text, ended) = written(&mut generator, &prompt.tokens, &greedy, &[end]);
            assert_eq!((text, ended), (tokens(&case["until_end"]), Ended::EndOfText), "{case} on {}", engine.name());
        }
    }
}

/// Two layers over 30 tokens, as many positions as no pass is long.
fn model(tied: bool) -> Gpt2 {
    let sizes =
        TransformerSizes::new([2, 2, 16], 30, 44).intermediate(32).activation(Activation::GeluNew).norm_eps(1e-5);
    Gpt2::new(sizes).tied(tied)
}

/// The logits of every token of a text, by the pass of an evaluation.
fn whole(engine: &Engine, model: &Gpt2, parameters: &Parameters, text: &[u32]) -> Vec<Vec<f32>> {
    let words = |words: Vec<u32>| engine.buffer_with("words", &words).expect("a buffer").all();
    let batch = Batch::new(engine, 1, text.len()).expect("a batch");
    let batch = batch.with("tokens", words(text.to_vec())).with("mask", words(vec![1; text.len()]));
    let batch = batch.with("labels", words(vec![IGNORED; text.len()]));
    let space = model.evaluation(1, text.len()).expect("a pass").allocate(engine).expect("memory");
    let parameter = |name: &str| parameters.place(name).map_err(Error::from);
    let mut program = Program::new("whole");
    program.dispatches =
        space.dispatches(&batch, LossOptions::new(0), parameter, |_| Ok(None), false).expect("dispatches");
    let program = engine.prepare(program).expect("a program");
    engine.submit(&Submission::of(&[&program])).expect("a submission");
    let logits: Vec<f32> = engine.read(&space.logits()).expect("logits");
    logits.chunks(32).map(|row| row[..30].to_vec()).collect()
}

#[test]
fn the_logits_of_a_text_are_those_of_the_whole_pass_at_every_length() {
    for (engine, tied) in engines().into_iter().flat_map(|engine| [(engine.clone(), true), (engine, false)]) {
        let model = model(tied);
        // Far from the small initial values, with which all logits are near 0.
        let values = model.params().into_iter().zip(1..).map(|(param, seed)| {
            let scale = if param.name.contains("ln_") { 1.0 } else { 0.5 };
            let values = noise(seed, param.elements()).into_iter().map(|value| scale * value).collect();
            (param.name, values)
        });
        let values: Vec<(String, Vec<f32>)> = values.collect();
        let parameters = with_values(&engine, &model, &values);
        let text: Vec<u32> = (0..44).map(|place| place * 17 % 30).collect();
        let rows = whole(&engine, &model, &parameters, &text);
        let mut generator = Generator::new(&engine, &model, &parameters).expect("a generator");
        // Not in order: a shorter text must not see what a longer one has left.
        for length in [44, 1, 2, 15, 16, 17, 31, 32, 33, 40, 3] {
            let logits = generator.logits(&text[..length]).expect("logits");
            assert_eq!(logits.len(), 30);
            for (ours, theirs) in logits.iter().zip(&rows[length - 1]) {
                let near = (ours - theirs).abs() <= 1e-5 * theirs.abs().max(1.0);
                assert!(near, "{length} tokens on {}: {ours}, {theirs}", engine.name());
            }
        }
    }
}

#[test]
fn what_is_drawn_is_among_the_tokens_that_have_a_text() {
    let engine = Engine::cpu();
    let model = model(true);
    let parameters = with_values(&engine, &model, &model.initial(1));
    let mut few = Generator::new(&engine, &model, &parameters).expect("a generator").among(3);
    // Untrained, so that each token is about as likely, and longer than the context.
    let (text, ended) = written(&mut few, &[29], &Sampling::new(60, 1), &[]);
    assert!(text.len() == 60 && ended == Ended::Length && (0..3).all(|token| text.contains(&token)), "{text:?}");
    assert!(text.iter().all(|token| *token < 3), "{text:?}");
    let mut broken = model.initial(1);
    broken[0].1.fill(f32::NAN);
    let parameters = with_values(&engine, &model, &broken);
    let mut generator = Generator::new(&engine, &model, &parameters).expect("a generator");
    let told = generator.write(&[1, 2], &Sampling::new(1, 1), &[], |_| Ok(true)).expect_err("an error").to_string();
    assert_eq!(told, "the logits after 2 tokens are not finite: the model is broken");
}

fn gradus(desk: &Desk, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(&desk.folder).args(["--adapter", "cpu", "generate"]).args(arguments);
    command
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn text(desk: &Desk, arguments: &[&str]) -> String {
    told(&gradus(desk, arguments).output().expect("the binary runs"))
}

fn json(desk: &Desk, arguments: &[&str]) -> Vec<Value> {
    let told = text(desk, &[arguments, &["--json"]].concat());
    told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn refused(desk: &Desk, arguments: &[&str]) -> String {
    let output = gradus(desk, arguments).output().expect("the binary runs");
    let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {words}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    words
}

fn piped(desk: &Desk, arguments: &[&str], text: &str) -> String {
    let mut command = gradus(desk, arguments);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    told(&child.wait_with_output().expect("an end"))
}

/// A run on a text that is the same words again and again.
fn run_on_characters() -> Desk {
    let words = "one two three four\n".repeat(120);
    let run =
        "model: {type: decoder, context: 16}\ndata: {train: a.txt}\nepochs: 6\nbatch_size: 8\nlearning_rate: 0.003\n";
    let rows = "n,class\n".to_owned() + &"1,x\n2,y\n".repeat(20);
    let mlp = "model: {type: mlp, hidden: [4]}\ndata: {train: a.csv, label: class}\nepochs: 1\nbatch_size: 8\n";
    let files = [("a.txt", words.as_str()), ("text.yaml", run), ("a.csv", &rows), ("rows.yaml", mlp)];
    let desk = Desk::new("generate", &files);
    desk.done(&["text.yaml", "--quiet"]);
    desk.done(&["rows.yaml", "--quiet"]);
    desk
}

#[test]
fn a_run_on_a_text_continues_it() {
    let desk = run_on_characters();
    let run = "runs/text";
    // It has learnt the text by heart, and slides over more than its context.
    let greedy = ["--temperature", "0", "--max-new-tokens", "40"];
    let begun = [&[run, "--prompt", "one t"][..], &greedy].concat();
    let whole = text(&desk, &begun);
    assert_eq!(whole, format!("{}\n", &"one two three four\n".repeat(3)[..45]));
    let best = text(&desk, &[&begun[..], &["--best"]].concat());
    assert_eq!(best, whole);
    assert_eq!(piped(&desk, &[&[run, "--prompt", "-"][..], &greedy].concat(), "one t\n"), whole);
    std::fs::write(desk.folder.join("begin.txt"), "one t\r\n").expect("a file");
    assert_eq!(text(&desk, &[&[run, "--prompt-file", "begin.txt"][..], &greedy].concat()), whole);

    let stops = [&begun[..], &["--stop", "four", "--stop", "ree f"]].concat();
    assert_eq!(text(&desk, &stops), "one two th\n");
    let lines = json(&desk, &stops);
    assert_eq!((lines.len(), &lines[0]["prompt"], &lines[0]["text"]), (1, &"one t".into(), &"wo th".into()));
    // The tokens are all that were drawn, those of the stop too.
    assert_eq!((lines[0]["tokens"].as_array().map(Vec::len), &lines[0]["ended"]), (Some(10), &"stop".into()));
    assert_eq!(json(&desk, &begun)[0]["ended"], "length");

    // Hot, so that texts differ.
    let hot = [run, "--prompt", "one", "--temperature", "3", "--max-new-tokens", "12"];
    let several = json(&desk, &[&hot[..], &["--samples", "3", "--seed", "5"]].concat());
    assert_eq!(several.len(), 3);
    for (line, seed) in several.iter().zip(["5", "6", "7"]) {
        let alone = json(&desk, &[&hot[..], &["--seed", seed]].concat());
        assert_eq!(&alone[0], line, "seed {seed}");
        assert_eq!(line["tokens"].as_array().map(Vec::len), Some(12));
    }
    assert!(several[0]["text"] != several[1]["text"] && several[1]["text"] != several[2]["text"], "{several:?}");
    let shown = text(&desk, &[&hot[..], &["--samples", "2", "--seed", "5"]].concat());
    let expected = |number: usize| {
        format!("--- {number} of 2, seed {}\none{}", 4 + number, several[number - 1]["text"].as_str().expect("a text"))
    };
    for number in [1, 2] {
        assert!(shown.contains(&expected(number)), "{shown}");
    }
    // One token to draw from is the likeliest one.
    let narrow = [&hot[..5], &["--top-k", "1", "--max-new-tokens", "12"]].concat();
    assert_eq!(
        text(&desk, &narrow),
        text(&desk, &[run, "--prompt", "one", "--temperature", "0", "--max-new-tokens", "12"])
    );

    let output = gradus(&desk, &[&[run, "--prompt", "\u{e4}one t"][..], &greedy].concat()).output().expect("it runs");
    assert!(told(&output).ends_with(&whole[5..]));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("warning: --prompt: characters that the model does not know: '\u{e4}'"), "{words}");
    cannot_be(&desk);
}

fn cannot_be(desk: &Desk) {
    let run = "runs/text";
    for (arguments, words) in [
        (vec![run], "--prompt: it is empty, and the model has no token for the beginning of a text"),
        (vec![run, "--prompt", "\u{e4}"], "--prompt: the model knows no character of it"),
        (vec![run, "--prompt", "one two three four"], "--prompt: it has 18 characters, and the model reads at most 16"),
        (
            vec![run, "--prompt", "o", "--temperature", "-1"],
            "temperature = -1: it must be a number above 0, or 0 for the likeliest token",
        ),
        (vec![run, "--prompt", "o", "--top-p", "0"], "top_p = 0: it must be above 0, and at most 1"),
        (vec![run, "--prompt", "o", "--top-p", "1.1"], "top_p = 1.1: it must be above 0, and at most 1"),
        (vec![run, "--prompt", "o", "--top-k", "0"], "top_k = 0: it must be 1 or more"),
        (vec![run, "--prompt", "o", "--stop", ""], "--stop: a text ends before it, so it cannot be empty"),
        (
            vec![run, "--prompt", "o", "--temperature", "0", "--samples", "2"],
            "--samples: at a temperature of 0 all texts are the same",
        ),
        (vec![run, "--prompt-file", "none.txt"], "reading none.txt: No such file"),
        (
            vec!["runs/rows", "--prompt", "o"],
            "runs/rows/run.yaml: its model is no decoder and continues no text; gradus predict asks it about rows",
        ),
        (vec!["runs", "--prompt", "o"], "runs: there is neither a run nor a config.json in it"),
        (vec!["runs", "--prompt", "o", "--best"], "--best: there is no run in runs"),
    ] {
        let told = refused(desk, &arguments);
        assert!(told.starts_with(&format!("gradus: {words}")), "{arguments:?}: {told}");
    }
}

#[test]
fn a_folder_of_gpt2_continues_a_text_and_others_are_refused() {
    let desk = Desk::new("generate-gpt2", &[]);
    let folder = |path: &str| own_folder(path).display().to_string();
    let gpt2 = folder("generate/gpt2");
    let trace = cases(&own_folder("generate"), &["greedy"]).pop().expect("a trace");
    for case in trace.json["cases"].as_array().expect("cases") {
        let (prompt, new) = (case["prompt"].as_str().expect("a text"), case["new"].to_string());
        let greedy = [gpt2.as_str(), "--prompt", prompt, "--temperature", "0", "--max-new-tokens", &new];
        let line = &json(&desk, &greedy)[0];
        let ended = if tokens(&case["tokens"]).last() == Some(&0) { "end of text" } else { "length" };
        assert_eq!((&line["text"], &line["tokens"]), (&case["text"], &case["tokens"]), "{case}");
        assert_eq!(line["ended"], ended, "{case}");
        // What comes piece by piece is the same text.
        assert_eq!(text(&desk, &greedy), format!("{prompt}{}\n", case["text"].as_str().expect("a text")));
    }
    let told = refused(&desk, &[&folder("text_models/bert"), "--prompt", "a"]);
    assert!(told.ends_with("bert/config.json: it is of bert, an encoder, which continues no text"), "{told}");
    let told = refused(&desk, &[&folder("text_models/gpt2"), "--prompt", "a"]);
    let words = "score.weight tells labels: the model continues no text; gradus predict asks it about rows";
    assert!(told.ends_with(words), "{told}");
}
