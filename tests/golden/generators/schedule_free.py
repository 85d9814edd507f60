"""Reference numbers of Schedule-Free AdamW and SGD, of the package schedulefree.

    pip install torch==2.15.0 schedulefree==1.4.1 safetensors==0.8.0 numpy==2.4.6
    python tests/golden/generators/schedule_free.py [FOLDER]

Writes opt_<case>_f32 and opt_<case>_f64, .json and .safetensors, to tests/golden/optim, in the form of the cases that are
there: parameters after every step as they are trained, the state at the end, and in `eval.<parameter>` what is evaluated
then. Everything runs on the CPU, on one thread, from fixed seeds.
"""

import json
import pathlib
import sys

import numpy as np
import schedulefree
import torch
from importlib.metadata import version
from safetensors.numpy import save_file

torch.set_num_threads(1)
OUT = (pathlib.Path(sys.argv[1]) if sys.argv[1:] else pathlib.Path(__file__).resolve().parent.parent) / "optim"
TENSORS = {"a": [1], "b": [7], "c": [3, 11], "d": [130]}
STEPS = 12

CASES = {
    "schedulefree_adamw_1": ("AdamWScheduleFree", {"lr": 1e-2}, {}),
    "schedulefree_adamw_2": (
        "AdamWScheduleFree",
        {"lr": 2e-3, "weight_decay": 0.1, "betas": [0.8, 0.95], "eps": 1e-6, "r": 1.0},
        {1: 5e-3, 2: 1e-2, 6: 4e-3, 9: 0.0},
    ),
    "schedulefree_sgd_1": ("SGDScheduleFree", {"lr": 0.1}, {}),
    "schedulefree_sgd_2": (
        "SGDScheduleFree",
        {"lr": 0.0, "momentum": 0.5, "weight_decay": 0.05, "weight_lr_power": 1.0},
        {2: 0.2, 7: 0.1},
    ),
}


def run(case, dtype):
    class_name, args, changes = CASES[case]
    generator = torch.Generator().manual_seed(sum(map(ord, case)))
    draw = lambda shape: torch.randn(shape, generator=generator, dtype=torch.float32)
    init = {name: draw(shape) for name, shape in TENSORS.items()}
    grads = {name: draw([STEPS, *shape]) for name, shape in TENSORS.items()}
    model = {name: torch.nn.Parameter(value.to(dtype, copy=True)) for name, value in init.items()}
    optimizer = getattr(schedulefree, class_name)(model.values(), **args, foreach=False)
    optimizer.train()

    traced = {name: [] for name in TENSORS}
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = changes.get(step, group["lr"])
        for name, parameter in model.items():
            parameter.grad = grads[name][step].to(dtype, copy=True)    # the package writes into it
        optimizer.step()
        for name, parameter in model.items():
            traced[name].append(parameter.detach().numpy().copy())

    arrays = {}
    for name, parameter in model.items():
        arrays[f"init.{name}"], arrays[f"grad.{name}"] = init[name].numpy(), grads[name].numpy()
        arrays[f"param.{name}"] = np.stack(traced[name])
        for part, value in optimizer.state[parameter].items():
            arrays[f"state.{name}.{part}"] = value.numpy().copy()
    optimizer.eval()
    for name, parameter in model.items():
        arrays[f"eval.{name}"] = parameter.detach().numpy().copy()
    kind = "f32" if dtype == torch.float32 else "f64"
    stem = f"opt_{case}_{kind}"
    info = {
        "script": "schedule_free.py",
        "kind": "optimizer",
        "source": f"schedulefree=={version('schedulefree')} torch=={torch.__version__.split('+')[0]}",
        "callable": f"schedulefree.{class_name}",
        "args": args,
        "dtype": kind,
        "file": f"{stem}.safetensors",
        "n_steps": STEPS,
        "tensors": [{"name": name, "shape": shape} for name, shape in TENSORS.items()],
        "groups": [{"params": list(TENSORS)}],
        "group_added_before_step": {},
        "set_before_step": {str(step): [{"group": 0, "lr": lr}] for step, lr in changes.items()},
        "grad_present": [{name: True for name in TENSORS}] * STEPS,
        "step_count": [{name: float(step + 1) for name in TENSORS} for step in range(STEPS)],
        "notes": "",
        "steps": list(range(STEPS)),
        "values": [],
    }
    OUT.mkdir(parents=True, exist_ok=True)
    save_file(arrays, OUT / info["file"])
    (OUT / f"{stem}.json").write_text(json.dumps(info) + "\n")


if __name__ == "__main__":
    for case in CASES:
        for dtype in (torch.float32, torch.float64):
            run(case, dtype)
