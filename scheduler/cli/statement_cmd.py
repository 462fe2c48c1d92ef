"""``corridor statement``: statements of closed months, and their files."""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from corridor.v1 import statement_pb2 as pb

from scheduler.cli import amounts, exits
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged

#: A statement is read from the ledger as a whole, which takes longer than other calls.
TIMEOUT_S: Final = 600.0
_STYLES: Final = {"ISSUED": "cyan", "PAID": "green", "DISPUTED": "red"}
_KINDS: Final = {
    "city": pb.STATEMENT_KIND_CITY,
    "enterprise": pb.STATEMENT_KIND_ENTERPRISE,
    "center": pb.STATEMENT_KIND_CENTER,
}
_STATES: Final = {
    "draft": pb.STATEMENT_STATE_DRAFT,
    "issued": pb.STATEMENT_STATE_ISSUED,
    "paid": pb.STATEMENT_STATE_PAID,
    "disputed": pb.STATEMENT_STATE_DISPUTED,
}
_FORMATS: Final = {
    "csv": pb.STATEMENT_FORMAT_CSV,
    "xlsx": pb.STATEMENT_FORMAT_XLSX,
    "focus": pb.STATEMENT_FORMAT_FOCUS,
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    words = "Statements of closed months: made, issued, paid or disputed, and their files."
    group = typer.Typer(cls=ClientGroup, help=words, no_args_is_help=True)
    add(group, "create", create)
    add(group, "list", list_statements)
    add(group, "show", show)
    add(group, "issue", issue)
    add(group, "pay", pay)
    add(group, "dispute", dispute)
    add(group, "export", export)
    add(group, "evidence", evidence)
    app.add_typer(group, name="statement", rich_help_panel="Quotas and money")


Number = Annotated[str, typer.Argument(metavar="NUMBER", help="Number of the statement.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]
Out = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Where to write it; - for standard output. Default: its own name, here.",
    ),
]


def create(
    session: Session,
    period: Annotated[
        str,
        typer.Argument(metavar="PERIOD", help="A month, quarter or year: 2026-09, 2026Q3, 2026."),
    ],
    city: Annotated[
        str, typer.Option("--city", help="Of this city; corridor for programmes of all.")
    ] = "",
    enterprise: Annotated[str, typer.Option("--enterprise", help="Of this enterprise.")] = "",
    center: Annotated[str, typer.Option("--center", help="Of this center.")] = "",
    invoice: Annotated[
        str, typer.Option("--invoice", metavar="TEXT", help="Number of the invoice to print on it.")
    ] = "",
) -> None:
    """Make a statement of closed months as a draft; a draft that is there is shown."""
    owners = {"city": city, "enterprise": enterprise, "center": center}
    named = [(kind, owner) for kind, owner in owners.items() if owner]
    if not named and session.who.city:
        named = [("city", session.who.city)]
    if len(named) != 1:
        raise Failed("option.statement_owner", exits.USAGE)
    kind, owner = named[0]
    wanted = pb.CreateStatementRequest(
        kind=_KINDS[kind], owner=owner, period=period, invoice=invoice
    )
    timeout_s = session.given.timeout_s or TIMEOUT_S
    answer = session.client.subsidies.CreateStatement(wanted, timeout=timeout_s)
    _shown(session, answer.statement)


def list_statements(
    session: Session,
    kind: Annotated[
        str,
        typer.Option(
            "--kind", metavar="KIND", help="Only of this kind: city, enterprise or center."
        ),
    ] = "",
    owner: Annotated[
        str, typer.Option("--owner", help="Only of this city, enterprise or center.")
    ] = "",
    period: Annotated[str, typer.Option("--period", help="Only of this period.")] = "",
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="Only in this state: draft, issued, paid or disputed; may be repeated.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many.")
    ] = 50,
) -> None:
    """List statements, the newest period first."""
    wanted = pb.ListStatementsRequest(owner=owner, period=period)
    if kind:
        wanted.kind = _word("--kind", kind, _KINDS)
    wanted.states.extend(_word("--state", one, _STATES) for one in states or ())
    rows = paged(session.client.subsidies.ListStatements, wanted, "statements", limit)
    if session.as_json:
        print_json({"statements": [to_json(row) for row in rows]})
        return
    columns = [
        Column("statement.number"),
        Column("statement.state"),
        Column("statement.lines", right=True, rank=2),
        Column("statement.gross", right=True, rank=1),
        Column("statement.share", right=True),
        Column("statement.self_pay", right=True, rank=2),
        Column("statement.due", right=True),
        Column("statement.made", right=True, rank=3),
    ]
    cells: list[list[str | Cell]] = [
        [
            row.number,
            _state(session, row),
            f"{row.line_count:,}",
            amounts.money(row.gross_fen),
            amounts.money(row.share_fen),
            amounts.money(row.self_pay_fen),
            amounts.money(row.due_fen),
            session.out.when(row.create_time),
        ]
        for row in rows
    ]
    session.out.table(columns, cells, "statement.none")


def _word(option: str, given: str, known: dict[str, Any]) -> Any:
    """Return what a word stands for; raises ``Failed``."""
    found = known.get(given.lower())
    if found is None:
        words = ", ".join(known)
        raise Failed(
            "option.statement_word", exits.USAGE, option=option, given=given, known=words
        )  # fmt: skip
    return found


def _state(session: Session, row: pb.Statement) -> Cell:
    word = enum_word(pb.Statement.DESCRIPTOR.fields_by_name["state"], row.state) or ""
    return Cell(session.out.word("stated.", word), _STYLES.get(word, ""))


def show(session: Session, number: Number) -> None:
    """Show a statement: its sums, its files, and where its entries stand in the ledger."""
    wanted = pb.GetStatementRequest(number=number)
    _shown(session, session.client.subsidies.GetStatement(wanted).statement)


def issue(session: Session, number: Number, reason: Reason) -> None:
    """Tell a draft to its owner; from then on the owner sees it."""
    wanted = pb.IssueStatementRequest(number=number, reason=reason)
    _shown(session, session.client.subsidies.IssueStatement(wanted).statement)


def pay(
    session: Session,
    number: Number,
    reference: Annotated[
        str, typer.Option("--ref", metavar="TEXT", help="The payment's reference at the bank.")
    ],
    reason: Reason,
) -> None:
    """Book an issued statement as paid, once; what another statement paid of it is left out."""
    wanted = pb.PayStatementRequest(number=number, payment_ref=reference, reason=reason)
    timeout_s = session.given.timeout_s or TIMEOUT_S
    _shown(session, session.client.subsidies.PayStatement(wanted, timeout=timeout_s).statement)


def dispute(
    session: Session,
    number: Number,
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            metavar="TEXT",
            help="What is wrong with it; kept with it and in the audit log.",
        ),
    ],
) -> None:
    """Dispute an issued statement; a new revision can then be made, this one stays as it is."""
    wanted = pb.DisputeStatementRequest(number=number, reason=reason)
    _shown(session, session.client.subsidies.DisputeStatement(wanted).statement)


# --- one statement --------------------------------------------------------------------------------


def _shown(session: Session, row: pb.Statement) -> None:
    if session.as_json:
        print_json(to_json(row))
        return
    session.out.facts(_facts(session, row))
    session.out.line()
    session.out.table(
        [
            Column("statement.file"),
            Column("statement.bytes", right=True),
            Column("statement.sha256", rank=1),
        ],
        [[one.name, f"{one.size_bytes:,}", one.sha256] for one in row.files],
    )
    if row.ranges:
        session.out.line()
        _ranges(session, row)


def _facts(session: Session, row: pb.Statement) -> list[tuple[str, str | Cell]]:
    kind = enum_word(pb.Statement.DESCRIPTOR.fields_by_name["kind"], row.kind) or ""
    owner = row.owner if kind == "ENTERPRISE" else session.name(row.owner)
    facts: list[tuple[str, str | Cell]] = [
        ("statement.its_number", row.number),
        ("statement.its_owner", session.t(f"owner.{kind}", owner=owner)),
        ("statement.its_period", row.period),
        ("statement.its_state", _state(session, row)),
        ("statement.its_format", str(row.format_version)),
        ("statement.its_lines", f"{row.line_count:,}"),
        ("statement.its_gross", amounts.money(row.gross_fen)),
        ("statement.its_share", amounts.money(row.share_fen)),
        ("statement.its_others", amounts.money(row.others_fen)),
        ("statement.its_self_pay", amounts.money(row.self_pay_fen)),
        (
            "statement.due_to" if kind == "CENTER" else "statement.due_from",
            amounts.money(row.due_fen),
        ),
    ]
    if row.invoice:
        facts.insert(4, ("statement.its_invoice", row.invoice))
    if row.correction_count:
        facts.append(("statement.its_corrections", f"{row.correction_count:,}"))
    for key, fen in (
        ("statement.its_claim", row.claim_fen),
        ("statement.its_written_off", row.written_off_fen),
        ("statement.its_later", row.later_fen),
    ):
        if fen:
            facts.append((key, amounts.money(fen)))
    for key, at, who, more in (
        ("statement.its_created", row.create_time, row.created_by, ""),
        ("statement.its_issued", row.issue_time, row.issued_by, ""),
        ("statement.its_paid", row.pay_time, row.paid_by, row.payment_ref),
        ("statement.its_disputed", row.dispute_time, row.disputed_by, row.dispute),
    ):
        if at.seconds:
            told = session.t("statement.at_by", when=session.out.when(at), who=who)
            facts.append((key, f"{told}: {more}" if more else told))
    return facts


def _ranges(session: Session, row: pb.Statement) -> None:
    session.out.table(
        [
            Column("statement.shard"),
            Column("statement.from", right=True),
            Column("statement.to", right=True),
            Column("statement.entries", right=True, rank=2),
            Column("statement.amount", right=True, rank=3),
            Column("statement.head", rank=1),
        ],
        [
            [
                one.shard,
                f"{one.sequence_from:,}",
                f"{one.sequence_to:,}",
                f"{one.entry_count:,}",
                amounts.money(one.amount_fen),
                one.head_hash,
            ]
            for one in row.ranges
        ],
    )


# --- files ----------------------------------------------------------------------------------------


def export(
    session: Session,
    number: Number,
    file_format: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help="csv, xlsx, or focus for FOCUS 1.2."),
    ] = "csv",
    out: Out = "",
) -> None:
    """Write a file of a statement; it is the same bytes every time."""
    _write(session, number, _word("--format", file_format, _FORMATS), out)


def evidence(session: Session, number: Number, out: Out = "") -> None:
    """Write the evidence bundle of an enterprise's statement: a zip to check with sha256sum."""
    _write(session, number, pb.STATEMENT_FORMAT_EVIDENCE, out)


def _write(session: Session, number: str, file_format: Any, out: str) -> None:
    wanted = pb.ReadStatementFileRequest(number=number, format=file_format)
    stream: Any = session.client.subsidies.ReadStatementFile(wanted)
    told = next(stream).file
    if out == "-":
        for piece in stream:
            sys.stdout.buffer.write(piece.data)
        sys.stdout.buffer.flush()
        return
    path = Path(out or told.name)
    if path.is_dir():
        path /= told.name
    _keep(stream, told, path)
    if session.as_json:
        print_json({"path": str(path), **to_json(told)})
    else:
        size = f"{told.size_bytes:,}"
        session.out.line(
            session.t("statement.written", path=path, size=size, sha256=told.sha256)
        )  # fmt: skip


def _keep(stream: Iterator[Any], told: pb.StatementFile, path: Path) -> None:
    """Write a file beside its place and move it there once it is whole and what was told."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        with part.open("wb") as file:
            for piece in stream:
                digest.update(piece.data)
                file.write(piece.data)
        got = digest.hexdigest()
        if got != told.sha256:
            raise Failed("statement.broken", name=told.name, got=got, sha256=told.sha256)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
