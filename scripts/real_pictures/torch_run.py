"""The runs of the YAML files by PyTorch and timm: the same pictures in the same order, the same start, the same rates.

    python torch_run.py START_FOLDER TABLES_FOLDER OUT.json --way head|everything|gradual [--seed 1]"""

import argparse
import csv
import json
import pathlib
import sys
import time

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "real"))
from order import order

BATCH = 32
# Epochs and the first rate; the phases of efficientnet_lite_gradual.yaml: how long each lasts, what thaws, and its rate.
WAYS = {"head": (5, 1e-3), "everything": (3, 3e-4), "gradual": (5, 1e-3)}
PHASES = [(2, ("classifier.",), 1e-3), (2, ("conv_head.", "bn2.", "blocks.5.", "blocks.6."), 3e-4), (1, ("",), 1e-4)]


def read(folder, name, labels, config):
    with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pixels = np.stack([np.asarray(Image.open(folder / row["image"]).convert("RGB")) for row in rows])
    mean, std = (np.float32(config["pretrained_cfg"][key]) for key in ("mean", "std"))
    x = torch.from_numpy((pixels.astype(np.float32) / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()
    return x, torch.tensor([labels.index(row["label"]) for row in rows])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("start")
    parser.add_argument("tables")
    parser.add_argument("out")
    parser.add_argument("--way", choices=list(WAYS), required=True)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(2)
    start, tables = pathlib.Path(asked.start), pathlib.Path(asked.tables)
    config = json.loads((start / "config.json").read_text())
    labels = config["label_names"]
    (x, y), (test_x, test_y) = (read(tables, name, labels, config) for name in ("train", "test"))
    model = timm.create_model("tf_efficientnet_lite0", num_classes=len(labels))
    model.load_state_dict(load_file(start / "model.safetensors"))
    epochs, rate = WAYS[asked.way]
    of_epoch = len(x) // BATCH
    steps, warm = of_epoch * epochs, round(of_epoch * epochs * 0.1)
    features = None
    if asked.way == "head":
        model.eval()
        with torch.no_grad():
            features, test_features = (
                torch.cat([model.forward_head(model.forward_features(part), pre_logits=True) for part in all.split(64)]) for all in (x, test_x)
            )

    groups, seen = [], set()

    def thaw(starts, rate):
        """Parameters that begin to train with this rate; norms and biases do not decay."""
        fresh = [(name, p) for name, p in model.named_parameters() if name.startswith(starts) and name not in seen]
        seen.update(name for name, _ in fresh)
        decays = lambda name: not ("bias" in name or "bn" in name)
        for decay in (True, False):
            params = [p for name, p in fresh if decays(name) == decay]
            if params:
                groups.append({"params": params, "weight_decay": 0.01 if decay else 0.0, "lr": rate})
        return groups[-2:]

    for p in model.parameters():
        p.requires_grad = False
    phases = PHASES if asked.way == "gradual" else [(epochs, ("classifier.",) if asked.way == "head" else ("",), rate)]
    ends = np.cumsum([length for length, _, _ in phases])
    optimizer, phase = None, -1
    losses, seconds, told = [], [], []
    for epoch in range(epochs):
        if phase < 0 or epoch == ends[phase]:
            phase += 1
            fresh = thaw(phases[phase][1], phases[phase][2])
            for group in fresh:
                for p in group["params"]:
                    p.requires_grad = True
            if optimizer is None:
                optimizer = torch.optim.AdamW(fresh, fused=True)
            else:
                for group in fresh:
                    optimizer.add_param_group(group)
        model.train(features is None)
        places = order(len(x), asked.seed, epoch)
        for at in range(0, of_epoch * BATCH, BATCH):
            rows = places[at : at + BATCH]
            began = time.perf_counter()
            step = len(losses)
            if asked.way != "gradual":
                share = step / max(1, warm) if step < warm else max(0.0, (steps - step) / max(1, steps - warm))
                for group in optimizer.param_groups:
                    group["lr"] = rate * share
            z = model.classifier(features[rows]) if features is not None else model(x[rows])
            loss = torch.nn.functional.cross_entropy(z, y[rows])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
            optimizer.step()
            seconds.append(time.perf_counter() - began)
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            z = model.classifier(test_features) if features is not None else torch.cat([model(part) for part in test_x.split(64)])
        accuracy = (z.argmax(1) == test_y).float().mean().item()
        told.append({"val_loss": torch.nn.functional.cross_entropy(z, test_y).item(), "val_accuracy": accuracy})
        print(f"torch  {asked.way}, epoch {epoch + 1}: accuracy {100 * accuracy:.2f} %", flush=True)
    out = {"losses": losses, "epochs": told, "step_seconds": sorted(seconds)[len(seconds) // 2]}
    out["predicted"] = [labels[place] for place in z.argmax(1)]
    pathlib.Path(asked.out).write_text(json.dumps(out))


main()
