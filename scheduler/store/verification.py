"""Verification of all money from the first entry: nothing is believed that can be recomputed.

First the entries alone (``quota.audit``): chains, balances, open legs. Then all that tells of the
same money must agree with them: legs and holds, caps, rated use at frozen prices, subsidies, the
sums of jobs, rules and their digests. Each problem names the row that is wrong.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import Final

from sqlalchemy import Connection

from quota.amounts import gross_fen, slices_fen
from quota.audit import Auditor, Balance, leg_id
from scheduler.domain.ids import run_id
from scheduler.store import digests, transfers
from scheduler.store.usage_records import digest


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification of the whole ledger found."""

    transfer_count: int
    shard_count: int
    run_count: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(connection: Connection) -> Verification:
    """Replay every entry and compare with all other records of the same money."""
    auditor = Auditor()
    auditor.take_rows(transfers.stream_rows(connection))
    run = connection.exec_driver_sql
    balances = {
        row[0]: Balance(*row[1:])
        for row in run(
            "SELECT account_id, debits_pending, debits_posted, credits_pending, credits_posted"
            " FROM account"
        )
    }
    heads = transfers.read_heads(connection)
    open_legs = {
        leg_id(*row[:4]): row[4]
        for row in run(
            "SELECT l.job_uid, l.attempt, l.rev, l.leg, l.amount_fen FROM hold_leg l JOIN hold h"
            " ON h.job_uid = l.job_uid AND h.attempt = l.attempt AND h.rev = l.rev"
            " WHERE h.state = 'HELD'"
        )
    }
    auditor.compare(balances, heads, open_legs)
    for check in _CHECKS:
        for text in check(connection):
            auditor.problem(text)
    runs = run("SELECT count(*) FROM hold WHERE state <> 'HELD'").scalar_one()
    return Verification(auditor.count, len(heads), int(runs), tuple(auditor.problems))


# --- holds and their legs -------------------------------------------------------------------------

_LEG: Final = "l.job_uid || '.' || l.attempt || '.' || l.rev || '.' || l.leg"


def _legs(connection: Connection) -> Iterator[str]:
    """Each leg is what its entries say: the one that held it and the one that resolved it."""
    for uid, attempt, rev, leg, state, amount, posted, held, resolved in connection.exec_driver_sql(
        "SELECT l.job_uid, l.attempt, l.rev, l.leg, h.state, l.amount_fen, l.posted_fen,"
        " p.amount_fen, s.amount_fen FROM hold_leg l"
        " LEFT JOIN hold h ON h.job_uid = l.job_uid AND h.attempt = l.attempt AND h.rev = l.rev"
        f" LEFT JOIN transfer p ON p.idem_key = 'hold:' || {_LEG}"
        f" LEFT JOIN transfer s ON s.idem_key = 'settle:' || {_LEG}"
        " WHERE h.state IS NULL OR p.amount_fen IS NULL OR p.amount_fen <> l.amount_fen"
        " OR p.debit_account <> l.debit_account OR p.credit_account <> l.credit_account"
        " OR (h.state = 'HELD') <> (s.amount_fen IS NULL)"
        " OR coalesce(s.amount_fen, 0) <> l.posted_fen"
        " ORDER BY l.job_uid, l.attempt, l.rev, l.leg"
    ):
        yield (
            f"hold_leg {leg_id(uid, attempt, rev, leg)} of run {run_id(uid, attempt)}: its hold is"
            f" {state}, it says {amount} held and {posted} posted; its entries say {held} held and"
            f" {resolved} posted, or other accounts"
        )


def _entries_without_legs(connection: Connection) -> Iterator[str]:
    for shard, seq, leg in connection.exec_driver_sql(
        "SELECT t.shard, t.seq, t.leg_id FROM transfer t WHERE t.kind = 'PENDING' AND NOT EXISTS"
        " (SELECT 1 FROM hold_leg l WHERE l.job_uid = t.job_uid AND l.attempt = t.attempt"
        f" AND t.leg_id = {_LEG}) ORDER BY t.shard, t.seq"
    ):
        yield f"transfer {shard}#{seq}: there is no hold_leg {leg}"


def _holds(connection: Connection) -> Iterator[str]:
    """Each hold is the sum of its legs at the price it froze, and belongs to a run."""
    rows = connection.execution_options(yield_per=5_000).exec_driver_sql(
        "SELECT h.job_uid, h.attempt, h.state, h.units, h.wall_limit_s, h.price_ufen, h.gross_fen,"
        " h.posted_fen, p.price_ufen, r.units, r.wall_limit_s, r.settled_ms IS NULL,"
        " (SELECT coalesce(sum(l.amount_fen), 0) FROM hold_leg l WHERE l.job_uid = h.job_uid"
        " AND l.attempt = h.attempt AND l.rev = h.rev),"
        " (SELECT coalesce(sum(t.amount_fen), 0) FROM transfer t WHERE t.job_uid = h.job_uid"
        " AND t.attempt = h.attempt AND t.kind IN ('POST', 'DIRECT')),"
        " (SELECT coalesce(sum(g.gross_fen), 0) FROM rated_line g WHERE g.job_uid = h.job_uid"
        " AND g.attempt = h.attempt)"
        " FROM hold h LEFT JOIN price_version p ON p.price_id = h.price_id"
        " LEFT JOIN run r ON r.job_uid = h.job_uid AND r.attempt = h.attempt"
        " ORDER BY h.job_uid, h.attempt"
    )
    for row in rows:
        uid, attempt, state, units, wall_s, price, gross, posted = row[:8]
        priced, run_units, run_wall_s, unsettled, legs, ledger, rated = row[8:]
        where = f"hold of run {run_id(uid, attempt)}"
        if run_units is None:
            yield f"{where}: there is no such run"
        elif (run_units, run_wall_s) != (units, wall_s):
            yield f"{where}: is for {units} units and {wall_s} s, its run for others"
        elif bool(unsettled) != (state == "HELD"):
            yield f"{where}: is {state}, its run is {'not ' if unsettled else ''}settled"
        if priced != price:
            yield f"{where}: froze {price} micro-fen, its price version says {priced}"
        if gross != gross_fen(units, wall_s, price) or gross != legs:
            yield f"{where}: says {gross} fen, its legs {legs}, its size and price another sum"
        if not posted == ledger == rated:
            yield f"{where}: posted {posted} fen, the ledger says {ledger}, its use {rated}"
        if state not in ("HELD", "SETTLED", "VOIDED") or (state == "SETTLED") != (posted > 0):
            yield f"{where}: is {state} and posted {posted} fen"


def _runs_without_holds(connection: Connection) -> Iterator[str]:
    for uid, attempt in connection.exec_driver_sql(
        "SELECT r.job_uid, r.attempt FROM run r LEFT JOIN hold h ON h.job_uid = r.job_uid"
        " AND h.attempt = r.attempt WHERE h.state IS NULL ORDER BY r.job_uid, r.attempt"
    ):
        yield f"run {run_id(uid, attempt)}: has no hold"
    for shard, seq, uid, attempt in connection.exec_driver_sql(
        "SELECT t.shard, t.seq, t.job_uid, t.attempt FROM transfer t LEFT JOIN hold h"
        " ON h.job_uid = t.job_uid AND h.attempt = t.attempt"
        " WHERE t.job_uid <> 0 AND h.state IS NULL ORDER BY t.shard, t.seq"
    ):
        yield f"transfer {shard}#{seq}: run {run_id(uid, attempt)} has no hold"


# --- use, subsidies, caps and jobs ----------------------------------------------------------------


def _rated(connection: Connection) -> Iterator[str]:
    """Each line is the use that its center metered, at the price frozen for its run."""
    rows = connection.execution_options(yield_per=5_000).exec_driver_sql(
        "SELECT l.job_uid, l.attempt, l.line, l.seconds, l.units, l.gross_fen, l.billed,"
        " u.start_ms, u.end_ms, u.units, h.price_ufen, l.price_id = h.price_id"
        " FROM rated_line l"
        " LEFT JOIN usage_record u ON u.job_uid = l.job_uid AND u.attempt = l.attempt"
        " AND u.segment = l.segment"
        " LEFT JOIN hold h ON h.job_uid = l.job_uid AND h.attempt = l.attempt"
        " ORDER BY l.job_uid, l.attempt, l.line"
    )
    for (uid, attempt), lines in groupby(rows, key=lambda row: (row[0], row[1])):
        ufens: list[int] = []
        stored: list[tuple[int, int]] = []
        for (
            _,
            _,
            line,
            seconds,
            units,
            fen,
            billed,
            start_ms,
            end_ms,
            metered,
            price,
            same,
        ) in lines:
            where = f"rated_line {line} of run {run_id(uid, attempt)}"
            if metered is None:
                yield f"{where}: there is no usage record"
            elif (units, seconds) != (metered, (end_ms - start_ms) // 1000) or not same:
                yield f"{where}: is not of the use that was metered, or at another price"
            ufens.append(units * seconds * (price or 0) if billed else 0)
            stored.append((line, fen))
        for (line, fen), due in zip(stored, slices_fen(ufens), strict=True):
            if fen != due:
                yield (
                    f"rated_line {line} of run {run_id(uid, attempt)}: says {fen} fen, its use"
                    f" comes to {due}"
                )


def _usage_without_lines(connection: Connection) -> Iterator[str]:
    for center, native_id, uid, attempt in connection.exec_driver_sql(
        "SELECT u.center, u.native_id, u.job_uid, u.attempt FROM usage_record u"
        " LEFT JOIN rated_line l ON l.job_uid = u.job_uid AND l.attempt = u.attempt"
        " AND l.segment = u.segment WHERE l.line IS NULL ORDER BY u.job_uid, u.attempt"
    ):
        yield f"usage_record {center} {native_id} of run {run_id(uid, attempt)}: was not rated"


def _evidence(connection: Connection) -> Iterator[str]:
    """The entries of a run carry the digest of the use they rest on."""
    rows = connection.execution_options(yield_per=5_000).exec_driver_sql(
        "SELECT u.job_uid, u.attempt, u.center, u.native_id, u.submit_ms, u.segment, u.revision,"
        " u.start_ms, u.end_ms, u.units, u.raw_sha256, u.source,"
        " (SELECT min(t.reason) FROM transfer t WHERE t.job_uid = u.job_uid"
        " AND t.attempt = u.attempt AND t.code = 'SETTLE') FROM usage_record u"
        " ORDER BY u.job_uid, u.attempt, u.segment"
    )
    for (uid, attempt), records in groupby(rows, key=lambda row: (row[0], row[1])):
        used = [tuple(row) for row in records]
        basis = used[0][-1]  # None if the run cost nothing, and so has no entries
        if basis is not None and basis != f"use {digest(row[2:-1] for row in used)}":
            yield (
                f"usage_record {used[0][2]} {used[0][3]} of run {run_id(uid, attempt)}: is not what"
                " was settled"
            )


def _subsidies(connection: Connection) -> Iterator[str]:
    """Each subsidy line is what its leg posted, and each subsidy that was posted has its line."""
    for uid, attempt, programme, said, posted in connection.exec_driver_sql(
        "SELECT s.job_uid, s.attempt, s.programme, s.amount_fen, l.posted_fen FROM subsidy_line s"
        " LEFT JOIN hold_leg l ON l.job_uid = s.job_uid AND l.attempt = s.attempt"
        " AND l.programme = s.programme AND l.rule_version = s.rule_version"
        " AND l.debit_account = s.account_id"
        " WHERE l.posted_fen IS NULL OR l.posted_fen <> s.amount_fen"
        " ORDER BY s.job_uid, s.attempt, s.programme"
    ):
        where = f"subsidy_line {programme} of run {run_id(uid, attempt)}"
        yield f"{where}: says {said} fen, its leg posted {posted}"
    for uid, attempt, programme, posted in connection.exec_driver_sql(
        "SELECT l.job_uid, l.attempt, l.programme, l.posted_fen FROM hold_leg l"
        " LEFT JOIN subsidy_line s ON s.job_uid = l.job_uid AND s.attempt = l.attempt"
        " AND s.programme = l.programme"
        " WHERE l.programme IS NOT NULL AND l.posted_fen > 0 AND s.programme IS NULL"
        " ORDER BY l.job_uid, l.attempt, l.programme"
    ):
        where = f"subsidy_line {programme} of run {run_id(uid, attempt)}"
        yield f"{where}: is missing, its leg posted {posted} fen"


def _caps(connection: Connection) -> Iterator[str]:
    """Each counter of an enterprise's year is the sum of its legs (I5)."""
    counters = {
        (row[0], row[1], row[2]): (row[3], row[4])
        for row in connection.exec_driver_sql(
            "SELECT programme, enterprise, year, pending_fen, posted_fen FROM cap_counter"
        )
    }
    legs = {
        (row[0], row[1], row[2]): (int(row[3]), int(row[4]))
        for row in connection.exec_driver_sql(
            "SELECT l.programme, r.enterprise, l.cap_year,"
            " sum(CASE WHEN h.state = 'HELD' THEN l.amount_fen ELSE 0 END), sum(l.posted_fen)"
            " FROM hold_leg l JOIN hold h ON h.job_uid = l.job_uid AND h.attempt = l.attempt"
            " AND h.rev = l.rev"
            " JOIN run r ON r.job_uid = l.job_uid AND r.attempt = l.attempt"
            " WHERE l.programme IS NOT NULL GROUP BY l.programme, r.enterprise, l.cap_year"
        )
    }
    for key in sorted({*counters, *legs}, key=str):
        said, due = counters.get(key, (0, 0)), legs.get(key, (0, 0))
        if said != due:
            name = "/".join(map(str, key))
            yield f"cap_counter {name}: says {said} held and given, its legs come to {due}"


def _jobs(connection: Connection) -> Iterator[str]:
    """The sums that a job shows are those of its runs."""
    for uid, gross, subsidy, self_pay, posted, given in connection.exec_driver_sql(
        "SELECT uid, gross_fen, subsidy_fen, self_pay_fen, posted, given FROM (SELECT j.uid,"
        " j.gross_fen, j.subsidy_fen, j.self_pay_fen,"
        " (SELECT coalesce(sum(h.posted_fen), 0) FROM hold h WHERE h.job_uid = j.uid) AS posted,"
        " (SELECT coalesce(sum(l.posted_fen), 0) FROM hold_leg l WHERE l.job_uid = j.uid"
        " AND l.programme IS NOT NULL) AS given FROM job j WHERE j.attempt > 0 OR j.gross_fen <> 0"
        ") AS sums WHERE gross_fen <> posted OR subsidy_fen <> given"
        " OR self_pay_fen <> gross_fen - subsidy_fen ORDER BY uid"
    ):
        where = f"job {run_id(uid, 1).partition('.')[0]}"
        yield (
            f"{where}: shows {gross} fen, {subsidy} of it subsidy and {self_pay} self-pay; its runs"
            f" come to {posted}, {given} of it subsidy"
        )


def _rules(connection: Connection) -> Iterator[str]:
    for programme, version, body, written in connection.exec_driver_sql(
        "SELECT programme, version, body, sha256 FROM rule_version ORDER BY programme, version"
    ):
        if sha256(str(body).encode()).hexdigest() != written:
            yield f"rule_version {programme}/{version}: was changed after it was written"


def _limits(connection: Connection) -> Iterator[str]:
    for account, kind in connection.exec_driver_sql(
        "SELECT account_id, kind FROM account WHERE kind IN ('FUND', 'WALLET') AND NOT limited"
        " ORDER BY account_id"
    ):
        yield f"account {account}: is a {kind} without a limit"


_CHECKS: Final[tuple[Callable[[Connection], Iterable[str]], ...]] = (
    _legs,
    _entries_without_legs,
    _holds,
    _runs_without_holds,
    _rated,
    _usage_without_lines,
    _evidence,
    _subsidies,
    _caps,
    _jobs,
    _rules,
    _limits,
    digests.problems,
)
