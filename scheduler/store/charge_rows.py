"""What a batch of charges writes, collected and then written set-based in one transaction.

Lines of use and of subsidies, entries of the ledger, moves of balances and of yearly counters: a
settlement and each correction is all of them or none.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection

from adapters.contract import Usage
from quota.charges import Line, Part
from quota.slices import Cut
from quota.transfers import Entry
from scheduler.store import accounts, funds_reduction, money_locks, transfers, write_batch
from scheduler.store.database import bulk_execute
from scheduler.store.tables import RatedLine, SubsidyLine, UsageRecord, table
from scheduler.store.write_batch import WriteBatch

_USAGE_COLUMNS: Final = (
    "job_uid", "attempt", "center", "native_id", "submit_ms", "segment", "revision", "start_ms",
    "end_ms", "units", "raw_sha256", "source", "charge_revision",
)  # fmt: skip
_RATED_COLUMNS: Final = (
    "job_uid", "attempt", "revision", "line", "segment", "price_id", "seconds", "units", "free",
    "gross_fen", "billed", "start_ms", "end_ms", "booked_ms",
)  # fmt: skip
_SUBSIDY_COLUMNS: Final = (
    "job_uid", "attempt", "revision", "line", "programme", "rule_version", "account_id",
    "amount_fen", "binding", "cap_year", "ledger", "start_ms", "booked_ms",
)  # fmt: skip
CapKey = tuple[str, str, int]


class Run(NamedTuple):
    """A run, and who it concerns."""

    uid: int
    attempt: int
    center: str
    enterprise: str
    city: str


class Given(NamedTuple):
    """What one account of a programme gives to one slice of a run, as a line has it."""

    programme: str
    rule_version: int
    account: str
    amount: int
    binding: str
    cap_year: int | None
    ledger: str
    start_ms: int


def givens(parts: Sequence[Part], cut: Cut, frozen: Mapping[str, str]) -> list[Given]:
    """Return the lines of subsidies of a charge, in the order in which programmes give.

    What cut a programme at admission is what its lines say, if they are cut at all.
    """
    lines: list[Given] = []
    for part in parts:
        bound = frozen.get(part.programme, "RATE")
        binding = part.binding.value
        if binding != "RATE" and bound != "RATE":
            binding = bound
        ledger = "UNIT_S" if part.unit_seconds else "CNY"
        start_ms = cut.slices[part.slice].start_ms
        lines += [
            Given(
                part.programme, part.rule_version, draw.account, draw.amount, binding,
                draw.cap_year, ledger, start_ms,
            )
            for draw in part.draws
            if draw.amount
        ]  # fmt: skip
    return lines


@dataclass(slots=True)
class ChargeRows:
    """Rows and moves of a batch of charges, booked at one instant."""

    now_ms: int
    entries: list[Entry] = field(default_factory=list)
    moves: accounts.Moves = field(default_factory=accounts.Moves)
    #: Added to (pending, posted) of yearly counters.
    caps: dict[CapKey, list[int]] = field(default_factory=dict)
    #: Accounts to which money comes back.
    freed: set[str] = field(default_factory=set)
    _usage: list[tuple[object, ...]] = field(default_factory=list)
    _rated: list[tuple[object, ...]] = field(default_factory=list)
    _given: list[tuple[object, ...]] = field(default_factory=list)

    def meter(
        self, run: Run, usage: Sequence[Usage], revision: int = 0
    ) -> list[tuple[object, ...]]:
        """Keep what the center metered; returns the ``usage_row`` of each record."""
        rows = [usage_row(run.center, one) for one in usage]
        self._usage += [(run.uid, run.attempt, *row, revision) for row in rows]
        return rows

    def rate(
        self, run: Run, lines: Sequence[Line], cut: Cut, *, billed: bool, revision: int = 0
    ) -> None:
        """Keep what each piece of use costs."""
        self._rated += [
            (
                run.uid, run.attempt, revision, number, line.segment,
                cut.slices[line.slice].price_id, line.seconds, line.units, line.free,
                line.gross_fen, billed, line.start_ms, line.end_ms, self.now_ms,
            )
            for number, line in enumerate(lines)
        ]  # fmt: skip

    def give(self, run: Run, lines: Sequence[Given], revision: int = 0) -> None:
        """Keep what each programme gives."""
        self._given += [
            (run.uid, run.attempt, revision, number, *line, self.now_ms)
            for number, line in enumerate(lines)
        ]

    def again(
        self, rated: Sequence[tuple[object, ...]], given: Sequence[tuple[object, ...]]
    ) -> None:
        """Keep lines as they are given, such as those that take others back."""
        self._rated += rated
        self._given += given

    def count(self, cap: CapKey, pending_fen: int, posted_fen: int) -> None:
        """Count for an enterprise's year; negative takes back."""
        sums = self.caps.get(cap)
        if sums is None:
            sums = self.caps[cap] = [0, 0]
        sums[0] += pending_fen
        sums[1] += posted_fen

    def add_lines(self, batch: WriteBatch) -> None:
        """Add to a batch what is of the runs alone, and of no balance, so that it needs no lock."""
        batch.insert(table(UsageRecord), _USAGE_COLUMNS, self._usage)
        batch.insert(table(RatedLine), _RATED_COLUMNS, self._rated)
        batch.insert(table(SubsidyLine), _SUBSIDY_COLUMNS, self._given)
        self._usage, self._rated, self._given = [], [], []

    def write(self, connection: Connection) -> None:
        """Write it all; raises RuntimeError if an account or counter cannot take its move."""
        money_locks.lock(connection, self.moves.sums)
        # Use beyond the hold may be of a year for which nothing was held.
        bulk_execute(
            connection,
            "INSERT INTO cap_counter (programme, enterprise, year, pending_fen, posted_fen)"
            " VALUES (?, ?, ?, 0, 0) ON CONFLICT (programme, enterprise, year) DO NOTHING",
            sorted(cap for cap, (held, posted) in self.caps.items() if posted > 0 <= held),
        )
        heads = money_locks.lock_heads(connection, {entry.shard for entry in self.entries})
        with write_batch.going(connection) as batch:
            self.add_lines(batch)
            accounts.add(batch, self.moves)
            batch.update(
                "UPDATE cap_counter SET pending_fen = pending_fen + v.column4,"
                " posted_fen = posted_fen + v.column5 FROM {values}"
                " WHERE programme = v.column1 AND enterprise = v.column2 AND year = v.column3",
                [(*cap, *sums) for cap, sums in sorted(self.caps.items())],
                "a yearly counter of what was held is missing",
            )
            transfers.add(batch, self.entries, heads)
        if self.freed:
            funds_reduction.eat(connection, self.freed, self.now_ms)


def usage_row(center: str, one: Usage) -> tuple[object, ...]:
    """Return a record of use as it is stored, and as its digest is made."""
    return (
        center, one.native_id, one.submit_ms, one.segment, one.revision, one.start_ms, one.end_ms,
        one.units, one.raw_sha256, one.source,
    )  # fmt: skip


def lock(
    connection: Connection,
    names: Collection[str],
    caps: Collection[CapKey],
    shards: Collection[str],
) -> None:
    """Lock what a batch of charges will move, and where freed money may go from there."""
    if connection.dialect.name == "sqlite":
        return
    sources = funds_reduction.sources(connection, names)
    money_locks.lock(connection, [*names, *sources], caps, shards)
