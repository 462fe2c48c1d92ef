"""Comparisons with a center's own records, kept with their differences, on each store."""

import json
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from adapters.contract import FailureClass, Phase, RunRef
from quota.reconciling import Tolerance, Window
from scheduler.domain.ids import center_name, run_id
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import NotFound, WrongState
from scheduler.store import differences, jobs, reconciliations
from scheduler.store.differences import Decision, DifferenceRow
from scheduler.store.reconciliations import CenterRecord, Order, Reconciliation
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, OPERATOR, job

FULL = Tolerance(60, 0, 0)


@pytest.fixture
def hands(each_store: str) -> Hands:
    """Two settled runs of wuhan at ``ai``, and one of ezhou."""
    it = Hands(worlds.build(rules=()))
    for enterprise, seconds in (("w1", 100), ("w1", 200), ("e1", 300)):
        (uid,) = it.world.submit(enterprise, [job(NPU)])
        it.run(uid)
        it.end(uid, seconds)
    return it


def own_records(hands: Hands, **more: int) -> list[CenterRecord]:
    """What the center would say if it agreed."""
    rows = hands.db.rows(
        "SELECT job_uid, attempt, native_id, submit_ms, start_ms, end_ms, units FROM usage_record"
        " WHERE center = 'ai' ORDER BY job_uid"
    )
    return [
        CenterRecord(center_name(run_id(uid, at)), native, submit, start, end, 0, units)
        for uid, at, native, submit, start, end, units in rows
    ]


def order(hands: Hands, records: list[CenterRecord], **more: Any) -> Order:
    window = Window(worlds.NOW_MS - 1_000, hands.clock.ms + 1)
    given = {"window": window, "tolerance": FULL, **more}
    return Order(
        "ai", given["window"], given["tolerance"], "a file", records, OPERATOR, "a test",
        hands.clock.ms, hands.clock.ms,
    )  # fmt: skip


def compare(
    hands: Hands, records: list[CenterRecord], **more: Any
) -> tuple[Reconciliation, list[DifferenceRow]]:
    wanted = order(hands, records, **more)
    return hands.db.do(lambda c: reconciliations.reconcile(c, wanted))


def kinds(rows: list[DifferenceRow]) -> list[str]:
    return [row.kind for row in rows]


def listed(hands: Hands, scope: Scope = EVERYTHING, *, open_only: bool = True) -> list[int]:
    return [
        row.diff_id
        for row in hands.db.do(
            lambda c: differences.list_differences(
                c, scope, center="", open_only=open_only, limit=100, before=0
            )
        )
    ]


def resolve(hands: Hands, number: int, how: str, reason: str = "as it is") -> DifferenceRow:
    decision = Decision(number, how, reason, OPERATOR, hands.clock.ms, hands.clock.ms)
    return hands.db.do(lambda c: differences.resolve(c, decision))


def test_books_that_agree_have_no_differences(hands: Hands) -> None:
    told, found = compare(hands, own_records(hands))
    assert (told.agreed_count, told.difference_count, found) == (3, 0, [])
    assert hands.db.do(lambda c: reconciliations.list_reconciliations(c, "ai", 10, 0)) == [told]


def test_each_difference_is_kept_with_both_sides(hands: Hands) -> None:
    first, second, third = own_records(hands)
    foreign = first._replace(name="somebody-else")
    lost = first._replace(name=center_name(run_id(7, 1)), end_ms=first.end_ms)
    second = second._replace(end_ms=second.end_ms + 1_000, cards=2)
    told, found = compare(hands, [second, third, foreign, lost])
    assert sorted(kinds(found)) == ["MISSING_HERE", "MISSING_THERE", "SECONDS", "UNITS"]
    assert (told.record_count, told.foreign_count, told.agreed_count) == (4, 1, 1)
    seconds = next(row for row in found if row.kind == "SECONDS")
    assert json.loads(seconds.there)["seconds"] == json.loads(seconds.here)["seconds"] + 1
    assert (seconds.state, seconds.job_uid > 0) == ("OPEN", True)
    hands.verify()


def test_the_same_difference_is_kept_once(hands: Hands) -> None:
    records = own_records(hands)[1:]
    first, found = compare(hands, records)
    again, same = compare(hands, records)
    assert (first.new_count, again.new_count, again.difference_count) == (1, 0, 1)
    assert same == found
    resolve(hands, found[0].diff_id, "OURS")
    after, still = compare(hands, records)
    assert (after.new_count, [row.state for row in still]) == (0, ["RESOLVED"])
    assert listed(hands) == []


def test_an_open_difference_ends_when_both_sides_agree(hands: Hands) -> None:
    records = own_records(hands)
    _, found = compare(hands, records[1:])
    told, _ = compare(hands, records)
    assert told.ended_count == 1
    assert listed(hands) == []
    assert listed(hands, open_only=False) == [found[0].diff_id]


def test_a_dry_run_keeps_nothing(hands: Hands) -> None:
    wanted = order(hands, own_records(hands)[1:])
    told, found = hands.db.do(lambda c: reconciliations.preview(c, wanted))
    assert (told.number, told.new_count, kinds(found)) == (0, 1, ["MISSING_THERE"])
    assert found[0].diff_id == 0
    assert hands.db.rows("SELECT count(*) FROM recon_diff") == [(0,)]
    assert hands.db.rows("SELECT count(*) FROM recon_run") == [(0,)]


def test_what_is_not_settled_is_compared_another_time(hands: Hands) -> None:
    records = own_records(hands)
    (uid,) = hands.world.submit("w1", [job(NPU)])
    hands.run(uid)
    running = records[0]._replace(name=center_name(run_id(uid, 1)), end_ms=hands.clock.ms)
    told, found = compare(hands, [*records, running])
    assert (told.unsettled_count, found) == (1, [])


def test_cores_count_where_the_flavor_counts_cores(hands: Hands) -> None:
    hands.db.do(
        lambda c: c.exec_driver_sql("UPDATE flavor SET unit = 'core' WHERE code = 'ai/npu'")
    )
    cores = [one._replace(cores=one.cards, cards=0) for one in own_records(hands)]
    assert compare(hands, cores)[0].agreed_count == 3


def test_amounts_are_those_before_subsidies(hands: Hands) -> None:
    gross = dict(hands.db.rows("SELECT uid, gross_fen FROM job"))
    uids = [uid for (uid,) in hands.db.rows("SELECT job_uid FROM usage_record ORDER BY job_uid")]
    records = [
        one._replace(amount_fen=gross[uid])
        for one, uid in zip(own_records(hands), uids, strict=True)
    ]
    assert compare(hands, records)[0].agreed_count == 3
    records[0] = records[0]._replace(amount_fen=gross[uids[0]] + 2)
    assert kinds(compare(hands, records)[1]) == ["AMOUNT"]
    near = Tolerance(60, 0, 2)
    assert compare(hands, records, tolerance=near)[1] == []


def test_a_city_sees_differences_of_its_own_jobs(hands: Hands) -> None:
    lost = own_records(hands)[0]._replace(name=center_name(run_id(7, 1)))
    compare(hands, [lost])
    assert len(listed(hands)) == 4
    assert len(listed(hands, Scope(city="wuhan"))) == 2
    assert len(listed(hands, Scope(city="ezhou"))) == 1
    assert listed(hands, Scope(city="xianning")) == []


def test_a_difference_is_resolved_once_and_for_a_reason_that_holds(hands: Hands) -> None:
    _, found = compare(hands, own_records(hands)[1:])
    number = found[0].diff_id
    with pytest.raises(WrongState, match="was not corrected since"):
        resolve(hands, number, "CORRECTED")
    done = resolve(hands, number, "EXPLAINED")
    assert (done.state, done.resolution) == ("RESOLVED", "EXPLAINED: as it is")
    assert resolve(hands, number, "EXPLAINED") == done
    with pytest.raises(WrongState, match="was resolved by test"):
        resolve(hands, number, "OURS")
    with pytest.raises(NotFound):
        resolve(hands, number + 1, "OURS")
    audited = hands.db.rows("SELECT action, reason FROM audit_event ORDER BY seq")
    assert audited == [("CENTER_RECONCILED", "a test"), ("DIFFERENCE_RESOLVED", "as it is")]


def test_comparisons_are_never_changed(hands: Hands) -> None:
    compare(hands, own_records(hands))
    for statement in ("UPDATE recon_run SET agreed_count = 0", "DELETE FROM recon_run"):
        with pytest.raises(DBAPIError, match="insert-only"):
            hands.db.do(lambda c, sql=statement: c.exec_driver_sql(sql))  # type: ignore[misc]


def test_the_adapter_is_asked_for_what_was_settled(hands: Hands) -> None:
    (uid,) = hands.world.submit("w1", [job(CPU)])
    hands.run(uid)
    hands.end(uid, 10)
    window = Window(worlds.NOW_MS - 1_000, hands.clock.ms + 1)
    found = hands.db.do(lambda c: reconciliations.settled_runs(c, "ai", window))
    assert len(found) == 3
    (mine,) = hands.db.do(lambda c: reconciliations.settled_runs(c, "sc", window))
    (row,) = hands.db.do(lambda c: jobs.runs_of(c, uid))
    name = run_id(uid, 1)
    assert mine == RunRef(name, center_name(name), row.native_id, row.accept_ms or 0)
    assert mine.native_id
    assert mine.submit_ms


@pytest.mark.parametrize("kept", [False, True])
def test_the_adapter_is_not_asked_for_what_its_center_cut_off(hands: Hands, kept: bool) -> None:
    """What it says of that by now costs nothing, and nothing is kept that it could differ from."""
    (uid,) = hands.world.submit("w1", [job(CPU)])
    hands.run(uid)
    start_ms = hands.clock.ms
    hands.clock.ms += 10_000
    usage = [hands.usage(uid, start_ms, hands.clock.ms)] if kept else []
    times = {"start_ms": start_ms, "end_ms": hands.clock.ms}
    hands.report(
        hands.seen(uid, Phase.FAILED, 2, failure=FailureClass.CENTER, usage=usage, **times)
    )
    window = Window(worlds.NOW_MS - 1_000, hands.clock.ms + 1)
    found = hands.db.do(lambda c: reconciliations.settled_runs(c, "sc", window))
    assert [one.run_id for one in found] == ([run_id(uid, 1)] if kept else [])
