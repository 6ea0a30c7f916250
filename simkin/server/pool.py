"""Thread pools: threads that answer, each with a catalog connection of its own, behind a bounded queue."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from index.address import Place
from index.errors import SimkinError
from index.live import LiveCatalog
from index.trouble import StorageTrouble
from simkin.server.errors import Refusal

_T = TypeVar("_T")

_log = logging.getLogger("simkin.server")


@dataclass(frozen=True, slots=True)
class _Job:
    function: Callable[[LiveCatalog], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class ThreadPool:
    """Runs functions off the event loop, one at a time in each of its threads.

    Its threads end with the process, whatever they are at: what a function commits is committed whole or not at all.
    """

    def __init__(self, name: str, catalog: Place, threads: int, waiting: int) -> None:
        self.name = name
        self._catalog = catalog
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._room = threads + waiting
        self._inside = 0
        self._left_here: set[asyncio.Future[Any]] = set()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def ask(self, function: Callable[[LiveCatalog], _T]) -> _T:
        """Run a function with the catalog, and wait for what it returns or raises.

        Raises:
            Refusal: 503: too many are waiting.
        """
        if self._inside >= self._room:
            raise Refusal.busy("too many requests are waiting; ask again in a moment")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        self._inside += 1
        future.add_done_callback(self._left)
        self._jobs.put(_Job(function, loop, future))
        return await future

    def leave(self, function: Callable[[LiveCatalog], object]) -> None:
        """Have a function run after what waits already, with nobody waiting for it; not when too many do."""
        if self._inside < self._room:
            task = asyncio.ensure_future(self.ask(function))
            self._left_here.add(task)
            task.add_done_callback(self._forget)

    def close(self) -> None:
        """Let the threads end once they are done with what they are at."""
        for _ in self._threads:
            self._jobs.put(None)

    def _forget(self, task: asyncio.Future[Any]) -> None:
        self._left_here.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("what was left in the pool %r failed", self.name, exc_info=task.exception())

    def _left(self, _: asyncio.Future[Any]) -> None:
        self._inside -= 1

    def _work(self) -> None:
        live = LiveCatalog(self._catalog)
        while (job := self._jobs.get()) is not None:
            if job.future.cancelled():
                continue
            result: Any = None
            problem: Exception | None = None
            try:
                with StorageTrouble(live.folder):
                    result = job.function(live)
            except Exception as error:
                problem = error
                if isinstance(error, SimkinError):
                    live.doubt(error)
            try:
                job.loop.call_soon_threadsafe(_settle, job.future, result, problem)
            except RuntimeError:  # the loop has ended
                break
            del job, result, problem
        live.close()


def _settle(future: asyncio.Future[Any], result: Any, problem: Exception | None) -> None:
    if future.done():  # nobody waits for it any more
        return
    if problem is None:
        future.set_result(result)
    else:
        future.set_exception(problem)
