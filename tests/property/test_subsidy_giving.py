"""Quotes of subsidies against the slow and obvious oracle, and what must hold of them all."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quota.charges import Binding, Left, Quote, Slice, Source
from quota.eligibility import Admitted
from quota.quoting import quote
from quota.rules import Funder, Rule, Why
from tests.property.subsidy_oracle import Case, cases, plain_quote, plain_split

CASES = settings(max_examples=300)


def rules_by_name(admitted: Sequence[Admitted]) -> dict[str, Rule]:
    """Rules of a case by programme."""
    return {one.rule.programme: one.rule for one in admitted}


def given_by(found: Quote, programme: str) -> int:
    """What one programme gives in sum."""
    return sum(part.amount_fen for part in found.parts if part.programme == programme)


def check(case: Case) -> None:
    """The oracle gives the same amounts, and agrees that each limit named forbids a fen more."""
    found = quote(*case)
    gross, best = plain_quote(*case)
    assert list(found.slices_fen) == gross
    fen = {(part.programme, part.slice): part.amount_fen for part in found.parts if part.amount_fen}
    free = {(p.programme, p.slice): p.unit_seconds for p in found.parts if p.unit_seconds}
    same = [
        oracle
        for oracle in best
        if fen == {key: got.amount for key, got in oracle.given.items() if got.amount}
        and free == {key: got.amount for key, got in oracle.free.items() if got.amount}
    ]
    assert same, (fen, free, best)
    for part in found.parts:
        assert any(
            part.binding.value in {**oracle.given, **oracle.free}[part.programme, part.slice][1]
            for oracle in same
        ), part


@CASES
@given(cases())
def test_a_quote_is_what_the_oracle_finds(case: Case) -> None:
    check(case)


@pytest.mark.slow
@settings(max_examples=4_000)
@given(cases())
def test_quotes_are_what_the_oracle_finds_in_many_cases(case: Case) -> None:
    check(case)


@CASES
@given(cases())
def test_every_programme_gives_or_is_told_why_it_does_not(case: Case) -> None:
    found = quote(*case)
    given_any = {part.programme for part in found.parts if part.amount_fen or part.unit_seconds}
    refused = {one.programme for one in found.refusals}
    assert {part.programme for part in found.parts} == given_any
    assert given_any | refused == set(rules_by_name(case.admitted))
    assert not given_any & refused
    rules = rules_by_name(case.admitted)
    for one in found.refusals:
        if one.why is Why.EXCLUSIVE:
            assert rules[one.than].exclusive_group == rules[one.programme].exclusive_group != ""
            assert one.than != one.programme
        else:
            assert not one.than


@CASES
@given(cases())
def test_no_account_cap_or_ceiling_is_exceeded(case: Case) -> None:
    slices, admitted, left = case
    rules = rules_by_name(admitted)
    found = quote(*case)
    taken: dict[str, int] = {}
    capped: dict[tuple[str, int], int] = {}
    given_before = [0] * len(slices)
    for part in found.parts:
        rule, gross = rules[part.programme], found.slices_fen[part.slice]
        for draw in part.draws:
            taken[draw.account] = taken.get(draw.account, 0) + draw.amount
            if draw.cap_year is not None and not draw.cap_reserved:
                assert draw.cap_year == slices[part.slice].year
                key = part.programme, draw.cap_year
                capped[key] = capped.get(key, 0) + draw.amount
        if part.amount_fen:
            given_before[part.slice] += part.amount_fen
            assert given_before[part.slice] * 10_000 <= gross * rule.ceiling_bp
    for account, amount in taken.items():
        assert amount <= left.accounts[account]
    for (programme, year), amount in capped.items():
        cap = rules[programme].year_cap_fen
        if cap is not None:
            assert amount <= left.caps.get((programme, year), cap)
    assert all(0 <= got <= fen for got, fen in zip(given_before, found.slices_fen, strict=True))
    assert found.gross_fen == found.subsidy_fen + found.self_pay_fen


@CASES
@given(cases())
def test_draws_are_what_the_part_gives_and_funders_keep_their_shares(case: Case) -> None:
    """I16: shares add up to the subsidy, by largest remainder."""
    rules = rules_by_name(case.admitted)
    for part in quote(*case).parts:
        assert sum(draw.amount for draw in part.draws) == part.amount_fen + part.unit_seconds
        assert all(draw.amount > 0 for draw in part.draws)
        rule = rules[part.programme]
        if rule.funders:
            exact = plain_split(part.amount_fen, rule.funders)
            by_funder = {draw.funder: draw.amount for draw in part.draws}
            assert [by_funder.get(funder.name, 0) for funder in rule.funders] == exact


@CASES
@given(cases())
def test_of_each_exclusive_group_one_gives(case: Case) -> None:
    rules = rules_by_name(case.admitted)
    groups: dict[str, set[str]] = {}
    for part in quote(*case).parts:
        if rules[part.programme].exclusive_group:
            groups.setdefault(rules[part.programme].exclusive_group, set()).add(part.programme)
    assert all(len(programmes) == 1 for programmes in groups.values())


@CASES
@given(
    cases(minimum=False, grants=False),
    st.integers(0, 3),
    st.sampled_from(("rate", "job cap", "year cap", "ceiling", "accounts")),
    st.integers(0, 240),
)
def test_more_generous_rules_never_give_less(case: Case, number: int, what: str, more: int) -> None:
    """I12. Minimums are left out: a minimum turns a little less of one rule into nothing."""
    slices, admitted, left = case
    one = admitted[number % len(admitted)]
    rule, generous, roomy = one.rule, one, left
    match what:
        case "rate":
            generous = one._replace(rate_bp=min(10_000, one.rate_bp + more * 40))
        case "ceiling":
            generous = one._replace(
                rule=replace(rule, ceiling_bp=min(10_000, rule.ceiling_bp + more * 40))
            )
        case "job cap" if rule.job_cap_fen is not None:
            generous = one._replace(rule=replace(rule, job_cap_fen=rule.job_cap_fen + more))
        case "year cap" if rule.year_cap_fen is not None:
            caps = {key: fen + more * (key[0] == rule.programme) for key, fen in left.caps.items()}
            generous = one._replace(rule=replace(rule, year_cap_fen=rule.year_cap_fen + more))
            roomy = Left(left.sources, left.accounts, caps)
        case "accounts":
            mine = {source.account for source in left.sources[rule.programme]}
            accounts = {name: fen + more * (name in mine) for name, fen in left.accounts.items()}
            roomy = Left(left.sources, accounts, left.caps)
        case _:
            return
    changed = [generous if other is one else other for other in admitted]
    before, after = quote(slices, admitted, left), quote(slices, changed, roomy)
    assert after.subsidy_fen >= before.subsidy_fen
    if not any(other.rule.exclusive_group for other in admitted):
        assert given_by(after, rule.programme) >= given_by(before, rule.programme)


@CASES
@given(cases(), st.data())
def test_the_order_of_rules_sources_and_accounts_changes_nothing(
    case: Case, data: st.DataObject
) -> None:
    """Rules give in the order of their priority, however they are listed; so do vouchers."""
    slices, admitted, left = case
    sources = {
        name: tuple(data.draw(st.permutations(mine)))
        for name, mine in sorted(left.sources.items(), reverse=True)
    }
    accounts = dict(reversed(list(left.accounts.items())))
    assert quote(slices, admitted, Left(sources, accounts, left.caps)) == quote(*case)


@CASES
@given(cases(minimum=False), st.integers(0, 60))
def test_a_slice_cut_in_two_loses_at_most_a_fen_a_rule(case: Case, at: int) -> None:
    """I13: the gross is the same; each rule rounds down once more, in favour of its fund."""
    (one, *_), admitted, left = case
    first = min(at, one.unit_seconds)
    cut = (
        one._replace(unit_seconds=first, end_ms=one.start_ms + 1),
        one._replace(unit_seconds=one.unit_seconds - first, start_ms=one.start_ms + 1),
    )
    plain = [
        other for other in admitted if other.rule.unit == "FEN" and not other.rule.exclusive_group
    ]
    whole, parts = quote((one,), plain, left), quote(cut, plain, left)
    assert whole.gross_fen == parts.gross_fen
    if all(other.rule.base == "GROSS" and not other.rule.funders for other in plain):
        assert abs(whole.subsidy_fen - parts.subsidy_fen) <= 2 * len(plain)


# --- single rules, by hand ------------------------------------------------------------------------


def one_slice(fen: int, year: int = 2026) -> tuple[Slice, ...]:
    """A run that costs so many fen."""
    return (Slice(0, 1_000, fen, year, 1_000_000),)


def left_of(rules: Sequence[Rule], fen: int = 1_000) -> Left:
    """Enough money in one fund of each."""
    return Left(
        {rule.programme: (Source(f"fund:{rule.programme}", rule.city),) for rule in rules},
        {f"fund:{rule.programme}": fen for rule in rules},
    )


def amounts(found: Quote) -> list[tuple[str, int]]:
    """What each programme gives."""
    return [(part.programme, part.amount_fen) for part in found.parts]


def ask(rules: Sequence[Rule], fen: int, left: Left | None = None) -> Quote:
    """Quote a run of one slice for rules that all admit it."""
    admitted = [Admitted(rule, rule.rate_bp) for rule in rules]
    return quote(one_slice(fen), admitted, left_of(rules) if left is None else left)


def test_of_an_exclusive_group_the_one_that_really_gives_more() -> None:
    """The second would give more alone, but its ceiling leaves nothing of it beside the first."""
    rules = [
        Rule("first", 1, "wuhan", 5000, priority=0),
        Rule("rich", 1, "wuhan", 5000, priority=1, exclusive_group="g", ceiling_bp=5000),
        Rule("poor", 1, "wuhan", 1000, priority=2, exclusive_group="g"),
    ]
    found = ask(rules, 100)
    assert amounts(found) == [("first", 50), ("poor", 10)]
    assert [(one.programme, one.why, one.than) for one in found.refusals] == [
        ("rich", Why.CEILING, "")
    ]


def test_who_gives_less_of_a_group_is_told_who_gives_instead() -> None:
    rules = [
        Rule("more", 1, "wuhan", 5000, exclusive_group="g"),
        Rule("less", 1, "wuhan", 3000, exclusive_group="g"),
    ]
    found = ask(rules, 100)
    assert amounts(found) == [("more", 50)]
    assert [(one.programme, one.why, one.than) for one in found.refusals] == [
        ("less", Why.EXCLUSIVE, "more")
    ]


def test_many_groups_end_soon() -> None:
    rules = [
        Rule(f"p{number:02d}", 1, "wuhan", 100, exclusive_group=f"g{number // 2}")
        for number in range(60)
    ]
    found = ask(rules, 10_000)
    assert found.subsidy_fen == 30 * 100
    assert len(found.refusals) == 30


def test_two_funders_give_one_to_one_and_the_shorter_limits_both() -> None:
    rule = Rule("p", 1, "wuhan", 5000, funders=(Funder("wuhan", 5000), Funder("hubei", 5000)))
    sources = (Source("fund:p:2026", "wuhan"), Source("fund:p:2026:hubei", "hubei"))
    left = Left({"p": sources}, {"fund:p:2026": 1_000, "fund:p:2026:hubei": 20})
    [part] = ask([rule], 75, left).parts
    assert [(draw.account, draw.amount) for draw in part.draws] == [
        ("fund:p:2026", 19), ("fund:p:2026:hubei", 18),
    ]  # fmt: skip
    [part] = ask([rule], 200, left).parts
    assert (part.amount_fen, part.binding, part.bound_by) == (
        40, Binding.FUND, "fund:p:2026:hubei",
    )  # fmt: skip


def test_vouchers_are_used_in_the_order_in_which_they_expire() -> None:
    rule = Rule("p", 1, "wuhan", 5000, issue="VOUCHER")
    sources = (
        Source("voucher:0", expire_ms=9), Source("voucher:b", expire_ms=5),
        Source("voucher:a", expire_ms=5),
    )  # fmt: skip
    left = Left({"p": sources}, {"voucher:0": 100, "voucher:a": 7, "voucher:b": 5})
    [part] = ask([rule], 40, left).parts
    assert [(draw.account, draw.amount) for draw in part.draws] == [
        ("voucher:a", 7), ("voucher:b", 5), ("voucher:0", 8),
    ]  # fmt: skip


def test_a_cap_that_was_counted_on_issue_is_not_counted_again() -> None:
    rule = Rule("p", 1, "wuhan", 5000, issue="VOUCHER", cap_on="ISSUE", year_cap_fen=10)
    left = Left({"p": (Source("voucher:a", cap_year=2025),)}, {"voucher:a": 100}, {("p", 2026): 0})
    [part] = ask([rule], 100, left).parts
    [draw] = part.draws
    assert (part.amount_fen, draw.cap_year, draw.cap_reserved) == (50, 2025, True)


def test_a_reimbursement_is_advanced_by_the_enterprise() -> None:
    rules = [
        Rule("off", 1, "wuhan", 2000),
        Rule("back", 1, "wuhan", 3000, priority=1, mode="REIMBURSE"),
    ]
    found = ask(rules, 100)
    assert (found.subsidy_fen, found.self_pay_fen, found.advance_fen) == (50, 50, 30)
    assert found.wallet_fen == 80


def test_free_card_hours_come_first_and_are_not_charged() -> None:
    """100 unit-seconds of which 30 are granted: half of the 70 fen that are left."""
    rules = [
        Rule("money", 1, "wuhan", 5000),
        Rule("hours", 1, "wuhan", 10_000, priority=9, unit="UNIT_S"),
    ]
    left = Left(
        {"money": (Source("fund:m", "wuhan"),), "hours": (Source("grant:h"),)},
        {"fund:m": 1_000, "grant:h": 30},
    )
    admitted = [Admitted(rule, rule.rate_bp) for rule in reversed(rules)]
    found = quote(one_slice(100), admitted, left)
    assert (found.gross_fen, found.unit_seconds, found.subsidy_fen) == (70, 30, 35)
    assert found.parts[0].binding is Binding.GRANT


def test_support_ends_with_its_years() -> None:
    """Since 2025 for two years: 2026 is the last. A run over New Year gets the part before it."""
    rule = Rule("p", 1, "wuhan", 5000, support_years=2)
    slices = (*one_slice(100, 2026), Slice(1_000, 2_000, 100, 2027, 1_000_000))
    found = quote(slices, [Admitted(rule, 5000, 2025)], left_of([rule]))
    assert [(part.amount_fen, part.binding) for part in found.parts] == [
        (50, Binding.RATE), (0, Binding.SUPPORT_YEARS),
    ]  # fmt: skip
    late = quote(slices[1:], [Admitted(rule, 5000, 2025)], left_of([rule]))
    assert [one.why for one in late.refusals] == [Why.SUPPORT_YEARS]


def test_a_run_over_the_end_of_a_period_takes_from_both_funds() -> None:
    """And over the end of the year from both caps; by start it takes all from the first."""
    rule = Rule("p", 1, "wuhan", 5000, year_cap_fen=60)
    slices = (*one_slice(100, 2026), Slice(1_000, 2_000, 100, 2027, 1_000_000))
    left = Left(
        {"p": (Source("fund:p:2026", "wuhan", 0, 1_000), Source("fund:p:2027", "wuhan", 1_000))},
        {"fund:p:2026": 500, "fund:p:2027": 500},
        {("p", 2026): 20},
    )
    drawn = [
        (draw.account, draw.amount, draw.cap_year)
        for part in quote(slices, [Admitted(rule, 5000)], left).parts
        for draw in part.draws
    ]
    assert drawn == [("fund:p:2026", 20, 2026), ("fund:p:2027", 50, 2027)]
    start = replace(rule, boundary="BY_START", year_cap_fen=None)
    found = quote(slices, [Admitted(start, 5000)], left)
    assert {draw.account for part in found.parts for draw in part.draws} == {"fund:p:2026"}


def parts_of(found: Quote) -> list[tuple[str, Binding]]:
    """Programmes and what bound them."""
    return [(part.programme, part.binding) for part in found.parts]


def test_a_missing_funder_is_named() -> None:
    rule = Rule("p", 1, "wuhan", 5000, funders=(Funder("wuhan", 5000), Funder("hubei", 5000)))
    found = ask([rule], 100, left_of([rule]))
    assert [(one.programme, one.why) for one in found.refusals] == [("p", Why.NO_FUND)]
    assert parts_of(found) == []


def test_of_an_empty_run_nothing_is_given() -> None:
    rule = Rule("p", 1, "wuhan", 5000)
    assert quote((), [Admitted(rule, 5000)], left_of([rule])).gross_fen == 0


@CASES
@given(cases(minimum=False, grants=False), st.integers(0, 60))
def test_a_larger_charge_never_gets_less(case: Case, more: int) -> None:
    (one, *_), admitted, left = case
    larger = one._replace(unit_seconds=one.unit_seconds + more)
    assert quote((one,), admitted, left).subsidy_fen <= quote((larger,), admitted, left).subsidy_fen
