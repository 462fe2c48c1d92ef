"""Opens what looks after this process itself, from the settings."""

from collections.abc import Callable
from pathlib import Path

from scheduler.control.health import HealthWatch, Watched
from scheduler.control.loop import ControlLoop
from scheduler.metrics import Metrics
from scheduler.openers import book_desk, data_directory, wall_ms
from scheduler.settings import Settings
from scheduler.store.database import Database


def health_watch(
    settings: Settings,
    db: Database,
    present: Callable[[], ControlLoop | None],
    metrics: Metrics,
    watched_to: Callable[[], int | None],
) -> HealthWatch:
    """Return what looks.

    ``present`` gives the loop of this process, None while another one leads; ``watched_to`` says
    up to where watchers were handed all events.
    """

    def planned_to() -> int | None:
        loop = present()
        leads = loop is not None and loop.epoch and not loop.fenced.is_set()
        return loop.planner.revision if loop is not None and leads else None

    server = settings.server
    named = {"server": server.tls_cert, "agents_ca": server.agents_ca}
    metrics.health.events_keep(settings.retention.events_d)
    metrics.health.ray_wanted(settings.planner.ray != "off")
    return HealthWatch(
        db,
        metrics.health,
        Watched(
            readers={"planner": planned_to, "watchers": watched_to},
            certificates={name: Path(file) for name, file in named.items() if file},
            data_dir=data_directory(settings),
            is_filed=book_desk(settings).digests.is_filed,
        ),
        wall_ms,
        settings.loop.metrics_s,
    )
