"""Verification of charges: use at frozen prices, subsidies, corrections, caps, and sums of jobs."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from quota.amounts import slices_fen
from quota.calendar import natural_year
from scheduler.domain.ids import run_id
from scheduler.store.database import bulk_stream
from scheduler.store.usage_records import digest
from scheduler.store.verification_runs import Runs

_CHARGED: Final = "t.kind IN ('POST', 'DIRECT') AND t.code IN ('SETTLE', 'OVERRUN', 'CORRECT')"


class _Rated(NamedTuple):
    """A line of use, with the record, the price and the correction that it is of."""

    uid: int
    attempt: int
    revision: int
    line: int
    segment: int
    price_id: str
    seconds: int
    units: int
    free: int
    fen: int
    billed: bool
    start_ms: int
    end_ms: int
    used_from_ms: int | None
    used_to_ms: int | None
    used_units: int | None
    price_ufen: int | None
    kind: str | None
    corrected_fen: int | None

    @property
    def where(self) -> str:
        revision = f" of revision {self.revision}" if self.revision else ""
        return f"rated_line {self.line}{revision} of run {run_id(self.uid, self.attempt)}"


def rated(connection: Connection, runs: Runs) -> Iterator[str]:
    """Each line is the use that its center metered, at a price frozen for its run."""
    rows = bulk_stream(
        connection,
        "SELECT l.job_uid, l.attempt, l.revision, l.line, l.segment, l.price_id, l.seconds,"
        " l.units, l.free, l.gross_fen, l.billed, l.start_ms, l.end_ms, u.start_ms, u.end_ms,"
        " u.units, p.price_ufen, c.kind, c.gross_fen FROM rated_line l"
        " LEFT JOIN usage_record u ON u.job_uid = l.job_uid AND u.attempt = l.attempt"
        " AND u.segment = l.segment AND u.revision = (SELECT max(x.revision) FROM usage_record x"
        " WHERE x.job_uid = l.job_uid AND x.attempt = l.attempt AND x.segment = l.segment"
        " AND x.charge_revision <= l.revision)"
        " LEFT JOIN hold h ON h.job_uid = l.job_uid AND h.attempt = l.attempt AND h.rev = 0"
        " LEFT JOIN price_version p ON p.price_id = l.price_id"
        " AND (l.price_id = h.price_id OR strpos(h.frozen, l.price_id) > 0)"
        " LEFT JOIN correction c ON c.job_uid = l.job_uid AND c.attempt = l.attempt"
        " AND c.revision = l.revision"
        f" WHERE {runs.has('l')} ORDER BY l.job_uid, l.attempt, l.revision, l.line".replace(
            "strpos", "instr" if connection.dialect.name == "sqlite" else "strpos"
        ),
    )
    for _, found in groupby(map(_rated, rows), key=lambda one: (one.uid, one.attempt)):
        before: list[_Rated] = []
        revision = -1
        for number, lines in groupby(found, key=lambda one: one.revision):
            these = list(lines)
            if number != revision + 1 and (revision, number) != (-1, 1):  # none, then late use
                yield f"{these[0].where}: follows revision {revision}"
            revision = number
            back = [one for one in these if one.line < 0]
            before_fen = [_taken_back(one) for one in before]
            if before_fen != [_as_told(one) for one in reversed(back)]:
                yield f"{these[0].where}: does not take back what stood before it"
            before = [one for one in these if one.line >= 0]
            yield from _of_revision(before)


def _rated(row: Sequence[Any]) -> _Rated:
    return _Rated(*row)


def _taken_back(one: _Rated) -> tuple[object, ...]:
    """What the line that takes one back must say."""
    return -1 - one.line, -one.seconds, -one.free, -one.fen, *_kept(one)


def _as_told(one: _Rated) -> tuple[object, ...]:
    return one.line, one.seconds, one.free, one.fen, *_kept(one)


def _kept(one: _Rated) -> tuple[object, ...]:
    return one.segment, one.price_id, one.units, bool(one.billed), one.start_ms, one.end_ms


def _of_revision(lines: Sequence[_Rated]) -> Iterator[str]:
    """What is wrong with the lines of one revision of a run's charge."""
    reached: dict[int, int] = {}
    ufens: list[int] = []
    for one in lines:
        if one.used_from_ms is None or one.used_to_ms is None:
            yield f"{one.where}: there is no usage record"
            continue
        begins_ms = reached.get(one.segment, one.used_from_ms)
        whole_s = (one.end_ms - one.used_from_ms) // 1000
        seconds = whole_s - (one.start_ms - one.used_from_ms) // 1000
        if (one.start_ms, one.units, one.seconds) != (begins_ms, one.used_units, seconds):
            yield f"{one.where}: is not of the use that was metered"
        if one.price_ufen is None:
            yield f"{one.where}: is at a price that was not frozen for its run"
        if not 0 <= one.free <= one.units * one.seconds:
            yield f"{one.where}: has {one.free} free unit-seconds"
        reached[one.segment] = one.end_ms
        paid = (one.units * one.seconds - one.free) * (one.price_ufen or 0)
        ufens.append(paid if one.billed else 0)
    last = {one.segment: one for one in lines}
    for one in last.values():
        if one.used_to_ms is not None and one.end_ms != one.used_to_ms:
            yield f"{one.where}: ends before the use that was metered"
    if lines and lines[0].revision and lines[0].kind is None:
        yield f"{lines[0].where}: there is no such correction"
    if lines and lines[0].kind == "DECIDED":
        due = sum(one.fen for one in lines)
        if due != lines[0].corrected_fen:
            yield f"{lines[0].where}: its revision comes to {due} fen, its correction says another"
    elif len(ufens) == len(lines):
        for one, fen in zip(lines, slices_fen(ufens), strict=True):
            if one.fen != fen:
                yield f"{one.where}: says {one.fen} fen, its use comes to {fen}"


def usage_without_lines(connection: Connection, runs: Runs) -> Iterator[str]:
    """Each record of use was rated in the revision that it came with."""
    for center, native_id, uid, attempt in connection.exec_driver_sql(
        "SELECT u.center, u.native_id, u.job_uid, u.attempt FROM usage_record u"
        " LEFT JOIN rated_line l ON l.job_uid = u.job_uid AND l.attempt = u.attempt"
        " AND l.segment = u.segment AND l.revision = u.charge_revision AND l.line >= 0"
        f" WHERE {runs.has('u')} AND l.line IS NULL"
        " ORDER BY u.job_uid, u.attempt, u.center, u.native_id, u.submit_ms, u.segment, u.revision"
    ):
        yield f"usage_record {center} {native_id} of run {run_id(uid, attempt)}: was not rated"


def evidence(connection: Connection, runs: Runs) -> Iterator[str]:
    """The entries of a run, and its corrections, carry the digest of the use they rest on."""
    rows = bulk_stream(
        connection,
        "SELECT u.job_uid, u.attempt, u.center, u.native_id, u.submit_ms, u.segment, u.revision,"
        " u.start_ms, u.end_ms, u.units, u.raw_sha256, u.source, u.charge_revision,"
        " CASE WHEN u.charge_revision = 0 THEN (SELECT min(t.reason) FROM transfer t"
        " WHERE t.job_uid = u.job_uid AND t.attempt = u.attempt AND t.code = 'SETTLE')"
        " ELSE (SELECT c.basis FROM correction c WHERE c.job_uid = u.job_uid"
        " AND c.attempt = u.attempt AND c.revision = u.charge_revision) END FROM usage_record u"
        f" WHERE {runs.has('u')}"
        " ORDER BY u.job_uid, u.attempt, u.charge_revision, u.segment, u.revision, u.center,"
        " u.native_id, u.submit_ms",
    )
    for (uid, attempt), records in groupby(rows, key=lambda row: (row[0], row[1])):
        newest: dict[int, tuple[Any, ...]] = {}
        for _, found in groupby(records, key=lambda row: row[12]):
            these = [tuple(row) for row in found]
            newest.update((row[5], row) for row in these)
            basis = these[0][-1]  # None if the run cost nothing, and so has no entries
            if basis is not None and basis != f"use {digest(row[2:12] for row in newest.values())}":
                yield (
                    f"usage_record {these[0][2]} {these[0][3]} of run {run_id(uid, attempt)}: is"
                    " not what was settled"
                )


def subsidies(connection: Connection, runs: Runs) -> Iterator[str]:
    """What the lines say an account gave a run is what its entries took from it."""
    for uid, attempt, account, programmes, said, due in connection.exec_driver_sql(
        "SELECT job_uid, attempt, account, max(programme), sum(said), sum(due) FROM ("
        "SELECT s.job_uid, s.attempt, s.account_id AS account, s.programme, s.amount_fen AS said,"
        f" 0 AS due FROM subsidy_line s WHERE {runs.has('s')} UNION ALL"
        " SELECT t.job_uid, t.attempt, CASE WHEN t.reverses = '' THEN t.debit_account"
        " ELSE t.credit_account END, '', 0, CASE WHEN t.reverses = '' THEN t.amount_fen"
        f" ELSE -t.amount_fen END FROM transfer t WHERE {runs.has('t')} AND {_CHARGED})"
        " AS both_sides"
        " WHERE account NOT LIKE 'wallet:%' AND account NOT LIKE 'receivable:%'"
        " GROUP BY job_uid, attempt, account HAVING sum(said) <> sum(due)"
        " ORDER BY job_uid, attempt, account"
    ):
        where = f"subsidy_line {programmes or account} of run {run_id(uid, attempt)}"
        yield f"{where}: the lines say that {account} gave {said}, its entries say {due}"
    yield from _given_again(connection, runs)
    yield from _given_by(connection, runs)
    yield from _free(connection, runs)


def _given_by(connection: Connection, runs: Runs) -> Iterator[str]:
    """Each line is of an account that its run held, and counts in its year's cap."""
    rows = bulk_stream(
        connection,
        "SELECT s.job_uid, s.attempt, s.programme, s.cap_year, s.start_ms, v.cap_year,"
        " EXISTS (SELECT 1 FROM hold_leg l WHERE l.job_uid = s.job_uid AND l.attempt = s.attempt"
        " AND l.programme = s.programme AND l.rule_version = s.rule_version"
        " AND s.ledger = CASE WHEN l.kind = 'GRANT' THEN 'UNIT_S' ELSE 'CNY' END"
        " AND (l.debit_account = s.account_id OR s.revision > 0)) FROM subsidy_line s"
        " LEFT JOIN voucher v ON v.account_id = s.account_id"
        f" WHERE {runs.has('s')} ORDER BY s.job_uid, s.attempt, s.revision, s.line",
    )
    for uid, attempt, programme, year, start_ms, issued, held in rows:
        if not held or year not in (None, issued, _year_of(start_ms)):
            yield (
                f"subsidy_line {programme} of run {run_id(uid, attempt)}: is of nothing that was"
                f" held for it, or of the cap of {year}"
            )


def _year_of(at_ms: int) -> int | None:
    """The natural year at an instant; None if what is said is none."""
    with suppress(ValueError, OverflowError, OSError, TypeError):
        return natural_year(at_ms)
    return None


def _free(connection: Connection, runs: Runs) -> Iterator[str]:
    """Unit-seconds that cost nothing are those that grants gave."""
    for uid, attempt, free, given in connection.exec_driver_sql(
        "SELECT job_uid, attempt, sum(free), sum(given) FROM ("
        "SELECT l.job_uid, l.attempt, l.revision, l.free, 0 AS given FROM rated_line l"
        f" WHERE {runs.has('l')} UNION ALL"
        " SELECT s.job_uid, s.attempt, s.revision, 0, s.amount_fen FROM subsidy_line s"
        f" WHERE {runs.has('s')} AND s.ledger = 'UNIT_S') AS sums"
        " GROUP BY job_uid, attempt, revision"
        " HAVING sum(free) <> sum(given) ORDER BY job_uid, attempt, revision"
    ):
        yield (
            f"rated_line of run {run_id(uid, attempt)}: {free} unit-seconds are free, grants gave"
            f" {given}"
        )


def _given_again(connection: Connection, runs: Runs) -> Iterator[str]:
    """Each later revision takes back all lines of the one before it; rules must be there."""
    for uid, attempt, programme, revision in connection.exec_driver_sql(
        "SELECT s.job_uid, s.attempt, s.programme, s.revision FROM subsidy_line s"
        " LEFT JOIN rule_version r ON r.programme = s.programme AND r.version = s.rule_version"
        " LEFT JOIN subsidy_line b ON s.line < 0 AND b.job_uid = s.job_uid"
        " AND b.attempt = s.attempt AND b.revision = CAST(s.revision AS bigint) - 1"
        " AND b.line = -1 - s.line"
        " LEFT JOIN correction c ON c.job_uid = s.job_uid AND c.attempt = s.attempt"
        " AND c.revision = s.revision"
        f" WHERE {runs.has('s')} AND (r.version IS NULL OR (s.revision <> 0 AND c.revision IS NULL)"
        " OR (s.line < 0 AND (b.line IS NULL"
        " OR b.amount_fen <> -CAST(s.amount_fen AS numeric) OR b.programme <> s.programme"
        " OR coalesce(b.cap_year, 0) <> coalesce(s.cap_year, 0)))"
        " OR (s.line >= 0 AND s.amount_fen <= 0))"
        " ORDER BY s.job_uid, s.attempt, s.revision, s.line"
    ):
        yield (
            f"subsidy_line {programme} of run {run_id(uid, attempt)}: of revision {revision}, has"
            " no rule or correction, gives nothing, or takes back what was not given"
        )
    for uid, attempt, programme in connection.exec_driver_sql(
        "SELECT s.job_uid, s.attempt, s.programme FROM subsidy_line s JOIN correction c"
        " ON c.job_uid = s.job_uid AND c.attempt = s.attempt"
        " AND c.revision = CAST(s.revision AS bigint) + 1"
        " LEFT JOIN subsidy_line a ON a.job_uid = s.job_uid AND a.attempt = s.attempt"
        " AND a.revision = c.revision AND a.line = -1 - s.line"
        f" WHERE {runs.has('s')} AND s.line >= 0 AND a.line IS NULL"
        " ORDER BY s.job_uid, s.attempt, s.line"
    ):
        yield (
            f"subsidy_line {programme} of run {run_id(uid, attempt)}: a correction does not take it"
            " back"
        )


def corrections(connection: Connection, runs: Runs) -> Iterator[str]:
    """Each correction is what its lines come to, and the last one what the entries come to."""
    for row in connection.exec_driver_sql(
        "SELECT c.job_uid, c.attempt, c.revision, c.gross_fen, c.subsidy_fen, c.receivable_fen,"
        " (SELECT coalesce(sum(l.gross_fen), -1) FROM rated_line l WHERE l.job_uid = c.job_uid"
        " AND l.attempt = c.attempt AND l.revision = c.revision AND l.line >= 0),"
        " (SELECT coalesce(sum(s.amount_fen), 0) FROM subsidy_line s WHERE s.job_uid = c.job_uid"
        " AND s.attempt = c.attempt AND s.revision = c.revision AND s.line >= 0"
        " AND s.ledger = 'CNY'),"
        f" {_net('payable', 'credit', 'debit')}, {_net('receivable', 'debit', 'credit')},"
        " (SELECT max(n.revision) FROM correction n WHERE n.job_uid = c.job_uid"
        " AND n.attempt = c.attempt) FROM correction c"
        f" WHERE {runs.has('c')} ORDER BY c.job_uid, c.attempt, c.revision"
    ):
        uid, attempt, revision, gross, given, owed, lines, subsidies_, paid, debt, last = row
        where = f"correction {revision} of run {run_id(uid, attempt)}"
        if (gross, given) != (lines, subsidies_):
            yield f"{where}: says {gross} fen, {given} of it subsidy; its lines say otherwise"
        if revision == last and (gross, owed) != (paid, debt):
            yield f"{where}: says {gross} fen, {owed} of it debt; the ledger says {paid} and {debt}"


def reversals(connection: Connection) -> Iterator[str]:
    """Each entry that reverses another one takes back all of it, once."""
    again: dict[str, int] = {}
    for shard, seq, key, wrong, count in connection.exec_driver_sql(
        "SELECT shard, seq, reverses, wrong, times FROM (SELECT t.shard, t.seq, t.reverses,"
        " (o.idem_key IS NULL OR o.amount_fen <> t.amount_fen OR o.job_uid <> t.job_uid"
        " OR o.attempt <> t.attempt OR o.reverses <> '' OR o.credit_account <> t.debit_account)"
        " AS wrong, count(*) OVER (PARTITION BY t.reverses) AS times FROM transfer t"
        " LEFT JOIN transfer o ON o.idem_key = t.reverses WHERE t.reverses <> '') AS reversing"
        " WHERE wrong OR times > 1 ORDER BY shard, seq"
    ):
        if wrong:
            yield f"transfer {shard}#{seq}: does not reverse the entry that it names"
        if count > 1:
            again[key] = count
    for key, count in sorted(again.items()):
        yield f"transfer {key}: was reversed {count} times"


def _net(kind: str, plus: str, minus: str) -> str:
    """SQL of what the charges of a correction's run come to on accounts of a kind."""
    return (
        f"(SELECT coalesce(sum(CASE WHEN t.{plus}_account LIKE '{kind}:%' THEN t.amount_fen"
        f" WHEN t.{minus}_account LIKE '{kind}:%' THEN -t.amount_fen ELSE 0 END), 0)"
        f" FROM transfer t WHERE t.job_uid = c.job_uid AND t.attempt = c.attempt AND {_CHARGED})"
    )


def debts(connection: Connection, runs: Runs) -> Iterator[str]:
    """Nothing is written off that is not owed, nor clawed back that was not given."""
    for uid, attempt, off, owed in connection.exec_driver_sql(
        "SELECT job_uid, attempt, sum(gone), sum(owed) FROM ("
        "SELECT t.job_uid, t.attempt, CASE WHEN t.code = 'WRITE_OFF' THEN t.amount_fen ELSE 0 END"
        " AS gone, CASE WHEN t.code = 'WRITE_OFF' THEN 0"
        " WHEN t.debit_account LIKE 'receivable:%' THEN t.amount_fen ELSE -t.amount_fen END AS owed"
        f" FROM transfer t WHERE {runs.has('t')} AND (t.code = 'WRITE_OFF'"
        " OR t.debit_account LIKE 'receivable:%' OR t.credit_account LIKE 'receivable:%'))"
        " AS sums WHERE job_uid <> 0 GROUP BY job_uid, attempt HAVING sum(gone) > sum(owed)"
        " ORDER BY job_uid, attempt"
    ):
        yield f"run {run_id(uid, attempt)}: {off} fen of its debt of {owed} are written off"
    for uid, attempt, back, given in connection.exec_driver_sql(
        "SELECT job_uid, attempt, sum(back), sum(given) FROM ("
        "SELECT t.job_uid, t.attempt, t.amount_fen AS back, 0 AS given FROM transfer t"
        f" WHERE {runs.has('t')} AND t.code = 'CLAWBACK' UNION ALL"
        " SELECT s.job_uid, s.attempt, 0, s.amount_fen FROM subsidy_line s"
        f" WHERE {runs.has('s')} AND s.ledger = 'CNY') AS sums GROUP BY job_uid, attempt"
        " HAVING sum(back) > sum(given) ORDER BY job_uid, attempt"
    ):
        yield f"run {run_id(uid, attempt)}: {back} fen of its subsidies of {given} are clawed back"


def caps(connection: Connection) -> Iterator[str]:
    """Each counter of an enterprise's year is what was given, is held, or lies in vouchers (I5)."""
    counters = {
        (row[0], row[1], row[2]): (row[3], row[4])
        for row in connection.exec_driver_sql(
            "SELECT programme, enterprise, year, pending_fen, posted_fen FROM cap_counter"
        )
    }
    due = {
        (row[0], row[1], row[2]): (int(row[3]), int(row[4]))
        for row in connection.exec_driver_sql(
            "SELECT programme, enterprise, year, sum(pending), sum(posted) FROM ("
            "SELECT l.programme, r.enterprise, l.cap_year AS year, l.amount_fen AS pending,"
            " 0 AS posted FROM hold_leg l JOIN hold h ON h.job_uid = l.job_uid"
            " AND h.attempt = l.attempt AND h.rev = l.rev"
            " JOIN run r ON r.job_uid = l.job_uid AND r.attempt = l.attempt"
            " WHERE h.state = 'HELD' AND l.programme IS NOT NULL AND NOT l.cap_reserved"
            " AND l.kind <> 'GRANT' UNION ALL"
            " SELECT s.programme, r.enterprise, s.cap_year, 0, s.amount_fen FROM subsidy_line s"
            " JOIN run r ON r.job_uid = s.job_uid AND r.attempt = s.attempt"
            " WHERE s.ledger = 'CNY' UNION ALL"
            " SELECT v.programme, v.enterprise, v.cap_year, a.credits_posted - a.debits_posted, 0"
            " FROM voucher v JOIN account a ON a.account_id = v.account_id) AS sums"
            " WHERE year IS NOT NULL GROUP BY programme, enterprise, year"
        )
    }
    for key in sorted({*counters, *due}, key=str):
        said, is_due = counters.get(key, (0, 0)), due.get(key, (0, 0))
        if said != is_due:
            name = "/".join(map(str, key))
            yield f"cap_counter {name}: says {said} held and given, its charges come to {is_due}"


def jobs(connection: Connection) -> Iterator[str]:
    """The sums that a job shows are those of its runs as they stand."""
    for uid, gross, subsidy, self_pay, charged, given in connection.exec_driver_sql(
        "SELECT uid, gross_fen, subsidy_fen, self_pay_fen, charged, given FROM (SELECT j.uid,"
        " j.gross_fen, j.subsidy_fen, j.self_pay_fen, coalesce(l.charged, 0) AS charged,"
        " coalesce(s.given, 0) AS given FROM job j"
        " LEFT JOIN (SELECT job_uid, sum(gross_fen) AS charged FROM rated_line GROUP BY job_uid) l"
        " ON l.job_uid = j.uid"
        " LEFT JOIN (SELECT job_uid, sum(amount_fen) AS given FROM subsidy_line"
        " WHERE ledger = 'CNY' GROUP BY job_uid) s ON s.job_uid = j.uid"
        " WHERE j.attempt > 0 OR j.gross_fen <> 0"
        ") AS sums WHERE gross_fen <> charged OR subsidy_fen <> given"
        " OR self_pay_fen <> gross_fen - subsidy_fen ORDER BY uid"
    ):
        where = f"job {run_id(uid, 1).partition('.')[0]}"
        yield (
            f"{where}: shows {gross} fen, {subsidy} of it subsidy and {self_pay} self-pay; its runs"
            f" come to {charged}, {given} of it subsidy"
        )
