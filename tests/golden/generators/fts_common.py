"""Harness that runs the real finetuning_scheduler package on a tiny module and records what happens."""
import copy
import logging
import os
import shutil
import traceback
import warnings

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import torch

torch.set_num_threads(1)
import lightning.pytorch as pl  # noqa: E402
from finetuning_scheduler import FinetuningScheduler, FTSCheckpoint, FTSEarlyStopping  # noqa: E402
from common import clean, ver  # noqa: E402

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
logging.getLogger("finetuning_scheduler").setLevel(logging.ERROR)
TMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), ".fts_tmp")
CPU = 0


class Block(torch.nn.Module):
    def __init__(self, h, bn=False):
        super().__init__()
        self.dense = torch.nn.Linear(h, h)
        self.LayerNorm = torch.nn.BatchNorm1d(h) if bn else torch.nn.LayerNorm(h)

    def forward(self, x):
        return self.LayerNorm(x + torch.tanh(self.dense(x)))


class Emb(torch.nn.Module):
    def __init__(self, v, h):
        super().__init__()
        self.word_embeddings = torch.nn.Embedding(v, h)
        self.LayerNorm = torch.nn.LayerNorm(h)

    def forward(self, x):
        return self.LayerNorm(self.word_embeddings(x).mean(1))


class Enc(torch.nn.Module):
    def __init__(self, n, h, bn=False):
        super().__init__()
        self.layer = torch.nn.ModuleList([Block(h, bn) for _ in range(n)])

    def forward(self, x):
        for b in self.layer:
            x = b(x)
        return x


class TinyBert(pl.LightningModule):
    """names: embeddings.word_embeddings.weight, embeddings.LayerNorm.{weight,bias},
    encoder.layer.N.{dense,LayerNorm}.{weight,bias}, [pooler.{weight,bias},] head.{weight,bias}; spec extra: a top-level parameter `scale` (listed first)"""

    def __init__(self, spec, script):
        super().__init__()
        torch.manual_seed(7)
        self.spec, self.script = spec, script
        h = 4
        self.embeddings = Emb(11, h)
        self.encoder = Enc(spec.get("n_layers", 2), h, spec.get("bn", False))
        if spec.get("pooler", True):
            self.pooler = torch.nn.Linear(h, h)
        self.head = torch.nn.Linear(h, 2)
        if spec.get("tied"):
            self.decoder = torch.nn.Linear(h, 11, bias=False)
            self.decoder.weight = self.embeddings.word_embeddings.weight
        if spec.get("extra"):
            self.scale = torch.nn.Parameter(torch.ones(1))
        if spec.get("no_decay") is not None:
            self.no_decay = spec["no_decay"]

    def forward(self, x):
        x = self.encoder(self.embeddings(x))
        if hasattr(self, "pooler"):
            x = torch.tanh(self.pooler(x))
        if hasattr(self, "scale"):
            x = x * self.scale
        return self.head(x)

    def training_step(self, batch, i):
        x, y = batch
        return torch.nn.functional.cross_entropy(self(x), y)

    def validation_step(self, batch, i):
        e = self.current_epoch
        s = self.script
        for k, v in (s.items() if isinstance(s, dict) else {"val_loss": s}.items()):
            self.log(k, torch.tensor(v[min(e, len(v) - 1)]), prog_bar=False)

    def configure_optimizers(self):
        o = self.spec["optimizer"]
        cls = getattr(torch.optim, o["class"])
        which = o.get("params", "requires_grad")
        if which == "all":
            ps = list(self.parameters())
        elif which == "requires_grad":
            ps = [p for p in self.parameters() if p.requires_grad]
        elif which == "no_decay_groups":
            nd = self.spec["no_decay"]
            ps = [{"params": [p for n, p in self.named_parameters() if p.requires_grad and not any(d in n for d in nd)], "weight_decay": o["args"].get("weight_decay", 0.01)},
                  {"params": [p for n, p in self.named_parameters() if p.requires_grad and any(d in n for d in nd)], "weight_decay": 0.0}]
        else:
            ps = [p for n, p in self.named_parameters() if n in which]
        opt = cls(ps, **o["args"])
        s = self.spec.get("scheduler")
        if not s:
            return opt
        a = dict(s.get("args", {}))
        if "lr_lambda" in a:
            b = a["lr_lambda"]["base"]
            a["lr_lambda"] = lambda e: b**e
        sch = getattr(torch.optim.lr_scheduler, s["class"])(opt, **a)
        return {"optimizer": opt, "lr_scheduler": {"scheduler": sch, **s.get("pl", {})}}


class Traced(FinetuningScheduler):
    """Only records; all behaviour comes from the package class."""
    rec = None

    def should_transition(self, trainer):
        r = super().should_transition(trainer)
        es = trainer.early_stopping_callback
        tgt = self.ft_schedule[self.curr_depth]["max_transition_epoch"] if self.depth_remaining > 0 else trainer.fit_loop.max_epochs
        es_done = bool(es.es_phase_complete) if es is not None and hasattr(es, "es_phase_complete") else None
        ep = 0 <= tgt <= trainer.current_epoch
        self.rec["pending"] = {"epoch": trainer.current_epoch, "result": bool(r), "es_phase_complete": es_done, "max_transition_epoch": tgt, "epoch_condition": ep,
                               "reason": None if not r else ("early_stopping" if es_done else "max_transition_epoch"), "from_depth": self.curr_depth}
        return r

    def restore_best_ckpt(self):
        super().restore_best_ckpt()
        p = os.path.basename(self.trainer.checkpoint_callback.best_model_path)
        self.rec["restored"] = {"best_model_path": p, "best_ckpt_depth_meta": self._fts_state._best_ckpt_depth}


class Trace(pl.Callback):
    def __init__(self, rec):
        self.rec = rec
        self.seen_batches = 0

    def _fp(self, m):
        return {n: round(float(p.detach().double().abs().sum()), 9) for n, p in m.named_parameters()}

    def _groups(self, tr, m):
        nm = {id(p): n for n, p in m.named_parameters()}
        keys = ("lr", "initial_lr", "weight_decay", "momentum", "betas", "eps")
        return [{"params": [nm.get(id(p), "?") for p in g["params"]], **{k: g[k] for k in keys if k in g}} for g in tr.optimizers[0].param_groups]

    def _sched(self, tr):
        if not tr.lr_scheduler_configs:
            return None
        c = tr.lr_scheduler_configs[0]
        s = c.scheduler
        d = {"class": type(s).__name__, "last_epoch": s.last_epoch, "interval": c.interval, "frequency": c.frequency, "monitor": c.monitor, "name": c.name, "base_lrs": list(s.base_lrs) if hasattr(s, "base_lrs") else None,
             "last_lr": list(s._last_lr) if getattr(s, "_last_lr", None) is not None else None, "same_optimizer_object": s.optimizer is tr.optimizers[0]}
        if hasattr(s, "min_lrs"):
            d.update(min_lrs=list(s.min_lrs), num_bad_epochs=s.num_bad_epochs, best=s.best)
        if hasattr(s, "lr_lambdas"):
            d["n_lambdas"] = len(s.lr_lambdas)
        return d

    def on_train_epoch_start(self, tr, m):
        f = tr.finetuning = [c for c in tr.callbacks if isinstance(c, FinetuningScheduler)][0]
        fp = self._fp(m)
        restored = self.rec.pop("restored", None)
        if restored:
            restored["equals_end_of_epoch"] = [e["epoch"] for e in self.rec["epochs"] if e.get("_fp_end") == fp]
        row = {"epoch": tr.current_epoch, "depth": f.curr_depth, "depth_remaining": f.depth_remaining, "transition": self.rec.pop("pending", None), "restored": restored,
               "thawed": [n for n, p in m.named_parameters() if p.requires_grad], "groups": self._groups(tr, m), "optimizer": type(tr.optimizers[0]).__name__, "scheduler": self._sched(tr),
               "batch_lrs": [], "thawed_state": list(f._fts_state._curr_thawed_params), "best_ckpt_depth": f._fts_state._best_ckpt_depth}
        st = tr.optimizers[0].state
        nm = {id(p): n for n, p in m.named_parameters()}
        row["optimizer_steps"] = {nm[id(p)]: float(v["step"]) for p, v in st.items() if id(p) in nm and "step" in v}
        row["state_tensors_for"] = sorted(nm[id(p)] for p, v in st.items() if id(p) in nm)
        if self.rec.get("want_bn"):
            row["bn"] = {n: {"training": x.training, "track_running_stats": x.track_running_stats, "running_mean0": float(x.running_mean[0]) if x.running_mean is not None else None}
                         for n, x in m.named_modules() if isinstance(x, torch.nn.BatchNorm1d)}
        self.rec["epochs"].append(row)

    def on_train_batch_start(self, tr, m, b, i):
        if not self.rec["epochs"]:
            self.on_train_epoch_start(tr, m)
            self.rec["epochs"][-1]["resumed_tail"] = True
        self.rec["epochs"][-1]["batch_lrs"].append([g["lr"] for g in tr.optimizers[0].param_groups])

    def on_train_epoch_end(self, tr, m):
        if not self.rec["epochs"]:  # a run resumed from a checkpoint written during validation first finishes that epoch
            self.on_train_epoch_start(tr, m)
            self.rec["epochs"][-1]["resumed_tail"] = True
        e = self.rec["epochs"][-1]
        es = tr.early_stopping_callback
        f = tr.finetuning
        e["_fp_end"] = self._fp(m)
        e["metrics"] = {k: float(v) for k, v in tr.callback_metrics.items()}
        e["after_validation"] = {"es": None if es is None else {"wait_count": es.wait_count, "best_score": float(es.best_score), "es_phase_complete": getattr(es, "es_phase_complete", None), "final_phase": getattr(es, "final_phase", None), "stopped_epoch": es.stopped_epoch},
                                 "should_stop": tr.should_stop, "best_model_path": os.path.basename(tr.checkpoint_callback.best_model_path) if tr.checkpoint_callback else None,
                                 "fts_best_ckpt_depth": f._fts_state._best_ckpt_depth, "ft_epoch": f._fts_state._ft_epoch, "ft_global_steps": f._fts_state._ft_global_steps}


def data():
    g = torch.Generator().manual_seed(3)
    x = torch.randint(0, 11, (4, 3), generator=g)
    y = torch.randint(0, 2, (4,), generator=g)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=2)


def run(spec):
    """spec keys: schedule (None | dict | yaml text), script, fts{}, es{} or None, ckpt{}, optimizer, scheduler, no_decay, max_epochs, resume{}"""
    os.makedirs(TMP, exist_ok=True)
    d = os.path.join(TMP, "run")
    if not spec.get("_keep"):
        shutil.rmtree(d, ignore_errors=True)
    os.makedirs(d, exist_ok=True)
    rec = {"epochs": []}
    if spec.get("bn"):
        rec["want_bn"] = True
    out = {"error": None}
    sched = copy.deepcopy(spec.get("schedule"))
    if isinstance(sched, str):
        p = os.path.join(d, "in_schedule.yaml")
        if sched != "<missing>":
            open(p, "w").write(sched)
        sched = p
    with warnings.catch_warnings(record=True) as wl:
        warnings.simplefilter("always")
        try:
            m = TinyBert(spec, spec["script"])
            out["model_params"] = [n for n, _ in m.named_parameters()]
            cbs = []
            fts = Traced(ft_schedule=sched, logging_level=logging.ERROR, **copy.deepcopy(spec.get("fts", {})))
            fts.rec = rec
            if not spec.get("no_fts"):
                cbs.append(fts)
            es = spec.get("es", {"monitor": "val_loss", "patience": 1})
            if es is not None:
                es = dict(es)
                cls = pl.callbacks.EarlyStopping if es.pop("_base", False) else FTSEarlyStopping
                cbs.append(cls(**es))
            ck = spec.get("ckpt", {"monitor": "val_loss", "save_top_k": 1})
            if ck is not None:
                ck = dict(ck)
                cls = pl.callbacks.ModelCheckpoint if ck.pop("_base", False) else FTSCheckpoint
                cbs.append(cls(dirpath=os.path.join(d, "ckpt"), filename="{epoch}", **ck))
            cbs.append(Trace(rec))
            tr = pl.Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=d, callbacks=cbs,
                            max_epochs=spec.get("max_epochs", 12), **spec.get("trainer", {}))
            dl = data()
            via = spec.get("_via", "fit")
            if spec.get("_ckpt") and via == "attr":
                tr.ckpt_path = spec["_ckpt"]
            tr.fit(m, dl, dl, ckpt_path=spec.get("_ckpt") if via == "fit" else None, **({"weights_only": False} if spec.get("_ckpt") else {}))
            out["final"] = {"current_epoch": tr.current_epoch, "max_epochs_effective": tr.fit_loop.max_epochs, "should_stop": tr.should_stop, "depth": fts.curr_depth, "max_depth": fts.max_depth,
                            "ft_epoch": fts._fts_state._ft_epoch, "ft_global_steps": fts._fts_state._ft_global_steps}
        except BaseException as e:  # noqa: BLE001
            fr = traceback.extract_tb(e.__traceback__)[-1]
            pk = [f for f in traceback.extract_tb(e.__traceback__) if "finetuning_scheduler/" in f.filename]
            w = lambda f: f.filename.split("site-packages/")[-1] + ":" + f.name
            out["error"] = {"type": type(e).__name__, "message": str(e).replace(d, "<dir>"), "raised_in": w(fr), "last_fts_frame": w(pk[-1]) if pk else None}
            if isinstance(e, KeyboardInterrupt):
                raise
        fs = getattr(fts, "ft_schedule", None) if "fts" in dir() else None
    try:
        if isinstance(fts.ft_schedule, dict):
            out["resolved_schedule"] = fts.ft_schedule
    except Exception:  # noqa: BLE001
        pass
    files = {}
    for r, _, fl in os.walk(d):
        for f in sorted(fl):
            if f.endswith(".yaml") and f != "in_schedule.yaml":
                files[f] = open(os.path.join(r, f)).read()
    out["written_yaml"] = files
    keep = ("schedule", "lr", "depth", "phase", "optimizer", "lambda", "EarlyStopping", "FTS", "Fine", "fine", "checkpoint", "param")
    seen = []
    for w in wl:
        t = str(w.message).replace(d, "<dir>").strip()
        if "site-packages/torch/" in str(w.filename) and "lr_scheduler" not in t:
            continue
        if any(k in t for k in keep) and "num_workers" not in t and t not in seen:
            seen.append(t[:400])
    out["warnings"] = seen
    for e in rec["epochs"]:
        e.pop("_fp_end", None)
    out["epochs"] = rec["epochs"]
    out["ckpts"] = sorted(os.listdir(os.path.join(d, "ckpt"))) if os.path.isdir(os.path.join(d, "ckpt")) else []
    out["_dir"] = d
    return out
