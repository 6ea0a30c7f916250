"""Some hundred damaged pictures and sounds; ``scripts/mutate_media.py`` makes as many as one likes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MUTATE = Path(__file__).resolve().parent.parent / "scripts" / "mutate_media.py"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_damaged_files_are_plain_failures(tmp_path: Path) -> None:
    """None breaks the run, kills the worker, or takes long, and each failure is one sentence."""
    command = [sys.executable, MUTATE, "--files", "300", "--seed", "7", "--keep", tmp_path, "--longest", "60", "--json"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=600)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert result["good"], result
    assert result["outcomes"]["described"] >= 30
    assert result["outcomes"]["decode"] >= 100
