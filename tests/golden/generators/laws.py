"""Golden learning-rate traces from torch, transformers, timm, pytorch_accelerated and two direct formulas.

Conventions (repeated in every file under "notes"/"drive"):
  values[i] is the list of per-group values that is in force for optimizer update number steps[i] (0-based) when the
  scheduler is built before update 0 and stepped once after every update, except where "drive" says otherwise.
"""
import copy
import math
import warnings

import torch
from common import clean, dump, err, groups, ver

warnings.filterwarnings("ignore")
L = torch.optim.lr_scheduler


def mk_opt(lrs, cls="SGD", **kw):
    return getattr(torch.optim, cls)(groups(lrs), lr=kw.pop("default_lr", lrs[0]), **kw)


def out(name, **d):
    d = {"kind": "lr", **d}
    dump("lr_" + name, d)


# ---------------------------------------------------------------- lambdas
def lam(spec):
    t = spec["type"]
    if t == "pow":
        return lambda n: spec["base"] ** n
    if t == "recip":
        return lambda n: 1.0 / (1.0 + spec["k"] * n)
    if t == "table":
        v = spec["values"]
        return lambda n: v[min(n, len(v) - 1)]
    if t == "warmup":
        return lambda n: min(1.0, (n + 1) / spec["n"])
    if t == "const":
        return lambda n: spec["c"]
    raise ValueError(t)


# ---------------------------------------------------------------- torch
def torch_case(name, cls, lrs, args, n, opt="SGD", opt_kw=None, notes="", mom=False, metrics=None,
               conv=None):
    opt_kw = dict(opt_kw or {})
    o = mk_opt(lrs, opt, **opt_kw)
    real = {k: (conv[k](v) if conv and k in conv else v) for k, v in args.items()}
    s = getattr(L, cls)(o, **real)
    vals, moms, extra = [], [], []

    def rec():
        vals.append([g["lr"] for g in o.param_groups])
        if mom:
            moms.append([g["betas"][0] if "betas" in g else g["momentum"] for g in o.param_groups])
        if cls == "ReduceLROnPlateau":
            extra.append({"best": s.best, "bad": s.num_bad_epochs, "cooldown": s.cooldown_counter})

    rec()
    stop = None
    for i in range(n):
        o.step()
        try:
            s.step(metrics[i]) if metrics is not None else s.step()
        except Exception as e:  # noqa: BLE001
            stop = {"at_step_call": i + 1, "type": type(e).__name__, "message": str(e)}
            break
        rec()
    d = dict(source=ver("torch"), callable=f"torch.optim.lr_scheduler.{cls}", args=args, group_lrs=lrs,
             optimizer={"class": f"torch.optim.{opt}", **opt_kw}, field="lr",
             drive="values[0] right after construction; values[i] after i calls of scheduler.step()",
             notes=notes, steps=list(range(len(vals))), values=vals)
    if mom:
        d["momentum"] = moms
        d["momentum_field"] = "betas[0]" if "betas" in o.param_groups[0] else "momentum"
    if metrics is not None:
        d["metrics"] = metrics
        d["state"] = extra
        d["drive"] = "values[0] after construction; values[i+1] after scheduler.step(metrics[i])"
    if stop:
        d["error"] = stop
    out("torch_" + name, **d)


def torch_all():
    c = torch_case
    lamc = {"lr_lambda": lambda v: [lam(x) for x in v] if isinstance(v, list) else lam(v)}
    c("lambda_1", "LambdaLR", [0.1], {"lr_lambda": {"type": "pow", "base": 0.95}}, 20, conv=lamc)
    c("lambda_2", "LambdaLR", [0.1, 0.02], {"lr_lambda": [{"type": "pow", "base": 0.9}, {"type": "recip", "k": 0.3}]}, 20, conv=lamc)
    c("lambda_3", "LambdaLR", [0.1, 0.0], {"lr_lambda": {"type": "table", "values": [0, 0.5, 1, 2, 0.25]}}, 8, conv=lamc, notes="lambda may be 0 or >1; a zero-lr group stays 0")
    c("multiplicative_1", "MultiplicativeLR", [0.1, 1e-3], {"lr_lambda": {"type": "const", "c": 0.95}}, 20, conv=lamc)
    c("multiplicative_2", "MultiplicativeLR", [0.1], {"lr_lambda": {"type": "table", "values": [99, 0.5, 2, 0.9, 1.0, 0.1]}}, 9, conv=lamc, notes="factor for t=0 is never applied")
    c("step_1", "StepLR", [0.1, 0.01], {"step_size": 3, "gamma": 0.5}, 14)
    c("step_2", "StepLR", [0.1], {"step_size": 1, "gamma": 0.7}, 10)
    c("step_3", "StepLR", [0.1], {"step_size": 5}, 16, notes="default gamma 0.1")
    c("multistep_1", "MultiStepLR", [0.1, 0.01], {"milestones": [3, 8], "gamma": 0.1}, 12)
    c("multistep_2", "MultiStepLR", [0.1], {"milestones": [4, 4, 2], "gamma": 0.5}, 8, notes="duplicate milestone applies gamma twice; order does not matter")
    c("constant_1", "ConstantLR", [0.05, 0.2], {"factor": 0.5, "total_iters": 4}, 9)
    c("constant_2", "ConstantLR", [0.05], {}, 9, notes="defaults factor 1/3, total_iters 5")
    c("constant_3", "ConstantLR", [0.05], {"factor": 0.25, "total_iters": 0}, 4, notes="total_iters 0: factor applied at construction and never undone")
    c("linear_1", "LinearLR", [0.05, 0.1], {"start_factor": 0.5, "total_iters": 4}, 9)
    c("linear_2", "LinearLR", [0.05], {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 6}, 9)
    c("linear_3", "LinearLR", [0.05], {}, 8)
    c("exponential_1", "ExponentialLR", [0.1, 1e-3], {"gamma": 0.9}, 20)
    c("polynomial_1", "PolynomialLR", [0.05, 0.4], {"total_iters": 4, "power": 1.0}, 8)
    c("polynomial_2", "PolynomialLR", [0.05], {"total_iters": 10, "power": 2.0}, 14)
    c("cosine_1", "CosineAnnealingLR", [0.1, 0.01], {"T_max": 10}, 10)
    c("cosine_2", "CosineAnnealingLR", [0.1], {"T_max": 6, "eta_min": 0.01}, 20, notes="past T_max the curve goes up again (periodic, period 2*T_max)")
    c("cosine_3", "CosineAnnealingLR", [0.1], {"T_max": 1, "eta_min": 0.02}, 7, notes="T_max 1")
    c("cosine_wr_1", "CosineAnnealingWarmRestarts", [0.1, 0.01], {"T_0": 5}, 17)
    c("cosine_wr_2", "CosineAnnealingWarmRestarts", [0.1], {"T_0": 3, "T_mult": 2, "eta_min": 0.001}, 30)
    c("cosine_wr_3", "CosineAnnealingWarmRestarts", [0.1], {"T_0": 1, "T_mult": 1}, 5)
    sgdm = {"momentum": 0.9}
    c("cyclic_tri", "CyclicLR", [0.1, 0.2], {"base_lr": [0.001, 0.002], "max_lr": [0.01, 0.05], "step_size_up": 4}, 25, opt_kw=sgdm, mom=True, notes="base_lr overwrites the groups' lr; momentum cycles inversely")
    c("cyclic_tri2", "CyclicLR", [0.1], {"base_lr": 0.001, "max_lr": 0.01, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"}, 34, opt_kw=sgdm, mom=True)
    c("cyclic_exp", "CyclicLR", [0.1], {"base_lr": 0.001, "max_lr": 0.01, "step_size_up": 4, "mode": "exp_range", "gamma": 0.95, "cycle_momentum": False}, 25)
    c("onecycle_cos", "OneCycleLR", [0.1, 0.1], {"max_lr": [0.01, 0.1], "total_steps": 20}, 21, opt_kw=sgdm, mom=True, notes="stepping beyond total_steps raises; step number total_steps (one past the last) is still accepted and extrapolates")
    c("onecycle_linear", "OneCycleLR", [0.1], {"max_lr": 0.01, "epochs": 3, "steps_per_epoch": 7, "anneal_strategy": "linear", "pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0}, 20, opt_kw=sgdm, mom=True)
    c("onecycle_3ph", "OneCycleLR", [0.1], {"max_lr": 0.01, "total_steps": 30, "three_phase": True, "pct_start": 0.4}, 29, opt="AdamW", mom=True)
    m1 = [1.0, 0.9, 0.85, 0.8501, 0.8499, 0.86, 0.9, 0.7, 0.75, 0.7, 0.69999, 0.8, 0.8, 0.8, 0.8, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
    m2 = [0.1, 0.3, 0.3, 0.31, 0.305, 0.32, 0.32, 0.2, 0.1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.52, 0.4, 0.4, 0.4, 0.4, 0.4]
    c("plateau_min_rel", "ReduceLROnPlateau", [0.1, 0.01], {"factor": 0.5, "patience": 2, "threshold": 1e-3}, len(m1), metrics=m1)
    c("plateau_min_abs", "ReduceLROnPlateau", [0.1], {"factor": 0.1, "patience": 1, "threshold": 0.05, "threshold_mode": "abs", "cooldown": 2, "min_lr": 5e-4}, len(m1), metrics=m1)
    c("plateau_max_rel", "ReduceLROnPlateau", [0.1], {"mode": "max", "factor": 0.3, "patience": 1, "threshold": 0.05}, len(m2), metrics=m2)
    c("plateau_eps", "ReduceLROnPlateau", [1e-7, 0.1], {"factor": 0.5, "patience": 0, "eps": 1e-8, "min_lr": [0.0, 0.02]}, len(m1), metrics=m1, notes="patience 0; a change not larger than eps is ignored")
    mh = [5.0, 4.0, 4.0, float("nan"), 3.9, 3.95, 3.95, 3.95, 3.0, 3.1, 3.1, 3.1, 3.1, 3.1, 3.1, 2.0, -1.0, -1.05, -1.0005, -1.0, -1.0, -1.0, -1.0]
    pass


def build(o, spec):
    a = dict(spec["args"])
    if "lr_lambda" in a:
        a["lr_lambda"] = lam(a["lr_lambda"])
    return getattr(L, spec["class"])(o, **a)


def torch_composite():
    def case(name, lrs, scheds, milestones, n, notes=""):
        o = mk_opt(lrs)
        ss = [build(o, s) for s in scheds]
        s = L.SequentialLR(o, ss, milestones) if milestones is not None else L.ChainedScheduler(ss, optimizer=o)
        vals = [[g["lr"] for g in o.param_groups]]
        for _ in range(n):
            o.step(); s.step()
            vals.append([g["lr"] for g in o.param_groups])
        cls = "SequentialLR" if milestones is not None else "ChainedScheduler"
        a = {"schedulers": scheds}
        if milestones is not None:
            a["milestones"] = milestones
        out("torch_" + name, source=ver("torch"), callable=f"torch.optim.lr_scheduler.{cls}", args=a, group_lrs=lrs,
            optimizer={"class": "torch.optim.SGD"}, field="lr", notes=notes,
            drive="sub-schedulers built in list order on the same optimizer, then the composite; values[0] after that, values[i] after i composite step() calls",
            steps=list(range(n + 1)), values=vals)

    S = lambda c, **a: {"class": c, "args": a}
    case("sequential_1", [0.1, 0.02], [S("ConstantLR", factor=0.1, total_iters=3), S("ExponentialLR", gamma=0.9)], [3], 12)
    case("sequential_2", [0.1], [S("LinearLR", start_factor=0.01, total_iters=5), S("CosineAnnealingLR", T_max=10), S("ConstantLR", factor=0.05, total_iters=100)], [5, 15], 22)
    case("chained_1", [1.0, 0.1], [S("ConstantLR", factor=0.1, total_iters=2), S("ExponentialLR", gamma=0.9)], None, 10, "chaining multiplies the recursive updates: order only matters through construction")
    case("chained_2", [0.5], [S("LinearLR", start_factor=0.25, total_iters=4), S("StepLR", step_size=3, gamma=0.5)], None, 12)
    pass


# ---------------------------------------------------------------- transformers
def hf_all():
    import transformers.optimization as T

    def c(name, fn, lrs, args, n, notes="", default_lr=None):
        o = mk_opt(lrs, "AdamW", default_lr=default_lr if default_lr is not None else lrs[0])
        a = {k: v for k, v in args.items()}
        s = getattr(T, fn)(o, **a)
        vals = [[g["lr"] for g in o.param_groups]]
        stop = None
        for i in range(n):
            o.step()
            try:
                s.step()
            except Exception as e:  # noqa: BLE001
                stop = {"at_step_call": i + 1, "type": type(e).__name__, "message": str(e)}
                break
            vals.append([g["lr"] for g in o.param_groups])
        d = dict(source=ver("transformers"), callable="transformers." + fn, args=args, group_lrs=lrs,
                 optimizer={"class": "torch.optim.AdamW", "default_lr": o.defaults["lr"]}, field="lr", notes=notes,
                 drive="values[0] right after construction; values[i] after i calls of scheduler.step()",
                 steps=list(range(len(vals))), values=vals)
        if stop:
            d["error"] = stop
        out("hf_" + name, **d)

    W = "num_warmup_steps"; N = "num_training_steps"
    c("constant", "get_constant_schedule", [1e-3, 2e-5], {}, 5)
    c("constant_warmup_1", "get_constant_schedule_with_warmup", [1e-3, 2e-5], {W: 4}, 9)
    c("constant_warmup_2", "get_constant_schedule_with_warmup", [1e-3], {W: 0}, 4)
    f = "get_linear_schedule_with_warmup"
    c("linear_1", f, [1e-3, 2e-5], {W: 3, N: 12}, 15)
    c("linear_2", f, [1e-3], {W: 0, N: 5}, 8)
    c("linear_3", f, [1e-3], {W: 4, N: 4}, 7, "warmup == total: the step right at the end has progress 0/1 -> 0")
    c("linear_4", f, [1e-3], {W: 0, N: 1}, 4)
    f = "get_cosine_schedule_with_warmup"
    c("cosine_1", f, [1e-3, 2e-5], {W: 3, N: 12}, 18, "past the end the cosine keeps going (rises again) because nothing clamps progress")
    c("cosine_2", f, [1e-3], {W: 0, N: 10, "num_cycles": 1.5}, 14)
    c("cosine_3", f, [1e-3], {W: 4, N: 4}, 7)
    f = "get_cosine_with_hard_restarts_schedule_with_warmup"
    c("cosine_restarts_1", f, [1e-3, 2e-5], {W: 2, N: 14, "num_cycles": 3}, 18)
    c("cosine_restarts_2", f, [1e-3], {W: 0, N: 10}, 13)
    f = "get_polynomial_decay_schedule_with_warmup"
    c("poly_1", f, [1e-3, 1e-3], {W: 3, N: 12, "lr_end": 1e-5, "power": 2.0}, 15)
    c("poly_2", f, [1e-3, 1e-4], {W: 0, N: 8}, 11, "lr_end is relative to optimizer.defaults['lr'], so other groups end at lr_end*their_lr/default_lr", default_lr=1e-3)
    c("poly_3", f, [1e-3], {W: 4, N: 4}, 7, "warmup == total: division by zero at step == total")
    f = "get_inverse_sqrt_schedule"
    c("invsqrt_1", f, [1e-3, 2e-5], {W: 5}, 25)
    c("invsqrt_2", f, [1e-3], {W: 3, "timescale": 10}, 20)
    c("invsqrt_3", f, [1e-3], {W: 0}, 20, "warmup 0 -> timescale 10000")
    f = "get_cosine_with_min_lr_schedule_with_warmup"
    c("cosine_minlr_1", f, [1e-3, 2e-4], {W: 3, N: 12, "min_lr": 1e-4}, 16, "min_lr/defaults['lr'] becomes a ratio used for every group", default_lr=1e-3)
    c("cosine_minlr_2", f, [1e-3], {W: 0, N: 10, "min_lr_rate": 0.1}, 13)
    f = "get_cosine_with_min_lr_schedule_with_warmup_lr_rate"
    c("cosine_minlr_rate_1", f, [1e-3], {W: 4, N: 12, "min_lr_rate": 0.1}, 15)
    c("cosine_minlr_rate_2", f, [1e-3], {W: 4, N: 12, "min_lr": 1e-5, "warmup_lr_rate": 0.2}, 15)
    f = "get_wsd_schedule"
    i = 0
    for wt in ("linear", "cosine", "1-sqrt"):
        for dt in ("linear", "cosine", "1-sqrt"):
            i += 1
            c(f"wsd_{i}", f, [1e-3, 2e-5], {W: 4, "num_stable_steps": 5, "num_decay_steps": 6, "warmup_type": wt, "decay_type": dt, "min_lr_ratio": 0.1}, 18)
            pass
    c("wsd_10", f, [1e-3], {W: 0, N: 8, "num_decay_steps": 0}, 11, "no warmup and no decay phase")
    c("wsd_11", f, [1e-3], {W: 2, N: 12, "num_decay_steps": 6, "num_cycles": 1.5}, 14)
    pass


# ---------------------------------------------------------------- timm
def timm_all():
    import timm.scheduler as S

    def c(name, cls, lrs, args, n, notes="", on_updates=False, metrics=None, lr_scale=None):
        o = mk_opt(lrs)
        if lr_scale:
            for g, v in zip(o.param_groups, lr_scale):
                g["lr_scale"] = v
        a = dict(args)
        if on_updates:
            a["t_in_epochs"] = False
        s = getattr(S, cls)(o, **a) if hasattr(S, cls) else getattr(__import__("timm.scheduler.wsd_lr", fromlist=[cls]), cls)(o, **a)
        init = [g["lr"] for g in o.param_groups]
        vals = []
        stop = None
        for t in range(n + 1):
            try:
                if on_updates:
                    s.step_update(t)
                elif metrics is not None:
                    s.step(t, metrics[t])
                else:
                    s.step(t)
            except Exception as e:  # noqa: BLE001
                stop = {"at_t": t, "type": type(e).__name__, "message": str(e)}
                break
            vals.append([g["lr"] for g in o.param_groups])
        d = dict(source=ver("timm"), callable="timm.scheduler." + cls, args=a, group_lrs=lrs, optimizer={"class": "torch.optim.SGD"},
                 field="lr", drive="initial_values after construction; values[t] after scheduler.step" + ("_update(t)" if on_updates else "(t[, metrics[t]])"),
                 notes=notes, initial_values=init, steps=list(range(len(vals))), values=vals)
        if metrics is not None:
            d["metrics"] = metrics
        if lr_scale:
            d["lr_scale"] = lr_scale
        if stop:
            d["error"] = stop
        if hasattr(s, "get_cycle_length"):
            d["cycle_length"] = s.get_cycle_length()
        out("timm_" + name, **d)

    C = "CosineLRScheduler"
    c("cosine_1", C, [0.1, 0.01], dict(t_initial=10), 13)
    c("cosine_2", C, [0.1], dict(t_initial=10, lr_min=1e-3, warmup_t=3, warmup_lr_init=1e-4), 14, "warmup overlaps the cycle (no prefix): a jump at the end of warmup")
    c("cosine_3", C, [0.1], dict(t_initial=10, lr_min=1e-3, warmup_t=3, warmup_lr_init=1e-4, warmup_prefix=True, k_decay=2.0), 16)
    c("cosine_4", C, [0.1], dict(t_initial=5, cycle_limit=3, cycle_decay=0.5, lr_min=1e-4), 18)
    c("cosine_5", C, [0.1], dict(t_initial=4, cycle_mul=2.0, cycle_limit=3, cycle_decay=0.7), 32)
    c("cosine_6", C, [0.1], dict(t_initial=1), 4)
    c("cosine_7", C, [0.1, 0.1], dict(t_initial=8, warmup_t=2, warmup_lr_init=1e-3), 10, "group key lr_scale multiplies every value written to the group, including warmup_lr_init and the values written by the constructor", lr_scale=[0.5, 0.25])
    T = "TanhLRScheduler"
    c("tanh_1", T, [0.1, 0.01], dict(t_initial=10), 13)
    c("tanh_2", T, [0.1], dict(t_initial=10, lb=-5.0, ub=4.0, lr_min=1e-3, warmup_t=3, warmup_lr_init=1e-4), 13, "without prefix the warmup target is the tanh value at warmup_t, not the base lr")
    c("tanh_3", T, [0.1], dict(t_initial=5, cycle_limit=2, cycle_decay=0.5, warmup_t=2, warmup_prefix=True), 15)
    P = "PolyLRScheduler"
    c("poly_1", P, [0.1, 0.01], dict(t_initial=10), 13)
    c("poly_2", P, [0.1], dict(t_initial=10, power=2.0, lr_min=1e-3, warmup_t=3, warmup_lr_init=1e-4, k_decay=1.5), 13)
    c("poly_3", P, [0.1], dict(t_initial=4, power=1.0, cycle_limit=3, cycle_decay=0.5), 14)
    s = "StepLRScheduler"
    c("step_1", s, [0.1, 0.01], dict(decay_t=3, decay_rate=0.5), 12)
    c("step_2", s, [0.1], dict(decay_t=2.5, decay_rate=0.5, warmup_t=3, warmup_lr_init=1e-3), 14, "warmup_prefix defaults to True here; decay_t may be fractional")
    ms = "MultiStepLRScheduler"
    c("multistep_1", ms, [0.1], dict(decay_t=[3, 6], decay_rate=0.1), 9, "a milestone m applies already at t = m-1")
    m = [0.1, 0.2, 0.3, 0.3, 0.29, 0.31, 0.28, 0.28, 0.28, 0.35, 0.35, 0.35, 0.35, 0.35, 0.36, 0.3, 0.3, 0.3]
    c("plateau_1", "PlateauLRScheduler", [0.1, 0.01], dict(decay_rate=0.5, patience_t=1, warmup_t=3, warmup_lr_init=1e-4), len(m) - 1, "default mode is max; epochs <= warmup_t are warmup and do not feed the metric; the class is deprecated upstream", metrics=m)
    w = "WSDLRScheduler"
    for k, fn in enumerate(("linear", "1-sqrt", "cosine", "power", "exp")):
        c(f"wsd_{k+1}", w, [0.1, 0.01], dict(t_initial=12, decay_t=5, warmup_t=3, warmup_lr_init=1e-4, lr_min=1e-3, decay_fn=fn), 18)
        pass


# ---------------------------------------------------------------- pytorch_accelerated
def pa_all():
    from pytorch_accelerated.schedulers.cosine_scheduler import CosineLrScheduler
    from pytorch_accelerated.schedulers.scheduler_base import SchedulerBase, StatefulSchedulerBase
    from pytorch_accelerated.schedulers.wsd_scheduler import WSDLrScheduler

    src = ver("pytorch_accelerated")

    def cos(name, lrs, args, extra=4, notes=""):
        o = mk_opt(lrs)
        s = CosineLrScheduler(o, **args)
        init = [g["lr"] for g in o.param_groups]
        total = args["total_num_epochs"] * args["num_update_steps_per_epoch"]
        steps, vals = [], []
        for n in range(total + extra + 1):
            steps.append(n); vals.append(list(s.get_updated_values(n)))
        via = []
        for n in range(total + extra + 1):
            s.step(); via.append([g["lr"] for g in o.param_groups])
        assert via == vals
        out("pa_cosine_" + name, source=src, callable="pytorch_accelerated.schedulers.CosineLrScheduler", args=args, group_lrs=lrs,
            optimizer={"class": "torch.optim.SGD"}, field="lr", notes=notes,
            drive="initial_values after construction; values[n] == get_updated_values(n) == param group value after the (n+1)-th step() call (so, stepping after each update, update 0 runs with initial_values and update k>=1 with values[k-1])",
            initial_values=init, state_dict=s.state_dict(), steps=steps, values=vals)

    B = lambda e, u, **k: dict(total_num_epochs=e, num_update_steps_per_epoch=u, **k)
    cos("01", [0.1], B(5, 4))
    cos("02", [0.1, 0.01], B(5, 4, lr_min=1e-3, k_decay=2.0))
    cos("03", [0.1, 0.01], B(6, 4, num_warmup_epochs=1), notes="with warmup the cosine branch stops early: it ends at total - warmup - cooldown although its length is total - warmup - cooldown measured from the end of warmup, so the lr jumps down to the minimum")
    cos("04", [0.1, 0.01], B(8, 3, num_warmup_epochs=2, warmup_starting_lr_ratio=0.1, min_lr_ratio=0.05), notes="warmup ratio sets the start but the slope still uses the absolute warmup_starting_lr (1e-6), so the ramp overshoots the base lr")
    cos("05", [0.1], B(8, 3, num_cooldown_epochs=2, lr_min=5e-3))
    cos("06", [0.1, 0.3], B(10, 3, num_warmup_epochs=2, warmup_starting_lr=1e-3, num_cooldown_epochs=2, lr_min=1e-3, k_decay=0.5))
    cos("07", [0.1], B(1, 1))
    cos("08", [0.1], B(3, 3, num_warmup_epochs=3), notes="warmup == total")
    cos("09", [0.1, 0.0], B(4, 3, num_cooldown_epochs=4), notes="cooldown == total; a zero-lr group is raised to lr_min (absolute) by the cooldown")
    cos("10", [0.1], B(6, 2, num_warmup_epochs=1, num_cooldown_epochs=1, warmup_starting_lr=0.2), notes="warmup starts above the base lr")
    pass

    def wsd(name, lrs, args, extra=4, notes="", cont=None):
        o = mk_opt(lrs)
        d = dict(source=src, callable="pytorch_accelerated.schedulers.WSDLrScheduler", args=args, group_lrs=lrs,
                 optimizer={"class": "torch.optim.SGD"}, field="lr", notes=notes,
                 drive="initial_values after construction; values[n] == get_updated_values(n) asked in order n = 0,1,2,... on one object")
        s = None
        try:
            s = WSDLrScheduler(o, **args)
        except BaseException as e:  # noqa: BLE001
            d["constructor_error"] = {"type": type(e).__name__, "message": str(e)}
            d.update(steps=[], values=[])
            out("pa_wsd_" + name, **d)
            return

        def run(s):
            total = s.total_steps
            st, va, fail, prev = [], [], [], []
            for n in range(total + extra + 1):
                try:
                    v = list(s.get_updated_values(n))
                except Exception as e:  # noqa: BLE001
                    fail.append({"n": n, "type": type(e).__name__, "message": str(e)})
                    continue
                st.append(n); va.append(v); prev.append(s.previous_checkpoint_step)
            return st, va, fail, prev

        d["initial_values"] = [g["lr"] for g in o.param_groups]
        d["checkpoint_steps"] = s.get_checkpoint_steps()
        d["decay_info"] = s.get_decay_info()
        d["resolved"] = {"total_steps": s.total_steps, "num_warmup_steps": s.num_warmup_steps}
        d["phase_info"] = {str(n): s.get_phase_info(n) for n in sorted({0, 1, s.total_steps // 4, s.total_steps // 4 + 1, s.total_steps // 2, s.total_steps - 1, s.total_steps, s.total_steps + 3})}
        st, va, fail, prev = run(s)
        d.update(steps=st, values=va, previous_checkpoint_step=prev)
        if fail:
            d["failed_steps"] = fail
        d["state_dict_keys"] = sorted(s.state_dict())
        if cont is not None:
            sd = copy.deepcopy(s.state_dict())
            o2 = mk_opt(cont.get("group_lrs", lrs))
            s2 = WSDLrScheduler(o2, **cont["args"])
            s2.load_state_dict(sd)
            st2, va2, fail2, prev2 = run(s2)
            # which step would the resumed stateful scheduler use next?
            d["continuation"] = {
                "args": cont["args"], "group_lrs": cont.get("group_lrs", lrs), "what": "new scheduler built with these args, then load_state_dict(state of the first one after its whole run)",
                "is_continuation_flag_after_load": s2.is_continuation_from_checkpoint, "num_updates_after_load": s2._num_updates,
                "total_steps_after_load": s2.total_steps, "num_checkpoints_after_load": s2.num_checkpoints,
                "decay_phase_ratio_after_load": s2.decay_phase_ratio, "num_warmup_steps_after_load": s2.num_warmup_steps,
                "base_lr_values_after_load": s2.base_lr_values, "checkpoint_steps": s2.checkpoint_steps, "decay_info": s2.get_decay_info(),
                "steps": st2, "values": va2, "failed_steps": fail2, "previous_checkpoint_step": prev2}
        out("pa_wsd_" + name, **d)

    K = lambda t, **k: dict(total_steps=t, **k)
    wsd("01", [0.1], K(40))
    wsd("02", [0.1, 0.01], K(40, num_warmup_steps=5, decay_phase_ratio=0.25, lr_min=0.1))
    wsd("03", [0.1, 0.01], K(40, num_warmup_steps=5, decay_phase_ratio=0.25, lr_min=0.1, use_inverse_sqrt_decay=False))
    wsd("04", [0.1], K(80, num_checkpoints=2, decay_phase_ratio=0.2, lr_min=0.05), notes="two checkpoints land at T/4 and T/2, none at T; the second half of training stays at the fully decayed lr")
    wsd("05", [0.1], K(80, num_checkpoints=3, decay_phase_ratio=0.25, lr_min=0.05, use_inverse_sqrt_decay=False))
    wsd("06", [0.1], K(80, num_checkpoints=4, decay_phase_ratio=0.25, lr_min=0.05), notes="T divisible by 4: asking for 4 checkpoints gives only 3")
    wsd("07", [0.1], K(83, num_checkpoints=4, decay_phase_ratio=0.3, lr_min=0.05, num_warmup_steps=None), notes="T not divisible by 4: a fourth, very short period T-4*floor(T/4); with decay_steps 0 in it; warmup None means 1 %")
    wsd("08", [0.1], K(9, decay_phase_ratio=0.1), notes="decay_steps floors to 0: division by zero once n reaches T")
    wsd("09", [0.1], K(20, decay_phase_ratio=0.5, num_checkpoints=2), notes="ratio > 1/3 with several checkpoints is refused")
    wsd("10", [0.1], K(20, decay_phase_ratio=0.5, lr_min=0.0, use_inverse_sqrt_decay=False), notes="lr_min 0 with the inverse formula divides by zero in the decay phase")
    wsd("11", [0.1], dict(num_epochs=4, num_update_steps_per_epoch=6, num_warmup_steps=3, decay_phase_ratio=0.25, lr_min=0.01))
    wsd("12", [1e-7], K(20), notes="warmup_starting_lr above every base lr is refused even with no warmup")
    wsd("13", [0.1, 0.02], K(40, num_warmup_steps=4, decay_phase_ratio=0.25, lr_min=0.1), cont={"args": K(24, decay_phase_ratio=0.5, lr_min=0.2, is_continuation_from_checkpoint=True)}, notes="continuation: what load_state_dict keeps and overwrites")
    wsd("14", [0.1], K(40, num_warmup_steps=4, decay_phase_ratio=0.25, lr_min=0.1, is_continuation_from_checkpoint=True), cont={"args": K(60, num_checkpoints=2, decay_phase_ratio=0.25, lr_min=0.1, is_continuation_from_checkpoint=True)}, notes="both the first and the second scheduler have the continuation flag")
    wsd("15", [0.1], K(40, num_warmup_steps=4, decay_phase_ratio=0.25, lr_min=0.1), cont={"args": K(40, num_warmup_steps=4, decay_phase_ratio=0.25, lr_min=0.1)}, notes="plain resume: the update counter is not in the state dict")
    wsd("16", [0.1], dict(num_epochs=4, num_update_steps_per_epoch=6, total_steps=24))
    wsd("17", [0.1], K(30, decay_phase_ratio=1.0, lr_min=0.1))
    wsd("18", [0.1], K(30, decay_phase_ratio=0.0, lr_min=0.1))
    for t in ([80, 81, 82, 83, 100, 200, 1000, 7, 4, 3],):
        from pytorch_accelerated.schedulers.wsd_scheduler import estimate_checkpoint_steps as ecs
        dump("lr_pa_wsd_checkpoint_steps", dict(kind="table", source=src, callable="pytorch_accelerated.schedulers.wsd_scheduler.estimate_checkpoint_steps",
             args={}, notes="rows: [total_steps, num_checkpoints, result]", steps=[], values=[[a, k, ecs(a, k)] for a in t for k in (1, 2, 3, 4, 5, 6)]))

    # base classes used for another field ----------------------------------------------------
    class Milestones(SchedulerBase):
        """our own: multiply the initial value by gamma once for each milestone reached"""
        def __init__(self, opt, milestones, gamma, field):
            super().__init__(opt, param_group_field=field)
            self.ms, self.g = sorted(milestones), gamma

        def get_updated_values(self, n):
            k = sum(1 for m in self.ms if n >= m)
            return [v * self.g**k for v in self.base_lr_values]

    class OnlyAt(SchedulerBase):
        """our own: dict step -> value, None otherwise (so groups are left alone)"""
        def __init__(self, opt, table, field):
            super().__init__(opt, param_group_field=field)
            self.table = table

        def get_updated_values(self, n):
            return self.table.get(n)

    class StepField(StatefulSchedulerBase):
        """our own: value = initial * gamma ** floor(n / every)"""
        def __init__(self, opt, every, gamma, field):
            super().__init__(opt, param_group_field=field)
            self.every, self.gamma = every, gamma

        def get_updated_values(self, n):
            return [v * self.gamma ** (n // self.every) for v in self.base_lr_values]

        def state_dict(self):
            return {"n": self._num_updates}

        def load_state_dict(self, s):
            self._num_updates = s["n"]

    def fld(name, kind, field, vals0, args, n, notes=""):
        o = torch.optim.AdamW(groups([0.1] * len(vals0), weight_decay=vals0), lr=0.1) if field == "weight_decay" else mk_opt(vals0)
        if kind == "milestones":
            s = Milestones(o, args["milestones"], args["gamma"], field)
        elif kind == "only_at":
            s = OnlyAt(o, {int(k): v for k, v in args["table"].items()}, field)
        else:
            s = StepField(o, args["every"], args["gamma"], field)
        init = [g[field] for g in o.param_groups]
        vals = []
        for i in range(n + 1):
            s.step() if kind == "step" else s.step_update(i)
            vals.append([g[field] for g in o.param_groups])
        out("pa_field_" + name, source=src, callable="subclass of pytorch_accelerated.schedulers." + ("StatefulSchedulerBase" if kind == "step" else "SchedulerBase"),
            rule=kind, args=args, field=field, group_values=vals0, initial_field="initial_" + field, initial_values=init, notes=notes,
            drive="values[n] after " + ("the (n+1)-th step()" if kind == "step" else "step_update(n)"), steps=list(range(n + 1)), values=vals)

    fld("wd_milestones", "milestones", "weight_decay", [0.1, 0.01], {"milestones": [3, 6], "gamma": 0.5}, 9)
    fld("wd_step", "step", "weight_decay", [0.1, 0.0], {"every": 4, "gamma": 0.1}, 12)
    fld("wd_only_at", "only_at", "weight_decay", [0.1, 0.2], {"table": {"2": 0.05, "5": [0.01, 0.02], "7": [0.5]}}, 9, "None leaves values; a scalar goes to all groups; a list shorter than the groups changes only the first ones")
    pass

    class Bad(SchedulerBase):
        def get_updated_values(self, n):
            return None
    dump("lr_pa_errors", dict(kind="errors", source=src, callable="pytorch_accelerated.schedulers", args={}, notes="what is raised", steps=[], values=[],
         cases=[
             {"what": "field missing from a param group", "error": err(lambda: Bad(mk_opt([0.1]), param_group_field="betas9"))},
             {"what": "cosine total_num_epochs 0", "error": err(lambda: CosineLrScheduler(mk_opt([0.1]), 0, 5))},
             {"what": "cosine lr_min negative", "error": err(lambda: CosineLrScheduler(mk_opt([0.1]), 2, 5, lr_min=-1.0))},
             {"what": "cosine warmup negative (accepted)", "error": err(lambda: CosineLrScheduler(mk_opt([0.1]), 2, 5, num_warmup_epochs=-1))},
             {"what": "wsd total_steps 0", "error": err(lambda: WSDLrScheduler(mk_opt([0.1]), total_steps=0))},
             {"what": "wsd nothing given", "error": err(lambda: WSDLrScheduler(mk_opt([0.1])))},
             {"what": "wsd ratio 1.5", "error": err(lambda: WSDLrScheduler(mk_opt([0.1]), total_steps=10, decay_phase_ratio=1.5))},
             {"what": "wsd lr_min negative", "error": err(lambda: WSDLrScheduler(mk_opt([0.1]), total_steps=10, lr_min=-0.1))},
             {"what": "wsd num_checkpoints 0", "error": err(lambda: WSDLrScheduler(mk_opt([0.1]), total_steps=10, num_checkpoints=0))},
             {"what": "wsd ratio 0.34 with 2 checkpoints", "error": err(lambda: WSDLrScheduler(mk_opt([0.1]), total_steps=100, num_checkpoints=2, decay_phase_ratio=0.34))},
         ]))


# ---------------------------------------------------------------- torch constructor errors
def torch_errors():
    o = lambda n=1: mk_opt([0.1] * n, momentum=0.9)
    cs = [
        ("ReduceLROnPlateau factor 1.0", lambda: L.ReduceLROnPlateau(o(), factor=1.0)),
        ("ReduceLROnPlateau mode", lambda: L.ReduceLROnPlateau(o(), mode="avg")),
        ("ReduceLROnPlateau threshold_mode", lambda: L.ReduceLROnPlateau(o(), threshold_mode="pct")),
        ("ReduceLROnPlateau min_lr length", lambda: L.ReduceLROnPlateau(o(2), min_lr=[0.1])),
        ("OneCycleLR no length", lambda: L.OneCycleLR(o(), 0.1)),
        ("OneCycleLR total_steps 0", lambda: L.OneCycleLR(o(), 0.1, total_steps=0)),
        ("OneCycleLR pct_start 1.5", lambda: L.OneCycleLR(o(), 0.1, total_steps=5, pct_start=1.5)),
        ("OneCycleLR strategy", lambda: L.OneCycleLR(o(), 0.1, total_steps=5, anneal_strategy="exp")),
        ("OneCycleLR max_lr length", lambda: L.OneCycleLR(o(2), [0.1], total_steps=5)),
        ("OneCycleLR total_steps 1", lambda: L.OneCycleLR(o(), 0.1, total_steps=1)),
        ("OneCycleLR momentum missing", lambda: L.OneCycleLR(torch.optim.Adagrad(groups([0.1])), 0.1, total_steps=5)),
        ("CyclicLR mode", lambda: L.CyclicLR(o(), 0.1, 0.2, mode="x")),
        ("CosineAnnealingWarmRestarts T_0 0", lambda: L.CosineAnnealingWarmRestarts(o(), 0)),
        ("CosineAnnealingWarmRestarts T_mult 0", lambda: L.CosineAnnealingWarmRestarts(o(), 1, 0)),
        ("LinearLR start_factor 0", lambda: L.LinearLR(o(), 0.0)),
        ("LinearLR end_factor 2", lambda: L.LinearLR(o(), 0.5, 2.0)),
        ("ConstantLR factor 2", lambda: L.ConstantLR(o(), 2.0)),
        ("LambdaLR length", lambda: L.LambdaLR(o(2), [lambda t: 1.0])),
        ("SequentialLR milestones", lambda: (lambda q: L.SequentialLR(q, [L.StepLR(q, 1)], [3]))(o())),
        ("SequentialLR plateau", lambda: (lambda q: L.SequentialLR(q, [L.ReduceLROnPlateau(q), L.StepLR(q, 1)], [3]))(o())),
        ("resume without initial_lr", lambda: L.StepLR(o(), 1, last_epoch=3)),
        ("CosineAnnealingLR T_max 0", lambda: [x.step() for x in [L.CosineAnnealingLR(o(), 0)] for _ in range(2)]),
        ("StepLR step_size 0", lambda: [x.step() for x in [L.StepLR(o(), 0)] for _ in range(2)]),
    ]
    dump("lr_torch_errors", dict(kind="errors", source=ver("torch"), callable="torch.optim.lr_scheduler", args={}, notes="error null = accepted", steps=[], values=[],
         cases=[{"what": w, "error": err(f)} for w, f in cs]))


# ---------------------------------------------------------------- ULMFiT slanted triangular (formula)
def stlr():
    def f(T, cut_frac, ratio, lrs, n, variant):
        cut = math.floor(T * cut_frac)
        vals, st = [], []
        for t in range(n + 1):
            if t < cut:
                p = t / cut
            elif variant == "paper":
                p = 1 - (t - cut) / (cut * (1 / cut_frac - 1)) if cut > 0 and cut_frac < 1 else None
            else:
                p = 1 - (t - cut) / (T - cut) if T > cut else None
            if p is None:
                continue
            st.append(t)
            vals.append([lr * (1 + p * (ratio - 1)) / ratio for lr in lrs])
        return cut, st, vals

    def c(name, T, cf, ratio, lrs, variant, notes=""):
        cut, st, vals = f(T, cf, ratio, lrs, T + 3, variant)
        out("stlr_" + name, source="formula (ULMFiT)", callable="slanted_triangular/" + variant, field="lr",
            args=dict(T=T, cut_frac=cf, ratio=ratio), group_lrs=lrs, cut=cut, notes=notes or "undefined steps are left out; no clamp past T, so p goes below 0 there",
            drive="values[i] at t = steps[i]", steps=st, values=vals)

    c("paper_1", 100, 0.1, 32, [0.01, 0.01 / 2.6], "paper")
    c("paper_2", 33, 0.1, 32, [0.004], "paper", "cut = 3: the paper's denominator 3*9 = 27 < T-cut = 30, p goes negative before T")
    c("exact_1", 33, 0.1, 32, [0.004], "exact")
    c("exact_2", 20, 0.5, 10, [0.1, 0.02], "exact")
    c("exact_3", 5, 0.1, 32, [0.1], "exact", "cut = 0")
    c("paper_3", 5, 0.1, 32, [0.1], "paper", "cut = 0: the paper's formula is 0/0, no defined step")
    pass


if __name__ == "__main__":
    torch_all(); torch_composite(); torch_errors(); hf_all(); timm_all(); pa_all(); stlr()
