"""Brings the store in line with a file of centers, when a service starts.

What the file says of a center holds: its kind, names, settings, and the size of its flavors. New
centers and flavors are added, and nothing is ever deleted. What is not in the file stays as it is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection, text

from scheduler.domain.events import EventKind
from scheduler.domain.principal import Principal, Role
from scheduler.store import audit_trail, catalog, centers, feed, seed
from scheduler.store.catalog import FlavorRow
from scheduler.store.centers import CenterRow
from scheduler.store.seed_centers import SeedCenter
from scheduler.store.seed_files import Seed
from scheduler.store.seed_part import BadSeed

_ACTOR: Final = Principal("corridor serve", Role.OPERATOR, None, None, None, "", 0)
_OF_CENTER: Final = ("name_zh", "name_en", "kind", "simulated")
#: Columns of a flavor that the file sets again and again. Whether it is of domestic make decides
#: about money, and is the operators' word (``corridor center domestic``) once the flavor is there.
_OF_FLAVOR: Final = (
    "name_zh", "name_en", "capacity_units", "units_per_node", "wall_limit_max_s",
    "memory_mib_per_node",
)  # fmt: skip
_FIXED: Final = ("unit", "architecture")


@dataclass(slots=True)
class Applied:
    """What came of a file, by code; ``only_stored`` are centers and flavors it does not name."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    only_stored: list[str] = field(default_factory=list)


def planned(connection: Connection, given: Sequence[SeedCenter], now_ms: int) -> list[CenterRow]:
    """Return the centers as they will be, by code: those of the file, and those only stored.

    Nothing is written. Raises ``BadSeed`` if the file asks for what cannot be changed.
    """
    _check(connection, given)
    found = {row.center: row for row in centers.list_centers(connection, now_ms)}
    for one in given:
        row = found.get(one.center)
        if row is None:
            row = CenterRow(one.center, "", "", "", False, centers.OPEN, "", (), 0)
        found[one.center] = replace(
            row,
            name_zh=one.name_zh,
            name_en=one.name_en,
            kind=one.kind,
            simulated=one.simulated,
            settings=seed.settings_json(one),
        )
    return [found[code] for code in sorted(found)]


def _check(connection: Connection, given: Sequence[SeedCenter]) -> None:
    """Raise ``BadSeed`` if the file asks for what cannot be changed."""
    kinds = {
        row.code: row.kind for row in connection.execute(text("SELECT code, kind FROM center"))
    }
    flavors = {one.flavor: one for one in catalog.flavors(connection)}
    for one in given:
        kind = kinds.get(one.center, one.kind)
        active = centers.active_runs(connection, one.center)
        if kind != one.kind and active:
            raise BadSeed(
                f"center {one.center}: its kind cannot become {one.kind} while {active} runs have"
                f" not ended at it as {kind}: drain it first"
            )
        for flavor in one.flavors:
            stored = flavors.get(flavor.flavor, flavor)
            for name in _FIXED:
                before, after = getattr(stored, name), getattr(flavor, name)
                if before != after:
                    raise BadSeed(
                        f"flavor {flavor.flavor}: its {name} is {before} and cannot become {after}:"
                        " prices and jobs were made for it; add another flavor"
                    )


def apply(
    connection: Connection, given: Sequence[SeedCenter], source: str, now_ms: int, wall_ms: int
) -> Applied:
    """Bring the store in line with the file ``source``; the same file again changes nothing.

    ``now_ms`` is scheduling time. Raises ``BadSeed``; then nothing may be committed.
    """
    _check(connection, given)
    applied = Applied()
    telling = _Telling(connection, f"as {source} says", wall_ms)
    stored = {row.center: row for row in centers.list_centers(connection, now_ms)}
    flavors = {one.flavor: one for one in catalog.flavors(connection)}
    for one in given:
        if one.center in stored and _set_center(telling, stored[one.center], one):
            applied.changed.append(one.center)
        for flavor in one.flavors:
            if flavor.flavor in flavors and _set_flavor(telling, flavors[flavor.flavor], flavor):
                applied.changed.append(flavor.flavor)
    seed.load_seed(connection, Seed(centers=list(given)), now_ms)
    for one in given:
        if one.center not in stored:
            telling.added(f"centers/{one.center}", "CENTER_ADDED", _figures(one))
            applied.added.append(one.center)
        for flavor in one.flavors:
            if flavor.flavor not in flavors:
                figures = {name: getattr(flavor, name) for name in _OF_FLAVOR + _FIXED}
                telling.added(_path(flavor), "FLAVOR_ADDED", figures)
                applied.added.append(flavor.flavor)
    if applied.changed:
        told = feed.EventRow(EventKind.CATALOG_CHANGED, 0, 0, "", "", "", now_ms)
        feed.append(connection, [told])
    named = {one.center for one in given} | {row.flavor for one in given for row in one.flavors}
    applied.only_stored = sorted((stored.keys() | flavors.keys()) - named)
    return applied


@dataclass(frozen=True, slots=True)
class _Telling:
    """Writes what is changed, with its trace."""

    connection: Connection
    reason: str
    wall_ms: int

    def added(self, target: str, action: str, after: audit_trail.Figures) -> None:
        """Note what is new."""
        self._record(target, action, None, after)

    def changed(
        self, target: str, action: str, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> bool:
        """Note which figures changed; False if none did."""
        keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
        if not keys:
            return False
        self._record(
            target,
            action,
            {key: before.get(key) for key in keys},
            {key: after.get(key) for key in keys},
        )
        return True

    def _record(
        self,
        target: str,
        action: str,
        before: audit_trail.Figures | None,
        after: audit_trail.Figures,
    ) -> None:
        audit_trail.record(
            self.connection, _ACTOR, action, target,
            at_ms=self.wall_ms, before=before, after=after, reason=self.reason,
        )  # fmt: skip


def _set_center(telling: _Telling, row: CenterRow, one: SeedCenter) -> bool:
    before = {name: getattr(row, name) for name in _OF_CENTER} | _flat(json.loads(row.settings))
    target = f"centers/{one.center}"
    if not telling.changed(target, "CENTER_CONFIGURED", before, _figures(one)):
        return False
    values = {name: getattr(one, name) for name in _OF_CENTER}
    _update(
        telling.connection, "center", one.center, {**values, "settings": seed.settings_json(one)}
    )
    return True


def _set_flavor(telling: _Telling, row: FlavorRow, one: FlavorRow) -> bool:
    before, after = ({name: getattr(it, name) for name in _OF_FLAVOR} for it in (row, one))
    if not telling.changed(_path(one), "FLAVOR_CONFIGURED", before, after):
        return False
    _update(telling.connection, "flavor", one.flavor, after)
    # Who read the grant before must read it again before setting it.
    telling.connection.execute(
        text("UPDATE flavor_quota SET version = version + 1 WHERE flavor = :flavor"),
        {"flavor": one.flavor},
    )
    return True


def _update(
    connection: Connection, name: str, code: str, values: Mapping[str, str | int | bool]
) -> None:
    columns = ", ".join(f"{column} = :{column}" for column in values)
    connection.execute(
        text(f"UPDATE {name} SET {columns} WHERE code = :code"), {**values, "code": code}
    )


def _path(flavor: FlavorRow) -> str:
    return f"centers/{flavor.center}/flavors/{flavor.flavor}"


def _figures(one: SeedCenter) -> dict[str, Any]:
    settings = json.loads(seed.settings_json(one))
    return {name: getattr(one, name) for name in _OF_CENTER} | _flat(settings)


def _flat(settings: Mapping[str, object]) -> dict[str, str]:
    """Return settings as figures of their own; they name secrets, and hold none."""
    return {
        f"settings.{key}": json.dumps(value, ensure_ascii=False, sort_keys=True)
        for key, value in settings.items()
    }
