"""Verification of all money from the first entry: nothing is believed that can be recomputed.

First the entries alone (``quota.audit``): chains, balances, open legs. Then all that tells of the
same money must agree with them: legs and holds, caps, rated use at frozen prices, subsidies, the
sums of jobs, rules and their digests. Each problem names the row that is wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, islice
from typing import Final

from sqlalchemy import Connection

from quota.audit import Auditor, Balance, leg_id
from scheduler.store import (
    digests,
    transfers,
    verification_charges,
    verification_entries,
    verification_funds,
    verification_holds,
    verification_plain,
    verification_statements,
)
from scheduler.store.verification_runs import Runs

Part = Callable[[Connection], Iterable[str]]

#: The name of this transaction's snapshot, if another one can see all that it sees.
_EXPORT: Final = (
    "SELECT CASE WHEN current_setting('transaction_isolation') = 'repeatable read'"
    " AND txid_current_if_assigned() IS NULL THEN pg_export_snapshot() END"
)
#: Whole tables are joined at once.
_WORK: Final = "SET LOCAL work_mem = '64MB'"


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
    """Replay every entry and compare with all other records of the same money.

    On PostgreSQL, of a snapshot, entries, runs and all else are looked at side by side.
    """
    auditor = Auditor()
    most = auditor.problems_max
    with _also(connection) as others, ThreadPoolExecutor(2, "corridor-verify") as beside:
        found = [
            beside.submit(_first, part, other, most)
            for part, other in zip(_PARTS, others, strict=False)
        ]
        verification_entries.audit(connection, auditor)
        heads = transfers.read_heads(connection)
        compare(connection, auditor, heads)
        told = [one.result() for one in found] or [_first(one, connection, most) for one in _PARTS]
    for text in chain.from_iterable(told):
        auditor.problem(text)
    runs = connection.exec_driver_sql("SELECT count(*) FROM hold WHERE state <> 'HELD'")
    return Verification(auditor.count, len(heads), int(runs.scalar_one()), tuple(auditor.problems))


@contextmanager
def _also(connection: Connection) -> Iterator[list[Connection]]:
    """A connection for each part to the same snapshot; none if there cannot be such.

    SQLite does not say which snapshot a connection reads, and what a transaction has written
    itself only it can see.
    """
    postgresql = connection.dialect.name != "sqlite"
    snapshot = connection.exec_driver_sql(_EXPORT).scalar() if postgresql else None
    with ExitStack() as stack:
        others = []
        for _ in _PARTS if snapshot else ():
            other = stack.enter_context(connection.engine.connect())
            stack.enter_context(other.begin())
            other.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            other.exec_driver_sql(_WORK)
            others.append(other)
        yield others


def compare(
    connection: Connection, auditor: Auditor, heads: Mapping[str, tuple[int, bytes]]
) -> None:
    """Compare what the entries come to with balances, heads and what is held."""
    run = connection.exec_driver_sql
    balances = {
        row[0]: Balance(*row[1:])
        for row in run(
            "SELECT account_id, debits_pending, debits_posted, credits_pending, credits_posted"
            " FROM account"
        )
    }
    open_legs = {
        leg_id(*row[:4]): row[4]
        for row in run(
            "SELECT l.job_uid, l.attempt, l.rev, l.leg, l.amount_fen FROM hold_leg l JOIN hold h"
            " ON h.job_uid = l.job_uid AND h.attempt = l.attempt AND h.rev = l.rev"
            " WHERE h.state = 'HELD'"
        )
    }
    auditor.compare(balances, heads, open_legs)


def _first(part: Part, connection: Connection, most: int) -> list[str]:
    """The first of what a part of the records beside the entries has wrong."""
    return list(islice(part(connection), most))


def _of_runs(connection: Connection) -> Iterator[str]:
    runs = verification_plain.others(connection)
    if runs.keys != []:
        for check in OF_RUNS:
            yield from check(connection, runs)


def _of_all(connection: Connection) -> Iterator[str]:
    for check in OF_ALL:
        yield from check(connection)


def _rules(connection: Connection) -> Iterator[str]:
    for programme, version, body, written in connection.exec_driver_sql(
        "SELECT programme, version, body, sha256 FROM rule_version ORDER BY programme, version"
    ):
        if sha256(str(body).encode()).hexdigest() != written:
            yield f"rule_version {programme}/{version}: was changed after it was written"


def _limits(connection: Connection) -> Iterator[str]:
    for account, kind in connection.exec_driver_sql(
        "SELECT account_id, kind FROM account WHERE kind IN ('FUND', 'GRANT', 'VOUCHER', 'WALLET')"
        " AND NOT limited"
        " ORDER BY account_id"
    ):
        yield f"account {account}: is a {kind} without a limit"


#: Of single runs; where ``verification_plain`` can tell, only of those that are not plainly right.
OF_RUNS: Final[tuple[Callable[[Connection, Runs], Iterable[str]], ...]] = (
    verification_holds.legs,
    verification_holds.entries_without_legs,
    verification_holds.holds,
    verification_holds.runs_without_holds,
    verification_charges.rated,
    verification_charges.usage_without_lines,
    verification_charges.evidence,
    verification_charges.subsidies,
    verification_charges.corrections,
    verification_charges.debts,
)
OF_ALL: Final[tuple[Part, ...]] = (
    verification_charges.reversals,
    verification_charges.caps,
    verification_charges.jobs,
    verification_funds.decisions,
    verification_funds.closed_funds,
    verification_funds.closed_months,
    verification_statements.bounds,
    verification_statements.sums,
    verification_statements.write_offs,
    _rules,
    _limits,
    digests.problems,
)
_PARTS: Final[tuple[Part, ...]] = (_of_runs, _of_all)
