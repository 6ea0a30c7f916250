"""Documents say what is true: quoted sessions, the code map, verbs, the test command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from index.relations import RELATIONS
from simkin.cli import VERBS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_quoted_sessions_and_the_code_map_are_what_the_program_says() -> None:
    """scripts/update_docs.py finds nothing to change."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "update_docs.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_readme_lists_every_verb_and_relation() -> None:
    """What exists is told, what is told exists."""
    assert set(re.findall(r"^\| `simkin (\w+)` \|", README, re.MULTILINE)) == set(VERBS)
    for relation in RELATIONS:
        assert relation in README


def test_readme_gives_one_command_that_tests() -> None:
    """Continuous integration runs this very line."""
    assert len(re.findall(r"^    python3 -m venv .* pytest$", README, re.MULTILINE)) == 1


def test_links_and_pictures_of_documents_exist() -> None:
    """No document points at a file that is not there."""
    for document in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (ROOT / target).exists(), f"{document.name}: {target}"


def test_scripts_that_documents_name_exist_and_explain_themselves() -> None:
    """Each begins with a docstring or comment that shows its usage."""
    for document in ROOT.glob("*.md"):
        for script in re.findall(r"scripts/[a-z_]+(?:\.py)?", document.read_text()):
            assert (ROOT / script).exists(), f"{document.name}: {script}"
    for script in (ROOT / "scripts").iterdir():
        if script.is_file():
            assert "Usage:" in script.read_text(), script.name
