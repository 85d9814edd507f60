"""A step of each update rule on gradus' CPU engine and with torch's own class, in turn: python3 pytorch_rules.py COMMAND…

COMMAND serves steps: cargo bench --bench optim_step -- serve. Parameters are the 101 tensors of an encoder in MiniLM's shape;
both have the same numbers of momentum and decay, and what a rule is not for has AdamW. torch's loop is fused where its class has
one and it is the faster, else foreach, else one tensor after the other. A ratio is torch's time over ours, the median of pairs.
"""

import statistics
import subprocess
import sys
import time

import torch

HIDDEN, WIDE, LAYERS = 384, 1536, 6
PAIRS, LEAST_SECONDS = 15, 0.15
CLASSES = {
    "adamw": "AdamW", "adam": "Adam", "sgd": "SGD", "adadelta": "Adadelta", "adagrad": "Adagrad", "adamax": "Adamax",
    "nadam": "NAdam", "radam": "RAdam", "rmsprop": "RMSprop", "adafactor": "Adafactor", "muon": "Muon",
}
MOMENTUM = ("sgd", "rmsprop", "muon")


def shapes():
    norm = [[HIDDEN]] * 2
    linear = lambda outputs, inputs: [[outputs, inputs], [outputs]]
    layer = linear(HIDDEN, HIDDEN) * 4 + norm + linear(WIDE, HIDDEN) + linear(HIDDEN, WIDE) + norm
    return [[30522, HIDDEN], [512, HIDDEN], [2, HIDDEN]] + norm + layer * LAYERS


def optimizers(rule, params):
    """torch's loops of a rule, each a list of optimizers."""
    kind = getattr(torch.optim, CLASSES[rule])
    own = [p for p in params if rule != "muon" or p.dim() == 2]
    others = [p for p in params if rule == "muon" and p.dim() != 2]
    arguments = {"lr": 1e-6, "weight_decay": 0.01, **({"momentum": 0.9} if rule in MOMENTUM else {})}
    loops = [{"fused": True}, {"foreach": True}, {"foreach": False}] if rule != "muon" else [{}]
    for loop in loops:
        try:
            made = [kind(own, **arguments, **loop)]
            made += [torch.optim.AdamW(others, lr=1e-6, fused=True)] if others else []
            yield "fused" if "fused" in loop else ("foreach" if loop.get("foreach") else "plain"), made
        except (TypeError, RuntimeError, ValueError):
            pass


def timed(steps, made):
    begin = time.perf_counter()
    for _ in range(steps):
        for optimizer in made:
            optimizer.step()
    return (time.perf_counter() - begin) / steps


def main():
    ours = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def our_step(rule, steps):
        ours.stdin.write(f"{rule} {steps}\n")
        ours.stdin.flush()
        return float(ours.stdout.readline()) / steps

    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape) * 0.1) for shape in shapes()]
    for p in params:
        p.grad = torch.randn_like(p)
    print("| rule | torch's loop | torch, ms | gradus, ms | ratio [quartiles] |\n|---|---|---|---|---|")
    for rule in CLASSES:
        loops = list(optimizers(rule, params))
        first = {name: (timed(1, made), min(timed(1, made) for _ in range(3)))[1] for name, made in loops}
        name = min(first, key=first.get)
        made = dict(loops)[name]
        our_step(rule, 1)
        steps = max(1, round(LEAST_SECONDS / our_step(rule, 1)))
        pairs = [(timed(steps, made), our_step(rule, steps)) for _ in range(PAIRS)]
        low, middle, high = statistics.quantiles([theirs / own for theirs, own in pairs], n=4)
        theirs, own = (1e3 * statistics.median(side) for side in zip(*pairs))
        print(f"| {rule} | {name} | {theirs:.1f} | {own:.1f} | {middle:.2f} [{low:.2f}, {high:.2f}] |", flush=True)


if __name__ == "__main__":
    main()
