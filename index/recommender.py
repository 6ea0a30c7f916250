"""The recommender: takes a Query to an opened catalog, gives an Answer of Hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.answering.choosing import Choice, Pool, choose
from index.answering.persons import CANDIDATES as FOR_ONE
from index.answering.persons import Person
from index.answering.question import Question, check, check_terms, make_question
from index.answering.reranking import Reranker
from index.answering.telling import tell
from index.answering.together import Together
from index.answering.weighing import random_scores, weigh, weighed_searcher
from index.answers import Answer, Query
from index.engine.delta import Delta
from index.engine.generations import Generation
from index.engine.reordering import CANDIDATES
from index.engine.rows import LearnedSpace, Space
from index.engine.search import SPARE, Restriction, Searcher
from index.errors import InputError, NotBuiltError, StaleIndexError, UnknownNameError
from index.reading import CatalogReader, Now
from index.relations import Relation, Rerank, relation_named
from index.trouble import StorageTrouble
from index.types import Encoder, Modality

POOL = 5
"""With diversity, so many times the answers asked for are chosen from."""

FILTERS_KEPT = 16
"""Filters whose matches are remembered until the catalog changes."""

RERANKED = "the closest are in the order of {how}; scores, and the recall of finding them, are the relation's own"

FOR_USER = "in the order of {name}, of those that are closest for everybody; the recall told is that of finding those"

PEOPLE_KEPT = 64
"""People whose weights are remembered until the catalog changes."""

TOGETHER_KEPT = 64
"""Ways of asking about items one after another that are remembered until the catalog changes."""

WEIGHINGS_KEPT = 64
"""Weights of facets whose scores at random are remembered until the next generation."""


class Recommender:
    """Answers questions to a catalog; follows its changes by itself.

    Each new generation and each committed change is seen by the next question. One object serves one
    thread at a time.
    """

    def __init__(self, catalog: CatalogReader) -> None:
        self.catalog = catalog
        self.encoders: dict[str, Encoder] = {}
        """Those that files asked about needed so far."""
        self._number = -1
        self._version = -1
        self._generation: Generation | None = None
        self._deltas: dict[str, Delta] = {}
        self._searchers: dict[tuple[str, str], Searcher] = {}
        self._rerankers: dict[tuple[str, str], Reranker] = {}
        self._matching = lru_cache(FILTERS_KEPT)(catalog.matching)
        self._mask = lru_cache(FILTERS_KEPT)(self._read_mask)
        self._together = lru_cache(TOGETHER_KEPT)(self._make_together)
        self._random = lru_cache(WEIGHINGS_KEPT)(random_scores)
        self._person = lru_cache(PEOPLE_KEPT)(self._read_person)
        self._random_of_person = lru_cache(PEOPLE_KEPT)(lambda *person: self._person(*person).random())

    @property
    def generation(self) -> Generation:
        """The generation in use, opened, with the changes since it was built.

        Raises:
            NotBuiltError: None was built yet.
            StaleIndexError: It does not fit the catalog, or is damaged.
        """
        return self._generation_of(self.catalog.now())

    def _generation_of(self, now: Now) -> Generation:
        while self._generation is None or (now.number, now.sequence) != (self._number, self._version):
            try:
                self._follow(now.number, now.sequence)
            except (NotBuiltError, StaleIndexError):
                before, now = now, self.catalog.now(anew=True)
                if now.number == before.number:
                    raise  # else a writer has just replaced and deleted what was being opened
        return self._generation

    def _follow(self, number: int, version: int) -> None:
        if self._generation is None or number != self._number:
            self._number = -1
            self._generation = self.catalog.open_generation()
            self._searchers.clear()
            self._random.cache_clear()
            self._random_of_person.cache_clear()
        self._rerankers.clear()
        self._together.cache_clear()
        self._person.cache_clear()
        self._matching.cache_clear()
        self._mask.cache_clear()
        for space in self._generation.every_space():
            self._deltas[space.name] = self.catalog.delta(self._generation.manifest.sequence, space)
        self._number, self._version = self._generation.manifest.number, version

    def ask(self, query: Query) -> Answer:
        """Answer one question.

        Raises:
            UnknownNameError: An item or the relation does not exist.
            InputError: The question makes no sense: no items, k below 1, a filter that is none.
            MediaError: A file asked about cannot be read.
            NotBuiltError, StaleIndexError: See ``generation``.
            StorageError: The database cannot be read.
        """
        found, generation = self._find(query)
        plan = found.question.space.record.relations[query.relation]
        return Answer(
            query=query,
            method=found.pool.method,
            recall=1.0 if found.pool.method == "exact" else plan.recall,
            generation=generation.manifest.number,
            hits=tell(self.catalog, self._deltas, found, self._random_of(found)),
            notes=(*found.question.notes, *_notes(found)),
            rerank=found.rerank,
        )

    def scores(self, query: Query) -> list[tuple[str, float]]:
        """Answer one question with item ids and scores alone, best first: what ``ask`` finds, in less time.

        Raises:
            As ``ask``.
        """
        if len(query.items) == 1 and query.items[0][1] == 1 and Together.answers_to(query):
            return self.scores_of_each(query, [query.items[0][0]])[0]
        return self._scores(query)

    def scores_of_each(self, query: Query, item_ids: Sequence[str]) -> list[list[tuple[str, float]]]:
        """``scores`` of the same question about each of several items by itself, sooner.

        Args:
            query: All but its items is asked.
            item_ids: Whom it is asked about.

        Returns:
            One list for each item, in their order.

        Raises:
            As ``ask``.
        """
        now = self.catalog.now()
        relation = relation_named(now.relations, query.relation)
        found: list[list[tuple[str, float]] | None] = [None] * len(item_ids)
        with StorageTrouble(self.catalog.folder):
            self._generation_of(now)
            with suppress(StaleIndexError):  # files were deleted before they were opened: the next question finds new
                plain = Together.answers_to(query)
                together = self._together(relation, query.k, query.duplicates) if plain else None
                if together is not None and item_ids:
                    check_terms(query)
                    found = together.of(self.catalog.keys_of(item_ids))
        return [
            self._scores(replace(query, items=((item_id, 1.0),))) if own is None else own
            for item_id, own in zip(item_ids, found, strict=True)
        ]

    def _scores(self, query: Query) -> list[tuple[str, float]]:
        found, _ = self._find(query, naming=False)
        keys = found.pool.keys[found.chosen].tolist()
        space = found.question.space
        changed = len(self._deltas[space.name].keys)  # items may have been renamed
        ids = {} if changed else space.ids_at(keys)
        if len(ids) < len(keys):
            ids |= self.catalog.ids_of([key for key in keys if key not in ids])
        scores = found.pool.scores[found.chosen].tolist()
        return [(ids[key], score) for key, score in zip(keys, scores, strict=True) if key in ids]

    def _make_together(self, relation: Relation, k: int, duplicates: bool) -> Together | None:
        """Who answers about many items at once; ``None`` when each has to be asked about by itself."""
        assert self._generation is not None
        fitting = [(facets, space) for facets, space, misfit in self._generation.asked_by(relation) if not misfit]
        if len(fitting) != 1 or relation.rerank != "none":
            return None
        ((facets, space),) = fitting
        deltas = self._deltas[facets.name], self._deltas[space.name]
        if any(len(delta.keys) or len(delta.masked) for delta in deltas):
            return None
        return Together(self._searcher(space, relation), facets, k, duplicates)

    def question(self, query: Query) -> Question:
        """A query as it is searched for, without searching.

        Raises:
            As ``ask``.
        """
        now = self.catalog.now()
        relation = relation_named(now.relations, query.relation)
        check(query)
        with StorageTrouble(self.catalog.folder):
            generation = self._generation_of(now)
            return make_question(self.catalog, generation, self._deltas, relation, query, self.encoders)

    def _find(self, query: Query, *, naming: bool = True) -> tuple[Choice, Generation]:
        now = self.catalog.now()
        relation = relation_named(now.relations, query.relation)
        check(query)
        with StorageTrouble(self.catalog.folder):
            generation = self._generation_of(now)
            try:
                return self._answer(generation, relation, query, naming), generation
            except StaleIndexError:
                now = self.catalog.now(anew=True)
                if now.number == generation.manifest.number:
                    raise
                generation = self._generation_of(now)  # files were deleted before they were opened
                return self._answer(generation, relation, query, naming), generation

    def _answer(self, generation: Generation, relation: Relation, query: Query, naming: bool) -> Choice:
        question = make_question(self.catalog, generation, self._deltas, relation, query, self.encoders)
        if query.weights:
            relation = weigh(relation, question.space, query.weights)
        how = query.rerank or ("none" if query.weights or query.user is not None else relation.rerank)
        person = self._person(question.space, relation, query.user) if query.user is not None else None
        count = (query.k * POOL if query.diversity else query.k) + SPARE
        if how != "none":
            count = max(count, CANDIDATES)
        if person:
            count = max(count, FOR_ONE)
        among = partial(choose, self.catalog, self._deltas)
        while True:
            pool, exhausted = self._candidates(question, relation, query, count)
            if how != "none":
                pool = self._reranked(question, relation, pool, how)
            if person:
                pool = person.order(question, pool)
            few = not naming and not query.diversity  # who nobody names is compared only where it can be an answer
            chosen, hidden = among(question, relation, pool, query, query.k if few else count)
            if few and len(chosen) < query.k:
                chosen, hidden = among(question, relation, pool, query, count)
            if exhausted or len(chosen) >= query.k:
                return Choice(relation, question, pool, chosen, hidden, how, query.user)
            count *= 4  # many near-duplicates were collapsed

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
        except (UnknownNameError, UnicodeEncodeError) as unknown:  # a file's name may hold bytes that are no text
            path = Path(name)
            if _is_file(path):
                return self.catalog.id_at(path) or path
            if isinstance(unknown, UnknownNameError):
                raise
            raise UnknownNameError.of("item", name, ()) from None

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
        facet_weights: Mapping[str, float] | None = None,
        rerank: Rerank | None = None,
        user: str | None = None,
    ) -> Answer:
        """Ask about items or files by name; several are combined into one question.

        Args:
            names: Item ids, or paths of files inside or outside the catalog.
            weights: One for each name; all 1 when empty.
            negatives: Item ids to move away from.
            relation, k, where, diversity, duplicates, category, rerank, user: See ``Query``.
            facet_weights: Facet or kind of facet → weight in place of the relation's own; 0 leaves one out.

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
                weights=tuple((facet_weights or {}).items()),
                rerank=rerank,
                user=user,
            )
        )

    def item_ids(self, modality: Modality) -> list[str]:
        """Ids of all items that have vectors of one modality, in id order: those that can be asked about."""
        return self.catalog.item_ids(modality)

    def delta(self, space: Space) -> Delta:
        """What changed in a space of ``generation`` since it was built."""
        return self._deltas[space.name]

    def _candidates(self, question: Question, relation: Relation, query: Query, count: int) -> tuple[Pool, bool]:
        """The ``count`` best of generation and delta together, and whether there are no more."""
        space = question.space
        delta = self._deltas[space.name]
        allowed = None
        if question.categories is not None:
            inside = np.array([name in question.categories for name in space.record.categories], bool)
            allowed = inside if relation.rule == "same category" else ~inside
        excluded = np.asarray(sorted({row for row in space.rows_of_few(question.own) if row >= 0}), np.int64)
        restriction = Restriction(allowed, self._mask(query.where, space.name), excluded)
        found = self._searcher(space, relation).search(question.vector, count, restriction)
        keys, products = space.keys[found.rows], found.scores
        if len(delta.keys):
            beside = delta.search(
                space.question(relation, question.vector),
                relation.rule,
                question.categories,
                self._matching(query.where) if query.where else None,
                question.own,
            )
            keys = np.concatenate([keys, beside[0]])
            products = np.concatenate([products, beside[1]])
            vectors = np.concatenate([space.rows_at(found.rows), beside[2]])
            order = np.lexsort((keys, -products))[:count]
            exhausted = len(found.rows) < count and len(order) == len(keys)
            scores = space.scores(question.vector, products[order])
            return Pool(keys[order], scores, lambda: vectors[order], found.method), exhausted
        scores = space.scores(question.vector, products)
        return Pool(keys, scores, lambda: space.rows_at(found.rows), found.method), len(keys) < count

    def _reranked(self, question: Question, relation: Relation, pool: Pool, how: Rerank) -> Pool:
        """The same candidates, the closest in the order of another measure."""
        space = question.space
        key = (space.name, relation.name)
        if key not in self._rerankers:
            self._rerankers[key] = Reranker(self.catalog, self._searcher(space, relation), self._deltas[space.name])
        order = self._rerankers[key].order(question, pool.keys, pool.scores, pool.vectors, how)
        return pool.reordered(order, pool.scores[order])

    def _random_of(self, found: Choice) -> tuple[float, ...]:
        """Scores of random pairs, as quantiles, that closeness is told against."""
        space, relation = found.question.space, found.relation
        if relation.facets:
            return self._random(space, relation)
        if found.person is not None:
            return self._random_of_person(space, relation, found.person)
        return space.record.relations[relation.name].random

    def _read_person(self, space: Space, relation: Relation, name: str) -> Person:
        if not isinstance(space, LearnedSpace):
            self.catalog.weights_of_person(relation, name)  # which says what is to be done
            raise AssertionError("a plain relation has no weights of people")
        return Person(self.catalog, relation, space, name)

    def _searcher(self, space: Space, relation: Relation) -> Searcher:
        if relation.facets:
            return weighed_searcher(space, relation)
        key = (space.name, relation.name)
        if key not in self._searchers:
            self._searchers[key] = Searcher(space, relation)
        return self._searchers[key]

    def _read_mask(self, where: str, name: str) -> NDArray[np.bool_] | None:
        """Rows of the generation that pass a filter and are neither outdated nor removed; ``None`` for all."""
        assert self._generation is not None
        space = next(space for space in self._generation.every_space() if space.name == name)
        masked = self._deltas[name].masked
        if not where and not len(masked):
            return None
        mask = np.full(space.record.count, not where)
        if where:
            rows = space.rows_of(self._matching(where))
            mask[rows[rows >= 0]] = True
        mask[masked] = False
        return mask


def _notes(found: Choice) -> list[str]:
    """Of orders that are not the relation's own."""
    told = [RERANKED.format(how=found.rerank)] if found.rerank != "none" else []
    return told + ([FOR_USER.format(name=found.person)] if found.person is not None else [])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for any file
        return False
