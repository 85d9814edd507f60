"""transformers' GreedyLR: the settings and metrics of each case stand in its file, the rates are made anew.

    python tests/golden/generators/greedy.py [FOLDER]
"""
import json
import math
import pathlib

import torch
import transformers
from common import dump, groups, ver

HERE = pathlib.Path(__file__).resolve().parent.parent / "laws"


def number(x):
    return float(x) if isinstance(x, str) else x


for file in sorted(HERE.glob("lr_hf_greedy_*.json")):
    case = json.loads(file.read_text())
    case.pop("script", None)
    optimizer = torch.optim.SGD(groups(case["group_lrs"]), lr=case["group_lrs"][0])
    make = getattr(transformers, case["callable"].split(".")[-1])
    args = dict(case["args"])
    scheduler = make(args.pop("name"), optimizer, **args) if "name" in args else make(optimizer, **args)
    rates = lambda: [group["lr"] for group in optimizer.param_groups]
    values = [rates()]
    for metric in case["metrics"]:
        scheduler.step(number(metric))
        values.append(rates())
    assert not any(math.isnan(rate) for row in values for rate in row)
    dump(file.stem, {**case, "source": ver("transformers"), "values": values})
