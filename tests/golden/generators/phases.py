"""Golden traces of finetuning_scheduler: every case is a real Lightning training run (or a refused one)."""
import os
import shutil
import sys

from fts_common import TMP, TinyBert, run, ver
from common import dump

SRC = None
ADAMW = {"class": "AdamW", "args": {"lr": 1e-3}}
ONE = [1.0, 0.9, 0.95, 0.96, 0.5, 0.6, 0.7, 0.4, 0.45, 0.46, 0.3, 0.35, 0.36, 0.37, 0.2, 0.25, 0.26, 0.27, 0.28]
PAR = None
DRIVE = ("epochs[i] is recorded at train-epoch start AFTER the callback has done its transition: depth, thawed (indices into model_params, requires_grad), groups (optimizer param groups; 'p' = parameter indices), "
         "scheduler; batch_lrs = lr of each group at each of the 2 training batches; after_validation = state after this epoch's validation (epoch-interval schedulers have already stepped after the last batch; plateau ones step after validation). val_loss of epoch e is script[min(e,len-1)]. "
         "restored.equals_end_of_epoch = epochs whose end-of-epoch weights are bit-identical to the weights at this epoch's start. optimizer_steps = per-parameter 'step' in optimizer state at epoch start.")


def compact(o):
    names = o.get("model_params") or []
    ix = {n: i for i, n in enumerate(names)}
    for e in o["epochs"]:
        e["thawed_state_matches"] = sorted(e.pop("thawed_state")) == sorted(e["thawed"])
        e["thawed"] = [ix[n] for n in e["thawed"]]
        for g in e["groups"]:
            g["p"] = [ix.get(n, -1) for n in g.pop("params")]
        e["optimizer_steps"] = {str(ix[n]): s for n, s in e["optimizer_steps"].items()}
        st = [ix[n] for n in e.pop("state_tensors_for")]
        e["has_state"] = st
        t = e.get("transition")
        if t:
            t.pop("epoch", None)
    return o


def case(name, notes="", **spec):
    o = run(spec)
    r = spec.get("resume")
    rec = compact(o)
    d = dict(kind="fts", source=SRC, callable="finetuning_scheduler.FinetuningScheduler", notes=notes, drive=DRIVE,
             args={k: v for k, v in spec.items() if not k.startswith("_") and k != "resume"}, steps=[], values=[], **{k: v for k, v in rec.items() if not k.startswith("_")})
    d["steps"] = [e["epoch"] for e in rec["epochs"]]
    if r:
        ck = os.path.join(o["_dir"], "ckpt", r["ckpt"])
        if not os.path.exists(ck):
            raise SystemExit(f"{name}: no {ck}: {os.listdir(os.path.dirname(ck))}")
        import torch
        c = torch.load(ck, weights_only=False)
        fts_key = [k for k in c["callbacks"] if k.startswith("Traced") or "FinetuningScheduler" in k][0]
        es_key = [k for k in c["callbacks"] if "EarlyStopping" in k]
        ck_key = [k for k in c["callbacks"] if "FTSCheckpoint" in k]
        d["checkpoint_content"] = {"keys": sorted(c), "epoch": c["epoch"], "global_step": c["global_step"], "fts": c["callbacks"][fts_key],
                                   "early_stopping": c["callbacks"][es_key[0]] if es_key else None,
                                   "fts_checkpoint": {k: (os.path.basename(str(v)) if "path" in k else ({os.path.basename(a): b for a, b in v.items()} if isinstance(v, dict) else v)) for k, v in c["callbacks"][ck_key[0]].items() if k != "dirpath"} if ck_key else None,
                                   "optimizer_param_groups": [{k: v for k, v in g.items() if k in ("lr", "initial_lr", "weight_decay", "params")} for g in c["optimizer_states"][0]["param_groups"]],
                                   "lr_schedulers": c["lr_schedulers"]}
        keep = os.path.join(TMP, "keep")
        shutil.rmtree(keep, ignore_errors=True)
        shutil.copytree(os.path.join(o["_dir"], "ckpt"), keep)
        for key, via in (("resumed", "attr"), ("resumed_fit_arg", "fit")):
            shutil.rmtree(os.path.join(o["_dir"], "ckpt"))
            shutil.copytree(keep, os.path.join(o["_dir"], "ckpt"))
            s2 = {**spec, **r.get("spec", {}), "_ckpt": ck, "_keep": True, "_via": via}
            s2.pop("resume")
            o2 = compact(run(s2))
            d[key] = {"from": r["ckpt"], "how": "trainer.ckpt_path = <file> before trainer.fit()" if via == "attr" else "trainer.fit(ckpt_path=<file>)", "changes": r.get("spec", {}), **{k: v for k, v in o2.items() if not k.startswith("_") and k not in ("model_params", "written_yaml")}}
    dump("fts_" + name, d)
    if o["error"] and "-v" in sys.argv:
        print(name, o["error"])


E1, E0, EM, HD, PO = (r"encoder.layer.1.*", r"encoder.layer.0.*", r"embeddings.*", ["head.bias", "head.weight"], ["pooler.bias", "pooler.weight"])


def S(*phases):
    return {i: p for i, p in enumerate(phases)}


def P(params, **k):
    return {"params": params, **k}


def three(**k):
    """3 phases; k maps 0/1/2 -> extra keys"""
    return S(P(HD + PO, **k.get("p0", {})), P([E1], **k.get("p1", {})), P([E0, EM], **k.get("p2", {})))


def sched(c, pl=None, **a):
    return {"class": c, "args": a, **({"pl": pl} if pl else {})}


LR = "torch.optim.lr_scheduler."


def nls(cls, pl=None, **k):
    init = k.pop("init")
    d = {"lr_scheduler_init": {"class_path": LR + cls, "init_args": init}, **k}
    if pl:
        d["pl_lrs_cfg"] = pl
    return d


def no(cls, **a):
    return {"optimizer_init": {"class_path": "torch.optim." + cls, "init_args": a}}


def dev():
    c = lambda n, notes="", **k: case(n, notes, **{"optimizer": ADAMW, "script": ONE, "schedule": None, "max_epochs": 14, **k})
    c("implicit_default", "no schedule: parameters reversed, two per phase; default lr for later groups 1e-5")
    c("implicit_odd_small", "odd parameter count", pooler=False, n_layers=1, max_epochs=9)
    c("implicit_even", "even parameter count", extra=True, pooler=False, n_layers=1, max_epochs=12)
    c("implicit_max_depth", fts={"max_depth": 2})
    c("implicit_max_depth0", "only phase 0 ever trains", fts={"max_depth": 0})
    c("implicit_no_restore", fts={"restore_best": False})
    c("implicit_base_max_lr", fts={"base_max_lr": 3e-4}, max_epochs=8)
    c("implicit_base_max_lr_none", "documented: None = lr of the first depth; actual behaviour recorded here", fts={"base_max_lr": None}, max_epochs=8)
    c("explicit_lrs", schedule=three(p1={"lr": 5e-4}, p2={"lr": "2e-4"}), notes="a string lr that converts to float is accepted")
    c("explicit_lr_phase0", "a lr in phase 0 is dropped with a warning", schedule=three(p0={"lr": 0.5}, p1={"lr": 5e-4}), max_epochs=6)
    c("explicit_base_max_lr_none", fts={"base_max_lr": None}, schedule=three(p1={"lr": 5e-4}), max_epochs=6)
    c("explicit_yaml", schedule="0:\n  params:\n  - head.*\n  max_transition_epoch: 2\n1:\n  params:\n  - pooler.*\n  - encoder.layer.1.dense.*\n  max_transition_epoch: 5\n  lr: 1.0e-04\n2:\n  params:\n  - encoder.layer.(0|1).*LayerNorm.*\n  - embeddings.*\n")
    c("mte_and_es", "max_transition_epoch composed with early stopping, patience 2", schedule=three(p0={"max_transition_epoch": 2}, p1={"max_transition_epoch": 12}), es={"monitor": "val_loss", "patience": 2})
    c("mte_final_phase", "last phase's max_transition_epoch only raises max_epochs", schedule=three(p0={"max_transition_epoch": 1}, p1={"max_transition_epoch": 2}, p2={"max_transition_epoch": 9}), es={"monitor": "val_loss", "patience": 50}, max_epochs=5)
    c("mte_decreasing", "phase 1 and 2 already past their limit: one epoch each", schedule=three(p0={"max_transition_epoch": 4}, p1={"max_transition_epoch": 2}), es={"monitor": "val_loss", "patience": 50}, max_epochs=8)
    c("mte_zero_no_restore", "phase 0 with limit 0, restore_best off", schedule=three(p0={"max_transition_epoch": 0}, p1={"max_transition_epoch": 3}), fts={"restore_best": False}, es={"monitor": "val_loss", "patience": 50}, max_epochs=6)
    c("mte_zero", "phase 0 with limit 0 transitions before the first epoch", schedule=three(p0={"max_transition_epoch": 0}, p1={"max_transition_epoch": 3}), es={"monitor": "val_loss", "patience": 50}, max_epochs=6)
    c("epoch_only", schedule=three(p0={"max_transition_epoch": 2}, p1={"max_transition_epoch": 4}, p2={"max_transition_epoch": 7}), fts={"epoch_transitions_only": True}, es=None, max_epochs=10)
    c("epoch_only_es_given", "an EarlyStopping given together with epoch_transitions_only is removed", schedule=three(p0={"max_transition_epoch": 1}, p1={"max_transition_epoch": 2}, p2={"max_transition_epoch": 4}), fts={"epoch_transitions_only": True}, max_epochs=4)
    c("epoch_only_max_epochs_low", "max_epochs below the schedule's last epoch", schedule=three(p0={"max_transition_epoch": 2}, p1={"max_transition_epoch": 4}, p2={"max_transition_epoch": 9}), fts={"epoch_transitions_only": True}, es=None, max_epochs=3)
    c("max_epochs_cut", "max_epochs reached in the middle of the schedule", schedule=three(), max_epochs=5)
    c("no_decay", "two groups per phase when the module has no_decay; phase 0 optimizer built by the user without it", schedule=three(), no_decay=["bias", "LayerNorm.weight"], max_epochs=9)
    c("no_decay_user_groups", "user builds decay/no-decay groups for phase 0", schedule=three(), no_decay=["bias", "LayerNorm.weight"], optimizer={"class": "AdamW", "params": "no_decay_groups", "args": {"lr": 1e-3, "weight_decay": 0.1}}, max_epochs=9)
    c("optimizer_all_params", "optimizer built over ALL parameters: phase-0 enforcement rebuilds its groups", schedule=three(), optimizer={"class": "AdamW", "params": "all", "args": {"lr": 1e-3}}, scheduler=sched("StepLR", step_size=1, gamma=0.5), max_epochs=6)
    c("optimizer_all_params_no_enforce", "enforce_phase0_params False", schedule=three(), optimizer={"class": "AdamW", "params": "all", "args": {"lr": 1e-3}}, fts={"enforce_phase0_params": False}, max_epochs=6)
    c("optimizer_subset", "optimizer covers only part of phase 0", schedule=three(), optimizer={"class": "AdamW", "params": ["head.weight"], "args": {"lr": 1e-3}}, max_epochs=6)
    c("sgd", schedule=three(p1={"lr": 0.02}), optimizer={"class": "SGD", "args": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}}, max_epochs=9)
    # lr schedulers
    c("sch_step", "lr of old groups carries on; new group enters with its own lr", schedule=three(p1={"lr": 5e-4}, p2={"lr": 1e-4}), scheduler=sched("StepLR", step_size=2, gamma=0.5))
    c("sch_step_no_restore", schedule=three(p1={"lr": 5e-4}, p2={"lr": 1e-4}), scheduler=sched("StepLR", step_size=2, gamma=0.5), fts={"restore_best": False})
    c("sch_exp_interval_step", "lr scheduler stepped every batch", schedule=three(p1={"lr": 5e-4}), scheduler=sched("ExponentialLR", pl={"interval": "step"}, gamma=0.9), max_epochs=8)
    c("sch_cosine", schedule=three(p1={"lr": 5e-4}), scheduler=sched("CosineAnnealingLR", T_max=5), max_epochs=9)
    c("sch_cosine_wr", schedule=three(p1={"lr": 5e-4}), scheduler=sched("CosineAnnealingWarmRestarts", T_0=3), max_epochs=9)
    c("sch_linear", schedule=three(p1={"lr": 5e-4}), scheduler=sched("LinearLR", start_factor=0.1, total_iters=6), max_epochs=9)
    c("sch_lambda", "lambda applies to old groups; new groups start at their lr, then follow base_lr*lambda from the next step", schedule=three(p1={"lr": 5e-4}), scheduler=sched("LambdaLR", lr_lambda={"base": 0.8}), max_epochs=9)
    c("sch_lambda_apply", "apply_lambdas_new_pgs", schedule=three(p1={"lr": 5e-4}), scheduler=sched("LambdaLR", lr_lambda={"base": 0.8}), fts={"apply_lambdas_new_pgs": True}, max_epochs=9)
    c("sch_lambda_apply_nodecay", schedule=three(p1={"lr": 5e-4}), scheduler=sched("LambdaLR", lr_lambda={"base": 0.8}), fts={"apply_lambdas_new_pgs": True}, no_decay=["bias"], max_epochs=7)
    c("sch_plateau", schedule=three(p1={"lr": 5e-4}), scheduler=sched("ReduceLROnPlateau", pl={"monitor": "val_loss"}, patience=0, factor=0.5, min_lr=1e-6), es={"monitor": "val_loss", "patience": 2})
    # scheduler reinit
    c("reinit_lrs_initial", "new_lr_scheduler, default rule: existing groups go back to initial_lr", schedule=three(p1={"lr": 5e-4, "new_lr_scheduler": nls("StepLR", init={"step_size": 1, "gamma": 0.7}, pl={"interval": "epoch", "frequency": 1, "name": "Phase1"})}, p2={"lr": 1e-4}), scheduler=sched("StepLR", step_size=1, gamma=0.5))
    c("reinit_lrs_current", "use_current_optimizer_pg_lrs", schedule=three(p1={"lr": 5e-4, "new_lr_scheduler": nls("ExponentialLR", init={"gamma": 0.9}, use_current_optimizer_pg_lrs=True)}), scheduler=sched("StepLR", step_size=1, gamma=0.5))
    c("reinit_lrs_pg_lrs", "init_pg_lrs", schedule=three(p1={"lr": 5e-4, "new_lr_scheduler": nls("CosineAnnealingWarmRestarts", init={"T_0": 3}, init_pg_lrs=[2e-4, 3e-4])}, p2={"new_lr_scheduler": nls("StepLR", init={"step_size": 2, "gamma": 0.1}, init_pg_lrs=[1e-5, 2e-5, 3e-5])}), scheduler=sched("StepLR", step_size=1, gamma=0.5))
    c("reinit_lrs_pg_lrs_short", "init_pg_lrs shorter than the group list", schedule=three(p1={"lr": 5e-4, "new_lr_scheduler": nls("StepLR", init={"step_size": 1, "gamma": 0.7}, init_pg_lrs=[2e-4])}), scheduler=sched("StepLR", step_size=1, gamma=0.5), max_epochs=7)
    c("reinit_lrs_plateau", schedule=three(p1={"lr": 5e-4, "new_lr_scheduler": nls("ReduceLROnPlateau", init={"patience": 0, "factor": 0.5}, pl={"monitor": "val_loss"})}), scheduler=sched("StepLR", step_size=1, gamma=0.5), es={"monitor": "val_loss", "patience": 2})
    c("reinit_lrs_step_interval", schedule=three(p1={"lr": 5e-4, "new_lr_scheduler": nls("LinearLR", init={"start_factor": 0.5, "total_iters": 6}, pl={"interval": "step"})}), scheduler=sched("StepLR", step_size=1, gamma=0.5), max_epochs=9)
    c("reinit_lrs_no_initial_scheduler", "no lr scheduler configured at first but a phase asks for a new one", schedule=three(p1={"new_lr_scheduler": nls("StepLR", init={"step_size": 1})}), max_epochs=8)
    c("reinit_lrs_implicit", "reinit_lr_cfg: at every transition", fts={"reinit_lr_cfg": nls("StepLR", init={"step_size": 1, "gamma": 0.7}, pl={"interval": "epoch", "frequency": 1, "name": "Implicit"}, use_current_optimizer_pg_lrs=True)}, scheduler=sched("StepLR", step_size=1, gamma=0.5), n_layers=1, pooler=False, max_epochs=10)
    c("reinit_lrs_implicit_initial", fts={"reinit_lr_cfg": nls("StepLR", init={"step_size": 1, "gamma": 0.7})}, scheduler=sched("StepLR", step_size=1, gamma=0.5), n_layers=1, pooler=False, max_epochs=10)
    c("reinit_lrs_current_cwr", "use_current_optimizer_pg_lrs with a scheduler that computes from base_lrs: the current lrs are lost at once", schedule=three(p1={"lr": 5e-4, "new_lr_scheduler": nls("CosineAnnealingWarmRestarts", init={"T_0": 4}, use_current_optimizer_pg_lrs=True)}), scheduler=sched("StepLR", step_size=1, gamma=0.5), max_epochs=8)
    c("reinit_lrs_best_in_phase1", "best checkpoint taken inside the phase that reinitialised the scheduler", script=[1.0, 0.9, 0.95, 0.5, 0.6, 0.55, 0.4, 0.45, 0.46], schedule=three(p1={"lr": 5e-4, "new_lr_scheduler": nls("ExponentialLR", init={"gamma": 0.9})}), scheduler=sched("StepLR", step_size=1, gamma=0.5), max_epochs=10)
    c("no_decay_empty_group", "a phase that holds only no-decay parameters still gets two groups, the first one empty", schedule=S(P(["head.*"]), P([r"encoder.layer.1.LayerNorm.*"]), P(["pooler.weight"])), no_decay=["bias", "LayerNorm"], max_epochs=8)
    c("order_inside_group", "parameters inside a new group follow the model's order, not the schedule's", schedule=S(P(["head.bias", "head.weight"]), P(["pooler.bias", "encoder.layer.0.dense.weight", "embeddings.LayerNorm.bias"])), max_epochs=5)
    # optimizer reinit
    c("reinit_opt", "new_optimizer in phase 1", schedule=three(p1={"lr": 5e-4, "new_optimizer": no("SGD", lr=2e-3, momentum=0.9, weight_decay=1e-3)}))
    c("reinit_opt_sched", "optimizer and scheduler reinit; step lr", schedule=three(p1={"lr": 5e-4, "new_optimizer": no("SGD", lr=2e-3, momentum=0.9)}, p2={"lr": 1e-4, "new_optimizer": no("AdamW", lr=3e-3, weight_decay=0.0), "new_lr_scheduler": nls("StepLR", init={"step_size": 1, "gamma": 0.7})}), scheduler=sched("StepLR", step_size=1, gamma=0.5))
    c("reinit_opt_no_restore", schedule=three(p1={"lr": 5e-4, "new_optimizer": no("SGD", lr=2e-3, momentum=0.9)}, p2={"new_optimizer": no("Adam", lr=3e-3)}), fts={"restore_best": False}, scheduler=sched("StepLR", step_size=1, gamma=0.5))
    c("reinit_opt_implicit", fts={"reinit_optim_cfg": no("SGD", lr=2e-3, momentum=0.9)}, n_layers=1, pooler=False, max_epochs=9)
    c("reinit_both_implicit", fts={"reinit_optim_cfg": no("SGD", lr=2e-3), "reinit_lr_cfg": nls("StepLR", init={"step_size": 1, "gamma": 0.7})}, scheduler=sched("StepLR", step_size=1, gamma=0.5), n_layers=1, pooler=False, max_epochs=9)
    # schedule shapes
    c("regex_prefix", "patterns are matched from the start of the name only (a prefix is enough)", schedule=S(P(["head"]), P(["encoder.layer.1", "poo"]), P([r"embeddings\.LayerNorm", r".*word.*", "encoder.layer.0.dense.weight"])), max_epochs=9)
    c("regex_partial_cover", "parameters not named anywhere stay frozen for ever", schedule=S(P(["head.*"]), P(["encoder.layer.1.dense.weight"])), max_epochs=7)
    c("phase_order", "phases listed out of order in the file", schedule="1:\n  params:\n  - encoder.*\n0:\n  params:\n  - head.*\n2:\n  params:\n  - embeddings.*\n  - pooler.*\n", max_epochs=8)
    c("string_keys", "keys '0','1' are converted with a warning", schedule={"0": P(["head.*"]), "1": P(["pooler.*"])}, max_epochs=6)
    c("empty_phase", "a phase without parameters", schedule=S(P(["head.*"]), P([]), P(["pooler.*"])), max_epochs=8)
    c("missing_params_key", "a phase without 'params' at all", schedule=S(P(["head.*"]), {"lr": 1e-4}, P(["pooler.*"])), max_epochs=8)
    c("tied", "a tied weight listed under its second name is pruned", schedule=S(P(["head.*"]), P(["decoder.weight", "pooler.*"]), P(["embeddings.*"])), tied=True, max_epochs=8)
    c("lr_zero", "lr 0 for a phase; negative lr", schedule=three(p1={"lr": 0.0}, p2={"lr": -1.0}), max_epochs=8)
    # early stopping details
    c("es_patience3_mindelta", schedule=three(), es={"monitor": "val_loss", "patience": 3, "min_delta": 0.15}, script=[1.0, 0.9, 0.8, 0.75, 0.74, 0.73, 0.72, 0.71, 0.7, 0.5, 0.49, 0.48, 0.47, 0.46, 0.45, 0.44], max_epochs=20)
    c("es_best_kept", "best_score is kept across phases: a phase whose metric never beats the all-time best is left after `patience` epochs", schedule=three(), es={"monitor": "val_loss", "patience": 2}, script=[0.3, 0.5, 0.6, 0.9, 0.8, 0.7, 0.65, 0.6, 0.55, 0.5], max_epochs=14)
    c("es_threshold", "stopping_threshold stops the WHOLE training even in phase 0", schedule=three(), es={"monitor": "val_loss", "patience": 3, "stopping_threshold": 0.92}, max_epochs=10)
    c("es_nan", "non-finite metric stops the whole training", schedule=three(), es={"monitor": "val_loss", "patience": 3}, script=[1.0, 0.9, float("nan"), 0.5], max_epochs=10)
    c("es_divergence", schedule=three(), es={"monitor": "val_loss", "patience": 3, "divergence_threshold": 5.0}, script=[1.0, 0.9, 6.0, 0.5], max_epochs=10)
    c("es_max_mode", schedule=three(), es={"monitor": "acc", "mode": "max", "patience": 1}, ckpt={"monitor": "acc", "mode": "max"}, script={"val_loss": [1.0], "acc": [0.1, 0.4, 0.3, 0.5, 0.45, 0.6, 0.55, 0.5]}, max_epochs=12)
    c("es_patience0", schedule=three(), es={"monitor": "val_loss", "patience": 0}, max_epochs=10)
    c("es_default_added", "neither EarlyStopping nor ModelCheckpoint given: both are added, monitor val_loss, patience 3", schedule=three(), es=None, ckpt=None, max_epochs=14)
    c("es_base_substituted", "plain Lightning EarlyStopping/ModelCheckpoint are replaced by the FTS classes", schedule=three(), es={"_base": True, "monitor": "val_loss", "patience": 1}, ckpt={"_base": True, "monitor": "val_loss"}, max_epochs=10)
    c("ckpt_other_monitor", "checkpoint monitors another metric than early stopping: restore goes to that best", schedule=three(), ckpt={"monitor": "acc", "mode": "max"}, script={"val_loss": ONE, "acc": [0.9, 0.1, 0.2, 0.3, 0.95, 0.1, 0.1]}, max_epochs=10)
    c("val_every_2", "validation every second epoch", schedule=three(), trainer={"check_val_every_n_epoch": 2}, max_epochs=14)
    c("save_top_all", "save_top_k -1", schedule=three(), ckpt={"monitor": "val_loss", "save_top_k": -1}, max_epochs=9)
    # batch norm
    c("bn_track_default", "frozen BatchNorm, frozen_bn_track_running_stats True (default)", schedule=three(), bn=True, max_epochs=7)
    c("bn_track_false", schedule=three(), bn=True, fts={"frozen_bn_track_running_stats": False}, max_epochs=7)
    c("bn_track_false_no_restore", "same without restore: only the phase's own BatchNorm is switched back", schedule=three(), bn=True, fts={"frozen_bn_track_running_stats": False, "restore_best": False}, max_epochs=7)
    # generation
    c("gen_only", "gen_ft_sched_only: writes the file, exits with SystemExit(0)", fts={"gen_ft_sched_only": True})
    c("gen_only_three", fts={"gen_ft_sched_only": True}, pooler=False, n_layers=3)
    c("gen_only_even", "even parameter count, one directly on the top module (listed first by named_parameters, so thawed last)", fts={"gen_ft_sched_only": True}, extra=True)
    c("gen_only_tied", "a tied parameter appears once, under its first name", fts={"gen_ft_sched_only": True}, tied=True)
    c("gen_only_bn", fts={"gen_ft_sched_only": True}, bn=True, n_layers=1)
    # resume
    last = {"monitor": "val_loss", "save_top_k": 2, "save_last": True}
    c("resume_mid", "stop after 6 epochs, resume from last.ckpt", schedule=three(p1={"lr": 5e-4}), ckpt=last, max_epochs=6, scheduler=sched("StepLR", step_size=2, gamma=0.5), resume={"ckpt": "last.ckpt", "spec": {"max_epochs": 14}})
    c("resume_best", "resume from the best (earlier depth) checkpoint", schedule=three(p1={"lr": 5e-4}), ckpt=last, max_epochs=4, resume={"ckpt": "epoch=1.ckpt", "spec": {"max_epochs": 12}})
    c("resume_implicit", ckpt=last, max_epochs=6, resume={"ckpt": "last.ckpt", "spec": {"max_epochs": 12}})
    c("resume_epoch_only", schedule=three(p0={"max_transition_epoch": 2}, p1={"max_transition_epoch": 4}, p2={"max_transition_epoch": 7}), fts={"epoch_transitions_only": True}, es=None, ckpt=last, max_epochs=3, trainer={}, resume={"ckpt": "epoch=1.ckpt", "spec": {"max_epochs": 10}})
    c("resume_reinit_opt", "resume a schedule whose optimizer was reinitialised", schedule=three(p1={"lr": 5e-4, "new_optimizer": no("SGD", lr=2e-3, momentum=0.9)}, p2={"new_optimizer": no("SGD", lr=3e-3, momentum=0.8)}), ckpt=last, max_epochs=5, resume={"ckpt": "last.ckpt", "spec": {"max_epochs": 12}})
    c("resume_reinit", "resume a schedule with a reinitialised scheduler", schedule=three(p1={"lr": 5e-4, "new_lr_scheduler": nls("ExponentialLR", init={"gamma": 0.9}, use_current_optimizer_pg_lrs=True)}), scheduler=sched("StepLR", step_size=1, gamma=0.5), ckpt=last, max_epochs=5, resume={"ckpt": "last.ckpt", "spec": {"max_epochs": 12}})


BAD_EXTRA = None


def errors():
    base = {"optimizer": ADAMW, "script": [1.0], "max_epochs": 2}
    rows = []

    def b(what, **k):
        o = run({**base, **k})
        rows.append({"what": what, "args": {x: y for x, y in k.items() if not x.startswith("_")}, "error": o["error"], "epochs_run": len(o["epochs"]), "warnings": o["warnings"], "written_yaml": {f: t for f, t in o["written_yaml"].items() if "valid" in f}})

    b("same parameter in two phases", schedule=S(P(["head.*"]), P(["head.bias", "pooler.*"])))
    b("same parameter twice inside one phase (name and pattern)", schedule=S(P(["head.*", "head.bias"]), P(["pooler.*"])))
    b("unknown parameter name", schedule=S(P(["head.*"]), P(["classifier.weight"])))
    b("pattern that matches only in the middle of a name", schedule=S(P(["head.*"]), P(["dense"])))
    b("invalid regex", schedule=S(P(["head.*"]), P(["enc[oder"])))
    b("gap in phase numbers", schedule={0: P(["head.*"]), 2: P(["pooler.*"])})
    b("phases start at 1", schedule={1: P(["head.*"]), 2: P(["pooler.*"])})
    b("negative phase number with a gap that hides it", schedule={-1: P(["head.*"]), 1: P(["pooler.*"])})
    b("non-integer key", schedule={"first": P(["head.*"]), "second": P(["pooler.*"])})
    b("float keys", schedule={0.0: P(["head.*"]), 1.5: P(["pooler.*"])})
    b("duplicate YAML key", schedule="0:\n  params:\n  - head.*\n0:\n  params:\n  - pooler.*\n")
    b("duplicate YAML key inside a phase", schedule="0:\n  params:\n  - head.*\n  params:\n  - pooler.*\n")
    b("file not found", schedule="<missing>")
    b("malformed YAML", schedule="0:\n  params: [head.*\n")
    b("empty YAML file", schedule="\n")
    b("YAML is a list", schedule="- a\n- b\n")
    b("epoch_transitions_only, phases 1,2 without max_transition_epoch", schedule=three(p0={"max_transition_epoch": 2}), fts={"epoch_transitions_only": True}, es=None)
    b("epoch_transitions_only, only the last phase lacks it", schedule=three(p0={"max_transition_epoch": 1}, p1={"max_transition_epoch": 2}), fts={"epoch_transitions_only": True}, es=None)
    b("epoch_transitions_only with implicit schedule", fts={"epoch_transitions_only": True}, es=None)
    b("lr not a number", schedule=three(p1={"lr": "fast"}))
    b("lr is a list", schedule=three(p1={"lr": [1e-3]}))
    b("lr null", schedule=three(p1={"lr": None}))
    b("max_transition_epoch is a string", schedule=three(p1={"max_transition_epoch": "3"}))
    b("max_transition_epoch is a float", schedule=three(p0={"max_transition_epoch": 0.5}), max_epochs=3)
    b("unknown key in a phase (ignored)", schedule=three(p1={"colour": "blue"}))
    b("params is a string", schedule=S(P("head.weight"), P(["pooler.*"])))
    b("new_lr_scheduler in phase 0", schedule=three(p0={"new_lr_scheduler": nls("StepLR", init={"step_size": 1})}))
    b("new_optimizer in phase 0", schedule=three(p0={"new_optimizer": no("SGD", lr=0.1)}))
    b("new_lr_scheduler without lr_scheduler_init", schedule=three(p1={"new_lr_scheduler": {"class_path": LR + "StepLR"}}))
    b("new_lr_scheduler without class_path", schedule=three(p1={"new_lr_scheduler": {"lr_scheduler_init": {"init_args": {"step_size": 1}}}}))
    b("new_lr_scheduler without init_args", schedule=three(p1={"new_lr_scheduler": {"lr_scheduler_init": {"class_path": LR + "StepLR"}}}))
    b("new_lr_scheduler class not importable", schedule=three(p1={"new_lr_scheduler": nls("NopeLR", init={})}))
    b("new_lr_scheduler bad init_args", schedule=three(p1={"new_lr_scheduler": nls("StepLR", init={"stride": 1})}))
    b("new_lr_scheduler unsupported class OneCycleLR", schedule=three(p1={"new_lr_scheduler": nls("OneCycleLR", init={"max_lr": 0.1, "total_steps": 5})}))
    b("new_lr_scheduler unsupported class PolynomialLR with allow_untested", schedule=three(p1={"new_lr_scheduler": nls("PolynomialLR", init={"total_iters": 5})}), fts={"allow_untested": True})
    b("initial scheduler unsupported (OneCycleLR)", schedule=three(), scheduler=sched("OneCycleLR", max_lr=0.1, total_steps=10))
    b("initial scheduler unsupported, allow_untested", schedule=three(), scheduler=sched("PolynomialLR", total_iters=5), fts={"allow_untested": True})
    b("init_pg_lrs not numbers", schedule=three(p1={"new_lr_scheduler": nls("StepLR", init={"step_size": 1}, init_pg_lrs=["x", 1e-3])}))
    b("pl_lrs_cfg interval invalid", schedule=three(p1={"new_lr_scheduler": nls("StepLR", init={"step_size": 1}, pl={"interval": "batch"})}))
    b("pl_lrs_cfg unknown key", schedule=three(p1={"new_lr_scheduler": nls("StepLR", init={"step_size": 1}, pl={"interval": "epoch", "cadence": 3})}), scheduler=sched("StepLR", step_size=1), max_epochs=5)
    b("new ReduceLROnPlateau without monitor", schedule=three(p1={"new_lr_scheduler": nls("ReduceLROnPlateau", init={"patience": 1}, pl={"interval": "epoch"})}), scheduler=sched("StepLR", step_size=1), max_epochs=5)
    b("new ReduceLROnPlateau without any pl_lrs_cfg", schedule=three(p1={"new_lr_scheduler": nls("ReduceLROnPlateau", init={"patience": 1})}), scheduler=sched("StepLR", step_size=1), max_epochs=5)
    b("reinit_lr_cfg together with ft_schedule", schedule=three(), fts={"reinit_lr_cfg": nls("StepLR", init={"step_size": 1})})
    b("reinit_optim_cfg together with ft_schedule", schedule=three(), fts={"reinit_optim_cfg": no("SGD", lr=0.1)}, max_epochs=4)
    b("reinit_lr_cfg with init_pg_lrs", fts={"reinit_lr_cfg": nls("StepLR", init={"step_size": 1}, init_pg_lrs=[1e-3])})
    b("reinit_lr_cfg plateau with list min_lr", fts={"reinit_lr_cfg": nls("ReduceLROnPlateau", init={"min_lr": [1e-5]}, pl={"monitor": "val_loss"})})
    b("new_optimizer without optimizer_init", schedule=three(p1={"new_optimizer": {"class_path": "torch.optim.SGD"}}))
    b("new_optimizer bad init_args", schedule=three(p1={"new_optimizer": no("SGD", velocity=0.1)}))
    b("new_optimizer unknown class", schedule=three(p1={"new_optimizer": no("Nope", lr=0.1)}))
    b("restore_best with save_top_k 0", schedule=three(), ckpt={"monitor": "val_loss", "save_top_k": 0})
    b("restore_best with checkpoint monitor missing", schedule=three(), ckpt={"monitor": None, "save_top_k": 1})
    b("monitored metric never logged", schedule=three(), es={"monitor": "nope", "patience": 1}, ckpt={"monitor": "nope"}, max_epochs=3)
    b("FTSEarlyStopping without a FinetuningScheduler", schedule=three(), no_fts=True)
    b("max_depth larger than the schedule", schedule=three(), fts={"max_depth": 99}, max_epochs=3)
    b("max_depth -2", schedule=three(), fts={"max_depth": -2}, max_epochs=3)
    b("pruned shared parameter", schedule=S(P(["head.*"]), P(["decoder.weight"])), tied=True)
    b("unscheduled lr float overflow ('1e400')", schedule=three(p1={"lr": "1e400"}), max_epochs=3)
    dump("fts_errors", dict(kind="fts_errors", source=SRC, callable="FinetuningScheduler + Trainer.fit", args=base, notes="error null = accepted (epochs_run says how far it went)", steps=[], values=[], cases=rows))


if __name__ == "__main__":
    SRC = ver("finetuning-scheduler") + " on " + ver("lightning") + " / " + ver("torch")
    dev(); errors()
    shutil.rmtree(TMP, ignore_errors=True)
