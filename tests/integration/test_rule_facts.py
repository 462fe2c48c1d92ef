"""What rules ask about enterprises and contracts, as it is read from each kind of store."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, event, text

from quota.charges import Source
from quota.rules import Funder, Rule
from scheduler.domain.arrays import ArraySpec
from scheduler.domain.ids import element_uid
from scheduler.store import elements, job_relations, paying, pricing, rule_facts, seed_money
from scheduler.store.paying import Wanted
from scheduler.store.seed_rules import Dated, EnterpriseFacts, SeedGrant, SeedProgramme, SeedVoucher
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

DAY_MS = 86_400_000
CLAIM = Rule(
    "claim", 1, "wuhan", 5_000, issue="VOUCHER", validity_months=12, contract_once="JOB",
    support_years=3,
)  # fmt: skip
LISTED = Rule("listed", 1, "wuhan", 1_000, project_list="tech", support_years=2)
HOURS = Rule("hours", 1, "wuhan", 10_000, unit="UNIT_S", flavors=(NPU,))
JOINT = Rule("joint", 1, "wuhan", 1_000, funders=(Funder("wuhan", 5_000), Funder("hubei", 5_000)))


@pytest.fixture
def hands(each_store: str) -> Hands:
    """A small corridor with a programme of each kind."""
    it = Hands(worlds.build(rules=()))
    programmes = [
        SeedProgramme("wuhan", "claim", "", True, CLAIM, 9_000, (SeedVoucher("w1", 5_000),)),
        SeedProgramme("wuhan", "listed", "", True, LISTED, 9_000),
        SeedProgramme("wuhan", "hours", "", True, HOURS, 0, (), (SeedGrant("w1", 1),)),
        SeedProgramme("wuhan", "joint", "", True, JOINT, 101),
    ]
    now_ms = it.clock.ms
    facts = EnterpriseFacts(
        "w1",
        (
            Dated(("sc",), now_ms - DAY_MS, None, "register"),
            Dated(("ai",), now_ms - 2 * DAY_MS, now_ms - DAY_MS, "register"),
        ),
        (
            Dated(("tech", "T-1"), now_ms - DAY_MS, now_ms + DAY_MS, "notice 8"),
            Dated(("tech", "T-2"), now_ms + DAY_MS, None, "notice 9"),
        ),
        (("listed", 2025, "before these books"),),
    )
    for _ in range(2):  # what is there is left alone
        it.db.do(lambda c: seed_money.load_programmes(c, programmes, now_ms))
        it.db.do(lambda c: seed_money.load_rights(c, programmes, now_ms))
        it.db.do(lambda c: seed_money.load_facts(c, [facts]))
    return it


def test_facts_hold_within_their_dates(hands: Hands) -> None:
    rules = (CLAIM, LISTED, HOURS, JOINT)
    payers = hands.db.do(lambda c: rule_facts.load_payers(c, ["w1", "e1"], rules, hands.clock.ms))
    applicant = payers["w1"].applicant
    assert applicant.related == {"sc"}
    assert payers["w1"].lists == {"T-1": {"tech"}}
    assert applicant.supported_since == {"listed": 2025}
    assert payers["e1"].applicant.related == frozenset()
    hands.clock.ms += DAY_MS
    later = hands.db.do(lambda c: rule_facts.load_payers(c, ["w1"], rules, hands.clock.ms))
    assert later["w1"].lists == {"T-2": {"tech"}}


def test_sources_of_each_kind_are_found(hands: Hands) -> None:
    money = hands.db.do(lambda c: pricing.load_money(c, hands.clock.ms))
    rules = (CLAIM, LISTED, HOURS, JOINT)
    own = hands.db.do(lambda c: pricing.load_own(c, rules, ["w1", "e1"], hands.clock.ms))
    assert [source.funder for source in money.funds["joint"]] == ["wuhan", "hubei"]
    [voucher] = own.sources["w1", "claim"]
    [grant] = own.sources["w1", "hours"]
    assert (voucher.from_ms, grant.account) == (0, "grant:hours:2026:w1")
    assert ("e1", "claim") not in own.sources
    accounts = [voucher.account, grant.account, *(one.account for one in money.funds["joint"])]
    left = hands.db.do(lambda c: pricing.available(c, accounts))
    assert [left[name] for name in accounts] == [5_000, 3_600, 51, 50]
    after = voucher.expire_ms
    gone = hands.db.do(lambda c: pricing.load_own(c, rules, ["w1"], after))
    assert ("w1", "claim") not in gone.sources


def test_what_a_lowered_fund_waits_for_is_not_there_to_be_given(hands: Hands) -> None:
    hands.db.do(
        lambda c: c.execute(
            text("UPDATE fund_funder SET reducing_fen = 30 WHERE account_id = 'fund:joint:2026'")
        )
    )
    left = hands.db.do(lambda c: pricing.available(c, ["fund:joint:2026"]))
    assert left == {"fund:joint:2026": 21}


def test_a_contract_is_used_while_something_is_held_or_was_given_for_it(hands: Hands) -> None:
    spec = replace(job(units=8), contract="C-1")
    first, other = hands.world.submit("w1", [spec, spec])
    contracts = [("w1", "C-1")]
    assert hands.db.do(lambda c: rule_facts.load_givers(c, contracts)) == {}
    hands.run(first)
    givers = hands.db.do(lambda c: rule_facts.load_givers(c, contracts))
    assert givers["w1", "C-1"]["claim"] == {first}
    hands.end(first, 600, units=8)
    hands.run(other)
    [(programmes,)] = hands.db.rows(
        f"SELECT count(*) FROM hold_leg WHERE job_uid = {other} AND programme = 'claim'"
    )
    assert programmes == 0
    again = hands.db.do(lambda c: rule_facts.load_givers(c, contracts))
    assert again["w1", "C-1"]["claim"] == {first}
    years = hands.db.rows("SELECT year FROM cap_counter WHERE programme = 'claim'")
    assert years == [(2026,)]
    payers = hands.db.do(lambda c: rule_facts.load_payers(c, ["w1"], (CLAIM,), hands.clock.ms))
    assert payers["w1"].applicant.supported_since == {"claim": 2026}
    hands.end(other, 600, units=8)
    hands.verify()


def test_a_judgement_asks_for_all_of_it(hands: Hands) -> None:
    """Free hours, then a voucher of the contract, then both funders; nothing for the list."""
    means = hands.db.do(lambda c: paying.load(c, {"w1"}, hands.clock.ms, [("w1", "C-1")]))
    one = Wanted(1, 1, "ai", NPU, "w1", "wuhan", 1, 7_200, "PREFERRED", None, "C-1", "T-1", 1)
    found = paying.judge(means, one)
    assert [part.programme for part in found.parts] == ["hours", "claim", "joint", "listed"]
    assert found.quote.unit_seconds == 3_600
    plain = paying.judge(means, one._replace(project="T-9", contract=""))
    refused = {refusal.programme: refusal.why.value for refusal in plain.refusals}
    assert refused == {"claim": "CONTRACT_MISSING", "listed": "PROJECT"}
    related = paying.judge(means, one._replace(center="sc"))
    assert {refusal.why.value for refusal in related.refusals} == {"RELATED_PARTY"}


def test_a_blocked_enterprise_is_told_so_of_each_programme(hands: Hands) -> None:
    hands.db.do(lambda c: c.execute(text("UPDATE enterprise SET blocked = :yes"), {"yes": True}))
    means = hands.db.do(lambda c: paying.load(c, {"w1"}, hands.clock.ms))
    found = paying.judge(means, Wanted(1, 1, "ai", NPU, "w1", "wuhan", 1, 60, "PREFERRED", None))
    assert found.reason is not None
    assert {refusal.why.value for refusal in found.refusals} == {"BLOCKED"}


def test_funds_of_later_periods_are_known_for_runs_that_last_until_then(hands: Hands) -> None:
    money = hands.db.do(lambda c: pricing.load_money(c, hands.clock.ms))
    [fund] = money.funds["listed"]
    assert isinstance(fund, Source)
    assert money.funded(hands.clock.ms) == {"claim", "hours", "joint", "listed"}
    assert money.funded(fund.to_ms) == set()


def test_an_array_is_told_what_its_elements_cost_in_money_and_in_free_hours(hands: Hands) -> None:
    """Two runs of 4,800 unit-seconds, of which 3,600 are free: 1,333 fen for the other 6,000."""
    spec = replace(job(units=8), array=ArraySpec(2), contract="C-1")
    [array] = hands.world.submit("w1", [spec])
    uids = [element_uid(array, index) for index in range(2)]
    hands.db.do(lambda c: c.execute(text("UPDATE job_array SET opened = size")))
    found = hands.db.do(lambda c: elements.find(c, uids))
    hands.db.do(lambda c: elements.make_rows(c, list(found.values()), hands.clock.ms))
    for element in uids:
        hands.run(element)
        hands.end(element, 600, units=8)
    figures = job_relations.ArrayFigures(gross_fen=267 + 1_067)
    charge = hands.db.do(lambda c: job_relations.array_charge(c, array, figures))
    assert charge is not None
    assert (charge.unit_seconds, charge.free_unit_seconds) == (6_000, 3_600)
    assert charge.gross_fen == 267 + 1_067
    given = {part.programme: part.amount_fen for part in charge.parts}
    # Half of it from the voucher, an array being one job of its contract; a tenth of the funders,
    # of whom hubei has 37 left for the second.
    assert given == {"claim": 133 + 533, "joint": 26 + 74}
    hands.verify()


def test_jobs_of_a_contract_are_found_by_its_index() -> None:
    """Not by walking through all jobs of an enterprise."""
    db = worlds.build(rules=()).db
    asked: list[str] = []

    def read(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", lambda *seen: asked.append(seen[2]))
        rule_facts.load_givers(connection, [("w1", "C-1")])

    db.do(read)
    plan = db.do(lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}", ("w1", "C-1")).all())
    assert any("job_contract" in row[3] for row in plan)
