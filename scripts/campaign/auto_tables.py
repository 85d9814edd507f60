"""What `auto` comes to on nine small tables, against logistic regression on the same rows.

    python3 scripts/campaign/auto_tables.py target/release/gradus [--seeds 3]

Needs scikit-learn and statsmodels, which bring the tables.
"""

import argparse
import json

import pandas
import statsmodels.api as statsmodels
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common import Desk

RUN = """\
model: {type: mlp}
data: {train: train.csv, test: test.csv, label: label}
name: run
epochs: 30
batch_size: auto
learning_rate: auto
"""
# Accuracy that a run may fall short of logistic regression.
TOLERANCE = 0.02


def tables():
    """Each table by name, with its label in a column of that name."""
    for name, load in [("iris", datasets.load_iris), ("wine", datasets.load_wine), ("breast cancer", datasets.load_breast_cancer)]:
        loaded = load(as_frame=True)
        yield name, loaded.data.assign(label=loaded.target)
    fair = statsmodels.datasets.fair.load_pandas().data
    yield "fair", fair.drop(columns="affairs").assign(label=(fair.affairs > 0).astype(int))
    for name, label, dropped in [
        ("spector", "GRADE", []),
        ("anes96", "vote", []),
        ("ccard", "OWNRENT", []),
        ("modechoice", "choice", ["individual"]),
    ]:
        table = getattr(statsmodels.datasets, name).load_pandas().data
        yield name, table.drop(columns=[label, *dropped]).assign(label=table[label].astype(int))
    points, labels = datasets.make_moons(400, noise=0.25, random_state=0)
    yield "moons", pandas.DataFrame(points, columns=["a", "b"]).assign(label=labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gradus")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    short = 0
    for name, table in tables():
        train, test = train_test_split(table, test_size=0.25, random_state=0, stratify=table.label)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        reference = model.fit(train.drop(columns="label"), train.label).score(test.drop(columns="label"), test.label)
        found = [accuracy(options.gradus, train, test, seed) for seed in range(1, options.seeds + 1)]
        is_short = min(accuracy for accuracy, _ in found) < reference - TOLERANCE
        short += is_short
        accuracies = " ".join(f"{accuracy:.3f}" for accuracy, _ in found)
        print(f"{name:14}{len(train):6}  {found[0][1]:4}  {accuracies}  {reference:.3f}{'  short' if is_short else ''}", flush=True)
    raise SystemExit(short > 0)


def accuracy(gradus, train, test, seed):
    """The last evaluation's accuracy, and the batch size that was found."""
    with Desk(gradus, "cpu", RUN + f"seed: {seed}\n") as desk:
        train.to_csv(desk.folder / "train.csv", index=False)
        test.to_csv(desk.folder / "test.csv", index=False)
        code, told = desk.finish("run.yaml")
        assert code == 0, told
        lines = [json.loads(line) for line in (desk.run / "metrics.jsonl").read_text().splitlines()]
        size = next(line for line in (desk.run / "run.yaml").read_text().splitlines() if line.startswith("batch_size: "))
        return [line["val_accuracy"] for line in lines if "val_accuracy" in line][-1], size.split()[1]


if __name__ == "__main__":
    main()
