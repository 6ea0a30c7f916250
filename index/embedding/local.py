"""The local engine: worker processes of this machine; results are kept as they come, shards written when complete."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from index.cores import usable_cores
from index.embedding.describing import Answer, Asked, describe_files
from index.embedding.engine import FinishedShard, Tally
from index.embedding.finishing import finish_shard
from index.embedding.missing import Missing, ShardWork
from index.embedding.plan import Shard
from index.ingesting.workers import describe_all
from index.onnx_model import running_on


@dataclass(slots=True)
class _Open:
    work: ShardWork
    left: int


class LocalEngine:
    """Describes files in processes of this machine.

    Args:
        spool: A folder for copies of files that lie elsewhere.
        workers: Processes; 0 means one for each usable core.
        provider: What networks run on: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, spool: Path, workers: int, provider: str = "cpu") -> None:
        self.workers = workers or usable_cores()
        self.writers = 1
        self._spool, self._provider = spool, provider

    def finish(
        self, missing: Missing, shards: Sequence[Shard], tell: Callable[[Tally], None]
    ) -> Iterator[FinishedShard]:
        """See ``index.embedding.engine.Engine``; a kill costs the results of the last two seconds."""
        tally = Tally()
        opened: dict[int, _Open] = {}  # by file
        ready: deque[FinishedShard] = deque()

        def asked() -> Iterator[Asked]:
            for shard in shards:
                work = missing.work(shard)
                tally.done += len(work.files) - work.count
                if not work.count:
                    write(work)
                    tell(tally)
                    continue
                open_shard = _Open(work, work.count)
                for file, encoders in zip(work.files, work.wanted, strict=True):
                    if encoders:
                        opened[file.file] = open_shard
                        yield Asked(file, encoders)

        def keep(answer: Answer) -> None:
            missing.plan.add(answer.asked.file.file, answer.results())
            tally.done += 1
            tally.described += answer.opened
            tally.failed += bool(answer.described.stage)
            tally.seconds["read"] += answer.fetched + answer.described.spent[0]
            tally.seconds["describe"] += answer.described.spent[1]
            tell(tally)
            open_shard = opened.pop(answer.asked.file.file)
            open_shard.left -= 1
            if not open_shard.left:
                write(open_shard.work)

        def write(work: ShardWork) -> None:
            started = time.monotonic()
            ready.append(FinishedShard(work.shard, finish_shard(missing.out, work, missing.waiting(work))))
            tally.seconds["write"] += time.monotonic() - started

        self.workers = max(1, min(self.workers, sum(shard.stop - shard.start for shard in shards)))
        with running_on(self._provider):
            for _ in describe_files(asked(), lambda jobs: describe_all(jobs, self.workers), self._spool, keep):
                while ready:
                    yield ready.popleft()
        yield from ready
