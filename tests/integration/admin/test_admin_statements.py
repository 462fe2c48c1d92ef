"""Statements over the real server: made, read as files, issued, paid and disputed."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import statement_pb2 as pb
from corridor.v1.subsidy_service_pb2 import ListTransfersRequest

from scheduler.domain.principal import Role
from tests.unit.store.statement_hands import MONTH, charged, close

CITY, ENTERPRISE, CENTER = (
    pb.STATEMENT_KIND_CITY, pb.STATEMENT_KIND_ENTERPRISE, pb.STATEMENT_KIND_CENTER,
)  # fmt: skip
CSV, EVIDENCE = pb.STATEMENT_FORMAT_CSV, pb.STATEMENT_FORMAT_EVIDENCE


@pytest.fixture
async def corridor(start_corridor: Any, tmp_path: Path) -> Any:
    """A service whose September was charged and closed."""
    it = charged()
    close(it, MONTH)
    path = tmp_path / "charged.db"
    copy = sqlite3.connect(path)
    it.db._raw.backup(copy)
    copy.close()
    it.db.close()
    found = await start_corridor(data=path)
    found.clock.ms = it.clock.ms
    return found


def create(corridor: Any, who: Any, kind: Any = CITY, owner: str = "wuhan", **more: Any) -> Any:
    request = pb.CreateStatementRequest(kind=kind, owner=owner, **{"period": MONTH, **more})
    return corridor.subsidies.CreateStatement(request, metadata=who)


async def read(corridor: Any, who: Any, number: str, file_format: Any) -> tuple[Any, bytes]:
    """What is told of a file, and its bytes."""
    request = pb.ReadStatementFileRequest(number=number, format=file_format)
    stream = corridor.subsidies.ReadStatementFile(request, metadata=who)
    first, *rest = [message async for message in stream]
    assert not first.data
    return first.file, b"".join(message.data for message in rest)


async def test_a_statement_goes_from_draft_to_paid(corridor: Any) -> None:
    wuhan = corridor.city_admin("wuhan")
    made = (await create(corridor, wuhan, invoice="FP-1")).statement
    assert (made.number, made.state, made.invoice) == (
        "CITY-wuhan-2026-09-R1", pb.STATEMENT_STATE_DRAFT, "FP-1",
    )  # fmt: skip
    assert (made.due_fen, made.line_count, made.created_by) == (15, 2, "admin of wuhan")
    assert [one.name for one in made.files] == [
        f"{made.number}-v2{ending}" for ending in (".csv", "-focus.csv", ".xlsx")
    ]  # fmt: skip
    assert made.format_version == 2
    (place,) = made.ranges
    assert (place.shard, place.sequence_from, place.sequence_to) == ("fund:wuhan-v:2026", 5, 6)
    for one in made.files:
        told, data = await read(corridor, wuhan, made.number, one.format)
        assert told == one
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (one.sha256, one.size_bytes)
    request = pb.IssueStatementRequest(number=made.number, reason="checked")
    issued = (await corridor.subsidies.IssueStatement(request, metadata=wuhan)).statement
    assert (issued.state, issued.issued_by) == (pb.STATEMENT_STATE_ISSUED, "admin of wuhan")
    paying = pb.PayStatementRequest(number=made.number, payment_ref="bank-1", reason="paid")
    paid = (await corridor.subsidies.PayStatement(paying, metadata=wuhan)).statement
    assert (paid.state, paid.payment_ref) == (pb.STATEMENT_STATE_PAID, "bank-1")
    moved = await corridor.subsidies.ListTransfers(ListTransfersRequest(), metadata=wuhan)
    assert moved.transfers[0].code == "PAY"  # a city sees what it paid
    listed = await corridor.subsidies.ListStatements(pb.ListStatementsRequest(), metadata=wuhan)
    assert [one.number for one in listed.statements] == [made.number]
    assert not listed.statements[0].files


async def test_an_enterprise_reads_its_evidence_and_disputes(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    made = (await create(corridor, operator, ENTERPRISE, "w1")).statement
    mine = corridor.token(Role.ENTERPRISE_ADMIN, enterprise="w1", subject="w1")
    getting = pb.GetStatementRequest(number=made.number)
    found = await refusal(corridor.subsidies.GetStatement(getting, metadata=mine))
    assert found.code == grpc.StatusCode.NOT_FOUND  # a draft is not told to its owner
    issuing = pb.IssueStatementRequest(number=made.number, reason="checked")
    await corridor.subsidies.IssueStatement(issuing, metadata=operator)
    told, data = await read(corridor, mine, made.number, EVIDENCE)
    assert hashlib.sha256(data).hexdigest() == told.sha256
    disputing = pb.DisputeStatementRequest(number=made.number, reason="not our run")
    disputed = (await corridor.subsidies.DisputeStatement(disputing, metadata=mine)).statement
    assert (disputed.state, disputed.dispute) == (pb.STATEMENT_STATE_DISPUTED, "not our run")
    again = (await create(corridor, operator, ENTERPRISE, "w1")).statement
    assert (again.number, again.revision) == ("ENTERPRISE-w1-2026-09-R2", 2)


async def test_statements_come_in_pages(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    for kind, owner in ((CITY, "wuhan"), (CITY, "ezhou"), (CENTER, "ai")):
        await create(corridor, operator, kind, owner)
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListStatementsRequest(page_size=2, page_token=token)
        page = await corridor.subsidies.ListStatements(request, metadata=operator)
        seen += [one.number for one in page.statements]
        token = page.next_page_token
        if not token:
            break
    assert seen == [f"{one}-2026-09-R1" for one in ("CENTER-ai", "CITY-ezhou", "CITY-wuhan")]
    request = pb.ListStatementsRequest(kind=CENTER, states=[pb.STATEMENT_STATE_DRAFT])
    page = await corridor.subsidies.ListStatements(request, metadata=operator)
    assert [one.owner for one in page.statements] == ["ai"]
    request = pb.ListStatementsRequest(page_token="nonsense")
    found = await refusal(corridor.subsidies.ListStatements(request, metadata=operator))
    assert found.fields == ("page_token",)


async def test_what_is_refused_says_what_is_allowed(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    found = await refusal(create(corridor, operator, period="2026-10"))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MONTH_OPEN")
    found = await refusal(create(corridor, operator, pb.STATEMENT_KIND_UNSPECIFIED))
    assert found.fields == ("kind",)
    made = (await create(corridor, operator)).statement
    paying = pb.PayStatementRequest(number=made.number, payment_ref="b", reason="paid")
    found = await refusal(corridor.subsidies.PayStatement(paying, metadata=operator))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    assert "a draft can be issued" in found.message
    found = await refusal(read(corridor, operator, made.number, EVIDENCE))
    assert (found.fields, "CSV" in found.message) == (("format",), True)
    assert "evidence is of enterprises' statements alone" in found.message
    found = await refusal(read(corridor, operator, "CITY-no", CSV))
    assert found.code == grpc.StatusCode.NOT_FOUND
    assert corridor.rows("SELECT count(*) FROM transfer WHERE code = 'PAY'") == [(0,)]


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.ENTERPRISE_ADMIN, Role.ENTERPRISE_MEMBER])
async def test_only_cities_and_operators_make_statements(
    corridor: Any, refusal: Any, role: Role
) -> None:
    scope = {} if role is Role.AUDITOR else {"enterprise": "w1"}
    found = await refusal(create(corridor, corridor.token(role, **scope), ENTERPRISE, "w1"))
    assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")


async def test_an_auditor_reads_all(corridor: Any) -> None:
    made = (await create(corridor, corridor.operator(), CENTER, "ai")).statement
    told, data = await read(corridor, corridor.token(Role.AUDITOR), made.number, CSV)
    assert hashlib.sha256(data).hexdigest() == told.sha256


async def test_a_file_that_the_ledger_no_longer_gives_ends_in_an_error(
    corridor: Any, refusal: Any
) -> None:
    operator = corridor.operator()
    made = (await create(corridor, operator)).statement
    for sql in ("DROP TRIGGER rated_line_no_update", "UPDATE rated_line SET seconds = 1"):
        corridor.db.write_future(lambda c, sql=sql: c.exec_driver_sql(sql).close()).result()
    found = await refusal(read(corridor, operator, made.number, CSV))
    assert (found.code, found.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION, "STATEMENT_CHANGED",
    )  # fmt: skip
