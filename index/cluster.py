"""A Ray cluster: joined or started, asked what it has, its hosts checked; the only module that starts Ray."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from index.cores import usable_cores
from index.errors import InputError, MissingExtraError, SimkinError

SESSIONS_PER_GPU = 4
"""Actors that share one GPU: while one decodes, another encodes."""

OBJECT_STORE = 128 << 20
"""Bytes of shared memory for a cluster of this machine alone: only names and counts pass through it."""

HOST_SECONDS = 120.0
"""Longest time for a host to answer whether it can take part."""

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


def quiet_data(ray: Any) -> None:
    """Keep Ray Data from drawing bars and from giving up a job whose shards take long."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = -1
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def gpu_share(provider: str) -> float:
    """Share of a GPU that one actor takes."""
    return 1 / SESSIONS_PER_GPU if provider == "cuda" else 0
