"""Scenarios of a what-if: what is changed, put into what the planner is told.

A scenario changes limits of cities, caps of enterprises, capacity and reclaim of flavors, and the
ageing of the policy. What it does not name stays as it is today.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from scheduler.placement.model import (
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseQuotaSet,
    EnterpriseSet,
    PolicySettings,
    PoolSet,
    ReclaimSet,
)

#: What is asked of the present settings, and what really happened: shown beside every scenario.
TODAY: Final = "today"
HISTORY: Final = "history"
#: Stands for all cities that the asker may not see.
OTHERS: Final = "others"
SCENARIOS_MAX: Final = 8
NAME_MAX: Final = 64
UNITS_MAX: Final = 1 << 40
RECLAIM_MODES: Final = ("churn", "lease", "evict")
#: A limit that stays as it is; None is no limit.
KEEP: Final = -1


class BadScenario(Exception):
    """A scenario cannot be played; ``where`` is the field in it, ``what`` says why."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where, self.what = where, what


class CityChange(NamedTuple):
    """New limits of (city, flavor); ``KEEP`` for those that stay, None for no limit."""

    city: str
    flavor: str
    nominal: int = KEEP
    borrow: int | None = KEEP
    lend: int | None = KEEP


class CapChange(NamedTuple):
    """A new cap of (enterprise, flavor); None for none."""

    enterprise: str
    flavor: str
    cap: int | None


class FlavorChange(NamedTuple):
    """New capacity and reclaim of a flavor; ``KEEP`` or empty for what stays."""

    flavor: str
    capacity: int = KEEP
    reclaim: str = ""
    lease_ms: int = KEEP


class PolicyChange(NamedTuple):
    """New times of the order, in milliseconds; ``KEEP`` for those that stay."""

    ageing_ms: int = KEEP
    starving_ms: int = KEEP
    half_life_ms: int = KEEP


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name and what is changed."""

    name: str
    cities: tuple[CityChange, ...] = ()
    caps: tuple[CapChange, ...] = ()
    flavors: tuple[FlavorChange, ...] = ()
    policy: PolicyChange = field(default_factory=PolicyChange)

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return not (self.cities or self.caps or self.flavors) and self.policy == PolicyChange()


def check(scenarios: Sequence[Scenario]) -> list[BadScenario]:
    """Return what is wrong with scenarios by themselves; fields as ``scenarios[0].name``."""
    if not 1 <= len(scenarios) <= SCENARIOS_MAX:
        return [BadScenario("scenarios", f"give 1..{SCENARIOS_MAX}, not {len(scenarios)}")]
    wrong: list[BadScenario] = []
    names: set[str] = set()
    for number, one in enumerate(scenarios):
        where = f"scenarios[{number}]"
        name = one.name
        if not name.strip() or len(name) > NAME_MAX or not name.isprintable():
            wrong.append(BadScenario(f"{where}.name", f"give 1..{NAME_MAX} printable characters"))
        elif name in (TODAY, HISTORY):
            wrong.append(BadScenario(f"{where}.name", f"{name!r} is always shown; use another"))
        elif name in names:
            wrong.append(BadScenario(f"{where}.name", f"{name!r} is there twice"))
        names.add(name)
        if one.is_empty:
            wrong.append(BadScenario(where, "changes nothing"))
        wrong += [BadScenario(f"{where}.{bad.where}", bad.what) for bad in _fields(one)]
    return wrong


def _fields(one: Scenario) -> list[BadScenario]:
    wrong: list[BadScenario] = []
    seen: set[tuple[str, str]] = set()
    for number, city in enumerate(one.cities):
        where = f"cities[{number}]"
        for name, units in (
            ("nominal", city.nominal), ("borrow_limit", city.borrow), ("lend_limit", city.lend),
        ):  # fmt: skip
            wrong += _units(f"{where}.{name}", units)
        wrong += _once(where, seen, (f"cities/{city.city}", city.flavor))
    for number, cap in enumerate(one.caps):
        wrong += _units(f"enterprises[{number}].cap", cap.cap)
        wrong += _once(
            f"enterprises[{number}]", seen, (f"enterprises/{cap.enterprise}", cap.flavor)
        )
    for number, flavor in enumerate(one.flavors):
        where = f"flavors[{number}]"
        wrong += _units(f"{where}.capacity", flavor.capacity)
        wrong += _once(where, seen, ("flavors", flavor.flavor))
        if flavor.reclaim and flavor.reclaim not in RECLAIM_MODES:
            known = ", ".join(RECLAIM_MODES)
            wrong.append(BadScenario(f"{where}.reclaim", f"{flavor.reclaim!r} is none of {known}"))
        wrong += _span(f"{where}.lease", flavor.lease_ms)
    for name, span_ms in zip(PolicyChange._fields, one.policy, strict=True):
        wrong += _span(f"policy.{name.removesuffix('_ms')}", span_ms)
    if one.policy.half_life_ms == 0:
        wrong.append(BadScenario("policy.half_life", "must be above 0"))
    return wrong


def _units(where: str, units: int | None) -> list[BadScenario]:
    if units is None or units == KEEP or 0 <= units <= UNITS_MAX:
        return []
    return [BadScenario(where, f"must be 0..{UNITS_MAX}, not {units}")]


def _span(where: str, span_ms: int) -> list[BadScenario]:
    most_ms = 366 * 86_400_000
    if span_ms == KEEP or 0 <= span_ms <= most_ms:
        return []
    return [BadScenario(where, "must be 0..366 days")]


def _once(where: str, seen: set[tuple[str, str]], key: tuple[str, str]) -> list[BadScenario]:
    if key in seen:
        return [BadScenario(where, f"{' '.join(key)} is there twice")]
    seen.add(key)
    return []


# --- what the planner is told ---------------------------------------------------------------------


def policy_of(policy: PolicySettings, change: PolicyChange) -> PolicySettings:
    """Return the policy with what a scenario changes of it."""
    return replace(
        policy,
        ageing_ms=_kept(change.ageing_ms, policy.ageing_ms),
        starving_ms=_kept(change.starving_ms, policy.starving_ms),
        usage_half_life_ms=_kept(change.half_life_ms, policy.usage_half_life_ms),
    )


def _kept(new: int, old: int) -> int:
    return old if new == KEEP else new


def apply(settings: Sequence[Delta], scenario: Scenario) -> list[Delta]:
    """Return the settings with what a scenario changes.

    A lend limit above nominal lends all. Raises ``BadScenario`` for a city, enterprise or flavor
    that is not there, and for guarantees that come to more than there is.
    """
    told = _Told(settings)
    for number, city in enumerate(scenario.cities):
        told.city(f"cities[{number}]", city)
    for number, cap in enumerate(scenario.caps):
        told.cap(f"enterprises[{number}]", cap)
    for number, flavor in enumerate(scenario.flavors):
        told.flavor(f"flavors[{number}]", flavor)
    told.check(scenario)
    return told.deltas()


class _Told:
    """The settings by what they are about, in the order in which they are told."""

    def __init__(self, settings: Sequence[Delta]) -> None:
        self._others = [
            one
            for one in settings
            if not isinstance(one, CityQuotaSet | EnterpriseQuotaSet | PoolSet | ReclaimSet)
        ]
        self._pools = {one.flavor: one for one in settings if isinstance(one, PoolSet)}
        self._reclaim = {one.flavor: one for one in settings if isinstance(one, ReclaimSet)}
        self._quotas = {
            (one.city, one.flavor): one for one in settings if isinstance(one, CityQuotaSet)
        }
        self._caps = {
            (one.enterprise, one.flavor): one
            for one in settings
            if isinstance(one, EnterpriseQuotaSet)
        }
        self._cities = {one.city for one in settings if isinstance(one, CitySet)}
        self._members = {one.enterprise for one in settings if isinstance(one, EnterpriseSet)}

    def _known(self, where: str, flavor: str) -> None:
        if flavor not in self._pools:
            known = ", ".join(sorted(self._pools))
            raise BadScenario(f"{where}.flavor", f"unknown {flavor!r}; known are {known}")

    def city(self, where: str, change: CityChange) -> None:
        """Set limits of a city."""
        self._known(where, change.flavor)
        if change.city not in self._cities:
            known = ", ".join(sorted(self._cities))
            raise BadScenario(f"{where}.city", f"unknown {change.city!r}; known are {known}")
        key = change.city, change.flavor
        old = self._quotas.get(key, CityQuotaSet(*key, 0))
        new = old._replace(
            nominal_units=_kept(change.nominal, old.nominal_units),
            borrow_limit_units=old.borrow_limit_units if change.borrow == KEEP else change.borrow,
            lend_limit_units=old.lend_limit_units if change.lend == KEEP else change.lend,
        )
        lend = new.lend_limit_units
        if lend is not None and lend > new.nominal_units:
            # No error: it would tell a city the nominal quota of another.
            new = new._replace(lend_limit_units=new.nominal_units)
        self._quotas[key] = new

    def cap(self, where: str, change: CapChange) -> None:
        """Set an enterprise's cap."""
        self._known(where, change.flavor)
        if change.enterprise not in self._members:
            raise BadScenario(f"{where}.enterprise", f"unknown {change.enterprise!r}")
        key = change.enterprise, change.flavor
        old = self._caps.get(key, EnterpriseQuotaSet(*key))
        self._caps[key] = old._replace(cap_units=change.cap)

    def flavor(self, where: str, change: FlavorChange) -> None:
        """Set a flavor's capacity and how lent units of it come back."""
        self._known(where, change.flavor)
        pool = self._pools[change.flavor]
        if change.capacity != KEEP:
            self._pools[change.flavor] = pool._replace(capacity_units=change.capacity)
        reclaim = self._reclaim.get(change.flavor, ReclaimSet(change.flavor))
        self._reclaim[change.flavor] = reclaim._replace(
            mode=change.reclaim or reclaim.mode, lease_ms=_kept(change.lease_ms, reclaim.lease_ms)
        )

    def check(self, scenario: Scenario) -> None:
        """Refuse guarantees that come to more than there is, where the scenario touches them."""
        touched = {one.flavor for one in scenario.cities} | {one.flavor for one in scenario.flavors}
        for flavor in sorted(touched):
            kept = sum(
                max(0, one.nominal_units - one.lend_limit_units)
                for one in self._quotas.values()
                if one.flavor == flavor and one.lend_limit_units is not None
            )
            capacity = self._pools[flavor].capacity_units
            if kept > capacity:
                raise BadScenario(
                    flavor,
                    f"cities would keep more units for themselves (nominal less lend limit) than"
                    f" the {capacity} there are; lower a nominal quota, raise a lend limit or the"
                    " capacity",
                )

    def deltas(self) -> list[Delta]:
        """Return all, in the order in which a snapshot tells it."""
        return [
            *self._others,
            *(one for _, one in sorted(self._pools.items())),
            *(one for _, one in sorted(self._reclaim.items())),
            *(one for _, one in sorted(self._quotas.items())),
            *(one for _, one in sorted(self._caps.items())),
        ]
