"""The first 4,000 pictures of Fashion-MNIST and the first 2,000 of its test set, as PNG files and tables of them.

    python clothes.py DEBIAN_FOLDER OUT_FOLDER"""

import csv
import gzip
import pathlib
import sys

import numpy as np
from PIL import Image

CLASSES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


def main(folder, out):
    folder, out = pathlib.Path(folder) / "usr/share/datasets/fashion-mnist", pathlib.Path(out)
    for name, file, count in (("train", "train", 4000), ("test", "t10k", 2000)):
        pixels = gzip.decompress((folder / f"{file}-images-idx3-ubyte.gz").read_bytes())[16:]
        labels = gzip.decompress((folder / f"{file}-labels-idx1-ubyte.gz").read_bytes())[8:]
        pixels = np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28)
        (out / name).mkdir(parents=True, exist_ok=True)
        rows = []
        for place in range(count):
            Image.fromarray(pixels[place]).save(out / name / f"{place}.png")
            rows.append((f"{name}/{place}.png", CLASSES[labels[place]]))
        with open(out / f"{name}.csv", "w", newline="", encoding="utf-8") as table:
            csv.writer(table).writerows([("image", "label"), *rows])


main(*sys.argv[1:])
