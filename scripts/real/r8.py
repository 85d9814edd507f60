"""Reuters' R8 as CSV: eight topics of news.

    python r8.py FOLDER_OF_TABS OUT_FOLDER"""

import csv
import pathlib
import sys


def main(tabs, out):
    for part in ("train", "test"):
        lines = (pathlib.Path(tabs) / f"reuters-r8-{part}.tab").read_text(encoding="utf-8").splitlines()
        # Three lines of head: names, kinds, roles.
        rows = [line.split("\t", 1) for line in lines[3:] if "\t" in line]
        with open(pathlib.Path(out) / f"r8-{part}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "topic"])
            writer.writerows([text.strip(), topic] for topic, text in rows if text.strip())


main(*sys.argv[1:])
