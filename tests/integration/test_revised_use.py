"""Differences resolved by the center's record: it becomes ours, and the charge follows (THEIRS)."""

import json
from typing import Any

import pytest

from adapters.contract import Phase
from quota.reconciling import Tolerance, Window
from quota.rules import Rule
from scheduler.domain.approving import Approvals, ChangeState
from scheduler.domain.ids import center_name, run_id
from scheduler.domain.principal import Principal, Role
from scheduler.errors import NotFound, WrongState
from scheduler.store import (
    approvals,
    book_months,
    change_requests,
    charge_orders,
    differences,
    reconciliations,
    revised_use,
)
from scheduler.store.change_requests import Act
from scheduler.store.charge_orders import Code, Lowering
from scheduler.store.differences import Decision, DifferenceRow
from scheduler.store.reconciliations import CenterRecord, Order
from scheduler.store.revised_use import Taken
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR, job

#: 222222 micro-fen a unit-second: 600 s cost 133 fen, 300 s 67.
RULE = Rule("v", 1, "wuhan", 3000, year_cap_fen=100)
SECOND = Principal("second", Role.CITY_ADMIN, "wuhan", None, None, "", 0)
ALONE = Approvals()
TOGETHER = Approvals(threshold_fen=30)


def settled(fund_fen: int = 10_000, used_s: int = 300) -> tuple[Hands, int]:
    """A run that was settled for its use."""
    it = Hands(worlds.build(rules=((RULE, fund_fen),), credit={"w1": 10_000}))
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.end(uid, used_s)
    it.verify()
    return it, uid


@pytest.fixture
def hands(each_store: str) -> tuple[Hands, int]:
    return settled()


def compare(it: Hands, *records: CenterRecord) -> list[DifferenceRow]:
    window = Window(worlds.NOW_MS - 1_000, it.clock.ms + 1)
    order = Order(
        "ai", window, Tolerance(), "a file", records, OPERATOR, "a test", it.clock.ms, it.clock.ms
    )
    return it.db.do(lambda c: reconciliations.reconcile(c, order))[1]


def ours(it: Hands, uid: int, **changes: Any) -> CenterRecord:
    """What the center says: our newest record, but for some changes; ``seconds`` of use."""
    [(native, submit_ms, start_ms, end_ms, units)] = it.db.rows(
        "SELECT native_id, submit_ms, start_ms, end_ms, units FROM usage_record"
        f" WHERE job_uid = {uid} ORDER BY segment, revision DESC LIMIT 1"
    )
    seconds = changes.pop("seconds", (end_ms - start_ms) // 1000)
    name = center_name(run_id(uid, 1))
    record = CenterRecord(name, native, submit_ms, start_ms, start_ms + seconds * 1000, 0, units)
    return record._replace(**changes)


def take(
    it: Hands, number: int, limits: Approvals = ALONE, reason: str = "its log is right"
) -> Taken:
    decision = Decision(number, "THEIRS", reason, OPERATOR, it.clock.ms, it.clock.ms)
    return it.db.do(lambda c: revised_use.take(c, decision, limits))


def books(it: Hands, uid: int) -> list[Any]:
    """All that the charge came to, whoever said so."""
    return [
        it.job(uid, "gross_fen, subsidy_fen, self_pay_fen"),
        it.db.rows("SELECT account_id, debits_posted, credits_posted FROM account ORDER BY 1"),
        it.db.rows("SELECT pending_fen, posted_fen FROM cap_counter"),
        it.db.rows(
            "SELECT shard, code, debit_account, credit_account, amount_fen, reverses, ref_period"
            " FROM transfer ORDER BY shard, seq"
        ),
        it.db.rows(
            "SELECT revision, line, seconds, units, gross_fen FROM rated_line ORDER BY 1, 2"
        ),
        it.db.rows("SELECT revision, kind, code, gross_fen, subsidy_fen FROM correction"),
        it.db.rows(
            "SELECT segment, revision, start_ms, end_ms, units, charge_revision FROM usage_record"
            " ORDER BY 1, 2"
        ),
    ]


@pytest.mark.parametrize(("seconds", "units"), [(100, 1), (600, 1), (300, 3), (0, 1), (900, 2)])
def test_the_charge_is_what_it_is_if_the_center_states_it_itself(
    each_store: str, seconds: int, units: int
) -> None:
    stated, uid = settled()
    before = ours(stated, uid)
    usage = stated.usage(
        uid, before.start_ms, before.start_ms + seconds * 1000, units=units, revision=1
    )
    stated.report(stated.seen(uid, Phase.SUCCEEDED, 2, usage=[usage]))
    stated.verify()
    taken, uid = settled()
    found = compare(taken, ours(taken, uid, seconds=seconds, cards=units))
    assert found
    for one in found:  # SECONDS and UNITS are one record: the first takes it, the second has it
        done = take(taken, one.diff_id)
        assert done.request is None
        assert (done.difference.state, done.difference.charge_revision) == ("RESOLVED", 1)
    taken.verify()
    assert books(taken, uid) == books(stated, uid)


def test_the_books_say_who_took_it_and_why(hands: tuple[Hands, int]) -> None:
    it, uid = hands
    [one] = compare(it, ours(it, uid, seconds=100))
    done = take(it, one.diff_id).difference
    assert (done.resolution, done.resolved_by) == ("THEIRS: its log is right", "test")
    assert done.charge_revision == 1
    assert take(it, one.diff_id).difference == done
    why = it.db.rows("SELECT kind, actor, role, reason FROM correction")
    assert why == [("USAGE", "test", "OPERATOR", f"differences/{one.diff_id}: its log is right")]
    [(source, digest)] = it.db.rows(
        "SELECT source, raw_sha256 FROM usage_record WHERE revision = 1"
    )
    assert (source, len(digest)) == ("reconciliation", 64)
    audited = it.db.rows(
        "SELECT action, target, before, after, reason FROM audit_event ORDER BY seq DESC LIMIT 2"
    )
    assert [(action, target) for action, target, *_ in audited] == [
        ("DIFFERENCE_RESOLVED", f"centers/ai/differences/{one.diff_id}"),
        ("CHARGE_CORRECTED", f"runs/{run_id(uid, 1)}"),
    ]
    assert json.loads(audited[0][3])["charge_revision"] == 1
    assert json.loads(audited[1][2])["gross_fen"] == 67
    assert json.loads(audited[1][3])["gross_fen"] == 22
    assert compare(it, ours(it, uid)) == []


def test_a_use_that_we_had_not_is_charged(hands: tuple[Hands, int]) -> None:
    it, uid = hands
    mine = ours(it, uid)
    later = mine._replace(start_ms=mine.end_ms + 1_000, end_ms=mine.end_ms + 61_000, native_id="9")
    it.clock.ms = later.end_ms
    [one] = compare(it, mine, later)
    assert one.kind == "MISSING_HERE"
    take(it, one.diff_id)
    it.verify()
    assert it.job(uid, "gross_fen") == 80
    assert it.db.rows("SELECT native_id, segment, revision FROM usage_record ORDER BY segment")[
        1
    ] == ("9", 1, 0)
    assert compare(it, mine, later) == []


def test_from_the_threshold_on_another_person_approves_it_first(hands: tuple[Hands, int]) -> None:
    it, uid = hands
    [one] = compare(it, ours(it, uid, seconds=100))  # 22 fen in place of 67
    before = books(it, uid)
    asked = take(it, one.diff_id, TOGETHER)
    assert asked.difference.state == "OPEN"
    request = asked.request
    assert request is not None
    assert (request.amount_fen, request.city) == (45, "wuhan")
    assert take(it, one.diff_id, TOGETHER).request == request
    assert books(it, uid) == before
    again = Act(OPERATOR, "mine", it.clock.ms, it.clock.ms)
    with pytest.raises(Exception, match="another person"):
        it.db.do(lambda c: approvals.approve(c, request.number, again))
    act = Act(SECOND, "agreed", it.clock.ms, it.clock.ms)
    it.db.do(lambda c: approvals.approve(c, request.number, act))
    it.verify()
    assert it.job(uid, "gross_fen") == 22
    done = it.db.do(lambda c: differences.get(c, one.diff_id))
    assert (done.state, done.charge_revision, done.resolved_by) == ("RESOLVED", 1, "second")


def test_a_denied_one_may_be_asked_for_again(hands: tuple[Hands, int]) -> None:
    it, uid = hands
    [one] = compare(it, ours(it, uid, seconds=100))
    act = Act(SECOND, "no", it.clock.ms, it.clock.ms)
    first = take(it, one.diff_id, TOGETHER).request
    assert first is not None
    denied = it.db.do(lambda c: change_requests.deny(c, first.number, act))
    assert denied.state is ChangeState.DENIED
    second = take(it, one.diff_id, TOGETHER).request
    assert second is not None
    assert second.number > first.number
    decision = Decision(one.diff_id, "OURS", "after all", OPERATOR, it.clock.ms, it.clock.ms)
    it.db.do(lambda c: differences.resolve(c, decision))
    with pytest.raises(WrongState, match="was resolved by test"):
        it.db.do(lambda c: approvals.approve(c, second.number, act))


def test_what_cannot_be_taken_over_is_said(hands: tuple[Hands, int]) -> None:
    it, uid = hands
    mine = ours(it, uid)
    lost = mine._replace(name=center_name(run_id(7, 1)))
    [missing_there, missing_here] = sorted(
        compare(it, lost), key=lambda one: one.kind, reverse=True
    )
    for number, why in (
        (missing_there.diff_id, "no use of the center's to take over"),
        (missing_here.diff_id, "no settled run of ours"),
    ):
        with pytest.raises(WrongState, match=why):
            take(it, number)
    [none] = [one for one in compare(it, mine._replace(cards=0)) if one.kind == "UNITS"]
    with pytest.raises(WrongState, match="makes no sense"):
        take(it, none.diff_id)
    [stale] = compare(it, ours(it, uid, seconds=100))
    usage = it.usage(uid, mine.start_ms, mine.start_ms + 200_000, revision=1)
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, usage=[usage]))
    with pytest.raises(WrongState, match="our record changed since"):
        take(it, stale.diff_id)
    with pytest.raises(NotFound):
        take(it, 99)
    it.verify()


def test_what_a_person_decided_on_no_record_changes(hands: tuple[Hands, int]) -> None:
    it, uid = hands
    [one] = compare(it, ours(it, uid, seconds=100))
    order = Lowering(run_id(uid, 1), 40, Code.GOODWILL, "r-1")
    act = Act(OPERATOR, "goodwill", it.clock.ms, it.clock.ms)
    it.db.do(lambda c: charge_orders.correct(c, order, act, ALONE, preview=False))
    with pytest.raises(WrongState, match="a person corrected"):
        take(it, one.diff_id)
    decision = Decision(one.diff_id, "CORRECTED", "agreed", OPERATOR, it.clock.ms, it.clock.ms)
    done = it.db.do(lambda c: differences.resolve(c, decision))
    assert done.charge_revision == 1


def test_the_month_can_be_closed_then(hands: tuple[Hands, int]) -> None:
    it, uid = hands
    [one] = compare(it, ours(it, uid, seconds=100))
    it.clock.ms += 40 * 86_400_000
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    month = it.db.do(book_months.list_months)[-1]
    assert month.differences == 1
    act = Act(OPERATOR, "reconciled", it.clock.ms, it.clock.ms)
    with pytest.raises(WrongState, match="difference"):
        it.db.do(lambda c: book_months.close(c, month.month, act))
    take(it, one.diff_id)
    it.db.do(lambda c: book_months.close(c, month.month, act))
    it.verify()
