"""What a run costs PyTorch in calls: python3 pytorch_calls.py w1|w2|w3 STEPS

The run is that of benches/round_trips.rs: ten epochs, three phases that thaw more, an evaluation of four batches after each
epoch whose loss and accuracy the host reads, AdamW (fused). The batch lies on the device. What is counted are the operations
that reach a backend, less those that only name memory (views, empty tensors): each of them is a launch at least. A step of
each phase and an evaluation are counted on the CPU and multiplied; on a GPU some operations are several launches, and a loop
that logs the loss of every step, or brings each batch from the host, waits and copies more.
"""

import sys
from collections import Counter

import torch
from pytorch import LOOPS, Training, Transformer
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

EPOCHS, TESTED = 10, 4
# Epochs that each phase lasts.
LASTS = [3, 3, 4]
NAMES = (
    "view _unsafe_view reshape t transpose permute expand as_strided detach alias slice select split unsqueeze squeeze "
    "empty empty_like empty_strided new_empty new_empty_strided lift_fresh unbind _local_scalar_dense"
).split()


class Calls(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))

    def computing(self):
        return sum(count for name, count in self.counts.items() if name not in NAMES)


def counted(call):
    calls = Calls()
    with calls:
        call()
    return calls


def work(name):
    """The training, and what each phase thaws by the beginnings of names."""
    group = {"rate": 1e-4, "decay": 0.01}
    if name == "w1":
        sizes = [784, 256, 128, 10]
        layers = [layer for pair in zip(sizes, sizes[1:]) for layer in (nn.Linear(*pair), nn.ReLU())]
        given = nn.Sequential(*layers[:-1]), torch.randn(128, 784), torch.randint(10, (128,))
        return given, group, [["4."], ["2."], ["0."]]
    causal = name == "w2"
    sizes = {"hidden": 128, "heads": 4, "layers": 4, "vocabulary": 96, "positions": 64, "types": 0, "outputs": 96}
    if not causal:
        sizes = {"hidden": 384, "heads": 12, "layers": 6, "vocabulary": 30_522, "positions": 64, "types": 2, "outputs": 8}
    batch = 16 if causal else 4
    inputs = torch.randint(sizes["vocabulary"], (batch, 64))
    labels = torch.randint(sizes["outputs"], (batch * 64 if causal else batch,))
    upper = [f"blocks.{block}." for block in ((2, 3) if causal else (3, 4, 5))]
    head = ["head.", "norm."] if causal else ["head."]
    return (Transformer({**sizes, "causal": causal}), inputs, labels), group, [head, upper, [""]]


def main(name, steps):
    given, group, phases = work(name)
    training = Training(*given, torch.device("cpu"), group, LOOPS["fused"])
    model = training.model
    model.requires_grad_(False)
    training.optimizer = None
    metrics = []

    def evaluate():
        with torch.no_grad():
            for _ in range(TESTED):
                logits = model(training.inputs)
                loss = nn.functional.cross_entropy(logits, training.labels)
                metrics[:] = [loss, (logits.argmax(1) == training.labels).float().mean()]
            # The only place where the host waits: both numbers come back.
            return [metric.item() for metric in metrics]

    per_epoch, operations, calls_of_steps = steps // EPOCHS, 0, []
    for beginnings, epochs in zip(phases, LASTS):
        new = [
            values
            for known, values in model.named_parameters()
            if not values.requires_grad and any(known.startswith(beginning) for beginning in beginnings)
        ]
        for values in new:
            values.requires_grad_(True)
        if training.optimizer is None:
            training.optimizer = torch.optim.AdamW(new, lr=group["rate"], weight_decay=group["decay"], fused=True)
        else:
            training.optimizer.add_param_group({"params": new})
        training.step()  # moments are made by the first step
        step, test = counted(training.step).computing(), counted(evaluate).computing()
        calls_of_steps.append(step)
        operations += epochs * (per_epoch * step + test)
    reads = 2 * EPOCHS
    print(
        f"torch {torch.__version__} {name} {per_epoch * EPOCHS} steps: {operations} operations that compute "
        f"({', '.join(map(str, calls_of_steps))} a step by phase), {reads} reads that wait, {4 * reads} bytes down"
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
