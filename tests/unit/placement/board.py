"""A small corridor on which placement's rules are shown one by one."""

from collections.abc import Sequence

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    Plan,
    PolicySettings,
    PoolSet,
    RunEnded,
)

HOUR_MS = 3_600_000
#: Enterprise to city.
MEMBERS = {"e1": "ezhou", "w1": "wuhan", "w2": "wuhan"}


class Board:
    """A planner with one pool ``a`` of 10 units, half of it wuhan's and half of it ezhou's."""

    def __init__(
        self, *more: Delta, policy: PolicySettings = CORRIDOR, units: int = 10, at_ms: int = 0
    ) -> None:
        self.core = PlanningCore(policy)
        self.now_ms, self._revision = at_ms, 0
        told: list[Delta] = [CitySet("ezhou", 1), CitySet("wuhan", 1)]
        told += [EnterpriseSet(name, city) for name, city in MEMBERS.items()]
        told.append(PoolSet("a", "c", units))
        told += [CityQuotaSet(city, "a", units // 2) for city in ("ezhou", "wuhan")]
        self.core.load(0, [*told, *more], at_ms)

    def plan(self, *deltas: Delta, after_ms: int = 0) -> Plan:
        """Plan some time later, with what happened."""
        self.now_ms += after_ms
        self._revision += 1
        return self.core.cycle(self._revision - 1, deltas, self._revision, self.now_ms)

    def job(
        self, uid: int, member: str, units: int, *, wall_h: float = 1.0, waited_h: float = 0.0,
        priority: int = 0, flavors: Sequence[str] = ("a",),
    ) -> JobQueued:  # fmt: skip
        """A job that has waited for some time."""
        wall_ms = round(wall_h * HOUR_MS)
        options = tuple(Option(flavor, units, 1, wall_ms) for flavor in flavors)
        queued_ms = self.now_ms - round(waited_h * HOUR_MS)
        return JobQueued(uid, MEMBERS[member], member, priority, queued_ms, options)


def started(plan: Plan) -> list[int]:
    """The jobs that a plan starts."""
    return [start.uid for start in plan.starts]


def promised(plan: Plan) -> dict[str, int]:
    """Which job each flavor is promised to."""
    return {one.flavor: one.uid for one in plan.reservations}


def ended(uid: int, used_h: float = 1.0) -> RunEnded:
    """A run ended."""
    return RunEnded(uid, round(used_h * HOUR_MS))
