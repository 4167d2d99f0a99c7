"""The service's numbers: a registry of its own, with labels from closed sets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.errors import NotReadyError
from holdfast import FencedError, RunStatus, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from app.service import Service
    from holdfast import Engine, EngineStats

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class _EngineCollector(Collector):
    """Reads the engine's numbers when they are asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Give what can be known now: whether the engine is ready, and its numbers if it answers."""
        ready = 0 if self._service.not_ready() else 1
        yield GaugeMetricFamily("holdfast_ready", "Whether work can be taken.", value=ready)
        try:
            stats = self._service.call(_stats)
        except (NotReadyError, FencedError, StoreError):
            return
        runs = GaugeMetricFamily("holdfast_runs", "Runs by status.", labels=["status"])
        for status in RunStatus:
            runs.add_metric([status.value], stats.runs[status.value])
        yield runs
        yield GaugeMetricFamily("holdfast_runs_live", "Runs in memory.", value=stats.live)
        yield CounterMetricFamily("holdfast_commits", "Batches written since the start.", value=stats.commits)
        yield CounterMetricFamily("holdfast_changes", "Changes of runs in those batches.", value=stats.written)
        yield GaugeMetricFamily("holdfast_attempts", "Attempts of activities that run or wait.", value=stats.attempts)
        yield GaugeMetricFamily("holdfast_attempts_abandoned", "Attempts given up on.", value=stats.abandoned)

    def describe(self) -> Iterator[Metric]:
        """Declare nothing: the engine is not asked when this is registered."""
        return iter(())


async def _stats(engine: Engine) -> EngineStats:
    return engine.stats()


class Metrics:
    """The numbers of one application."""

    def __init__(self, app: Flask, service: Service) -> None:
        """Count the requests of an application from now on."""
        self._registry = CollectorRegistry()
        self._registry.register(_EngineCollector(service))
        self._requests = Counter(
            "holdfast_http_requests", "Requests.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "holdfast_http_request_seconds",
            "Time until the answer began.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        app.after_request(self._count)

    def _count(self, response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "none"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(method, route, str(response.status_code)).inc()
        self._seconds.labels(route).observe(time.perf_counter() - g.get("began", time.perf_counter()))
        return response

    def exposition(self) -> bytes:
        """Write them in the text format."""
        return generate_latest(self._registry)
