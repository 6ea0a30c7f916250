"""The sizing page: formulas that hold together, and tables that are what the script says."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from index.encoders import card_of

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "simulate_scale.py"


@pytest.fixture(scope="module")
def scale() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("simulate_scale", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["simulate_scale"] = module
    spec.loader.exec_module(module)
    return module


def test_figures_follow_from_each_other(scale: Any) -> None:
    """A hundred million pictures on 32 cores, worked out by hand."""
    job = scale.simulate(100_000_000, scale.PICTURES, scale.Setting(cores=32))
    assert math.isclose(job["core_hours"], 1e8 / 324 / 0.7 / 3600)
    assert job["limit"] == "encoding"
    assert math.isclose(job["items_per_s"], 32 * 324 * 0.7)
    assert math.isclose(job["hours"] * 3600, 1e8 / 33_000 + 1e8 / (32 * 324 * 0.7))
    assert job["shards"] == 20_000
    assert math.isclose(job["cost_cores"], job["hours"] * 32 * 0.04)
    assert job["partitions"] == 100
    setting = scale.Setting()
    assert math.isclose(job["asking_hours"] * 3600, 1e8 * setting.build_seconds + 1e8 * 100 * setting.ask_seconds)


def test_twice_the_items_take_twice_of_everything_but_memory(scale: Any) -> None:
    """Memory of an actor depends on the shard, not on the job."""
    one, two = (scale.simulate(n, scale.SONGS, scale.Setting()) for n in (1_000_000, 2_000_000))
    for name in ("core_hours", "hours", "shards_gb", "plan_gb", "media_tb", "cost_cores"):
        assert math.isclose(two[name], 2 * one[name])
    for name in ("actor_gb", "items_per_s", "cores_for_network", "limit"):
        assert two[name] == one[name]


def test_more_cores_help_until_the_network_is_full(scale: Any) -> None:
    """From then on they only cost."""
    setting = scale.Setting(cores=4)
    few = scale.simulate(10_000_000, scale.SONGS, setting)
    assert few["limit"] == "encoding"
    full = scale.simulate(10_000_000, scale.SONGS, replace(setting, cores=math.ceil(few["cores_for_network"]) + 1))
    more = scale.simulate(10_000_000, scale.SONGS, replace(setting, cores=1000))
    assert full["limit"] == more["limit"] == "network"
    assert math.isclose(full["hours"], more["hours"])
    assert math.isclose(more["network_gigabits"], setting.gigabits)
    assert more["cost_cores"] > full["cost_cores"]


def test_dimensions_are_those_of_the_built_in_encoders(scale: Any) -> None:
    """A new revision of an encoder must be told here, too."""
    for kind, name in ((scale.PICTURES, "builtin-image"), (scale.SONGS, "builtin-audio")):
        card = card_of(name)
        assert (kind.dim, kind.kept) == (card.dim, sum(facet.kept for facet in card.facets))


def test_the_page_shows_what_the_script_says() -> None:
    """Run it with --write after changing a figure."""
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
