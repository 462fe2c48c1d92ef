"""Stored spells of reasons: only changes are written, few at a time, and forgotten in time."""

import pytest

from adapters.contract import FailureClass, Phase
from scheduler.domain.events import EventKind
from scheduler.domain.reasons import ReasonCode
from scheduler.domain.spells import spells, totals
from scheduler.placement.census import Kind, shape_of, subject_of
from scheduler.placement.model import CORRIDOR, Option, RunHistory
from scheduler.store import job_commands, reasons, run_history
from scheduler.store.leader import Fenced
from scheduler.store.planner_feed import options_of, snapshot
from scheduler.store.reasons import Open
from scheduler.store.tables import RUN_TOOK
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, OPERATOR, job

FULL, SHORT = ReasonCode.POOL_FULL, ReasonCode.WALLET_SHORT


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return Hands(worlds.build(rules=()))


def note(it: Hands, now: dict[str, str], most: int = 100) -> dict[str, Open]:
    """What a look at the planner says is compared with what is stored, and written."""
    known = it.db.do(reasons.still_open)
    ending, beginning = reasons.changes(known, now, most)
    it.db.do(lambda c: reasons.write(c, it.epoch, ending, beginning, it.clock.ms))
    return it.db.do(reasons.still_open)


def stored(it: Hands) -> list[tuple[object, ...]]:
    """All spells."""
    return it.db.rows("SELECT subject, from_ms, to_ms, code FROM reason_spell ORDER BY 2, 1")


def kind_of(it: Hands, uid: int, owner: str = "") -> str:
    """The subject of a job's kind."""
    [(city, options)] = it.db.rows(f"SELECT city, options FROM job WHERE uid = {uid}")
    return subject_of(Kind(city, owner, shape_of(options_of(options))))


def test_only_what_changed_is_written(it: Hands) -> None:
    begin_ms = it.clock.ms
    note(it, {"a": "POOL_FULL", "b": "POOL_FULL"})
    it.clock.ms += 10
    note(it, {"a": "POOL_FULL", "b": "POOL_FULL"})
    assert len(stored(it)) == 2
    note(it, {"a": "CAP_ENTERPRISE"})
    at_ms = it.clock.ms
    assert stored(it) == [
        ("a", begin_ms, at_ms, "POOL_FULL"),
        ("b", begin_ms, at_ms, "POOL_FULL"),
        ("a", at_ms, None, "CAP_ENTERPRISE"),
    ]


def test_a_look_writes_so_much_and_the_next_one_the_rest(it: Hands) -> None:
    now = {f"s{number}": "POOL_FULL" for number in range(5)}
    assert len(note(it, now, most=2)) == 2
    assert len(note(it, now, most=2)) == 4
    it.clock.ms += 1
    # Those that end are among the few.
    assert len(note(it, {}, most=3)) == 1


def test_a_clock_that_stands_still_makes_no_two_spells_of_one_instant(it: Hands) -> None:
    for code in ("POOL_FULL", "CAP_ENTERPRISE", "POOL_FULL"):
        note(it, {"a": code})
    assert [row[1] - it.clock.ms for row in stored(it)] == [0, 1, 2]  # type: ignore[operator]


def test_who_leads_no_more_writes_nothing(it: Hands) -> None:
    with pytest.raises(Fenced):
        it.db.do(lambda c: reasons.write(c, it.epoch - 1, {}, {"a": "POOL_FULL"}, 0))
    with pytest.raises(Fenced):
        it.db.do(lambda c: reasons.prune(c, it.epoch - 1, 0))
    assert stored(it) == []


def test_spells_are_forgotten_when_no_job_of_their_time_is_open(it: Hands) -> None:
    begin_ms = it.clock.ms
    [uid] = it.world.submit("w1", [job()])
    note(it, {"a": "POOL_FULL"})
    it.clock.ms += 1_000
    note(it, {})
    later_ms = it.clock.ms + 1_000
    assert it.db.do(lambda c: reasons.any_old(c, later_ms))
    assert it.db.do(lambda c: reasons.prune(c, it.epoch, later_ms)) == 0
    it.run(uid)
    it.end(uid, 5)
    assert it.db.do(lambda c: reasons.prune(c, it.epoch, begin_ms)) == 0
    assert it.db.do(lambda c: reasons.prune(c, it.epoch, later_ms)) == 1
    assert not it.db.do(lambda c: reasons.any_old(c, later_ms))
    # What goes on is kept however old it is.
    note(it, {"a": "POOL_FULL"})
    assert it.db.do(lambda c: reasons.prune(c, it.epoch, later_ms + 10**9)) == 0


def test_a_job_has_the_spells_of_its_kind_its_enterprise_and_its_own_events(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job(NPU, 2)])
    begin_ms = it.clock.ms

    def later(**now: ReasonCode) -> None:
        it.clock.ms += 100
        subjects = {"kind": kind_of(it, uid), "member": kind_of(it, uid, "w1")}
        note(it, {subjects[whose]: code.value for whose, code in now.items()})

    later(kind=FULL)
    later(kind=FULL, member=SHORT)
    later(kind=FULL)
    it.clock.ms += 100
    order = job_commands.Order(OPERATOR, "test", it.clock.ms, 0)
    it.db.do(lambda c: job_commands.hold(c, [uid], order))
    it.clock.ms += 100
    course = it.db.do(lambda c: reasons.course_of(c, uid))
    assert course is not None
    found = spells(course, it.clock.ms, ReasonCode.QUEUE_HELD)
    assert [(code, from_ms - begin_ms) for code, from_ms, _ in found] == [
        (FULL, 0), (SHORT, 200), (FULL, 300), (ReasonCode.QUEUE_HELD, 400),
    ]  # fmt: skip
    assert totals(found, it.clock.ms) == [
        (FULL, 300), (ReasonCode.QUEUE_HELD, 100), (SHORT, 100),
    ]  # fmt: skip
    assert it.db.do(lambda c: reasons.course_of(c, uid + 1)) is None


def test_subjects_tell_apart_what_waits_for_different_reasons_and_nothing_else() -> None:
    option = Option(NPU, 2, 1, 60_000)
    kind = Kind("wuhan", "", (option,))
    other = [
        kind._replace(city="ezhou"),
        kind._replace(owner="w1"),
        kind._replace(options=(option._replace(units=3),)),
        kind._replace(options=(option._replace(wall_ms=61_000),)),
        kind._replace(options=(option, option)),
    ]
    assert len({subject_of(one) for one in [kind, *other]}) == 6
    dear = option._replace(terms="REQUIRED", index=3, net_fen=7, stage_ms=9)
    assert shape_of((dear,)) == (option,)
    # It is stored: it must not change with the version.
    known = Kind("wuhan", "", (Option("wuhan-ai/ascend-910b", 2, 1, 60_000),))
    assert subject_of(known) == "d22245d828704d2b004abdb5"


# --- run times ------------------------------------------------------------------------------------


def test_run_times_are_what_runs_really_used_the_newest_last(it: Hands) -> None:
    first, second, evicted, third = it.world.submit(
        "w1", [job(NPU, 1, 600), job(CPU, 2, 900), job(), job(NPU, 1, 600)]
    )
    it.run(first, second, evicted, third)
    it.end(second, 30, units=2)
    it.end(first, 50)
    it.end(evicted, 60, Phase.PREEMPTED, FailureClass.PREEMPTED)
    it.end(third, 70, Phase.FAILED, FailureClass.USER_CODE)
    used = [(run.flavor, run.units, run.wall_ms, run.used_ms) for run in history(it, 10)]
    assert used == [(CPU, 2, 900_000, 30_000), (NPU, 1, 600_000, 50_000), (NPU, 1, 600_000, 70_000)]
    assert [run.used_ms for run in history(it, 2)] == [50_000, 70_000]
    told = it.db.do(lambda c: snapshot(c, it.clock.ms, CORRIDOR))[1]
    assert [one.used_ms for one in told if isinstance(one, RunHistory)] == [30_000, 50_000, 70_000]


def history(it: Hands, limit: int) -> list[RunHistory]:
    """The last runs."""
    return it.db.do(lambda c: run_history.recent(c, limit))


@pytest.mark.sqlite
def test_the_newest_runs_are_found_by_an_index(it: Hands) -> None:
    statement = (
        f"EXPLAIN QUERY PLAN SELECT * FROM run WHERE {RUN_TOOK} ORDER BY end_ms DESC LIMIT 5"
    )
    plan = " ".join(str(row) for row in it.db.rows(statement))
    assert "run_ended" in plan
    assert "TEMP B-TREE" not in plan


def test_events_that_tell_of_waiting_are_read(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.end(uid, 5)
    course = it.db.do(lambda c: reasons.course_of(c, uid))
    assert course is not None
    assert [one.kind for one in course.happened] == [
        EventKind.SUBMITTED, EventKind.ADMITTED, EventKind.SUCCEEDED,
    ]  # fmt: skip
