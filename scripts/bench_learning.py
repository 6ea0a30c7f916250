#!/usr/bin/env python3
"""What learning reaches on synthetic catalogs with known truth, beside what it must reach.

Usage: scripts/bench_learning.py [--quick] [--only PART] [--seeds 3] [--json]

Every world is drawn from a seed; figures are medians over seeds. Pairs or items that are tested on are in
no fit. A negative has a target of the true target's category, so category alone never tells.

complements  3,000 items in 20 categories have a style of 8 normal numbers. Features, 512-d, unit length:
             a random vector of the category, 30 nuisance directions, the style times .35 along 8 random
             directions, and noise. Links: 36,000 drawn from the pairs in which one item is among the other's
             17 nearest by style in other categories. Ranks are taken over the items of other categories,
             learnt links left out; "truth" measures by the style itself.
personal     As above, with 200 people who each look at 3 of the 8 style numbers and take 150 items, each with
             the nearest, to them, of 400 items at random in another category.
graph        3,000 items of 100 classes in 128-d, a centre and noise around it, 2.5 times as long as the centre
             ("noisy") or 1.5 times ("clean"): P@10 is the share of the item's class. "graded" has no classes: 16
             normal numbers in random directions with noise, true are the ten nearest by these. Cosines against
             re-ranking by shared neighbours, and by local scaling, with the hubness (skew of k-occurrence).
songs        2,500 songs of 12 hidden numbers; 40 mel bands over 120 frames: six numbers move the bands' means,
             six how much and how slowly they vary, loudness and recording colour are nuisance. 1,500 people each
             hear 40 songs, drawn with odds exp(2.2 × taste · song). Targets are a truncated SVD of the listening
             of 80 % of the songs; the others' listening is seen by nothing. AUC for each person over these cold
             songs, by person vector · predicted song; "truth" uses the hidden numbers.
behaviour    3,000 items of 16 hidden numbers; content, 256-d, mixes them with 60 nuisance directions and noise.
             6,000 sessions of 8 items near one random taste. A catalog learns (`--method regression`) from what the
             sessions hold of four items in five; recall@20 asks it for one known item of each of 1,500 other sessions
             and counts that session's other items: cold ones among cold items, then known ones, and any, among
             all. "Trained only" compares vectors of co-occurrence and leaves cold items out; "uncalibrated" puts plain
             predictions beside them.
triplets     2,000 products in 20 categories, four photos each, 256-d, unit length: 24 numbers of the product, a
             random vector of the category, 12 nuisance numbers of the photo (pose, light) 1.5 times as long, and
             noise 2.2 times as long. "Whitened" is where the fit begins. 30 % of the products are held out whole;
             recall@20 asks each of their photos for another photo of the product, among all held-out photos, and
             is the share of photos asked that find one.
towers       A tower of two layers (512 → 1,024 → 32, float32) learns beside a table of people from 100,000 links of
             3,000 people to 20,000 items, whose popularity falls as 1 / rank^.7; batches of 512 links, 10 negatives
             each when these are independent, all by plain descent. Evaluations count an item once a batch, also
             where negatives are independent; steps are timed on one thread, without drawing. AUC is on unseen
             links, against targets of other unseen links, after the same number of steps.
speed        5,000 items × 1,024-d and 200,000 links of the same kind, one rank (30).
large        50,000 items × 2,000-d and 2,000,000 links, each between an item and one of the 65 nearest by style that
             is in another category; run only when named, takes minutes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import simkin
from index.answers import Query
from index.catalog import Catalog
from index.engine.surroundings import NEIGHBOURS
from index.ingesting.ingest import IndexOptions
from index.learning.dataset import dataset_of
from index.learning.diagonal import fit_diagonal
from index.learning.edge_store import read_edges_of
from index.learning.graph import (
    centred,
    local_scales,
    nearest,
    neighbour_graph,
    rerank_by_local_scale,
    rerank_by_neighbours,
)
from index.learning.learn import LearnOptions, LearnReport, learn
from index.learning.lowrank import RANKS, LinkMap, fit_low_rank
from index.learning.personal import fit_personal
from index.learning.regression import fit_regression
from index.learning.sampling import independent_batches, shared_batches, tower_loss
from index.learning.targets import cooccurrence
from index.learning.training_negatives import draw_negatives, link_keys
from index.learning.triplets import fit_triplets, whitening
from index.recommender import Recommender

Figures = dict[str, float]
STYLES = 8


def features(rng: np.random.Generator, category: np.ndarray, style: np.ndarray, dim: int) -> np.ndarray:
    """Item vectors in which category and nuisance hide the style; float32, unit rows."""

    def directions(count: int) -> np.ndarray:
        return rng.normal(size=(count, dim)) / np.sqrt(dim)

    count = len(category)
    rows = directions(int(category.max()) + 1)[category]
    rows += rng.normal(size=(count, 30)) @ directions(30) / np.sqrt(30)
    rows += 0.35 * style @ directions(STYLES) / np.sqrt(STYLES)
    rows += 0.3 * directions(count)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def complements_world(
    seed: int, count: int, dim: int, wanted: int, near: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, categories, styles and undirected links, each once, in random order."""
    rng = np.random.default_rng(seed)
    category, style = rng.integers(0, 20, count), rng.normal(size=(count, STYLES))
    rows = features(rng, category, style, dim)
    pairs = []
    for item in range(count):
        far = np.square(style - style[item]).sum(axis=1)
        far[category == category[item]] = np.inf
        pairs.append(np.sort(np.stack([np.full(near, item), np.argpartition(far, near)[:near]], axis=1), axis=1))
    return rows, category, style, rng.permutation(np.unique(np.concatenate(pairs), axis=0))[:wanted]


def accuracy(linked: np.ndarray, others: np.ndarray) -> float:
    """Mean of the shares of links with P > .5 and of as many non-links with P ≤ .5."""
    return float((np.mean(linked > 0.5) + np.mean(others <= 0.5)) / 2)


def chances(learned: LinkMap, rows: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """P(link) of each pair."""
    points = learned.project(rows)
    return learned.probability(np.square(points[pairs[:, 0]] - points[pairs[:, 1]]).sum(axis=1))


def plain_shift(rows: np.ndarray, links: np.ndarray, others: np.ndarray) -> LinkMap:
    """Plain nearest neighbours: no weights, only the best shift for these pairs."""
    plain = LinkMap("plain", np.eye(rows.shape[1], dtype=np.float32), 0.0, ())
    near, far = (np.square(rows[p[:, 0]] - rows[p[:, 1]]).sum(axis=1) for p in (links, others))
    shifts = np.quantile(np.concatenate([near, far]), np.linspace(0, 1, 201))
    best = max(shifts, key=lambda shift: np.mean(near < shift) + np.mean(far >= shift))
    return LinkMap("plain", plain.matrix, float(best), ())


def rank_percentile(points: np.ndarray, tested: np.ndarray, learnt: np.ndarray, category: np.ndarray) -> float:
    """Mean share of the candidates that lie nearer to the source than the true target."""
    neighbours: dict[int, list[int]] = {}
    for one, other in np.concatenate([learnt, learnt[:, ::-1]]).tolist():
        neighbours.setdefault(one, []).append(other)
    shares = []
    for source, target in tested.tolist():
        far = np.square(points - points[source]).sum(axis=1)
        allowed = category != category[source]
        allowed[neighbours.get(source, [])] = False
        allowed[target] = False
        shares.append(np.mean(far[allowed] < far[target]))
    return float(np.mean(shares))


def complements(seed: int, quick: bool) -> Figures:
    """Low rank against weighted and plain neighbours."""
    count, dim, wanted = (1200, 128, 14000) if quick else (3000, 512, 36000)
    rows, category, style, pairs = complements_world(seed, count, dim, wanted, 17)
    tenth = len(pairs) // 10
    tested, validation, learnt = pairs[:tenth], pairs[tenth : 2 * tenth], pairs[2 * tenth :]
    rng, keys = np.random.default_rng(seed + 1), link_keys(pairs, count)

    def unlinked(links: np.ndarray) -> np.ndarray:
        return draw_negatives(links, count, rng, known=keys, categories=category, same_category=1.0)[0]

    others, examples = unlinked(tested), unlinked(learnt)
    found = {"links": float(len(pairs))}
    maps = {"plain": plain_shift(rows, learnt, examples)}
    maps["weighted"] = fit_diagonal(
        rows, learnt, validation=validation, categories=category, same_category=0.5, seed=seed
    )
    for rank in RANKS:
        maps[f"rank {rank}"] = fit_low_rank(
            rows, learnt, validation=validation, categories=category, same_category=0.5, ranks=(rank,), seed=seed
        )
    for name, learned in maps.items():
        found[f"{name}: accuracy"] = accuracy(chances(learned, rows, tested), chances(learned, rows, others))
    truth = plain_shift(style.astype(np.float32), learnt, examples)
    found["truth: accuracy"] = accuracy(chances(truth, style, tested), chances(truth, style, others))
    some = tested[:400]
    found["raw: rank percentile"] = rank_percentile(rows, some, learnt, category)
    found["learned: rank percentile"] = rank_percentile(maps["rank 30"].project(rows), some, learnt, category)
    found["truth: rank percentile"] = rank_percentile(style, some, learnt, category)
    worst = min(found[f"rank {rank}: accuracy"] for rank in RANKS)
    found["lowest low rank: accuracy"] = worst
    found["lowest low rank over weighted"] = worst - found["weighted: accuracy"]
    return found


def personal(seed: int, quick: bool) -> Figures:
    """D(u) over the global metric."""
    count, dim, people, each = (1200, 128, 60, 100) if quick else (3000, 512, 200, 150)
    rng = np.random.default_rng(seed)
    category, style = rng.integers(0, 20, count), rng.normal(size=(count, STYLES))
    rows = features(rng, category, style, dim)
    taken = []
    for person in range(people):
        looks = rng.choice(STYLES, 3, replace=False)
        for item in rng.choice(count, each, replace=False):
            shown = rng.choice(count, 400, replace=False)
            shown = shown[category[shown] != category[item]]
            far = np.square(style[shown] - style[item])[:, looks].sum(axis=1)
            taken.append((item, shown[np.argmin(far)], person))
    order = rng.permutation(len(taken))
    pairs, users = np.array(taken)[order, :2], np.array(taken)[order, 2]
    link = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)[1].ravel()
    held = rng.random(link.max() + 1)[link] < 0.1
    keys = link_keys(pairs, count)
    others, origin = draw_negatives(pairs[held], count, rng, known=keys, categories=category, same_category=1.0)
    common = fit_low_rank(rows, pairs[~held], ranks=(10,), categories=category, same_category=0.5, seed=seed)
    own = fit_personal(
        common, rows, pairs[~held], users[~held], user_count=people, categories=category, same_category=0.5, seed=seed
    )

    def mine(asked: np.ndarray, who: np.ndarray) -> np.ndarray:
        return np.array([own.probability(u, rows[i], rows[j : j + 1])[0] for u, (i, j) in zip(who, asked, strict=True)])

    everybody = accuracy(chances(common, rows, pairs[held]), chances(common, rows, others))
    each_own = accuracy(mine(pairs[held], users[held]), mine(others, users[held][origin]))
    return {"global: accuracy": everybody, "personal: accuracy": each_own, "gain": each_own - everybody}


def graph(seed: int, quick: bool) -> Figures:
    """Re-ranking by shared neighbours and by local scaling."""
    from scipy.stats import skew

    rng = np.random.default_rng(seed)
    count, kinds = (1000, 34) if quick else (3000, 100)
    everyone = np.arange(count)
    label = rng.integers(0, kinds, count)
    worlds = {}
    for name, noise in (("noisy", 2.5), ("clean", 1.5)):
        rows = rng.normal(size=(kinds, 128))[label] + noise * rng.normal(size=(count, 128))
        worlds[name] = rows, label[None, :] == label[:, None]
    latent = rng.normal(size=(count, 16))
    near = np.square(latent[:, None] - latent[None]).sum(axis=2)
    np.fill_diagonal(near, np.inf)
    alike = np.zeros((count, count), np.bool_)
    np.put_along_axis(alike, np.argsort(near, axis=1)[:, :10], True, axis=1)
    worlds["graded"] = latent @ rng.normal(size=(16, 128)) + 0.8 * rng.normal(size=(count, 128)), alike
    found: Figures = {}
    for name, (rows, true) in worlds.items():
        plain, cosines = nearest(centred(rows))
        shared, _ = rerank_by_neighbours(neighbour_graph(plain[:, :NEIGHBOURS]), everyone, plain, cosines)
        scaled, _ = rerank_by_local_scale(local_scales(cosines), everyone, plain, cosines)
        for way, order in (("cosine", plain), ("shared", shared), ("scaled", scaled)):
            found[f"{name}, {way}: P@10"] = float(np.take_along_axis(true, order[:, :10], axis=1).mean())
            found[f"{name}, {way}: hubness"] = float(skew(np.bincount(order[:, :10].ravel(), minlength=count)))
        found[f"{name}: gain"] = found[f"{name}, shared: P@10"] - found[f"{name}, cosine: P@10"]
    return found


def listening_auc(scores: np.ndarray, heard: np.ndarray) -> float:
    """Mean over people of the chance that a song heard scores above one not heard."""
    values = []
    for score, mark in zip(scores, heard, strict=True):
        if 0 < mark.sum() < len(mark):
            rank = np.argsort(np.argsort(score)) + 1
            ones = mark.sum()
            values.append((rank[mark].sum() - ones * (ones + 1) / 2) / (ones * (len(mark) - ones)))
    return float(np.mean(values))


def songs(seed: int, quick: bool) -> Figures:
    """Cold songs: sound to listening factors."""
    from scipy.sparse.linalg import svds

    count, people = (800, 500) if quick else (2500, 1500)
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(count, 12))
    bands, frames = 40, 120
    patterns = rng.normal(size=(12, bands)) / np.sqrt(6)
    means = 0.5 * hidden[:, :6] @ patterns[:6] + rng.normal(size=(count, 1)) + 0.3 * rng.normal(size=(count, bands))
    spread = np.exp(0.3 * hidden[:, 6:9] @ patterns[6:9])
    memory = 1 / (1 + np.exp(-hidden[:, 9:] @ patterns[9:]))
    mel = np.empty((count, bands, frames))
    state = rng.normal(size=(count, bands))
    for frame in range(frames):
        mel[:, :, frame] = means + spread * state
        state = memory * state + np.sqrt(1 - memory**2) * rng.normal(size=(count, bands))
    moved = np.diff(mel, axis=2)
    content = np.hstack([mel.mean(axis=2), np.log(mel.std(axis=2)), np.log(moved.std(axis=2))])
    taste = rng.normal(size=(people, 12)) / np.sqrt(12)
    odds = 2.2 * taste @ hidden.T + rng.gumbel(size=(people, count))
    heard = np.zeros((people, count), np.bool_)
    np.put_along_axis(heard, np.argsort(-odds, axis=1)[:, :40], True, axis=1)
    cold = rng.random(count) < 0.2
    play = heard[:, ~cold].astype(float)
    play -= play.mean(axis=0)
    persons, strength, known = svds(play, k=12, rng=np.random.default_rng(seed))
    targets = (known.T * strength).astype(np.float32)
    full = fit_regression(content[~cold], targets, seed=seed)
    straight = fit_regression(content[~cold], targets, waves=(0,), seed=seed)
    thin = fit_regression(content[~cold][:, :bands], targets, waves=(0,), seed=seed)

    def auc(vectors: np.ndarray) -> float:
        return listening_auc(vectors, heard[:, cold])

    return {
        "mean mel, linear: AUC": auc(persons @ thin.predict(content[cold][:, :bands].astype(np.float32)).T),
        "learned, straight: AUC": auc(persons @ straight.predict(content[cold].astype(np.float32)).T),
        "learned: AUC": auc(persons @ full.predict(content[cold].astype(np.float32)).T),
        "learned: random features": float(full.waves.shape[1]),
        "truth: AUC": auc(taste @ hidden[cold].T),
    }


def behaviour(seed: int, quick: bool, targets: str = "cooccurrence") -> Figures:
    """Cold items among cold ones, and known items once cold ones are among them, asked of a catalog that learned."""
    count, learnt, asked = (900, 3000, 500) if quick else (3000, 6000, 1500)
    rng = np.random.default_rng(seed)
    hidden = unit(rng.normal(size=(count, 16)))
    content = unit(
        hidden @ rng.normal(size=(16, 256)) + 0.3 * rng.normal(size=(count, 60)) @ rng.normal(size=(60, 256))
        + 2.0 * rng.normal(size=(count, 256))
    ).astype(np.float32)  # fmt: skip
    sessions = []
    for _ in range(learnt + asked):
        odds = 30 * hidden @ unit(rng.normal(size=(1, 16)))[0] + rng.gumbel(size=count)
        sessions.append(rng.permutation(np.argpartition(-odds, 8)[:8]).tolist())
    cold = rng.random(count) < 0.2
    known = {item for items in sessions[:learnt] for item in items if not cold[item]}
    with tempfile.TemporaryDirectory() as folder:
        report = _learn_sessions(Path(folder), content, known, sessions[:learnt], targets, seed)
        recommender = simkin.open(Path(folder) / "catalog")

        def ask(relation: str, where: str, item: int) -> set[int]:
            query = Query(((f"{item:04d}", 1.0),), relation=relation, k=20, where=where, duplicates=True)
            return {int(name) for name, _ in recommender.scores(query)}

        def recall(answers: Callable[[int], set[int]], of_known: bool | None) -> float:
            """Of a session's other items that are wanted, the share among 20 answers to its first known one."""
            shares = []
            for items in sessions[learnt:]:
                first = next((item for item in items if item in known), None)
                true = {item for item in items if item != first and of_known in (None, item in known)}
                if first is not None and true:
                    shares.append(len(true & answers(first)) / len(true))
            return float(np.mean(shares))

        content_of_new, new, old, every = (
            partial(ask, *way)
            for way in (("similar", "new=1"), ("learned", "new=1"), ("learned", "new=0"), ("learned", ""))
        )
        found = {
            "cold, content neighbours: recall@20": recall(content_of_new, False),
            "cold, learned: recall@20": recall(new, False),
            "known, cold left out: recall@20": recall(old, True),
            "known, served: recall@20": recall(every, True),
            "any, served: recall@20": recall(every, None),
        }
        for name, rows in zip(("trained only", "uncalibrated"), _unserved(recommender, report.rank, seed), strict=True):
            found[f"known, {name}: recall@20"] = recall(partial(_nearest, rows), True)
            found[f"any, {name}: recall@20"] = recall(partial(_nearest, rows), None)
        found["passed the gate"] = float(report.gate.passed)
        found["seconds"] = report.seconds
    found["cold: ratio"] = found["cold, learned: recall@20"] / found["cold, content neighbours: recall@20"]
    found["known: ratio"] = found["known, served: recall@20"] / found["known, trained only: recall@20"]
    found["any: ratio"] = found["any, served: recall@20"] / found["any, trained only: recall@20"]
    return found


def _learn_sessions(
    folder: Path, content: np.ndarray, known: set[int], sessions: list[list[int]], targets: str, seed: int
) -> LearnReport:
    """Make a catalog of ready-made vectors, and learn from the known items of sessions."""
    import pyarrow
    import pyarrow.parquet

    ids = [f"{item:04d}" for item in range(len(content))]
    (folder / "vectors").mkdir()
    np.save(folder / "vectors" / "vectors.npy", content)
    rows = {"id": ids, "new": [int(item not in known) for item in range(len(content))]}
    pyarrow.parquet.write_table(pyarrow.table(rows), folder / "vectors" / "metadata.parquet")
    lines = [f"{session},{ids[item]}" for session, items in enumerate(sessions) for item in items if item in known]
    (folder / "sessions.csv").write_text("\n".join(["group,item", *lines]) + "\n")
    simkin.index([], folder / "catalog", IndexOptions(embeddings=(folder / "vectors",)))
    with Catalog.open(folder / "catalog") as catalog:
        options = LearnOptions("learned", method="regression", targets=targets, force=True, seed=seed)
        return learn(catalog, folder / "sessions.csv", options)


def _unserved(recommender: Recommender, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of co-occurrence alone, 0 for cold items; and the same with plain predictions for these."""
    data = dataset_of(recommender.catalog, read_edges_of(recommender.catalog.connection, "learned"))
    known = cooccurrence(data.edges.pairs, data.edges.weights, rank, seed)
    mixed = fit_regression(data.rows[known.rows], known.vectors, waves=(0,), seed=seed).predict(data.rows)
    mixed[known.rows] = known.vectors
    trained = np.zeros_like(mixed)
    trained[known.rows] = unit(known.vectors - known.vectors.mean(axis=0))
    return trained, unit(mixed)


def _nearest(rows: np.ndarray, item: int) -> set[int]:
    """The 20 others of the largest product."""
    return set(np.argsort(-(rows @ rows[item]), kind="stable")[:21].tolist()) - {item}


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def triplets(seed: int, quick: bool) -> Figures:
    """Photos of unseen products under nuisance."""
    products, dim = (500, 128) if quick else (2000, 256)
    rng = np.random.default_rng(seed)
    product = np.repeat(np.arange(products), 4)
    category = rng.integers(0, 20, products)[product]
    rows = rng.normal(size=(products, 24))[product] @ rng.normal(size=(24, dim)) / np.sqrt(24)
    rows += 0.5 * rng.normal(size=(20, dim))[category]
    rows += 1.5 * rng.normal(size=(len(product), 12)) @ rng.normal(size=(12, dim)) / np.sqrt(12)
    rows = unit(rows + 2.2 * rng.normal(size=rows.shape)).astype(np.float32)
    held = (rng.random(products) < 0.3)[product]
    places = np.flatnonzero(~held).reshape(-1, 4)
    kin = np.concatenate([places[:, [i, j]] for i in range(4) for j in range(i + 1, 4)])
    kin = kin[np.argsort(kin[:, 0], kind="stable")]
    checked = rng.random(products)[product[kin[:, 0]]] < 0.1
    started = time.perf_counter()
    learned = fit_triplets(rows, kin[~checked], validation=kin[checked], categories=category, seed=seed)
    seconds = time.perf_counter() - started

    def recall(points: np.ndarray) -> float:
        asked = points[held]
        far = np.square(asked).sum(axis=1)[:, None] + np.square(asked).sum(axis=1) - 2 * asked @ asked.T
        np.fill_diagonal(far, np.inf)
        top = np.argpartition(far, 20, axis=1)[:, :20]
        return float((product[held][top] == product[held][:, None]).any(axis=1).mean())

    return {
        "raw cosine: recall@20": recall(rows),
        "whitened: recall@20": recall(rows @ whitening(rows[~held])[:, :64]),
        "learned: recall@20": recall(learned.project(rows)),
        "steps": float(learned.steps),
        "seconds": seconds,
    }


def towers(seed: int, quick: bool) -> Figures:
    """Evaluations of a content tower, time of a step, and what is learnt in as many steps."""
    people, items, wanted, steps = (600, 4000, 20000, 30) if quick else (3000, 20000, 100000, 150)
    rng = np.random.default_rng(seed)
    hidden, taste = rng.normal(size=(items, 8)), rng.normal(size=(people, 8)) / np.sqrt(8)
    content = hidden @ rng.normal(size=(8, 512)) + 2 * rng.normal(size=(items, 512))
    content = unit(content).astype(np.float32)
    popularity = -0.7 * np.log(1 + rng.permutation(items))
    each = wanted // people
    links = []
    for person in range(people):
        odds = 2 * hidden @ taste[person] + popularity + rng.gumbel(size=items)
        links.append(np.stack([np.full(each, person), np.argpartition(-odds, each)[:each]], axis=1))
    pairs = rng.permutation(np.concatenate(links))
    tested, learnt = pairs[: len(pairs) // 10], pairs[len(pairs) // 10 :]
    unseen = np.stack([tested[:, 0], rng.permutation(tested[:, 1])], axis=1)
    own = np.isin(unseen @ np.array([items, 1]), pairs @ np.array([items, 1]))
    unseen = unseen[~own]
    found: Figures = {}
    ways = {
        "independent": lambda: independent_batches(learnt, items, size=512, negatives=10, people=people, seed=seed),
        "shared": lambda: shared_batches(learnt, items, size=512, people=people, seed=seed),
        "grouped": lambda: shared_batches(learnt, items, size=512, per_target=4, people=people, seed=seed),
    }
    with threadpool_limits(1):
        for way, batches in ways.items():
            start = np.random.default_rng(seed)
            table = start.normal(size=(people, 32)).astype(np.float32) / 4
            inner = start.normal(size=(512, 1024)).astype(np.float32) / 8
            outer = start.normal(size=(1024, 32)).astype(np.float32) / 64
            evaluations, seconds = [], []
            for batch in itertools.islice(itertools.chain.from_iterable(batches() for _ in itertools.count()), steps):
                began = time.perf_counter()
                rows = content[batch.targets]
                layer = np.maximum(rows @ inner, 0)
                _, by_people, by_items = tower_loss(table[batch.sources], layer @ outer, batch)
                by_layer = (by_items @ outer.T) * (layer > 0)
                table[batch.sources] -= 20 * by_people
                outer -= 2 * layer.T @ by_items
                inner -= 2 * rows.T @ by_layer
                seconds.append(time.perf_counter() - began)
                evaluations.append(batch.tower_evaluations)
            answers = np.maximum(content @ inner, 0) @ outer
            near, far = (np.einsum("ij,ij->i", table[asked[:, 0]], answers[asked[:, 1]]) for asked in (tested, unseen))
            ranks = np.searchsorted(np.sort(far), near)
            found[f"{way}: evaluations a step"] = float(np.mean(evaluations))
            found[f"{way}: seconds a step"] = float(np.median(seconds))
            found[f"{way}: AUC on unseen links"] = float(ranks.mean() / len(far))
    for way in ("shared", "grouped"):
        for name in ("evaluations a step", "seconds a step"):
            found[f"{way}: fewer {name}"] = found[f"independent: {name}"] / found[f"{way}: {name}"]
    return found


def _peak() -> float:
    """Most memory this process has held, in GB; a child's ``ru_maxrss`` would count its parent's."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e9


def _timed(rows: np.ndarray, category: np.ndarray, pairs: np.ndarray, seed: int) -> Figures:
    before, used, started = _peak(), time.process_time(), time.perf_counter()
    learned = fit_low_rank(rows, pairs, ranks=(30,), categories=category, same_category=0.5, seed=seed)
    return {
        "pairs": float(len(pairs)),
        "seconds": time.perf_counter() - started,
        "CPU seconds": time.process_time() - used,
        "validation accuracy": max(trial.accuracy for trial in learned.tried),
        "GB, all of the process": _peak(),
        "GB before": before,
    }


def _speed(seed: int, quick: bool) -> Figures:
    count, dim, wanted = (1000, 256, 20000) if quick else (5000, 1024, 200000)
    rows, category, _, pairs = complements_world(seed, count, dim, wanted, 60)
    return _timed(rows, category, pairs, seed)


def _large(seed: int, quick: bool) -> Figures:
    from scipy.spatial import cKDTree

    count, dim, wanted = (5000, 256, 200000) if quick else (50000, 2000, 2000000)
    rng = np.random.default_rng(seed)
    category, style = rng.integers(0, 20, count), rng.normal(size=(count, STYLES))
    rows = features(rng, category, style, dim)
    near = cKDTree(style).query(style, 66)[1][:, 1:]
    pairs = np.sort(np.stack([np.repeat(np.arange(count), near.shape[1]), near.ravel()], axis=1), axis=1)
    pairs = np.unique(pairs[category[pairs[:, 0]] != category[pairs[:, 1]]], axis=0)
    return _timed(rows, category, rng.permutation(pairs)[:wanted], seed)


def speed(seed: int, quick: bool) -> Figures:
    """Time and memory of one fit, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_speed, (seed, quick))


def large(seed: int, quick: bool) -> Figures:
    """The same at the size that memory is bounded for; run when named."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_large, (seed, quick))


PARTS: dict[str, Callable[[int, bool], Figures]] = {
    "complements": complements,
    "personal": personal,
    "graph": graph,
    "songs": songs,
    "behaviour": behaviour,
    "triplets": triplets,
    "towers": towers,
    "speed": speed,
    "large": large,
}
UNNAMED = tuple(part for part in PARTS if part != "large")

TARGETS: dict[tuple[str, str], tuple[str, float]] = {
    ("complements", "lowest low rank: accuracy"): ("≥", 0.90),
    ("complements", "lowest low rank over weighted"): ("≥", 0.20),
    ("complements", "plain: accuracy"): ("≤", 0.60),
    ("complements", "learned: rank percentile"): ("≤", 0.05),
    ("personal", "gain"): ("≥", 0.05),
    ("graph", "noisy: gain"): ("≥", 0.04),
    ("graph", "clean: gain"): ("≥", -0.01),
    ("songs", "learned, straight: AUC"): ("≥", 0.85),
    ("songs", "learned: AUC"): ("≥", 0.85),
    ("behaviour", "cold: ratio"): ("≥", 1.3),
    ("behaviour", "known: ratio"): ("≥", 0.95),
    ("behaviour", "any: ratio"): ("≥", 0.95),
    ("triplets", "learned: recall@20"): ("≥", 0.85),
    ("towers", "shared: fewer evaluations a step"): ("≥", 4.0),
    ("towers", "shared: fewer seconds a step"): ("≥", 3.0),
    ("speed", "seconds"): ("≤", 60.0),
    ("speed", "GB, all of the process"): ("≤", 1.5),
}
"""Part and figure → what it must be, at full size."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller worlds and one seed; targets do not apply")
    parser.add_argument("--only", choices=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    missed = 0
    for part in [args.only] if args.only else UNNAMED:
        runs = [PARTS[part](seed, args.quick) for seed in range(1 if args.quick else args.seeds)]
        for name in runs[0]:
            values = [run[name] for run in runs]
            middle = float(np.median(values))
            sign, limit = ("", 0.0) if args.quick else TARGETS.get((part, name), ("", 0.0))
            met = not sign or (middle >= limit if sign == "≥" else middle <= limit)
            missed += not met
            if args.json:
                target = f"{sign} {limit:g}" if sign else None
                print(json.dumps({"part": part, "figure": name, "median": middle, "runs": values, "target": target}))
                continue
            wanted = f"must be {sign} {limit:g}: {'met' if met else 'MISSED'}" if sign else ""
            spread = f"{min(values):.3f} to {max(values):.3f}"
            print(f"{part:<13}{name:<34}{middle:>10.3f}   {spread:<22}{wanted}", flush=True)
    if missed:
        raise SystemExit(f"{missed} targets missed")


if __name__ == "__main__":
    main()
