"""What the campaigns share: a small run, its folder as it should be, and how two folders are compared."""

import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

# Phases, an average, a clip norm and a law: whatever a checkpoint has to hold.
RUN = """\
model: {type: mlp, hidden: [24, 16]}
data: {embedded: digits}
name: run
epochs: 5
batch_size: 64
checkpoint_every_steps: 11
optimizer: {type: adamw, lr: 5.0e-3, weight_decay: 0.05, clip_norm: 1.0, ema_decay: 0.9, no_decay: [bias]}
lr_scheduler: {type: cosine, warmup_fraction: 0.1}
early_stopping: {monitor: val_loss, patience: 4}
phases:
  0: {params: ['layers.2.*'], max_transition_epoch: 1}
  1: {params: ['layers.1.*'], lr: 2.0e-3, max_transition_epoch: 3}
  2: {params: ['layers.0.*'], lr: 1.0e-3}
"""


class Desk:
    """A folder with a run file in it."""

    def __init__(self, gradus, adapter, run=RUN, environment=None):
        self.folder = Path(tempfile.mkdtemp(prefix="gradus-campaign-"))
        self.gradus, self.adapter = str(Path(gradus).resolve()), adapter
        self.environment = {**os.environ, "GRADUS_KERNELS": "registers", **(environment or {})}
        (self.folder / "run.yaml").write_text(run)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def run(self):
        return self.folder / "runs" / "run"

    def start(self, *arguments, environment=None):
        command = [self.gradus, "--adapter", self.adapter, "train", *arguments]
        where = {**self.environment, **(environment or {})}
        return subprocess.Popen(
            command, cwd=self.folder, env=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self, *arguments, environment=None):
        """Runs to the end: exit code and what was told."""
        process = self.start(*arguments, environment=environment)
        out, err = process.communicate(timeout=600)
        return process.returncode, out + err

    def go_on(self):
        """Goes on with what is there, or begins where nothing is."""
        if self.run.exists() and any(name != ".lock" for name in os.listdir(self.run)):
            return self.finish("--resume", "runs/run")
        return self.finish("run.yaml")


def scalars(folder):
    """What TensorBoard shows of a folder's event files: it drops what was written for later steps before a start."""
    shown = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at + 12 <= len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            if at + 16 + length > len(data):
                break
            event = fields(data[at + 12 : at + 12 + length])
            at += 16 + length
            step = event.get(2, 0)
            if 7 in event:
                for values in shown.values():
                    for known in [known for known in values if known >= step]:
                        del values[known]
            if 5 in event:
                value = fields(fields(event[5])[1])
                shown.setdefault(value[1].decode(), {})[step] = value[2]
    return shown


def fields(message):
    """The last value of each field of a protocol buffer."""
    found, at = {}, 0
    while at < len(message):
        key, at = varint(message, at)
        match key & 7:
            case 0:
                value, at = varint(message, at)
            case 1:
                value, at = message[at : at + 8], at + 8
            case 2:
                length, at = varint(message, at)
                value, at = message[at : at + length], at + length
            case _:
                value, at = message[at : at + 4], at + 4
        found[key >> 3] = value
    return found


def varint(message, at):
    number, shift = 0, 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def state(folder, reports_each_step):
    """A run's folder without what tells the time: a name and what is in it."""
    found = {"(scalars)": scalars(folder)}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name == ".lock" or ".tfevents." in name:
            continue
        found[name] = path.read_bytes()
    if "run.yaml" in found:
        # Each desk is a folder of its own.
        found["run.yaml"] = re.sub(rb"(?m)^output: .*$", b"", found["run.yaml"])
    if "report.html" in found:
        # The environment tells of the last process alone.
        page = found["report.html"].decode()
        found["report.html"] = re.sub(r"<h2>Environment</h2>.*", "", page, flags=re.S)
    if "steps.jsonl" in found:
        lines = [json.loads(line) for line in found["steps.jsonl"].splitlines()]
        found["steps.jsonl"] = {line["step"]: {**line, "device_seconds": None} for line in lines if "step" in line}
    if not reports_each_step:
        # Of steps that follow each other fast a GPU reports some.
        del found["(scalars)"]
        found.pop("report.html", None)
        found.pop("steps.jsonl", None)
    return found


def difference(there, here):
    """The first thing in which two folders differ."""
    for name in sorted({*there, *here}):
        if name not in here:
            return f"{name} is missing"
        if name not in there:
            return f"{name} is there too"
        if there[name] != here[name]:
            return f"{name} differs"
    return None
