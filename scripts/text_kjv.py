"""Make data/kjv/kjv.txt from Debian's packages bible-kjv and bible-kjv-text.

    apt-get install bible-kjv bible-kjv-text
    python3 scripts/text_kjv.py

Psalms, Proverbs and the four Gospels, in the Bible's order, one verse a line,
without the references. Needs only the Python standard library and the program
`bible`. Prints size and sha256.
"""

import hashlib
import pathlib
import subprocess

OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "kjv" / "kjv.txt"
PASSAGES = ["ps1:1-150:6", "prov1:1-31:31", "matt1:1-john21:25"]
VERSES = 7155

verses = []
for passage in PASSAGES:
    printed = subprocess.run(["bible", "-f", passage], check=True, capture_output=True, encoding="ascii").stdout
    verses += [line.split(" ", 1)[1].strip() for line in printed.splitlines()]
assert len(verses) == VERSES and all(verses), len(verses)

text = "".join(verse + "\n" for verse in verses).encode("ascii")
OUT.write_bytes(text)
print(hashlib.sha256(text).hexdigest(), OUT.name, len(text), "bytes")
