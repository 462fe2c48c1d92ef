"""Legs of holds as they stand in the store, as the pure rules of settlement want them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.charges import Leg
from quota.transfers import wallet_shard
from scheduler.store.database import bulk_read

RunKey = tuple[int, int]

_COLUMNS: Final = (
    "l.job_uid, l.attempt, l.rev, l.leg, l.kind, l.amount_fen, l.programme, l.rule_version,"
    " l.debit_account, l.credit_account, l.funder, l.from_ms, l.to_ms, l.cap_year,"
    " l.cap_reserved, l.shard"
)


class HeldLeg(NamedTuple):
    """A stored leg: where its entries are booked, and what the rules want to know of it."""

    leg: Leg
    kind: str
    debit: str
    credit: str
    shard: str

    @property
    def ledger(self) -> str:
        """The unit of its amount."""
        return "UNIT_S" if self.leg.grant else "CNY"


def read(connection: Connection, uids: Sequence[int]) -> dict[RunKey, list[HeldLeg]]:
    """Return all legs of some jobs' runs, of all revisions, in the order (rev, leg).

    A fund's leg that names no funder is its programme's own city's.
    """
    legs: dict[RunKey, list[HeldLeg]] = {}
    if not uids:
        return legs
    listed = ", ".join(map(str, uids))
    for row in bulk_read(
        connection,
        f"SELECT {_COLUMNS}, r.city, p.city FROM hold_leg l"
        " JOIN run r ON r.job_uid = l.job_uid AND r.attempt = l.attempt"
        " LEFT JOIN programme p ON p.code = l.programme"
        f" WHERE l.job_uid IN ({listed}) ORDER BY l.job_uid, l.attempt, l.rev, l.leg",
    ):
        (
            uid, attempt, rev, number, kind, amount, programme, version, debit, credit, funder,
            from_ms, to_ms, year, reserved, shard, city, owner,
        ) = row  # fmt: skip
        if kind == "FUND":
            funder = funder or owner
        leg = Leg(
            number, amount, programme, version, debit, funder, credit.startswith("claim:"),
            kind == "GRANT", from_ms, to_ms, year, bool(reserved), rev,
        )  # fmt: skip
        if not shard:
            shard = wallet_shard(city) if programme is None else debit
        stored = HeldLeg(leg, kind, debit, credit, shard)
        found = legs.get((uid, attempt))
        if found is None:
            legs[uid, attempt] = [stored]
        else:
            found.append(stored)
    return legs
