#!/usr/bin/env python3
"""Changes one token of our WGSL at random and asks `gradus check` whether it notices; many times over.

    python3 scripts/mutate.py --binary target/release/gradus --count 100 --seed 1

A change is an operator, a number or an index: `+` becomes `-`, `1u` becomes `2u`, `q` in brackets becomes `q + 1u`. Each is
tried with `check --shaders`, which runs the kernels whose text differs, in the forms that the adapter takes (--all: in
every form). What happens is one of these:

    caught      check names a kernel (a kernel that does not come back is one of them)
    refused     the text is no shader any more
    not run     the line is in no kernel of these forms
    the same    every bit of every result is as before
    SLIPPED     a result differs, and check finds it within its bounds

Prints a line for each, then the counts, and leaves with 1 where more than one in twenty of those that change a result
slipped.
"""

import argparse
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

OPERATORS = {
    "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"],
    "<": ["<=", ">"], ">": [">=", "<"], "<=": ["<", ">"], ">=": [">", "<"], "==": ["!="], "!=": ["=="],
    "&&": ["||"], "||": ["&&"], "&": ["|"], "|": ["&"], "^": ["|"], "<<": [">>"], ">>": ["<<"],
    "+=": ["-="], "-=": ["+="], "*=": ["+="], "++": [" += 2u"],
}
TOKEN = re.compile(
    r"(?P<number>(?<![\w.])(?:0x[0-9a-fA-F]+u?|\d+\.\d*(?:e[-+]?\d+)?f?|\d+e[-+]?\d+f?|\d+u?)(?![\w.]))"
    r"|(?P<operator>\+\+|\+=|-=|\*=|<=|>=|==|!=|&&|\|\||<<|>>|->|[-+*/%<>&|^])"
    r"|(?P<index>(?<=\[)[a-z_]+(?=\]))"
)


def tokens(text):
    """Places of tokens that compute something: not in comments, declarations, attributes and types."""
    at = 0
    is_struct = False
    for line in text.splitlines(keepends=True):
        code = line.split("//")[0]
        stripped = code.strip()
        is_struct = is_struct or stripped.startswith("struct ")
        skipped = is_struct or stripped.startswith(("#", "@", "override", "enable", "fn ", "var<"))
        if not skipped:
            types = [m.span() for m in re.finditer(r"\b(?:array|vec[234]|bitcast|ptr|mat\w+)<[^()]*?>+", code)]
            for match in TOKEN.finditer(code):
                inside = any(start <= match.start() < end for start, end in types)
                if not inside and match.group() != "->":
                    yield at + match.start(), at + match.end(), match.lastgroup, match.group()
        if is_struct and "}" in stripped:
            is_struct = False
        at += len(line)


def other(kind, token, dice):
    """Another token in its place."""
    if kind == "operator":
        return dice.choice(OPERATORS[token])
    if kind == "index":
        return dice.choice([f"{token} + 1u", f"{token} ^ 1u"])
    if token.startswith("0x"):
        digits, suffix = (token[:-1], "u") if token.endswith("u") else (token, "")
        return hex(int(digits, 16) ^ 1 << dice.randrange(4)) + suffix
    if "." in token or "e" in token:
        digits = token.rstrip("f")
        value = float(digits)
        return repr(dice.choice([value + 1.0, 2.0 * value if value else 0.5]))
    digits, suffix = (token[:-1], "u") if token.endswith("u") else (token, "")
    return str(int(digits) + dice.choice([1, 2] if int(digits) == 0 else [1, -1])) + suffix


def check(arguments, shaders=None):
    command = [arguments.binary, "--adapter", arguments.adapter, "check", "--json"]
    command += ["--all"] if arguments.all else []
    command += ["--shaders", str(shaders)] if shaders else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=arguments.seconds)
    except subprocess.TimeoutExpired:
        return None, "the process did not end"
    return (json.loads(done.stdout) if done.stdout.strip().startswith("{") else None), done.stderr


def judged(arguments, folder, before):
    told, said = check(arguments, folder)
    if told is None:
        return ("caught", said) if "did not end" in said else ("refused", said.strip().splitlines()[-1:])
    if not told["kernels"]:
        return "not run", ""
    if told["refused"]:
        first = told["refused"][0]
        if "Shader" in first["reason"] or "shader" in first["reason"]:
            return "refused", first["reason"].splitlines()[0]
        kernels = sorted({refused["kernel"] for refused in told["refused"]})
        return "caught", f"{len(kernels)} kernels, {kernels[0]}: {first['reason'][:90]}"
    bits = {name: kernel["crc32"] for name, kernel in told["kernels"].items()}
    changed = [name for name in bits if bits[name] != before.get(name)]
    error = max(told["kernels"][name]["error"] for name in bits)
    return ("SLIPPED", f"{changed[0]}, error {error:.1e}") if changed else ("the same", "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/gradus")
    parser.add_argument("--adapter", default="software")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=120, help="that a check may take")
    parser.add_argument("--all", action="store_true", help="every form of every kernel")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    root = pathlib.Path(__file__).resolve().parent.parent / "shaders"
    files = sorted(path.relative_to(root) for path in root.rglob("*.wgsl"))
    places = [(file, *token) for file in files for token in tokens((root / file).read_text())]
    print(f"{len(places)} tokens in {len(files)} files, seed {arguments.seed}")
    baseline, said = check(arguments)
    if baseline is None or baseline["refused"]:
        sys.exit(f"without a change: {said}")
    before = {name: kernel["crc32"] for name, kernel in baseline["kernels"].items()}
    counts = {}
    for file, start, end, kind, token in dice.sample(places, arguments.count):
        text = (root / file).read_text()
        put = other(kind, token, dice)
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(root, folder, dirs_exist_ok=True)
            (pathlib.Path(folder) / file).write_text(text[:start] + put + text[end:])
            verdict, why = judged(arguments, folder, before)
        counts[verdict] = counts.get(verdict, 0) + 1
        number = text.count("\n", 0, start) + 1
        line = text.splitlines()[number - 1].strip()
        print(f"{verdict:9} {file}:{number}: {token} -> {put} in `{line}` {why}", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    caught, slipped = counts.get("caught", 0), counts.get("SLIPPED", 0)
    print(f"of {caught + slipped} that change a result {caught} are caught")
    sys.exit(slipped * 20 > caught + slipped)


if __name__ == "__main__":
    main()
