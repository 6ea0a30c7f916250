#!/usr/bin/env python3
"""Check what playlists promise: on a made catalog, or on any that is given.

Usage: scripts/check_playlists.py [--catalog DIR] [--pairs N] [--length N] [--items N] [--relation NAME]

For random pairs of tracks a path leads from one to the other, with seeds 0 and 1 by turns, and it is checked that

* it begins and ends with the two, is as long as asked, and has no track twice,
* every step is smaller than the median step between random tracks, measured here on 100,000 random pairs,
* no artist comes again before three others, and no recording comes twice,
* asking again, by a recommender opened anew, gives the same.

Lists in modes radius and chain are held to the same rules, but for steps. The exit status is 1 when one is broken.
Without --catalog, one of made songs is used: vectors in clusters, artists with many songs and with few, and versions
of the same recordings among them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from index.answering.places import places_of
from index.catalog import Catalog
from index.encoders import card_of
from index.engine.build import build_if_needed
from index.lists.playlist import Mode, Playlist, make_playlist
from index.lists.tracks import read_tracks, versions
from index.recommender import Recommender

GAP = 3


def make_catalog(folder: Path, count: int) -> None:
    """Songs near 60 centres; artists keep to a few of them; every twentieth song is there again as another version."""
    rng = np.random.default_rng(0)
    card = card_of("builtin-audio")
    axes = [rng.normal(size=(10, facet.dim)) for facet in card.facets]
    centres = rng.normal(size=(60, 10))
    with Catalog.create(folder) as catalog:
        with catalog.connection as sql:
            sql.execute("INSERT INTO sources VALUES (1, ?, 'folder', NULL)", (os.fsencode(folder.parent),))
            catalog.hold_encoder(card.name, card)
            vector, known = np.zeros(card.dim, "<f4"), {}
            for at in range(count):
                if at % 20 != 19:
                    artist = int(rng.pareto(1.0) * 3) % max(20, count // 20)
                    latent = centres[(artist * 7 + rng.integers(3)) % 60] + 0.6 * rng.normal(size=10)
                    parts = [latent @ some + 0.5 * rng.normal(size=some.shape[1]) for some in axes]
                    vector = np.hstack([part / np.linalg.norm(part) for part in parts]).astype("<f4")
                    known = {
                        "title": f"Song {at}",
                        "artist": f"Artist {artist}",
                        "duration": int(rng.integers(90, 400)),
                    }
                item_id = f"song-{at:06d}"
                sql.execute(
                    "INSERT INTO items (item, id, source, attributes, given, changed) VALUES (?,?,1,?,x'00',1)",
                    (at + 1, item_id, json.dumps(known)),
                )
                sql.execute(
                    "INSERT INTO media VALUES (?, 1, ?, 0, ?, ?, 'audio', 0, 0, NULL, ?)",
                    (at + 1, item_id, at + 1, f"{item_id}.mp3".encode(), json.dumps(known)),
                )
                sql.execute("INSERT INTO vectors VALUES (?, 1, ?)", (at + 1, vector.tobytes()))
            catalog.set_setting("sequence", "1")
        with catalog.writing():
            build_if_needed(catalog, force=True)


def broken(
    recommender: Recommender, found: Playlist, again: Playlist, ends: tuple[str, ...], median: float
) -> Iterator[str]:
    """Each rule that a list breaks, in words."""
    ids = [track.item.item_id for track in found.tracks]
    if found != again:
        yield "asked again, it is another list"
    if len(set(ids)) < len(ids):
        yield "a track comes twice"
    if ids[0] != ends[0] or (len(ends) > 1 and ids[-1] != ends[1]):
        yield "it does not begin and end as asked"
    names = [track.artist_key for track in found.tracks]
    if any(name and name in names[max(0, at - GAP) : at] for at, name in enumerate(names)):
        yield f"an artist comes again within {GAP}"
    places = places_of(recommender, found.relation, modality="audio")
    keys = recommender.catalog.keys_of(ids)
    if versions(places, read_tracks(places, keys)).any():
        yield "a recording comes twice"
    if len(ends) > 1:
        rows = places.vectors(keys)
        steps = [float(places.scores(places.apart(rows[[a]], rows[[b]]))[0, 0]) for a, b in pairwise(range(len(rows)))]
        if min(steps) <= median:
            yield f"a step of score {min(steps):.3f} is no smaller than the median random one, {median:.3f}"
        if not np.allclose(steps, [score for score in found.scores if score is not None], atol=1e-4):
            yield "the scores told are not those of the steps"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", type=Path, help="a catalog with songs; made when not given")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--length", type=int, default=20)
    parser.add_argument("--items", type=int, default=5000, help="songs that are made")
    parser.add_argument("--relation", default="similar-track")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.catalog or Path(scratch) / "made.simkin"
        if not options.catalog:
            make_catalog(folder, options.items)
        return check(folder, options.relation, options.pairs, options.length)


def check(folder: Path, relation: str, pairs: int, length: int) -> int:
    """Make all lists, and print what they keep to and what they break."""
    first, second = Recommender(Catalog.open(folder)), Recommender(Catalog.open(folder))
    ids = first.item_ids("audio")
    places = places_of(first, relation, modality="audio")
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, places.space.record.count, (2, 100_000))
    median = float(np.median(places.space.pair_scores(places.relation, left[left != right], right[left != right])))
    print(f"{len(ids)} songs, {relation}, median score of random pairs {median:.3f}")
    failures = 0
    modes: tuple[Mode, ...] = ("path", "radius", "chain")
    for mode in modes:
        lowest, lengths, seconds, noted = [], [], [], 0
        for at in range(pairs):
            start, goal = (ids[place] for place in rng.choice(len(ids), 2, replace=False).tolist())
            ends = (start, goal) if mode == "path" else (start,)
            to = goal if mode == "path" else None
            began = time.perf_counter()
            found = make_playlist(first, [start], mode=mode, to=to, relation=relation, length=length, seed=at % 2)
            seconds.append(time.perf_counter() - began)
            again = make_playlist(second, [start], mode=mode, to=to, relation=relation, length=length, seed=at % 2)
            problems = list(broken(first, found, again, ends, median))
            if len(found.tracks) < length and not found.notes:
                problems.append("it is shorter than asked for and does not say why")
            for problem in problems:
                print(f"{mode} {' '.join(ends)} seed {at % 2}: {problem}")
            failures += bool(problems)
            noted += bool(found.notes)
            lengths.append(len(found.tracks))
            lowest.append(min(score for score in found.scores if score is not None) if len(found.tracks) > 1 else 1.0)
        print(
            f"{mode}: {pairs} lists of {min(lengths)} to {max(lengths)} tracks, lowest score at worst "
            f"{min(lowest):.3f}, {statistics.median(lowest):.3f} in the median, {noted} with notes, "
            f"{1000 * statistics.median(seconds):.0f} ms in the median"
        )
    print(f"{failures} lists break a rule" if failures else "no list breaks a rule")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
