"""A Ray cluster: joined or started, asked what it has, its hosts checked; the only module that starts Ray."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from index.cores import usable_cores
from index.errors import InputError, MissingExtraError, SimkinError
from index.onnx_model import PROVIDER

SESSIONS_PER_GPU = 4
"""Actors that share one GPU: while one decodes, another encodes."""

OBJECT_STORE = 128 << 20
"""Bytes of shared memory for a cluster of this machine alone: only names and counts pass through it."""

HOST_SECONDS = 120.0
"""Longest time for a host to answer whether it can take part."""

AHEAD = 2
"""Rows that an actor has been handed: the one it works on, and the next, so that it never waits for the driver. With
shards of a second, two nodes with a core each were 1.77 times as fast as one, and 1.54 times with none ahead."""

MOST_BLOCKS = 20_000
"""Blocks of rows at most: Ray Data keeps a book of each."""

Needs = TypeVar("Needs")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this process is connected to; ``ray`` is the module."""

    ray: Any

    def places(self, provider: str, asked: int) -> int:
        """Number of actors that shall run: as many as asked for, else as many as there is room for, at least one."""
        held = self.ray.cluster_resources()
        room = int(held.get("CPU", 0))
        if provider == "cuda":
            if not held.get("GPU"):
                raise InputError(
                    "--provider cuda: no host of the cluster has a GPU; start them with ray start --num-gpus"
                )
            room = min(room, int(held["GPU"]) * SESSIONS_PER_GPU)
        return max(1, min(asked or room, room) if room else 1)

    def check_hosts(self, problem: Callable[[Needs], str], needs: Needs) -> None:
        """Ask every host that has processor cores whether it can take part.

        Args:
            problem: Gives a sentence that names the host, or nothing.

        Raises:
            InputError: One cannot.
        """
        ray = self.ray
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        hosts = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        ask = ray.remote(problem)
        answers = {
            ask.options(num_cpus=0, scheduling_strategy=strategy(node["NodeID"], soft=False)).remote(needs): node
            for node in hosts
        }
        ready, _ = ray.wait(list(answers), num_returns=len(answers), timeout=HOST_SECONDS)
        for answer, node in answers.items():
            host = node["NodeManagerHostname"]
            if answer not in ready:
                raise InputError(f"host {host} does not answer; see ray status")
            try:
                told = ray.get(answer)
            except ray.exceptions.RayError as error:
                raise InputError(
                    f"host {host} cannot run simkin ({str(error).strip().splitlines()[-1][:200]}); install the same "
                    "simkin there: pip install 'simkin[ray]'"
                ) from None
            if told:
                raise InputError(told)

    def work_off(
        self, worker: type, told: tuple[Any, ...], rows: Sequence[Mapping[str, Any]], workers: int, provider: str
    ) -> Iterator[dict[str, Any] | None]:
        """Have a pool of actors work off rows, one row at a time each, under Ray Data.

        Args:
            worker: A class whose instances take a batch of one row and return one; restarted when they die, their row
                begun again.
            told: Arguments for making one.
            rows: Small, for all of them are here at once.
            workers: Number of actors.
            provider: What networks run on.

        Yields:
            What comes back, in any order; ``None`` about once a second, so that the caller can do other things.

        Raises:
            SimkinError: Ray gave up.
        """
        data = self.ray.data
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_no_progress_timeout_s = -1  # a row may take long
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        found = data.from_items(list(rows), override_num_blocks=min(len(rows), MOST_BLOCKS)).map_batches(
            worker,
            fn_constructor_args=told,
            batch_size=1,
            compute=data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=AHEAD),
            num_cpus=1,
            num_gpus=1 / SESSIONS_PER_GPU if provider == "cuda" else 0,
            runtime_env={"env_vars": {PROVIDER: provider}},
        )
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def pull() -> None:
            try:
                for row in found.iter_rows():
                    done.put(row)
                done.put(None)
            except BaseException as error:
                done.put(error)

        threading.Thread(target=pull, daemon=True, name="ray-rows").start()
        idle = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                row = done.get(timeout=1.0)
                if row is None:
                    return
                if isinstance(row, BaseException):
                    raise SimkinError(
                        f"Ray gave up: {_last_line(row)}; what was finished is kept, run the same command again"
                    ) from row
                yield row
            if time.monotonic() - idle >= 1.0:
                yield None
                idle = time.monotonic()


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


@contextmanager
def on_cluster(address: str, cores: int) -> Iterator[Cluster]:
    """Be connected to a cluster while the body runs; one that the caller is connected to already is used and kept.

    Args:
        address: Such as ``"auto"`` or ``"10.0.0.1:6379"``; empty for ``RAY_ADDRESS``, and where that is not set for a
            cluster of this machine alone that ends with the body.
        cores: Of a cluster of this machine alone; 0 means all usable ones.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: There is no cluster at the address.
    """
    if address.startswith("ray://"):
        raise InputError(
            f"--address {address} is that of a Ray client; run the command on a host of the cluster, with --address "
            "auto, or hand it in with: ray job submit"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leave CUDA_VISIBLE_DEVICES alone, and be quiet
    try:
        import ray
        import ray.data
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise MissingExtraError(
            f"--engine ray needs {error.name}; install it with: pip install 'simkin[ray]'"
        ) from None
    if ray.is_initialized():
        yield Cluster(ray)
        return
    address = address or os.environ.get("RAY_ADDRESS", "")
    how: dict[str, Any] = {"address": address or "local", "log_to_driver": False, "logging_level": logging.ERROR}
    if not address:
        how |= {"num_cpus": cores or usable_cores(), "object_store_memory": OBJECT_STORE, "include_dashboard": False}
        how["runtime_env"] = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}
    try:
        with _quiet_stderr():
            ray.init(**how)
    except Exception as error:  # Ray raises ConnectionError, ValueError, RuntimeError and its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        if address:
            raise InputError(
                f"no Ray cluster can be joined at {address}: {reason}; start one with: ray start --head, and set "
                "RAY_AUTH_MODE as on its hosts"
            ) from None
        raise SimkinError(f"Ray cannot be started on this machine: {reason}") from None
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep what Ray's C++ parts write there away; what matters comes as an exception."""
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
