"""The proof's two runs side by side: transitions, losses, one picture; and the folder in transformers.

    python compare.py WORK_FOLDER LIGHTNING.json PICTURE.svg"""

import csv
import json
import pathlib
import re
import sys
import warnings

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as hf_logging


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def main(work, lightning, picture):
    work = pathlib.Path(work)
    run = work / "runs" / "proof"
    theirs = json.loads(pathlib.Path(lightning).read_text())
    metrics = lines(run / "metrics.jsonl")
    evaluations = [line for line in metrics if line.get("began") is None]
    ours_depths = [line["phase"] for line in evaluations]
    print("phase of each epoch, finetuning-scheduler:", *theirs["depths"])
    print("phase of each epoch, gradus:              ", *ours_depths)
    assert theirs["depths"] == ours_depths
    ours = [line["loss"] for line in lines(run / "steps.jsonl")]
    apart = [abs(a - b) for a, b in zip(ours, theirs["losses"])]
    print(f"train losses of {len(apart)} steps: the first 50 within {max(apart[:50]):.1e}, all within {max(apart):.1e}")
    for epoch, (a, b) in enumerate(zip(evaluations, theirs["epochs"]), 1):
        print(f"epoch {epoch:2}: phase {a['phase']}  val_loss {a['val_loss']:.5f} and {b['val_loss']:.5f}  accuracy "
              f"{100 * a['val_accuracy']:.2f} % and {100 * b['val_accuracy']:.2f} %")
    figure, axes = plt.subplots(figsize=(9, 4.5))
    axes.plot(theirs["losses"], color="#888888", linewidth=2.6, label="PyTorch, Lightning, finetuning-scheduler: train loss")
    axes.plot(ours, color="#1f5fbf", linewidth=0.9, label="gradus: train loss")
    of_epoch = len(ours) // len(evaluations)
    ends = [of_epoch * epoch for epoch in range(1, len(evaluations) + 1)]
    axes.plot(ends, [epoch["val_loss"] for epoch in theirs["epochs"]], "o", color="#888888", markersize=9, label="theirs: validation loss")
    axes.plot(ends, [line["val_loss"] for line in evaluations], "x", color="#c03030", markersize=7, label="gradus: validation loss")
    for place in range(1, len(ours_depths)):
        if ours_depths[place] != ours_depths[place - 1]:
            axes.axvline(of_epoch * place, color="black", linewidth=0.7, linestyle=":")
            axes.text(of_epoch * place + 4, axes.get_ylim()[1] * 0.93, f"phase {ours_depths[place]}", fontsize=9)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(picture)
    report = (run / "report.html").read_text()
    for row in ("submissions, dispatches", "waits for the device", "uploaded, downloaded"):
        found = re.search(rf"{row}</t[hd]>\s*<td[^>]*>([^<]*)<", report)
        print(f"{row}: {found.group(1) if found else 'not found'}")

    # What transformers says where a folder is not whole is a warning.
    hf_logging.set_verbosity_warning()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = AutoModelForSequenceClassification.from_pretrained(run).eval()
    tokenizer = AutoTokenizer.from_pretrained(run)
    with open(work / "test.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open(work / "answers.csv", newline="", encoding="utf-8") as file:
        answers = list(csv.DictReader(file))
    words = tokenizer([row["gloss"] for row in rows], truncation=True, max_length=32, padding=True, return_tensors="pt")
    with torch.no_grad():
        shares, places = model(**words).logits.softmax(1).max(1)
    same = sum(model.config.id2label[int(place)] == answer["label"] for place, answer in zip(places, answers))
    far = max(abs(float(share) - float(answer["probability"])) for share, answer in zip(shares, answers))
    print(f"the folder in transformers: {same} of {len(answers)} labels the same, probabilities within {far:.1e}")
    assert same == len(answers) and far < 1e-4


main(*sys.argv[1:])
