#!/usr/bin/env python3
"""Lists what is public, with signatures, fields and variants, from rustdoc's pages: `cargo doc --no-deps` comes first.

    python3 scripts/public_items.py            writes docs/public_items.txt
    python3 scripts/public_items.py --check    says where that file is not what the pages say

Standard library only. The pages are those of the toolchain that CI has; another one may write a signature otherwise."""

import difflib
import html
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "doc" / "gradus"
LISTING = ROOT / "docs" / "public_items.txt"
HEAD = "# What is public, by scripts/public_items.py. A line that goes or changes may break a program that uses the crate.\n"
# Those of every type, or of no use to who calls.
LEFT_OUT = ("Freeze", "RefUnwindSafe", "StructuralPartialEq", "UnsafeUnpin", "Unpin", "UnwindSafe")


def text(fragment):
    """A fragment of a page as the text that it shows, in one line."""
    plain = html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"</div>|<br>", " ", fragment)))
    return re.sub(r"\s+", " ", plain).strip()


def declaration(page):
    """An item's own declaration, a line for each field, variant or method that it shows."""
    found = re.search(r'<pre class="rust item-decl"><code>(.*?)</code></pre>', page, re.S)
    if not found:
        return []
    # What is long is folded.
    fragment = re.sub(r"<summary[^>]*>.*?</summary>", "", found[1], flags=re.S)
    shown = html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"</div>", "\n", fragment)))
    return [line.rstrip() for line in shown.splitlines() if line.strip()]


def methods(page):
    """Functions and constants of an item's own implementations."""
    found = re.search(r'id="implementations-list">(.*?)(?=<h2 |$)', page, re.S)
    return [text(code) for code in re.findall(r'<h4 class="code-header">(.*?)</h4>', found[1], re.S)] if found else []


def traits(page):
    """Traits that the item has by an implementation of its own, or by its fields."""
    lists = r'id="(?:trait|synthetic)-implementations-list">(.*?)(?=<h2 |$)'
    heads = (text(code) for part in re.findall(lists, page, re.S)
             for code in re.findall(r'<h3 class="code-header">(.*?)</h3>', part, re.S))
    said = {head for head in heads if head.startswith("impl")}
    return sorted(head for head in said if not any(re.search(rf"\b{name} for ", head) for name in LEFT_OUT))


def listing():
    every = (PAGES / "all.html").read_text()
    names = sorted(set(re.findall(r'<li><a href="([^"]+\.html)">', every)))
    lines = [HEAD]
    for name in names:
        page = (PAGES / name).read_text()
        folder, _, file = name.rpartition("/")
        kind, item = file.removesuffix(".html").split(".")
        lines.append(f"{kind} {'::'.join(['gradus', *folder.split('/'), item] if folder else ['gradus', item])}\n")
        lines += [f"    {line}\n" for line in [*declaration(page), *methods(page), *traits(page)]]
    return lines


def main():
    lines = listing()
    if "--check" not in sys.argv:
        LISTING.write_text("".join(lines))
        return 0
    kept = LISTING.read_text().splitlines(keepends=True)
    changes = list(difflib.unified_diff(kept, lines, "docs/public_items.txt", "what is public", n=0))
    if changes:
        sys.stdout.writelines(changes)
        print("\nwhat is public has changed. Where that is meant, renew the list and say so in CHANGELOG.md:"
              "\n    cargo doc --no-deps && python3 scripts/public_items.py")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
