"""Golden optimizer traces: real torch.optim / timm.optim optimizers driven with seeded gradients.

Each case = NAME.json (all settings) + NAME.safetensors:
  init.<p>  [shape]           parameter before anything
  grad.<p>  [N, *shape]       gradient given at step s (rows of zeros where grad_present is false)
  param.<p> [N, *shape]       parameter after step s
  state.<p>.<key> [*shape]    optimizer state tensors after the last step (absent when no state was created)
"""
import math
import os
import warnings

import torch
from common import dump, err, path, ver
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
SH = {"a": [1], "b": [7], "c": [3, 11], "d": [130]}
BIG = {"a": [1], "b": [7], "c": [3, 11], "d": [257]}
DT = {"f32": torch.float32, "f64": torch.float64}


def run(name, cls, mod, groups, n=12, shapes=None, seed=0, none=None, zero=None, sched=None, add_at=None,
        notes="", dtypes=("f32", "f64"), gradfix=None, gscale=None, extra=None, defaults=None, clip=None):
    """groups: list of {"params": [names], **hyper}. none: {pname: [steps with grad None]}. zero: {pname: [steps with zero grad]}.
    sched: {step: [{group, key: value}...]} set before that step. add_at: {group index: step} group added just before that step."""
    shapes = shapes or SH
    groups = [{**x, "params": [q for q in x["params"] if q in shapes]} for x in groups]
    none, zero, sched, add_at = none or {}, zero or {}, sched or {}, add_at or {}
    for dt in dtypes:
        g = torch.Generator().manual_seed(1000 + seed)
        P, G = {}, {}
        for k, s in shapes.items():
            P[k] = torch.nn.Parameter((torch.randn(s, generator=g, dtype=torch.float64) * 0.5).to(torch.float32).to(DT[dt]))
        for k, s in shapes.items():
            sc = (gscale or {}).get(k, 1.0)
            # float32-representable values so both dtypes see the same numbers
            G[k] = (torch.randn([n] + s, generator=g, dtype=torch.float64) * sc * (0.3 + torch.rand([n] + [1] * len(s), generator=g, dtype=torch.float64))).to(torch.float32).to(DT[dt])
        if gradfix:
            gradfix(G)
        init = {k: v.detach().clone() for k, v in P.items()}
        cls_obj = getattr(__import__(mod, fromlist=[cls]), cls)

        def pg(x):
            return {**{k: v for k, v in x.items() if k != "params"}, "params": [P[q] for q in x["params"]]}

        first = [i for i in range(len(groups)) if i not in add_at]
        opt = cls_obj([pg(groups[i]) for i in first], **(defaults or {}))
        index = {i: j for j, i in enumerate(first)}
        hist = {k: [] for k in P}
        present, counts, norms = [], [], []
        for s in range(n):
            for gi, at in add_at.items():
                if at == s:
                    opt.add_param_group(pg(groups[gi]))
                    index[gi] = len(opt.param_groups) - 1
            for ev in sched.get(s, []):
                for k, v in ev.items():
                    if k != "group":
                        opt.param_groups[index[ev["group"]]][k] = v
            pres = {}
            for k in P:
                in_opt = any(P[k] is q for gg in opt.param_groups for q in gg["params"])
                if s in none.get(k, []) or not in_opt:
                    P[k].grad = None
                    pres[k] = False
                    G[k][s] = 0
                else:
                    if s in zero.get(k, []):
                        G[k][s] = 0
                    P[k].grad = G[k][s].clone()
                    pres[k] = True
            if clip:
                norms.append(float(torch.nn.utils.clip_grad_norm_([p for p in P.values()], **clip)))
            opt.step()
            present.append(pres)
            for k in P:
                hist[k].append(P[k].detach().clone())
            counts.append({k: (float(opt.state[P[k]]["step"]) if P[k] in opt.state and "step" in opt.state[P[k]] else None) for k in P})
        T = {}
        for k in P:
            T["init." + k] = init[k]
            T["grad." + k] = G[k].contiguous()
            T["param." + k] = torch.stack(hist[k]).contiguous()
            for sk, sv in opt.state.get(P[k], {}).items():
                if isinstance(sv, torch.Tensor) and sv.dtype.is_floating_point and sk != "step":
                    T[f"state.{k}.{sk}"] = sv.detach().clone().contiguous()
        fn = f"opt_{name}_{dt}"
        save_file(T, path(fn + ".safetensors"))
        eff = [{k: v for k, v in gg.items() if k != "params"} for gg in opt.param_groups]
        d = dict(kind="optimizer", source=ver(mod.split(".")[0]), callable=f"{mod}.{cls}", args=defaults or {}, dtype=dt, file=fn + ".safetensors",
                 n_steps=n, tensors=[{"name": k, "shape": s} for k, s in shapes.items()],
                 groups=[{k: v for k, v in x.items()} for x in groups], effective_groups_at_end=eff,
                 group_added_before_step={str(k): v for k, v in add_at.items()},
                 set_before_step={str(k): v for k, v in sched.items()}, grad_none=none, grad_zero=zero, grad_present=present, step_count=counts,
                 notes=notes, steps=list(range(n)), values=[])
        if clip:
            d["clip_grad_norm"] = clip
            d["total_norm"] = norms
            d["notes"] += " grad.* are the raw gradients; clip_grad_norm_ over all present ones runs before each step"
        if extra:
            d.update(extra)
        dump(fn, d)


ALL = ["a", "b", "c", "d"]
O = "torch.optim"


def one(**k):
    return [{"params": ALL, **k}]


def two(k1, k2):
    return [{"params": ["a", "c"], **k1}, {"params": ["b", "d"], **k2}]


def adamw():
    W = "AdamW"
    run("adamw_default", W, O, one(lr=1e-3), shapes=BIG, n=10)
    run("adamw_groups", W, O, [{"params": ["a"], "lr": 1e-2, "weight_decay": 0.0, "betas": [0.9, 0.99], "eps": 1e-8},
                                      {"params": ["b", "c"], "lr": 5e-3, "weight_decay": 0.1, "betas": [0.8, 0.95], "eps": 1e-6},
                                      {"params": ["d"], "lr": 0.0, "weight_decay": 0.5}], seed=1, notes="third group has lr 0: parameters do not move (decay is lr*wd) but its moments and step count advance")
    run("adamw_amsgrad", W, O, two(dict(lr=2e-2, amsgrad=True), dict(lr=2e-2, amsgrad=True, weight_decay=0.2, betas=[0.5, 0.9])), seed=2)
    run("adamw_maximize", W, O, one(lr=1e-2, maximize=True, weight_decay=0.3), seed=3)
    run("adamw_thaw", W, O, two(dict(lr=1e-2, weight_decay=0.1), dict(lr=1e-2, weight_decay=0.1)), seed=4, none={"b": [0, 1, 2, 3], "d": [4, 5, 6]},
        notes="grad None = frozen: nothing about the tensor changes, no weight decay, no step count; b's state starts at step 4 (its own count 1); d keeps its state and count while frozen")
    run("adamw_addgroup", W, O, two(dict(lr=1e-2), dict(lr=3e-3, weight_decay=0.0)), seed=5, add_at={1: 5}, notes="second group joins before step 5 (how a fine-tuning schedule thaws)")
    run("adamw_zerograd", W, O, one(lr=1e-2, weight_decay=0.1), seed=6, zero={"c": [0, 1, 2], "d": [3, 4, 5, 6]}, notes="a zero gradient is not a missing one: decay, moments, step count all proceed")
    run("adamw_lrsched", W, O, two(dict(lr=1e-2, weight_decay=0.05), dict(lr=1e-3)), seed=7,
        sched={s: [{"group": 0, "lr": 1e-2 * (1 - s / 12)}, {"group": 1, "lr": 1e-3 * 0.8**s, "weight_decay": 0.1 * s / 12}] for s in range(12)})
    run("adamw_betaswitch", W, O, one(lr=5e-3), seed=8, sched={6: [{"group": 0, "betas": [0.5, 0.9], "eps": 1e-4}]}, notes="betas changed mid-run: bias correction uses the new betas with the old step count")

    def ext(G):
        G["b"][1] = 1e-20; G["c"][2] = 1e20; G["d"][3][::2] = -1e-30; G["a"][4] = 3e38
    run("adamw_extreme", W, O, one(lr=1e-2), seed=9, gradfix=ext, notes="gradients whose square under/overflows float32")

    def nanfix(G):
        G["c"][3][0, 2] = float("nan"); G["b"][5][1] = float("inf")
    run("adamw_nan", W, O, one(lr=1e-2), seed=10, gradfix=nanfix, notes="no guard: NaN/inf elements poison only their own parameter elements")
    run("adamw_wd0_eps", W, O, one(lr=1e-1, weight_decay=0.0, eps=1e-2, betas=[0.0, 0.999]), seed=11, notes="beta1 0, large eps")
    run("adamw_clip", W, O, one(lr=1e-2), seed=12, clip={"max_norm": 1.0}, gscale={"a": 5.0, "d": 0.05}, none={"c": [2, 3]})
    run("adamw_long", W, O, one(lr=3e-3), n=60, shapes={"a": [1], "b": [5]}, seed=13)
    pass


def others():
    def both(base, cls, mod, dev_kw, **k):
        for i, (kw1, kw2) in enumerate(dev_kw):
            run(f"{base}_{i+1}", cls, mod, two(kw1, kw2), seed=20 + i + sum(map(ord, base)) % 50, **k)

    both("adam", "Adam", O, [(dict(lr=1e-2), dict(lr=3e-3, weight_decay=0.1)), (dict(lr=1e-2, amsgrad=True), dict(lr=1e-2, weight_decay=0.1, maximize=True, betas=[0.7, 0.9], eps=1e-4))])
    both("sgd", "SGD", O, [(dict(lr=0.1), dict(lr=0.05, weight_decay=0.1)), (dict(lr=0.1, momentum=0.9), dict(lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.01)),
                           (dict(lr=0.1, momentum=0.9, nesterov=True), dict(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.01, maximize=True))])
    both("nadam", "NAdam", O, [(dict(lr=1e-2), dict(lr=5e-3, weight_decay=0.1, momentum_decay=0.01)), (dict(lr=1e-2, weight_decay=0.1, decoupled_weight_decay=True), dict(lr=1e-2, betas=[0.8, 0.9], maximize=True))])
    both("radam", "RAdam", O, [(dict(lr=1e-2), dict(lr=5e-3, weight_decay=0.1)), (dict(lr=1e-2, weight_decay=0.1, decoupled_weight_decay=True, betas=[0.9, 0.9]), dict(lr=1e-2, betas=[0.8, 0.95], maximize=True))], n=14)
    both("adagrad", "Adagrad", O, [(dict(lr=1e-1), dict(lr=5e-2, weight_decay=0.1, lr_decay=0.1))])
    both("rmsprop", "RMSprop", O, [(dict(lr=1e-2), dict(lr=5e-3, alpha=0.9, momentum=0.9, weight_decay=0.1)), (dict(lr=1e-2, centered=True), dict(lr=5e-3, centered=True, momentum=0.5, maximize=True))])
    both("adamax", "Adamax", O, [(dict(lr=1e-2), dict(lr=5e-3, weight_decay=0.1, betas=[0.8, 0.9], maximize=True))])
    both("adadelta", "Adadelta", O, [(dict(lr=1.0), dict(lr=0.5, rho=0.8, weight_decay=0.1))])
    both("adafactor", "Adafactor", O, [(dict(lr=1e-2), dict(lr=5e-2, weight_decay=0.1, beta2_decay=-0.6, d=0.5))])
    adafactor()
    mu = {"a": [4, 4], "b": [3, 8], "c": [9, 2]}
    if hasattr(torch.optim, "Muon"):
        run("muon_1", "Muon", O, [{"params": ["a", "c"], "lr": 2e-2}, {"params": ["b"], "lr": 1e-2, "weight_decay": 0.0, "nesterov": False, "momentum": 0.8}], shapes=mu, seed=61, n=8, notes="2-D only; runs its Newton-Schulz iteration in bfloat16, so tolerances must be loose")
        run("muon_2", "Muon", O, [{"params": ["a", "b", "c"], "lr": 2e-2, "adjust_lr_fn": "match_rms_adamw"}], shapes=mu, seed=62, n=8)
        pass
    t = "timm.optim"
    both("lion", "Lion", t, [(dict(lr=1e-3), dict(lr=3e-4, weight_decay=0.1, betas=[0.8, 0.9]))], defaults={"foreach": False})
    both("lamb", "Lamb", t, [(dict(lr=1e-2), dict(lr=5e-3, weight_decay=0.1))])
    run("lamb_2", "Lamb", t, two(dict(lr=1e-2, weight_decay=0.1), dict(lr=5e-3)), seed=77, defaults={"trust_clip": True, "always_adapt": True, "max_grad_norm": None, "decoupled_decay": True}, notes="options: trust_clip, always_adapt, no grad-norm clipping, decoupled decay")
    both("lars", "Lars", t, [(dict(lr=0.5), dict(lr=0.2, weight_decay=0.1, momentum=0.9, dampening=0.3)), (dict(lr=0.5, weight_decay=0.05, momentum=0.9, nesterov=True), dict(lr=0.2, weight_decay=0.1, trust_coeff=0.02))], defaults={"foreach": False})
    run("lars_3", "Lars", t, two(dict(lr=0.01, weight_decay=0.1, momentum=0.8), dict(lr=2.0)), seed=78, defaults={"trust_clip": True, "always_adapt": True, "foreach": False}, notes="options: trust_clip, always_adapt")
    both("adamp", "AdamP", t, [(dict(lr=1e-2), dict(lr=5e-3, weight_decay=0.1))])
    rows = {"a": [2, 3], "b": [7], "c": [5, 3, 11], "d": [97, 61]}
    run("adamp_2", "AdamP", t, two(dict(lr=1e-2, weight_decay=0.1, delta=4.0, nesterov=True), dict(lr=5e-3, weight_decay=0.1, delta=0.5, wd_ratio=0.4)), shapes=rows, seed=79, notes="rows are projected off, or the whole tensor, or neither")
    both("nadamw", "NAdamW", t, [(dict(lr=1e-2), dict(lr=5e-3, weight_decay=0.1))], defaults={"foreach": False})
    both("adan", "Adan", t, [(dict(lr=1e-2), dict(lr=5e-3, weight_decay=0.1))], defaults={"foreach": False})


def adafactor():
    """Of matrices the last two dimensions are factored, whatever comes before them."""
    A = "Adafactor"
    odd = {"a": [], "b": [7], "c": [5, 3, 11], "d": [97, 61], "e": [4, 3, 3, 3], "f": [1, 40], "g": [33, 1], "h": [4100]}
    run("adafactor_2", A, O, [{"params": ["a", "b", "c", "d"], "lr": 1e-2, "weight_decay": 0.1},
                              {"params": ["e", "f", "g", "h"], "lr": 3e-1, "maximize": True, "beta2_decay": -0.5, "d": 2.0, "eps": [1e-3, 0.05]}],
        shapes=odd, seed=81, none={"d": [2], "f": [0, 4]}, zero={"g": [0], "b": [1], "e": [3]}, n=6, gscale={"e": 1e-4}, notes="odd shapes, a number, four dimensions, steps without a gradient and with zeros")
    many = {"a": [140, 36], "b": [36, 140], "c": [2, 50, 48], "d": [130]}
    run("adafactor_thaw", A, O, [{"params": ["a"], "lr": 1e-2}, {"params": ["b", "d"], "lr": 5e-3, "weight_decay": 0.2}, {"params": ["c"], "lr": 2e-2, "d": 1.5}],
        shapes=many, seed=82, n=5, add_at={1: 2, 2: 3}, sched={4: [{"group": 0, "lr": 1e-3}, {"group": 1, "weight_decay": 0.0, "d": 3.0, "eps": [1e-6, 0.5]}, {"group": 2, "beta2_decay": -0.3}]},
        notes="groups join late; their fields change between steps")
    run("adafactor_clip", A, O, one(lr=2e-2), seed=83, clip={"max_norm": 1.0}, gscale={"c": 5.0})
    run("adafactor_long", A, O, one(lr=1.0), n=60, shapes={"a": [1], "b": [5], "c": [6, 5], "d": [2, 2, 3]}, seed=84, notes="the rate is 1 / sqrt(t)")


# ---------------------------------------------------------------- clip
def clips():
    from torch.nn.utils import clip_grad_norm_, clip_grad_value_

    def case(name, seed, shapes, kw, fix=None, fn="norm", notes="", none=()):
        for dt in DT:
            g = torch.Generator().manual_seed(seed)
            P = {k: torch.nn.Parameter(torch.zeros(s, dtype=DT[dt])) for k, s in shapes.items()}
            T = {}
            for k, s in shapes.items():
                gr = torch.randn(s, generator=g, dtype=torch.float64).to(torch.float32).to(DT[dt])
                if fix:
                    fix(k, gr)
                if k in none:
                    continue
                P[k].grad = gr
                T["before." + k] = gr.clone()
            e, total = None, None
            try:
                r = clip_grad_norm_(list(P.values()), **kw) if fn == "norm" else clip_grad_value_(list(P.values()), **kw)
                total = float(r) if r is not None else None
            except Exception as x:  # noqa: BLE001
                e = {"type": type(x).__name__, "message": str(x)}
            for k in P:
                if P[k].grad is not None:
                    T["after." + k] = P[k].grad.clone()
            f = f"clip_{name}_{dt}"
            save_file(T, path(f + ".safetensors"))
            dump(f, dict(kind="clip", source=ver("torch"), callable=f"torch.nn.utils.clip_grad_{fn}_", args=kw, dtype=dt, file=f + ".safetensors", tensors=[{"name": k, "shape": s} for k, s in shapes.items() if k not in none],
                                total_norm=total, error=e, notes=notes, steps=[], values=[]))

    inf = float("inf")

    def put(v, key="b"):
        def f(k, t):
            if k == key:
                t.view(-1)[0] = v
        return f
    case("l2_active", 1, SH, {"max_norm": 1.0})
    case("l2_inactive", 2, SH, {"max_norm": 1e3}, notes="coefficient is clamped to 1 (gradients still multiplied by exactly 1)")
    case("linf", 3, SH, {"max_norm": 0.5, "norm_type": inf})
    case("l1", 4, SH, {"max_norm": 2.0, "norm_type": 1.0})
    case("l3", 12, SH, {"max_norm": 0.75, "norm_type": 3.0})
    case("l_half", 13, SH, {"max_norm": 5000.0, "norm_type": 0.5})
    case("l0", 20, SH, {"max_norm": 0.75, "norm_type": 0.0}, notes="order 0 counts the tensors whose gradient is not all zeros")
    case("l0_zeros", 30, SH, {"max_norm": 0.75, "norm_type": 0.0}, lambda k, t: t.zero_() if k in "bd" else None, notes="two gradients are zeros")
    case("l0_one_zero", 40, SH, {"max_norm": 0.75, "norm_type": 0.0}, put(0.0, "d"), notes="an element is zero")
    case("l0_inactive", 41, SH, {"max_norm": 5.0, "norm_type": 0.0})
    case("l0_inf", 50, SH, {"max_norm": 0.75, "norm_type": 0.0}, put(inf), notes="what is not finite is not zero: the norm is a number")
    case("l0_nan", 51, SH, {"max_norm": 0.75, "norm_type": 0.0}, put(float("nan")))
    case("l0_error", 56, SH, {"max_norm": 0.75, "norm_type": 0.0, "error_if_nonfinite": True}, put(float("nan")), notes="no error: the norm is finite")
    case("l3_nan", 14, SH, {"max_norm": 0.75, "norm_type": 3.0}, put(float("nan")))
    case("l3_inf", 15, SH, {"max_norm": 0.75, "norm_type": 3.0}, put(inf))
    case("inf_grad", 5, SH, {"max_norm": 1.0}, put(inf), notes="norm inf -> coefficient 0: finite gradients become 0, the infinite one becomes NaN")
    case("nan_grad", 6, SH, {"max_norm": 1.0}, put(float("nan")), notes="norm NaN -> every gradient becomes NaN")
    case("nan_error", 7, SH, {"max_norm": 1.0, "error_if_nonfinite": True}, put(float("nan")), notes="raises, gradients untouched")
    case("none_some", 8, SH, {"max_norm": 1.0}, none=("c",), notes="missing gradients are skipped")
    case("zero", 9, SH, {"max_norm": 1.0}, lambda k, t: t.zero_(), notes="all-zero gradients: norm 0, no division problem because of +1e-6")
    case("value", 10, SH, {"clip_value": 0.5}, fn="value")
    case("value_nan", 11, SH, {"clip_value": 0.5}, put(float("nan")), fn="value")
    pass


# ---------------------------------------------------------------- GradScaler (real torch.amp.GradScaler on CPU)
def scaler():
    def case(name, seed, n, kw, bad, clip=None, lr=1e-2, notes=""):
        g = torch.Generator().manual_seed(seed)
        shapes = {"a": [3], "b": [4]}
        P = {k: torch.nn.Parameter(torch.randn(s, generator=g)) for k, s in shapes.items()}
        opt = torch.optim.AdamW([{"params": [P["a"]]}, {"params": [P["b"]], "lr": lr / 2}], lr=lr)
        sc = torch.amp.GradScaler("cpu", **kw)
        sc.scale(torch.zeros(1))  # creates the scale tensor
        T = {"init." + k: v.detach().clone() for k, v in P.items()}
        rows, G, H = [], {k: [] for k in P}, {k: [] for k in P}
        for s in range(n):
            before = sc.get_scale()
            for k in P:
                true = torch.randn(shapes[k], generator=g)
                G[k].append(true.clone())
                P[k].grad = true * before
                if bad.get(s, [None])[0] == k:
                    P[k].grad[0] = bad[s][1]
            row = {"step": s, "scale_before": before}
            if clip is not None:
                sc.unscale_(opt)
                row["total_norm"] = float(torch.nn.utils.clip_grad_norm_(list(P.values()), clip))
            prev = {k: P[k].detach().clone() for k in P}
            sc.step(opt)
            row["skipped"] = all(torch.equal(prev[k], P[k]) for k in P)
            sc.update()
            row["scale_after"] = sc.get_scale()
            row["growth_tracker"] = int(sc._growth_tracker)
            row["opt_step_count"] = [float(opt.state[P[k]]["step"]) if P[k] in opt.state else None for k in P]
            rows.append(row)
            for k in P:
                H[k].append(P[k].detach().clone())
        for k in P:
            T["grad." + k] = torch.stack(G[k]); T["param." + k] = torch.stack(H[k])
        f = "scaler_" + name
        save_file(T, path(f + ".safetensors"))
        dump(f, dict(kind="grad_scaler", source=ver("torch"), callable="torch.amp.GradScaler('cpu')", args=kw, file=f + ".safetensors", optimizer={"class": "torch.optim.AdamW", "group_lrs": [lr, lr / 2]},
                            nonfinite={str(k): {"param": v[0], "element": 0, "value": v[1]} for k, v in bad.items()}, clip_max_norm=clip, trace=rows, notes=notes + " grad.* are the true (unscaled) gradients; the given gradient is grad*scale_before with element 0 replaced where 'nonfinite' says", steps=list(range(n)), values=[]))

    inf, nan = float("inf"), float("nan")
    case("default", 1, 8, {}, {2: ("a", inf), 5: ("b", nan)}, notes="default growth interval 2000: never grows here")
    case("growth", 2, 16, dict(init_scale=8.0, growth_interval=3), {4: ("a", inf), 5: ("a", inf), 11: ("b", -inf)})
    case("clip", 3, 10, dict(init_scale=1024.0, growth_interval=2, growth_factor=4.0, backoff_factor=0.25), {3: ("b", nan)}, clip=0.5)
    pass


def errors():
    p = lambda: [torch.nn.Parameter(torch.zeros(2))]
    q = p()

    def dup():
        torch.optim.AdamW([{"params": q}, {"params": q}], lr=1e-3)

    def add_dup():
        o = torch.optim.AdamW(q, lr=1e-3); o.add_param_group({"params": q})

    def twice():
        torch.optim.SGD([q[0], q[0]], lr=0.1)

    cs = [("lr negative", lambda: torch.optim.AdamW(p(), lr=-1.0)), ("eps negative", lambda: torch.optim.AdamW(p(), eps=-1e-8)), ("beta1 = 1.0", lambda: torch.optim.AdamW(p(), betas=(1.0, 0.999))),
          ("beta2 negative", lambda: torch.optim.AdamW(p(), betas=(0.9, -0.1))), ("weight_decay negative", lambda: torch.optim.AdamW(p(), weight_decay=-0.1)),
          ("group lr negative (not checked)", lambda: torch.optim.AdamW([{"params": p(), "lr": -1.0}])), ("lr nan (not checked?)", lambda: torch.optim.AdamW(p(), lr=float("nan"))),
          ("empty list", lambda: torch.optim.AdamW([])), ("empty group", lambda: torch.optim.AdamW([{"params": []}], lr=0.1)), ("same parameter in two groups", dup), ("add_param_group with a known parameter", add_dup), ("same parameter twice in one group (warning only?)", twice),
          ("not a leaf", lambda: torch.optim.AdamW([q[0] * 2])), ("sgd nesterov without momentum", lambda: torch.optim.SGD(p(), lr=0.1, nesterov=True)), ("sgd nesterov with dampening", lambda: torch.optim.SGD(p(), lr=0.1, momentum=0.9, dampening=0.1, nesterov=True)),
          ("muon 1-D", lambda: torch.optim.Muon(p())), ("adafactor d < 1", lambda: torch.optim.Adafactor(p(), d=0.5)), ("adafactor beta2_decay positive", lambda: torch.optim.Adafactor(p(), beta2_decay=0.5)),
          ("duplicate names in named parameters", lambda: torch.optim.AdamW([("w", p()[0]), ("w", p()[0])])), ("names mixed", lambda: torch.optim.AdamW([("w", p()[0]), p()[0]]))]
    dump("opt_errors", dict(kind="errors", source=ver("torch"), callable="torch.optim", args={}, notes="error null = accepted", steps=[], values=[], cases=[{"what": w, "error": err(f)} for w, f in cs]))


if __name__ == "__main__":
    adamw(); others(); clips(); scaler(); errors()
