"""Looking at a center: what is compared, and what each failure becomes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from adapters.checking import Finding, Inspection, Level, Topic, compare, inspect
from adapters.contract import CenterDescription, FlavorCapacity, Health, Page
from adapters.errors import AdapterError, Throttled, Unauthorized, Unavailable
from adapters.simulated import SimulatedCenter, open_center

CARD = FlavorCapacity("a/card", 24, 8, "aarch64")
FLAVOR = {"flavor": "a/card", "units": 24, "units_per_node": 8, "architecture": "aarch64"}


def opened(**settings: object) -> SimulatedCenter:
    return open_center("a", {"flavors": [FLAVOR], **settings}, lambda: 1_000, float)


async def look(adapter: SimulatedCenter, *declared: FlavorCapacity) -> Inspection:
    return await inspect(adapter, declared or (CARD,), 5.0)


def compared(ours: FlavorCapacity, *theirs: FlavorCapacity) -> list[Finding]:
    found = Inspection()
    compare(found, [ours], theirs)
    return found.findings


def texts(found: Sequence[Finding]) -> str:
    return "\n".join(f"{one.level} {one.topic} {one.what}" for one in found)


async def test_a_center_that_is_as_declared_is_well() -> None:
    found = await look(opened())
    assert found.ok
    assert found.description is not None
    assert found.description.kind == "simulated"
    said = texts(found.findings)
    assert "OK ENDPOINT answered within" in said
    assert "OK FLAVOR a/card: 24 units declared, 24 found, 0 of them in use by all" in said
    assert "OK RUNS 0 active runs carry our mark" in said
    assert "NOTE API is simulated: nothing is computed here" in said
    assert "misbehaves" not in said


async def test_a_simulated_center_tells_how_it_misbehaves() -> None:
    found = await look(opened(lost_answer_rate=0.1, failure_rates={"NODE": 0.5}, outages=[[9, 10]]))
    assert "misbehaves as it is set to: lost_answer_rate 0.1, NODE 0.5, 1 outages" in texts(
        found.findings
    )
    assert found.ok


@pytest.mark.parametrize(
    ("theirs", "level", "what"),
    [
        (replace(CARD, units=20), Level.WARNING, "24 units declared, 20 found"),
        (replace(CARD, units=32, used_units=3, waiting_runs=2), Level.OK,
         "24 units declared, 32 found, 3 of them in use by all, 2 runs wait there"),
        (replace(CARD, units_per_node=4), Level.ERROR, "8 units on a node declared, 4 found"),
        (replace(CARD, architecture="x86_64"), Level.ERROR, "declared aarch64, found x86_64"),
    ],
)  # fmt: skip
def test_each_difference_is_told(theirs: FlavorCapacity, level: Level, what: str) -> None:
    [told] = [one for one in compared(CARD, theirs) if what in one.what]
    assert (told.level, told.topic) == (level, Topic.FLAVOR)
    assert bool(told.to_do) == (level is not Level.OK)


def test_flavors_on_one_side_only_are_told() -> None:
    other = replace(CARD, flavor="a/other")
    missing, more = compared(CARD, other)
    assert (missing.level, missing.what) == (Level.ERROR, "a/card: the center does not offer it")
    assert (more.level, more.what) == (Level.NOTE, "a/other: is offered and not in the file")


class Failing(SimulatedCenter):
    """Raises what it is told to, wherever it is told to."""

    wrong: Callable[[], Awaitable[object]]
    where = "describe"

    async def describe(self) -> CenterDescription:
        if self.where == "describe":
            await self.wrong()
        return await super().describe()

    async def list_active(self, page_token: str = "") -> Page:
        if self.where == "list_active":
            await self.wrong()
        return await super().list_active(page_token)

    async def check(self) -> tuple[Finding, ...]:
        if self.where == "check":
            await self.wrong()
        return ()

    async def health(self) -> Health:
        return Health(self.where != "health", "partition down")


def failing(error: Exception | None, where: str = "describe") -> Failing:
    sound = opened()
    made = Failing(sound.settings, lambda: 1_000, float)

    async def wrong() -> None:
        if error is None:
            await asyncio.Event().wait()
        else:
            raise error

    made.wrong, made.where = wrong, where
    return made


@pytest.mark.parametrize(
    ("error", "topic", "what"),
    [
        (Unauthorized("token expired"), Topic.CREDENTIALS, "refuses who we are: token expired"),
        (Unavailable("no route"), Topic.ENDPOINT, "describe: Unavailable: no route"),
        (Throttled("slowly", 2.0), Topic.ENDPOINT, "describe: Throttled: slowly"),
        (KeyError("units"), Topic.API, "the adapter failed: KeyError: 'units'"),
    ],
)
async def test_each_class_of_failure_says_what_to_do(
    error: Exception, topic: Topic, what: str
) -> None:
    found = await look(failing(error))
    assert found.description is None
    assert not found.ok
    [told] = found.findings
    assert (told.level, told.topic) == (Level.ERROR, topic)
    assert what in told.what
    assert told.to_do


async def test_a_center_that_hangs_is_given_up() -> None:
    found = await inspect(failing(None), [CARD], 0.01)
    assert "describe: no answer within 0.01 s" in texts(found.findings)


@pytest.mark.parametrize("where", ["list_active", "check"])
async def test_what_fails_later_leaves_the_rest_standing(where: str) -> None:
    found = await look(failing(AdapterError("no right to list"), where))
    assert "OK FLAVOR a/card" in texts(found.findings)
    assert f"ERROR ENDPOINT {where}: AdapterError: no right to list" in texts(found.findings)
    assert not found.ok


async def test_ill_health_is_an_error() -> None:
    found = await look(failing(None, "health"))
    assert "ERROR ENDPOINT is not well: partition down" in texts(found.findings)
