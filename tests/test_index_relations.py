"""Relations: names, digests, and what every definition must keep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from index.encoders import ENCODERS
from index.relations import RELATIONS
from index.types import Facet


@pytest.mark.parametrize("name", RELATIONS)
def test_every_relation_is_sound(name):
    """Its key is its name, its weights are positive, and some encoder has facets of each kind."""
    relation = RELATIONS[name]
    kinds = {facet.kind for entry in ENCODERS.values() for facet in entry.card().facets} | {"content", "style"}
    assert relation.name == name
    assert relation.why.endswith(".")
    assert all(weight > 0 for weight in relation.weights.values())
    assert set(relation.weights) <= kinds  # networks have content and style


def test_facets_of_one_kind_share_its_weight():
    """Two networks weigh together what one weighs; weights sum to 1, and what is not compared weighs nothing."""
    one = [Facet("content:a", 0, 4, 0.0, 4, 0.9, "t"), Facet("shape", 4, 8, 0.0, 4, 0.9, "t")]
    two = [*one, Facet("content:b", 8, 12, 0.0, 4, 0.9, "t"), Facet("timbre", 12, 16, 0.0, 4, 0.9, "t")]
    relation = RELATIONS["substitute"]
    assert relation.weights_of(one)["shape"] == pytest.approx(relation.weights_of(two)["shape"])
    found = relation.weights_of(two)
    assert found["content:a"] == found["content:b"] == pytest.approx(relation.weights_of(one)["content:a"] / 2)
    assert (found["timbre"], sum(found.values())) == (0.0, pytest.approx(1))
    assert not relation.compares("image", two[-1:])
    assert relation.compares("image", two)
    assert not relation.compares("audio", two), "songs have no substitutes"
    assert relation.weights_of(two[-1:]) == {"timbre": 0.0}


def test_the_digest_follows_what_changes_answers():
    """Weights and rule change it; the explanation and the order of weights do not."""
    style = RELATIONS["style"]
    assert replace(style, why="Another sentence.").digest == style.digest
    assert replace(style, weights=dict(reversed(style.weights.items()))).digest == style.digest
    assert replace(style, weights={**style.weights, "color": 0.9}).digest != style.digest
    assert replace(style, rule="any").digest != style.digest
