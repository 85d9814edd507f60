"""What gradus and PyTorch came to, side by side.

    python compare.py RUNS_FOLDER SEED…"""

import csv
import json
import pathlib
import statistics
import sys


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def main(work, *seeds):
    work = pathlib.Path(work)
    table = {}
    for seed in seeds:
        for name in ("head", "everything", "gradual"):
            run = work / f"{name}-{seed}"
            # The gradual schedule runs with the first seed only.
            if not run.exists():
                continue
            ours = [line["val_accuracy"] for line in lines(run / "metrics.jsonl") if line.get("val_accuracy") is not None]
            table.setdefault((name, "gradus"), []).append([100 * accuracy for accuracy in ours])
            other = work / f"torch-{name}-{seed}.json"
            if not other.exists():
                continue
            torch = json.loads(other.read_text())
            table.setdefault((name, "torch"), []).append([100 * epoch["val_accuracy"] for epoch in torch["epochs"]])
            steps = [line["loss"] for line in lines(run / "steps.jsonl")]
            worst = max(abs(a - b) for a, b in zip(steps[:20], torch["losses"][:20]))
            with open(work / f"{name}-{seed}.csv", newline="", encoding="utf-8") as file:
                predicted = [row["label"] for row in csv.DictReader(file)]
            same = sum(a == b for a, b in zip(predicted, torch["predicted"])) / len(predicted)
            print(f"{name}, seed {seed}: first 20 losses within {worst:.1e}; {100 * same:.1f} % of the test rows get the same class")
    print(f"\n{'':12}{'':8}accuracy after each epoch, mean over the seeds {' '.join(seeds)}, and the last one's range")
    for (name, who), runs in table.items():
        means = [statistics.mean(epoch) for epoch in zip(*runs)]
        last = [run[-1] for run in runs]
        print(f"{name:12}{who:8}{' '.join(f'{mean:6.2f}' for mean in means)}   {min(last):.2f} to {max(last):.2f}")


main(*sys.argv[1:])
