"""What statements are made of, read from the ledger block by block: charges, use, entries.

Whatever books money for a run has its place in a statement by this module alone. A charge is what
was booked together for one run (``quota.statements``); its entries come from the ledger, what is
said of them from lines of the same instant. Blocks are read one after the other, each on a snapshot
of its own: the entries of a closed period never change.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from quota.calendar import natural_year, period_bounds
from quota.statements import Charge, Given, Party, Posting, StatementKind, kind_of
from quota.stating import YearTotals
from quota.transfers import Link
from scheduler.domain.ids import run_id
from scheduler.store import transfers
from scheduler.store.database import bulk_read
from scheduler.store.tables import BOOKED

#: Charges of a block.
BLOCK: Final = 500
#: Kinds of accounts whose gifts a city states; a write-off of its own is what a fund has forgone.
OWN_KINDS: Final = "('FUND', 'VOUCHER', 'LAPSED', 'GRANT', 'WRITE_OFF')"
_BOOKED: Final = (
    " AND ".join(f"t.{part}" for part in BOOKED.split(" AND ")) + " AND t.amount_fen > 0"
)
_OWN: Final = (
    "EXISTS (SELECT 1 FROM account a WHERE a.account_id = t.{side}"
    f" AND a.city = ? AND a.kind IN {OWN_KINDS})"
)
#: Whose an entry is. Each side of it is asked by itself: else a planner takes what it joins to be
#: so few that it reads a whole period for each block, and sorts it.
_OWNER: Final = {
    StatementKind.CITY: (
        f"({_OWN.format(side='debit_account')} OR {_OWN.format(side='credit_account')})"
    ),
    StatementKind.ENTERPRISE: (
        "EXISTS (SELECT 1 FROM run r WHERE r.job_uid = t.job_uid AND r.attempt = t.attempt"
        " AND r.enterprise = ?)"
    ),
    StatementKind.CENTER: (
        "EXISTS (SELECT 1 FROM run r WHERE r.job_uid = t.job_uid AND r.attempt = t.attempt"
        " AND r.center = ?)"
    ),
}


class Key(NamedTuple):
    """A charge: when it was booked, and for which run. They are stated in this order."""

    booked_ms: int
    job_uid: int
    attempt: int


class Source(NamedTuple):
    """Whose charges, booked in [start_ms, end_ms)."""

    kind: StatementKind
    owner: str
    start_ms: int
    end_ms: int


def keys(connection: Connection, source: Source, after: Key | None, limit: int) -> list[Key]:
    """Return at most ``limit`` charges after one, in order."""
    at = after or Key(source.start_ms, 0, 0)
    owner, owners = _owned(source)
    rows = bulk_read(
        connection,
        "SELECT DISTINCT t.effective_ms, t.job_uid, t.attempt FROM transfer t"
        f" WHERE t.effective_ms >= ? AND t.effective_ms < ? AND {_BOOKED}"
        " AND (t.effective_ms, t.job_uid, t.attempt) > (?, ?, ?)"
        f" AND {owner} ORDER BY t.effective_ms, t.job_uid, t.attempt LIMIT {limit}",
        (at.booked_ms, source.end_ms, *at, *owners),
    )
    return [Key._make(row) for row in rows]


def _owned(source: Source) -> tuple[str, list[str]]:
    """Return the condition that an entry ``t`` is the owner's, and its values."""
    condition = _OWNER[source.kind]
    return condition, [source.owner] * condition.count("?")


def charges(connection: Connection, found: Sequence[Key]) -> list[Charge]:
    """Return charges with all that is stated of them, in order."""
    if not found:
        return []
    runs = _runs(connection, found)
    postings = _postings(connection, found)
    rated = _rated(connection, found)
    given = _given(connection, found)
    return [
        _charge(key, runs[key[1:]], postings[key], rated.get(key, _NOTHING), given[key])
        for key in found
    ]


class _Run(NamedTuple):
    """What is stated of a run."""

    city: str
    enterprise: str
    center: str
    flavor: str
    unit: str
    contract: str
    project: str


class _Use(NamedTuple):
    """What was rated of a charge; None for what there is not, or not one."""

    unit_seconds: int
    price_ufen: int | None
    price_ids: tuple[str, ...]
    start_ms: int | None
    end_ms: int | None


_NOTHING: Final = _Use(0, None, (), None, None)
#: Accounts whose names say the programme.
_NAMED: Final = frozenset({"fund", "lapsed", "grant", "forgone"})


def _charge(
    key: Key, run: _Run, postings: list[Posting], use: _Use, given: dict[str, Given]
) -> Charge:
    for one in postings:
        for account in (one.debit_account, one.credit_account):
            if account not in given and kind_of(account) in _NAMED:
                given[account] = Given(account.split(":", 2)[1])
    name = run_id(key.job_uid, key.attempt)
    return Charge(
        key.booked_ms, name.partition(".")[0], name, run.enterprise, run.city, run.contract,
        run.project, run.center, run.flavor, run.unit, *use, tuple(postings), given,
    )  # fmt: skip


def _uids(found: Sequence[Key]) -> tuple[str, list[int]]:
    """Return marks and values for an IN list of charges' jobs.

    Always as many as a block has (some repeated), so that there is one statement to prepare and
    keep, not one for each block.
    """
    uids = sorted({key.job_uid for key in found})
    size = -(-len(uids) // BLOCK) * BLOCK
    return ", ".join("?" * size), uids + uids[-1:] * (size - len(uids))


def _runs(connection: Connection, found: Sequence[Key]) -> dict[tuple[int, int], _Run]:
    marks, uids = _uids(found)
    rows = bulk_read(
        connection,
        "SELECT r.job_uid, r.attempt, r.city, r.enterprise, r.center, r.flavor, f.unit, j.contract,"
        " j.project"
        " FROM run r JOIN job j ON j.uid = r.job_uid LEFT JOIN flavor f ON f.code = r.flavor"
        f" WHERE r.job_uid IN ({marks})",
        uids,
    )
    return {
        (uid, attempt): _Run(city, enterprise, center, flavor, unit or "", contract, project)
        for uid, attempt, city, enterprise, center, flavor, unit, contract, project in rows
    }


def _postings(connection: Connection, found: Sequence[Key]) -> dict[Key, list[Posting]]:
    made: dict[Key, list[Posting]] = {key: [] for key in found}
    places, values = _places(found)
    for row in bulk_read(
        connection,
        "SELECT t.effective_ms, t.job_uid, t.attempt, t.shard, t.seq, t.hash, t.code,"
        " t.debit_account, t.credit_account, t.amount_fen, t.ledger, t.reverses, t.ref_period"
        f" FROM {places} CROSS JOIN transfer t WHERE t.effective_ms = k.column1"
        f" AND t.job_uid = k.column2 AND t.attempt = k.column3 AND {_BOOKED}"
        " ORDER BY t.shard, t.seq",
        values,
    ):
        made[row[:3]].append(Posting._make(row[3:]))  # type: ignore[index]
    return made


def _places(found: Sequence[Key]) -> tuple[str, list[int | None]]:
    """Return a table ``k`` of charges, and its values; as long as ``_uids`` for the same reason.

    What is left over of it meets no entry. It comes first in a join, so that entries are looked up
    by it, whatever a planner takes to be better.
    """
    size = -(-len(found) // BLOCK) * BLOCK
    values: list[int | None] = list(chain.from_iterable(found))
    values += [None] * (3 * (size - len(found)))
    return f"(VALUES {', '.join(['(?, ?, ?)'] * size)}) AS k", values


def _rated(connection: Connection, found: Sequence[Key]) -> dict[Key, _Use]:
    lines: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    marks, uids = _uids(found)
    for row in bulk_read(
        connection,
        "SELECT l.booked_ms, l.job_uid, l.attempt, l.seconds * l.units, p.price_ufen, l.price_id,"
        " l.start_ms, l.end_ms FROM rated_line l LEFT JOIN price_version p"
        f" ON p.price_id = l.price_id WHERE l.job_uid IN ({marks}) AND l.billed",
        uids,
    ):
        lines.setdefault(row[:3], []).append(row[3:])
    return {key: _use(lines[key]) for key in found if key in lines}


def _use(rows: Sequence[tuple[Any, ...]]) -> _Use:
    if len(rows) == 1:
        unit_seconds, price, price_id, start_ms, end_ms = rows[0]
        return _Use(unit_seconds, price, (price_id,), start_ms, end_ms)
    prices = {row[1] for row in rows}
    return _Use(
        sum(row[0] for row in rows),
        prices.pop() if len(prices) == 1 else None,
        tuple(sorted({row[2] for row in rows})),
        min(row[3] for row in rows),
        max(row[4] for row in rows),
    )


def _given(connection: Connection, found: Sequence[Key]) -> dict[Key, dict[str, Given]]:
    made: dict[Key, dict[str, Given]] = {key: {} for key in found}
    marks, uids = _uids(found)
    for row in bulk_read(
        connection,
        "SELECT booked_ms, job_uid, attempt, account_id, programme, rule_version, binding,"
        f" start_ms FROM subsidy_line WHERE job_uid IN ({marks})"
        " ORDER BY job_uid, attempt, revision, line",
        uids,
    ):
        mine = made.get(row[:3])  # type: ignore[call-overload]
        if mine is None:
            continue  # of the same run, stated elsewhere
        account, given = row[3], Given._make(row[4:])
        before = mine.get(account)
        if before is None:
            mine[account] = given
        elif given.binding not in before.binding.split("; "):  # of another slice of the run
            mine[account] = before._replace(binding=f"{before.binding}; {given.binding}")
    return made


# --- names, and what was given before -------------------------------------------------------------


def own_accounts(connection: Connection, city: str) -> frozenset[str]:
    """Return the accounts whose gifts a city's statement states."""
    rows = bulk_read(
        connection,
        f"SELECT account_id FROM account WHERE city = ? AND kind IN {OWN_KINDS}",
        (city,),
    )
    return frozenset(account for (account,) in rows)


def parties(connection: Connection) -> dict[tuple[str, str], Party]:
    """Return how enterprises and programmes are called now."""
    enterprises = bulk_read(connection, "SELECT code, name, coalesce(uscc, '') FROM enterprise")
    programmes = bulk_read(connection, "SELECT code, name, document_ref FROM programme")
    return {
        (kind, code): Party(name, ref)
        for kind, rows in (("enterprises", enterprises), ("programmes", programmes))
        for code, name, ref in rows
    }


def year_totals(connection: Connection, source: Source) -> YearTotals:
    """Return what programmes gave before the period, by enterprise and natural year of the use.

    Of a city its own programmes, of an enterprise what it got.
    """
    last = natural_year(source.start_ms)
    (first_ms,) = bulk_read(connection, "SELECT min(start_ms) FROM subsidy_line")[0]
    first = last if first_ms is None else min(last, natural_year(first_ms))
    where = {
        StatementKind.CITY: " AND p.city = ?",
        StatementKind.ENTERPRISE: " AND r.enterprise = ?",
        StatementKind.CENTER: " AND ? <> ''",
    }[source.kind]
    totals: dict[tuple[str, str, int], int] = {}
    for year in range(first, last + 1):
        start_ms, end_ms = period_bounds(str(year))
        for programme, enterprise, fen in bulk_read(
            connection,
            "SELECT s.programme, r.enterprise, sum(s.amount_fen) FROM subsidy_line s"
            " JOIN run r ON r.job_uid = s.job_uid AND r.attempt = s.attempt"
            " JOIN programme p ON p.code = s.programme WHERE s.booked_ms < ? AND s.ledger = 'CNY'"
            f" AND s.start_ms >= ? AND s.start_ms < ?{where} GROUP BY s.programme, r.enterprise",
            (source.start_ms, start_ms, end_ms, source.owner),
        ):
            totals[programme, enterprise, year] = int(fen)
    return totals


def later_fen(connection: Connection, source: Source, months: Sequence[str]) -> int:
    """Return what corrections of a period's use changed of it that were booked after it, in fen.

    Of a city its share, else the gross.
    """
    marks = ", ".join("?" * len(months))
    mine = "a.city = ?" if source.kind is StatementKind.CITY else "'' <> ?"
    kinds = OWN_KINDS if source.kind is StatementKind.CITY else "('CENTER_PAYABLE')"
    sign = 1 if source.kind is StatementKind.CITY else -1
    owner, owners = _owned(source)
    (fen,) = bulk_read(
        connection,
        "SELECT coalesce(sum(CASE WHEN a.account_id = t.debit_account THEN t.amount_fen"
        " ELSE -t.amount_fen END), 0) FROM transfer t"
        " JOIN account a ON a.account_id IN (t.debit_account, t.credit_account)"
        f" WHERE t.effective_ms >= ? AND {_BOOKED} AND t.ledger = 'CNY'"
        f" AND t.ref_period IN ({marks}) AND {owner}"
        f" AND a.kind IN {kinds} AND {mine}",
        (source.end_ms, *months, *owners, source.owner),
    )[0]
    return sign * int(fen)


# --- evidence -------------------------------------------------------------------------------------


def usage(connection: Connection, found: Sequence[Key]) -> list[tuple[Key, tuple[Any, ...]]]:
    """Return the metered use of each charge's run, all revisions of it.

    A row is (center, native id, submit_ms, segment, revision, start_ms, end_ms, nodes, units,
    raw_sha256, source).
    """
    if not found:
        return []
    marks, uids = _uids(found)
    rows = bulk_read(
        connection,
        "SELECT u.job_uid, u.attempt, u.center, u.native_id, u.submit_ms, u.segment, u.revision,"
        " u.start_ms, u.end_ms, r.nodes, u.units, u.raw_sha256, u.source FROM usage_record u"
        " JOIN run r ON r.job_uid = u.job_uid AND r.attempt = u.attempt"
        f" WHERE u.job_uid IN ({marks}) ORDER BY u.segment, u.revision",
        uids,
    )
    of_run: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
    for uid, attempt, *row in rows:
        of_run.setdefault((uid, attempt), []).append(tuple(row))
    return [(key, row) for key in found for row in of_run.get(key[1:], ())]


def links(connection: Connection, found: Sequence[Key]) -> list[tuple[Key, Link]]:
    """Return the entries of charges as they stand in the ledger, charge by charge."""
    if not found:
        return []
    of_key: dict[Key, list[Link]] = {key: [] for key in found}
    marks, uids = _uids(found)
    for one in transfers.select(
        connection,
        f"job_uid IN ({marks}) AND {BOOKED} AND amount_fen > 0 AND effective_ms >= ?"
        " AND effective_ms <= ? ORDER BY shard, seq",
        (*uids, found[0].booked_ms, found[-1].booked_ms),
    ):
        entry = one.entry
        mine = of_key.get(Key(entry.effective_ms, entry.job_uid, entry.attempt))
        if mine is not None:
            mine.append(one)
    return [(key, one) for key in found for one in of_key[key]]


def rules(
    connection: Connection, versions: Iterable[tuple[str, int]]
) -> list[tuple[str, int, str, str]]:
    """Return rule versions (programme, version, sha256, body) in order."""
    wanted = set(versions)
    rows = bulk_read(
        connection,
        "SELECT programme, version, sha256, body FROM rule_version ORDER BY programme, version",
    )
    return [(p, v, digest, body) for p, v, digest, body in rows if (p, v) in wanted]


def prices(connection: Connection, wanted: Iterable[str]) -> list[tuple[str, str, str, str, int]]:
    """Return price versions (id, center, flavor, unit, micro-fen per unit-second) in order."""
    chosen = set(wanted)
    rows = bulk_read(
        connection,
        "SELECT price_id, center, flavor, unit, price_ufen FROM price_version ORDER BY price_id",
    )
    return [
        (i, center, flavor, unit, ufen) for i, center, flavor, unit, ufen in rows if i in chosen
    ]
