"""Verification of all money from the first entry: nothing is believed that can be recomputed.

First the entries alone (``quota.audit``): chains, balances, open legs. Then all that tells of the
same money must agree with them: legs and holds, caps, rated use at frozen prices, subsidies, the
sums of jobs, rules and their digests. Each problem names the row that is wrong.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection

from quota.audit import Auditor, Balance, leg_id
from scheduler.store import (
    digests,
    transfers,
    verification_charges,
    verification_funds,
    verification_holds,
    verification_statements,
)


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


_CHECKS: Final[tuple[Callable[[Connection], Iterable[str]], ...]] = (
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
    verification_charges.caps,
    verification_charges.jobs,
    verification_funds.decisions,
    verification_funds.closed_funds,
    verification_funds.closed_months,
    verification_statements.bounds,
    verification_statements.sums,
    _rules,
    _limits,
    digests.problems,
)
