"""Judging many runs in a row: what is remembered of one like it changes nothing."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from quota.charges import Source
from quota.rules import Applicant, Funder, Rule
from scheduler.store.paying import Judgement, Means, Wanted, judge
from scheduler.store.pricing import Money, Own, Payer, Price

NOW_MS = 1_798_732_800_000 - 100_000  # 100 s before 2027 in Shanghai


@st.composite
def means_drawn(draw: st.DrawFn) -> Means:
    """Little of everything, so that what is left is often just not enough."""
    rules, funds, own, left = [], {}, {}, {"wallet:e": 10_000}
    for number in range(draw(st.integers(1, 3))):
        name = f"p{number}"
        rule = Rule(
            name, 1, "wuhan", draw(st.sampled_from((1_000, 3_333, 5_000))), priority=number,
            exclusive_group=draw(st.sampled_from(("", "", "g"))),
            year_cap_fen=draw(st.none() | st.integers(0, 300)),
            contract_once=draw(st.sampled_from(("", "", "JOB", "PROGRAMME"))),
        )  # fmt: skip
        kind = draw(st.sampled_from(("pool", "pool", "joint", "voucher")))
        if kind == "voucher":
            rule = replace(rule, issue="VOUCHER")
            sources = [Source(f"voucher:{name}:{at}", expire_ms=at) for at in range(2)]
            own["e", name] = tuple(sources)
        else:
            if kind == "joint":
                rule = replace(rule, funders=(Funder("wuhan", 6_000), Funder("hubei", 4_000)))
            sources = [Source(f"fund:{name}:{who}", who) for who, _ in rule.shares]
            funds[name] = tuple(sources)
        left.update({source.account: draw(st.integers(0, 400)) for source in sources})
        rules.append(rule)
    money = Money({"f": Price("f@1", 1_000_000)}, tuple(rules), funds)
    payer = Payer("e", Applicant("wuhan", "SMALL", "", False), {})
    return Means(money, {"e": payer}, left, {}, NOW_MS, Own(own))


RUNS = st.lists(
    st.tuples(st.sampled_from((1, 2)), st.sampled_from((60, 90, 150)), st.sampled_from(("", "C"))),
    min_size=1,
    max_size=12,
)


def anew(means: Means) -> Means:
    """The same means, with nothing remembered."""
    money = replace(means.money, memo={})
    return Means(
        money, means.payers, dict(means.left), dict(means.caps), means.now_ms, means.own,
        {contract: dict(givers) for contract, givers in means.givers.items()},
    )  # fmt: skip


def told(found: Judgement) -> tuple[object, ...]:
    """What is held and said of a run."""
    given = {refusal.programme for refusal in found.refusals}
    return found.gross_fen, found.parts, found.reason, found.admitted, given


@settings(max_examples=150)
@given(means_drawn(), RUNS)
def test_what_is_remembered_of_runs_alike_changes_nothing(
    means: Means, runs: list[tuple[int, int, str]]
) -> None:
    for uid, (units, wall_s, contract) in enumerate(runs, start=1):
        one = Wanted(
            uid, 1, "c", "f", "e", "wuhan", units, wall_s, "PREFERRED", None, contract, "", uid
        )
        fresh = judge(anew(means), one)
        found = judge(means, one)
        assert told(found) == told(fresh)
        if found.reason is None:
            means.take(one, found)
        assert all(left >= 0 for left in means.left.values())


@settings(max_examples=150)
@given(
    means_drawn(), st.lists(st.tuples(st.integers(0, 120), RUNS), min_size=2, max_size=4), st.data()
)
def test_what_is_remembered_of_other_batches_changes_nothing(
    means: Means, batches: list[tuple[int, list[tuple[int, int, str]]]], data: st.DataObject
) -> None:
    """Batches of later instants, before and after a New Year, under the same terms."""
    uid, now_ms = 0, NOW_MS
    for later_s, runs in batches:
        now_ms += later_s * 1000
        left = {name: data.draw(st.integers(0, 400), name) for name in means.left}
        batch = Means(means.money, means.payers, left, {}, now_ms, means.own)
        for units, wall_s, contract in runs:
            uid += 1
            one = Wanted(
                uid, 1, "c", "f", "e", "wuhan", units, wall_s, "PREFERRED", None, contract, "", uid
            )
            fresh = judge(anew(batch), one)
            found = judge(batch, one)
            assert told(found) == told(fresh)
            if found.reason is None:
                batch.take(one, found)


@settings(max_examples=150)
@given(
    means_drawn(),
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from("egghi"), st.sampled_from((1, 2)), st.sampled_from((60, 90))
            ),
            min_size=1, max_size=12,
        ),
        min_size=1, max_size=3,
    ),
    st.data(),
)  # fmt: skip
def test_what_is_remembered_of_other_enterprises_changes_nothing(
    means: Means, batches: list[list[tuple[str, int, int]]], data: st.DataObject
) -> None:
    """Of some the rules know the same; one has vouchers, one is related to the center."""
    plain = Applicant("wuhan", "SMALL", "", False)
    related = plain._replace(related=frozenset({"c"}))
    payers = means.payers | {
        who: Payer(who, related if who == "i" else plain, {}) for who in ("g", "h", "i")
    }
    uid = 0
    for runs in batches:
        left = {name: data.draw(st.integers(0, 400), name) for name in means.left}
        left |= dict.fromkeys(("wallet:g", "wallet:h", "wallet:i"), 500)
        used = st.integers(0, 300)
        caps = {
            (rule.programme, who, 2026): data.draw(used, f"{rule.programme} {who}")
            for rule in means.money.rules
            for who in "gh"
        }
        batch = Means(means.money, payers, left, caps, NOW_MS, means.own)
        for who, units, wall_s in runs:
            uid += 1
            one = Wanted(uid, 1, "c", "f", who, "wuhan", units, wall_s, "PREFERRED", None, root=uid)
            fresh = judge(anew(batch), one)
            found = judge(batch, one)
            assert told(found) == told(fresh)
            assert found.needs == fresh.needs
            if found.reason is None:
                batch.take(one, found)


def test_what_is_asked_of_an_enterprise_is_asked_again() -> None:
    """A plan that was remembered goes when a fact about the enterprise is another."""
    rule = Rule("p", 1, "wuhan", 5_000, startup_only=True)
    money = Money({"f": Price("f@1", 1_000_000)}, (rule,), {"p": (Source("fund:p", "wuhan"),)})
    one = Wanted(1, 1, "c", "f", "e", "wuhan", 1, 100, "PREFERRED", None)
    gave = []
    for startup in (True, False, True):
        payer = Payer("e", Applicant("wuhan", "SMALL", "", startup), {})
        means = Means(money, {"e": payer}, {"fund:p": 400, "wallet:e": 400}, {}, NOW_MS)
        gave.append(judge(means, one).subsidy_fen)
    assert gave == [50, 0, 50]


def test_a_voucher_that_was_empty_is_used_first_again() -> None:
    """What a batch drew from the second voucher is no reason to do so when the first is filled."""
    rule = Rule("p", 1, "wuhan", 5_000, issue="VOUCHER")
    sources = tuple(Source(f"voucher:{at}", expire_ms=at) for at in range(2))
    money = Money({"f": Price("f@1", 1_000_000)}, (rule,), {})
    payer = Payer("e", Applicant("wuhan", "SMALL", "", False), {})
    one = Wanted(1, 1, "c", "f", "e", "wuhan", 1, 100, "PREFERRED", None)
    drawn = []
    for first in (0, 400):
        left = {"voucher:0": first, "voucher:1": 400, "wallet:e": 400}
        means = Means(money, {"e": payer}, left, {}, NOW_MS, Own({("e", "p"): sources}))
        drawn += [draw.account for part in judge(means, one).parts for draw in part.draws]
    assert drawn == ["voucher:1", "voucher:0"]
