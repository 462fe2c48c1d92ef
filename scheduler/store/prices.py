"""Prices of centers: versions by flavor with their dates, as they are kept and shown.

A version is never changed. It is in force from an instant until the next one begins, half-open.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.store import terms
from scheduler.store.database import bulk_insert
from scheduler.store.tables import PriceVersion, table


@dataclass(frozen=True, slots=True)
class PriceInfo:
    """A price version in micro-fen per unit and second, in force in [from_ms, to_ms)."""

    price_id: str
    center: str
    flavor: str
    unit: str
    price_ufen: int
    from_ms: int
    to_ms: int | None
    created_ms: int
    created_by: str
    approved_by: str

    def state(self, now_ms: int) -> str:
        """PLANNED, IN_FORCE or ENDED; one whose end is its beginning never was in force."""
        return terms.state(self.from_ms, self.to_ms, now_ms)


def set_price(
    connection: Connection, *, center: str, flavor: str, unit: str, price_ufen: int,
    effective_from_ms: int, actor: str,
) -> str:  # fmt: skip
    """Found a price, or put one in force later than all there are; for data files."""
    last = max((one.from_ms for one in versions_of(connection, flavor)), default=-1)
    if effective_from_ms <= last:
        raise InvalidRequest(
            [FieldViolation("effective_from", "must be later than the price in force began")]
        )
    new = PriceInfo(
        "", center, flavor, unit, price_ufen, effective_from_ms, None, 0, actor, ""
    )  # fmt: skip
    return add_version(connection, new)


def add_version(connection: Connection, one: PriceInfo) -> str:
    """Add a version under an id of its own, which is returned; the one in force then ends there.

    That the times of versions do not overlap, and none begins in the past, is checked before.
    """
    number = connection.execute(
        text("SELECT count(*) + 1 FROM price_version WHERE flavor = :flavor"),
        {"flavor": one.flavor},
    ).scalar_one()
    connection.execute(
        text(
            "UPDATE price_version SET effective_to_ms = :at WHERE flavor = :flavor"
            " AND effective_from_ms <= :at AND (effective_to_ms IS NULL OR effective_to_ms > :at)"
        ),
        {"at": one.from_ms, "flavor": one.flavor},
    )
    price_id = f"{one.flavor}@{number}"
    bulk_insert(
        connection, table(PriceVersion),
        ("price_id", "center", "flavor", "unit", "price_ufen", "effective_from_ms", "created_ms",
         "created_by", "approved_by"),
        [(price_id, one.center, one.flavor, one.unit, one.price_ufen, one.from_ms, one.created_ms,
          one.created_by, one.approved_by)],
    )  # fmt: skip
    return price_id


_COLUMNS: Final = (
    "price_id, center, flavor, unit, price_ufen, effective_from_ms, effective_to_ms, created_ms,"
    " created_by, approved_by"
)


#: After this key comes every version.
FIRST: Final = ("", 0, "")


def list_prices(
    connection: Connection, center: str, flavor: str, limit: int,
    after: tuple[str, int, str] = FIRST,
) -> list[PriceInfo]:  # fmt: skip
    """Return at most ``limit`` versions by flavor, the newest first, after a key.

    The key is (flavor, from when, id) of the last one; empty ``center`` or ``flavor`` is all.
    """
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM price_version WHERE (:center = '' OR center = :center)"
            " AND (:flavor = '' OR flavor = :flavor) AND (flavor > :last OR (flavor = :last"
            " AND (effective_from_ms, price_id) < (:from_ms, :id)))"
            " ORDER BY flavor, effective_from_ms DESC, price_id DESC LIMIT :limit"
        ),
        {
            "center": center, "flavor": flavor, "limit": limit,
            "last": after[0], "from_ms": after[1], "id": after[2],
        },
    )  # fmt: skip
    return [PriceInfo(*row) for row in rows]


def versions_of(connection: Connection, flavor: str) -> list[PriceInfo]:
    """Return all versions of a flavor's price."""
    query = text(f"SELECT {_COLUMNS} FROM price_version WHERE flavor = :flavor")
    return [PriceInfo(*row) for row in connection.execute(query, {"flavor": flavor})]


def cancel(connection: Connection, price_id: str) -> None:
    """Never let a version begin that has not begun."""
    connection.execute(
        text("UPDATE price_version SET effective_to_ms = effective_from_ms WHERE price_id = :id"),
        {"id": price_id},
    )
