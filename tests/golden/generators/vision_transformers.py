"""PyTorch reference numbers for vision transformers: transformers' ViT, DeiT and DINOv2 with a classifier, and positions for pictures
of another size.

    python tests/golden/generators/vision_transformers.py [FOLDER]

Writes <case>.json and <case>.safetensors to tests/golden/vision; README.md there says what they hold. Everything runs on the CPU, on one
thread, in f64, and is stored as f32. Weights and pictures are `noise`, which src/twin/shared/rng.rs has too, so that no file holds them."""

import copy
import json
import pathlib
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.numpy import load_file, save_file
from transformers import (
    DeiTConfig, DeiTForImageClassification, DeiTModel, Dinov2Config, Dinov2ForImageClassification, Dinov2Model, ViTConfig,
    ViTForImageClassification, ViTModel,
)

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve()
OUT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "vision"
SOURCE = [f"{package.__name__}=={package.__version__.split('+')[0]}" for package in (torch, transformers)]
PICTURES, HEIGHT, WIDTH, CLASSES = 5, 33, 47, 5
LABELS = [0, 3, 1, 4, 3]
STEPS = 20
OPTIMIZERS = {
    "adamw": (torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 0.01}),
    "sgd": (torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9}),
}
OF_PICTURES = 1000


def pcg(counter):
    state = counter.astype(np.uint32) * np.uint32(747_796_405) + np.uint32(2_891_336_453)
    word = ((state >> ((state >> np.uint32(28)) + np.uint32(4))) ^ state) * np.uint32(277_803_737)
    return (word >> np.uint32(22)) ^ word


def noise(seed, shape):
    """Numbers in [-1, 1), from a seed, exact in f32."""
    key = pcg(pcg(np.array([seed], dtype=np.uint32)))
    places = np.arange(np.prod(shape, dtype=int), dtype=np.uint32)
    uniform = (pcg(places ^ key) >> np.uint32(8)).astype(np.float32) / np.float32(16_777_216)
    return (np.float32(2) * uniform - np.float32(1)).reshape(shape)


def drawn(name, shape):
    """Around what a tensor's noise lies, and how far it goes."""
    if name.endswith("lambda1"):
        return 0.5, 0.25
    if len(shape) == 1:
        return (1.0 if "norm" in name and name.endswith("weight") else 0.0), 0.25
    if len(shape) == 4:
        return 0.0, 0.125
    return 0.0, 0.25 if len(shape) == 2 else 0.5


SHARED = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 8, "image_size": [HEIGHT, WIDTH],
    "id2label": {place: f"class {place}" for place in range(CLASSES)},
}
MODELS = {
    "vit": (ViTForImageClassification, ViTConfig(intermediate_size=40, **SHARED)),
    "deit": (DeiTForImageClassification, DeiTConfig(intermediate_size=32, qkv_bias=False, hidden_act="gelu_new", **SHARED)),
    "dinov2": (Dinov2ForImageClassification, Dinov2Config(mlp_ratio=2, layerscale_value=0.5, use_mask_token=False, **SHARED)),
}


def saved(model):
    """A model's tensors under the names of its file."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads((pathlib.Path(folder) / "config.json").read_text())
        return load_file(pathlib.Path(folder) / "model.safetensors"), config


def loaded(kind, config):
    """The model whose file is noise, that file's tensors in their order, and its configuration as it is saved."""
    tensors, written = saved(kind(config))
    names = sorted(tensors)
    values = {}
    for seed, name in enumerate(names):
        around, spread = drawn(name, tensors[name].shape)
        values[name] = np.float32(around) + np.float32(spread) * noise(seed, tensors[name].shape)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "config.json").write_text(json.dumps(written))
        save_file(values, folder / "model.safetensors", {"format": "pt"})
        model, info = kind.from_pretrained(folder, dtype=torch.float64, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    told = [{"name": name, "shape": tensors[name].shape, "drawn": drawn(name, tensors[name].shape)} for name in names]
    return model.eval(), told, written


def save(name, arrays, info):
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.safetensors"
    save_file({key: np.ascontiguousarray(array, dtype=np.float32) for key, array in arrays.items()}, path)
    path.chmod(0o644)  # save_file creates it 0600
    text = json.dumps({"script": HERE.name, "source": SOURCE, **info}, separators=(",", ":"))
    (OUT / f"{name}.json").write_text(text + "\n", encoding="ascii")


def models():
    x = torch.tensor(noise(OF_PICTURES, (PICTURES, 3, HEIGHT, WIDTH))).double()
    labels = torch.tensor(LABELS)
    for name, (kind, config) in MODELS.items():
        model, tensors, written = loaded(kind, config)
        if name == "dinov2":
            # The class takes its table for that of a square picture, whatever its configuration says.
            embeddings = model.dinov2.embeddings
            embeddings.interpolate_pos_encoding = lambda *_: embeddings.position_embeddings
        begun, arrays = copy.deepcopy(model.state_dict()), {}
        info = {"config": written, "tensors": tensors, "labels": LABELS}
        for how, (rule, fields) in OPTIMIZERS.items():
            model.load_state_dict(begun)
            optimizer, losses = rule(model.parameters(), **fields), []
            for step in range(STEPS):
                optimizer.zero_grad()
                logits = model(x).logits
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                losses.append(loss.item())
                if step == 0 and how == "adamw":
                    arrays["logits"] = logits.detach().numpy().copy()
                    gradients = kind(config).double()
                    for own, other in zip(gradients.parameters(), model.parameters()):
                        own.data = other.grad.clone()
                    arrays |= {f"grad.{key}": value for key, value in saved(gradients)[0].items()}
                optimizer.step()
            with torch.no_grad():
                arrays[f"logits_after.{how}"] = model(x).logits.numpy()
            info[how] = {"losses": losses, **fields}
        save(name, arrays, info)


# Patches across a square picture, those wanted, and the class, or torch's own function for what no class has.
TABLES = [
    ((5, 5), (4, 6), ViTModel), ((5, 5), (9, 7), ViTModel), ((5, 5), (1, 1), ViTModel), ((6, 6), (4, 9), ViTModel),
    ((4, 4), (7, 7), DeiTModel), ((4, 4), (3, 2), DeiTModel), ((3, 3), (8, 5), Dinov2Model), ((7, 7), (3, 4), Dinov2Model),
    ((3, 4), (5, 2), None), ((1, 5), (2, 3), None),
]
NUMBERS, PATCH = 3, 2


def positions():
    arrays, cases = {}, []
    for seed, (before, after, kind) in enumerate(TABLES):
        tokens = 2 if kind is DeiTModel else 1
        table = torch.tensor(noise(seed, (1, tokens + before[0] * before[1], NUMBERS))).double()
        if kind:
            size = {"image_size": PATCH * before[0], "patch_size": PATCH, "num_hidden_layers": 1}
            config = kind.config_class(hidden_size=NUMBERS, num_attention_heads=1, intermediate_size=4, **size)
            embeddings = kind(config).double().embeddings
            embeddings.position_embeddings.data = table
            rows = torch.empty(1, tokens + after[0] * after[1], NUMBERS)
            other = embeddings.interpolate_pos_encoding(rows, PATCH * after[0], PATCH * after[1]).detach()
        else:
            patches = table[:, tokens:].reshape(1, *before, NUMBERS).permute(0, 3, 1, 2)
            patches = F.interpolate(patches, size=after, mode="bicubic", align_corners=False)
            other = torch.cat([table[:, :tokens], patches.permute(0, 2, 3, 1).reshape(1, -1, NUMBERS)], 1)
        arrays[str(seed)] = other.numpy()
        cases.append({"from": before, "to": after, "tokens": tokens, "class": kind.__name__ if kind else None})
    save("positions", arrays, {"width": NUMBERS, "cases": cases})


if __name__ == "__main__":
    models()
    positions()
    total = sum(file.stat().st_size for file in OUT.iterdir())
    print(f"{total} bytes")
    assert total <= 300_000
