"""Makes emoji.png, and the names of its classes, of the package emoji-datasource-google.

    npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz
    python make.py package

Needs Pillow. Each class has the same number of emoji, taken evenly over the order of the package. A picture is 32 by 32 pixels on
white; a row of emoji.png is a class."""

import hashlib
import json
import pathlib
import sys

from PIL import Image

SIDE, EACH = 32, 80
CLASSES = ["Flags", "Smileys & Emotion", "Animals & Nature", "Food & Drink", "Travel & Places", "Objects"]


def main(package):
    package, here = pathlib.Path(package), pathlib.Path(__file__).parent
    emoji = json.loads((package / "emoji.json").read_text())
    sheet = Image.new("RGB", (SIDE * EACH, SIDE * len(CLASSES)), "white")
    for row, name in enumerate(CLASSES):
        files = [package / "img/google/64" / one["image"] for one in sorted(emoji, key=lambda one: one["sort_order"])
                 if one["category"] == name and one["has_img_google"]]
        for column in range(EACH):
            with Image.open(files[column * len(files) // EACH]) as file:
                picture = file.convert("RGBA").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            sheet.paste(picture, (column * SIDE, row * SIDE), picture)
    sheet = sheet.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    sheet.save(here / "emoji.png", optimize=True)
    (here / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    print(hashlib.sha256((here / "emoji.png").read_bytes()).hexdigest())


main(*sys.argv[1:])
