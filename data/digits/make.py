"""Make digits.u8 from scikit-learn's digits.csv.gz.

    python make.py path/to/digits.csv.gz

digits.csv.gz is sklearn/datasets/data/digits.csv.gz in the scikit-learn 1.9.1
wheel (pip download --no-deps scikit-learn==1.9.1, then unzip the wheel; no
install is needed). Needs only the Python standard library. Writes digits.u8
next to this script and prints its sha256.
"""

import gzip
import hashlib
import pathlib
import sys

ROWS, PIXELS = 1797, 64

if len(sys.argv) != 2:
    sys.exit("usage: python make.py path/to/digits.csv.gz")

out = bytearray()
rows = 0
with gzip.open(sys.argv[1], "rt", encoding="ascii") as f:
    for n, line in enumerate(f, 1):
        v = [int(s) for s in line.split(",")]
        if len(v) != PIXELS + 1:
            sys.exit(f"line {n}: {len(v)} values, expected {PIXELS + 1}")
        if not all(0 <= p <= 16 for p in v[:PIXELS]):
            sys.exit(f"line {n}: a pixel is outside 0..16")
        if not 0 <= v[PIXELS] <= 9:
            sys.exit(f"line {n}: label {v[PIXELS]} is outside 0..9")
        out += bytes(v)
        rows += 1
if rows != ROWS:
    sys.exit(f"{rows} rows, expected {ROWS}")

(pathlib.Path(__file__).resolve().parent / "digits.u8").write_bytes(out)
print(hashlib.sha256(out).hexdigest(), "digits.u8", len(out), "bytes")
