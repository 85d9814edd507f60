"""EfficientNet-Lite0's logits on three pictures by gradus and by numpy: how far they are apart, up to what all logits have in common.

    python logits.py WEIGHTS EMOJI_FOLDER WORK_FOLDER GRADUS_COMMAND"""

import json
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

from names import BLOCKS, in_timm

STRIDES = [1, 2, 2, 2, 1, 2, 1]
SIDE = 224


def conv(x, weight, stride, groups=1):
    """A convolution with TensorFlow's zeros: x [height, width, inputs], weight [outputs, inputs of a group, taps, taps]."""
    height, width, _ = x.shape
    taps = weight.shape[2]
    down, across = (-(-side // stride) for side in (height, width))
    pads = [max((places - 1) * stride + taps - side, 0) for places, side in ((down, height), (across, width))]
    x = np.pad(x, [(pad // 2, pad - pad // 2) for pad in pads] + [(0, 0)])
    total = 0
    for row in range(taps):
        for column in range(taps):
            seen = x[row : row + stride * down : stride, column : column + stride * across : stride]
            tap = weight[:, :, row, column]
            total = total + (seen * tap[:, 0] if groups > 1 else seen @ tap.T)
    return total


def logits(w, x):
    def normed(x, name, acts=True):
        scale = w[f"{name}.weight"] / np.sqrt(w[f"{name}.running_var"] + 1e-3)
        y = (x - w[f"{name}.running_mean"]) * scale + w[f"{name}.bias"]
        return np.clip(y, 0, 6) if acts else y

    x = normed(conv(x, w["conv_stem.weight"], 2), "bn1")
    for stage, blocks in enumerate(BLOCKS):
        for block in range(blocks):
            at, y, norm = f"blocks.{stage}.{block}", x, 1
            if stage:
                y, norm = normed(conv(y, w[f"{at}.conv_pw.weight"], 1), f"{at}.bn1"), 2
            deep = w[f"{at}.conv_dw.weight"]
            y = normed(conv(y, deep, STRIDES[stage] if block == 0 else 1, len(deep)), f"{at}.bn{norm}")
            project = "conv_pwl" if stage else "conv_pw"
            y = normed(conv(y, w[f"{at}.{project}.weight"], 1), f"{at}.bn{norm + 1}", acts=False)
            x = y + x if y.shape == x.shape else y
    x = normed(conv(x, w["conv_head.weight"], 1), "bn2").mean((0, 1))
    return w["classifier.weight"] @ x + w["classifier.bias"]


def main(weights, emoji, work, command):
    folder, few = pathlib.Path(work) / "lite0", pathlib.Path(work) / "three"
    folder.mkdir(exist_ok=True)
    few.mkdir(exist_ok=True)
    tensors = {in_timm(name): tensor for name, tensor in load_file(weights).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    wants = {"input_size": [3, SIDE, SIDE], "mean": [127 / 255] * 3, "std": [128 / 255] * 3, "crop_pct": 1.0}
    names = [f"class {place}" for place in range(1000)]
    config = {"architecture": "tf_efficientnet_lite0", "num_classes": 1000, "label_names": names, "pretrained_cfg": wants}
    (folder / "config.json").write_text(json.dumps(config))
    wide = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    theirs = []
    for place, file in enumerate(sorted(pathlib.Path(emoji).glob("*.png"))[100:1600:600]):
        picture = Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.BILINEAR)
        picture.save(few / f"{place}.png")
        theirs.append(logits(wide, (np.asarray(picture, np.float64) - 127) / 128))
    told = subprocess.run([*command.split(), "predict", str(folder), str(few), "--top", "1000", "--json"], capture_output=True, text=True, check=True)
    far = 0
    for line, theirs_of in zip(told.stdout.splitlines(), theirs, strict=True):
        shares = {one["label"]: one["probability"] for one in json.loads(line)["top"]}
        # Small probabilities have few digits left.
        seen = [place for place, name in enumerate(names) if shares.get(name, 0) > 1e-6]
        ours, of_theirs = np.log([shares[names[place]] for place in seen]), theirs_of[seen]
        far = max(far, np.abs((ours - ours.mean()) - (of_theirs - of_theirs.mean())).max())
    print(f"logits of three pictures within {far:.1e} of numpy's")
    assert far <= 1e-3, far


main(*sys.argv[1:])
