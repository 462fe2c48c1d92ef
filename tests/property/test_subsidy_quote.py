"""Subsidy rules against a slow and obvious second implementation, and what must hold of them all.

The oracle tries every amount from the whole charge downwards and takes the first that no limit
forbids; the limits are written as people say them, in products and comparisons, without rounding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from quota.subsidy import Applicant, Binding, Left, Part, Rule, eligible, quote

GROSS_MAX = 240
CASES = settings(max_examples=300)


def forbidding(rule: Rule, gross: int, given_before: int, left: Left, amount: int) -> list[Binding]:
    """Which limits forbid that ``rule`` gives ``amount``."""
    base = gross if rule.base == "GROSS" else gross - given_before
    checks = (
        (Binding.RATE, amount * 10_000 <= base * rule.rate_bp),
        (Binding.JOB_CAP, rule.job_cap_fen is None or amount <= rule.job_cap_fen),
        (Binding.YEAR_CAP, left.cap_fen is None or amount <= left.cap_fen),
        (Binding.FUND, amount <= left.fund_fen),
        (Binding.CEILING, (given_before + amount) * 10_000 <= gross * rule.ceiling_bp),
    )
    return [binding for binding, fine in checks if not fine]


def plain_amount(rule: Rule, gross: int, given_before: int, left: Left) -> tuple[int, set[Binding]]:
    """The largest amount that nothing forbids, and what forbids one fen more."""
    for amount in range(gross, -1, -1):
        if not amount or not forbidding(rule, gross, given_before, left, amount):
            break
    if amount < rule.minimum_fen:
        return 0, {Binding.MINIMUM}
    return amount, set(forbidding(rule, gross, given_before, left, amount + 1))


def plain_ways(rules: Sequence[Rule]) -> Iterator[list[Rule]]:
    """All ways to keep exactly one rule of each exclusive group."""
    for kept in product((True, False), repeat=len(rules)):
        way = [rule for rule, keep in zip(rules, kept, strict=True) if keep]
        groups = [rule.exclusive_group for rule in way if rule.exclusive_group]
        all_groups = {rule.exclusive_group for rule in rules if rule.exclusive_group}
        free = sum(not rule.exclusive_group for rule in way)
        if sorted(groups) == sorted(all_groups) and free == sum(
            not rule.exclusive_group for rule in rules
        ):
            yield way


def plain_quote(gross: int, rules: Sequence[Rule], left: dict[str, Left]) -> list[dict[str, int]]:
    """What each way gives by programme; only ways that give most."""
    ways = []
    for way in plain_ways(rules):
        given_before = 0
        gives = {}
        for rule in way:
            amount, _ = plain_amount(rule, gross, given_before, left[rule.programme])
            gives[rule.programme] = amount
            given_before += amount
        ways.append(gives)
    most = max(sum(gives.values()) for gives in ways)
    return [gives for gives in ways if sum(gives.values()) == most]


@st.composite
def rule_sets(draw: st.DrawFn, *, minimum: bool = True) -> tuple[list[Rule], dict[str, Left]]:
    """One to four rules in the order in which they give, and what is left of each."""
    rules = []
    left = {}
    for number in range(draw(st.integers(1, 4))):
        rule = Rule(
            programme=f"p{number}",
            version=1,
            city="wuhan",
            rate_bp=draw(st.sampled_from((0, 1, 1000, 3333, 5000, 9999, 10_000))),
            priority=number,
            exclusive_group=draw(st.sampled_from(("", "", "a", "b"))),
            base=draw(st.sampled_from(("GROSS", "REMAINING"))),
            job_cap_fen=draw(st.none() | st.integers(0, GROSS_MAX)),
            minimum_fen=draw(st.integers(0, 40)) if minimum else 0,
            ceiling_bp=draw(st.sampled_from((1, 2500, 5000, 8000, 10_000))),
        )
        rules.append(rule)
        left[rule.programme] = Left(
            draw(st.integers(0, GROSS_MAX)), draw(st.none() | st.integers(0, GROSS_MAX))
        )
    return rules, left


def total(parts: Sequence[Part]) -> int:
    """All that is given."""
    return sum(part.amount_fen for part in parts)


def given_by(parts: Sequence[Part], programme: str) -> int:
    """What one programme gives; 0 if another of its group was chosen."""
    return sum(part.amount_fen for part in parts if part.programme == programme)


@CASES
@given(st.integers(0, GROSS_MAX), rule_sets())
def test_a_quote_is_what_the_oracle_finds(
    gross: int, drawn: tuple[list[Rule], dict[str, Left]]
) -> None:
    rules, left = drawn
    parts = quote(gross, rules, left)
    assert {part.programme: part.amount_fen for part in parts} in plain_quote(gross, rules, left)
    given_before = 0
    for part in parts:
        rule = next(rule for rule in rules if rule.programme == part.programme)
        _, bindings = plain_amount(rule, gross, given_before, left[part.programme])
        assert part.binding in bindings, "one fen more would be allowed by the limit named"
        given_before += part.amount_fen


@CASES
@given(st.integers(0, GROSS_MAX), rule_sets())
def test_no_quote_exceeds_the_charge_a_fund_a_cap_or_a_ceiling(
    gross: int, drawn: tuple[list[Rule], dict[str, Left]]
) -> None:
    rules, left = drawn
    given_before = 0
    for part in quote(gross, rules, left):
        rule = next(rule for rule in rules if rule.programme == part.programme)
        given_before += part.amount_fen
        assert 0 <= part.amount_fen <= left[part.programme].fund_fen
        assert left[part.programme].cap_fen is None or part.amount_fen <= (
            left[part.programme].cap_fen or 0
        )
        if part.amount_fen:
            assert given_before * 10_000 <= gross * rule.ceiling_bp
    assert given_before <= gross


@CASES
@given(
    st.integers(0, GROSS_MAX),
    rule_sets(minimum=False),
    st.integers(0, 3),
    st.sampled_from(("rate", "job cap", "year cap", "fund", "ceiling")),
    st.integers(0, GROSS_MAX),
)
def test_more_generous_rules_never_give_less(
    gross: int, drawn: tuple[list[Rule], dict[str, Left]], number: int, what: str, more: int
) -> None:
    """I12. Minimums are left out: a minimum turns a little less of one rule into nothing."""
    rules, left = drawn
    rule = rules[number % len(rules)]
    before = quote(gross, rules, left)
    generous, roomy = rule, left[rule.programme]
    match what:
        case "rate":
            generous = replace(rule, rate_bp=min(10_000, rule.rate_bp + more * 40))
        case "ceiling":
            generous = replace(rule, ceiling_bp=min(10_000, rule.ceiling_bp + more * 40))
        case "job cap" if rule.job_cap_fen is not None:
            generous = replace(rule, job_cap_fen=rule.job_cap_fen + more)
        case "year cap" if roomy.cap_fen is not None:
            roomy = roomy._replace(cap_fen=roomy.cap_fen + more)
        case "fund":
            roomy = roomy._replace(fund_fen=roomy.fund_fen + more)
        case _:
            return
    changed = [generous if one is rule else one for one in rules]
    after = quote(gross, changed, {**left, rule.programme: roomy})
    assert total(after) >= total(before)
    if not any(one.exclusive_group for one in rules):
        assert given_by(after, rule.programme) >= given_by(before, rule.programme)


@CASES
@given(rule_sets(minimum=False), st.integers(0, GROSS_MAX), st.integers(0, GROSS_MAX))
def test_a_larger_charge_never_gets_less(
    drawn: tuple[list[Rule], dict[str, Left]], one: int, other: int
) -> None:
    rules, left = drawn
    assert total(quote(min(one, other), rules, left)) <= total(quote(max(one, other), rules, left))


def test_the_order_is_priority_then_programme() -> None:
    rules = [
        Rule("b", 1, "wuhan", 1000, priority=1),
        Rule("a", 1, "wuhan", 1000, priority=1),
        Rule("z", 1, "corridor", 1000, priority=0),
    ]
    found = eligible(rules, Applicant("wuhan", "SMALL", "", False), "f")
    assert [rule.programme for rule in found] == ["z", "a", "b"]


def test_each_condition_of_a_rule_keeps_others_out() -> None:
    rule = Rule(
        "p", 1, "wuhan", 1000, flavors=("f",), size_classes=("SMALL",), sectors=("bio",),
        startup_only=True,
    )  # fmt: skip
    fits = Applicant("wuhan", "SMALL", "bio", True)
    assert eligible([rule], fits, "f") == [rule]
    assert eligible([rule], fits, "g") == []
    for wrong in (
        fits._replace(city="ezhou"),
        fits._replace(size_class="LARGE"),
        fits._replace(sector="steel"),
        fits._replace(startup=False),
    ):
        assert eligible([rule], wrong, "f") == []
    assert eligible([replace(rule, city="corridor")], fits._replace(city="ezhou"), "f") != []


def test_of_an_exclusive_group_the_one_that_really_gives_more() -> None:
    """The second would give more alone, but its ceiling leaves nothing of it beside the first."""
    rules = [
        Rule("first", 1, "wuhan", 5000, priority=0),
        Rule("rich", 1, "wuhan", 5000, priority=1, exclusive_group="g", ceiling_bp=5000),
        Rule("poor", 1, "wuhan", 1000, priority=2, exclusive_group="g"),
    ]
    left = {rule.programme: Left(1_000) for rule in rules}
    assert [(part.programme, part.amount_fen) for part in quote(100, rules, left)] == [
        ("first", 50), ("poor", 10),
    ]  # fmt: skip


def test_many_groups_end_soon() -> None:
    rules = [
        Rule(f"p{number:02d}", 1, "wuhan", 100, exclusive_group=f"g{number // 2}")
        for number in range(60)
    ]
    parts = quote(10_000, rules, {rule.programme: Left(10_000) for rule in rules})
    assert total(parts) == 30 * 100
