"""Looks at one center before it is relied on: does it answer, and is it what its settings say?

``inspect`` works with every adapter, through the calls of the contract that change nothing. An
adapter that can tell more offers ``check`` (``Checkable``): its endpoint, until when its
credentials last, partitions or pools that are missing, rights that it lacks, the center's clock.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar, runtime_checkable

from adapters.contract import CenterAdapter, CenterDescription, FlavorCapacity
from adapters.errors import AdapterError, Unauthorized

T = TypeVar("T")


class Level(StrEnum):
    """How much a finding matters: an ERROR keeps runs from working, a WARNING may do so."""

    OK = "OK"
    NOTE = "NOTE"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Topic(StrEnum):
    """What a finding is about."""

    SETTINGS = "SETTINGS"
    ENDPOINT = "ENDPOINT"
    API = "API"
    CREDENTIALS = "CREDENTIALS"
    CLOCK = "CLOCK"
    FLAVOR = "FLAVOR"
    LIMIT = "LIMIT"
    CAPABILITY = "CAPABILITY"
    RUNS = "RUNS"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: what is so, in one line, and what to do about it unless it is well.

    Neither ever holds a secret.
    """

    level: Level
    topic: Topic
    what: str
    to_do: str = ""


@runtime_checkable
class Checkable(Protocol):
    """An adapter that can say more of its center than the contract asks for."""

    async def check(self) -> Sequence[Finding]:
        """Look closely, changing nothing; what is wrong is a finding and never raised.

        It is called once ``describe`` was answered, or was not.
        """
        ...


@dataclass(slots=True)
class Inspection:
    """What was found; ``description`` None if the center did not describe itself."""

    description: CenterDescription | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing keeps runs from working."""
        return not any(one.level is Level.ERROR for one in self.findings)

    def add(self, level: Level, topic: Topic, what: str, to_do: str = "") -> None:
        """Note a finding."""
        self.findings.append(Finding(level, topic, what, to_do))


async def inspect(
    adapter: CenterAdapter, declared: Sequence[FlavorCapacity], timeout_s: float
) -> Inspection:
    """Look at a center through its adapter; ``declared`` is what our own file says of its flavors.

    Each call may take ``timeout_s`` real seconds. Raises nothing but cancellation.
    """
    found = Inspection()
    began_s = time.monotonic()
    found.description = await _asked(found, "describe", adapter.describe, timeout_s)
    if found.description is not None:
        took_ms = (time.monotonic() - began_s) * 1000
        found.add(Level.OK, Topic.ENDPOINT, f"answered within {took_ms:.0f} ms")
        await _look_inside(found, adapter, found.description, declared, timeout_s)
    if isinstance(adapter, Checkable):
        own = await _asked(found, "check", adapter.check, timeout_s)
        found.findings += own or ()
    return found


async def _look_inside(
    found: Inspection,
    adapter: CenterAdapter,
    said: CenterDescription,
    declared: Sequence[FlavorCapacity],
    timeout_s: float,
) -> None:
    health = await _asked(found, "health", adapter.health, timeout_s)
    if health is not None and not health.ok:
        found.add(
            Level.ERROR, Topic.ENDPOINT, f"is not well: {health.detail}", "ask the center's people"
        )
    compare(found, declared, said.flavors)
    page = await _asked(found, "list_active", adapter.list_active, timeout_s)
    if page is not None:
        more = " or more" if page.next_token else ""
        found.add(
            Level.OK, Topic.RUNS, f"{len(page.observations)}{more} active runs carry our mark"
        )
    kept = "an acceptance holds at once"
    if adapter.provisional_s:
        kept = f"an acceptance may be forgotten within {adapter.provisional_s:g} s"
    absent = f"a run not found for {adapter.settle_s:g} s is absent"
    found.add(Level.OK, Topic.LIMIT, f"{absent}, {kept}")


async def _asked(
    found: Inspection, what: str, call: Callable[[], Awaitable[T]], timeout_s: float
) -> T | None:
    """Make a call; a failure is a finding, with what to do about its class."""
    try:
        async with asyncio.timeout(timeout_s):
            return await call()
    except TimeoutError:
        found.add(
            Level.ERROR,
            Topic.ENDPOINT,
            f"{what}: no answer within {timeout_s:g} s",
            "look at the address, the network between here and there, and the center itself",
        )
    except Unauthorized as error:
        found.add(
            Level.ERROR,
            Topic.CREDENTIALS,
            f"{what}: the center refuses who we are: {error}",
            "renew what the settings refer to, and ask the center for the rights of its user",
        )
    except AdapterError as error:
        found.add(
            Level.ERROR,
            Topic.ENDPOINT,
            f"{what}: {type(error).__name__}: {error}",
            "look at the address, the CA file, the network, and the center itself",
        )
    except Exception as error:  # an adapter raises nothing else; if it does, it is told here
        found.add(
            Level.ERROR,
            Topic.API,
            f"{what}: the adapter failed: {type(error).__name__}: {error}",
            "tell whoever wrote the adapter",
        )
    return None


def compare(
    found: Inspection, declared: Sequence[FlavorCapacity], offered: Sequence[FlavorCapacity]
) -> None:
    """Note where what the center offers is not what our file says."""
    there = {one.flavor: one for one in offered}
    for ours in declared:
        theirs = there.pop(ours.flavor, None)
        if theirs is None:
            found.add(
                Level.ERROR,
                Topic.FLAVOR,
                f"{ours.flavor}: the center does not offer it",
                "name its partition or pool in the settings, or take it out of the file",
            )
        else:
            _compare(found, ours, theirs)
    for flavor in sorted(there):
        found.add(
            Level.NOTE,
            Topic.FLAVOR,
            f"{flavor}: is offered and not in the file",
            "add it to the flavors of this center if it is to be used",
        )


def _compare(found: Inspection, ours: FlavorCapacity, theirs: FlavorCapacity) -> None:
    name = ours.flavor
    if ours.architecture != theirs.architecture:
        found.add(
            Level.ERROR,
            Topic.FLAVOR,
            f"{name}: declared {ours.architecture}, found {theirs.architecture}",
            "set its architecture as it is: images are chosen by it",
        )
    if ours.units_per_node > theirs.units_per_node:
        found.add(
            Level.ERROR,
            Topic.FLAVOR,
            f"{name}: {ours.units_per_node} units on a node declared,"
            f" {theirs.units_per_node} found",
            "lower units_per_node: jobs of more would be taken and never run",
        )
    level = Level.OK if theirs.units >= ours.units else Level.WARNING
    to_do = "" if level is Level.OK else "ask where the rest is; until then the less counts"
    more = [f"{ours.units} units declared, {theirs.units} found"]
    if theirs.used_units is not None:
        more.append(f"{theirs.used_units} of them in use by all")
    if theirs.waiting_runs is not None:
        more.append(f"{theirs.waiting_runs} runs wait there")
    found.add(level, Topic.FLAVOR, f"{name}: {', '.join(more)}", to_do)
