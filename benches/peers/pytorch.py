"""PyTorch's steps: python3 pytorch.py fused|foreach|plain best|cpu WORK

WORK is what src/workload.rs says a step is, as JSON; questions and answers are those of src/protocol.rs. `best` is the
accelerator of the machine, if PyTorch has one for it. The batch lies on the device. Initial values and data are drawn here.
"""

import time

# The first step's time begins here, as another program's does: importing PyTorch is part of it.
STARTED = time.perf_counter()

import json
import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

# As in src/protocol.rs.
WARM_UP_STEPS, WARM_UP_SECONDS = 10, 5.0

LOOPS = {
    "fused": {"fused": True},
    "foreach": {"foreach": True, "fused": False},
    "plain": {"foreach": False, "fused": False},
}


class Block(nn.Module):
    def __init__(self, hidden, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.query, self.key, self.value, self.output = (nn.Linear(hidden, hidden) for _ in range(4))
        self.attention_norm, self.norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.up, self.down = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def attend(self, x):
        batch, tokens, hidden = x.shape
        split = lambda layer: layer(x).view(batch, tokens, self.heads, -1).transpose(1, 2)
        y = F.scaled_dot_product_attention(
            split(self.query), split(self.key), split(self.value), is_causal=self.causal
        )
        return self.output(y.transpose(1, 2).reshape(batch, tokens, hidden))

    def feed(self, x):
        return self.down(F.gelu(self.up(x)))

    def forward(self, x):
        if self.causal:  # pre-norm
            x = x + self.attend(self.attention_norm(x))
            return x + self.feed(self.norm(x))
        x = self.attention_norm(x + self.attend(x))
        return self.norm(x + self.feed(x))


class Transformer(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        hidden, self.causal = sizes["hidden"], sizes["causal"]
        self.tokens = nn.Embedding(sizes["vocabulary"], hidden)
        self.positions = nn.Embedding(sizes["positions"], hidden)
        self.types = nn.Embedding(sizes["types"], hidden) if sizes["types"] else None
        self.norm = nn.LayerNorm(hidden)
        self.blocks = nn.Sequential(*(Block(hidden, sizes["heads"], self.causal) for _ in range(sizes["layers"])))
        self.head = nn.Linear(hidden, sizes["outputs"], bias=not self.causal)

    def forward(self, names):
        x = self.tokens(names) + self.positions(torch.arange(names.shape[1], device=names.device))
        if self.types is not None:
            x = x + self.types(torch.zeros_like(names))
        if self.causal:
            return self.head(self.norm(self.blocks(x))).flatten(0, 1)
        return self.head(self.blocks(self.norm(x)).mean(1))


class Training:
    """A whole step of a model."""

    def __init__(self, model, inputs, labels, device, group, loop):
        self.model, self.inputs, self.labels = model.to(device), inputs.to(device), labels.to(device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=group["rate"], weight_decay=group["decay"], **loop
        )
        self.last = torch.tensor(float("nan"))

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.model(self.inputs), self.labels)
        loss.backward()
        self.optimizer.step()
        self.last = loss.detach()

    def loss(self):
        return self.last.item()

    def parameters(self):
        return list(self.model.parameters())


class Update:
    """The optimizer alone, over gradients that stay the same."""

    def __init__(self, tensors, groups, device, loop):
        self.tensors = [torch.ones(tensor["elements"], device=device, requires_grad=True) for tensor in tensors]
        slopes = torch.rand(max(tensor["elements"] for tensor in tensors), device=device) * 2 - 1
        members = [[] for _ in groups]
        for values, tensor in zip(self.tensors, tensors):
            values.grad = slopes[: tensor["elements"]].clone()
            members[tensor["group"]].append(values)
        given = [
            {"params": own, "lr": group["rate"], "weight_decay": group["decay"]}
            for own, group in zip(members, groups)
        ]
        self.optimizer = torch.optim.AdamW(given, **loop)

    def step(self):
        self.optimizer.step()

    def loss(self):
        with torch.no_grad():
            product = sum((values * values.grad).sum().item() for values in self.tensors)
        return product / sum(values.numel() for values in self.tensors)

    def parameters(self):
        return self.tensors


def opened(work, device, loop):
    model, groups = work["model"], work["groups"]
    if "tensors" in model:
        return Update(model["tensors"], groups, device, loop)
    if "mlp" in model:
        batch, sizes = model["mlp"]["batch"], model["mlp"]["sizes"]
        layers = [layer for pair in zip(sizes, sizes[1:]) for layer in (nn.Linear(*pair), nn.ReLU())]
        inputs, labels = torch.randn(batch, sizes[0]), torch.randint(sizes[-1], (batch,))
        return Training(nn.Sequential(*layers[:-1]), inputs, labels, device, groups[0], loop)
    sizes = model["transformer"]
    inputs = torch.randint(sizes["vocabulary"], (sizes["batch"], sizes["time"]))
    labels = torch.randint(sizes["outputs"], (inputs.numel() if sizes["causal"] else sizes["batch"],))
    return Training(Transformer(sizes), inputs, labels, device, groups[0], loop)


def best_device():
    accelerator = getattr(torch, "accelerator", None)
    if accelerator is not None and accelerator.is_available():
        return accelerator.current_accelerator()
    return torch.device("cpu")


def name_of(device):
    version = f"torch {torch.__version__}"
    if device.type == "cpu":
        return f"CPU; {torch.get_num_threads()} threads; {version}"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{name}; {device.type}; {version}"


def seconds_of_a_step(steps, device):
    started = time.perf_counter()
    steps.step()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - started


def main(loop, where, work):
    torch.manual_seed(7)
    # Every core, as the others take: by itself PyTorch may leave out those that share one.
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    device = best_device() if where == "best" else torch.device("cpu")
    steps = opened(json.loads(work), device, LOOPS[loop])
    seconds_of_a_step(steps, device)
    first = time.perf_counter() - STARTED
    parameters, loss = sum(values.numel() for values in steps.parameters()), steps.loss()
    warm = time.perf_counter()
    for step in range(1, WARM_UP_STEPS):
        if step > 1 and time.perf_counter() - warm > WARM_UP_SECONDS:
            break
        seconds_of_a_step(steps, device)
    kind = "cpu" if device.type == "cpu" else "gpu"
    print("ready", kind, parameters, first, loss, name_of(device), flush=True)
    for question in sys.stdin:
        if question.strip() == "step":
            print("seconds", seconds_of_a_step(steps, device), flush=True)
        elif question.strip() == "loss":
            print("loss", steps.loss(), flush=True)
        else:
            sys.exit(f"not a question: {question.strip()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
