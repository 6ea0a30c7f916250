"""Words: what an explanation says in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from index.explaining.explanation import Dimension
from index.explaining.pair import Pair

WORDS = {
    "content": "content, as a network sees it",
    "style": "style, as a network sees it",
    "behaviour": "what people did with them",
}
"""Kind of facet → what a person calls it, where its name does not say it: it is the word of the gallery, too."""

CLOSE = 0.9
"""Share of random pairs that two items must be closer than, not to be called far."""

NOTHING = 0.005
"""Shares below this are not worth a word."""


def facet_word(name: str, modality: str) -> str:
    """What a person calls a facet; of a network's, which network."""
    kind, _, which = name.partition(":")
    word = WORDS.get(kind, kind)
    if kind == "content" and modality == "audio":
        word = "content, as a network hears it"
    return f"{word} ({which})" if which else word


def main_sentence(pair: Pair) -> str:
    """The facet that matters most and the next, with their shares."""
    ordered = _ordered(pair.shares)
    if not ordered:
        return "Not alike: no facet speaks for the two."
    said = [f"{facet_word(name, pair.modality)} ({100 * share:.0f} %)" for name, share in ordered]
    if len(said) == 1:
        return f"Alike by {said[0]}."
    first = f"Alike above all by {said[0]}" if ordered[0][1] >= 0.4 else f"Alike by {said[0]}"
    return f"{first}, then by {' and '.join(said[1:3])}."


def standing(pair: Pair) -> str:
    """How unusual the score is in the catalog."""
    if pair.closer_than < CLOSE:
        return f"Not close: closer than only {math.floor(100 * pair.closer_than)} % of random pairs of the catalog."
    share = min(math.floor(1000 * pair.closer_than), 999) / 10  # no sample says more
    return f"Closer than {share:.1f} % of random pairs of the catalog."


def weighed_words(pair: Pair, weights: Mapping[str, float]) -> str:
    """How facets were weighed for this question."""
    told = [f"{facet_word(name, pair.modality)} {weight:g}" for name, weight in weights.items()]
    return f"Weighed as asked: {', '.join(told)}."


def against(pair: Pair) -> str | None:
    """The facets in which the two are unlike."""
    unlike = [facet_word(name, pair.modality) for name, cosine in pair.cosines.items() if cosine <= 0]
    return f"Not alike by {' or by '.join(unlike)}." if unlike else None


def regions_checked(first: float, usual: float) -> str:
    """What blurring the first region costs, and what blurring any of the windows that were tried."""
    others = f"{100 * usual:.0f} %" if usual >= NOTHING else "nothing"
    if first <= usual:
        return (
            f"Not one region decides: blurring the first costs {100 * first:.0f} % of the score of the two pictures, "
            f"the others that were tried cost {others} on average."
        )
    return (
        f"Checked: blurring the first region costs {100 * first:.0f} % of the score of the two pictures; windows of "
        f"that size over the product cost {others} on average."
    )


def _ordered(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(((n, s) for n, s in shares.items() if s >= NOTHING), key=lambda pair: (-pair[1], pair[0]))


def dimension_words(dimensions: Sequence[Dimension]) -> list[str]:
    """The dimension in which two items stand closest for what is usual."""
    if not dimensions:
        return []
    first = dimensions[0]
    return [
        f"{100 * first.share:.0f} % of what brings them closer than chance lies along one dimension of the relation, "
        f"which runs from items like {_last(first.low[0])} to items like {_last(first.high[0])}; the two "
        f"stand {_place(first.a)} and {_place(first.b)}."
    ]


def _last(item_id: str) -> str:
    return item_id.rsplit("/", 1)[-1]


def _place(share: float) -> str:
    if share < 0.1:
        return "at its beginning"
    return "at its end" if share > 0.9 else f"{100 * share:.0f} % along"


def clock(seconds: float) -> str:
    """A moment of a song as players show it: ``m:ss``."""
    whole = max(0, int(seconds))
    return f"{whole // 60}:{whole % 60:02d}"
