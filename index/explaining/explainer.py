"""The explainer: takes two items to one relation, gives an Explanation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from index.errors import InputError, MediaError
from index.explaining.dimensions import find_dimensions
from index.explaining.explanation import Explanation, Likeness, Moment, Region
from index.explaining.pair import Pair, read_pair
from index.explaining.wording import (
    against,
    clock,
    dimension_words,
    main_sentence,
    regions_checked,
    standing,
    weighed_words,
)
from index.recommender import Recommender
from index.trouble import StorageTrouble


def explain(
    recommender: Recommender,
    a: str | Path,
    b: str | Path,
    relation: str = "similar",
    *,
    facet_weights: Mapping[str, float] | None = None,
) -> Explanation:
    """Explain why two items are alike: facets always, and where their media can be had, regions or moments.

    Args:
        recommender: Of an opened catalog; nothing is kept in it, and one serves one thread at a time.
        a: The item asked about: its id, or a file of it or outside the catalog.
        b: The one that answers, likewise. Its category is not looked at: any two can be explained.
        relation: By which they are compared.
        facet_weights: Facet or kind of facet → weight in place of the relation's own, as in ``Recommender.query``;
            score, shares, regions and moments are then those of this question.

    Raises:
        UnknownNameError: A name is neither an item nor a file, or there is no such relation or facet.
        InputError: It is twice the same, a picture and a sound, or the relation compares nothing of them; or facets
            of a learned relation are weighed.
        MediaError: A file outside the catalog cannot be read.
        NotBuiltError, StaleIndexError, StorageError: See ``Recommender.ask``.
    """
    with StorageTrouble(recommender.catalog.folder):
        weights = dict(facet_weights or {})
        pair = read_pair(recommender, a, b, relation, tuple(weights.items()))
        words = [standing(pair), *filter(None, [against(pair)])]
        if weights:
            words.append(weighed_words(pair, weights))
        notes: list[str] = []
        regions: tuple[Region, ...] = ()
        moments: tuple[Moment, ...] = ()
        likeness: Likeness | None = None
        try:
            if pair.modality == "image":
                regions = _regions(recommender, pair, words, notes)
            else:
                moments, likeness = _moments(pair, words, notes)
        except (InputError, MediaError) as error:
            notes.append(f"no {'regions' if pair.modality == 'image' else 'moments'}: {error}")
        dimensions, ends = find_dimensions(recommender, pair)
        words.extend(dimension_words(dimensions))
        return Explanation(
            a=pair.a.name,
            b=pair.b.name,
            relation=relation,
            modality=pair.modality,
            score=pair.score,
            closer_than=pair.closer_than,
            facets=pair.shares,
            cosines=pair.cosines,
            sentence=main_sentence(pair),
            words=tuple(words),
            notes=tuple(notes),
            regions=regions,
            moments=moments,
            likeness=likeness,
            dimensions=dimensions,
            ends=ends,
            learned=bool(pair.relation.head),
            titles=(pair.a.title, pair.b.title),
            media=(pair.a.path, pair.b.path),
        )


def _regions(recommender: Recommender, pair: Pair, words: list[str], notes: list[str]) -> tuple[Region, ...]:
    from index.explaining.regions import find_regions, views_of

    one, other, lacking = views_of(recommender.catalog, pair)
    notes.extend(lacking)
    for side in (pair.a, pair.b):
        if side.others:
            notes.append(f"{side.name} has {side.others + 1} pictures; the one closest to the other item is shown")
    regions, (first, usual) = find_regions(pair, one, other)
    if regions:
        words.append(regions_checked(first, usual))
    else:
        notes.append("no region matters by itself: blurring any part of the pictures costs nothing of the score")
    return regions


def _moments(pair: Pair, words: list[str], notes: list[str]) -> tuple[tuple[Moment, ...], Likeness]:
    from index.explaining.moments import find_moments, listen
    from index.explaining.songwords import moments_word, song_words

    heard = []
    for side in (pair.a, pair.b):
        if side.path is None:
            raise InputError(f"there is no sound file of {side.name} on this machine")
        try:
            heard.append(listen(side.path))
        except MediaError as error:
            raise MediaError(error.stage, f"{side.title}: {error.reason}") from None
        if heard[-1].seconds > heard[-1].listened + 1:
            listened, whole = clock(heard[-1].listened), clock(heard[-1].seconds)
            notes.append(f"of {side.title}, {listened} minutes of {whole} were listened to, spread over it")
    moments, likeness = find_moments(pair, heard[0], heard[1])
    words.append(moments_word(moments))
    order = sorted(pair.shares, key=lambda name: -pair.shares[name])
    words.extend(song_words(heard[0], heard[1], order, (pair.a.attributes, pair.b.attributes)))
    return moments, likeness
