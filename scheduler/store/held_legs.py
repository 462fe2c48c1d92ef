"""Legs of holds as they stand in the store, as the pure rules of settlement want them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.charges import Leg
from quota.transfers import wallet_shard
from scheduler.store.database import among, bulk_read

RunKey = tuple[int, int]

_COLUMNS: Final = (
    "job_uid, attempt, rev, leg, kind, amount_fen, programme, rule_version, debit_account,"
    " credit_account, funder, from_ms, to_ms, cap_year, cap_reserved, shard"
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

    A leg of the first release names no funder and no shard: it is of its programme's own city, and
    in the shard of its fund or of its city's wallets.
    """
    legs: dict[RunKey, list[HeldLeg]] = {}
    if not uids:
        return legs
    of_runs, values = among(connection, "job_uid", uids)
    rows = bulk_read(
        connection,
        f"SELECT {_COLUMNS} FROM hold_leg WHERE {of_runs} ORDER BY job_uid, attempt, rev, leg",
        values,
    )
    old = _Old(connection, uids) if any(not row[15] for row in rows) else None
    for (
        uid, attempt, rev, number, kind, amount, programme, version, debit, credit, funder,
        from_ms, to_ms, year, reserved, shard,
    ) in rows:  # fmt: skip
        if old is not None and not shard:
            shard = old.cities[uid, attempt] if programme is None else debit
            funder = old.owners.get(programme, "")
        stored = HeldLeg(
            Leg(
                number, amount, programme, version, debit, funder, credit[:6] == "claim:",
                kind == "GRANT", from_ms, to_ms, year, bool(reserved), rev,
            ),
            kind, debit, credit, shard,
        )  # fmt: skip
        found = legs.get((uid, attempt))
        if found is None:
            legs[uid, attempt] = [stored]
        else:
            found.append(stored)
    return legs


class _Old:
    """What legs of the first release leave out: shards of wallets by run, owners of programmes."""

    def __init__(self, connection: Connection, uids: Sequence[int]) -> None:
        of_runs, values = among(connection, "job_uid", uids)
        runs = bulk_read(
            connection, f"SELECT job_uid, attempt, city FROM run WHERE {of_runs}", values
        )
        self.cities = {(uid, attempt): wallet_shard(city) for uid, attempt, city in runs}
        owners = bulk_read(connection, "SELECT code, city FROM programme")
        self.owners: dict[str, str] = {row[0]: row[1] for row in owners}
