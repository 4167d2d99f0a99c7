"""The service's numbers: a registry of its own, with labels from closed sets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.api.numbers import NUMBERS, bounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from app.service import Service
    from holdfast import Engine, EngineStats

__all__ = ["CONTENT_TYPE", "READY", "REQUESTS", "SECONDS", "Metrics", "Own"]

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Own(NamedTuple):
    """A metric of the service itself, beside those of its engine."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


READY: Final = Own("holdfast_ready", "Whether work can be taken: 1 or 0.")
REQUESTS: Final = Own("holdfast_http_requests", "Requests that were answered.", ("method", "route", "status"))
SECONDS: Final = Own("holdfast_http_request_seconds", "How long requests took until their answer began.", ("route",))


class _EngineCollector(Collector):
    """Reads the engine's numbers when they are asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Give what can be known now: whether work can be taken, and the engine's numbers if it answers."""
        ready = 0 if self._service.not_ready() else 1
        yield GaugeMetricFamily(READY.name, READY.help, value=ready)
        stats = self._service.look(_stats)
        if stats is not None:
            yield from (number.family(stats) for number in NUMBERS)

    def describe(self) -> Iterator[Metric]:
        """Declare nothing: the engine is not asked when this is registered."""
        return iter(())


def _stats(engine: Engine) -> EngineStats:
    return bounded(engine.stats(), {definition.name for definition in engine.definitions()})


class _Plain(Collector):
    """Leaves out what the client library adds: a series for each series of a counter, to say when it began."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Give all metrics of the registry."""
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class Metrics:
    """The numbers of one application."""

    def __init__(self, app: Flask, service: Service) -> None:
        """Count the requests of an application from now on."""
        self._registry = CollectorRegistry()
        self._registry.register(_EngineCollector(service))
        self._requests = Counter(*REQUESTS, registry=self._registry)
        self._seconds = Histogram(*SECONDS, buckets=_BUCKETS, registry=self._registry)
        app.after_request(self._count)

    def _count(self, response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "none"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(method, route, str(response.status_code)).inc()
        self._seconds.labels(route).observe(time.perf_counter() - g.get("began", time.perf_counter()))
        return response

    def exposition(self) -> bytes:
        """Write them in the text format."""
        return generate_latest(_Plain(self._registry))
