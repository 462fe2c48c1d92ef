"""Arrays in the store: one row until elements start, room, commands, deadlines, ends."""

from dataclasses import replace

import pytest

from adapters.contract import Phase
from scheduler.control.requests import request_of
from scheduler.domain.arrays import ArraySpec
from scheduler.domain.ids import element_uid, job_id
from scheduler.domain.principal import Principal, Role
from scheduler.domain.spec import ResourceOption
from scheduler.placement.model import JobQueued, Start
from scheduler.store import admission, elements, emergency, job_commands, newest
from scheduler.store.submissions import More
from tests.property.job_world import OWNER, JobWorld
from tests.simulation import world as worlds
from tests.simulation.world import CPU, NOW_MS, OPERATOR, job


def told(it: JobWorld, array: int) -> list[int]:
    """Indexes of the elements that the planner holds as waiting."""
    return sorted(uid - array - 1 for uid in it.known if array < uid < array + 10_000)


def begun(size: int, most: int = 0) -> tuple[JobWorld, int]:
    """A corridor with one array that the planner was told of."""
    it = JobWorld()
    array = it.array(size, most)
    it.follow()
    return it, array


def counts(it: JobWorld) -> tuple[int, int]:
    """Rows of jobs, and events about jobs."""
    [(jobs,)] = it.db.rows("SELECT count(*) FROM job")
    [(events,)] = it.db.rows("SELECT count(*) FROM event WHERE job_uid <> 0")
    return jobs, events


# --- one row --------------------------------------------------------------------------------------


def test_ten_thousand_elements_are_one_row_and_one_word_to_the_planner() -> None:
    it, array = begun(10_000)
    assert counts(it) == (1, 2), "submitted, and all elements ready"
    assert len(it.known) == 10_000
    first = it.known[element_uid(array, 0)]
    assert first == replace_uid(it.known[element_uid(array, 9_999)], first.uid)
    assert it.begin(element_uid(array, 9_999))
    assert counts(it)[0] == 2


def replace_uid(told_job: JobQueued, uid: int) -> JobQueued:
    """The same job under another uid."""
    return told_job._replace(uid=uid)


def test_an_element_is_all_that_its_array_says() -> None:
    it = JobWorld()
    more = More(NOW_MS - 5, NOW_MS + 10**9, 60, True, True, ArraySpec(3))
    [array] = it.submit(more, spec=job(CPU, 2, 600, attempts_max=2, team="a"))
    it.follow()
    element = element_uid(array, 2)
    it.begin(element)
    same = (
        "enterprise, city, priority, submit_ms, display_name, options, labels,"
        " subsidy, attempts_max, retry_on, user_name, finish_by_ms, notice_s, interruptible,"
        " emergency"
    )
    assert it.job(element, same) == it.job(array, same)
    assert it.job(element, "array_uid, array_index, spec") == (array, 2, b"")


def test_its_program_finds_which_element_of_how_many_it_is() -> None:
    it, array = begun(3)
    element = element_uid(array, 1)
    start = Start(element, "wuhan", OWNER, it.known[element].options[0], 0)
    it.db.do(lambda c: admission.admit(c, it.epoch, [start], it.clock.ms))
    [to_send], _ = it.send(element)
    spec = replace(worlds.decode(to_send.spec), environment={"SEED": "7"})
    environment = request_of(to_send, spec, it.epoch).environment
    assert environment == {
        "SEED": "7",
        "CORRIDOR_ARRAY_ID": job_id(array),
        "CORRIDOR_ARRAY_INDEX": "1",
        "CORRIDOR_ARRAY_SIZE": "3",
    }
    [plain] = it.submit(More())
    it.follow()
    start = Start(plain, "wuhan", OWNER, it.known[plain].options[0], 0)
    it.db.do(lambda c: admission.admit(c, it.epoch, [start], it.clock.ms))
    [to_send], _ = it.send(plain)
    assert request_of(to_send, spec, it.epoch).environment == {"SEED": "7"}


def test_ids_after_a_restart_lie_above_all_elements() -> None:
    it, array = begun(9_000)
    assert it.db.read_sync(newest.newest_uid) == element_uid(array, 8_999)


def test_only_uids_of_its_block_are_elements() -> None:
    it, array = begun(2)
    [other] = it.submit(More())
    last = element_uid(array, 1)
    found = it.db.read_sync(lambda c: elements.find(c, [array, last, last + 1, other, 5, 1 << 62]))
    assert list(found) == [last]


def test_an_element_that_is_waited_for_gets_a_row_and_its_end_counts() -> None:
    it, array = begun(4)
    first, second, third = (element_uid(array, index) for index in range(3))
    [after] = it.submit(More(waits_for=((first, "AFTER_SUCCESS"), (second, "AFTER_ANY_END"))))
    assert counts(it)[0] == 4
    it.follow()
    assert after not in it.known
    for uid in (first, second):
        it.begin(uid)
        it.finish(uid)
        it.follow()
    assert after in it.known, "third and fourth wait still"
    [hopeless] = it.submit(More(waits_for=((third, "AFTER_SUCCESS"),)))
    it.cancel(array)
    it.follow()
    assert it.state(hopeless) == "CANCELLED"


@pytest.mark.parametrize(
    ("condition", "state"), [("AFTER_SUCCESS", "CANCELLED"), ("AFTER_ANY_END", "QUEUED")]
)
def test_an_element_that_ended_with_its_array_without_a_row_has_ended(
    condition: str, state: str
) -> None:
    it, array = begun(3)
    it.cancel(array)
    it.follow()
    last = element_uid(array, 2)
    [after] = it.submit(More(waits_for=((last, condition),)))
    it.follow()
    assert it.state(after) == state
    assert it.job(last, "state, settled, end_ms") == ("CANCELLED", 1, it.clock.ms)
    assert it.db.rows("SELECT made FROM job_array") == [(1,)]


# --- room -----------------------------------------------------------------------------------------


def test_elements_are_told_as_others_end() -> None:
    it, array = begun(6, most=2)
    assert told(it, array) == [0, 1]
    it.begin(element_uid(array, 1))
    it.follow()
    assert told(it, array) == [0], "a run keeps its room"
    it.finish(element_uid(array, 1))
    it.follow()
    assert told(it, array) == [0, 2]
    it.begin(element_uid(array, 0))
    it.begin(element_uid(array, 2))
    it.finish(element_uid(array, 2))
    it.follow()
    assert told(it, array) == [3], "element 0 runs still"


def test_an_element_that_is_tried_again_keeps_its_room() -> None:
    it, array = begun(3, most=1)
    it.begin(element_uid(array, 0))
    it.finish(element_uid(array, 0), well=False)
    it.follow()
    assert told(it, array) == [0]
    assert it.state(element_uid(array, 0)) == "QUEUED"


def test_a_held_element_gives_its_room_away_and_waits_for_room_when_released() -> None:
    it, array = begun(3, most=1)
    first = element_uid(array, 0)
    assert it.hold(first) == (1, 0, ())
    it.follow()
    assert told(it, array) == [1]
    it.release(first)
    it.follow()
    assert told(it, array) == [1]
    it.begin(element_uid(array, 1))
    it.finish(element_uid(array, 1))
    it.follow()
    assert told(it, array) == [0], "before those that nobody touched"


def test_an_element_cancelled_before_its_turn_is_passed_over() -> None:
    it, array = begun(4, most=1)
    assert it.cancel(element_uid(array, 1), element_uid(array, 2)).cancelled == 2
    it.cancel(element_uid(array, 0))
    it.follow()
    assert told(it, array) == [3]


# --- commands -------------------------------------------------------------------------------------


def test_holding_an_array_holds_what_waits_and_releasing_it_lets_it_go() -> None:
    it, array = begun(3)
    it.begin(element_uid(array, 0))
    assert it.hold(array) == (1, 0, ())
    it.follow()
    assert told(it, array) == []
    assert (it.state(array), it.state(element_uid(array, 0))) == ("HELD", "RUNNING")
    it.release(array)
    it.follow()
    assert told(it, array) == [1, 2]


def test_one_element_of_a_held_array_can_be_released() -> None:
    it, array = begun(3)
    it.hold(array)
    it.release(element_uid(array, 1))
    it.follow()
    assert told(it, array) == [1]


def test_a_start_that_was_planned_before_the_hold_is_not_admitted() -> None:
    it, array = begun(2)
    it.hold(array)
    assert not it.begin(element_uid(array, 0)), "the planner had not heard of it"


def test_cancelling_an_array_ends_with_its_last_run() -> None:
    it, array = begun(4)
    element = element_uid(array, 0)
    it.begin(element)
    order = job_commands.Order(OPERATOR, "enough", it.clock.ms, 0)
    done = it.db.do(lambda c: job_commands.cancel(c, [array], order))
    assert done == (0, 1, 0, ()), "its end is asked for"
    assert it.state(array) == "RUNNING"
    it.follow()
    assert told(it, array) == []
    it.end(element, 10, Phase.CANCELLED)
    it.follow()
    assert (it.state(array), it.message(array)) == ("CANCELLED", "4 CANCELLED of 4")


def test_cancelling_an_array_of_which_nothing_runs_ends_it_at_once() -> None:
    it, array = begun(3)
    it.hold(element_uid(array, 2))
    assert it.cancel(array) == (1, 0, 0, ())
    assert (it.state(array), it.state(element_uid(array, 2))) == ("CANCELLED", "CANCELLED")


def test_one_element_can_be_let_go_first() -> None:
    it, array = begun(3)
    element = element_uid(array, 1)
    order = job_commands.Order(OPERATOR, "test", it.clock.ms, 0)
    it.db.do(lambda c: emergency.grant(c, element, True, order))
    it.follow()
    assert [one.uid for one in it.known.values() if one.emergency] == [element]
    assert told(it, array) == [0, 1, 2]
    it.db.do(lambda c: emergency.grant(c, array, True, order))
    it.follow()
    assert all(one.emergency for one in it.known.values())


def test_nobody_commands_elements_of_others() -> None:
    it, array = begun(2)
    stranger = Principal("x", Role.ENTERPRISE_ADMIN, None, "e1", None, "", 0)
    order = job_commands.Order(stranger, "", it.clock.ms, 0)
    element = element_uid(array, 0)
    for command in (job_commands.cancel, job_commands.hold, job_commands.release):
        done = it.db.do(lambda c, command=command: command(c, [element], order))  # type: ignore[misc]
        assert done[-1] == (element,), "it is not there for them"
    assert counts(it)[0] == 1


# --- ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("well", "state", "message"),
    [
        ((True, True), "SUCCEEDED", "2 SUCCEEDED of 2"),
        ((True, False), "FAILED", "1 SUCCEEDED, 1 FAILED of 2"),
    ],
)
def test_an_array_succeeds_only_if_all_do(
    well: tuple[bool, bool], state: str, message: str
) -> None:
    it = JobWorld()
    [array] = it.submit(More(array=ArraySpec(2)), spec=job(CPU, 1, 60, attempts_max=1))
    it.follow()
    for index, ends_well in enumerate(well):
        it.begin(element_uid(array, index))
        it.follow()
        it.finish(element_uid(array, index), well=ends_well)
        it.follow()
    assert (it.state(array), it.message(array)) == (state, message)


def test_what_was_not_started_by_the_deadline_expires() -> None:
    it, array = begun(3)
    it.begin(element_uid(array, 0))
    it.db.do(lambda c: c.exec_driver_sql(f"UPDATE job SET deadline_ms = {it.clock.ms} WHERE TRUE"))
    it.expire()
    it.follow()
    assert told(it, array) == []
    assert it.state(array) == "RUNNING"
    it.finish(element_uid(array, 0))
    it.follow()
    assert (it.state(array), it.message(array)) == ("FAILED", "1 SUCCEEDED, 2 EXPIRED of 3")


def test_an_array_of_which_nothing_was_started_expires_as_a_whole() -> None:
    it, array = begun(3)
    it.db.do(lambda c: c.exec_driver_sql(f"UPDATE job SET deadline_ms = {it.clock.ms}"))
    it.expire()
    it.follow()
    assert (it.state(array), told(it, array)) == ("EXPIRED", [])


# --- times and sizes at the start -----------------------------------------------------------------


def test_nothing_is_started_that_could_not_end_in_time() -> None:
    """Of two options the shorter is tried when the longer is too late; then it expires."""
    it = JobWorld()
    options = (ResourceOption(CPU, 1, 1), ResourceOption(CPU, 2, 1, 0, 30))
    what = replace(job(CPU, 1, 600), options=options)
    [uid] = it.submit(More(finish_by_ms=NOW_MS + 500_000), spec=what)
    it.follow()
    planned = it.known[uid]
    start = Start(uid, "wuhan", OWNER, planned.options[0], 0)
    result = it.db.do(lambda c: admission.admit(c, it.epoch, [start], it.clock.ms))
    assert result.admitted == []
    [again] = result.deltas
    assert isinstance(again, JobQueued)
    assert again.options == planned.options[1:]
    start = start._replace(option=again.options[0])
    assert it.db.do(lambda c: admission.admit(c, it.epoch, [start], it.clock.ms)).admitted
    assert it.db.rows("SELECT option_index, wall_limit_s FROM run") == [(1, 30)]


def test_an_elastic_job_may_start_on_fewer_nodes_and_on_no_other_size() -> None:
    it = JobWorld()
    what = replace(job(CPU, 4, 600), options=(ResourceOption(CPU, 4, 4, 0, 0, 2),))
    uids = it.submit(More(), More(), spec=what)
    it.follow()
    whole = it.known[uids[0]].options[0]
    assert (whole.units, whole.units_min) == (16, 8)
    half = whole._replace(units=8, nodes=2)
    start = Start(uids[0], "wuhan", OWNER, half, 0)
    assert it.db.do(lambda c: admission.admit(c, it.epoch, [start], it.clock.ms)).admitted
    assert it.db.rows("SELECT units, nodes FROM run") == [(8, 2)]
    [to_send], _ = it.send(uids[0])
    request = request_of(to_send, what, it.epoch)
    assert (request.units_per_node, request.nodes) == (4, 2)
    for units, nodes in ((4, 1), (10, 2), (20, 5)):
        other = whole._replace(units=units, nodes=nodes)
        start = Start(uids[1], "wuhan", OWNER, other, 0)
        with pytest.raises(ValueError, match="has no option"):
            it.db.do(lambda c, start=start: admission.admit(c, it.epoch, [start], it.clock.ms))  # type: ignore[misc]
