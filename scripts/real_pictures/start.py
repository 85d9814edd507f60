"""The folder of timm's that both programs begin from: EfficientNet-Lite0, and a last layer whose values are drawn from a seed.

    python start.py WEIGHTS TRAIN_CSV SIDE SEED OUT_FOLDER"""

import csv
import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

from names import in_timm


def main(weights, train, side, seed, out):
    out, side = pathlib.Path(out), int(side)
    out.mkdir(parents=True, exist_ok=True)
    with open(train, newline="", encoding="utf-8") as file:
        labels = sorted({row["label"] for row in csv.DictReader(file)})
    tensors = {in_timm(name): tensor for name, tensor in load_file(weights).items()}
    draw, bound = np.random.default_rng(int(seed)), 1280**-0.5
    tensors["classifier.weight"] = draw.uniform(-bound, bound, (len(labels), 1280)).astype(np.float32)
    tensors["classifier.bias"] = draw.uniform(-bound, bound, len(labels)).astype(np.float32)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    # TensorFlow's pictures: (byte - 127) / 128.
    wants = {"input_size": [3, side, side], "mean": [127 / 255] * 3, "std": [128 / 255] * 3, "interpolation": "bicubic", "crop_pct": 1.0}
    config = {"architecture": "tf_efficientnet_lite0", "num_classes": len(labels), "label_names": labels, "pretrained_cfg": wants}
    (out / "config.json").write_text(json.dumps(config, indent=2))


main(*sys.argv[1:])
