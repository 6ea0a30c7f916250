"""A disk that is full after every page; ``scripts/fill_disk.py`` tries more stages in smaller steps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FILL = Path(__file__).resolve().parent.parent / "scripts" / "fill_disk.py"
NO_MOUNT = 77


@pytest.mark.slow
def test_nothing_is_lost_on_a_disk_that_is_full() -> None:
    """Taking vectors in, building, and adding one item, each stopped at several places."""
    command = [sys.executable, FILL, "--steps", "4", "--only", "ingest", "--only", "build", "--only", "add", "--json"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=900)
    if done.returncode == NO_MOUNT:
        pytest.skip("needs the right to mount a file system")
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert all(told["wrong"] == [] for told in result.values()), result
    assert all(told["outcomes"].get("StorageError", 0) >= 3 for told in result.values()), result
