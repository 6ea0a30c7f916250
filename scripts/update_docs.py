#!/usr/bin/env python3
"""Fill in what the documents quote: the code map from module docstrings, README's sessions from real runs.

Usage: scripts/update_docs.py [--check]

Every line `    $ simkin …` of README.md is run in a folder where `simkin demo` was run, and the indented
lines below it are replaced by what it printed. With --check nothing is written: the exit status is 1 when
something is out of date (scores may differ in the last digits between machines, ids may not).
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SESSION = re.compile(r"^    \$ simkin (.*)\n((?:    (?!\$).*\n)*)", re.MULTILINE)
MAP = re.compile(r"(<!-- code map: scripts/update_docs.py -->\n).*?(<!-- end of code map -->)", re.DOTALL)
HEADINGS = {
    "vision": "picture file → vector",
    "audio": "sound file → vector",
    "index": "vectors → answers",
    "simkin": "the ways in",
}


def code_map() -> str:
    """One line for each module: its docstring's first sentence."""
    lines = []
    for package, heading in HEADINGS.items():
        lines += [f"**`{package}/`**: {heading}", ""]
        for path in sorted((ROOT / package).rglob("*.py")):
            text = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0].replace("\n", " ")
            if path.name != "__init__.py":
                lines.append(f"- `{path.relative_to(ROOT / package).with_suffix('')}`: {text}")
        lines.append("")
    return "\n".join(lines)


def run(words: str, folder: Path) -> str:
    """What one command prints, indented."""
    done = subprocess.run(
        f"{sys.executable} -m simkin {words}", shell=True, capture_output=True, text=True, cwd=folder, check=True
    )
    return "".join(f"    {line.rstrip()}\n" for line in done.stdout.splitlines())


def ids(text: str) -> list[str]:
    """Ids of hits in a printed answer; every line as it stands where there are none."""
    hits = re.findall(r"^ +\d+ +-?\d\.\d+ +(\S+)", text, re.MULTILINE)
    return hits or text.splitlines()


def main() -> None:
    """Update the documents, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    stale = []
    architecture = ROOT / "ARCHITECTURE.md"
    text = architecture.read_text()
    mapped = MAP.sub(lambda match: match[1] + code_map() + match[2], text)
    if mapped != text:
        stale.append("ARCHITECTURE.md: code map")
    readme = ROOT / "README.md"
    with tempfile.TemporaryDirectory() as scratch:
        run("demo", Path(scratch))

        def session(match: re.Match[str]) -> str:
            printed = run(match[1], Path(scratch))
            if ids(printed) != ids(match[2]):
                stale.append(f"README.md: $ simkin {match[1]}")
            return f"    $ simkin {match[1]}\n{printed}"

        told = SESSION.sub(session, readme.read_text())
    if args.check:
        print("\n".join(stale) or "documents are up to date")
        sys.exit(1 if stale else 0)
    architecture.write_text(mapped)
    readme.write_text(told)


if __name__ == "__main__":
    main()
