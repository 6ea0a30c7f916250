"""Every item's neighbours on a Ray cluster: parts of the question are answered by a pool of actors."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from index.address import Place
from index.answering.batch_workers import Answering, Part
from index.answers import Query
from index.cluster import on_cluster
from index.errors import InputError, SimkinError
from index.recommender import Recommender

PARTS_AT_ONCE = 1000
"""Parts that the driver holds: as many ids are in memory, however large the catalog."""


def answering_on(address: str, recommender: Recommender) -> Answering:
    """An ``Answering`` for ``write_all`` by actors of a cluster, one for each core.

    Every host opens the catalog by the same name, shared or its own copy, and must see the folder of the output.

    Args:
        address: See ``index.cluster.on_cluster``.
        recommender: Of the catalog here, whose state those of all hosts must have.
    """
    return partial(_answer, address, state_of(recommender))


def state_of(recommender: Recommender) -> tuple[int, int]:
    """The generation and the sequence number of a catalog."""
    return recommender.generation.manifest.number, recommender.catalog.sequence


def _answer(
    address: str,
    state: tuple[int, int],
    catalog: Place,
    query: Query,
    suffix: str,
    parts: Iterator[Part],
    processes: int,
    on_items: Callable[[int], None],
) -> Iterator[Part]:
    """See ``index.answering.batch_workers.answer_parts``; the cluster says how many processes there are."""
    place = Path(os.path.abspath(catalog)) if isinstance(catalog, Path) else catalog
    with on_cluster(address, 0) as cluster:
        while some := {part.number: part for part in islice(parts, PARTS_AT_ONCE)}:
            rows = [
                {"number": number, "path": os.path.abspath(part.path), "ids": json.dumps(part.ids)}
                for number, part in some.items()
            ]
            workers = min(cluster.places("cpu", 0), len(rows))
            for row in cluster.work_off(PartAnswerer, (place, state, query, suffix), rows, workers, "cpu"):
                if row is None:
                    continue
                if row["problem"]:
                    raise InputError(row["problem"])
                yield some[int(row["number"])]


class PartAnswerer:
    """The actor: opens the catalog of its host, and answers one part after another.

    Args:
        catalog: Its folder, or its address.
        state: That it must be in, see ``state_of``.
        query, suffix: See ``index.answering.batch.write_part``.
    """

    def __init__(self, catalog: Place, state: tuple[int, int], query: Query, suffix: str) -> None:
        self._catalog, self._state, self._query, self._suffix = catalog, state, query, suffix
        self._recommender: Recommender | None = None

    def __call__(self, row: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Answer one part.

        Args:
            row: A batch of one row: ``number``, ``path`` and ``ids`` as JSON.

        Returns:
            Its ``number``, and ``problem`` when it could not be answered.
        """
        from index.answering.batch import write_part

        problem = ""
        path = Path(str(row["path"][0]))
        try:
            if not path.parent.is_dir():
                raise InputError(f"{path.parent.parent} is not the folder of the output; mount it there")
            ids = json.loads(str(row["ids"][0]))
            write_part(self._opened(), self._query, self._suffix, ids, path, lambda _: None)
        except (SimkinError, OSError) as error:
            problem = f"host {socket.gethostname()}: {error}"
        return {"number": [int(row["number"][0])], "problem": [problem]}

    def _opened(self) -> Recommender:
        from index.opening import open_recommender

        if self._recommender is None:
            opened = open_recommender(self._catalog)
            if state_of(opened) != self._state:
                raise InputError(f"{self._catalog} is in another state there; copy the catalog to every host again")
            self._recommender = opened
        return self._recommender
