"""Makes metrics with our prefix in one registry."""

from collections.abc import Sequence

import prometheus_client as prom
from prometheus_client.registry import CollectorRegistry


class Maker:
    """Makes metrics with our prefix in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def gauge(self, name: str, text: str, *labels: str) -> prom.Gauge:
        return prom.Gauge(f"corridor_{name}", text, labels, registry=self._registry)

    def counter(self, name: str, text: str, *labels: str) -> prom.Counter:
        return prom.Counter(f"corridor_{name}", text, labels, registry=self._registry)

    def histogram(
        self, name: str, text: str, buckets: Sequence[float], *labels: str
    ) -> prom.Histogram:
        name = f"corridor_{name}"
        return prom.Histogram(name, text, labels, registry=self._registry, buckets=tuple(buckets))
