"""What a process says of itself: database, readers of the feed, files."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scheduler.control.health import HealthWatch, Lag, Watched
from scheduler.metrics import Metrics
from scheduler.store.vitals import Vitals

TLS = Path(__file__).parents[2] / "data/tls"


class Store:
    """A database that answers what it is told to, or fails, or hangs until it is let go."""

    def __init__(self) -> None:
        self.vitals = Vitals(0, "", None)
        self.error: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.asked = 0

    async def read(self, call: Callable[[Any], Any]) -> Vitals:
        self.asked += 1
        await self.free.wait()
        if self.error is not None:
            raise self.error
        return self.vitals


class World:
    """A watch over a made-up process; ``at_s`` is its clock."""

    def __init__(self, tmp_path: Path) -> None:
        self.store, self.metrics = Store(), Metrics()
        self.at_s, self.wall_ms = 100.0, 1_000_000
        self.position: int | None = 0
        self.filed: set[str] = set()
        watched = Watched(
            readers={"planner": lambda: self.position},
            certificates={},
            data_dir=tmp_path,
            is_filed=lambda day: day in self.filed,
        )
        store: Any = self.store
        self.watch = HealthWatch(
            store, self.metrics.health, watched, lambda: self.wall_ms, 1.0, lambda: self.at_s, 0.01
        )

    def value(self, name: str, **labels: str) -> float | None:
        """A sample of the metrics."""
        return self.metrics.registry.get_sample_value(f"corridor_{name}", labels)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_database_that_fails_is_away_and_comes_back(world: World) -> None:
    await world.watch.once()
    assert world.value("database_up") == 1
    world.store.error = OSError("no route")
    await world.watch.once()
    assert world.value("database_up") == 0
    world.store.error = None
    await world.watch.once()
    assert world.value("database_up") == 1
    assert world.value("database_seconds_count") == 2


async def test_a_database_that_hangs_is_asked_once_and_is_away_meanwhile(world: World) -> None:
    world.store.free.clear()
    await world.watch.once()
    await world.watch.once()
    assert (world.value("database_up"), world.store.asked) == (0, 1)
    world.store.free.set()
    await world.watch.once()
    assert (world.value("database_up"), world.store.asked) == (1, 1)
    await world.watch.once()
    assert world.store.asked == 2


async def test_the_databases_clock_is_compared_with_ours(world: World) -> None:
    world.store.vitals = Vitals(0, "", world.wall_ms + 1_500)
    await world.watch.once()
    assert world.value("database_clock_skew_seconds") == 1.5


async def test_a_reader_is_behind_from_when_what_it_lacks_was_seen(world: World) -> None:
    world.store.vitals = Vitals(7, "", None)
    world.position = 7
    await world.watch.once()
    assert world.value("reader_behind_seconds", reader="planner") == 0
    for at_s, head, position, behind in (
        (110, 9, 7, 0), (120, 12, 7, 10), (130, 12, 9, 10), (140, 20, 12, 0), (150, 20, 20, 0),
    ):  # fmt: skip
        world.at_s, world.position = at_s, position
        world.store.vitals = Vitals(head, "", None)
        await world.watch.once()
        assert world.value("reader_behind_seconds", reader="planner") == behind
    world.position = None
    await world.watch.once()
    assert world.value("reader_behind_seconds", reader="planner") is None


def test_a_lag_forgets_a_reader_that_is_gone() -> None:
    lag = Lag()
    assert lag.note(0, 5, 0) == 0
    assert lag.note(3, 5, 0) == 3
    lag.forget()
    assert lag.note(9, 5, 0) == 0


async def test_space_and_certificates_are_looked_at(world: World, tmp_path: Path) -> None:
    from cryptography import x509

    pems = [file.read_bytes() for file in sorted(TLS.glob("*.pem")) if "key" not in file.name]
    one = x509.load_pem_x509_certificate(pems[0])
    (tmp_path / "cert.pem").write_bytes(pems[0])
    world.watch.watched = Watched({}, {"server": tmp_path / "cert.pem"}, tmp_path, lambda day: True)
    await world.watch.once()
    name = "certificate_not_after_timestamp_seconds"
    assert world.value(name, certificate="server") == one.not_valid_after_utc.timestamp()
    free, size = world.value("data_dir_free_bytes"), world.value("data_dir_size_bytes")
    assert free is not None
    assert size is not None
    assert 0 < free <= size


async def test_a_digest_that_lies_in_no_file_is_told(world: World) -> None:
    world.store.vitals = Vitals(0, "2026-03-01", None)
    await world.watch.once()
    assert world.value("ledger_digest_unfiled") == 1
    world.filed.add("2026-03-01")
    await world.watch.once()
    assert world.value("ledger_digest_unfiled") == 0


async def test_it_looks_again_and_again_until_it_is_stopped(world: World) -> None:
    seen = asyncio.Event()
    world.watch.every_s = 0

    def position() -> int:
        if world.store.asked > 3:
            seen.set()
        return 0

    world.watch.watched = Watched({"planner": position}, {}, world.watch.watched.data_dir, bool)
    world.watch.start()
    async with asyncio.timeout(30):
        await seen.wait()
    world.store.free.clear()
    await world.watch.stop()
    asked = world.store.asked
    await asyncio.sleep(0)
    assert world.store.asked == asked
