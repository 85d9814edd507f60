"""Fills the disk at each write of a run in turn, for a moment and for good, and holds what the run ends with against one
that had room.

    python3 scripts/campaign/full_disk.py target/release/gradus [--every 1]

Linux alone: writes are made to fail by a library that is loaded before the system's (full_disk.c, built by cc).
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from common import RUN, Desk, difference, state

# Fewer steps: each write has a run of its own.
SHORT = RUN.replace("epochs: 5", "epochs: 4").replace("batch_size: 64", "batch_size: 400")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gradus")
    parser.add_argument("--every", type=int, default=1, help="try each so many-th write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as built:
        library = Path(built) / "full_disk.so"
        source = Path(__file__).with_name("full_disk.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        campaign(options, library, Path(built) / "count")


def campaign(options, library, count):
    shim = {"LD_PRELOAD": str(library), "GRADUS_FULL_COUNT": str(count)}
    with Desk(options.gradus, "cpu", SHORT) as desk:
        code, told = desk.finish("run.yaml", environment={**shim, "GRADUS_FULL_BELOW": str(desk.folder)})
        assert code == 0, told
        writes, expected = int(count.read_text()), state(desk.run, True)
    print(f"a run writes {writes} times", flush=True)
    failed = 0
    for kind, lasting in [("for a moment", 1), ("for good", 1 << 40)]:
        codes, wrong = {}, []
        for number in range(1, writes + 1, options.every):
            with Desk(options.gradus, "cpu", SHORT) as desk:
                full = {"GRADUS_FULL_FROM": str(number), "GRADUS_FULL_FOR": str(lasting)}
                code, told = desk.finish(
                    "run.yaml", environment={**shim, **full, "GRADUS_FULL_BELOW": str(desk.folder)}
                )
                codes[code] = codes.get(code, 0) + 1
                problem = judged(desk, expected, code, told)
                if problem:
                    wrong.append((number, problem))
        print(f"full {kind}: {sum(codes.values())} runs, exit codes {codes}, {len(wrong)} wrong", flush=True)
        for number, problem in wrong:
            print(f"  at write {number}: {problem}", flush=True)
        failed += len(wrong)
    raise SystemExit(failed > 0)


def judged(desk, expected, code, told):
    """What is wrong with a run on a full disk. Lines may be missing in its logs, and it says so; all else is as it would be
    once it has gone on with room."""
    if "panicked" in told or code not in (0, 1, 2):
        return f"exit code {code}: {told.strip().splitlines()[-1:]}"
    if code == 0 and "warning" not in told and "full_disk" not in told:
        # Nothing was said, so nothing may be missing.
        return difference(expected, state(desk.run, True))
    code, told = desk.go_on()
    if code != 0:
        return f"does not go on: exit code {code}: {told.strip().splitlines()[-1:]}"
    here = state(desk.run, True)
    for name in ("(scalars)", "steps.jsonl", "metrics.jsonl", "report.html"):
        expected, here = dict(expected), dict(here)
        expected.pop(name), here.pop(name, None)
    # Which checkpoints stay follows from which could be written.
    keep = {name for name in here if not name.startswith("checkpoints/")}
    there = {name for name in expected if not name.startswith("checkpoints/")}
    return difference({name: expected[name] for name in there}, {name: here[name] for name in keep})


if __name__ == "__main__":
    main()
