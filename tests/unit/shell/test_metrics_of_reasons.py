"""What Prometheus sees of waiting jobs by reason, and of estimates."""

import asyncio

import prometheus_client as prom

from scheduler.metrics import Metrics
from scheduler.placement.core import WaitingCounts
from scheduler.placement.sampling import Judged
from scheduler.store.submissions import More
from tests.property.job_world import CITY, JobWorld
from tests.simulation import world as worlds
from tests.simulation.world import CPU

WHERE = {"city": "ezhou", "flavor": "sc/card"}


def seen(metrics: Metrics, name: str, **labels: str) -> float | None:
    """A sample's value."""
    found: float | None = metrics.registry.get_sample_value(name, labels)
    return found


def test_waiting_jobs_and_the_oldest_are_told_by_reason() -> None:
    metrics = Metrics()

    db = worlds.build(rules=()).db

    def measure(counts: WaitingCounts) -> None:
        asyncio.run(metrics.measure(db, 100_000, counts, {}))

    key = ("ezhou", "sc/card", "POOL_FULL")
    where = ("ezhou", "sc/card")
    measure(WaitingCounts({where: 3}, {where: 10_000}, {key: 3}, {key: 40_000}))
    oldest = "corridor_jobs_pending_reason_oldest_seconds"
    assert seen(metrics, "corridor_jobs_pending_reason", reason="POOL_FULL", **WHERE) == 3
    assert seen(metrics, oldest, reason="POOL_FULL", **WHERE) == 60
    measure(WaitingCounts({}, {}, {}, {}))
    assert seen(metrics, oldest, reason="POOL_FULL", **WHERE) is None
    assert b"POOL_FULL" not in prom.generate_latest(metrics.registry)


def test_jobs_that_the_planner_is_not_told_of_are_counted_too() -> None:
    metrics, it = Metrics(), JobWorld()
    it.submit(More(), held=True)
    it.clock.ms += 30_000
    counts = WaitingCounts({}, {}, {(CITY, CPU, "QUEUE_HELD"): 2}, {})
    asyncio.run(metrics.measure(it.db, it.clock.ms, counts, {}))
    where = {"city": CITY, "flavor": CPU, "reason": "QUEUE_HELD"}
    assert seen(metrics, "corridor_jobs_pending_reason", **where) == 3
    assert seen(metrics, "corridor_jobs_pending_reason_oldest_seconds", **where) == 30


def test_how_far_off_estimates_were_is_told_by_direction() -> None:
    metrics = Metrics()
    metrics.judged(
        [
            Judged("ezhou", "sc/card", 60_000, 90_000),
            Judged("ezhou", "sc/card", 60_000, 60_000),
            Judged("ezhou", "sc/card", 600_000, 200_000),
        ]
    )
    name = "corridor_start_estimate_error_seconds"
    assert seen(metrics, f"{name}_count", direction="later", **WHERE) == 2
    assert seen(metrics, f"{name}_sum", direction="later", **WHERE) == 30
    assert seen(metrics, f"{name}_sum", direction="earlier", **WHERE) == 400
