"""The folder that both programs begin from: MiniLM, and a head of one layer whose values are drawn from a seed.

    python start.py MODEL_FOLDER TRAIN_CSV SEED OUT_FOLDER"""

import csv
import json
import pathlib
import shutil
import sys

import numpy as np
from safetensors.numpy import save_file


def main(model, train, seed, out):
    out = pathlib.Path(out)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(model, out)
    with open(train, newline="", encoding="utf-8") as file:
        labels = sorted({sense for _, sense in list(csv.reader(file))[1:]})
    config = json.loads((out / "config.json").read_text())
    config["id2label"] = {str(place): label for place, label in enumerate(labels)}
    config["label2id"] = {label: place for place, label in enumerate(labels)}
    (out / "config.json").write_text(json.dumps(config, indent=2))
    width = config["hidden_size"]
    draw = np.random.default_rng(int(seed))
    bound = width**-0.5
    head = {
        "classifier.weight": draw.uniform(-bound, bound, (len(labels), width)).astype(np.float32),
        "classifier.bias": draw.uniform(-bound, bound, len(labels)).astype(np.float32),
    }
    save_file(head, out / "head.safetensors", metadata={"format": "pt"})


main(*sys.argv[1:])
