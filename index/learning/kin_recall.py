"""Product-level recall: where a picture's first kin stands among pictures that nothing was learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engine.spaces import fit_space
from index.learning.intervals import Interval, bootstrap
from index.learning.kin import Kin
from index.types import Facet, Vectors

DEPTHS = (1, 10, 20)

MOST_ASKED = 4000
"""Pictures asked about at most, all others of their side answering."""

CELLS = 1 << 22
"""Scores held at once: 16 MB."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where the first kin of each picture stands.

    Attributes:
        asked: Pictures, int64, shape ``(q,)``.
        ranks: From 1, equal scores counted as the middle of their places. float64, shape ``(q,)``.
        clusters: What is resampled whole in intervals, int64, shape ``(q,)``.
        among: How many pictures answered, the one asked about among them.
    """

    asked: NDArray[np.int64]
    ranks: NDArray[np.float64]
    clusters: NDArray[np.int64]
    among: int

    def hits(self, depth: int) -> NDArray[np.float64]:
        """1 where kin is among the first ``depth`` answers, else 0. float64, shape ``(q,)``."""
        return (self.ranks <= depth).astype(np.float64)

    @property
    def reciprocal(self) -> float:
        """Mean of one over the rank: what an epoch is chosen by, for it moves where recall stands still."""
        return float((1 / self.ranks).mean())

    def recall(self, seed: int) -> dict[str, Interval]:
        """Share of the pictures whose kin is found, by depth, with intervals."""
        return {f"recall@{depth}": bootstrap(self.hits(depth), seed=seed, clusters=self.clusters) for depth in DEPTHS}


def compared_as_in_a_catalog(facet: Facet, vectors: Vectors) -> Vectors:
    """Vectors in the space in which a catalog of these pictures would compare them; see ``index.engine.spaces``."""
    return fit_space(facet, vectors).project(vectors)


def first_kin(kin: Kin, rows: NDArray[np.int64], vectors: Vectors, *, seed: int, by_item: bool) -> Ranks:
    """Rank the kin of each picture among others by cosine.

    The share of pictures whose kin is among the first k is the product-level recall of Visnet (2017, section 5).
    Near-duplicates of what is asked about neither answer nor count.

    Args:
        rows: Pictures that ask and answer, int64, shape ``(v,)``.
        vectors: Theirs, float32, shape ``(v, d)``, unit length.
        seed: Of which are asked, where they are many.
        by_item: Whether intervals resample items rather than classes.
    """
    order = np.sort(np.random.default_rng(seed).permutation(len(rows))[:MOST_ASKED])
    step = max(1, CELLS // max(1, len(rows)))
    asked, ranks = [], []
    for start in range(0, len(order), step):
        places = order[start : start + step]
        right = kin.are_kin(rows[places], rows) & ~kin.are_the_same(rows[places], rows)
        some = right.any(axis=1)
        places, right = places[some], right[some]
        wrong = ~right & ~kin.are_the_same(rows[places], rows)
        scores = (vectors[places] @ vectors.T).round(6)
        best = np.where(right, scores, -np.inf).max(axis=1, initial=-np.inf)[:, None]
        above, level = ((scores > best) & wrong).sum(axis=1), ((scores == best) & wrong).sum(axis=1)
        asked.append(rows[places])
        ranks.append(1 + above + level / 2)
    found = np.concatenate(asked)
    clusters = (kin.items if by_item else kin.classes)[found]
    return Ranks(found, np.concatenate(ranks), clusters, len(rows))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The tuned network against the untouched one, on the same held-out pictures.

    Attributes:
        decision: ``"better"`` when the mean of the recalls at ``DEPTHS`` rises with 95 % confidence, and none of them
            falls with 95 % confidence; ``"cannot tell"`` with too few pictures; else ``"not better"``.
        recalls: Name of the network → its recalls.
        gain: Of the mean of the recalls, with the paired interval.
        asked, among: Pictures asked about, and those that answered.
    """

    decision: str
    recalls: dict[str, dict[str, Interval]]
    gain: Interval
    asked: int
    among: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        told = {name: {k: one.to_json() for k, one in own.items()} for name, own in self.recalls.items()}
        gain = self.gain.to_json()
        return {"decision": self.decision, "recalls": told, "gain": gain, "asked": self.asked, "among": self.among}

    def table(self) -> str:
        """As lines of text."""
        width = max(map(len, self.recalls))
        names = [f"recall@{depth}" for depth in DEPTHS]
        lines = [" " * width + "".join(f"{name:>24}" for name in names)]
        lines += [f"{name:<{width}}" + "".join(f"{own[k]!s:>24}" for k in names) for name, own in self.recalls.items()]
        lines.append(
            f"{self.decision}: mean of the three {self.gain.value:+.3f} [{self.gain.low:+.3f}, {self.gain.high:+.3f}] "
            f"on {self.asked:,} pictures asked, {self.among:,} answering, none seen in training"
        )
        return "\n".join(lines)


LEAST = 30
LEAST_CLUSTERS = 5
"""With fewer pictures, or fewer classes of them, an interval would mislead."""


def judge_networks(networks: dict[str, Ranks], *, seed: int) -> Verdict:
    """Compare the last network with the first; those between are shown.

    Args:
        networks: Name → ranks on the same pictures.
        seed: Of intervals.
    """
    ours, theirs = list(networks.values())[-1], next(iter(networks.values()))
    differences = [ours.hits(depth) - theirs.hits(depth) for depth in DEPTHS]
    gain = bootstrap(np.mean(differences, axis=0), seed=seed, clusters=ours.clusters)
    falls = any(bootstrap(one, seed=seed, clusters=ours.clusters).high < 0 for one in differences)
    decision = "better" if gain.low > 0 and not falls else "not better"
    if len(ours.asked) < LEAST or len(np.unique(ours.clusters)) < LEAST_CLUSTERS:
        decision = "cannot tell"
    recalls = {name: one.recall(seed) for name, one in networks.items()}
    return Verdict(decision, recalls, gain, len(ours.asked), ours.among)
