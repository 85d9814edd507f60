"""Tables of Google's emoji by category: four fifths to train on, and the others.

    python emoji.py PACKAGE_FOLDER OUT_FOLDER"""

import csv
import json
import os
import pathlib
import sys

import numpy as np


def main(package, out):
    package, out = pathlib.Path(package), pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    emoji = json.loads((package / "emoji.json").read_text())
    rows = [
        (os.path.relpath(package / "img/google/64" / one["image"], out), one["category"])
        for one in emoji
        if one["has_img_google"] and one["category"] != "Component"
    ]
    rows = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    cut = len(rows) * 4 // 5
    for name, part in (("train", rows[:cut]), ("test", rows[cut:])):
        with open(out / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("image", "label"), *part])
    print(f"emoji: {cut} to train on, {len(rows) - cut} to test")


main(*sys.argv[1:])
