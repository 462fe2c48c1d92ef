"""Statements as they are kept: made once, then only moved from state to state.

Who may see them: a city its own and those of its enterprises, an enterprise its own once they are
issued, operators and auditors all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, text

from quota.statements import MOVES, Party, Range, StatementKind, StatementState, Totals
from scheduler.domain.principal import Principal, Scope
from scheduler.errors import AlreadyThere, Conflict, NotFound, WrongState
from scheduler.store import audit_trail
from scheduler.store.database import bulk_insert, bulk_read
from scheduler.store.statement_tables import (
    Statement,
    StatementFile,
    StatementParty,
    StatementRange,
)
from scheduler.store.tables import table


class FileRow(NamedTuple):
    """A file of a statement as it was first made."""

    format: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A statement; money in fen, ``*_ms`` None for what has not happened."""

    number: str
    kind: str
    owner: str
    city: str
    period: str
    revision: int
    start_ms: int
    end_ms: int
    invoice: str
    lines: int
    charges: int
    gross_fen: int
    share_fen: int
    others_fen: int
    self_pay_fen: int
    claim_fen: int
    written_off_fen: int
    due_fen: int
    corrections: int
    later_fen: int
    created_ms: int
    created_by: str
    state: str
    issued_ms: int | None = None
    issued_by: str = ""
    paid_ms: int | None = None
    paid_by: str = ""
    payment_ref: str = ""
    disputed_ms: int | None = None
    disputed_by: str = ""
    dispute: str = ""
    format_version: int = 1


_COLUMNS: Final = tuple(one.name for one in fields(StatementRow))
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM statement"
#: Kinds of owners, and where they are listed.
_OWNERS: Final = {
    StatementKind.CITY: "SELECT code FROM city WHERE code = ?",
    StatementKind.ENTERPRISE: "SELECT city FROM enterprise WHERE code = ?",
    StatementKind.CENTER: "SELECT '' FROM center WHERE code = ?",
}


def _visible(scope: Scope) -> str:
    if scope.enterprise is not None:
        return (
            "kind = 'ENTERPRISE' AND owner = :scope_enterprise AND state <> 'DRAFT'"
            + ("" if scope.city is None else " AND city = :scope_city")
        )  # fmt: skip
    return "1 = 1" if scope.city is None else "city = :scope_city"


def _scoped(scope: Scope) -> dict[str, str | None]:
    return {"scope_city": scope.city, "scope_enterprise": scope.enterprise}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which statements; empty for all."""

    kind: str = ""
    owner: str = ""
    period: str = ""
    states: Sequence[str] = ()


def list_statements(
    connection: Connection, scope: Scope, chosen: Filter, limit: int, after: tuple[str, ...] = ()
) -> list[StatementRow]:
    """Return at most ``limit`` statements the caller may see, the newest period first.

    ``after`` is (period, number) of the last one of the page before.
    """
    conditions = [_visible(scope)]
    values: dict[str, Any] = {**_scoped(scope), "limit": limit}
    for name in ("kind", "owner", "period"):
        wanted = getattr(chosen, name)
        if wanted:
            conditions.append(f"{name} = :{name}")
            values[name] = wanted
    if chosen.states:
        names = [f"state{at}" for at in range(len(chosen.states))]
        conditions.append(f"state IN ({', '.join(':' + name for name in names)})")
        values |= dict(zip(names, chosen.states, strict=True))
    if after:
        conditions.append("(period < :after_period OR (period = :after_period AND number > :last))")
        values |= {"after_period": after[0], "last": after[1]}
    rows = connection.execute(
        text(
            f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY period DESC, number LIMIT :limit"
        ),
        values,
    )
    return [_row(row) for row in rows]


def get_statement(connection: Connection, scope: Scope, number: str) -> StatementRow:
    """Return one statement; ``NotFound`` if there is none that the caller may see."""
    row = connection.execute(
        text(f"{_SELECT} WHERE number = :number AND {_visible(scope)}"),
        {"number": number, **_scoped(scope)},
    ).first()
    if row is None:
        raise NotFound(
            f"no statement {number!r} that you may see; `corridor statement list` shows them"
        )
    return _row(row)


def _row(row: Row[Any]) -> StatementRow:
    return StatementRow(*tuple(row))


def files_of(connection: Connection, number: str) -> list[FileRow]:
    """Return the files of a statement."""
    rows = bulk_read(
        connection,
        "SELECT format, sha256, size_bytes FROM statement_file WHERE number = ? ORDER BY format",
        (number,),
    )
    return [FileRow(*row) for row in rows]


def ranges_of(connection: Connection, number: str) -> dict[str, Range]:
    """Return the places in the ledger on which a statement rests, by shard."""
    rows = bulk_read(
        connection,
        "SELECT shard, seq_from, seq_to, head, entries, amount FROM statement_range"
        " WHERE number = ? ORDER BY shard",
        (number,),
    )
    return {
        shard: Range(first, last, bytes(head), n, fen) for shard, first, last, head, n, fen in rows
    }


def parties_of(connection: Connection, number: str) -> dict[tuple[str, str], Party]:
    """Return how enterprises and programmes were called when a statement was made."""
    rows = bulk_read(
        connection, "SELECT kind, code, name, ref FROM statement_party WHERE number = ?", (number,)
    )
    return {(kind, code): Party(name, ref) for kind, code, name, ref in rows}


# --- making ---------------------------------------------------------------------------------------


def owner_city(connection: Connection, scope: Scope, kind: StatementKind, owner: str) -> str:
    """Return the city of an owner ("" of a center); ``NotFound`` if it is not the caller's."""
    found = connection.exec_driver_sql(_OWNERS[kind], (owner,)).scalar_one_or_none()
    if found is None and kind is StatementKind.CITY and owner == "corridor":
        found = owner  # programmes of the whole corridor
    if found is None or not scope.covers(str(found), scope.enterprise or ""):
        raise NotFound(f"no {kind.lower()} {owner!r} whose statements you make")
    return str(found)


def latest(
    connection: Connection, kind: StatementKind, owner: str, period: str
) -> StatementRow | None:
    """Return the last revision of a statement, None if there is none."""
    row = connection.execute(
        text(
            f"{_SELECT} WHERE kind = :kind AND owner = :owner AND period = :period"
            " ORDER BY revision DESC LIMIT 1"
        ),
        {"kind": str(kind), "owner": owner, "period": period},
    ).first()
    return None if row is None else _row(row)


def next_revision(
    connection: Connection, kind: StatementKind, owner: str, period: str
) -> int | StatementRow:
    """Return the revision to be made, or the draft there is already.

    Raises ``AlreadyThere`` while the last one is issued or paid.
    """
    last = latest(connection, kind, owner, period)
    if last is None:
        return 1
    if last.state == StatementState.DRAFT:
        return last
    if last.state != StatementState.DISPUTED:
        raise AlreadyThere(
            f"{last.number} is {last.state}; a new revision can only be made of a statement that"
            " was disputed"
        )
    return last.revision + 1


class Made(NamedTuple):
    """A statement that was computed, to be kept."""

    row: StatementRow
    totals: Totals
    ranges: Mapping[str, Range]
    parties: Mapping[tuple[str, str], Party]
    files: Sequence[FileRow]


def insert(connection: Connection, actor: Principal, made: Made, wall_ms: int) -> StatementRow:
    """Keep a statement as a draft, unless another was made meanwhile: then that is returned.

    Raises what ``next_revision`` does.
    """
    row = made.row
    kind = StatementKind(row.kind)
    revision = next_revision(connection, kind, row.owner, row.period)
    if isinstance(revision, StatementRow):
        return revision
    if revision != row.revision:
        raise AlreadyThere(f"{row.number} was made beside this call; make the next one again")
    values = [getattr(row, name) for name in _COLUMNS]
    bulk_insert(connection, table(Statement), _COLUMNS, [tuple(values)])
    bulk_insert(
        connection, table(StatementRange),
        ("number", "shard", "seq_from", "seq_to", "head", "entries", "amount"),
        [
            (row.number, shard, one.seq_from, one.seq_to, one.head, one.entries, one.amount)
            for shard, one in sorted(made.ranges.items())
        ],
    )  # fmt: skip
    bulk_insert(
        connection, table(StatementParty), ("number", "kind", "code", "name", "ref"),
        [(row.number, *key, *party) for key, party in sorted(made.parties.items())],
    )  # fmt: skip
    bulk_insert(
        connection, table(StatementFile), ("number", "format", "sha256", "size_bytes"),
        [(row.number, *one) for one in made.files],
    )  # fmt: skip
    _note(connection, actor, "STATEMENT_CREATED", None, row, wall_ms, "")
    return row


# --- moving ---------------------------------------------------------------------------------------

_ALLOWED: Final = {
    StatementState.DRAFT: "a draft can be issued",
    StatementState.ISSUED: "it can be paid or disputed",
    StatementState.PAID: "nothing more can be done with it; what was wrong is corrected later",
    StatementState.DISPUTED: "a new revision can be made of it",
}


def move(
    connection: Connection, actor: Principal, row: StatementRow, to: StatementState,
    *, now_ms: int, wall_ms: int, reason: str, **changes: str,
) -> StatementRow:  # fmt: skip
    """Move a statement on, with who did it; returns it as it stands.

    Raises ``WrongState``, and ``Conflict`` if another moved it at the same time.
    """
    state = StatementState(row.state)
    if to not in MOVES[state]:
        raise WrongState(
            f"{row.number} is {state}, it cannot become {to}: {_ALLOWED[state]}",
            subject=f"statements/{row.number}",
        )
    word = to.lower()
    values: dict[str, object] = {f"{word}_ms": now_ms, f"{word}_by": actor.subject, **changes}
    sets = ", ".join(f"{name} = :{name}" for name in values)
    done = connection.execute(
        text(
            f"UPDATE statement SET state = :state, {sets}"
            " WHERE number = :number AND state = :before"
        ),
        {"state": str(to), "number": row.number, "before": row.state, **values},
    )
    if done.rowcount != 1:
        raise Conflict(f"statement {row.number} was moved at this moment; look at it again")
    moved = get_statement(connection, Scope(), row.number)
    _note(connection, actor, f"STATEMENT_{to}", row, moved, wall_ms, reason)
    return moved


def _note(
    connection: Connection, actor: Principal, action: str, before: StatementRow | None,
    after: StatementRow, wall_ms: int, reason: str,
) -> None:  # fmt: skip
    audit_trail.record(
        connection,
        actor,
        action,
        f"statements/{after.number}",
        at_ms=wall_ms,
        before=None if before is None else {"state": before.state},
        after={
            "state": after.state,
            "due_fen": after.due_fen,
            "lines": after.lines,
            "payment_ref": after.payment_ref,
        },
        reason=reason,
        city=after.city,
        enterprise=after.owner if after.kind == StatementKind.ENTERPRISE else "",
    )
