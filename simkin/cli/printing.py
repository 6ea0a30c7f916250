"""How answers read on a terminal, and the stable keys they have as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from index.answers import Answer, Hit
from index.types import Attribute

if TYPE_CHECKING:
    from index.explaining.explanation import Explanation

LABELS = ("title", "artist", "category", "color", "genre", "price")
"""Attributes worth a look beside an id, in this order, when an item has them."""


def answer_json(answer: Answer) -> dict[str, Any]:
    """One answer as one JSON object."""
    return {
        "query": query_name(answer),
        "relation": answer.query.relation,
        "method": answer.method,
        "recall": answer.recall,
        "generation": answer.generation,
        "hits": [
            {
                "rank": hit.rank,
                "id": hit.item_id,
                "score": round(hit.score, 6),
                "closer_than": round(hit.closer_than, 6),
                "path": str(hit.paths[0]) if hit.paths else None,
                "attributes": dict(hit.attributes),
                "facets": dict(hit.facets),
                "duplicates": list(hit.duplicates),
            }
            for hit in answer.hits
        ],
        "notes": list(answer.notes),
        "rerank": answer.rerank,
    }


def query_name(answer: Answer) -> str:
    """What was asked about, in one line."""
    names = [item_id for item_id, _ in answer.query.items] + [str(path) for path, _ in answer.query.files]
    return " + ".join(names) + "".join(f" - {item_id}" for item_id, _ in answer.query.negatives)


def answer_text(answer: Answer) -> str:
    """One answer as lines for a person."""
    head = f"{query_name(answer)} · {answer.query.relation} · {answer.method}, recall {answer.recall:.3f}"
    lines = [head, *(f"  note: {note}" for note in answer.notes)]
    if not answer.hits:
        lines.append("  nothing may answer: loosen --where, or index more items")
    width = max((len(hit.item_id) for hit in answer.hits), default=0)
    for hit in answer.hits:
        lines.append(f"{hit.rank:4d}  {hit.score:6.3f}  {hit.item_id:<{width}}  {shares(hit.facets):<42} {_about(hit)}")
    return "\n".join(lines)


def shares(facets: Mapping[str, float]) -> str:
    """Facet shares, largest first."""
    ordered = sorted(facets.items(), key=lambda pair: -pair[1])
    return " · ".join(f"{name} {100 * share:.0f} %" for name, share in ordered)


def about(attributes: Mapping[str, Attribute]) -> str:
    """What is known of an item, in a few words."""
    return ", ".join(str(attributes[name]) for name in LABELS if attributes.get(name) not in (None, ""))


def _about(hit: Hit) -> str:
    known = [told for told in (about(hit.attributes),) if told]
    if hit.duplicates:
        known.append(f"(+{len(hit.duplicates)} like it)")
    far = (
        ""
        if hit.closer_than >= 0.9
        else f"  (not close: closer than only {100 * hit.closer_than:.0f} % of random pairs)"
    )
    return ", ".join(known) + far


def explanation_text(found: Explanation) -> str:
    """One explanation as lines for a person."""
    from index.explaining.wording import clock  # which loads what explains; answers are printed without

    lines = [f"{found.a} · {found.b} · {found.relation} · {found.score:.3f}", f"  {found.sentence}"]
    lines += [f"  {line}" for line in found.words]
    width = max((len(name) for name in found.facets), default=0)
    for name, share in sorted(found.facets.items(), key=lambda pair: -pair[1]):
        cosine = f"  cosine {found.cosines[name]:6.3f}" if name in found.cosines else ""
        lines.append(f"  {name:<{width}}  {100 * share:3.0f} %{cosine}")
    for number, region in enumerate(found.regions, 1):
        places = "  ".join(" ".join(f"{part:.2f}" for part in box) for box in (region.a, region.b))
        lines.append(f"  region {number}  {region.facet}, {100 * region.strength:.0f} % of the score: {places}")
    for moment in found.moments:
        lines.append(
            f"  {clock(moment.a)} sounds like {clock(moment.b)}, for {moment.seconds:.0f} s: {moment.score:.2f}"
        )
    for one in found.dimensions:
        lines.append(f"  {100 * one.share:3.0f} %  between {', '.join(one.low)} and {', '.join(one.high)}")
    return "\n".join([*lines, *(f"  note: {note}" for note in found.notes)])
