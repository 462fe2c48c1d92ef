"""Charges of settled runs as they stand: what each entry and line says after all corrections."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.states import NOT_BILLED
from scheduler.store.charge_rows import Given, Run
from scheduler.store.database import bulk_read

RunKey = tuple[int, int]
#: Codes of the entries that make a charge.
CHARGES: Final = "'SETTLE', 'OVERRUN', 'CORRECT'"


class Standing(NamedTuple):
    """An entry of a charge that was not reversed."""

    shard: str
    ledger: str
    debit: str
    credit: str
    amount: int
    key: str


class RatedRow(NamedTuple):
    """A line of use that stands."""

    line: int
    segment: int
    price_id: str
    seconds: int
    units: int
    free: int
    gross_fen: int
    billed: bool
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What a settled run costs now, who bears it, and what it rests on.

    ``settled_fen`` is what its settlement came to. ``basis`` is the digest of the use it rests on.
    ``given`` are the lines of subsidies by their numbers.
    """

    run: Run
    job_state: str
    flavor: str
    billed: bool
    revision: int
    decided: bool
    settled_fen: int
    basis: str
    entries: tuple[Standing, ...]
    rated: tuple[RatedRow, ...]
    given: tuple[tuple[int, Given], ...]
    written_off_fen: int
    clawed_back_fen: int

    @property
    def gross_fen(self) -> int:
        """What the center gets."""
        return sum(one.gross_fen for one in self.rated)

    @property
    def subsidy_fen(self) -> int:
        """What programmes give, claims included."""
        return sum(one.amount for _, one in self.given if one.ledger == "CNY")

    @property
    def debt_fen(self) -> int:
        """What nothing covered, whether written off since or not."""
        return sum(one.amount for one in self.entries if one.debit.startswith("receivable:"))

    @property
    def self_pay_fen(self) -> int:
        """What the enterprise pays or owes in the end."""
        return self.gross_fen - self.subsidy_fen


def load(connection: Connection, keys: Collection[RunKey]) -> dict[RunKey, Charge]:
    """Return the charges of those of these runs that are settled."""
    if not keys:
        return {}
    listed = ", ".join(str(uid) for uid in sorted({uid for uid, _ in keys}))
    revisions = _revisions(connection, listed)
    entries, gone = _entries(connection, listed)
    rated = _rated(connection, listed)
    given = _given(connection, listed)
    charges: dict[RunKey, Charge] = {}
    for uid, attempt, center, enterprise, city, flavor, failure, state in bulk_read(
        connection,
        "SELECT r.job_uid, r.attempt, r.center, r.enterprise, r.city, r.flavor, r.failure_class,"
        " j.state FROM run r JOIN job j ON j.uid = r.job_uid"
        f" WHERE r.job_uid IN ({listed}) AND r.settled_ms IS NOT NULL",
    ):
        key = (uid, attempt)
        if key not in keys:
            continue
        revision, decided, basis = revisions.get(key, (0, False, ""))
        mine = entries.get(key, [])
        lines = rated.get(key, [])
        off, back = gone.get(key, (0, 0))
        charges[key] = Charge(
            Run(uid, attempt, center, enterprise, city), state, flavor,
            failure not in _UNBILLED, revision, decided,
            sum(one.gross_fen for number, one in lines if not number),
            basis or next((one.reason for one in mine if one.reason.startswith("use ")), ""),
            tuple(one.entry for one in mine),
            tuple(one for number, one in lines if number == revision),
            tuple(one for number, one in given.get(key, []) if number == revision),
            off, back,
        )  # fmt: skip
    return charges


_UNBILLED: Final = frozenset(map(str, NOT_BILLED))


def _revisions(connection: Connection, listed: str) -> dict[RunKey, tuple[int, bool, str]]:
    """The last revision, whether somebody decided any, and what it rests on."""
    found: dict[RunKey, tuple[int, bool, str]] = {}
    for uid, attempt, revision, kind, basis in bulk_read(
        connection,
        "SELECT job_uid, attempt, revision, kind, basis FROM correction"
        f" WHERE job_uid IN ({listed}) ORDER BY job_uid, attempt, revision",
    ):
        before = found.get((uid, attempt), (0, False, ""))
        found[uid, attempt] = (revision, before[1] or kind == "DECIDED", basis)
    return found


class _Entry(NamedTuple):
    entry: Standing
    reason: str


def _entries(
    connection: Connection, listed: str
) -> tuple[dict[RunKey, list[_Entry]], dict[RunKey, tuple[int, int]]]:
    """Entries that stand, and what was written off and clawed back."""
    rows = bulk_read(
        connection,
        "SELECT job_uid, attempt, shard, ledger, debit_account, credit_account, amount_fen,"
        f" idem_key, reverses, code, reason FROM transfer WHERE job_uid IN ({listed})"
        " AND kind IN ('POST', 'DIRECT') ORDER BY job_uid, attempt, shard, seq",
    )
    reversed_ = {row[8] for row in rows if row[8]}
    entries: dict[RunKey, list[_Entry]] = {}
    gone: dict[RunKey, tuple[int, int]] = {}
    for uid, attempt, *entry, reverses, code, reason in rows:
        key = (uid, attempt)
        if code in ("WRITE_OFF", "CLAWBACK"):
            off, back = gone.get(key, (0, 0))
            amount = entry[4]
            gone[key] = (off + amount, back) if code == "WRITE_OFF" else (off, back + amount)
        elif not reverses and entry[5] not in reversed_:
            entries.setdefault(key, []).append(_Entry(Standing(*entry), reason))
    return entries, gone


def _rated(connection: Connection, listed: str) -> dict[RunKey, list[tuple[int, RatedRow]]]:
    found: dict[RunKey, list[tuple[int, RatedRow]]] = {}
    for uid, attempt, revision, *row in bulk_read(
        connection,
        "SELECT job_uid, attempt, revision, line, segment, price_id, seconds, units, free,"
        f" gross_fen, billed, start_ms, end_ms FROM rated_line WHERE job_uid IN ({listed})"
        " AND line >= 0 ORDER BY job_uid, attempt, revision, line",
    ):
        line = RatedRow(*row)
        found.setdefault((uid, attempt), []).append(
            (revision, line._replace(billed=bool(line.billed)))
        )
    return found


def _given(
    connection: Connection, listed: str
) -> dict[RunKey, list[tuple[int, tuple[int, Given]]]]:
    found: dict[RunKey, list[tuple[int, tuple[int, Given]]]] = {}
    for uid, attempt, revision, line, *row in bulk_read(
        connection,
        "SELECT job_uid, attempt, revision, line, programme, rule_version, account_id, amount_fen,"
        f" binding, cap_year, ledger, start_ms FROM subsidy_line WHERE job_uid IN ({listed})"
        " AND line >= 0 ORDER BY job_uid, attempt, revision, line",
    ):
        found.setdefault((uid, attempt), []).append((revision, (line, Given(*row))))
    return found


def reserved_years(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Return, of those accounts that are vouchers counted at their issue, the year of that."""
    vouchers = sorted({name for name in names if name.startswith("voucher:")})
    if not vouchers:
        return {}
    rows = bulk_read(
        connection,
        "SELECT account_id, cap_year FROM voucher WHERE cap_year IS NOT NULL AND account_id IN"
        f" ({', '.join('?' * len(vouchers))})",
        tuple(vouchers),
    )
    return {row[0]: row[1] for row in rows}


def stand_ins(connection: Connection, names: Collection[str]) -> dict[str, str]:
    """Return what takes back the money of accounts of closed funds: what lapsed, or the pool."""
    rows = bulk_read(connection, "SELECT programme, period FROM fund_period WHERE state = 'CLOSED'")
    closed = {(programme, period) for programme, period in rows}
    found: dict[str, str] = {}
    for name in names:
        kind, _, rest = name.partition(":")
        place = rest.split(":")
        if kind in ("fund", "grant") and (place[0], place[1]) in closed:
            pool = f"grant_pool:{place[0]}:{place[1]}"
            found[name] = f"lapsed:{rest}" if kind == "fund" else pool
    return found
