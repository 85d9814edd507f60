"""LR range tests: (a) direct formula, (b) Lightning's Tuner.lr_find run for real on scripted losses, (c) its suggestion() on arrays."""
import logging
import math
import os
import shutil
import warnings

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np
import torch
from common import dump, ver

torch.set_num_threads(1)
import lightning.pytorch as pl
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.tuner.lr_finder import _LRFinder

logging.getLogger("lightning.pytorch").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore")
TMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), ".lrf_tmp")


def curve(kind, n, seed, lo, hi):
    """scripted raw losses as a function of the swept lr: flat, then falling, then exploding, with seeded noise"""
    r = np.random.RandomState(seed)
    out = []
    for i in range(n):
        x = i / max(1, n - 1)
        if kind == "u":
            v = 2.3 - 1.6 / (1 + math.exp(-18 * (x - 0.5))) + (0.004 * math.exp(14 * (x - 0.62)) if x > 0.62 else 0)
        elif kind == "flat":
            v = 1.0
        elif kind == "rise":
            v = 1.0 + 3 * x
        elif kind == "dip":
            v = 1.5 - 0.8 * math.exp(-((x - 0.4) / 0.05) ** 2)
        out.append(float(v + 0.02 * r.randn() * (kind in ("u", "dip"))))
    return out


def formula(name, num, lo, hi, beta, kind, seed, fix=None, factor=4.0):
    raw = curve(kind, num + 1, seed, lo, hi)
    if fix:
        fix(raw)
    lrs, sm, best, avg, stop = [], [], None, 0.0, None
    for i in range(num + 1):
        lr = lo * (hi / lo) ** (i / num)
        avg = beta * avg + (1 - beta) * raw[i]
        s = avg / (1 - beta ** (i + 1))
        if i > 0 and (s > factor * best or math.isnan(s)):
            stop = i
            break
        lrs.append(lr); sm.append(s)
        best = s if best is None or s < best else best
    a = np.array(sm); l = np.array(lrs)
    sug = {}
    if len(a) >= 2:
        for k, g in (("index_spacing", np.gradient(a)), ("log_lr_spacing", np.gradient(a, np.log(l))), ("lr_spacing", np.gradient(a, l))):
            j = int(np.argmin(g)); sug[k] = {"index": j, "lr": float(l[j])}
        j = int(np.argmin(a)); sug["minimum_over_10"] = {"index": j, "lr": float(l[j]) / 10}
    dump("lrfind_formula_" + name, dict(kind="lr_find_formula", source="formula", callable="exponential LR range test", args=dict(start=lo, end=hi, num=num, beta=beta, diverge_factor=factor), losses=raw,
         notes="lr_i = start*(end/start)^(i/num), i = 0..num; avg = beta*avg+(1-beta)*loss; smoothed = avg/(1-beta^(i+1)); the sweep stops BEFORE recording index i (i>0) when smoothed > diverge_factor*best or NaN; suggestion = argmin of numpy.gradient of the smoothed losses under three spacings",
         stopped_at=stop, steps=list(range(len(sm))), values=[[x] for x in lrs], smoothed=sm, suggestion=sug))


class M(pl.LightningModule):
    def __init__(self, losses, lrs=(0.1,)):
        super().__init__()
        self.p = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(1)) for _ in lrs])
        self.losses, self.group_lrs, self.k, self.seen = losses, lrs, 0, []
        self.learning_rate = lrs[0]

    def training_step(self, b, i):
        v = self.losses[min(self.k, len(self.losses) - 1)]
        self.k += 1
        self.seen.append([g["lr"] for g in self.trainer.optimizers[0].param_groups])
        return v + 0.0 * sum(p.sum() for p in self.p)

    def configure_optimizers(self):
        return torch.optim.SGD([{"params": [p], "lr": l} for p, l in zip(self.p, self.group_lrs)], lr=0.1)


def real(name, kw, losses, n_data=400, lrs=(0.1,), skips=((10, 1),), notes=""):
    shutil.rmtree(TMP, ignore_errors=True)
    m = M(losses, lrs)
    tr = pl.Trainer(accelerator="cpu", devices=1, max_epochs=3, logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, default_root_dir=TMP)
    dl = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(n_data, 1)), batch_size=1)
    f = Tuner(tr).lr_find(m, dl, update_attr=False, **kw)
    sug = {}
    for a, b in skips:
        v = f.suggestion(skip_begin=a, skip_end=b)
        sug[f"{a},{b}"] = {"lr": v, "index": f._optimal_idx}
    dump("lrfind_lightning_" + name, dict(kind="lr_find_lightning", source=ver("lightning"), callable="lightning.pytorch.tuner.Tuner.lr_find", args=kw, group_lrs=list(lrs), losses=losses[: m.k], notes=notes + " losses = raw scripted losses in order of training batches; values = per-group lr in force for each batch; result = what lr_find returns (smoothed loss)",
         steps=list(range(len(m.seen))), values=m.seen, result=f.results, suggestion_skip_begin_end=sug, training_batches_run=m.k))


def sugg(name, lr, loss, skips, notes=""):
    f = _LRFinder("exponential", lr[0], lr[-1], len(lr))
    f.results = {"lr": lr, "loss": loss}
    out = {}
    for a, b in skips:
        v = f.suggestion(skip_begin=a, skip_end=b)
        out[f"{a},{b}"] = {"lr": v, "index": f._optimal_idx}
    dump("lrfind_suggestion_" + name, dict(kind="lr_find_suggestion", source=ver("lightning"), callable="lightning.pytorch.tuner.lr_finder._LRFinder.suggestion", args={}, notes=notes, steps=list(range(len(lr))), values=[[x] for x in lr], losses=loss, suggestion_skip_begin_end=out))


if __name__ == "__main__":
    nan, inf = float("nan"), float("inf")
    formula("u", 100, 1e-7, 10.0, 0.98, "u", 1)
    formula("nosmooth", 50, 1e-5, 1.0, 0.0, "u", 2)
    formula("flat", 20, 1e-4, 1.0, 0.9, "flat", 3)
    formula("nan", 30, 1e-4, 1.0, 0.9, "u", 4, fix=lambda r: r.__setitem__(17, nan))
    formula("diverge", 30, 1e-4, 1.0, 0.5, "dip", 5, fix=lambda r: r.__setitem__(22, 50.0))
    K = lambda n, **k: dict(min_lr=1e-6, max_lr=1.0, num_training=n, **k)
    real("exp", K(60), curve("u", 60, 21, 0, 0), skips=((10, 1), (0, 1), (5, 5), (0, 0)), notes="skip_end 0 makes the slice [begin:-0] empty -> None.")
    real("linear", K(40, mode="linear"), curve("u", 40, 22, 0, 0), skips=((10, 1), (3, 2)))
    real("diverge", K(50), curve("dip", 25, 23, 0, 0) + [30.0, 60.0, 1000.0] + [1.0] * 30, skips=((10, 1), (2, 1)), notes="early stop at > 4x best (smoothed).")
    real("no_threshold", K(40, early_stop_threshold=None), curve("dip", 20, 24, 0, 0) + [500.0] * 20, skips=((10, 1),))
    real("short_data", K(30), curve("u", 30, 25, 0, 0), n_data=12, skips=((10, 1), (2, 1)), notes="fewer batches per epoch than num_training: runs over several epochs.")
    real("groups", K(30), curve("u", 30, 26, 0, 0), lrs=(0.1, 0.003), skips=((10, 1),), notes="every group gets the same swept lr.")
    real("few", K(8), curve("u", 8, 27, 0, 0), skips=((10, 1), (0, 1)), notes="fewer points than skip_begin: None.")
    real("nan", K(30), [x if i != 18 else nan for i, x in enumerate(curve("u", 30, 28, 0, 0))], skips=((10, 1), (2, 1)), notes="a NaN loss poisons the running average from there on.")
    g = lambda n, lo=1e-6, hi=1.0: [lo * (hi / lo) ** (i / n) for i in range(n)]
    sugg("u", g(50), curve("u", 50, 41, 0, 0), ((10, 1), (0, 1), (25, 5)))
    sugg("nonfinite", g(30), [x if i not in (12, 13, 20) else (nan if i != 20 else inf) for i, x in enumerate(curve("u", 30, 42, 0, 0))], ((10, 1), (0, 2)), "non-finite entries are removed before differentiation")
    sugg("two_points", g(13), curve("u", 13, 43, 0, 0), ((10, 1), (11, 1), (12, 1)), "needs at least two finite points")
    shutil.rmtree(TMP, ignore_errors=True)
