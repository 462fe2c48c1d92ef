"""Use cases of statements: made of closed months, issued, paid or disputed, and given as files."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from quota.calendar import months_of, period_bounds
from quota.statement_files import Format, formats_of
from quota.statements import (
    FORMAT_VERSION,
    Range,
    StatementKind,
    StatementState,
    statement_number,
)
from quota.stating import Maker
from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest, WrongState
from scheduler.services import checks, statement_making
from scheduler.services.context import Context
from scheduler.services.statement_making import Digest
from scheduler.store import book_months, statement_payments, statement_rows, statements
from scheduler.store.database import Connection
from scheduler.store.payment_parts import Part
from scheduler.store.statement_rows import Source
from scheduler.store.statements import FileRow, Filter, Made, StatementRow

_TEXT_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose statement of which month, quarter or year; ``invoice`` is printed on it."""

    kind: str
    owner: str
    period: str
    invoice: str = ""


class Shown(NamedTuple):
    """A statement with its files and the places in the ledger on which it rests."""

    row: StatementRow
    files: list[FileRow]
    ranges: dict[str, Range]


async def create(context: Context, caller: Principal, wanted: Wanted) -> Shown:
    """Make a statement of closed months as a draft; a draft that is there is returned.

    Raises ``InvalidRequest``, ``NotFound`` for an owner outside the scope, ``WrongState`` for
    months that are not closed, ``AlreadyThere`` for a statement that is issued or paid.
    """
    kind = _checked(wanted)
    start_ms, end_ms = period_bounds(wanted.period)
    source = Source(kind, wanted.owner, start_ms, end_ms)

    def begin(connection: Connection) -> tuple[str, int | StatementRow]:
        city = statements.owner_city(connection, caller.scope, kind, wanted.owner)
        book_months.require_closed(connection, wanted.period)
        return city, statements.next_revision(connection, kind, wanted.owner, wanted.period)

    city, revision = await context.db.read(begin)
    if isinstance(revision, StatementRow):
        return await show(context, caller, revision.number)
    number = statement_number(kind, wanted.owner, wanted.period, revision)
    made = await _make(context, caller, source, wanted, (number, revision, city))
    row = await context.db.write(lambda connection: _insert(context, connection, caller, made))
    return await show(context, caller, row.number)


def _checked(wanted: Wanted) -> StatementKind:
    wrong = checks.given("owner", wanted.owner)
    if wanted.kind not in set(StatementKind):
        wrong.append(FieldViolation("kind", f"must be one of {', '.join(StatementKind)}"))
    if len(wanted.invoice) > _TEXT_MAX:
        wrong.append(FieldViolation("invoice", f"must not be above {_TEXT_MAX} characters"))
    try:
        period_bounds(wanted.period)
    except ValueError as error:
        wrong.append(FieldViolation("period", str(error)))
    if wrong:
        raise InvalidRequest(wrong)
    return StatementKind(wanted.kind)


async def _make(
    context: Context, caller: Principal, source: Source, wanted: Wanted,
    place: tuple[str, int, str],
) -> Made:  # fmt: skip
    number, revision, city = place
    about = (wanted.period, number, wanted.invoice, FORMAT_VERSION)
    maker = await _maker(context, source, about)
    formats = formats_of(source.kind)
    plain = [one for one in formats if one is not Format.EVIDENCE]
    files = await statement_making.make_line_files(context, source, maker, plain)
    if Format.EVIDENCE in formats:
        again = await _maker(context, source, about)
        digest = Digest()
        async for piece in statement_making.file_pieces(context, source, again, Format.EVIDENCE):
            digest.take(piece)
        files.append(digest.file(Format.EVIDENCE))
    later_fen = await context.db.read(
        lambda c: statement_rows.later_fen(c, source, months_of(wanted.period))
    )
    sums: Any = maker.totals.as_dict()
    row = StatementRow(
        number, str(source.kind), source.owner, city, wanted.period, revision, source.start_ms,
        source.end_ms, wanted.invoice, **sums, later_fen=later_fen,
        created_ms=context.clock.now_ms(), created_by=caller.subject,
        state=str(StatementState.DRAFT), format_version=FORMAT_VERSION,
    )  # fmt: skip
    return Made(row, maker.totals, maker.ranges, maker.named, files)


async def _maker(
    context: Context, source: Source, about: tuple[str, str, str, int], kept: bool = False
) -> Maker:
    """Return a maker with the names of now, or with those that are kept.

    ``about`` are period, number, invoice and the version of the files.
    """
    period, number, invoice, version = about

    def read(connection: Connection) -> Maker:
        named = statements.parties_of(connection, number) if kept else None
        return Maker(
            source.kind,
            source.owner,
            period,
            number,
            invoice,
            own=statement_rows.own_accounts(connection, source.owner),
            parties=statement_rows.parties(connection) if named is None else named,
            years=statement_rows.year_totals(connection, source),
            format_version=version,
        )

    return await context.db.read(read)


def _insert(
    context: Context, connection: Connection, caller: Principal, made: Made
) -> StatementRow:
    book_months.require_closed(connection, made.row.period)
    return statements.insert(connection, caller, made, context.wall_ms())


async def show(context: Context, caller: Principal, number: str) -> Shown:
    """Return a statement; raises ``NotFound``."""

    def read(connection: Connection) -> Shown:
        row = statements.get_statement(connection, caller.scope, number)
        return Shown(
            row,
            statements.files_of(connection, number),
            statements.ranges_of(connection, number),
        )

    return await context.db.read(read)


async def list_statements(
    context: Context, caller: Principal, chosen: Filter, limit: int, after: tuple[str, ...]
) -> list[StatementRow]:
    """Return at most ``limit`` statements after one (period, number), the newest period first."""
    return await context.db.read(
        lambda connection: statements.list_statements(
            connection, caller.scope, chosen, limit, after
        )
    )


# --- states ---------------------------------------------------------------------------------------


async def issue(context: Context, caller: Principal, number: str, reason: str) -> Shown:
    """Issue a draft; one that is issued stays as it is. Raises ``WrongState`` for others."""
    _check_reason(reason)

    def write(connection: Connection) -> None:
        row = statements.get_statement(connection, caller.scope, number)
        if row.state != StatementState.ISSUED:
            _move(context, connection, caller, row, StatementState.ISSUED, reason)

    await context.db.write(write)
    return await show(context, caller, number)


async def dispute(context: Context, caller: Principal, number: str, reason: str) -> Shown:
    """Dispute an issued statement: a new revision may follow. The same again changes nothing."""
    _check_reason(reason)

    def write(connection: Connection) -> None:
        row = statements.get_statement(connection, caller.scope, number)
        if (row.state, row.dispute) != (StatementState.DISPUTED, reason):
            _move(
                context, connection, caller, row, StatementState.DISPUTED, reason, dispute=reason
            )  # fmt: skip

    await context.db.write(write)
    return await show(context, caller, number)


async def pay(
    context: Context, caller: Principal, number: str, reference: str, reason: str
) -> Shown:
    """Book an issued statement as paid, once: what another statement paid of it is left out.

    ``reference`` is that of the payment at the bank. Paying it again under the same one changes
    nothing. Raises ``WrongState`` for a draft, a disputed one, or one paid under another.
    """
    wrong = checks.given("payment_ref", reference, _TEXT_MAX) + checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)

    def find(connection: Connection) -> list[Part]:
        row = statements.get_statement(connection, caller.scope, number)
        return statement_payments.parts(connection, StatementKind(row.kind), row.owner, row.period)

    parts = await context.db.read(find)

    def write(connection: Connection) -> None:
        row = statements.get_statement(connection, caller.scope, number)
        if (row.state, row.payment_ref) == (StatementState.PAID, reference):
            return
        _move(
            context, connection, caller, row, StatementState.PAID, reason, payment_ref=reference
        )  # fmt: skip
        statement_payments.pay(
            connection, parts, now_ms=context.clock.now_ms(), actor=caller.subject,
            reason=f"{number} {reference}",
        )  # fmt: skip

    await context.db.write(write)
    return await show(context, caller, number)


def _check_reason(reason: str) -> None:
    wrong = checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)


def _move(
    context: Context, connection: Connection, caller: Principal, row: StatementRow,
    to: StatementState, reason: str, **changes: str,
) -> None:  # fmt: skip
    statements.move(
        connection, caller, row, to, now_ms=context.clock.now_ms(), wall_ms=context.wall_ms(),
        reason=reason, **changes,
    )  # fmt: skip


# --- files ----------------------------------------------------------------------------------------


class Export(NamedTuple):
    """A file of a statement: how it was first made, and its pieces, made again."""

    row: StatementRow
    file: FileRow
    pieces: AsyncGenerator[bytes]


async def export(context: Context, caller: Principal, number: str, file_format: str) -> Export:
    """Return a file of a statement. Raises ``NotFound``, and ``InvalidRequest`` for its format.

    The last piece is followed by ``WrongState`` if the file is not what it was when the statement
    was made: then the ledger was changed.
    """
    shown = await show(context, caller, number)
    found = next((one for one in shown.files if one.format == file_format), None)
    if found is None:
        allowed = ", ".join(one.format for one in shown.files)
        what = f"{number} has {allowed}; evidence is of enterprises' statements alone"
        raise InvalidRequest([FieldViolation("format", what)])
    return Export(shown.row, found, _pieces(context, shown.row, found))


async def _pieces(context: Context, row: StatementRow, file: FileRow) -> AsyncGenerator[bytes]:
    source = Source(StatementKind(row.kind), row.owner, row.start_ms, row.end_ms)
    about = (row.period, row.number, row.invoice, row.format_version)
    maker = await _maker(context, source, about, kept=True)
    digest, file_format = Digest(), Format(file.format)
    async for piece in statement_making.file_pieces(context, source, maker, file_format):
        if piece:
            yield digest.take(piece)
    made = digest.file(file_format)
    if made != file:
        raise WrongState(
            f"{row.number}: the ledger no longer gives the {file.format} file that was stated"
            f" (SHA-256 {file.sha256}, now {made.sha256}); run `corridor ledger verify`",
            subject=f"statements/{row.number}",
            reason="STATEMENT_CHANGED",
        )
