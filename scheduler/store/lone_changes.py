"""What one person did without a second: counted, so that a large amount cannot go in small parts.

Amounts of one person on one target (a fund, a run) within a window of days count together. What a
second person approved does not: it was looked at. Entries are only ever added.
"""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection

from scheduler.domain.approving import Approvals, ChangeKind
from scheduler.store import change_requests
from scheduler.store.approval_tables import LoneChange
from scheduler.store.change_requests import Act
from scheduler.store.tables import table

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Size:
    """A change of an amount, of any sign; ``request_key`` is under which it may have been asked."""

    kind: ChangeKind
    target: str
    amount_fen: int
    request_key: str | None = None


def needs_another(connection: Connection, size: Size, act: Act, approvals: Approvals) -> bool:
    """Whether a change waits for another person: by itself, or with what the actor did alone.

    What was asked for before under its key stays a request. Until the transaction ends no other of
    the same person on the same target is judged.
    """
    if size.request_key and change_requests.find(connection, size.request_key) is not None:
        return True
    if approvals.needed(size.kind, size.amount_fen) or not approvals.window_days:
        return approvals.needed(size.kind, size.amount_fen)
    who = act.actor.subject
    if connection.dialect.name != "sqlite":  # there a transaction that writes is alone
        place = f"{len(who)} {who} {size.target}"
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (place,)
        ).close()
    alone = connection.exec_driver_sql(
        "SELECT coalesce(sum(amount_fen), 0) FROM lone_change WHERE requester = ? AND target = ?"
        " AND made_ms > ?",
        (who, size.target, act.now_ms - approvals.window_days * _DAY_MS),
    ).scalar_one()
    return approvals.needed(size.kind, size.amount_fen, int(alone))


def note(connection: Connection, size: Size, act: Act) -> None:
    """Count a change that its actor made alone, in the transaction that makes it."""
    connection.execute(
        sa.insert(table(LoneChange)),
        {
            "kind": size.kind,
            "target": size.target,
            "amount_fen": abs(size.amount_fen),
            "requester": act.actor.subject,
            "made_ms": act.now_ms,
        },
    )
