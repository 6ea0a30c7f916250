"""The recommender: takes a Query to an opened catalog, gives an Answer of Hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.answers import Answer, Hit, Query
from index.build import fingerprints
from index.catalog import Catalog
from index.delta import Delta, read_delta
from index.diversity import diversify
from index.duplicates import find_repeats
from index.errors import InputError, UnknownNameError
from index.filters import parse_filter
from index.generations import RANDOM_LEVELS, Generation, Space, current_number, open_generation
from index.question import Question, make_question, raw_of_items
from index.relations import Relation, relation_named
from index.search import Restriction, Searcher
from index.types import Modality, Vector, Vectors

SPARE = 10
"""Answers fetched beyond those asked for, to stand in for near-duplicates that are collapsed."""

POOL = 5
"""With diversity, so many times the answers asked for are chosen from."""


@dataclass(frozen=True, slots=True)
class _Pool:
    """Candidates of one question, best first: database keys, scores and projected vectors."""

    keys: NDArray[np.int64]
    scores: NDArray[np.float32]
    vectors: Vectors
    method: str


class Recommender:
    """Answers questions to a catalog; follows its changes by itself.

    Each new generation and each committed change is seen by the next question. One object serves one
    thread at a time.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._number = -1
        self._version = -1
        self._generation: Generation | None = None
        self._deltas: dict[str, Delta] = {}
        self._searchers: dict[tuple[str, str], Searcher] = {}
        self._matching = lru_cache(maxsize=64)(self._read_matching)

    @property
    def generation(self) -> Generation:
        """The generation in use, opened, with the changes since it was built.

        Raises:
            NotBuiltError: None was built yet.
            StaleIndexError: It does not fit the catalog, or is damaged.
        """
        number, version = current_number(self.catalog.folder), self.catalog.sequence
        if self._generation is None or number != self._number:
            self._generation = open_generation(self.catalog.folder, fingerprints(self.catalog))
            self._searchers.clear()
            self._version = -1
        if version != self._version or number != self._number:
            self._matching.cache_clear()
            for modality, space in self._generation.spaces.items():
                self._deltas[modality] = read_delta(self.catalog, self._generation.manifest.sequence, space)
        self._number, self._version = number, version
        return self._generation

    def ask(self, query: Query) -> Answer:
        """Answer one question.

        Raises:
            UnknownNameError: An item or the relation does not exist.
            InputError: The question makes no sense: no items, k below 1, a filter that is none.
            MediaError: A file asked about cannot be read.
            NotBuiltError, StaleIndexError: See ``generation``.
        """
        relation = relation_named(query.relation)
        if query.k < 1:
            raise InputError(f"k must be at least 1, not {query.k}")
        if not 0 <= query.diversity <= 1:
            raise InputError(f"diversity must lie between 0 and 1, not {query.diversity}")
        if not query.items and not query.files:
            raise InputError("a query names at least one item or file")
        generation = self.generation
        question = make_question(self.catalog, generation, self._deltas, relation, query)
        count = (query.k * POOL if query.diversity else query.k) + SPARE
        while True:
            pool, exhausted = self._candidates(question, relation, query, count)
            chosen, hidden = self._choose(question, relation, pool, query)
            if exhausted or len(chosen) >= query.k:
                break
            count *= 4  # many near-duplicates were collapsed
        plan = question.space.record.relations[relation.name]
        return Answer(
            query=query,
            method=pool.method,
            recall=1.0 if pool.method == "exact" else plan.recall,
            generation=generation.manifest.number,
            hits=tuple(self._hits(question, relation, pool, chosen, hidden)),
            notes=question.notes,
        )

    def resolve(self, name: str) -> str | Path:
        """Tell what a name means: an item's id, a file that belongs to an item, or a file outside.

        Returns:
            The item's id, or the path of a file that the catalog does not have.

        Raises:
            UnknownNameError: It is neither an id nor a file.
        """
        try:
            self.catalog.keys_of([name])
            return name
        except UnknownNameError:
            path = Path(name)
            if not path.is_file():
                raise
            return self.catalog.id_at(path) or path

    def query(
        self,
        *names: str | Path,
        relation: str = "similar",
        k: int = 10,
        weights: Sequence[float] = (),
        negatives: Sequence[str] = (),
        where: str = "",
        diversity: float = 0.0,
        duplicates: bool = False,
        category: str | None = None,
    ) -> Answer:
        """Ask about items or files by name; several are combined into one question.

        Args:
            names: Item ids, or paths of files inside or outside the catalog.
            weights: One for each name; all 1 when empty.
            negatives: Item ids to move away from.
            relation, k, where, diversity, duplicates, category: See ``Query``.

        Raises:
            InputError: As many weights as names are needed; and see ``ask``.
            UnknownNameError: A name is neither an id nor a file.
        """
        if weights and len(weights) != len(names):
            raise InputError(f"{len(names)} items need as many weights, not {len(weights)}")
        resolved = [self.resolve(str(name)) for name in names]
        weighted = list(zip(resolved, weights or [1.0] * len(names), strict=True))
        return self.ask(
            Query(
                items=tuple((one, weight) for one, weight in weighted if isinstance(one, str)),
                files=tuple((one, weight) for one, weight in weighted if isinstance(one, Path)),
                relation=relation,
                k=k,
                negatives=tuple((name, 1.0) for name in negatives),
                where=where,
                diversity=diversity,
                duplicates=duplicates,
                category=category,
            )
        )

    def item_ids(self, modality: Modality) -> list[str]:
        """Ids of all items that have media of one modality, in id order."""
        rows = self.catalog.connection.execute(
            "SELECT id FROM items i WHERE EXISTS (SELECT 1 FROM media m WHERE m.item=i.item AND m.modality=?) "
            "ORDER BY id",
            (modality,),
        )
        return [row[0] for row in rows]

    def _candidates(self, question: Question, relation: Relation, query: Query, count: int) -> tuple[_Pool, bool]:
        """The ``count`` best of generation and delta together, and whether there are no more."""
        space = question.space
        delta = self._deltas[space.modality]
        matching = self._matching(query.where) if query.where else None
        mask = None
        if matching is not None:
            mask = np.zeros(space.record.count, bool)
            rows = space.rows_of(matching)
            mask[rows[rows >= 0]] = True
        rows = space.rows_of(np.asarray(question.own, np.int64))
        excluded = np.union1d(delta.masked, rows[rows >= 0])
        allowed = None
        if question.categories is not None:
            inside = np.array([name in question.categories for name in space.record.categories], bool)
            allowed = inside if relation.rule == "same category" else ~inside
        key = (space.modality, relation.name)
        if key not in self._searchers:
            self._searchers[key] = Searcher(space, relation)
        searcher = self._searchers[key]
        found = searcher.search(question.vector, count, Restriction(allowed, mask, excluded))
        beside = delta.search(
            searcher.weights * question.vector, relation.rule, question.categories, matching, question.own
        )
        keys = np.concatenate([space.keys[found.rows], beside[0]])
        scores = np.concatenate([found.scores, beside[1]])
        vectors = np.concatenate([space.vectors[found.rows], beside[2]])
        order = np.lexsort((keys, -scores))[:count]
        return _Pool(keys[order], scores[order], vectors[order], found.method), len(found.rows) < count

    def _read_matching(self, where: str) -> NDArray[np.int64]:
        """Keys of the items that pass a filter; a filter that nothing passes is checked for misspelt names."""
        condition = parse_filter(where)
        execute = self.catalog.connection.execute
        rows = execute(f"SELECT item FROM items i WHERE {condition.sql}", condition.parameters)
        found = np.fromiter((row[0] for row in rows), np.int64)
        if not len(found):
            known = {name for (name,) in execute("SELECT DISTINCT key FROM items, json_each(items.attributes)")}
            for name in condition.names:
                if name not in known:
                    raise UnknownNameError.of("attribute", name, known | {"id"})
        return found

    # From candidates to hits

    def _choose(
        self, question: Question, relation: Relation, pool: _Pool, query: Query
    ) -> tuple[list[int], dict[int, list[int]]]:
        """Places in the pool that become hits, and the near-duplicates that each one stands for."""
        places = list(range(len(pool.keys)))
        hidden: dict[int, list[int]] = {}
        space = question.space
        if not query.duplicates:
            named, own = len(question.named), len(question.own)

            def raw_of(wanted: NDArray[np.int64]) -> Vectors:
                keys = [question.own[at] for at in wanted[wanted < own]]
                keys += pool.keys[wanted[wanted >= named] - named].tolist()
                raw = raw_of_items(self.catalog, space, keys)
                files = question.described[wanted[(own <= wanted) & (wanted < named)] - own]
                before = int(np.sum(wanted < own))
                return np.vstack([raw[:before], files, raw[before:]])

            together = np.vstack([question.named, pool.vectors])
            first = find_repeats(space.projection, together, named, raw_of)[named:] - named
            places = [place for place in places if first[place] == place]
            for place, leader in enumerate(first.tolist()):
                if 0 <= leader != place:
                    hidden.setdefault(leader, []).append(place)
        if query.diversity:
            weights = space.facet_weights(relation)
            places = diversify(places, pool.scores, pool.vectors, weights, query.k, query.diversity)
        return places[: query.k], hidden

    def _hits(
        self, question: Question, relation: Relation, pool: _Pool, chosen: list[int], hidden: dict[int, list[int]]
    ) -> list[Hit]:
        space = question.space
        wanted = [*chosen, *(place for leader in chosen for place in hidden.get(leader, []))]
        items = self.catalog.items([int(pool.keys[place]) for place in wanted])
        weighted = space.facet_weights(relation) * question.vector
        quantiles = space.record.relations[relation.name].random
        hits: list[Hit] = []
        for place in chosen:
            item = items.get(int(pool.keys[place]))
            if item is None:  # removed a moment ago
                continue
            score = float(pool.scores[place])
            copies = [items.get(int(pool.keys[other])) for other in hidden.get(place, [])]
            hits.append(
                Hit(
                    rank=len(hits) + 1,
                    item_id=item.item_id,
                    score=score,
                    closer_than=float(np.interp(score, quantiles, RANDOM_LEVELS)),
                    facets=_shares(space, relation, weighted * pool.vectors[place]),
                    paths=item.paths,
                    attributes=item.attributes,
                    duplicates=tuple(copy.item_id for copy in copies if copy),
                )
            )
        return hits


def _shares(space: Space, relation: Relation, products: Vector) -> dict[str, float]:
    """Each facet's share of a score; facets that speak against it count as none."""
    parts = {
        part.facet.name: max(0.0, float(products[part.own].sum()))
        for part in space.projection.parts
        if part.facet.name in relation.weights
    }
    total = sum(parts.values())
    return {name: round(value / total, 4) if total else 0.0 for name, value in parts.items()}
