"""SubsidyService, its methods about statements: messages in, use cases, messages out."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from corridor.v1 import statement_pb2 as pb

from quota.statement_files import Format, file_name
from scheduler.rpc import caller
from scheduler.rpc.messages import (
    CallContext,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.services import statements
from scheduler.services.context import Context
from scheduler.services.statements import Shown, Wanted
from scheduler.store.statements import FileRow, Filter, StatementRow

_KINDS: Final = {
    "CITY": pb.STATEMENT_KIND_CITY,
    "ENTERPRISE": pb.STATEMENT_KIND_ENTERPRISE,
    "CENTER": pb.STATEMENT_KIND_CENTER,
}
_STATES: Final = {
    "DRAFT": pb.STATEMENT_STATE_DRAFT,
    "ISSUED": pb.STATEMENT_STATE_ISSUED,
    "PAID": pb.STATEMENT_STATE_PAID,
    "DISPUTED": pb.STATEMENT_STATE_DISPUTED,
}
_FORMATS: Final = {
    "CSV": pb.STATEMENT_FORMAT_CSV,
    "XLSX": pb.STATEMENT_FORMAT_XLSX,
    "FOCUS": pb.STATEMENT_FORMAT_FOCUS,
    "EVIDENCE": pb.STATEMENT_FORMAT_EVIDENCE,
}
_KIND_WORDS: Final = {number: word for word, number in _KINDS.items()}
_STATE_WORDS: Final = {number: word for word, number in _STATES.items()}
_FORMAT_WORDS: Final = {number: word for word, number in _FORMATS.items()}


class StatementMethods:
    """Mixed into the servicer of SubsidyService."""

    _context: Context

    async def CreateStatement(
        self, request: pb.CreateStatementRequest, context: CallContext
    ) -> pb.CreateStatementResponse:
        kind = _KIND_WORDS.get(request.kind, "")
        wanted = Wanted(kind, request.owner, request.period, request.invoice)
        shown = await statements.create(self._context, caller.current(), wanted)
        return pb.CreateStatementResponse(statement=_shown(shown))

    async def GetStatement(
        self, request: pb.GetStatementRequest, context: CallContext
    ) -> pb.GetStatementResponse:
        shown = await statements.show(self._context, caller.current(), request.number)
        return pb.GetStatementResponse(statement=_shown(shown))

    async def ListStatements(
        self, request: pb.ListStatementsRequest, context: CallContext
    ) -> pb.ListStatementsResponse:
        size = page_size(request.page_size)
        chosen = Filter(
            _KIND_WORDS.get(request.kind, ""),
            request.owner,
            request.period,
            [_STATE_WORDS[state] for state in request.states if state in _STATE_WORDS],
        )
        after = page_key(request.page_token, str, str) or ()
        found = await statements.list_statements(
            self._context, caller.current(), chosen, size + 1, after
        )
        rows, more = split_page(found, size)
        token = page_token(rows[-1].period, rows[-1].number) if more else ""
        return pb.ListStatementsResponse(
            statements=[_statement(row) for row in rows], next_page_token=token
        )

    async def IssueStatement(
        self, request: pb.IssueStatementRequest, context: CallContext
    ) -> pb.IssueStatementResponse:
        shown = await statements.issue(
            self._context, caller.current(), request.number, request.reason
        )
        return pb.IssueStatementResponse(statement=_shown(shown))

    async def PayStatement(
        self, request: pb.PayStatementRequest, context: CallContext
    ) -> pb.PayStatementResponse:
        shown = await statements.pay(
            self._context, caller.current(), request.number, request.payment_ref, request.reason
        )
        return pb.PayStatementResponse(statement=_shown(shown))

    async def DisputeStatement(
        self, request: pb.DisputeStatementRequest, context: CallContext
    ) -> pb.DisputeStatementResponse:
        shown = await statements.dispute(
            self._context, caller.current(), request.number, request.reason
        )
        return pb.DisputeStatementResponse(statement=_shown(shown))

    async def ReadStatementFile(
        self, request: pb.ReadStatementFileRequest, context: CallContext
    ) -> AsyncIterator[pb.ReadStatementFileResponse]:
        wanted = _FORMAT_WORDS.get(request.format, "")
        found = await statements.export(self._context, caller.current(), request.number, wanted)
        yield pb.ReadStatementFileResponse(file=_file(found.row, found.file))
        async with aclosing(found.pieces):
            async for piece in found.pieces:
                yield pb.ReadStatementFileResponse(data=piece)


def _shown(shown: Shown) -> pb.Statement:
    message = _statement(shown.row)
    message.files.extend(_file(shown.row, one) for one in shown.files)
    message.ranges.extend(
        pb.StatementRange(
            shard=shard,
            sequence_from=one.seq_from,
            sequence_to=one.seq_to,
            entry_count=one.entries,
            head_hash=one.head.hex(),
            amount_fen=one.amount,
        )
        for shard, one in shown.ranges.items()
    )
    return message


def _file(of: StatementRow, row: FileRow) -> pb.StatementFile:
    return pb.StatementFile(
        format=_FORMATS[row.format],
        name=file_name(of.number, Format(row.format), of.format_version),
        sha256=row.sha256,
        size_bytes=row.size_bytes,
    )


def _statement(row: StatementRow) -> pb.Statement:
    return pb.Statement(
        number=row.number,
        kind=_KINDS[row.kind],
        owner=row.owner,
        city=row.city,
        period=row.period,
        revision=row.revision,
        state=_STATES[row.state],
        invoice=row.invoice,
        line_count=row.lines,
        charge_count=row.charges,
        correction_count=row.corrections,
        gross_fen=row.gross_fen,
        share_fen=row.share_fen,
        others_fen=row.others_fen,
        self_pay_fen=row.self_pay_fen,
        claim_fen=row.claim_fen,
        written_off_fen=row.written_off_fen,
        due_fen=row.due_fen,
        later_fen=row.later_fen,
        create_time=timestamp(row.created_ms),
        created_by=row.created_by,
        issue_time=timestamp(row.issued_ms),
        issued_by=row.issued_by,
        pay_time=timestamp(row.paid_ms),
        paid_by=row.paid_by,
        payment_ref=row.payment_ref,
        dispute_time=timestamp(row.disputed_ms),
        disputed_by=row.disputed_by,
        dispute=row.dispute,
        format_version=row.format_version,
    )
