"""Kills runs at moments of all kinds, and holds what they end with against a run that was never stopped.

    python3 scripts/campaign/kill.py target/release/gradus [--adapter cpu] [--kills 60]

Three kinds of moment: at random over the whole run; within the first and the last 50 ms; while another run takes its place
(`--overwrite`). The whole folder is compared: parameters, checkpoints, logs, what TensorBoard shows, the report but for times.
"""

import argparse
import random
import shutil
import time

from common import RUN, Desk, difference, state


def whole(options, run=RUN):
    """What an undisturbed run leaves, and the seconds that it takes."""
    with Desk(options.gradus, options.adapter, run) as desk:
        started = time.monotonic()
        code, told = desk.finish("run.yaml")
        seconds = time.monotonic() - started
        assert code == 0, told
        return state(desk.run, options.adapter == "cpu"), seconds


def killed(options, expected, moment):
    """Kills a run after so many seconds; what is wrong with what it ends with."""
    with Desk(options.gradus, options.adapter) as desk:
        process = desk.start("run.yaml")
        time.sleep(moment)
        process.kill()
        process.communicate()
        code, told = desk.go_on()
        if code != 0:
            return f"exit code {code}: {told.strip().splitlines()[-1]}"
        return difference(expected, state(desk.run, options.adapter == "cpu"))


def overwritten(options, old, new, moment, earlier):
    """Kills a run that takes another's place: the old one is whole, or the new one has begun."""
    with Desk(options.gradus, options.adapter, RUN.replace("5.0e-3", "4.0e-3")) as desk:
        shutil.copytree(earlier, desk.run)
        process = desk.start("run.yaml", "--overwrite")
        time.sleep(moment)
        process.kill()
        process.communicate()
        here = state(desk.run, options.adapter == "cpu")
        if difference(old, here) is None:
            return None
        code, told = desk.go_on()
        if code != 0:
            return f"exit code {code}: {told.strip().splitlines()[-1]}"
        return difference(new, state(desk.run, options.adapter == "cpu"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gradus")
    parser.add_argument("--adapter", default="cpu")
    parser.add_argument("--kills", type=int, default=60, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    expected, seconds = whole(options)
    print(f"a run takes {seconds:.2f} s on {options.adapter}", flush=True)
    edges = [moments.uniform(0, 0.05) if number % 2 else seconds - moments.uniform(0, 0.05) for number in range(options.kills)]
    kinds = {
        "at random": [moments.uniform(0, seconds) for _ in range(options.kills)],
        "in the first and last 50 ms": edges,
    }
    failed = 0
    for kind, times in kinds.items():
        wrong = [(moment, killed(options, expected, moment)) for moment in times]
        failed += report(kind, wrong)
    # Folders name themselves in their run.yaml, so the old run is one that was copied too.
    with Desk(options.gradus, options.adapter) as desk:
        code, told = desk.finish("run.yaml")
        assert code == 0, told
        new, _ = whole(options, RUN.replace("5.0e-3", "4.0e-3"))
        old = state(desk.run, options.adapter == "cpu")
        times = [moments.uniform(0, 0.4) for _ in range(options.kills)]
        wrong = [(moment, overwritten(options, old, new, moment, desk.run)) for moment in times]
        failed += report("while one run takes another's place", wrong)
    raise SystemExit(failed > 0)


def report(kind, wrong):
    bad = [(moment, what) for moment, what in wrong if what]
    print(f"{len(wrong)} kills {kind}: {len(bad)} differences", flush=True)
    for moment, what in bad:
        print(f"  after {moment:.3f} s: {what}", flush=True)
    return len(bad)


if __name__ == "__main__":
    main()
