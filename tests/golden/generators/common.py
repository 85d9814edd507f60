"""What the generators share. Each writes its files into tests/golden, or into the folder that it is given:

    python3 -m venv env && env/bin/pip install -r tests/golden/generators/requirements.txt
    env/bin/python tests/golden/generators/laws.py [FOLDER]

A file names its script, and holds the settings of its case. JSON comes out byte for byte as it is here (but three of phases.py,
which carry texts or orders that vary); numbers in safetensors may differ in their last bits on another processor."""
import importlib.metadata as md
import json
import math
import pathlib
import sys

import torch

torch.set_num_threads(1)
OUT = [pathlib.Path(word) for word in sys.argv[1:] if not word.startswith("-")]
ROOT = OUT[0] if OUT else pathlib.Path(__file__).resolve().parent.parent
FOLDERS = {"lr": "laws", "lrfind": "lr_find", "opt": "optim", "clip": "optim", "scaler": "optim", "fts": "phases", "freezer": "phases"}


def ver(pkg):
    return f"{pkg}=={md.version(pkg)}"


def clean(x):
    """JSON-safe copy: nan/inf become strings, tensors become lists/floats."""
    if isinstance(x, torch.Tensor):
        x = x.tolist()
    if isinstance(x, bool) or x is None or isinstance(x, (int, str)):
        return x
    if isinstance(x, float):
        if math.isnan(x):
            return "nan"
        if math.isinf(x):
            return "inf" if x > 0 else "-inf"
        return x
    if isinstance(x, dict):
        return {str(k): clean(v) for k, v in x.items()}
    if isinstance(x, (list, tuple, set)):
        return [clean(v) for v in x]
    try:
        return clean(float(x))
    except Exception:
        return str(x)


def path(name):
    """Where a file lies, by the first word of its name."""
    folder = ROOT / FOLDERS[name.split("_")[0]]
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def dump(name, obj):
    obj = {"script": pathlib.Path(sys.argv[0]).name, **obj}
    text = json.dumps(clean(obj), separators=(",", ":"), allow_nan=False)
    path(name + ".json").write_text(text + "\n")


def groups(lrs, **extra):
    out = []
    for i, lr in enumerate(lrs):
        g = {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr}
        for k, v in extra.items():
            g[k] = v[i]
        out.append(g)
    return out


def err(fn):
    """Run fn, return {type, message} when it raises, else None."""
    try:
        fn()
    except BaseException as e:  # noqa: BLE001
        return {"type": type(e).__name__, "message": str(e)}
    return None
