"""Make data/glosses/glosses.txt and LICENSE from Debian's package wordnet-base.

    apt-get install wordnet-base
    python3 scripts/text_glosses.py

Glosses of WordNet's nouns and verbs without their examples, one a line, in an
order that mixes them: by the CRC-32 of part of speech and offset (`n00001740`).
A gloss that came before is left out, so that the end of the text holds nothing
that stood earlier. The first ones that fit into BYTES are taken. Needs only the
Python standard library. Prints size and sha256.
"""

import hashlib
import pathlib
import zlib

WORDNET = pathlib.Path("/usr/share/wordnet")
OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "glosses"
BYTES = 400_000
SYNSETS = 95_882
# Lines of the notice at the head of every data file.
NOTICE = 29

lines = []
for letter, name in [("n", "data.noun"), ("v", "data.verb")]:
    for line in (WORDNET / name).read_text(encoding="ascii").splitlines()[NOTICE:]:
        fields, gloss = line.split(" | ", 1)
        key = letter + fields.split(" ", 1)[0]
        # Examples follow the definition, each in quotation marks after a semicolon.
        definition = gloss.split('; "')[0].strip()
        lines.append((zlib.crc32(key.encode()), key, definition))
assert len(lines) == SYNSETS, len(lines)

taken, seen, size = [], set(), 0
for _, _, definition in sorted(lines):
    # What is left of a gloss that is an example and nothing else starts with its quotation mark.
    if not definition or definition.startswith('"') or definition in seen:
        continue
    size += len(definition) + 1
    if size > BYTES:
        break
    seen.add(definition)
    taken.append(definition)

text = "".join(definition + "\n" for definition in taken).encode("ascii")
(OUT / "glosses.txt").write_bytes(text)
head = (WORDNET / "data.noun").read_text(encoding="ascii").splitlines()[:NOTICE]
# Each line of the notice has its number before it.
(OUT / "LICENSE").write_text("".join(line.strip().partition(" ")[2].rstrip() + "\n" for line in head), encoding="ascii")
print(hashlib.sha256(text).hexdigest(), "glosses.txt", len(text), "bytes", len(taken), "glosses")
