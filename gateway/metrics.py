"""`/metrics`: what the gateway holds, how fresh it is, and what it was asked, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.reader import LiveReader

#: Litestar adds the charset.
CONTENT_TYPE: Final = "text/plain; version=0.0.4"


class Metrics:
    """One registry for each gateway: nothing global."""

    def __init__(self, reader: LiveReader) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_OfView(reader))
        self._requests = Counter(
            "dossier_gateway_requests", "Requests answered", ("method", "route", "status"), registry=self._registry
        )

    def count(self, method: str, route: str, status: int) -> None:
        """One request more; `route` is a template, never a path, so that the series stay few."""
        self._requests.labels(method, route, str(status)).inc()

    def exposition(self) -> bytes:
        """The text Prometheus reads."""
        return generate_latest(self._registry)


class _OfView(Collector):
    def __init__(self, reader: LiveReader) -> None:
        self._reader = reader

    def collect(self) -> Iterator[Metric]:
        view = self._reader.view
        reached = view.reached()
        yield _gauge("dossier_dossiers", "Dossiers in the live state", view.board.dossiers)
        yield _gauge("dossier_quarantined", "Unreadable records still held", len(view.quarantined))
        yield _gauge("dossier_live_unreadable", "Records of the live topic that cannot be read", view.unreadable)
        if reached.lag is not None:
            yield _gauge("dossier_live_lag", "Ledger records that are not in the live state", reached.lag)
        by_state = GaugeMetricFamily("dossier_dossiers_by_state", "Dossiers in each state", labels=["state"])
        for state, count in view.board.by_state.items():
            by_state.add_metric([state.value], count)
        yield by_state
        positions = GaugeMetricFamily(
            "dossier_live_position", "First ledger offset not in the live state", labels=["partition"]
        )
        for partition, offset in reached.positions.items():
            positions.add_metric([str(partition)], offset)
        yield positions


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
