"""Figures for Prometheus: requests, latency, and how the catalog is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from index.overview import Overview
from simkin.server.run import METRICS
from simkin.server.settings import Settings

BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.012, 0.02, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds; the limits that are promised for questions and uploads are among them."""


class Metrics:
    """Counts requests of one application."""

    def __init__(self, settings: Settings) -> None:
        self._registry = CollectorRegistry()
        self._many = settings.workers > 1 and METRICS in os.environ
        self.requests = Counter(
            "simkin_requests", "Requests answered.", ["route", "method", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "simkin_request_seconds", "Time to answer.", ["route"], buckets=BUCKETS, registry=self._registry
        )

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests.labels(route, method, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def page(self, overview: Overview | None) -> bytes:
        """All figures as Prometheus reads them.

        Args:
            overview: How the catalog is; ``None`` when it cannot be told.
        """
        registry = CollectorRegistry()
        if self._many:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            registry.register(_Copied(self._registry.collect))
        registry.register(_Copied(lambda: catalog_metrics(overview)))
        return generate_latest(registry)


class _Copied(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()


def catalog_metrics(overview: Overview | None) -> Iterator[Metric]:
    """Figures of a catalog."""
    up = GaugeMetricFamily("simkin_catalog_up", "Whether the catalog can be asked.")
    up.add_metric([], float(overview is not None and overview.state == "current"))
    yield up
    if overview is None:
        return
    plain = {
        "generation": ("Number of the generation in use.", overview.generation),
        "pending_items": ("Items changed since it was built, searched beside it.", overview.pending),
        "failures": ("Files that could not be indexed.", overview.failures),
        "database_bytes": ("Size of the database.", overview.database_bytes),
    }
    for name, (text, value) in plain.items():
        gauge = GaugeMetricFamily(f"simkin_{name}", text)
        gauge.add_metric([], value)
        yield gauge
    items = GaugeMetricFamily("simkin_items", "Items by modality.", labels=["modality"])
    for modality, count in overview.items.items():
        items.add_metric([modality], count)
    yield items
    recall = GaugeMetricFamily("simkin_recall", "Recall told, by relation.", labels=["relation", "modality", "method"])
    for state in overview.relations:
        recall.add_metric([state.relation, state.modality, state.method], state.recall)
    yield recall
