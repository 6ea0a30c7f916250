"""Naming a map's clusters: by the attribute that they tell apart best, else by their central items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from index.types import Attribute

MOST_VALUES = 100
"""An attribute with more values than this names items, not kinds of them."""

COVERED = 0.5
"""Share of the items that have an attribute at least, if it is to name clusters."""

TOLD = 0.05
"""Least normalised mutual information with clusters; less is what chance leaves."""

MAIN = 0.6
"""A value that so large a share of a cluster has names it alone; else the two most frequent do."""

IGNORED = frozenset({"id", "path", "image", "audio", "title", "name", "year", "track", "duration"})
"""Attributes that name or number items."""


def telling_attribute(known: Sequence[Mapping[str, Attribute]], labels: NDArray[np.int32]) -> str:
    """The attribute that clusters tell apart best; empty when there is none.

    Measured by mutual information, less what it would be by chance (Miller, "Note on the bias of information
    estimates", 1955), over the geometric mean of both entropies (Strehl & Ghosh, JMLR 2002, eq. 3).

    Args:
        known: Attributes of some items.
        labels: Their clusters, -1 for none. int32, ``(n,)``.
    """
    best, told = "", TOLD
    names = sorted({name for attributes in known for name, value in attributes.items() if isinstance(value, str)})
    for name in names:
        if name.lower() in IGNORED:
            continue
        pairs = Counter(
            (str(attributes[name]), label)
            for attributes, label in zip(known, labels.tolist(), strict=True)
            if label >= 0 and attributes.get(name) not in (None, "")
        )
        share = _told(pairs, len(known))
        if share > told:
            best, told = name, share
    return best


def _told(pairs: Counter[tuple[str, int]], items: int) -> float:
    count = sum(pairs.values())
    values, clusters = Counter[str](), Counter[int]()
    for (value, label), together in pairs.items():
        values[value] += together
        clusters[label] += together
    if count < COVERED * items or not 2 <= len(values) <= MOST_VALUES:
        return 0.0
    entropies = [-sum(n / count * np.log(n / count) for n in by.values()) for by in (values, clusters)]
    mutual = sum(
        n / count * np.log(n * count / (values[value] * clusters[label])) for (value, label), n in pairs.items()
    )
    by_chance = (len(values) - 1) * (len(clusters) - 1) / (2 * count)
    return float((mutual - by_chance) / np.sqrt(entropies[0] * entropies[1])) if min(entropies) > 0 else 0.0


def label_of(values: Counter[str], size: int, central: str) -> str:
    """What a cluster is called.

    Args:
        values: Of the telling attribute, how many of its items have each.
        size: Its items.
        central: Title of its most central item, which names it where there is no such attribute.
    """
    common = [name for name, count in sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))[:2] if count]
    if not common or sum(values.values()) < COVERED * size:
        return central
    if len(common) == 1 or values[common[0]] >= MAIN * size:
        return common[0]
    return f"{common[0]}, {common[1]}"
