"""What Prometheus is told of runs that the platform ends."""

from scheduler.metrics import Metrics
from scheduler.store.evicting import Orders
from scheduler.store.ingest import Ingested

FLAVOR = "wuhan-ai/ascend-910b"


def test_orders_and_the_time_to_their_ends_are_counted_by_cause() -> None:
    metrics = Metrics()
    where = {"city": "wuhan", "flavor": FLAVOR}
    orders = Orders(counted=[("wuhan", FLAVOR, "RECLAIM")] * 2 + [("wuhan", FLAVOR, "DRAIN")])
    metrics.ordered(orders)
    metrics.ingested(Ingested(evicted=[(FLAVOR, "RECLAIM", 61_000), (FLAVOR, "RECLAIM", 1_000)]))
    value = metrics.registry.get_sample_value
    assert value("corridor_evictions_total", {**where, "cause": "RECLAIM"}) == 2
    assert value("corridor_evictions_total", {**where, "cause": "DRAIN"}) == 1
    by = {"flavor": FLAVOR, "cause": "RECLAIM"}
    assert value("corridor_eviction_seconds_count", by) == 2
    assert value("corridor_eviction_seconds_sum", by) == 62
    assert value("corridor_eviction_seconds_bucket", {**by, "le": "60.0"}) == 1
