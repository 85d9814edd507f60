//! Files of Hugging Face in and out: names with and without prefixes, Conv1D the other way round, and all that is wrong
//! with a file in one error.

use crate::transformer_bed::{decoder, encoder, kinds, sizes, values};
use gradus::nn::models::{Bert, Pooling};
use gradus::nn::{Error, Model, Network};
use gradus::params::Param;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The model's parameters, by their names and shapes of here.
fn own(config: &Model) -> Tensors {
    let shapes = config.params().into_iter().map(|Param { shape, .. }| shape);
    values(config).into_iter().zip(shapes).map(|((name, values), shape)| (name, (shape, values))).collect()
}

fn file(tensors: &Tensors) -> Vec<u8> {
    let views = tensors.iter().map(|(name, (shape, values))| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).expect("a view"))
    });
    serialize(views, None).expect("a file")
}

fn tensors(file: &[u8]) -> Tensors {
    let file = SafeTensors::deserialize(file).expect("a file");
    let floats = |view: &TensorView<'_>| view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    file.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), floats(&view)))).collect()
}

/// As a file of Hugging Face's.
fn theirs(config: &Model) -> Tensors {
    tensors(&config.to_hugging_face(&file(&own(config))).expect("a file"))
}

fn wrong(config: &Model, tensors: &Tensors, new: &[&str]) -> Vec<String> {
    match config.from_hugging_face(&file(tensors), new) {
        Err(Error::BadCheckpoint(wrong)) => wrong,
        other => panic!("{other:?}"),
    }
}

#[test]
fn transformer_files_go_out_and_in_unchanged() {
    for config in kinds() {
        let (own, theirs) = (own(&config), theirs(&config));
        for (name, (shape, values)) in &own {
            let (their_shape, their_values) = &theirs[&config.name_in_class(name)];
            let is_conv = ["c_attn.weight", "c_proj.weight", "c_fc.weight"].iter().any(|end| name.ends_with(end));
            if !is_conv {
                assert!(their_shape == shape && their_values == values, "{name}");
                continue;
            }
            let [outputs, inputs] = shape[..] else { panic!("{name}") };
            assert_eq!(their_shape, &[inputs, outputs], "{name}");
            for (place, value) in values.iter().enumerate() {
                let (output, input) = (place / inputs, place % inputs);
                assert_eq!(*value, their_values[input * outputs + output], "{name}[{output}, {input}]");
            }
        }
        let back = config.from_hugging_face(&file(&theirs), &[]).expect("a checkpoint");
        assert!(tensors(&back) == own, "{config:?}");
    }
}

#[test]
fn transformer_files_may_have_prefixes_and_buffers() {
    let config = decoder(true);
    let bare = theirs(&config).into_iter().map(|(name, tensor)| (name.replacen("transformer.", "", 1), tensor));
    let mut bare: Tensors = bare.collect();
    bare.insert("h.0.attn.bias".to_owned(), (vec![1, 1, 5, 5], vec![1.0; 25]));
    bare.insert("h.1.attn.masked_bias".to_owned(), (vec![1], vec![-1e4]));
    bare.insert("lm_head.weight".to_owned(), (vec![7, 12], vec![0.5; 84]));
    let read = config.from_hugging_face(&file(&bare), &[]).expect("a checkpoint");
    assert!(tensors(&read) == own(&config));

    let config = encoder(2, Pooling::Pooler);
    let prefixed = theirs(&config).into_iter().map(|(name, tensor)| match name.starts_with("classifier") {
        true => (name, tensor),
        false => (format!("bert.{name}"), tensor),
    });
    let mut prefixed: Tensors = prefixed.collect();
    prefixed.insert("bert.embeddings.position_ids".to_owned(), (vec![1, 5], vec![0.0; 5]));
    let read = config.from_hugging_face(&file(&prefixed), &[]).expect("a checkpoint");
    assert!(tensors(&read) == own(&config));

    // Files of 2018 and 2019.
    let old = |name: &str| match name.contains("LayerNorm") {
        true => name.replace(".weight", ".gamma").replace(".bias", ".beta"),
        false => name.to_owned(),
    };
    let mut aged: Tensors = prefixed.into_iter().map(|(name, tensor)| (old(&name), tensor)).collect();
    aged.insert("cls.predictions.transform.LayerNorm.gamma".to_owned(), (vec![12], vec![1.0; 12]));
    aged.insert("cls.seq_relationship.weight".to_owned(), (vec![2, 12], vec![0.5; 24]));
    let read = config.from_hugging_face(&file(&aged), &[]).expect("a checkpoint");
    assert!(tensors(&read) == own(&config));
    aged.insert("bert.embeddings.LayerNorm.weight".to_owned(), (vec![12], vec![1.0; 12]));
    assert_eq!(wrong(&config, &aged, &[]), ["embeddings.LayerNorm.weight occurs twice"]);
}

#[test]
fn transformer_files_may_lack_a_new_head() {
    let config = encoder(2, Pooling::Pooler);
    let mut headless = theirs(&config);
    headless.retain(|name, _| !name.starts_with("classifier"));
    assert_eq!(wrong(&config, &headless, &[]), ["classifier.bias is missing", "classifier.weight is missing"]);
    let read = config.from_hugging_face(&file(&headless), &["classifier"]).expect("a checkpoint");
    let mut expected = own(&config);
    expected.retain(|name, _| !name.starts_with("classifier"));
    assert!(tensors(&read) == expected);
}

#[test]
fn transformer_files_that_do_not_fit_are_refused_with_all_reasons() {
    let config = decoder(true);
    let mut bad = theirs(&config);
    bad.remove("transformer.h.0.ln_1.weight");
    bad.remove("transformer.h.1.mlp.c_fc.bias");
    // As torch.nn.Linear has it, not Conv1D.
    bad.insert("transformer.h.0.attn.c_attn.weight".to_owned(), (vec![36, 12], vec![0.0; 432]));
    bad.insert("transformer.wte.weight".to_owned(), (vec![9, 12], vec![0.0; 108]));
    bad.insert("transformer.wpe.weight".to_owned(), (vec![4, 12], vec![0.0; 48]));
    bad.insert("ln_f.bias".to_owned(), (vec![12], vec![0.0; 12]));
    bad.insert("scores.weight".to_owned(), (vec![2, 12], vec![0.0; 24]));
    bad.insert("transformer.h.2.ln_1.bias".to_owned(), (vec![12], vec![0.0; 12]));
    let expected = [
        "scores.weight is not a parameter of this model",
        "transformer.h.0.attn.c_attn.weight is of shape [36, 12], not [12, 36]",
        "transformer.h.0.ln_1.weight is missing",
        "transformer.h.1.mlp.c_fc.bias is missing",
        "transformer.h.2.ln_1.bias is not a parameter of this model",
        "transformer.ln_f.bias occurs twice",
        "transformer.wpe.weight is of shape [4, 12], not [5, 12]: the file's context is 4, the model's 5",
        "transformer.wte.weight is of shape [9, 12], not [7, 12]: the file's vocabulary is 9, the model's 7",
    ];
    assert_eq!(wrong(&config, &bad, &[]), expected);
    // An untied output is a parameter, and part of the vocabulary.
    let untied = decoder(false);
    let mut bad = theirs(&untied);
    bad.insert("lm_head.weight".to_owned(), (vec![8, 12], vec![0.0; 96]));
    let expected = "lm_head.weight is of shape [8, 12], not [7, 12]: the file's vocabulary is 8, the model's 7";
    assert_eq!(wrong(&untied, &bad, &[]), [expected]);
    bad.remove("lm_head.weight");
    assert_eq!(wrong(&untied, &bad, &[]), ["lm_head.weight is missing"]);
}

#[test]
fn transformer_files_of_other_kinds_are_refused() {
    let config = encoder(2, Pooling::Pooler);
    let other = Bert::new(sizes(), 4).types(0);
    let reasons = wrong(&other.into(), &theirs(&config), &[]);
    let expected = [
        "bert.embeddings.token_type_embeddings.weight is not a parameter of this model",
        "classifier.bias is of shape [3], not [4]",
        "classifier.weight is of shape [3, 12], not [4, 12]",
    ];
    assert_eq!(reasons, expected);
    for garbage in [&b""[..], b"\x08\0\0\0\0\0\0\0notjson!", &[0xff; 64]] {
        assert!(matches!(config.from_hugging_face(garbage, &[]), Err(Error::BadCheckpoint(_))));
        assert!(matches!(config.to_hugging_face(garbage), Err(Error::BadCheckpoint(_))));
    }
}

#[test]
fn transformer_files_go_out_only_whole() {
    let config = decoder(true);
    let mut bad = own(&config);
    bad.remove("transformer.wte.weight");
    bad.remove("transformer.ln_f.bias");
    bad.insert("transformer.h.0.mlp.c_fc.weight".to_owned(), (vec![12, 18], vec![0.0; 216]));
    let Err(Error::BadCheckpoint(reasons)) = config.to_hugging_face(&file(&bad)) else { panic!("it is not whole") };
    let expected = [
        "transformer.wte.weight is missing",
        "transformer.h.0.mlp.c_fc.weight is of shape [12, 18], not [18, 12]",
        "transformer.ln_f.bias is missing",
    ];
    assert_eq!(reasons, expected);
}
