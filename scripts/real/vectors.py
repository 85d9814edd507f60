"""Sentence vectors of twenty glosses by gradus and by transformers: how far they are apart.

    python vectors.py MODEL_FOLDER TEST_CSV WORK_FOLDER GRADUS_COMMAND"""

import csv
import pathlib
import subprocess
import sys

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer


def main(model, test, work, command):
    with open(test, newline="", encoding="utf-8") as file:
        texts = [row["gloss"] for row in csv.DictReader(file)][:20]
    few, out = pathlib.Path(work) / "twenty.csv", pathlib.Path(work) / "vectors.csv"
    with open(few, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *[[text] for text in texts]])
    subprocess.run([*command.split(), "predict", model, str(few), "--vectors", "--out", str(out)], check=True)
    with open(out, newline="", encoding="utf-8") as file:
        ours = np.array([[float(number) for number in row] for row in list(csv.reader(file))[1:]])
    tokenizer, encoder = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    words = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.no_grad():
        rows, weight = encoder(**words).last_hidden_state, words["attention_mask"].unsqueeze(-1).float()
    theirs = ((rows * weight).sum(1) / weight.sum(1)).numpy()
    far = np.abs(ours - theirs).max() / np.abs(theirs).max()
    print(f"vectors of {len(texts)} glosses within {far:.1e} of transformers'")
    assert far <= 1e-5, far


main(*sys.argv[1:])
