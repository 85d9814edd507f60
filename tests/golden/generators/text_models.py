"""Small Hugging Face folders, and what torch and transformers make of them.

    pip install torch==2.15.0 transformers==5.24.0 tokenizers==0.23.3 safetensors==0.8.0 numpy==2.4.6
    python tests/golden/generators/text_models.py [FOLDER]

Writes to tests/golden/text_models a folder for each family, as save_pretrained leaves it (config.json, model.safetensors,
tokenizer.json), and <case>.json with <case>.safetensors: what a head on that trunk gives. README.md there says what they hold.
Everything runs on the CPU, on one thread, in f64, from fixed seeds."""

import json
import pathlib
import shutil
import sys

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig, BertForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification, GPT2Config,
    GPT2ForSequenceClassification, RobertaConfig, RobertaForSequenceClassification,
)

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve()
OUT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "text_models"
GLOSSES = HERE.parents[3] / "data" / "glosses"
SOURCE = [f"{package.__name__}=={package.__version__}" for package in (torch, transformers)]
CLASSES, LENGTH, FEATURES = 3, 14, 3
STEPS, LR, DECAY, BETAS, EPS = 20, 1e-3, 0.01, (0.9, 0.999), 1e-8
TEXTS = [
    ("a small animal that lives in water", "what is it?"),
    ("the act of moving something", "an act, or a state of mind that lasts for a very long time"),
    ("Caf\u00e9 na\u00efve 12.5%", ""),
    ("x", "y"),
    ("make or become strong", "a plant"),
]
LABELS = [0, 2, 1, 2, 0]


def word_piece():
    """Lower case, accents off: BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=160, special_tokens=specials))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.decoder = decoders.WordPiece()
    # As the files of real models have them: both are to be overruled.
    tokenizer.enable_padding(length=128, pad_id=0, pad_token="[PAD]")
    tokenizer.enable_truncation(max_length=128)
    return tokenizer


def byte_pairs(specials, roberta):
    """Bytes as characters, merged: GPT-2's, and RoBERTa's with its marks."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.decoder = decoders.ByteLevel()
    if roberta:
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def corpus():
    (file,) = sorted(GLOSSES.glob("*.txt"))
    return file.read_text(encoding="utf-8").splitlines()[:2000]


FAMILIES = {
    "bert": (
        BertForSequenceClassification,
        lambda vocabulary: BertConfig(
            vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
            max_position_embeddings=40, type_vocab_size=2, num_labels=CLASSES, initializer_range=0.15,
        ),
        word_piece,
    ),
    "roberta": (
        RobertaForSequenceClassification,
        lambda vocabulary: RobertaConfig(
            vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=42, type_vocab_size=1, num_labels=CLASSES, layer_norm_eps=1e-5, pad_token_id=1,
            bos_token_id=0, eos_token_id=2, initializer_range=0.15,
        ),
        lambda: byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], roberta=True),
    ),
    "distilbert": (
        DistilBertForSequenceClassification,
        lambda vocabulary: DistilBertConfig(
            vocab_size=vocabulary, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=40,
            num_labels=CLASSES, initializer_range=0.15,
        ),
        word_piece,
    ),
    "gpt2": (
        GPT2ForSequenceClassification,
        lambda vocabulary: GPT2Config(
            vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=4, n_positions=40, num_labels=CLASSES,
            bos_token_id=0, eos_token_id=0, pad_token_id=0, initializer_range=0.15,
        ),
        lambda: byte_pairs(["<|endoftext|>"], roberta=False),
    ),
}


def drawn(model, seed):
    """Norms and biases far from ones and zeros, where a mistake would not show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def folder(family):
    """The folder of a family, and its model in f64."""
    kind, config, tokenizer = FAMILIES[family]
    tokenizer = tokenizer()
    torch.manual_seed(len(family))
    model = drawn(kind(config(tokenizer.get_vocab_size())), 7)
    path = OUT / family
    shutil.rmtree(path, ignore_errors=True)
    model.save_pretrained(path)
    (path / "model.safetensors").chmod(0o644)
    tokenizer.save(str(path / "tokenizer.json"), pretty=False)
    return model.double(), tokenizer


def batch(tokenizer, model, pairs):
    """Ids, mask and types of the texts, padded on the right to LENGTH."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=LENGTH)
    rows = [tokenizer.encode(a, b) if pairs else tokenizer.encode(a) for a, b in TEXTS]
    ids = np.full((len(rows), LENGTH), model.config.pad_token_id or 0, dtype=np.int32)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for place, row in enumerate(rows):
        length = len(row.ids)
        ids[place, :length], mask[place, :length], types[place, :length] = row.ids, 1, row.type_ids
    return ids, mask, types


def inputs(family, ids, mask, types):
    given = {"input_ids": torch.tensor(ids).long(), "attention_mask": torch.tensor(mask).long()}
    if family == "bert":
        given["token_type_ids"] = torch.tensor(types).long()
    return given


class Head(torch.nn.Module):
    """A pooling of the trunk's rows, numbers beside it, hidden layers, and the outputs."""

    def __init__(self, trunk, pooling, hidden, features, outputs):
        super().__init__()
        self.trunk, self.pooling = trunk, pooling
        generator = torch.Generator().manual_seed(11)
        sizes = [32 + features, *hidden, outputs]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        with torch.no_grad():
            for parameter in self.layers.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        self.double()

    def forward(self, given, features):
        rows, mask = self.trunk(**given).last_hidden_state, given["attention_mask"]
        if self.pooling == "mean":
            weight = mask.unsqueeze(-1).to(rows.dtype)
            x = (rows * weight).sum(1) / weight.sum(1)
        elif self.pooling == "first":
            x = rows[:, 0]
        else:
            x = rows[torch.arange(len(rows)), mask.sum(1) - 1]
        if features is not None:
            x = torch.cat([x, features], 1)
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)


def trace(name, family, tokenizer, model, pairs, head=None, objective="classes"):
    """Logits, loss, every gradient, and twenty steps of AdamW on one batch."""
    ids, mask, types = batch(tokenizer, model, pairs)
    given, arrays = inputs(family, ids, mask, types), {"ids": ids, "mask": mask, "types": types}
    state = {key: value.clone() for key, value in model.state_dict().items()}
    generator = torch.Generator().manual_seed(5)
    features, info = None, {"case": name, "family": family, "script": HERE.name, "source": SOURCE, "objective": objective}
    net = lambda: model(**given).logits
    named = dict(model.named_parameters())
    if head:
        trunk = getattr(model, model.base_model_prefix)
        wide = Head(trunk, head["pooling"], head["hidden"], FEATURES if head["features"] else 0, CLASSES)
        if head["features"]:
            features = torch.randn(len(TEXTS), FEATURES, generator=generator).float().double()
            arrays["features"] = features.float().numpy()
        net = lambda: wide(given, features)
        named = {f"{model.base_model_prefix}.{key}": value for key, value in trunk.named_parameters()}
        for place, layer in enumerate(wide.layers):
            ours = "classifier" if place == len(head["hidden"]) else f"head.{place}"
            for part, value in (("weight", layer.weight), ("bias", layer.bias)):
                named[f"{ours}.{part}"] = value
                arrays[f"init.{ours}.{part}"] = value.detach().float().numpy().copy()
        info["head"] = head
    targets = torch.randn(len(TEXTS), CLASSES, generator=generator).float().double()
    if objective == "labels":
        targets = (targets > 0).double()
    if objective != "classes":
        arrays["targets"] = targets.float().numpy()

    def loss():
        z = net()
        if objective == "classes":
            return F.cross_entropy(z, torch.tensor(LABELS))
        if objective == "labels":
            return F.binary_cross_entropy_with_logits(z, targets)
        return F.mse_loss(z, targets)

    arrays["logits"] = net().detach().numpy().copy()
    if not head:
        hidden = model(**given, output_hidden_states=True).hidden_states
        arrays["hidden"] = np.stack([rows.detach().numpy() for rows in hidden]).astype(np.float32)
    first = loss()
    first.backward()
    used = {key: value for key, value in named.items() if value.grad is not None}
    # Trunks are traced once whole; for other heads their gradients' norms say enough.
    for key, value in used.items():
        if not head or not key.startswith(model.base_model_prefix):
            arrays[f"grad.{key}"] = value.grad.float().numpy().copy()
    info["grad_norm"] = {key: float(value.grad.norm()) for key, value in used.items()}
    info["labels"] = LABELS
    info["optimizer"] = {"lr": LR, "weight_decay": DECAY, "betas": BETAS, "eps": EPS}
    optimizer = torch.optim.AdamW(used.values(), lr=LR, weight_decay=DECAY, betas=BETAS, eps=EPS)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        value = loss()
        losses.append(float(value))
        value.backward()
        optimizer.step()
    info["losses"] = losses
    arrays["logits_after"] = net().detach().numpy().copy()
    model.load_state_dict(state)
    model.zero_grad()
    path = OUT / f"{name}.safetensors"
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, path)
    path.chmod(0o644)
    (OUT / f"{name}.json").write_text(json.dumps(info, indent=1) + "\n", encoding="ascii")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    plain = {"hidden": [], "features": False}
    for family in FAMILIES:
        model, tokenizer = folder(family)
        trace(family, family, tokenizer, model, pairs=family in ("bert", "roberta"))
        if family == "bert":
            trace("bert_mean", family, tokenizer, model, False, {"pooling": "mean", **plain})
            trace("bert_first", family, tokenizer, model, False, {"pooling": "first", **plain})
            trace("bert_last_pairs", family, tokenizer, model, True, {"pooling": "last", **plain})
            wide = {"pooling": "mean", "hidden": [24, 16], "features": True}
            trace("bert_features", family, tokenizer, model, False, wide)
            trace("bert_labels", family, tokenizer, model, False, wide, "labels")
            trace("bert_numbers", family, tokenizer, model, True, {"pooling": "first", **plain}, "numbers")
        if family in ("roberta", "distilbert"):
            trace(f"{family}_mean", family, tokenizer, model, False, {"pooling": "mean", **plain})
        if family == "gpt2":
            trace("gpt2_mean", family, tokenizer, model, False, {"pooling": "mean", "hidden": [20], "features": False})
    total = sum(file.stat().st_size for file in OUT.rglob("*") if file.is_file())
    print(f"{total} bytes")
    assert total < 2_000_000


main()
