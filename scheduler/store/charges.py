"""What jobs cost: held for the run under way, or charged for those that ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, text

from scheduler.store import frozen
from scheduler.store.jobs import JobRow


class SubsidyPart(NamedTuple):
    """What one programme gives, and which limit bound it."""

    programme: str
    rule_version: int
    amount_fen: int
    binding: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What a job costs and who pays. ``unit_seconds`` is what the amounts are for.

    ``free_unit_seconds`` come beside them and cost nothing: hours that were granted.
    """

    gross_fen: int
    self_pay_fen: int
    parts: tuple[SubsidyPart, ...]
    price_id: str
    price_ufen: int
    unit_seconds: int
    free_unit_seconds: int = 0


def of_jobs(connection: Connection, rows: Sequence[JobRow]) -> dict[int, Charge]:
    """Return the charge of each job by uid; jobs that cost nothing yet are left out.

    While a run's money is held it is that run's, at its whole wall limit; else the sum of the runs
    that were settled, at the last one's price.
    """
    uids = [row.uid for row in rows if row.attempt]
    if not uids:
        return {}
    charges = _settled(connection, [row for row in rows if row.attempt])
    charges.update(_held(connection, uids))
    return charges


_HELD: Final = text(
    "SELECT job_uid, attempt, rev, gross_fen, price_id, price_ufen, units, wall_limit_s, frozen"
    " FROM hold WHERE job_uid IN :uids AND state = 'HELD' ORDER BY job_uid, attempt, rev"
).bindparams(sa.bindparam("uids", expanding=True))
_LEGS: Final = text(
    "SELECT job_uid, attempt, programme, kind = 'GRANT', sum(amount_fen) FROM hold_leg"
    " WHERE job_uid IN :uids AND programme IS NOT NULL"
    " GROUP BY job_uid, attempt, programme, kind = 'GRANT'"
).bindparams(sa.bindparam("uids", expanding=True))
_PRICES: Final = text(
    "SELECT job_uid, price_id, price_ufen FROM hold WHERE job_uid IN :uids ORDER BY attempt"
).bindparams(sa.bindparam("uids", expanding=True))
_RATED: Final = text(
    "SELECT job_uid, sum(seconds * units - free), sum(free) FROM rated_line"
    " WHERE job_uid IN :uids AND billed GROUP BY job_uid"
).bindparams(sa.bindparam("uids", expanding=True))
_LINES: Final = text(
    "SELECT job_uid, programme, max(rule_version), sum(amount_fen), max(binding)"
    " FROM subsidy_line WHERE job_uid IN :uids AND ledger = 'CNY' GROUP BY job_uid, programme"
    " ORDER BY job_uid, programme"
).bindparams(sa.bindparam("uids", expanding=True))


def _held(connection: Connection, uids: Sequence[int]) -> dict[int, Charge]:
    """What is held for the run under way, with what limited each programme that gives."""
    given: dict[tuple[int, int, str], int] = {}
    free: dict[tuple[int, int], int] = {}
    for uid, attempt, programme, granted, amount in connection.execute(_LEGS, {"uids": uids}):
        if granted:
            free[uid, attempt] = free.get((uid, attempt), 0) + int(amount)
        else:
            given[uid, attempt, programme] = int(amount)
    charges: dict[int, Charge] = {}
    for row in connection.execute(_HELD, {"uids": uids}):
        unit_seconds = row.units * row.wall_limit_s
        if row.rev:  # a top-up: the same run, for longer
            first = charges[row.job_uid]
            charges[row.job_uid] = replace(
                first,
                gross_fen=first.gross_fen + row.gross_fen,
                self_pay_fen=first.self_pay_fen + row.gross_fen,
                unit_seconds=first.unit_seconds + unit_seconds,
            )
            continue
        kept = frozen.read(row.frozen, row.price_id, row.price_ufen)
        parts = tuple(
            SubsidyPart(one.programme, one.version, amount, one.binding)
            for one in kept.rules
            if (amount := given.get((row.job_uid, row.attempt, one.programme), 0))
        )
        self_pay = row.gross_fen - sum(part.amount_fen for part in parts)
        free_s = free.get((row.job_uid, row.attempt), 0)
        charges[row.job_uid] = Charge(
            row.gross_fen, self_pay, parts, row.price_id, row.price_ufen, unit_seconds - free_s,
            free_s,
        )  # fmt: skip
    return charges


def _settled(connection: Connection, rows: Sequence[JobRow]) -> dict[int, Charge]:
    uids = [row.uid for row in rows]
    prices = {uid: (code, ufen) for uid, code, ufen in connection.execute(_PRICES, {"uids": uids})}
    rated = {
        uid: (int(paid), int(free))
        for uid, paid, free in connection.execute(_RATED, {"uids": uids})
    }
    parts: dict[int, list[SubsidyPart]] = {}
    for uid, programme, version, amount, binding in connection.execute(_LINES, {"uids": uids}):
        parts.setdefault(uid, []).append(SubsidyPart(programme, version, int(amount), binding))
    return {
        row.uid: Charge(
            row.gross_fen,
            row.self_pay_fen,
            tuple(parts.get(row.uid, ())),
            *prices.get(row.uid, ("", 0)),
            *rated.get(row.uid, (0, 0)),
        )
        for row in rows
        if row.settled or row.gross_fen
    }
