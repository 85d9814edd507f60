"""PyTorch reference numbers for the moving average of parameters: AveragedModel beside AdamW, Adam and SGD.

    pip install torch==2.15.0 safetensors==0.8.0 numpy==2.4.6
    python tests/golden/generators/average.py [FOLDER]

Writes opt_<case>_f32 and opt_<case>_f64, .json and .safetensors, to tests/golden/optim, in the form of the cases that are
there: parameters after every step, and the state at the end, where the average of a parameter `p` is `p.ema`. Everything
runs on the CPU, on one thread, from fixed seeds.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

OUT = (pathlib.Path(sys.argv[1]) if sys.argv[1:] else pathlib.Path(__file__).resolve().parent.parent) / "optim"
TENSORS = {"a": [1], "b": [7], "c": [3, 11], "d": [130]}
STEPS = 12

CASES = {
    "adamw_average": ("AdamW", {"lr": 1e-2, "weight_decay": 0.1}, 0.9, {}),
    "adamw_average_amsgrad": ("AdamW", {"lr": 1e-2, "amsgrad": True}, 0.99, {}),
    "adam_average_law": ("Adam", {"lr": 1e-2, "weight_decay": 0.05}, 0.2, {3: 0.5, 7: 0.999, 9: 1.0, 11: 0.0}),
    "sgd_average": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}, 0.8, {}),
}


class Bag(torch.nn.Module):
    """Nothing but parameters."""

    def __init__(self, values):
        super().__init__()
        for name, value in values.items():
            self.register_parameter(name, torch.nn.Parameter(value))


def run(case, dtype):
    class_name, args, decay, changes = CASES[case]
    generator = torch.Generator().manual_seed(sum(map(ord, case)))
    draw = lambda shape: torch.randn(shape, generator=generator, dtype=torch.float32)
    init = {name: draw(shape) for name, shape in TENSORS.items()}
    grads = {name: draw([STEPS, *shape]) for name, shape in TENSORS.items()}
    model = Bag({name: value.to(dtype, copy=True) for name, value in init.items()})
    optimizer = getattr(torch.optim, class_name)(model.parameters(), **args)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))

    traced = {name: [] for name in TENSORS}
    for step in range(STEPS):
        if step in changes:
            average.multi_avg_fn = get_ema_multi_avg_fn(changes[step])
        for name, parameter in model.named_parameters():
            parameter.grad = grads[name][step].to(dtype)
        optimizer.step()
        average.update_parameters(model)
        for name, parameter in model.named_parameters():
            traced[name].append(parameter.detach().numpy().copy())

    kind = "f32" if dtype == torch.float32 else "f64"
    arrays = {}
    for name in TENSORS:
        arrays[f"init.{name}"], arrays[f"grad.{name}"] = init[name].numpy(), grads[name].numpy()
        arrays[f"param.{name}"] = np.stack(traced[name])
        state = optimizer.state[getattr(model, name)]
        for part, value in state.items():
            if part != "step":
                arrays[f"state.{name}.{part}"] = value.numpy()
        arrays[f"state.{name}.ema"] = getattr(average.module, name).detach().numpy()
    counts = None if class_name == "SGD" else 1.0
    stem = f"opt_{case}_{kind}"
    info = {
        "script": "average.py",
        "kind": "optimizer",
        "source": f"torch=={torch.__version__.split('+')[0]}",
        "callable": f"torch.optim.{class_name}",
        "args": {**args, "ema_decay": decay},
        "dtype": kind,
        "file": f"{stem}.safetensors",
        "n_steps": STEPS,
        "tensors": [{"name": name, "shape": shape} for name, shape in TENSORS.items()],
        "groups": [{"params": list(TENSORS)}],
        "group_added_before_step": {},
        "set_before_step": {str(step): [{"group": 0, "ema_decay": value}] for step, value in changes.items()},
        "grad_present": [{name: True for name in TENSORS}] * STEPS,
        "step_count": [{name: counts and counts + step for name in TENSORS} for step in range(STEPS)],
        "total_norm": None,
        "notes": "torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn, updated after every step",
    }
    path = OUT / f"{stem}.safetensors"
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    path.chmod(0o644)  # save_file creates it 0600
    (OUT / f"{stem}.json").write_text(json.dumps(info) + "\n", encoding="ascii")
    print(f"{stem}: {len(arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in CASES:
        for dtype in (torch.float32, torch.float64):
            run(case, dtype)
