"""Relations: names, digests, and what every definition must keep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from index.encoders import ENCODERS
from index.errors import UnknownNameError
from index.relations import RELATIONS, relation_named


@pytest.mark.parametrize("name", RELATIONS)
def test_every_relation_is_sound(name):
    """Its key is its name, its weights are positive, and some encoder has its facets."""
    relation = RELATIONS[name]
    facets = {facet.name for entry in ENCODERS.values() for facet in entry.card().facets}
    assert relation_named(name) is relation
    assert relation.name == name
    assert relation.why.endswith(".")
    assert all(weight > 0 for weight in relation.weights.values())
    assert set(relation.weights) <= facets


def test_a_misspelt_relation_is_told_with_the_nearest():
    """The message names what was meant."""
    with pytest.raises(UnknownNameError, match="did you mean 'substitute'"):
        relation_named("substitue")


def test_the_digest_follows_what_changes_answers():
    """Weights and rule change it; the explanation and the order of weights do not."""
    style = RELATIONS["style"]
    assert replace(style, why="Another sentence.").digest == style.digest
    assert replace(style, weights=dict(reversed(style.weights.items()))).digest == style.digest
    assert replace(style, weights={**style.weights, "color": 0.9}).digest != style.digest
    assert replace(style, rule="any").digest != style.digest
