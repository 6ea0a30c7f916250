"""Triplet metric: an item lies closer to its own kin than to others, by a margin, with negatives mined in the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.errors import InputError
from index.learning.checks import checked_categories
from index.learning.likelihood import squared_distances
from index.learning.training_links import Links, check_ranks, prepare_links
from index.learning.training_negatives import are_linked
from index.types import Vectors

MARGIN = 1.0
"""By how much, in squared distance, a negative must be farther; the map's scale is free, so its value is no matter."""

IN_CLASS = 0.3
"""Share of the negatives of the anchor's own category; the others are of other categories (Visnet)."""

BATCH_PAIRS = 256
BATCH_CATEGORIES = 8
"""Categories that a batch is drawn from, so that it holds negatives of either sort for every anchor."""

CHECK_EVERY = 50
PATIENCE = 4
GAIN = 0.005
"""Checks that gain less than this part of the rank, after which the fit ends."""

MOST_STEPS = 1500
LEARNING_RATE = 0.02
SHRINK = 0.1
"""Share of the mean variance added to each direction's own before rows are whitened."""

RANKED_AMONG = 2000
"""Items that validation positives are ranked among."""


@dataclass(frozen=True, slots=True)
class TripletMap:
    """A fitted linear map under which kin lie close.

    Attributes:
        matrix: float32, shape ``(d, K)``.
        steps: Batches it took.
        start_rank: Geometric mean rank of validation positives among ``RANKED_AMONG`` items, from 1, at the start.
        rank: The same, at the end.
    """

    matrix: NDArray[np.float32]
    steps: int
    start_rank: float
    rank: float

    def project(self, rows: Vectors) -> Vectors:
        """Map items into the space where distances count: float32, shape ``(n, d)`` → ``(n, K)``."""
        projected: Vectors = np.asarray(rows, np.float32) @ self.matrix
        return projected


def fit_triplets(
    rows: ArrayLike,
    pairs: ArrayLike,
    *,
    categories: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    validation: ArrayLike | None = None,
    rank: int = 64,
    in_class: float = IN_CLASS,
    seed: int = 0,
) -> TripletMap:
    """Fit a linear map by triplets of anchor, positive and negative.

    Loss and mixture of negatives: Shankar, Narumanchi, Ananya, Kompalli & Chaudhury, "Deep learning based large
    scale visual recommendation and search for e-commerce" (2017, Visnet, section 4): max(0, m + d(a, p) −
    d(a, n)), 30 % of the negatives in class. Of the batch's negatives the semi-hard one is taken, the nearest that
    is farther than the positive: Schroff, Kalenichenko & Philbin, "FaceNet" (CVPR 2015, eq. 2–4). Optimised by
    Adam (Kingma & Ba, ICLR 2015, algorithm 1), beginning at the whitened principal directions.

    Args:
        rows: Shape ``(n, d)``.
        pairs: Kin, such as two photos of a product, whole numbers of shape ``(m, 2)``; give all pairs of each
            product, for items that are not paired may become negatives of each other.
        categories: Whole numbers, shape ``(n,)``; without them all negatives count as out of class.
        weights: How often each pair is drawn in proportion, shape ``(m,)``.
        validation: Pairs to stop on, shape ``(v, 2)``, none of them in ``pairs``; ``None`` holds out a tenth.
        rank: K, at most d and less than n.
        in_class: Share of the anchors whose negative is of their own category, 0 to 1.
        seed: The same seed and input give the same bytes.

    Raises:
        InputError: Input that nothing can be learnt from; the message says what is wrong.
    """
    from threadpoolctl import threadpool_limits

    if not 0.0 <= in_class <= 1.0:
        raise InputError(f"expected a share of in-class negatives from 0 to 1, found {in_class}")
    rng = np.random.default_rng(seed)
    links = prepare_links(
        rows,
        pairs,
        weights=weights,
        validation=validation,
        categories=categories,
        same_category=0.0,
        rng=rng,
    )
    check_ranks([rank], links)
    kinds = checked_categories(categories, len(links.rows))
    labels = np.zeros(len(links.rows), np.int64) if kinds is None else kinds
    with threadpool_limits(1):
        basis = whitening(links.rows)
        return _adam(links, labels, basis, rank, in_class if kinds is not None else 0.0, rng)


def triplet_loss(matrix: NDArray[Any], rows: NDArray[Any], triplets: NDArray[np.int64]) -> tuple[float, NDArray[Any]]:
    """Mean hinge loss of triplets and its gradient.

    Args:
        matrix: Shape ``(d, K)``.
        rows: Shape ``(n, d)``, of the same dtype.
        triplets: Anchor, positive, negative as row numbers, shape ``(t, 3)``.

    Returns:
        The loss, and its gradient by ``matrix``, shape ``(d, K)``.
    """
    to_positive = rows[triplets[:, 0]] - rows[triplets[:, 1]]
    to_negative = rows[triplets[:, 0]] - rows[triplets[:, 2]]
    near, far = to_positive @ matrix, to_negative @ matrix
    hinge = MARGIN + np.square(near).sum(axis=1) - np.square(far).sum(axis=1)
    active = hinge > 0
    gradient = to_positive[active].T @ near[active] - to_negative[active].T @ far[active]
    return float(hinge[active].sum() / len(triplets)), 2 * gradient / len(triplets)


def mine(
    points: Vectors,
    anchors: NDArray[np.int64],
    positives: NDArray[np.int64],
    allowed: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each anchor the semi-hard negative: the nearest allowed that is farther than the positive.

    Where none is farther, the farthest allowed is taken, which is the least misleading.

    Args:
        points: Mapped items of the batch, float32, shape ``(b, K)``.
        anchors: Places in the batch, int64, shape ``(t,)``.
        positives: int64, shape ``(t,)``.
        allowed: Which items may be the negative of which anchor, bool, shape ``(t, b)``.

    Returns:
        Places of the negatives, int64, shape ``(t,)``, and whether there was any, bool, shape ``(t,)``.
    """
    sizes = np.square(points).sum(axis=1)
    far = sizes[anchors][:, None] + sizes[None] - 2 * points[anchors] @ points.T
    limit = squared_distances(points, points, anchors, positives)[:, None]
    beyond = np.where(allowed & (far > limit), far, np.inf)
    within = np.where(allowed, far, -np.inf)
    some = np.isfinite(beyond).any(axis=1)
    return np.where(some, beyond.argmin(axis=1), within.argmax(axis=1)), np.asarray(allowed.any(axis=1))


def whitening(rows: Vectors) -> NDArray[np.float32]:
    """Principal directions of rows ``(n, d)``, largest first, scaled to nearly equal variance; float32, ``(d, d)``."""
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred / len(rows))
    values, axes = np.maximum(values[::-1], 0), axes[:, ::-1]
    return np.asarray(axes / np.sqrt(values + SHRINK * values.mean()), np.float32)


def _adam(
    links: Links,
    labels: NDArray[np.int64],
    basis: NDArray[np.float32],
    rank: int,
    in_class: float,
    rng: np.random.Generator,
) -> TripletMap:
    matrix = np.eye(len(basis), rank, dtype=np.float32) / np.float32(np.sqrt(rank))
    best, first, second = matrix, np.zeros_like(matrix), np.zeros_like(matrix)
    judge = _ranks_of(links, rng)
    start = lowest = judge(basis @ matrix)
    idle, step = 0, 0
    by_category = _pairs_by_category(links, labels)
    while step < MOST_STEPS and idle < PATIENCE:
        step += 1
        whole = basis @ matrix
        items, triplets = _batch(links, labels, by_category, whole, in_class, rng)
        gradient = basis.T @ triplet_loss(whole, links.rows[items], triplets)[1]
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * np.square(gradient)
        rate = LEARNING_RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) / np.sqrt(rank)
        matrix = (matrix - rate * first / (np.sqrt(second) + 1e-8)).astype(np.float32)
        if step % CHECK_EVERY == 0:
            mean_rank = judge(basis @ matrix)
            idle = idle + 1 if mean_rank > lowest * (1 - GAIN) else 0
            if mean_rank < lowest:
                best, lowest = matrix, mean_rank
    return TripletMap(basis @ best, step, start, lowest)


def _pairs_by_category(links: Links, labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """For each category of anchors that has pairs, the numbers of these pairs."""
    usable = np.flatnonzero(links.weights > 0)
    category = labels[links.pairs[usable, 0]]
    order = np.argsort(category, kind="stable")
    return np.split(usable[order], np.flatnonzero(np.diff(category[order])) + 1)


def _batch(
    links: Links,
    labels: NDArray[np.int64],
    by_category: list[NDArray[np.int64]],
    matrix: NDArray[np.float32],
    in_class: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw pairs of a few categories and mine their negatives.

    Returns:
        Rows of the batch's items, int64, shape ``(b,)``, and triplets of places among them, int64, ``(t, 3)``.
    """
    loads = np.array([links.weights[pairs].sum(dtype=np.float64) for pairs in by_category])
    some = min(BATCH_CATEGORIES, len(by_category))
    chosen = rng.choice(len(by_category), some, replace=False, p=loads / loads.sum())
    drawn = []
    for pairs in (by_category[place] for place in chosen):
        weight = links.weights[pairs].astype(np.float64)
        drawn.append(rng.choice(pairs, BATCH_PAIRS // some, p=weight / weight.sum()))
    pairs = links.pairs[np.unique(np.concatenate(drawn))]
    items, local = np.unique(pairs, return_inverse=True)
    anchors, positives = local.reshape(pairs.shape).T
    every = np.stack(np.broadcast_arrays(items[anchors][:, None], items[None]), axis=2).reshape(-1, 2)
    stranger = ~are_linked(every, links.known, len(links.rows)).reshape(len(anchors), len(items))
    stranger &= items[anchors][:, None] != items[None]
    same = labels[items[anchors]][:, None] == labels[items][None]
    wanted = stranger & (same == (rng.random(len(anchors)) < in_class)[:, None])
    allowed = np.where(wanted.any(axis=1)[:, None], wanted, stranger)
    negatives, found = mine(links.rows[items] @ matrix, anchors, positives, allowed)
    return items, np.stack([anchors, positives, negatives], axis=1)[found]


def _ranks_of(links: Links, rng: np.random.Generator) -> Callable[[NDArray[np.float32]], float]:
    """A judge: the geometric mean rank of validation positives among a fixed sample of items, for a matrix."""
    batch = links.validation
    kin = np.flatnonzero(batch.signs > 0)
    kin = kin if len(kin) <= RANKED_AMONG else np.sort(rng.choice(kin, RANKED_AMONG, replace=False))
    anchors, positives = batch.items[batch.sources[kin]], batch.items[batch.targets[kin]]
    others = np.sort(rng.permutation(len(links.rows))[:RANKED_AMONG])

    def judge(matrix: NDArray[np.float32]) -> float:
        asked, true, field = (links.rows[places] @ matrix for places in (anchors, positives, others))
        far = np.square(asked).sum(axis=1)[:, None] + np.square(field).sum(axis=1) - 2 * asked @ field.T
        limit = np.square(asked - true).sum(axis=1)[:, None]
        strangers = (others[None] != anchors[:, None]) & (others[None] != positives[:, None])
        return float(np.exp(np.log1p(((far < limit) & strangers).sum(axis=1)).mean()))

    return judge
