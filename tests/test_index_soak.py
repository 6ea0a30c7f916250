"""A short soak: writer, rebuilds and readers at once; ``scripts/soak.py`` runs for as long as one likes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parent.parent / "scripts" / "soak.py"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory and open files are read from /proc")
def test_readers_are_never_failed_nor_told_what_is_stale(tmp_path: Path) -> None:
    """While items come and go and generations are swapped under four readers, for some seconds."""
    command = [sys.executable, SOAK, "--seconds", "8", "--rebuild-seconds", "3", "--items", "1200", "--kept", "2"]
    done = subprocess.run(
        [*map(str, command), "--json"],
        capture_output=True, text=True, check=False, timeout=600, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert result["good"], result
    writer, *readers = result["processes"].values()
    assert writer["rebuilds"] >= 2
    assert writer["removed"] >= 1
    assert len(readers) == 4
    assert all(reader["checked"]["twin found"] >= 1 for reader in readers)
