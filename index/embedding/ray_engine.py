"""The Ray engine: shards are finished by a pool of actors under Ray Data, on one machine or on many."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from index.cluster import Cluster, on_cluster
from index.embedding.engine import FinishedShard, Tally
from index.embedding.missing import Missing
from index.embedding.plan import Shard
from index.embedding.ray_worker import Desk, Needs, ShardDescriber, local_sources, problem_here
from index.embedding.shards import ShardFile
from index.errors import InputError, SimkinError, StorageError


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
                yield from self._run(cluster, missing, shards, needs, tell)
            finally:
                (missing.out / token).unlink(missing_ok=True)

    def _run(
        self,
        cluster: Cluster,
        missing: Missing,
        shards: Sequence[Shard],
        needs: Needs,
        tell: Callable[[Tally], None],
    ) -> Iterator[FinishedShard]:
        ray = cluster.ray
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        missing.plan.commit()
        desk = (
            ray.remote(Desk)
            .options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)
            .remote(needs.out, missing.manifest, missing.retry_failed)
        )
        rows = [shard._asdict() for shard in shards]
        for row in cluster.work_off(ShardDescriber, (needs, desk), rows, self.workers, self._provider):
            if row is None:
                tell(ray.get(desk.tally.remote()))
            else:
                yield _finished(row)
        tell(ray.get(desk.tally.remote()))


def _finished(row: dict[str, Any]) -> FinishedShard:
    if row["problem"]:
        kinds = {"storage": StorageError, "input": InputError}
        raise kinds.get(row["kind"], SimkinError)(row["problem"])
    files = {name: file and ShardFile(**file) for name, file in json.loads(row["files"]).items()}
    return FinishedShard(Shard(*json.loads(row["shard"])), files)
