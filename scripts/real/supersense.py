"""WordNet's glosses with their lexicographer file, a supersense, as label: 8,000 to train on, 2,000 to test.

    python supersense.py WORDNET_FOLDER OUT_FOLDER

Glosses of nouns and verbs without their examples, each once, shuffled by seed 7."""

import csv
import pathlib
import random
import re
import sys

SENSES = """adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition
noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person
noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state noun.substance
noun.time verb.body verb.change verb.cognition verb.communication verb.competition verb.consumption verb.contact
verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative verb.weather adj.ppl""".split()


def glosses(folder):
    found = {}
    for part in ("noun", "verb"):
        for line in (folder / f"data.{part}").read_text(encoding="latin1").splitlines():
            if line.startswith("  "):
                continue
            head, gloss = line.split("|", 1)
            sense = SENSES[int(head.split()[1])]
            text = re.split(r';\s*"', gloss.strip())[0].strip().rstrip(";").strip()
            if len(text) > 8 and sense != "noun.Tops":
                found.setdefault(text, sense)
    return found


def main(wordnet, out):
    rows = sorted(glosses(pathlib.Path(wordnet)).items())
    random.Random(7).shuffle(rows)
    for name, part in (("test", rows[:2000]), ("train", rows[2000:10000]), ("all", rows)):
        with open(pathlib.Path(out) / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["gloss", "sense"])
            writer.writerows(part)


main(*sys.argv[1:])
