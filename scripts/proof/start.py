"""What both programs begin from, and the rows: BertForSequenceClassification on MiniLM's weights, its classifier drawn from a
seed, and glosses of the twelve most frequent supersenses.

    python start.py MODEL_FOLDER ALL_CSV OUT_FOLDER [TRAIN_ROWS TEST_ROWS]"""

import collections
import csv
import pathlib
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

CLASSES = 12


def main(model, glosses, out, train_rows="1600", test_rows="400"):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with open(glosses, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    labels = sorted(sense for sense, _ in collections.Counter(sense for _, sense in rows).most_common(CLASSES))
    rows = [row for row in rows if row[1] in labels]
    train, test = int(train_rows), int(test_rows)
    for name, part in (("test", rows[:test]), ("train", rows[test : test + train])):
        with open(out / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["gloss", "sense"], *part])
    torch.manual_seed(7)
    start = AutoModelForSequenceClassification.from_pretrained(
        model,
        num_labels=CLASSES,
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    start.save_pretrained(out / "start")
    AutoTokenizer.from_pretrained(model).save_pretrained(out / "start")


main(*sys.argv[1:])
