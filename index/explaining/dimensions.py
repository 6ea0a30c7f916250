"""Dimensions: along which directions of a learned relation's space two items stand unusually close."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from index.answering.places import places_of
from index.encoders import modality_of
from index.engine.rows import LearnedSpace
from index.explaining.explanation import Dimension
from index.explaining.pair import Pair
from index.recommender import Recommender

MOST = 3
"""Dimensions named."""

SAMPLE = 2000
"""Items looked at: enough to know a space's axes and its ends, however large the catalog is."""

ENDS = 3
"""Items shown at either end."""

CLOSE = 0.5
"""Part of the usual squared gap that the two stay below in a dimension that is named."""

SLIGHT = 0.05
"""Share below which a dimension is not worth a word."""


def find_dimensions(recommender: Recommender, pair: Pair) -> tuple[tuple[Dimension, ...], dict[str, Path]]:
    """Find what a learned relation sees in common, shown by the items at the ends of each direction.

    The squared distance of the two is a sum over any orthogonal axes of the space. Taken are the principal axes of
    the catalog's own points, along which items differ most and independently of each other; an axis brings the two
    closer by what the squared gap of items at random is larger there than theirs. A fit's own axes say nothing:
    every rotation of them is as good a fit.

    Returns:
        At most ``MOST``, the largest share first, nothing for a plain relation; and a picture of each end's items.
    """
    if not isinstance(pair.space, LearnedSpace):
        return (), {}
    head = pair.space.head
    places = places_of(recommender, pair.relation.name, modality=pair.modality)
    selection = places.select()
    rng = np.random.default_rng(0)
    positions = np.sort(rng.choice(len(selection), min(SAMPLE, len(selection)), replace=False))
    keys, rows = selection.take(positions)
    answers = rows[:, : head.rank].astype(np.float64)
    asked = head.asked(rows).astype(np.float64)
    values, axes = np.linalg.eigh(np.cov(answers.T) if len(answers) > 1 else np.eye(head.rank))
    axes = axes[:, np.argsort(-values)]
    standing, asking = answers @ axes, asked @ axes
    usual = standing.var(axis=0) + asking.var(axis=0) + (asking.mean(axis=0) - standing.mean(axis=0)) ** 2
    one = head.asked(pair.rows[0]).astype(np.float64) @ axes
    other = pair.rows[1, : head.rank].astype(np.float64) @ axes
    gaps = (one - other) ** 2
    gains = np.maximum(usual - gaps, 0.0)
    shares = gains / max(float(gains.sum()), 1e-12)
    named = [
        axis
        for axis in np.argsort(-gains).tolist()
        if shares[axis] >= SLIGHT and gaps[axis] < CLOSE * usual[axis]
    ][:MOST]  # fmt: skip
    ends = [np.argsort(standing[:, axis], kind="stable") for axis in named]
    count = min(ENDS, len(keys) // 2)
    ordered = [(order[:count], order[::-1][:count]) for order in ends]
    wanted = [int(key) for low, high in ordered for key in keys[[*low, *high]]]
    items = recommender.catalog.items(sorted(set(wanted)))

    def ids(rows_of_end: np.ndarray) -> tuple[str, ...]:
        return tuple(items[int(key)].item_id for key in keys[rows_of_end] if int(key) in items)

    found = tuple(
        Dimension(
            share=float(shares[axis]),
            low=ids(low),
            high=ids(high),
            a=float(np.mean(standing[:, axis] < one[axis])),
            b=float(np.mean(standing[:, axis] < other[axis])),
        )
        for axis, (low, high) in zip(named, ordered, strict=True)
    )
    pictures = {
        item.item_id: path
        for item in items.values()
        for path in item.paths[:1]
        if modality_of(path.name) == "image"
    }  # fmt: skip
    return found, pictures
