"""Lines of statements: what each says of a charge, and the totals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quota import export_focus
from quota.calendar import period_bounds
from quota.statements import (
    MOVES,
    Charge,
    Given,
    Posting,
    StatementKind,
    StatementState,
    kind_of,
    nets,
    statement_number,
)
from tests.unit.quota.statement_samples import (
    AT_MS,
    CLAIM,
    DEBT,
    FUND,
    PAYABLE,
    SHARED,
    VOUCHER,
    WALLET,
    WRITE_OFF,
    charge,
    lines_of,
    maker,
    posting,
    subsidised,
)

ACCOUNTS = (FUND, SHARED, VOUCHER, WALLET, DEBT, CLAIM, PAYABLE, WRITE_OFF, "lapsed:v:2025")


def test_a_number_says_whose_statement_of_when_and_which_revision() -> None:
    assert statement_number(StatementKind.CITY, "wuhan", "2026Q3", 2) == "CITY-wuhan-2026Q3-R2"


def test_a_city_states_what_its_own_funds_gave() -> None:
    made, [line] = lines_of("CITY", subsidised())
    assert (line.gross_fen, line.share_fen, line.others_fen, line.self_pay_fen) == (
        6_400, 1_920, 960, 3_520,
    )  # fmt: skip
    assert (line.programme, line.document_ref, line.rule_version, line.binding) == (
        "v", "武政规〔2025〕3号", "2", "RATE",
    )  # fmt: skip
    assert (line.entries, line.hash) == (f"{FUND}#1", "01" * 32)
    assert made.totals.due_fen == made.totals.share_fen == 1_920
    assert made.totals.as_dict() == {
        "lines": 1, "charges": 1, "gross_fen": 6_400, "share_fen": 1_920, "others_fen": 960,
        "self_pay_fen": 3_520, "claim_fen": 0, "written_off_fen": 0, "due_fen": 1_920,
        "corrections": 0,
    }  # fmt: skip
    assert set(made.ranges) == {FUND}


def test_a_city_has_a_line_for_each_of_its_accounts_and_counts_the_gross_once() -> None:
    made, lines = lines_of("CITY", charge(
        posting(FUND, PAYABLE, 1_000), posting(VOUCHER, PAYABLE, 400), posting(WALLET, PAYABLE, 600)
    ))  # fmt: skip
    assert [(one.number, one.share_fen, one.others_fen, one.gross_fen) for one in lines] == [
        (1, 1_000, 400, 2_000), (2, 400, 1_000, 2_000),
    ]  # fmt: skip
    assert [one.accounts for one in lines] == [FUND, VOUCHER]
    assert (made.totals.gross_fen, made.totals.share_fen, made.totals.others_fen) == (
        2_000,
        1_400,
        0,
    )


def test_a_charge_without_a_citys_money_is_not_on_its_statement() -> None:
    made, lines = lines_of("CITY", charge(posting(SHARED, PAYABLE, 5), posting(WALLET, PAYABLE, 5)))
    assert (lines, made.totals.charges, made.ranges) == ([], 0, {})


def test_an_enterprise_and_a_center_see_a_charge_as_one_line_with_all_who_bear_it() -> None:
    for kind, due in (("ENTERPRISE", 3_520), ("CENTER", 6_400)):
        made, [line] = lines_of(kind, subsidised())
        assert (line.share_fen, line.others_fen, line.self_pay_fen) == (2_880, 0, 3_520)
        assert line.by_programme == "shared 9.60; v 19.20"
        assert line.accounts == f"{SHARED}; {FUND}"
        assert line.rule_version == "shared 1; v 2"
        assert line.binding == "shared YEAR_CAP; v RATE"
        assert line.entries == f"{SHARED}#1; {FUND}#1; wallets:wuhan#1"
        assert made.totals.due_fen == due


def test_what_is_claimed_was_paid_by_the_enterprise_and_is_due_from_it() -> None:
    claimed = charge(posting(WALLET, PAYABLE, 1_000), posting(FUND, CLAIM, 300, seq=2))
    made, [line] = lines_of("ENTERPRISE", claimed)
    assert (line.gross_fen, line.share_fen, line.claim_fen, line.self_pay_fen) == (
        1_000,
        300,
        300,
        700,
    )
    assert made.totals.due_fen == 1_000
    made, [line] = lines_of("CITY", claimed)
    assert (line.share_fen, line.claim_fen, made.totals.due_fen) == (300, 300, 300)
    made, _ = lines_of("CENTER", claimed)
    assert made.totals.due_fen == 1_000


def test_a_correction_states_what_it_takes_back_and_what_it_corrects() -> None:
    back = charge(
        posting(PAYABLE, FUND, 200, code="CORRECT", shard=FUND, reverses="settle:7.1.0.0",
                ref_period="2026-08"),
        posting(PAYABLE, WALLET, 300, code="CORRECT", reverses="settle:7.1.0.1"),
        unit_seconds=-3_600,
    )  # fmt: skip
    made, [line] = lines_of("CITY", back)
    assert (line.gross_fen, line.share_fen, line.self_pay_fen) == (-500, -200, -300)
    assert (line.correction, line.reference, line.use_period) == (
        "CORRECT",
        "settle:7.1.0.0",
        "2026-08",
    )
    assert (made.totals.corrections, made.totals.due_fen) == (1, -200)


def test_what_is_written_off_and_what_is_owed_is_told_apart() -> None:
    made, [line] = lines_of("CENTER", charge(
        posting(WRITE_OFF, PAYABLE, 100), posting(DEBT, PAYABLE, 50), posting(WALLET, PAYABLE, 7)
    ))  # fmt: skip
    assert (line.gross_fen, line.self_pay_fen, line.written_off_fen) == (157, 57, 100)
    assert (made.totals.written_off_fen, made.totals.due_fen) == (100, 57)


@pytest.mark.parametrize(("version", "due"), [(1, 50), (2, 20)])
def test_a_center_is_not_due_what_was_written_off_since_version_2(version: int, due: int) -> None:
    made = maker("CENTER", "ai", version=version)
    [line] = made.lines(
        [charge(posting(DEBT, PAYABLE, 50), posting(WRITE_OFF, DEBT, 30, code="WRITE_OFF"))]
    )
    assert made.totals.due_fen == due
    assert export_focus.billed_fen(export_focus.rows_of(made.kind, line, version)) == due


def test_free_unit_seconds_are_counted_beside_the_money() -> None:
    grant = "grant:v:2026:w1"
    granted = charge(
        posting(grant, "consumed:v:2026", 3_600, ledger="UNIT_S", shard=FUND),
        posting(WALLET, PAYABLE, 500),
        given={grant: Given("v", 3, "GRANT", AT_MS)},
    )
    made = maker("CITY", own=(grant,))
    [line] = made.lines([granted])
    assert (line.free_unit_seconds, line.share_fen, line.programme) == (3_600, 0, "v")
    _, [line] = lines_of("ENTERPRISE", granted)
    assert (line.free_unit_seconds, line.gross_fen) == (3_600, 500)


def test_the_year_is_that_of_the_use_and_goes_on_over_blocks() -> None:
    made = maker()
    made.years[("v", "w1", 2026)] = 5_000
    old_ms = period_bounds("2025-12")[0]
    late = {FUND: Given("v", 1, "RATE", old_ms)}
    found = [
        *made.lines([subsidised(1), subsidised(2)]),
        *made.lines([charge(posting(FUND, PAYABLE, 70), given=late, number=3), subsidised(4)]),
    ]
    assert [one.year_total_fen for one in found] == [6_920, 8_840, 70, 10_760]


def test_the_bounds_are_the_first_and_last_entry_with_its_hash() -> None:
    made = maker("CENTER", "ai")
    made.lines([subsidised(5), subsidised(3), subsidised(9)])
    for shard in (FUND, SHARED, "wallets:wuhan"):
        one = made.ranges[shard]
        assert (one.seq_from, one.seq_to, one.entries, one.head) == (3, 9, 3, b"\x09" * 32)
    assert made.ranges[FUND].amount == 3 * 1_920


def test_states_lead_from_a_draft_to_paid_or_disputed_and_no_further() -> None:
    ends = {state for state, after in MOVES.items() if not after}
    assert ends == {StatementState.PAID, StatementState.DISPUTED}
    assert MOVES[StatementState.DRAFT] == {StatementState.ISSUED}


entries = st.builds(
    posting,
    st.sampled_from(ACCOUNTS),
    st.sampled_from(ACCOUNTS),
    st.integers(1, 10_000),
    seq=st.integers(1, 9),
    code=st.sampled_from(("SETTLE", "OVERRUN", "CORRECT", "CLAWBACK", "WRITE_OFF")),
)
charges = st.lists(st.lists(entries, min_size=1, max_size=6), max_size=5).map(
    lambda groups: [charge(*group, number=at) for at, group in enumerate(groups, 1)]
)


@settings(max_examples=60)
@given(charges, st.sampled_from(sorted(StatementKind)))
def test_each_line_and_the_totals_are_the_sums_of_the_entries(
    found: list[Charge], kind: StatementKind
) -> None:
    """I7 and I8 for any entries, against sums that are added up entry by entry."""
    made, lines = lines_of(kind, *found)
    for line in lines:
        assert line.gross_fen == (
            line.share_fen + line.others_fen + line.self_pay_fen + line.written_off_fen
        )
    sides = [
        (account, sign * one.amount)
        for some in found
        for one in some.postings
        for account, sign in ((one.debit_account, 1), (one.credit_account, -1))
    ]
    own = (FUND, VOUCHER)
    if kind is StatementKind.CITY:
        assert made.totals.share_fen == sum(fen for account, fen in sides if account in own)
        assert made.totals.due_fen == made.totals.share_fen == sum(one.share_fen for one in lines)
        for shard, one in made.ranges.items():
            mine = [
                p for some in found for p in some.postings
                if p.shard == shard and {p.debit_account, p.credit_account} & set(own)
            ]  # fmt: skip
            assert one.seq_from <= min(p.seq for p in mine) <= one.seq_to
        return
    gross = -sum(fen for account, fen in sides if account == PAYABLE)
    paid = sum(fen for account, fen in sides if account in (WALLET, DEBT))
    assert made.totals.gross_fen == gross == sum(one.gross_fen for one in lines)
    off = sum(fen for account, fen in sides if account == WRITE_OFF)
    assert made.totals.due_fen == (gross - off if kind is StatementKind.CENTER else paid)
    assert sum(one.entries for one in made.ranges.values()) == sum(len(s.postings) for s in found)


@given(st.lists(entries, max_size=8))
def test_all_nets_add_up_to_nothing(some: list[Posting]) -> None:
    found = nets(some)
    assert sum(found.values()) == 0
    assert 0 not in found.values()


@pytest.mark.parametrize("account", ACCOUNTS)
def test_the_kind_of_an_account_is_its_first_word(account: str) -> None:
    assert account.startswith(kind_of(account) + ":")
