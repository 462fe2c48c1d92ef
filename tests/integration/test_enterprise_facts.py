"""Facts about enterprises as people set them, asked at admission, on each kind of store."""

import pytest
from sqlalchemy import Connection

from quota.rules import Rule
from scheduler.domain.principal import Principal, Role
from scheduler.errors import AlreadyThere, InvalidRequest, NotFound
from scheduler.store import centers, enterprise_facts, rule_facts, seed_money, terms
from scheduler.store.change_requests import Act
from scheduler.store.enterprise_facts import DatedFact, Fact, FactKind
from scheduler.store.seed_rules import Dated, EnterpriseFacts, SeedProgramme
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

DAY_MS = 86_400_000
YEARS = Rule("years", 1, "wuhan", 1_000, project_list="tech", support_years=2)
PLAIN = Rule("plain", 1, "wuhan", 5_000)
RELATED = Fact(FactKind.RELATED_PARTY, "w1", ("ai",))
LISTED = Fact(FactKind.LISTED_PROJECT, "w1", ("tech", "T-1"))
SUPPORT = Fact(FactKind.EARLIER_SUPPORT, "w1", ("years",), 2025)


@pytest.fixture
def hands(each_store: str) -> Hands:
    """A small corridor with two programmes of Wuhan."""
    it = Hands(worlds.build(rules=()))
    programmes = [
        SeedProgramme("wuhan", rule.programme, "", True, rule, 900_000) for rule in (YEARS, PLAIN)
    ]
    it.db.do(lambda c: seed_money.load_programmes(c, programmes, it.clock.ms))
    return it


def _act(hands: Hands, city: str = "wuhan") -> Act:
    actor = Principal("admin", Role.CITY_ADMIN, city, None, None, "", 0)
    return Act(actor, "register", hands.clock.ms, hands.clock.ms)


def _add(
    hands: Hands, fact: Fact, from_ms: int | None = None, to_ms: int | None = None
) -> DatedFact:
    start_ms = hands.clock.ms if from_ms is None else from_ms
    new = DatedFact(fact, start_ms, to_ms, "notice 8")
    return hands.db.do(lambda c: enterprise_facts.add(c, new, _act(hands)))


def _end(hands: Hands, fact: Fact, at_ms: int | None = None) -> list[DatedFact]:
    return hands.db.do(lambda c: enterprise_facts.end(c, fact, at_ms, _act(hands)))


def _payer(hands: Hands) -> rule_facts.Payer:
    def read(connection: Connection) -> rule_facts.Payer:
        found = rule_facts.load_payers(connection, ["w1"], (YEARS, PLAIN), hands.clock.ms)
        return found["w1"]

    return hands.db.do(read)


def test_facts_hold_from_their_beginning_until_they_are_ended(hands: Hands) -> None:
    later_ms = hands.clock.ms + DAY_MS
    for fact in (RELATED, LISTED, SUPPORT):
        _add(hands, fact, later_ms)
    before = _payer(hands)
    assert before.applicant.related == frozenset()
    assert before.lists == {}
    assert before.applicant.supported_since == {}
    hands.clock.ms = later_ms
    there = _payer(hands)
    assert there.applicant.related == {"ai"}
    assert there.lists == {"T-1": {"tech"}}
    assert there.applicant.supported_since == {"years": 2025}
    for fact in (RELATED, LISTED, SUPPORT):
        [ended] = _end(hands, fact, later_ms + DAY_MS)
        assert (ended.from_ms, ended.to_ms) == (later_ms, later_ms + DAY_MS)
    assert _payer(hands) == there
    hands.clock.ms += DAY_MS
    assert _payer(hands) == before
    kept = hands.db.do(lambda c: enterprise_facts.list_facts(c, _act(hands).actor.scope, "w1"))
    assert [one.fact for one in kept] == [RELATED, LISTED, SUPPORT]
    assert {one.state(hands.clock.ms) for one in kept} == {terms.ENDED}


def test_what_is_held_for_a_run_is_settled_as_it_was_frozen(hands: Hands) -> None:
    """Related to the center while the first run lasts: only the second gets nothing."""
    first, second = hands.world.submit("w1", [job(units=4), job(units=4)])
    hands.run(first)
    held = hands.held(first)
    assert held[0] > 0
    _add(hands, RELATED)
    hands.run(second)
    assert hands.held(second)[0] == 0
    hands.end(first, 600, units=4)
    hands.end(second, 600, units=4)
    assert hands.job(first, "subsidy_fen") > 0
    assert hands.job(second, "subsidy_fen") == 0
    hands.verify()


@pytest.mark.parametrize("fact", [RELATED, LISTED, SUPPORT], ids=lambda one: str(one.kind))
def test_nothing_begins_or_ends_in_the_past(hands: Hands, fact: Fact) -> None:
    now_ms = hands.clock.ms
    for from_ms, to_ms in ((now_ms - 1, None), (now_ms, now_ms), (now_ms + 9, now_ms + 8)):
        with pytest.raises(InvalidRequest) as refused:
            _add(hands, fact, from_ms, to_ms)
        assert {one.field for one in refused.value.violations} <= {
            "fact.effective_time",
            "fact.end_time",
        }
    _add(hands, fact)
    with pytest.raises(InvalidRequest, match="in the past"):
        _end(hands, fact, now_ms - 1)


def test_a_fact_is_there_once_at_a_time(hands: Hands) -> None:
    now_ms = hands.clock.ms
    _add(hands, RELATED, now_ms + 10, now_ms + 20)
    for span in ((0, 11), (0, None), (10, 20), (12, 15), (19, None)):
        from_ms, to_ms = (None if at is None else now_ms + at for at in span)
        with pytest.raises(AlreadyThere, match="end it first"):
            _add(hands, RELATED, from_ms, to_ms)
    _add(hands, RELATED, now_ms + 20)
    _add(hands, RELATED, now_ms, now_ms + 10)
    ended = _end(hands, RELATED, now_ms + 15)
    assert [(one.from_ms - now_ms, (one.to_ms or 0) - now_ms) for one in ended] == [
        (20, 20),
        (10, 15),
    ]


def test_what_never_began_makes_room(hands: Hands) -> None:
    """Planned, given up, and planned for the very same time again."""
    later_ms = hands.clock.ms + DAY_MS
    _add(hands, SUPPORT, later_ms)
    [gone] = _end(hands, SUPPORT)
    assert (gone.to_ms, gone.state(hands.clock.ms)) == (later_ms, terms.ENDED)
    with pytest.raises(NotFound, match="nothing to end"):
        _end(hands, SUPPORT)
    _add(hands, Fact(FactKind.EARLIER_SUPPORT, "w1", ("years",), 2024), later_ms)
    hands.clock.ms = later_ms
    assert _payer(hands).applicant.supported_since == {"years": 2024}
    actions = hands.db.rows(
        "SELECT action FROM audit_event WHERE action LIKE '%FACT%' ORDER BY seq"
    )
    assert [one for (one,) in actions] == [
        "ENTERPRISE_FACT_ADDED", "ENTERPRISE_FACT_ENDED", "ENTERPRISE_FACT_ADDED",
    ]  # fmt: skip


def test_what_is_named_must_be_there(hands: Hands) -> None:
    for fact in (
        Fact(FactKind.RELATED_PARTY, "w1", ("moon",)),
        Fact(FactKind.EARLIER_SUPPORT, "w1", ("moon",), 2025),
        Fact(FactKind.EARLIER_SUPPORT, "w1", ("years",), 2027),
        Fact(FactKind.EARLIER_SUPPORT, "w1", ("years",), 1999),
    ):
        with pytest.raises(InvalidRequest):
            _add(hands, fact)
    with pytest.raises(NotFound):
        _add(hands, Fact(FactKind.RELATED_PARTY, "nobody", ("ai",)))
    other = _act(hands, "ezhou")
    new = DatedFact(RELATED, hands.clock.ms, None, "notice 8")
    with pytest.raises(NotFound):
        hands.db.do(lambda c: enterprise_facts.add(c, new, other))
    _add(hands, RELATED)
    with pytest.raises(NotFound):
        hands.db.do(lambda c: enterprise_facts.end(c, RELATED, None, other))
    with pytest.raises(NotFound):
        hands.db.do(lambda c: enterprise_facts.list_facts(c, other.actor.scope, "w1"))


def test_data_files_bring_back_nothing_that_was_ended(hands: Hands) -> None:
    facts = EnterpriseFacts(
        "w1",
        (Dated(("ai",), hands.clock.ms - DAY_MS, None, "register"),),
        (Dated(("tech", "T-1"), hands.clock.ms - DAY_MS, None, "notice"),),
        (("years", 2024, "before these books"),),
    )
    hands.db.do(lambda c: seed_money.load_facts(c, [facts]))
    assert _payer(hands).applicant.supported_since == {"years": 2024}
    for fact in (RELATED, LISTED, SUPPORT):
        _end(hands, fact)
    hands.db.do(lambda c: seed_money.load_facts(c, [facts]))
    now = _payer(hands)
    assert (now.applicant.related, now.lists) == (frozenset(), {})
    assert now.applicant.supported_since == {}


def test_a_flavor_of_domestic_make_counts_from_then_on(hands: Hands) -> None:
    more = Rule("home", 1, "wuhan", 2_000, domestic_only=True)
    hands.db.do(
        lambda c: seed_money.load_programmes(
            c, [SeedProgramme("wuhan", "home", "", True, more, 900_000)], hands.clock.ms
        )
    )
    first, second = hands.world.submit("w1", [job(units=4), job(units=4)])
    hands.run(first)
    hands.db.do(lambda c: centers.set_domestic(c, NPU, True, _act(hands)))
    hands.run(second)
    given = {
        uid: {
            one
            for (one,) in hands.db.rows(
                f"SELECT DISTINCT programme FROM hold_leg WHERE job_uid = {uid}"
                " AND programme IS NOT NULL"
            )
        }
        for uid in (first, second)
    }
    assert given == {first: {"plain"}, second: {"plain", "home"}}
