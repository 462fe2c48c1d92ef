"""What a what-if is played on: what came, how long it really ran, and what things cost today."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from quota.charges import Source
from quota.rules import Applicant, Rule
from scheduler.placement.model import Delta, Option, PolicySettings, PoolSet
from scheduler.replay.lives import Life, Stay

#: A job is wide if it asks for this part of its flavor or more.
WIDE_PART: Final = 16


@dataclass(frozen=True, slots=True)
class Prices:
    """Present prices in micro-fen per unit-second, the rules in force, and who may have what.

    ``domestic`` are flavors of domestic make, ``centers`` where each flavor is. ``own`` are the
    vouchers and grants that are valid today by (enterprise, programme), ``left`` what each account
    of them had when the span began: fen, or unit-seconds of grants.
    """

    by_flavor: Mapping[str, int] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    applicants: Mapping[str, Applicant] = field(default_factory=dict)
    domestic: frozenset[str] = frozenset()
    centers: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[tuple[str, str], tuple[Source, ...]] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """The jobs of a span [from_ms, to_ms) and the present settings.

    ``settings`` are the deltas of a snapshot without runs and jobs. ``lives`` has the jobs that
    were open in the span; waits are told of those submitted in it. ``real`` are the runs that there
    really were, of ``lives`` by place; empty if that is not known. ``estimated`` are the places of
    jobs whose run time had to be estimated since they have not ended.
    """

    settings: tuple[Delta, ...]
    lives: tuple[Life, ...]
    from_ms: int
    to_ms: int
    policy: PolicySettings
    prices: Prices = field(default_factory=Prices)
    real: tuple[Stay, ...] = ()
    estimated: frozenset[int] = frozenset()
    left_out: Mapping[str, int] = field(default_factory=dict)

    def counts(self, city: str | None) -> tuple[int, int]:
        """Return (jobs, estimated of these) of a city; None for all."""
        places = [
            place for place, life in enumerate(self.lives) if city in (None, life.queued.city)
        ]
        return len(places), sum(place in self.estimated for place in places)

    def capacities(self) -> dict[str, int]:
        """Return what is granted of each flavor today."""
        return {one.flavor: one.capacity_units for one in self.settings if isinstance(one, PoolSet)}


def is_wide(option: Option, capacities: Mapping[str, int]) -> bool:
    """Whether an option asks for a sixteenth of its flavor or more, by the capacity of today.

    So that the same jobs are wide in every scenario.
    """
    capacity = capacities.get(option.flavor)
    return capacity is not None and option.units * WIDE_PART >= capacity
