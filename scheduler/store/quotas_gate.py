"""The gate of admission: stops, centers, leases and the quota book as the transaction sees them.

The book is read and the quota taken in one transaction that holds the flavors' rows, so nobody
changes a quota in between; the conditional updates and CHECKs are the last word.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from quota.instant import Bound, CityLimits, FlavorBook, Limit
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.model import Start
from scheduler.store import pools, stops
from scheduler.store.bulk import read_with
from scheduler.store.database import bulk_execute
from scheduler.store.pools import Pool
from scheduler.store.write_batch import WriteBatch

#: Limits that come before that of a lease in the precedence of reasons.
_BEFORE_LEASE: Final = frozenset({Limit.EXCEEDS_MAX, Limit.CAP_ENTERPRISE, Limit.BORROW_LIMIT})


@dataclass(frozen=True, slots=True)
class Gate:
    """What starts are judged by, as of one transaction; ``take`` counts what passed.

    ``leases_ms`` is the longest wall limit of a run that borrows, by flavor that has one.
    """

    pools: dict[str, Pool]
    books: dict[str, FlavorBook]
    stopped: dict[str, str]
    leases_ms: dict[str, int]

    def center(self, flavor: str) -> str:
        """Return the center of a flavor."""
        return self.pools[flavor].center

    def reason(self, start: Start) -> PendingReason | None:
        """Say why a start may not pass, by the precedence of reasons; None if it may."""
        city, option = start.city, start.option
        flavor, units = option.flavor, option.units
        book, pool = self.books[flavor], self.pools[flavor]
        if city not in book.limits:
            return PendingReason(
                ReasonCode.MISCONFIGURED, f"cities/{city}", flavor, requested=units
            )
        for node in (f"cities/{city}", f"enterprises/{start.enterprise}"):
            if node in self.stopped:
                return PendingReason(ReasonCode.QUEUE_HELD, node, flavor, requested=units)
        if pool.state != "OPEN":
            node = f"centers/{pool.center}"
            return PendingReason(ReasonCode.CENTER_DOWN, node, flavor, requested=units)
        bound = None
        if not book.fits(city, start.enterprise, units):
            bound = book.bound(city, start.enterprise, units)
            assert bound is not None, "what does not fit is bound"
        if bound is None or bound.limit not in _BEFORE_LEASE:
            lease = self._lease(start, book)
            if lease is not None:
                return lease
        return None if bound is None else _of(bound, flavor, units)

    def _lease(self, start: Start, book: FlavorBook) -> PendingReason | None:
        """A run longer than the lease may only use what is the city's own."""
        option, city = start.option, start.city
        longest_ms = self.leases_ms.get(option.flavor)
        if longest_ms is None or option.wall_ms <= longest_ms:
            return None
        room = book.nominal_room(city, start.enterprise)
        if option.units <= room:
            return None
        nominal = book.limits[city].nominal
        return PendingReason(
            ReasonCode.LEASE_TOO_LONG, f"cities/{city}", option.flavor, limit=nominal,
            used=nominal - room, requested=option.units, short_by=option.units - room,
        )  # fmt: skip

    def take(self, start: Start) -> None:
        """Count a start that passed against those that follow."""
        option = start.option
        self.books[option.flavor].take(start.city, start.enterprise, option.units)


def _of(bound: Bound, flavor: str, units: int) -> PendingReason:
    return PendingReason(
        ReasonCode(bound.limit.value), bound.node, flavor, limit=bound.height, used=bound.used,
        requested=units, short_by=bound.short_by,
    )  # fmt: skip


def open_gate(connection: Connection, starts: Iterable[Start]) -> Gate:
    """Read what these starts are judged by, and keep it unchanged until the transaction ends."""
    used = {(start.enterprise, start.option.flavor) for start in starts}
    flavors = sorted({flavor for _, flavor in used})
    if not flavors:
        return Gate({}, {}, {}, {})
    marks = ", ".join("?" * len(flavors))
    bulk_execute(
        connection,
        f"UPDATE flavor SET capacity_units = capacity_units WHERE code IN ({marks})",
        [tuple(flavors)],
    )
    found = pools.read(connection)
    leases = connection.exec_driver_sql(
        "SELECT flavor, lease_s FROM flavor_quota WHERE reclaim = 'lease'"
    )
    return Gate(
        found,
        _books(connection, [found[flavor] for flavor in flavors], used),
        stops.stopped(connection),
        {flavor: lease_s * 1000 for flavor, lease_s in leases},
    )


def _books(
    connection: Connection, wanted: list[Pool], used: set[tuple[str, str]]
) -> dict[str, FlavorBook]:
    """Read the books of some flavors; ``used`` is (enterprise, flavor) of those whose caps matter.

    What every enterprise with a guarantee holds matters to all.
    """
    books = {pool.flavor: FlavorBook.empty(pool.effective_units) for pool in wanted}
    for city, flavor, nominal, borrow, lend, units in connection.exec_driver_sql(
        "SELECT city, flavor, nominal_units, borrow_limit_units, lend_limit_units, used_units"
        " FROM city_quota"
    ):
        if flavor in books:
            books[flavor].limits[city] = CityLimits(nominal, borrow, lend)
            books[flavor].used[city] = units
            books[flavor].free -= units
    for enterprise, city, flavor, guarantee, units in connection.exec_driver_sql(
        "SELECT q.enterprise, e.city, q.flavor, q.guarantee_units, q.used_units"
        " FROM enterprise_quota q JOIN enterprise e ON e.code = q.enterprise"
        " WHERE q.guarantee_units > 0"
    ):
        if flavor in books:
            books[flavor].kept[enterprise] = (guarantee, city)
            books[flavor].capped_used[enterprise] = units
    for enterprise, flavor, cap, units in read_with(
        connection,
        # The join is written in its order: SQLite would scan all quotas for `IN (VALUES ...)`.
        "SELECT q.enterprise, q.flavor, q.cap_units, q.used_units"
        " FROM {values} CROSS JOIN enterprise_quota q WHERE q.enterprise = v.column1"
        " AND q.flavor = v.column2 AND q.cap_units IS NOT NULL",
        sorted(used),
    ):
        books[flavor].set_cap(enterprise, cap, units)
    for pool in wanted:
        books[pool.flavor].set_corridor(pool.corridor_units)  # counts all limits in
    return books


def take_quota(batch: WriteBatch, starts: Iterable[Start], now_ms: int) -> None:
    """Add to a batch of writes the units that cities and enterprises hold by admitted starts.

    It fails if a limit does not allow it: the gate judged by other figures.
    """
    cities: dict[tuple[str, str], int] = {}
    enterprises: dict[tuple[str, str], int] = {}
    for start in starts:
        option = start.option
        city, enterprise = (start.city, option.flavor), (start.enterprise, option.flavor)
        cities[city] = cities.get(city, 0) + option.units
        enterprises[enterprise] = enterprises.get(enterprise, 0) + option.units
    batch.update(
        "UPDATE city_quota SET used_units = used_units + v.column3 FROM {values}"
        " WHERE city = v.column1 AND flavor = v.column2 AND (borrow_limit_units IS NULL"
        " OR used_units + v.column3 <= nominal_units + borrow_limit_units)",
        [(*key, units) for key, units in sorted(cities.items())],
        "a city's quota moved within the transaction",
    )
    batch.update(
        "INSERT INTO enterprise_quota"
        " (enterprise, flavor, guarantee_units, used_units, version, updated_ms)"
        " SELECT v.column1, v.column2, 0, v.column3, 0, v.column4 FROM {values} WHERE true"
        " ON CONFLICT (enterprise, flavor)"
        " DO UPDATE SET used_units = enterprise_quota.used_units + excluded.used_units"
        " WHERE enterprise_quota.cap_units IS NULL"
        " OR enterprise_quota.used_units + excluded.used_units <= enterprise_quota.cap_units",
        [(*key, units, now_ms) for key, units in sorted(enterprises.items())],
        "an enterprise's quota moved within the transaction",
    )
