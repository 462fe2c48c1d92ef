"""What people do in a story: enterprises, city admins, operators; by the store's own calls."""

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from quota.rules import Rule
from scheduler.domain.approving import Approvals
from scheduler.domain.arrays import ArraySpec
from scheduler.domain.ids import element_uid
from scheduler.errors import CorridorError, WrongState
from scheduler.store import centers as store_centers
from scheduler.store import (
    emergency,
    funds,
    funds_reduction,
    job_commands,
    programmes,
    quotas,
    quotas_flavors,
    stops,
)
from scheduler.store.change_requests import Act
from scheduler.store.funds_reduction import Lowering
from scheduler.store.quotas import Change, CityLimits
from scheduler.store.quotas_flavors import Reclaim
from tests.simulation import world as worlds
from tests.simulation.auditor import Auditor
from tests.simulation.world import CENTERS, CITIES, ENTERPRISES, OPERATOR, HandClock, World

NEW_YEAR_MS = 1_798_732_800_000  # 2027-01-01 in Shanghai


class People:
    """Everybody who may call the API; each method does one thing at random."""

    def __init__(self, world: World, auditor: Auditor, rng: random.Random) -> None:
        self.world, self.auditor, self.rng = world, auditor, rng
        self.clock: HandClock = world.clock
        self._requests: dict[str, tuple[str, list[Any], list[int]]] = {}

    def do_submit(self) -> None:
        """Submit some jobs, or the same again under the same key."""
        if self._requests and self.rng.random() < 0.2:
            key = self.rng.choice([*self._requests])
            enterprise, specs, uids = self._requests[key]
            assert self.world.submit(enterprise, specs, request_id=key) == uids
            return
        enterprise = self.rng.choice([*ENTERPRISES])
        specs = [worlds.random_job(self.rng) for _ in range(self.rng.randint(1, 6))]
        key = f"r-{len(self._requests)}"
        waits = self._relate(specs, random.Random(f"{self.clock.ms} {key}"))
        uids = self.world.submit(enterprise, specs, request_id=key, waits=waits)
        self._requests[key] = (enterprise, specs, uids)
        self.auditor.acknowledged.update(uids)

    def _relate(self, specs: list[Any], rng: random.Random) -> dict[int, list[tuple[int, str]]]:
        """Let a few jobs be arrays, and a few wait for others; what they wait for, by place."""
        before = sorted(self.auditor.acknowledged)
        waits: dict[int, list[tuple[int, str]]] = {}
        for at, spec in enumerate(specs):
            if rng.random() < 0.15:
                specs[at] = replace(spec, array=ArraySpec(rng.randint(1, 5), rng.choice((0, 1, 2))))
            if before and rng.random() < 0.15:
                some = rng.sample(before, min(len(before), rng.randint(1, 2)))
                waits[at] = [(uid, rng.choice(("AFTER_SUCCESS", "AFTER_ANY_END"))) for uid in some]
        return waits

    def _some(self) -> list[int]:
        """A few jobs; of an array now and then some elements instead."""
        uids = sorted(self.auditor.acknowledged)
        found = self.rng.sample(uids, min(len(uids), self.rng.randint(1, 3)))
        return [self._or_element(uid) for uid in found]

    def _or_element(self, uid: int) -> int:
        sizes = self.world.db.rows(f"SELECT size FROM job_array WHERE array_uid = {uid}")
        if not sizes or (uid + self.clock.ms) % 2:
            return uid
        return element_uid(uid, (self.clock.ms // 500) % sizes[0][0])

    def command(self, command: Callable[..., Any], uids: list[int]) -> None:
        if uids:
            order = job_commands.Order(OPERATOR, "test", self.clock.ms, 0)
            self.world.db.do(lambda c: command(c, uids, order))

    def do_cancel(self) -> None:
        self.command(job_commands.cancel, self._some())

    def do_hold(self) -> None:
        self.command(job_commands.hold, self._some())

    def do_release(self) -> None:
        self.command(job_commands.release, self._some())

    def do_hold_and_release(self) -> None:
        """Between a plan and its admission nothing seems to have happened."""
        some = self._some()
        self.command(job_commands.hold, some)
        self.command(job_commands.release, some)

    def do_deadline(self) -> None:
        """A job gets a queue deadline soon, as if it had been submitted with it."""
        listed = ", ".join(map(str, self._some())) or "0"
        soon_ms = self.clock.ms + 30_000
        self.world.db.do(
            lambda c: c.exec_driver_sql(
                f"UPDATE job SET deadline_ms = {soon_ms} WHERE uid IN ({listed})"
            )
        )

    def do_quota(self) -> None:
        city, flavor = self.rng.choice(
            [(c, f) for c in CITIES for one in CENTERS.values() for f in one]
        )
        nominal = self.rng.randint(0, rows_capacity(self.world.db.rows, flavor) // 3)
        borrow = self.rng.choice((None, None, 0, 3))
        lend = self.rng.choice((None, None, 0, nominal))
        self.set_quota(city, flavor, nominal, borrow, lend)

    def set_quota(
        self, city: str, flavor: str, nominal: int, borrow: int | None, lend: int | None
    ) -> None:
        etag = self.world.db.rows(
            f"SELECT version FROM city_quota WHERE city = '{city}' AND flavor = '{flavor}'"
        )[0][0]
        limits = CityLimits(nominal, borrow, None if lend is None else min(lend, nominal))
        with contextlib.suppress(CorridorError):
            self.world.db.do(
                lambda c: quotas.update_city_quota(c, city, flavor, limits, self._change(etag))
            )
        self.auditor.limits_changed()

    def do_cap(self) -> None:
        flavor = self.rng.choice([f for one in CENTERS.values() for f in one])
        self.set_cap(self.rng.choice([*ENTERPRISES]), flavor, self.rng.choice((None, 0, 2, 8, 40)))

    def set_cap(self, enterprise: str, flavor: str, cap: int | None, kept: int = 0) -> None:
        found = self.world.db.rows(
            "SELECT version FROM enterprise_quota"
            f" WHERE enterprise = '{enterprise}' AND flavor = '{flavor}'"
        )
        etag = found[0][0] if found and found[0][0] else ""
        with contextlib.suppress(CorridorError):
            self.world.db.do(
                lambda c: quotas.update_enterprise_quota(
                    c, enterprise, flavor, cap, self._change(etag), kept
                )
            )
        self.auditor.limits_changed()

    def do_guarantee(self) -> None:
        """A city keeps units for one of its enterprises, or for nobody any more."""
        enterprise = self.rng.choice([*ENTERPRISES])
        flavor = self.rng.choice([f for one in CENTERS.values() for f in one])
        [(city,)] = self.world.db.rows(f"SELECT city FROM enterprise WHERE code = '{enterprise}'")
        units = self.rng.choice((0, 1, 2, 4))
        if units:
            self.set_quota(city, flavor, 4, self.rng.choice((None, 4)), 4 - units)
        self.set_cap(enterprise, flavor, None, units)

    def _change(self, etag: object) -> Change:
        return Change(OPERATOR, str(etag), "test", self.clock.ms, 0)

    def do_money(self) -> None:
        """A city pays into its fund; now and then the same request comes twice."""
        if self.clock.ms >= NEW_YEAR_MS:
            return
        rule = self.rng.choice([rule for rule, _ in worlds.RULES])
        key = f"m-{self.rng.randrange(1_000)}"
        amount = self.rng.randint(1, 5_000)
        for _ in range(self.rng.choice((1, 2))):
            with contextlib.suppress(CorridorError):
                worlds.pay_into(self.world, rule.programme, amount, key)

    def do_lower(self) -> None:
        """A city takes money out of its fund, what is held as it comes free."""
        if self.clock.ms >= NEW_YEAR_MS:
            return
        rule = self.rng.choice([rule for rule, _ in worlds.RULES])
        key, amount = f"l-{self.rng.randrange(1_000_000)}", self.rng.randint(1, 8_000)
        order = Lowering(rule.programme, "2026", amount, key, pending=self.rng.random() < 0.8)
        act = Act(OPERATOR, "test", self.clock.ms, 0)
        with contextlib.suppress(CorridorError):
            self.world.db.do(
                lambda c: funds_reduction.lower(c, order, act, Approvals(threshold_fen=10**12))
            )

    def do_period(self) -> None:
        """The next year's funds are opened, some late, some never."""
        rule = self.rng.choice([rule for rule, _ in worlds.RULES])
        there = self.world.db.rows(
            f"SELECT 1 FROM fund_period WHERE programme = '{rule.programme}' AND period = '2027'"
        )
        if not there:
            self.world.db.do(lambda c: funds.open_period(c, rule.programme, "2027"))

    def do_rule(self) -> None:
        """A programme's rule changes: another rate and cap."""
        rule, _ = self.rng.choice(worlds.RULES)
        version = (
            1
            + self.world.db.rows(
                f"SELECT max(version) FROM rule_version WHERE programme = '{rule.programme}'"
            )[0][0]
        )
        new = Rule(
            rule.programme, version, rule.city, self.rng.choice((1000, 4000, 9000)),
            rule.priority, rule.exclusive_group, rule.base,
            year_cap_fen=self.rng.choice((None, 0, 1_000, 50_000)), ceiling_bp=rule.ceiling_bp,
        )  # fmt: skip
        self.world.db.do(
            lambda c: programmes.create_programme(
                c, city=rule.city, name="", document_ref="", sample=True, rule=new,
                now_ms=self.clock.ms,
            )
        )  # fmt: skip

    def do_move(self) -> None:
        """An enterprise moves to another city, or is blocked, or free again."""
        code, city = self.rng.choice([*ENTERPRISES]), self.rng.choice(CITIES)
        blocked = "TRUE" if self.rng.random() < 0.1 else "FALSE"
        self.world.db.do(
            lambda c: c.exec_driver_sql(
                f"UPDATE enterprise SET city = '{city}', blocked = {blocked} WHERE code = '{code}'"
            )
        )

    def set_center(self, center: str, state: str) -> None:
        self.world.db.do(
            lambda c: store_centers.set_state(
                c, OPERATOR, center, state, reason="test", now_ms=self.clock.ms, wall_ms=0
            )
        )

    def do_cordon(self) -> None:
        state = self.rng.choice(("OPEN", "OPEN", "OPEN", "CORDONED", "DRAINING"))
        self.set_center(self.rng.choice([*CENTERS]), state)

    def do_stop(self) -> None:
        """A city or an enterprise is stopped, emptied, or opened again."""
        node = self.rng.choice(
            [f"cities/{c}" for c in CITIES] + [f"enterprises/{e}" for e in ENTERPRISES]
        )
        self.set_stop(node, self.rng.choice(("OPEN", "OPEN", "HOLD", "DRAIN")))

    def set_stop(self, node: str, state: str) -> None:
        found = self.world.db.rows(f"SELECT version FROM stop_state WHERE node = '{node}'")
        etag = found[0][0] if found else ""
        self.world.db.do(lambda c: stops.set_stop(c, node, state, self._change(etag)))

    def do_reclaim(self) -> None:
        """How lent units of a flavor come back is changed."""
        flavor = self.rng.choice([f for one in CENTERS.values() for f in one])
        rule = Reclaim(
            self.rng.choice(("churn", "lease", "evict", "evict", "evict")),
            lease_s=self.rng.choice((600, 7200)),
            run_min_s=self.rng.choice((0, 30, 300)),
            grace_s=self.rng.choice((0, 10, 60)),
            rate_bps=self.rng.choice((1_000, 5_000, 10_000)),
            rate_s=60,
        )
        self.set_reclaim(flavor, rule, self.rng.choice((None, None, 0, 2)))

    def set_reclaim(self, flavor: str, rule: Reclaim, corridor: int | None = None) -> None:
        def change(c: Connection) -> None:
            now = quotas_flavors.get_flavor_quota(c, flavor)
            limits = replace(now.limits, reclaim=rule, corridor_units=corridor)
            quotas_flavors.update_flavor_quota(c, flavor, limits, self._change(now.etag))

        with contextlib.suppress(CorridorError):
            self.world.db.do(change)
        self.auditor.limits_changed()

    def do_emergency(self) -> None:
        """An operator lets a job go first, or takes that back; it may wait no more."""
        order = job_commands.Order(OPERATOR, "test", self.clock.ms, 0)
        for uid in self._some():
            grants = self.rng.random() < 0.7
            with contextlib.suppress(WrongState):
                self.world.db.do(
                    lambda c, uid=uid, grants=grants: emergency.grant(c, uid, grants, order)  # type: ignore[misc]
                )

    def make_peace(self) -> None:
        """All centers are open, all units may be borrowed, nothing is held or blocked."""
        rows = self.world.db.rows
        for center in CENTERS:
            self.set_center(center, "OPEN")
        for (node,) in rows("SELECT node FROM stop_state"):
            self.set_stop(node, "OPEN")
        for (flavor,) in rows("SELECT flavor FROM flavor_quota"):
            self.set_reclaim(flavor, Reclaim())
        for enterprise, flavor in rows("SELECT enterprise, flavor FROM enterprise_quota"):
            self.set_cap(enterprise, flavor, None)
        for city, flavor in rows("SELECT city, flavor FROM city_quota"):
            self.set_quota(city, flavor, 0, None, None)  # all may borrow all
        self.release_all()
        for code, (city, _) in ENTERPRISES.items():  # home again: budgets are set by one's city
            self.world.db.do(
                lambda c, code=code, city=city: c.exec_driver_sql(  # type: ignore[misc]
                    f"UPDATE enterprise SET city = '{city}', blocked = FALSE WHERE code = '{code}'"
                )
            )
        self.auditor.limits_changed()

    def release_all(self) -> None:
        """Nothing is held any more, by whomever."""
        held = [uid for (uid,) in self.world.db.rows("SELECT uid FROM job WHERE state = 'HELD'")]
        self.command(job_commands.release, held)

    def give_up(self) -> None:
        """Cancel what nobody may ever be able to pay for: it would wait for ever."""
        waiting = self.world.db.rows(
            "SELECT uid FROM job WHERE state = 'QUEUED' AND (subsidy = 'REQUIRED'"
            " OR self_pay_max_fen IS NOT NULL OR enterprise IN ('w2', 'e2', 'x2')"
            # Their budgets were closed when they moved home to a city that has none.
            " OR enterprise IN (SELECT enterprise FROM budget WHERE city = 'ezhou'))"
        )
        self.command(job_commands.cancel, [uid for (uid,) in waiting])


def rows_capacity(rows: Callable[[str], list[tuple[Any, ...]]], flavor: str) -> int:
    """What a center grants of a flavor."""
    return int(rows(f"SELECT capacity_units FROM flavor WHERE code = '{flavor}'")[0][0])
