"""Verification of holds: each is what its legs, its entries, its run and what it froze say."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection

from quota.amounts import round_fen
from quota.audit import leg_id
from quota.slices import Cuts, Span, cut
from scheduler.domain.ids import run_id
from scheduler.store import frozen
from scheduler.store.database import bulk_stream
from scheduler.store.frozen import Frozen
from scheduler.store.verification_runs import Runs

_LEG: Final = "l.job_uid || '.' || l.attempt || '.' || l.rev || '.' || l.leg"
_HELD_BY: Final = f"CASE WHEN l.rev = 0 THEN 'hold:' ELSE 'topup:' END || {_LEG}"
#: Of the run's gross: not beside it, as claims and free unit-seconds are.
_OF_GROSS: Final = "l.kind <> 'GRANT' AND l.credit_account NOT LIKE 'claim:%'"


def legs(connection: Connection, runs: Runs) -> Iterator[str]:
    """Each leg is what its entries say: the one that held it and the one that resolved it."""
    for uid, attempt, rev, leg, state, amount, posted, held, resolved in connection.exec_driver_sql(
        "SELECT l.job_uid, l.attempt, l.rev, l.leg, h.state, l.amount_fen, l.posted_fen,"
        " p.amount_fen, s.amount_fen FROM hold_leg l"
        " LEFT JOIN hold h ON h.job_uid = l.job_uid AND h.attempt = l.attempt AND h.rev = l.rev"
        f" LEFT JOIN transfer p ON p.idem_key = {_HELD_BY}"
        f" LEFT JOIN transfer s ON s.idem_key = 'settle:' || {_LEG}"
        f" WHERE {runs.has('l')} AND (h.state IS NULL"
        " OR p.amount_fen IS NULL OR p.amount_fen <> l.amount_fen"
        " OR p.debit_account <> l.debit_account OR p.credit_account <> l.credit_account"
        " OR (l.shard <> '' AND p.shard <> l.shard)"
        " OR p.ledger <> CASE WHEN l.kind = 'GRANT' THEN 'UNIT_S' ELSE 'CNY' END"
        " OR (h.state = 'HELD') <> (s.amount_fen IS NULL)"
        " OR coalesce(s.amount_fen, 0) <> l.posted_fen)"
        " ORDER BY l.job_uid, l.attempt, l.rev, l.leg"
    ):
        yield (
            f"hold_leg {leg_id(uid, attempt, rev, leg)} of run {run_id(uid, attempt)}: its hold is"
            f" {state}, it says {amount} held and {posted} posted; its entries say {held} held and"
            f" {resolved} posted, or other accounts"
        )


def entries_without_legs(connection: Connection, runs: Runs) -> Iterator[str]:
    """Each entry that holds money has its leg."""
    for shard, seq, leg in connection.exec_driver_sql(
        f"SELECT t.shard, t.seq, t.leg_id FROM transfer t WHERE {runs.has('t')}"
        " AND t.kind = 'PENDING' AND NOT EXISTS"
        " (SELECT 1 FROM hold_leg l WHERE l.job_uid = t.job_uid AND l.attempt = t.attempt"
        f" AND t.leg_id = {_LEG}) ORDER BY t.shard, t.seq"
    ):
        yield f"transfer {shard}#{seq}: there is no hold_leg {leg}"


def holds(connection: Connection, runs: Runs) -> Iterator[str]:
    """Each hold is the sum of its legs at the price it froze, and belongs to a run."""
    priced = connection.exec_driver_sql("SELECT price_id, price_ufen FROM price_version")
    prices: dict[str, int] = {row[0]: row[1] for row in priced}
    rows = bulk_stream(
        connection,
        "SELECT h.job_uid, h.attempt, h.rev, h.state, h.units, h.from_s, h.wall_limit_s,"
        " h.price_id, h.price_ufen, h.frozen, h.gross_fen, h.posted_fen, h.created_ms, r.units,"
        " r.wall_limit_s, r.settled_ms IS NULL,"
        " (SELECT coalesce(sum(l.amount_fen), 0) FROM hold_leg l WHERE l.job_uid = h.job_uid"
        f" AND l.attempt = h.attempt AND l.rev = h.rev AND {_OF_GROSS}),"
        " (SELECT coalesce(sum(l.amount_fen), 0) FROM hold_leg l WHERE l.job_uid = h.job_uid"
        " AND l.attempt = h.attempt AND l.rev = h.rev AND l.kind = 'GRANT'),"
        " (SELECT coalesce(sum(t.amount_fen), 0) FROM transfer t WHERE t.job_uid = h.job_uid"
        " AND t.attempt = h.attempt AND t.kind IN ('POST', 'DIRECT')"
        " AND t.code IN ('SETTLE', 'OVERRUN') AND t.credit_account LIKE 'payable:%'),"
        " (SELECT coalesce(sum(g.gross_fen), 0) FROM rated_line g WHERE g.job_uid = h.job_uid"
        " AND g.attempt = h.attempt AND g.revision = 0),"
        " EXISTS (SELECT 1 FROM hold_leg l WHERE l.job_uid = h.job_uid AND l.attempt = h.attempt"
        " AND l.posted_fen > 0),"
        " (SELECT min(t.reason) FROM transfer t WHERE t.job_uid = h.job_uid"
        " AND t.attempt = h.attempt AND t.code = 'HOLD')"
        " FROM hold h LEFT JOIN run r ON r.job_uid = h.job_uid AND r.attempt = h.attempt"
        f" WHERE {runs.has('h')} ORDER BY h.job_uid, h.attempt, h.rev",
    )
    for (uid, attempt), found in groupby(rows, key=lambda row: (row[0], row[1])):
        yield from _of_run(f"hold of run {run_id(uid, attempt)}", list(found), prices)


def _of_run(where: str, revs: Sequence[Any], prices: dict[str, int]) -> Iterator[str]:
    """What is wrong with the hold of one run, all its revisions together."""
    held_s, posted = 0, 0
    for number, row in enumerate(revs):
        (
            _, _, rev, state, units, from_s, wall_s, price_id, price, text, gross, fen, made_ms,
            run_units, run_wall_s, unsettled, legs_fen, free, _, _, _, _,
        ) = row  # fmt: skip
        posted += fen
        if run_units is None:
            yield f"{where}: there is no such run"
        elif units != run_units or (not rev and wall_s != run_wall_s):
            yield f"{where}: is for {units} units and {wall_s} s, its run for others"
        elif bool(unsettled) != (state == "HELD"):
            yield f"{where}: is {state}, its run is {'not ' if unsettled else ''}settled"
        if (rev, from_s) != (number, held_s):
            yield f"{where}: revision {rev} is from second {from_s} on, not from {held_s}"
        held_s += wall_s
        try:
            kept = frozen.read(text, price_id, price)
            due = round_fen(_due(kept, units, wall_s, made_ms, free))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            yield f"{where}: what it froze cannot be read: {text!r}"
            continue
        if any(prices.get(one.price_id) != one.price_ufen for one in kept.prices):
            yield f"{where}: froze {price} micro-fen, its price version says otherwise"
        if kept.prices[0][1:] != (price, price_id):
            yield f"{where}: froze {price} micro-fen of {price_id}, and another price within"
        if gross != due or gross != legs_fen:
            yield f"{where}: says {gross} fen, its legs {legs_fen}, its size and price another sum"
    first = revs[0]
    state, ledger, rated, used, reason = (first[at] for at in (3, 18, 19, 20, 21))
    if not posted == ledger == rated:
        yield f"{where}: posted {posted} fen, the ledger says {ledger}, its use {rated}"
    if state not in ("HELD", "SETTLED", "VOIDED") or any(row[3] != state for row in revs):
        yield f"{where}: is {state}"
    elif (state == "SETTLED") != bool(posted or used):
        yield f"{where}: is {state} and posted {posted} fen"
    if reason and reason != frozen.basis(first[9]):
        yield f"{where}: what it froze is not what its entries were booked for"


def _due(kept: Frozen, units: int, wall_s: int, made_ms: int, free: int) -> int:
    """Return what a revision of a hold comes to in micro-fen."""
    if len(kept.prices) == 1:
        return (units * wall_s - free) * kept.prices[0].price_ufen
    total = 0
    span = Span(0, made_ms, made_ms + wall_s * 1000, units)
    for one in cut([span], Cuts(kept.prices)).slices:
        taken = min(free, one.unit_seconds)
        free -= taken
        total += (one.unit_seconds - taken) * one.price_ufen
    return total


def runs_without_holds(connection: Connection, runs: Runs) -> Iterator[str]:
    """Each run has its hold, and each entry of a run too."""
    for uid, attempt in connection.exec_driver_sql(
        "SELECT r.job_uid, r.attempt FROM run r LEFT JOIN hold h ON h.job_uid = r.job_uid"
        " AND h.attempt = r.attempt AND h.rev = 0"
        f" WHERE {runs.has('r')} AND h.state IS NULL ORDER BY r.job_uid, r.attempt"
    ):
        yield f"run {run_id(uid, attempt)}: has no hold"
    for shard, seq, uid, attempt in connection.exec_driver_sql(
        "SELECT t.shard, t.seq, t.job_uid, t.attempt FROM transfer t LEFT JOIN hold h"
        " ON h.job_uid = t.job_uid AND h.attempt = t.attempt AND h.rev = 0"
        f" WHERE {runs.has('t')} AND t.job_uid <> 0 AND h.state IS NULL ORDER BY t.shard, t.seq"
    ):
        yield f"transfer {shard}#{seq}: run {run_id(uid, attempt)} has no hold"
