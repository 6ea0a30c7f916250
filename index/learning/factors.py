"""Factors: behaviour vectors of items by libraries of the field, implicit's ALS and BPR and gensim's Word2Vec."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError, MissingExtraError
from index.learning.groups import Groups
from index.types import Vectors

MOST_TOKENS = 20_000_000
"""Items that Word2Vec passes over in all, where that leaves it the least number of passes."""


def als(groups: Groups, rank: int, window: int, seed: int) -> tuple[NDArray[np.int64], Vectors]:
    """Item factors of weighted matrix factorisation, each group a user.

    Hu, Koren & Volinsky, "Collaborative filtering for implicit feedback datasets" (ICDM 2008, eq. 3–5), by
    ``implicit.als.AlternatingLeastSquares``, which solves each side exactly or by conjugate gradient (Takács, Pilászy &
    Tikk, RecSys 2011). What such factors tell of songs is what van den Oord, Dieleman & Schrauwen (NIPS 2013, section
    3) predict from sound.

    Args:
        groups: Of row numbers, such as one for each listener with play counts.
        rank: Dimensions, fewer where there are fewer items.
        window: Plays no part.
        seed: Of the start; on one thread the same seed and input give the same bytes.

    Returns:
        Row numbers, int64 ascending, shape ``(m,)``, and vectors, float32, shape ``(m, K)``.

    Raises:
        MissingExtraError: implicit is not installed.
        InputError: Nothing stands together.
    """
    from threadpoolctl import threadpool_limits

    implicit = _library("implicit", "als")
    rows, matrix = _matrix(groups)
    with threadpool_limits(1, "blas"):
        model = implicit.cpu.als.AlternatingLeastSquares(
            factors=min(rank, len(rows) - 1), regularization=2.0, alpha=40.0, iterations=15, num_threads=1,
            random_state=seed,
        )  # fmt: skip
        model.fit(matrix, show_progress=False)
    return rows, np.asarray(model.item_factors, np.float32)


def bpr(groups: Groups, rank: int, window: int, seed: int) -> tuple[NDArray[np.int64], Vectors]:
    """Item factors of Bayesian personalised ranking, each group a user, without the bias that tells popularity.

    Rendle, Freudenthaler, Gantner & Schmidt-Thieme, "BPR: Bayesian personalized ranking from implicit feedback" (UAI
    2009, section 4.2), by ``implicit.bpr.BayesianPersonalizedRanking``. Arguments, returns and errors as of ``als``.
    """
    implicit = _library("implicit", "bpr")
    rows, matrix = _matrix(groups)
    model = implicit.cpu.bpr.BayesianPersonalizedRanking(
        factors=min(rank, len(rows) - 1), iterations=200, num_threads=1, random_state=seed
    )
    model.fit(matrix, show_progress=False)
    return rows, np.asarray(model.item_factors[:, :-1], np.float32)


def item2vec(groups: Groups, rank: int, window: int, seed: int) -> tuple[NDArray[np.int64], Vectors]:
    """Word2Vec of items, each group a sentence: skip-gram with negative sampling.

    Barkan & Koenigstein, "Item2Vec: neural item embedding for collaborative filtering" (MLSP 2016, section 3): every
    item of a set is context of every other, here of those ``window`` places around it; 15 negatives. By
    ``gensim.models.Word2Vec``. Returns and errors as of ``als``, of gensim.
    """
    gensim = _library("gensim", "item2vec")
    rows = _rows(groups)
    cuts = np.flatnonzero(np.diff(groups.groups)) + 1
    sentences = [list(map(str, part.tolist())) for part in np.split(groups.items, cuts)]
    model = gensim.models.Word2Vec(
        sentences, vector_size=min(rank, len(rows) - 1), window=window, shrink_windows=False, min_count=1, sg=1, hs=0,
        negative=15, workers=1, seed=seed, epochs=max(3, min(20, MOST_TOKENS // len(groups.items))),
    )  # fmt: skip
    places = [model.wv.key_to_index[str(row)] for row in rows.tolist()]
    return rows, np.asarray(model.wv.vectors[places], np.float32)


def _library(name: str, targets: str) -> ModuleType:
    from importlib import import_module

    try:
        for part in {"implicit": ("implicit.cpu.als", "implicit.cpu.bpr"), "gensim": ("gensim.models",)}[name]:
            import_module(part)
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"targets {targets!r} need {name} ({error}); install it with: pip install 'simkin[behaviour]'"
        ) from None


def _rows(groups: Groups) -> NDArray[np.int64]:
    rows = np.unique(groups.items)
    if len(rows) < 3:
        raise InputError(f"expected groups of at least three different items, found {len(rows)}; give more of them")
    return rows


def _matrix(groups: Groups) -> tuple[NDArray[np.int64], object]:
    """The rows that stand in groups, and groups by them as a sparse matrix."""
    from scipy.sparse import csr_matrix

    rows = _rows(groups)
    names, places = np.unique(groups.groups, return_inverse=True)
    columns = np.searchsorted(rows, groups.items)
    return rows, csr_matrix((groups.values, (places.ravel(), columns)), shape=(len(names), len(rows)))
