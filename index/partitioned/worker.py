"""The worker: does one task of a job after another, wherever it runs."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from index.errors import InputError, SimkinError
from index.partitioned.asking import Asker, Chunk, chunks_of
from index.partitioned.building import build_partition
from index.partitioned.terms import Terms, read_record
from index.partitioned.truth import tell_truth
from index.partitioned.writing import write_chunk

Stage = Literal["build", "ask", "truth", "write"]


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do.

    Attributes:
        stage: What.
        number: Of a partition (``build``, ``truth``) or of a chunk (``ask``, ``write``).
        turn: Which partition is asked, of those that a chunk asks.
    """

    stage: Stage
    number: int
    turn: int = 0


class Worker:
    """Does tasks of the job that is written down in a folder, which every host sees under the same path.

    Args:
        work: The folder of the work.
        out: The folder of the answers.
    """

    def __init__(self, work: Path, out: Path) -> None:
        self._work, self._out = work, out
        self._terms: Terms | None = None
        self._asker: Asker | None = None
        self._chunks: list[Chunk] = []

    def __call__(self, row: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Do one task.

        Args:
            row: A batch of one row: ``stage``, ``number`` and ``turn``.

        Returns:
            Its ``number``, ``problem`` when it could not be done, and whether that is trouble with the storage.
        """
        task = Task(row["stage"][0], int(row["number"][0]), int(row["turn"][0]))
        problem, storage = "", False
        try:
            self.do(task)
        except (SimkinError, OSError) as error:
            problem, storage = f"host {socket.gethostname()}: {error}", not isinstance(error, InputError)
        return {"number": [task.number], "problem": [problem], "storage": [storage]}

    def do(self, task: Task) -> None:
        """Do one task; what it writes appears whole or not at all.

        Raises:
            InputError, StorageError: It cannot be done.
        """
        if self._terms is None:
            if not self._work.is_dir():
                raise InputError(f"{self._out} is not the folder of the output; mount it there")
            self._terms = Terms.load(self._work)
        if task.stage == "build":
            build_partition(self._work, self._terms, task.number)
            return
        if task.stage == "truth":
            tell_truth(self._work, self._terms, task.number)
            return
        if not self._chunks:  # every partition is built by now
            self._chunks = chunks_of([read_record(self._work, n).count for n in range(len(self._terms.partitions))])
        chunk = self._chunks[task.number]
        if task.stage == "write":
            write_chunk(self._work, self._terms, chunk, self._out)
            return
        self._asker = self._asker or Asker(self._work, self._terms)
        self._asker.ask(chunk, task.turn)
