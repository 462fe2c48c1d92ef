"""Statements over real books: what they rest on, who sees them, how they move, what is paid.

Each rule on SQLite and on PostgreSQL.
"""

import csv
import io
import zipfile
from typing import Any

import pytest
from sqlalchemy import event

from quota.calendar import period_bounds
from scheduler.domain.principal import Role
from scheduler.errors import AlreadyThere, CorridorError, InvalidRequest, NotFound, WrongState
from scheduler.services import statements as use_cases
from scheduler.services.statements import Wanted
from scheduler.store import funds, newest
from scheduler.store.statements import Filter
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR
from tests.unit.store.statement_hands import (
    DAY_MS,
    MONTH,
    NEXT,
    WHY,
    admin,
    charged,
    close,
    context_of,
    entries,
    export,
    issued,
    make,
    member,
    money,
    pay,
    run,
)

pytestmark = pytest.mark.usefixtures("each_store")

OWNERS = (
    ("CITY", "wuhan"), ("CITY", "ezhou"), ("CITY", "corridor"), ("ENTERPRISE", "w1"),
    ("ENTERPRISE", "e1"), ("ENTERPRISE", "x2"), ("CENTER", "ai"), ("CENTER", "sc"),
)  # fmt: skip


@pytest.fixture
def books() -> Hands:
    """September, charged and closed."""
    it = charged()
    close(it, MONTH)
    return it


def refused(it: Hands, error: type[CorridorError], call: Any) -> str:
    """A call that is refused and writes nothing; returns what is said."""
    counted = "SELECT (SELECT count(*) FROM transfer), (SELECT count(*) FROM statement),"
    counted += " (SELECT count(*) FROM audit_event)"
    before = it.db.rows(counted)
    with pytest.raises(error) as caught:
        run(call)
    assert it.db.rows(counted) == before
    return caught.value.message


# --- what is stated -------------------------------------------------------------------------------


def test_totals_are_the_sums_of_the_entries_between_the_bounds(books: Hands) -> None:
    """I8, by plain SQL over what is in the bounds that the statement names."""
    for kind, owner in OWNERS:
        row, _, ranges = make(books, kind, owner)
        share = paid = gross = 0
        for shard, found in ranges.items():
            for debit, credit, fen in books.db.rows(
                f"SELECT debit_account, credit_account, amount_fen FROM transfer"
                f" WHERE shard = '{shard}' AND seq BETWEEN {found.seq_from} AND {found.seq_to}"
                " AND kind = 'POST' AND job_uid IN (SELECT job_uid FROM run WHERE"
                + {
                    "CITY": " 1 = 1)",
                    "ENTERPRISE": f" enterprise = '{owner}')",
                    "CENTER": f" center = '{owner}')",
                }[kind]
            ):
                gross += fen if credit.startswith("payable:") else 0
                share += fen if debit.startswith("fund:") else 0
                paid += fen if debit.startswith("wallet:") else 0
            [(head,)] = books.db.rows(
                f"SELECT hash FROM transfer WHERE shard = '{shard}' AND seq = {found.seq_to}"
            )
            assert bytes(head) == found.head
        assert row.share_fen == share
        if kind != "CITY":
            assert (row.gross_fen, row.self_pay_fen) == (gross, paid)
    total = sum(make(books, "CENTER", center).row.gross_fen for center in ("ai", "sc"))
    cities = ("wuhan", "ezhou", "xianning", "corridor")
    shares = sum(make(books, "CITY", city).row.due_fen for city in cities)
    owed = sum(make(books, "ENTERPRISE", one).row.due_fen for one in ("w1", "w2", "e1", "x1"))
    assert total == shares + owed > 0


def test_files_hold_the_lines_and_are_the_same_bytes_every_time(books: Hands) -> None:
    for kind, owner in OWNERS:
        row, files, _ = make(books, kind, owner)
        for one in files:
            first, again = (export(books, row.number, one.format) for _ in range(2))
            assert first == again
            assert len(first) == one.size_bytes
        text = export(books, row.number, "CSV").decode("utf-8-sig")
        lines = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(lines) == row.lines
        share = sum(round(float(one["本单补贴(元) Subsidy stated (yuan)"]) * 100) for one in lines)
        assert share == row.share_fen


def test_blocks_of_any_size_give_the_same_file(
    books: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make(books, "ENTERPRISE", "w1").row
    whole = [export(books, row.number, one) for one in ("CSV", "EVIDENCE")]
    monkeypatch.setattr("scheduler.services.statement_making._BLOCK", 1)
    assert [export(books, row.number, one) for one in ("CSV", "EVIDENCE")] == whole


def test_all_blocks_share_their_statements(books: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each block's would be kept prepared, which takes memory by the number of lines."""
    number = make(books, "CENTER", "ai").row.number
    asked: list[str] = []
    listener = ("before_cursor_execute", lambda c, cursor, sql, *more: asked.append(sql))
    monkeypatch.setattr("scheduler.services.statement_making._BLOCK", 1)
    event.listen(books.db.engine, *listener)
    export(books, number, "CSV")
    event.remove(books.db.engine, *listener)
    blocks = [sql for sql in asked if "FROM rated_line" in sql]
    assert (len(blocks), len(set(blocks))) == (4, 1)


def test_evidence_holds_use_entries_rules_and_prices(books: Hands) -> None:
    row = make(books, "ENTERPRISE", "w1").row
    with zipfile.ZipFile(io.BytesIO(export(books, row.number, "EVIDENCE"))) as bundle:
        held = {
            name: bundle.read(name).decode("utf-8-sig").splitlines() for name in bundle.namelist()
        }
        assert bundle.read("lines.csv") == export(books, row.number, "CSV")
    assert len(held["usage.csv"]) == 1 + 3
    assert "native-" in held["usage.csv"][1]
    posted = books.db.rows(
        "SELECT count(*) FROM transfer WHERE kind = 'POST' AND amount_fen > 0 AND job_uid IN"
        " (SELECT job_uid FROM run WHERE enterprise = 'w1')"
    )
    assert len(held["entries.csv"]) == 1 + posted[0][0]
    assert [one.split(",")[0] for one in held["rules.csv"]] == ["programme", "shared", "wuhan-v"]
    assert [one.split(",")[0] for one in held["prices.csv"][1:]] == ["ai/npu@1", "sc/cpu@1"]
    assert len(held["manifest.sha256"]) == len(held) - 1


def test_names_are_kept_as_they_were_when_the_statement_was_made(books: Hands) -> None:
    number = make(books, "CITY", "wuhan").row.number
    before = export(books, number, "CSV")
    books.db.do(
        lambda c: c.exec_driver_sql("UPDATE enterprise SET name = 'renamed'").close()
    )  # fmt: skip
    assert export(books, number, "CSV") == before


def test_a_ledger_that_was_changed_no_longer_gives_the_file(books: Hands) -> None:
    number = make(books, "CITY", "wuhan").row.number
    on = "" if books.db.is_sqlite else " ON rated_line"
    books.db.spoil()
    for sql in (
        f"DROP TRIGGER rated_line_no_update{on}",
        "UPDATE rated_line SET seconds = seconds + 1",
    ):
        books.db.do(lambda c, sql=sql: c.exec_driver_sql(sql).close())  # type: ignore[misc]
    with pytest.raises(WrongState, match="no longer gives the CSV file") as caught:
        export(books, number, "CSV")
    assert caught.value.reason == "STATEMENT_CHANGED"


def test_verification_finds_bounds_and_sums_that_were_changed(books: Hands) -> None:
    number = make(books, "CITY", "wuhan").row.number
    books.verify()
    books.db.spoil()
    for table in ("statement", "statement_range"):
        on = "" if books.db.is_sqlite else f" ON {table}"
        books.db.do(
            lambda c, table=table, on=on: c.exec_driver_sql(  # type: ignore[misc]
                f"DROP TRIGGER {table}_no_update{on}"
            ).close()
        )
    for sql in (
        "UPDATE statement_range SET seq_to = seq_to - 1",
        "UPDATE statement SET share_fen = share_fen + 1",
    ):
        books.db.do(lambda c, sql=sql: c.exec_driver_sql(sql).close())  # type: ignore[misc]
        found = books.db.read_sync(funds.verify).problems
        assert [one for one in found if number in one] == list(found)
        assert found
    assert len(found) == 2


def test_a_quarter_states_its_months_and_pays_what_they_did_not() -> None:
    it = charged(period_bounds("2026-07")[0] + DAY_MS)
    close(it, "2026-07", "2026-08", "2026-09")
    month, quarter = (make(it, "CENTER", "ai", one).row for one in ("2026-07", "2026Q3"))
    assert month.gross_fen == quarter.gross_fen > 0
    assert make(it, "CENTER", "ai", "2026-08").row.gross_fen == 0
    pay(it, issued(it, "CENTER", "ai", "2026-07"))
    count = entries(it)
    pay(it, issued(it, "CENTER", "ai", "2026Q3"))
    assert entries(it) == count
    assert money(it)["payable:ai"] == 0


def test_what_was_charged_in_an_open_month_is_on_no_statement_yet(books: Hands) -> None:
    before = make(books, "CENTER", "ai").row
    assert before.end_ms == period_bounds(MONTH)[1]
    # Runs that began before the end of the month are booked after it.
    again = charged(period_bounds(MONTH)[1] - 1_000)
    close(again, MONTH)
    assert make(again, "CENTER", "ai").row.charges == 0
    close(again, NEXT)
    assert make(again, "CENTER", "ai", NEXT).row.charges == 4


def test_a_process_that_starts_goes_on_after_the_closing_of_books(books: Hands) -> None:
    """Else what it books would lie in a closed month."""
    assert books.db.read_sync(newest.newest_ms) == books.clock.ms


def test_a_statement_of_nothing_has_files_too(books: Hands) -> None:
    row, files, ranges = make(books, "ENTERPRISE", "x2")
    assert (row.lines, row.due_fen, ranges) == (0, 0, {})
    assert [len(export(books, row.number, one.format)) for one in files] == [
        one.size_bytes for one in files
    ]


# --- making ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "said"),
    [
        ("2026-10", "books of 2026-10 are not closed"),
        ("2026", "books of 2026-10, 2026-11, 2026-12 are not closed"),
        ("2027", "books of 2027-01, 2027-02,"),
        ("2026-08", "no books of 2026-08: they begin with 2026-09"),
        ("2025", "no books of 2025: they begin with 2026-09"),
    ],
)
def test_no_statement_is_made_of_months_that_are_not_closed(
    books: Hands, period: str, said: str
) -> None:
    told = refused(
        books, WrongState,
        use_cases.create(context_of(books), OPERATOR, Wanted("CITY", "wuhan", period)),
    )  # fmt: skip
    assert said in told


def test_the_first_quarter_of_the_books_is_stated_though_its_first_months_have_none(
    books: Hands,
) -> None:
    for kind, owner in OWNERS:
        month, quarter = (make(books, kind, owner, one) for one in (MONTH, "2026Q3"))
        assert quarter.ranges == month.ranges
        assert quarter.row.due_fen == month.row.due_fen


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        (Wanted("", "wuhan", MONTH), ["kind"]),
        (Wanted("CITY", "", "September"), ["owner", "period"]),
        (Wanted("CITY", "wuhan", ""), ["period"]),
        (Wanted("CITY", "wuhan", MONTH, "x" * 201), ["invoice"]),
    ],
)
def test_wrong_fields_are_named(books: Hands, wanted: Wanted, fields: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        run(use_cases.create(context_of(books), OPERATOR, wanted))
    assert [one.field for one in caught.value.violations] == fields


def test_a_draft_is_made_once_and_a_new_revision_only_of_what_was_disputed(books: Hands) -> None:
    first = make(books, "CITY", "wuhan").row
    assert (first.number, first.state) == ("CITY-wuhan-2026-09-R1", "DRAFT")
    assert make(books, "CITY", "wuhan").row == first
    issued(books, "CITY", "wuhan")
    told = refused(
        books, AlreadyThere,
        use_cases.create(context_of(books), OPERATOR, Wanted("CITY", "wuhan", MONTH)),
    )  # fmt: skip
    assert "is ISSUED" in told
    assert "disputed" in told
    run(use_cases.dispute(context_of(books), OPERATOR, first.number, "wrong contract"))
    second = make(books, "CITY", "wuhan").row
    assert (second.number, second.revision, second.state) == ("CITY-wuhan-2026-09-R2", 2, "DRAFT")
    one, two = (export(books, row.number, "CSV").decode() for row in (first, second))
    assert two == one.replace("-R1", "-R2")
    kept = run(use_cases.show(context_of(books), OPERATOR, first.number)).row
    assert (kept.state, kept.dispute, kept.lines) == ("DISPUTED", "wrong contract", first.lines)


def test_nothing_of_a_statement_changes_but_its_state(books: Hands) -> None:
    number = make(books, "CITY", "wuhan").row.number
    for sql in (
        "UPDATE statement SET due_fen = due_fen + 1",
        "UPDATE statement SET number = 'x'",
        "DELETE FROM statement",
        "UPDATE statement_file SET sha256 = ''",
        "DELETE FROM statement_range",
    ):
        with pytest.raises(Exception, match="insert-only"):
            books.db.do(lambda c, sql=sql: c.exec_driver_sql(sql).close())  # type: ignore[misc]
    assert run(use_cases.issue(context_of(books), OPERATOR, number, WHY)).row.state == "ISSUED"


# --- states ---------------------------------------------------------------------------------------


def test_each_move_is_noted_and_refused_where_it_does_not_lead(books: Hands) -> None:
    context = context_of(books)
    number = make(books, "CITY", "wuhan", who=admin("wuhan")).row.number
    for call in (
        use_cases.pay(context, OPERATOR, number, "b", WHY),
        use_cases.dispute(context, OPERATOR, number, WHY),
    ):
        assert "is DRAFT" in refused(books, WrongState, call)
    run(use_cases.issue(context, admin("wuhan"), number, WHY))
    assert run(use_cases.issue(context, OPERATOR, number, "again")).row.issued_by == "admin-wuhan"
    assert pay(books, number).state == "PAID"
    for call in (
        use_cases.dispute(context, OPERATOR, number, WHY),
        use_cases.issue(context, OPERATOR, number, WHY),
        use_cases.pay(context, OPERATOR, number, "another", WHY),
    ):
        assert "is PAID" in refused(books, WrongState, call)
    refused(books, InvalidRequest, use_cases.issue(context, OPERATOR, number, " "))
    refused(books, InvalidRequest, use_cases.pay(context, OPERATOR, number, "", WHY))
    assert books.db.rows(
        "SELECT action, actor, city FROM audit_event WHERE action LIKE 'STATEMENT%' ORDER BY seq"
    ) == [
        ("STATEMENT_CREATED", "admin-wuhan", "wuhan"),
        ("STATEMENT_ISSUED", "admin-wuhan", "wuhan"),
        ("STATEMENT_PAID", "test", "wuhan"),
    ]


def test_a_dispute_is_kept_with_its_reason_and_repeated_without_effect(books: Hands) -> None:
    context, number = context_of(books), issued(books, "ENTERPRISE", "w1")
    by = member("w1")
    row = run(use_cases.dispute(context, by, number, "not our run")).row
    assert (row.state, row.disputed_by, row.dispute) == ("DISPUTED", "of-w1", "not our run")
    assert run(use_cases.dispute(context, by, number, "not our run")).row == row
    refused(books, WrongState, use_cases.dispute(context, by, number, "something else"))
    refused(books, WrongState, use_cases.pay(context, OPERATOR, number, "b", WHY))


# --- who sees and does what -----------------------------------------------------------------------


def test_a_city_sees_its_own_and_those_of_its_enterprises(books: Hands) -> None:
    for kind, owner in OWNERS:
        make(books, kind, owner)
    context = context_of(books)

    def seen(who: Any) -> set[str]:
        found = run(use_cases.list_statements(context, who, Filter(), 100, ()))
        return {f"{one.kind} {one.owner}" for one in found}

    assert seen(admin("wuhan")) == {"CITY wuhan", "ENTERPRISE w1"}
    assert seen(admin("ezhou")) == {"CITY ezhou", "ENTERPRISE e1"}
    assert len(seen(OPERATOR)) == len(OWNERS)
    assert seen(member("w1")) == set()  # drafts are not for their owners
    number = issued(books, "ENTERPRISE", "w1")
    assert seen(member("w1", Role.ENTERPRISE_MEMBER)) == {"ENTERPRISE w1"}
    assert export(books, number, "CSV", member("w1")) == export(books, number, "CSV")
    for who in (member("e1"), member("w2"), admin("ezhou"), member("w1")):
        other = "ENTERPRISE-e1-2026-09-R1" if who == member("w1") else number
        if who.city == "ezhou":
            other = "CITY-wuhan-2026-09-R1"
        with pytest.raises(NotFound):
            run(use_cases.show(context, who, other))


@pytest.mark.parametrize(
    ("city", "kind", "owner"),
    [
        ("wuhan", "CITY", "ezhou"), ("wuhan", "CITY", "corridor"), ("wuhan", "ENTERPRISE", "e1"),
        ("wuhan", "CENTER", "ai"), ("wuhan", "CITY", "atlantis"), ("wuhan", "ENTERPRISE", "no"),
    ],
)  # fmt: skip
def test_no_city_makes_statements_of_others(books: Hands, city: str, kind: str, owner: str) -> None:
    call = use_cases.create(context_of(books), admin(city), Wanted(kind, owner, MONTH))
    refused(books, NotFound, call)


def test_statements_are_listed_by_page_kind_period_and_state(books: Hands) -> None:
    for kind, owner in OWNERS:
        make(books, kind, owner)
    issued(books, "CITY", "wuhan")
    context = context_of(books)

    def listed(limit: int = 100, after: tuple[str, ...] = (), **chosen: Any) -> list[str]:
        found = use_cases.list_statements(context, OPERATOR, Filter(**chosen), limit, after)
        return [one.number for one in run(found)]

    everything = listed()
    assert everything == sorted(everything)
    assert listed(3) + listed(100, (MONTH, everything[2])) == everything
    assert listed(kind="CENTER") == ["CENTER-ai-2026-09-R1", "CENTER-sc-2026-09-R1"]
    assert listed(states=["ISSUED"]) == ["CITY-wuhan-2026-09-R1"]
    assert listed(owner="w1") == ["ENTERPRISE-w1-2026-09-R1"]
    assert listed(period="2026") == []
