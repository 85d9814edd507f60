"""PyTorch reference numbers for small MLP classifiers.

Run with Python 3.11, torch==2.15.0 (CPU), numpy==2.4.6, safetensors==0.8.0:

    pip install torch==2.15.0 numpy==2.4.6 safetensors==0.8.0
    python make.py

Reads ../../../data/digits/digits.u8 (relative to this file) and writes
<case>.json and <case>.safetensors next to itself. Everything runs on the CPU,
on one thread. See README.md for what the files hold.
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
DIGITS = HERE / "../../../data/digits/digits.u8"
STEPS = 20
BETAS, EPS = (0.9, 0.999), 1e-8
LR_W, WD_W = 3e-3, 0.05
LR_B, WD_B = 1e-3, 0.0
MAX_BYTES = 300_000

# name, sizes, activation, batch, seed, digits?
CASES = [
    ("digits_relu", [64, 48, 24, 10], "relu", 32, 1001, True),
    ("digits_gelu", [64, 40, 10], "gelu", 32, 1002, True),
    ("odd_relu", [13, 7, 5, 3], "relu", 9, 1003, False),
    ("odd_gelu", [13, 9, 3], "gelu", 5, 1004, False),
    ("linear", [6, 4], "relu", 3, 1005, False),
]


class Mlp(torch.nn.Module):
    def __init__(self, sizes, activation):
        super().__init__()
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(i, o) for i, o in zip(sizes, sizes[1:])
        )
        # torch.nn.GELU() is the erf form (approximate="none").
        self.act = {"relu": torch.nn.ReLU, "gelu": torch.nn.GELU}[activation]()

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i + 1 < len(self.layers):
                x = self.act(x)
        return x


def digits_batches(batch):
    rec = np.fromfile(DIGITS, dtype=np.uint8).reshape(-1, 65)[: STEPS * batch]
    x = rec[:, :64].astype(np.float32) / np.float32(16)
    y = rec[:, 64].astype(np.int32)
    return x.reshape(STEPS, batch, 64), y.reshape(STEPS, batch)


def random_batches(batch, inputs, classes):
    x = torch.randn(STEPS, batch, inputs, dtype=torch.float32)
    y = torch.randint(0, classes, (STEPS, batch))
    return x.numpy(), y.numpy().astype(np.int32)


def arrays(pairs):
    return {k: v.detach().numpy().copy() for k, v in pairs}


def train(sizes, activation, init, x, y, dtype):
    model = Mlp(sizes, activation)
    model.load_state_dict({k: torch.from_numpy(v) for k, v in init.items()})
    model.to(dtype)  # f32 -> f64 is exact
    named = dict(model.named_parameters())
    opt = torch.optim.AdamW(
        [
            {"params": [p for k, p in named.items() if k.endswith("weight")],
             "lr": LR_W, "weight_decay": WD_W},
            {"params": [p for k, p in named.items() if k.endswith("bias")],
             "lr": LR_B, "weight_decay": WD_B},
        ],
        betas=BETAS, eps=EPS, foreach=False, fused=False,
    )
    losses, correct, grad, logits0 = [], [], None, None
    for k in range(STEPS):
        xb = torch.from_numpy(x[k]).to(dtype)
        yb = torch.from_numpy(y[k]).to(torch.int64)
        opt.zero_grad()
        logits = model(xb)
        loss = torch.nn.functional.cross_entropy(logits, yb)
        loss.backward()
        losses.append(loss.item())
        correct.append(int((logits.argmax(1) == yb).sum()))
        if k == 0:
            logits0 = logits.detach().numpy().copy()
            grad = arrays((n, p.grad) for n, p in named.items())
        opt.step()
    return losses, correct, grad, logits0, arrays(named.items())


def max_diff(a, b):
    return max(float(np.abs(a[k].astype(np.float64) - b[k]).max()) for k in b)


def make(name, sizes, activation, batch, seed, digits):
    torch.manual_seed(seed)
    init = arrays(Mlp(sizes, activation).named_parameters())  # torch defaults
    if digits:
        x, y = digits_batches(batch)
        inputs = "batch k = records batch*k .. batch*(k+1) of digits.u8, pixels/16 as f32"
    else:
        x, y = random_batches(batch, sizes[0], sizes[-1])
        inputs = "x standard normal, y uniform over the classes, drawn after init"

    l64, correct, g64, logits, f64 = train(sizes, activation, init, x, y, torch.float64)
    l32, _, g32, logits32, f32 = train(sizes, activation, init, x, y, torch.float32)

    tensors = {f"init.{k}": v for k, v in init.items()}
    tensors.update({"x": x, "y": y, "logits": logits})
    tensors.update({f"grad.{k}": v for k, v in g64.items()})
    tensors.update({f"final.{k}": v for k, v in f64.items()})
    tensors = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    path = HERE / f"{name}.safetensors"
    save_file(tensors, path)
    path.chmod(0o644)  # save_file creates it 0600

    common = {"betas": list(BETAS), "eps": EPS}
    info = {
        "kind": "mlp",
        "source": "torch==2.15.0",
        "case": name,
        "sizes": sizes,
        "activation": activation,
        "batch": batch,
        "steps": STEPS,
        "seed": seed,
        "groups": [
            {"name": "weights", "params": [k for k in init if k.endswith("weight")],
             "lr": LR_W, "weight_decay": WD_W, **common},
            {"name": "biases", "params": [k for k in init if k.endswith("bias")],
             "lr": LR_B, "weight_decay": WD_B, **common},
        ],
        "loss_f64": l64,
        "loss_f32": l32,
        "accuracy_count": correct,
        "f32_vs_f64_max_abs": {
            "loss": max(abs(a - b) for a, b in zip(l32, l64)),
            "logits": float(np.abs(logits32 - logits).max()),
            "grad": max_diff(g32, g64),
            "final": max_diff(f32, f64),
        },
        "notes": [
            inputs,
            "loss is mean cross-entropy before the update of that step; "
            "accuracy_count is argmax hits per step in the f64 run",
            "gelu is the erf form; the activation follows every layer but the last"
            + ("; this case has one layer, so no activation is applied" if len(sizes) == 2 else ""),
            "the f64 run starts from init.* widened to f64, with x widened to f64",
            "AdamW is torch.optim.AdamW: decoupled decay p *= 1 - lr*weight_decay, "
            "eps added after the bias-corrected square root",
            "f32_vs_f64_max_abs compares torch's own f32 run with its f64 run",
        ],
    }
    jpath = HERE / f"{name}.json"
    jpath.write_text(json.dumps(info, indent=1) + "\n", encoding="ascii")

    # Read both back and check them.
    back = load_file(path)
    assert back.keys() == tensors.keys()
    for k, v in tensors.items():
        assert back[k].dtype == v.dtype and np.array_equal(back[k], v), k
        assert np.isfinite(v).all(), k
        want = np.int32 if k == "y" else np.float32 if k == "x" or k.startswith("init.") else np.float64
        assert v.dtype == want, k
    assert back["x"].shape == (STEPS, batch, sizes[0])
    assert back["y"].shape == (STEPS, batch)
    assert back["logits"].shape == (batch, sizes[-1])
    assert json.loads(jpath.read_text(encoding="ascii")) == info
    assert info["f32_vs_f64_max_abs"]["loss"] < 1e-5
    for p in (path, jpath):
        assert p.stat().st_size < MAX_BYTES, p.name
    print(f"{name}: loss {l64[0]:.6f} -> {l64[-1]:.6f}, correct {correct[0]} -> {correct[-1]}"
          f" of {batch}, f32 vs f64 {info['f32_vs_f64_max_abs']}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    if torch.__version__.split("+")[0] != "2.15.0":
        raise SystemExit(f"torch {torch.__version__}, expected 2.15.0")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for case in CASES:
        make(*case)
