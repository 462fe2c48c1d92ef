"""What metrics say of centers: forgotten runs, and second native jobs that adapters ended."""

from scheduler.metrics import Metrics
from scheduler.store.ingest import Ingested


def value(metrics: Metrics, name: str, center: str) -> float | None:
    """What a counter of a center shows."""
    found: float | None = metrics.registry.get_sample_value(name, {"center": center})
    return found


def test_forgotten_runs_are_counted_by_center() -> None:
    metrics = Metrics()
    metrics.ingested(Ingested(forgotten=["sc", "ai", "sc"]))
    assert value(metrics, "corridor_runs_forgotten_total", "sc") == 2
    assert value(metrics, "corridor_runs_forgotten_total", "ai") == 1


def test_second_native_jobs_are_counted_as_adapters_end_them() -> None:
    metrics = Metrics()
    for total in (0, 1, 1, 3):
        metrics.duplicates("sc", total)
    assert value(metrics, "corridor_duplicate_jobs_total", "sc") == 3
    metrics.duplicates("sc", 0)  # opened anew
    metrics.duplicates("sc", 1)
    assert value(metrics, "corridor_duplicate_jobs_total", "sc") == 4
