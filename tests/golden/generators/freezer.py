"""pytorch_accelerated.finetuning.ModelFreezer traces (real package)."""
import torch
from common import dump, ver
from pytorch_accelerated.finetuning import ModelFreezer



def model(bn=True, deep=False):
    L = torch.nn
    mid = L.Sequential(L.Linear(4, 4), L.BatchNorm1d(4) if bn else L.LayerNorm(4), L.ReLU())
    parts = {"embed": L.Linear(3, 4), "body": mid, "neck": L.Sequential(L.Linear(4, 4), L.Sequential(L.Dropout(0.1), L.LayerNorm(4))) if deep else L.Linear(4, 4), "head": L.Linear(4, 2)}
    m = L.Sequential()
    for k, v in parts.items():
        m.add_module(k, v)
    return m


def case(name, ops, bn=True, deep=False, freeze_bn=False, notes=""):
    m = model(bn, deep)
    f = ModelFreezer(m, freeze_batch_norms=freeze_bn)
    nm = {id(p): n for n, p in m.named_parameters()}
    rows = []

    def snap(op, ret=None):
        rows.append({"op": op, "requires_grad": {n: p.requires_grad for n, p in m.named_parameters()}, "training": {n or "<root>": x.training for n, x in m.named_modules()},
                     "layer_groups": [{"index": list(g.layer_group_idx), "is_frozen": g.is_frozen} for g in f.get_layer_groups()],
                     "layers": [{"index": list(l.layer_group_idx), "type": type(l.module).__name__, "is_frozen": l.is_frozen} for l in f.get_layers()],
                     "returned": None if ret is None else {str(k): [nm[id(p)] for p in v["params"]] for k, v in ret.items()}})
    snap("init")
    for o in ops:
        o = dict(o)
        fn = o.pop("do")
        snap({"do": fn, **o}, getattr(f, fn)(**o))
    dump("freezer_" + name, dict(kind="model_freezer", source=ver("pytorch_accelerated"), callable="pytorch_accelerated.finetuning.ModelFreezer", args={"freeze_batch_norms": freeze_bn, "bn": bn, "deep": deep}, notes=notes, steps=list(range(len(rows))), values=[], trace=rows))


F = lambda **k: {"do": "freeze", **k}
U = lambda **k: {"do": "unfreeze", **k}
case("default", [F(), U(), U(from_index=-2), U(from_index=-1, to_index=0)])
case("freeze_bn", [F(), U(from_index=-2, to_index=1)], freeze_bn=True)
case("eval", [F(set_modules_as_eval=True)], notes="freeze(set_modules_as_eval=True): look at requires_grad - the two flags are swapped inside the package")
case("unfreeze_no_train", [F(), U(set_modules_as_training=False)], notes="unfreeze(set_modules_as_training=False): the flags are swapped")
case("ranges", [F(from_index=1, to_index=2), F(from_index=-1, to_index=-1), U(from_index=2, to_index=1), F(from_index=0, to_index=9)], bn=False, deep=True)
