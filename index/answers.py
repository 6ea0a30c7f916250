"""Questions and answers as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from index.items import Medium
from index.relations import Rerank
from index.types import Attribute


@dataclass(frozen=True, slots=True)
class Query:
    """One question.

    Attributes:
        items: Item ids with weights; several are combined into one question.
        files: Pictures or sounds outside the catalog, with weights.
        relation: What is asked.
        k: How many answers.
        negatives: Item ids to move away from, with weights; they never answer.
        where: A filter (``index.filters``); empty for none.
        diversity: 0 for the closest, up to 1 for answers unlike each other.
        duplicates: Show near-duplicates of the query and of each other instead of collapsing them.
        category: The category of files asked about, which have none of their own.
        weights: Facets, or kinds of facets, with weights in place of the relation's own; 0 leaves one out.
        rerank: In which order the closest are told, see ``index.answering.reranking``; ``None`` as the catalog's owner
            chose for the relation.
        user: Whose taste orders the answers of a relation that was learned with personal weights.
    """

    items: tuple[tuple[str, float], ...] = ()
    files: tuple[tuple[Path, float], ...] = ()
    relation: str = "similar"
    k: int = 10
    negatives: tuple[tuple[str, float], ...] = ()
    where: str = ""
    diversity: float = 0.0
    duplicates: bool = False
    category: str | None = None
    weights: tuple[tuple[str, float], ...] = ()
    rerank: Rerank | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer.

    Attributes:
        rank: From 1.
        item_id: Which item.
        score: Weighted mean of facet cosines, -1 to 1; of a learned relation the link probability, the user's own if
            one was named. Higher is closer.
        closer_than: Share of random pairs of the catalog that are less close, 0 to 1.
        facets: Facet → its share of the score; shares sum to 1, or are all 0 when no facet speaks for it.
        media: The item's files.
        attributes: What is known of the item.
        duplicates: Ids of near-duplicates of this answer that it stands for.
    """

    rank: int
    item_id: str
    score: float
    closer_than: float
    facets: Mapping[str, float]
    media: tuple[Medium, ...]
    attributes: Mapping[str, Attribute]
    duplicates: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the item's files lie."""
        return tuple(medium.path for medium in self.media)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one query.

    Attributes:
        query: The question.
        method: ``"annoy"``, ``"cells"`` or ``"exact"``: how it was searched; see ``index.engine.search``.
        recall: Share of the true answers that this way of searching finds, as measured when it was built; of those that
            are closest by score, before any re-ranking.
        generation: Number of the generation asked.
        hits: Best first.
        notes: What could not be done as asked, and what would mend it.
        rerank: How the closest were put in another order; scores are the relation's own all the same.
    """

    query: Query
    method: str
    recall: float
    generation: int
    hits: tuple[Hit, ...]
    notes: tuple[str, ...] = ()
    rerank: Rerank = "none"

    def __len__(self) -> int:
        return len(self.hits)

    def _repr_html_(self) -> str:
        """Show pictures as a grid and sounds as players in a notebook."""
        from index.answering.notebook import answer_html

        return answer_html(self)
