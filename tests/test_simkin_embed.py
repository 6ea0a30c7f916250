"""``simkin embed`` as a script uses it: the last line of JSON, exit statuses, messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_json_ends_with_one_event_and_failures_exit_with_3(
    run_simkin: Callable[..., Any], pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """A second run skips what is finished and still tells of the failure."""
    pictures(tmp_path / "photos", 3)
    (tmp_path / "photos" / "001.jpg").write_bytes(b"")
    arguments = ("embed", tmp_path / "photos", "--out", tmp_path / "out", "--shard-size", 2, "--json")
    for described, written, finished in ((3, 2, 0), (0, 0, 2)):
        done = run_simkin(*arguments)
        assert done.returncode == 3, done.stderr
        event = json.loads(done.stdout.splitlines()[-1])
        assert event.pop("seconds") >= 0
        assert event == {
            "event": "embedded", "files": 3, "failed": 1, "described": described, "shards": written,
            "finished": finished, "gone": 0, "unencoded": 0, "unlisted": [],
        }  # fmt: skip
        assert "--retry-failed" in done.stderr


def test_wrong_use_is_told_in_one_line(
    run_simkin: Callable[..., Any], pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """2 for usage, 1 for what cannot be done."""
    pictures(tmp_path / "photos", 1)
    assert run_simkin("embed", tmp_path / "photos").returncode == 2
    assert run_simkin("embed", tmp_path / "photos", "--out", tmp_path / "o", "--shard-size", 0).returncode == 2
    refused = run_simkin("embed", tmp_path / "photos", "--out", tmp_path / "photos")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1


def test_what_is_not_described_is_told(
    run_simkin: Callable[..., Any], pictures: Callable[..., list[Path]], song: Callable[..., Path], tmp_path: Path
) -> None:
    """Files that are gone, files of a kind without encoder; a URL as --out leaves nothing behind."""
    paths = pictures(tmp_path / "media", 2)
    song(tmp_path / "media" / "a.wav", 1)
    arguments = ("embed", tmp_path / "media", "--out", tmp_path / "out", "--encoder", "builtin-image")
    assert "1 files are of a kind that no --encoder" in run_simkin(*arguments).stderr
    paths[0].unlink()
    done = run_simkin(*arguments)
    assert (done.returncode, "1 files are gone" in done.stderr) == (0, True)
    refused = run_simkin("embed", tmp_path / "media", "--out", "memory://out", cwd=tmp_path)
    assert (refused.returncode, "expected a local folder" in refused.stderr) == (1, True)
    refused = run_simkin("embed", tmp_path / "media" / "a.wav", "--out", tmp_path / "o", "--encoder", "builtin-image")
    assert (refused.returncode, "cannot describe" in refused.stderr) == (1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media", "out"]
