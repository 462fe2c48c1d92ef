"""Programmes of all kinds in the store: what is held and settled of them adds up, entry by entry.

Runs are held near New Year, end as they like, and the whole ledger is verified after each.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import Phase
from quota.rules import Funder, Rule, Tier
from scheduler.store import funds, seed_money
from scheduler.store.seed_rules import SeedGrant, SeedProgramme, SeedVoucher
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, job

NEW_YEAR_MS = 1_798_732_800_000  # 2027-01-01 in Shanghai
#: Flavor, units, contract, seconds that it ran (its limit is 600), and how it ended.
Run = tuple[str, int, str, int, Phase]
MONEY = st.sampled_from((0, 3, 40, 500, 100_000))


@st.composite
def programmes(draw: st.DrawFn) -> list[SeedProgramme]:
    """One to four programmes of Wuhan, with little or enough money."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(("pool", "pool", "joint", "voucher", "hours")))
        name = f"p{number}"
        if kind == "hours":
            rule = Rule(name, 1, "wuhan", draw(st.sampled_from((5_000, 10_000))), unit="UNIT_S")
            grants = (SeedGrant("w1", 1),) if draw(st.booleans()) else ()
            found.append(SeedProgramme("wuhan", name, "", True, rule, 0, (), grants))
            continue
        voucher = kind == "voucher"
        rule = Rule(
            name, 1, "wuhan", draw(st.sampled_from((1_000, 3_333, 5_000, 10_000))),
            priority=draw(st.integers(0, 2)),
            exclusive_group=draw(st.sampled_from(("", "", "g"))),
            base=draw(st.sampled_from(("GROSS", "REMAINING"))),
            job_cap_fen=draw(st.none() | st.integers(0, 300)),
            year_cap_fen=draw(st.none() | st.integers(0, 100_000)),
            minimum_fen=draw(st.sampled_from((0, 0, 20))),
            ceiling_bp=draw(st.sampled_from((8_000, 10_000))),
            mode=draw(st.sampled_from(("DEDUCT", "REIMBURSE"))),
            issue="VOUCHER" if voucher else "POOL",
            tiers=draw(st.sampled_from(((), (Tier(6_000, size_classes=("SMALL",)),)))),
            funders=(Funder("wuhan", 6_000), Funder("hubei", 4_000)) if kind == "joint" else (),
            contract_once=draw(st.sampled_from(("", "", "JOB", "PROGRAMME"))),
            validity_months=12 if voucher else None,
            boundary=draw(st.sampled_from(("SPLIT", "SPLIT", "BY_START"))),
        )  # fmt: skip
        faces = draw(st.lists(st.sampled_from((7, 300)), max_size=2)) if voucher else []
        money = max(draw(MONEY), sum(faces))
        found.append(
            SeedProgramme(
                "wuhan", name, "", True, rule, money, tuple(SeedVoucher("w1", f) for f in faces)
            )
        )
    return found


RUNS = st.lists(
    st.tuples(
        st.sampled_from((NPU, CPU)),
        st.integers(1, 4),
        st.sampled_from(("", "C")),
        st.integers(0, 900),
        st.sampled_from((Phase.SUCCEEDED, Phase.SUCCEEDED, Phase.CANCELLED)),
    ),
    min_size=1,
    max_size=5,
)


def course(wanted: Sequence[SeedProgramme], runs: Sequence[Run], late: bool) -> None:
    """Hold, run and settle, with the ledger verified on the way."""
    it = Hands(worlds.build(now_ms=NEW_YEAR_MS - 700_000, rules=()))
    now_ms = it.clock.ms
    it.db.do(lambda c: seed_money.load_programmes(c, wanted, now_ms))
    it.db.do(lambda c: seed_money.load_rights(c, wanted, now_ms))
    if late:  # the funds of the next year are open, and some have money
        for one in wanted:
            it.db.do(partial(funds.open_period, programme=one.rule.programme, period="2027"))
            if one.fund_fen > 1 and one.rule.unit == "FEN":
                worlds.pay_into(it.world, one.rule.programme, one.fund_fen // 2, "next", "2027")
    for flavor, units, contract, seconds, phase in runs:
        spec = replace(job(flavor, units), contract=contract)
        [uid] = it.world.submit("w1", [spec])
        if it.admit(uid).refused:
            continue  # the wallet is empty: it waits
        it.send(uid)
        it.report(it.seen(uid, Phase.RUNNING, 1, start_ms=it.clock.ms))
        it.verify()
        it.end(uid, seconds, phase, units=units)
        it.verify()
    [(least,)] = it.db.rows(
        "SELECT min(credits_posted + credit_limit_fen - debits_posted - debits_pending)"
        " FROM account WHERE limited"
    )
    assert least >= 0
    for gross, subsidy, own in it.db.rows("SELECT gross_fen, subsidy_fen, self_pay_fen FROM job"):
        assert gross == subsidy + own
    pending = it.db.rows("SELECT sum(debits_pending), sum(credits_pending) FROM account")
    assert pending == [(0, 0)]


@settings(max_examples=25)
@given(programmes(), RUNS, st.booleans())
def test_what_is_held_and_settled_adds_up(
    wanted: list[SeedProgramme], runs: list[Run], late: bool
) -> None:
    course(wanted, runs, late)


@pytest.mark.slow
@settings(max_examples=400)
@given(programmes(), RUNS, st.booleans())
def test_what_is_held_and_settled_adds_up_in_many_cases(
    wanted: list[SeedProgramme], runs: list[Run], late: bool
) -> None:
    course(wanted, runs, late)


def test_use_beyond_a_hold_counts_for_the_year_in_which_it_lies() -> None:
    """Held for 2026 alone, 700 s before New Year for 600 s; it ran on for 200 s of 2027."""
    rule = Rule("p", 1, "wuhan", 1_000, boundary="BY_START")
    wanted = [SeedProgramme("wuhan", "p", "", True, rule, 100_000)]
    course(wanted, [(NPU, 1, "", 900, Phase.SUCCEEDED)], False)
