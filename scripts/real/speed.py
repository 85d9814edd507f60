"""Seconds of a step beside PyTorch's, in turn: the same rows, padded to the context in both; what padding costs; and the head
on a trunk that is kept.

    python speed.py RUNS_FOLDER DATA_FOLDER GRADUS_COMMAND"""

import csv
import json
import pathlib
import re
import statistics
import subprocess
import sys

ROWS, ROUNDS = 512, 3
STEPS = ROWS // 32
HERE = pathlib.Path(__file__).parent


def step_seconds(short, long, *arguments):
    """Seconds of a step: what more epochs take longer. Both runs test, and write a checkpoint, once."""
    (few, less), (many, more) = (gradus(*arguments, f"epochs={epochs}", f"evaluate_every_epochs={epochs}") for epochs in (short, long))
    return (more - less) / (many - few)


def gradus(command, work, data, name, file, *more):
    """Steps and seconds of a run, as the program tells them."""
    arguments = [*command, "train", str(work / file), "--overwrite"]
    settings = [
        f"name={name}", f"output={work}", f"model.from={work}/start-1", f"data.train={data}/speed.csv",
        f"data.test={data}/speed-test.csv", "check=off", *more,
    ]
    for setting in settings:
        arguments += ["--set", setting]
    told = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    steps, seconds = re.search(r"steps\s+(\d+) in ([\d.]+) s", told).groups()
    return int(steps), float(seconds)


def torch(work, data, *more):
    out = work / "speed.json"
    subprocess.run(
        [sys.executable, str(HERE / "torch_run.py"), str(work / "start-1"), str(data), str(out), "--epochs", "1",
         "--steps", str(STEPS), "--no-test", *more],
        check=True,
    )
    return json.loads(out.read_text())


def main(work, data, command):
    work, data, command = pathlib.Path(work), pathlib.Path(data), command.split()
    with open(data / "train.csv", newline="", encoding="utf-8") as file:
        head, *rows = list(csv.reader(file))
    senses = {}
    for row in rows:
        senses.setdefault(row[1], row)
    chosen = [*senses.values(), *rows[: ROWS - len(senses)]]
    for name, part in (("speed", chosen), ("speed-test", rows[:32])):
        with open(data / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([head, *part])
    ratios, ours, theirs, packed, cached = [], [], [], [], []
    for _ in range(ROUNDS):
        ours.append(step_seconds(1, 3, command, work, data, "speed", "everything.yaml"))
        theirs.append(torch(work, data, "--pad", "context")["step_seconds"])
        by_batch = torch(work, data, "--pad", "batch")
        packed.append((by_batch["step_seconds"], by_batch["tokens"]))
        ratios.append(theirs[-1] / ours[-1])
        cached.append(step_seconds(10, 110, command, work, data, "speed-head", "head.yaml"))
    step, other = statistics.median(ours), statistics.median(theirs)
    print(f"a step of 32 x 64 tokens: gradus {1000 * step:.0f} ms, torch {1000 * other:.0f} ms; "
          f"speed {statistics.median(ratios):.2f} of torch's [{min(ratios):.2f}, {max(ratios):.2f}]")
    short, tokens = packed[-1]
    print(f"torch padded to each batch's longest row: {1000 * short:.0f} ms, {tokens} tokens of {STEPS * 32 * 64}")
    head_step = statistics.median(cached)
    print(f"the head on a kept trunk: {1000 * head_step:.2f} ms a step, {step / head_step:.0f} times as fast")


main(*sys.argv[1:])
