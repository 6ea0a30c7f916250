"""The Ray engine: shards are finished by a pool of actors under Ray Data, on one machine or on many."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from index.cluster import gpu_share, on_cluster, quiet_data
from index.embedding.engine import FinishedShard, Tally
from index.embedding.missing import Missing
from index.embedding.plan import Shard
from index.embedding.ray_worker import TELL_SECONDS, Desk, Needs, ShardDescriber, local_sources, problem_here
from index.embedding.shards import ShardFile
from index.errors import InputError, SimkinError, StorageError
from index.onnx_model import PROVIDER


class RayEngine:
    """Describes files on a Ray cluster; the driver sees one row for each finished shard, and no vector.

    Args:
        address: Of a cluster, such as ``"auto"`` or ``"10.0.0.1:6379"``; empty for ``RAY_ADDRESS``, and where that is
            not set for a cluster of this machine alone, for this run.
        workers: Actors; 0 means one for each core of the cluster.
        provider: What networks run on: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, address: str, workers: int, provider: str) -> None:
        self.workers = self.writers = max(workers, 1)
        self._address, self._asked, self._provider = address, workers, provider

    def finish(
        self, missing: Missing, shards: Sequence[Shard], tell: Callable[[Tally], None]
    ) -> Iterator[FinishedShard]:
        """See ``index.embedding.engine.Engine``; a worker that dies costs its shard.

        Raises:
            MissingExtraError: Ray is not installed.
            InputError: The cluster cannot be reached, or a host lacks the sources, the output folder or the encoders.
        """
        with on_cluster(self._address, self._asked) as cluster:
            self.workers = self.writers = min(cluster.places(self._provider, self._asked), len(shards))
            token = f".host-{uuid.uuid4().hex}"
            needs = Needs(
                os.fspath(missing.out),
                token,
                local_sources(missing.manifest.sources),
                {name: held.card.fingerprint for name, held in missing.manifest.encoders.items()},
            )
            (missing.out / token).touch()
            try:
                cluster.check_hosts(problem_here, needs)
                yield from self._run(cluster.ray, missing, shards, needs, tell)
            finally:
                (missing.out / token).unlink(missing_ok=True)

    def _run(
        self, ray: Any, missing: Missing, shards: Sequence[Shard], needs: Needs, tell: Callable[[Tally], None]
    ) -> Iterator[FinishedShard]:
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        missing.plan.commit()
        desk = (
            ray.remote(Desk)
            .options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)
            .remote(needs.out, missing.manifest, missing.retry_failed)
        )
        quiet_data(ray)
        rows = ray.data.from_items([shard._asdict() for shard in shards], override_num_blocks=len(shards)).map_batches(
            ShardDescriber,
            fn_constructor_args=(needs, desk),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=self.workers, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=gpu_share(self._provider),
            runtime_env={"env_vars": {PROVIDER: self._provider}},
        )
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def pull() -> None:
            try:
                for row in rows.iter_rows():
                    done.put(row)
                done.put(None)
            except BaseException as error:
                done.put(error)

        threading.Thread(target=pull, daemon=True, name="ray-rows").start()
        told = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                row = done.get(timeout=TELL_SECONDS)
                if row is None:
                    break
                if isinstance(row, BaseException):
                    raise SimkinError(
                        f"Ray gave up: {_last_line(row)}; finished shards are kept, run the same command again"
                    ) from row
                yield _finished(row)
            if time.monotonic() - told >= TELL_SECONDS:
                tell(ray.get(desk.tally.remote()))
                told = time.monotonic()
        tell(ray.get(desk.tally.remote()))


def _finished(row: dict[str, Any]) -> FinishedShard:
    if row["problem"]:
        kinds = {"storage": StorageError, "input": InputError}
        raise kinds.get(row["kind"], SimkinError)(row["problem"])
    files = {name: file and ShardFile(**file) for name, file in json.loads(row["files"]).items()}
    return FinishedShard(Shard(*json.loads(row["shard"])), files)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
