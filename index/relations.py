"""Relations: each a question about two items, as facet weights with a rule on who may answer."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from index.errors import UnknownNameError
from index.types import Facet, Modality

CandidateRule: TypeAlias = Literal["any", "same category", "other category"]
"""Which items may answer: all, those of the query's category, or those outside it."""


Rerank: TypeAlias = Literal["none", "neighbours", "local-scale", "both"]
"""How the closest candidates are put in another order: see ``index.answering.reranking``."""

RERANKS: tuple[Rerank, ...] = ("none", "neighbours", "local-scale", "both")


@dataclass(frozen=True, slots=True)
class Relation:
    """A question about two items.

    The score of two items is the weighted mean of their facet cosines, so the relation is one linear
    map: scale each facet by the square root of its weight and take the cosine.

    Attributes:
        name: As typed after ``--relation``.
        weights: Kind of facet → weight, all positive. Kinds that a catalog lacks are left out.
        rule: Which items may answer.
        modalities: Whether it is asked of pictures, of sounds, or of both.
        why: One sentence for people who ask what this relation is for.
        head: Digest of the fitted maps of a learned relation, which weighs no facets by hand; else empty.
        facets: Name of facet → weight, in place of ``weights``, where one question weighs facets itself.
        rerank: In which order its closest candidates are told, as the catalog's owner chose.
    """

    name: str
    weights: Mapping[str, float] = field(hash=False)
    rule: CandidateRule
    modalities: tuple[Modality, ...]
    why: str
    head: str = ""
    facets: tuple[tuple[str, float], ...] = ()
    rerank: Rerank = "none"

    def compares(self, modality: Modality, facets: Iterable[Facet]) -> bool:
        """Whether it is asked of this modality, and weighs any of these facets' kinds."""
        return modality in self.modalities and any(facet.kind in self.weights for facet in facets)

    def weights_of(self, facets: Iterable[Facet]) -> dict[str, float]:
        """Weight of each facet by name, summing to 1; facets of one kind share the kind's weight equally.

        Facets that the relation leaves out weigh 0, as do all when it compares none of them.
        """
        weights = self._each(facets)
        total = sum(weights.values())
        return {name: weight / total if total else 0.0 for name, weight in weights.items()}

    def reweighed(self, facets: Iterable[Facet], weights: Mapping[str, float]) -> Relation:
        """The same question with other weights for some facets of one modality.

        Args:
            facets: All of the modality.
            weights: Facet or kind → weight in place of the relation's own; a facet's own name goes before a kind,
                whose weight is shared equally as in ``weights``. What is not named keeps its weight.
        """
        listed = list(facets)
        kinds = Counter(facet.kind for facet in listed if facet.name not in weights)
        each = self._each(listed)
        for facet in listed:
            if facet.name in weights:
                each[facet.name] = weights[facet.name]
            elif facet.kind in weights and facet.kind not in each:
                each[facet.name] = weights[facet.kind] / kinds[facet.kind]
        return replace(self, facets=tuple(each.items()))

    def _each(self, facets: Iterable[Facet]) -> dict[str, float]:
        """Weight of each facet by name, as they are given."""
        listed = list(facets)
        if self.facets:
            given = dict(self.facets)
            return {facet.name: given.get(facet.name, 0.0) for facet in listed}
        kinds = Counter(facet.kind for facet in listed)
        return {facet.name: self.weights.get(facet.kind, 0.0) / kinds[facet.kind] for facet in listed}

    @property
    def digest(self) -> str:
        """Hash (12 hex digits) of what changes answers; a generation is refused under another one."""
        content = json.dumps([self.name, sorted(self.weights.items()), self.rule, self.modalities, self.head])
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def relation_named(relations: Mapping[str, Relation], name: str) -> Relation:
    """Look a relation up by name.

    Raises:
        UnknownNameError: There is none; the message names the nearest.
    """
    if name not in relations:
        raise UnknownNameError.of("relation", name, relations)
    return relations[name]


RELATIONS: dict[str, Relation] = {
    "similar": Relation(
        name="similar",
        weights={
            "content": 2.0,
            "shape": 1.0,
            "color": 0.15,
            "texture": 0.35,
            "timbre": 1.0,
            "rhythm": 0.5,
            "harmony": 1.0,
        },
        rule="any",
        modalities=("image", "audio"),
        why="Everything that can be seen or heard counts: the plain neighbour, over the whole catalog.",
    ),
    "substitute": Relation(
        name="substitute",
        weights={"content": 2.0, "shape": 1.0, "color": 0.1, "texture": 0.3},
        rule="same category",
        modalities=("image",),
        why="What could be taken instead: the same kind of thing, so form leads, inside the category.",
    ),
    "style": Relation(
        name="style",
        weights={"color": 1.0, "style": 0.3, "texture": 0.2, "shape": 0.1},
        rule="other category",
        modalities=("image",),
        why="What goes with it: colour and surface carry style, form does not; other categories answer.",
    ),
    "similar-track": Relation(
        name="similar-track",
        weights={"content": 3.0, "timbre": 1.0, "rhythm": 0.5, "harmony": 1.0},
        rule="any",
        modalities=("audio",),
        why="What sounds like it: instruments and production, harmony in any key, and half as much tempo and beat.",
    ),
}
"""How the weights came about: colour hardly tells the kind of a thing, and form hardly its colour, so each
relation is led by what carries it. Compared on halves of 2,167 shop photos and 1,000 phone photos, with the
whole sets in view, and on 164 songs and halves of them split by artist: around these values scores barely
change, and those of songs within chance. ``content`` weighs about as much as all built-in facets together,
compared with one picture network and two sound networks on the whole of the same sets; ``style`` of networks
was not measured, for want of a trained network that gives it."""
