"""The gate before a center: rate limit and circuit breaker on a hand-moved clock."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from adapters.contract import CenterDescription, RunRequest, boot_s
from adapters.errors import OutcomeUnknown, Rejected, Throttled, Unauthorized, Unavailable
from adapters.gate import Gate, GateSettings
from adapters.simulated import SimulatedCenter, SimulatedSettings
from tests.refs import ref, refs

FLAVOR = {"flavor": "f", "units": 8, "units_per_node": 8, "architecture": "aarch64"}


class Scripted(SimulatedCenter):
    """A center whose ``describe`` raises what the test wants, and counts its calls."""

    def __init__(self) -> None:
        settings = SimulatedSettings.parse("wuhan-ai", {"flavors": [FLAVOR]})
        super().__init__(settings, lambda: 0, lambda ms: ms / 1000)
        self.error: BaseException | None = None
        self.calls = 0
        self.held: asyncio.Event | None = None

    async def describe(self) -> CenterDescription:
        self.calls += 1
        if self.held is not None:
            await self.held.wait()
        if self.error is not None:
            raise self.error
        return await super().describe()


class Bench:
    """A gate before a scripted center."""

    def __init__(self, **settings: float) -> None:
        self.now_s = 100.0
        self.center = Scripted()
        self.counted: list[tuple[str, str, float]] = []
        self.gate = Gate(
            self.center,
            GateSettings(**settings),  # type: ignore[arg-type]
            lambda: self.now_s,
            lambda *call: self.counted.append(call),
        )

    async def outcome(self, error: BaseException | None = None) -> str:
        """Call once, the center answering with ``error``; the class of what came of it."""
        self.center.error = error
        try:
            await self.gate.describe()
        except Exception as raised:
            return type(raised).__name__
        return ""


async def test_calls_are_held_to_the_rate() -> None:
    bench = Bench(calls_per_s=2, burst=3)
    assert [await bench.outcome() for _ in range(4)] == ["", "", "", "Throttled"]
    assert bench.center.calls == 3
    with pytest.raises(Throttled) as caught:
        await bench.gate.describe()
    assert caught.value.retry_after_s == pytest.approx(0.5)
    bench.now_s += caught.value.retry_after_s
    assert [await bench.outcome() for _ in range(2)] == ["", "Throttled"]
    bench.now_s += 1000  # tokens never pile up beyond the burst
    assert [await bench.outcome() for _ in range(4)] == ["", "", "", "Throttled"]


async def test_a_center_that_asks_for_quiet_gets_it() -> None:
    bench = Bench()
    assert await bench.outcome(Throttled("slow down", 5)) == "Throttled"
    bench.now_s += 4.9
    assert await bench.outcome() == "Throttled"
    assert bench.center.calls == 1
    bench.now_s += 0.1
    assert await bench.outcome() == ""


async def test_the_breaker_opens_after_unanswered_calls_in_a_row() -> None:
    bench = Bench(failures_max=3, pause_s=10)
    for error in (Unavailable("away"), OutcomeUnknown("lost")):
        await bench.outcome(error)
    assert await bench.outcome() == ""  # an answer in between starts the count anew
    for error in (Unavailable("away"), OutcomeUnknown("lost"), Unavailable("away")):
        await bench.outcome(error)
    assert bench.center.calls == 6
    with pytest.raises(Unavailable, match=r"3 calls in a row .* in 10\.0 s"):
        await bench.gate.describe()
    assert not (await bench.gate.health()).ok
    assert bench.center.calls == 6


async def test_a_probe_decides_whether_the_breaker_closes() -> None:
    bench = Bench(failures_max=1, pause_s=10)
    await bench.outcome(Unavailable("away"))
    bench.now_s += 10
    assert await bench.outcome(Unavailable("still away")) == "Unavailable"
    assert bench.center.calls == 2
    bench.now_s += 9.9
    assert await bench.outcome() == "Unavailable"
    assert bench.center.calls == 2
    bench.now_s += 0.1
    assert await bench.outcome() == ""
    assert await bench.outcome() == ""
    assert bench.gate.breaker.is_closed


async def test_only_one_probe_at_a_time() -> None:
    bench = Bench(failures_max=1, pause_s=10)
    await bench.outcome(Unavailable("away"))
    bench.now_s += 10
    bench.center.held, bench.center.error = asyncio.Event(), None
    probe = asyncio.ensure_future(bench.gate.describe())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="an attempt is under way"):
        await bench.gate.describe()
    bench.center.held.set()
    await probe
    assert await bench.outcome() == ""


async def test_a_probe_given_up_makes_way_for_the_next() -> None:
    bench = Bench(failures_max=1, pause_s=10)
    await bench.outcome(Unavailable("away"))
    bench.now_s += 10
    bench.center.held = asyncio.Event()
    probe = asyncio.ensure_future(bench.gate.describe())
    await asyncio.sleep(0)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert not bench.gate.breaker.is_closed
    bench.center.held = None
    assert await bench.outcome() == ""


async def under_way(bench: Bench, calls: int) -> list[asyncio.Task[str]]:
    """Calls that the center holds back; those for which there is room have reached it."""
    bench.center.held = asyncio.Event()
    tasks = [asyncio.create_task(bench.outcome()) for _ in range(calls)]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


async def test_no_more_calls_at_once_than_agreed_and_the_others_wait() -> None:
    bench = Bench(concurrency_max=3)
    tasks = await under_way(bench, 8)
    assert bench.center.calls == 3
    tasks[0].cancel()  # who gives up makes room
    for _ in range(20):
        await asyncio.sleep(0)
    assert bench.center.calls == 4
    assert bench.center.held is not None
    bench.center.held.set()
    assert await asyncio.gather(*tasks[1:]) == [""] * 7
    bench.center.error = Unavailable("away")
    for _ in range(9):  # nor is room lost with calls that fail, or that the gate refuses
        await bench.outcome(Unavailable("away"))
    bench.now_s += 10
    await bench.outcome()
    tasks = await under_way(bench, 8)
    assert bench.center.calls == 8 + 5 + 1 + 3
    bench.center.held.set()
    await asyncio.gather(*tasks)


async def test_who_waited_while_the_breaker_opened_does_not_call() -> None:
    bench = Bench(concurrency_max=1, failures_max=1)
    tasks = await under_way(bench, 5)
    bench.center.error = Unavailable("away")
    assert bench.center.held is not None
    bench.center.held.set()
    assert await asyncio.gather(*tasks) == ["Unavailable"] * 5
    assert bench.center.calls == 1


async def test_of_many_that_wait_one_alone_probes() -> None:
    bench = Bench(concurrency_max=4, failures_max=1)
    await bench.outcome(Unavailable("away"))
    bench.now_s += 10
    tasks = await under_way(bench, 8)
    assert bench.center.calls == 2
    assert bench.center.held is not None
    bench.center.held.set()
    assert sorted(await asyncio.gather(*tasks)) == [""] + ["Unavailable"] * 7


async def test_a_request_that_is_late_does_not_reach_the_center(
    run: Callable[..., RunRequest],
) -> None:
    bench = Bench(failures_max=1)
    late = replace(run(), send_by_s=boot_s())
    with pytest.raises(Unavailable, match="another leader"):
        await bench.gate.submit(late)
    assert await bench.gate.find([late.ref]) == {}, "that is no failure of the center"
    in_time = replace(late, flavor="f", send_by_s=boot_s() + 1_000)
    assert (await bench.gate.submit(in_time)).native_id


async def test_a_late_answer_does_not_close_an_open_breaker() -> None:
    bench = Bench(failures_max=1, pause_s=10)
    bench.center.held = asyncio.Event()
    late = asyncio.ensure_future(bench.gate.describe())
    await asyncio.sleep(0)
    held, bench.center.held = bench.center.held, None
    await bench.outcome(Unavailable("away"))
    bench.center.error = None
    held.set()
    await late
    assert not bench.gate.breaker.is_closed


@pytest.mark.parametrize(
    "error",
    [Throttled("slow down", 0), Rejected("no", "TOO_LARGE"), Unauthorized("who"), KeyError("bug")],
)
async def test_a_center_that_answers_is_well(error: Exception) -> None:
    bench = Bench(failures_max=1)
    for _ in range(3):
        assert await bench.outcome(error) == type(error).__name__
    assert bench.center.calls == 3


async def test_every_call_is_counted_with_its_error() -> None:
    bench = Bench(calls_per_s=1, burst=2, failures_max=1)
    await bench.outcome()
    await bench.outcome(Unavailable("away"))
    await bench.outcome()
    await bench.gate.health()
    bench.now_s += 10
    await bench.outcome()
    await bench.outcome()
    await bench.outcome()
    assert bench.counted == [
        ("describe", "", 0.0),
        ("describe", "Unavailable", 0.0),
        ("describe", "Unavailable", 0.0),
        ("describe", "", 0.0),
        ("describe", "", 0.0),
        ("describe", "Throttled", 0.0),
    ]


async def test_the_gate_takes_no_probe_without_a_token() -> None:
    bench = Bench(calls_per_s=0.01, burst=1, failures_max=1, pause_s=10)
    await bench.outcome(Unavailable("away"))
    bench.now_s += 10
    assert await bench.outcome() == "Throttled"
    bench.now_s += 90
    assert await bench.outcome() == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("calls_per_s", -1),
        ("burst", 0),
        ("failures_max", -1),
        ("pause_s", 0),
        ("concurrency_max", -1),
    ],
)
def test_a_wrong_setting_is_named(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=key):
        Bench(**{key: value})


async def test_the_gate_passes_everything_through(run: Callable[..., RunRequest]) -> None:
    bench = Bench()
    with pytest.raises(Rejected, match="no flavor"):
        await bench.gate.submit(run())
    assert (await bench.gate.list_active()).observations == ()
    assert await bench.gate.find(refs("j1.1")) == {}
    assert await bench.gate.usage(refs("j1.1")) == {}
    assert not await bench.gate.wait_for_change(0)
    assert (await bench.gate.health()).ok
    assert bench.gate.settle_s == bench.center.settle_s
    await bench.gate.cancel(ref("j1.1"))
    with pytest.raises(Rejected, match="knows no run"):
        await bench.gate.logs(ref("j1.1"), 0, 1)
    await bench.gate.close()
