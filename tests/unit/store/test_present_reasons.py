"""Why jobs wait, as it is told of many: by their own state, else as it was sampled last."""

from scheduler.domain.dependencies import Condition
from scheduler.domain.ids import element_uid
from scheduler.domain.reasons import ReasonCode
from scheduler.placement.census import Kind, shape_of, subject_of
from scheduler.store import reasons
from scheduler.store.planner_feed import options_of
from scheduler.store.submissions import More
from tests.property.job_world import CITY, OWNER, JobWorld

FULL, CAP, SHORT = ReasonCode.POOL_FULL, ReasonCode.CAP_ENTERPRISE, ReasonCode.WALLET_SHORT


def note(it: JobWorld, uid: int, code: ReasonCode, who: str | None = "") -> None:
    """A look finds that a job's kind waits for a reason; who None: the job itself."""
    [(options,)] = it.db.rows(f"SELECT options FROM job WHERE uid = {uid}")
    kind = subject_of(Kind(CITY, who or "", shape_of(options_of(options))))
    now = {subject: one.code for subject, one in it.db.do(reasons.still_open).items()}
    now[f"j{uid}" if who is None else kind] = code.value
    known = it.db.do(reasons.still_open)
    ending, beginning = reasons.changes(known, now, 100)
    it.db.do(lambda c: reasons.write(c, it.epoch, ending, beginning, it.clock.ms))


def present(it: JobWorld, *uids: int) -> list[ReasonCode | None]:
    """Why these jobs wait."""
    found = it.db.read_sync(lambda c: reasons.present(c, uids, it.clock.ms))
    assert found.keys() <= set(uids)
    return [found.get(uid) for uid in uids]


def test_what_was_sampled_is_told_the_most_special_first() -> None:
    it = JobWorld()
    one, other = it.submit(More(), More())
    assert present(it, one, other) == [ReasonCode.NOT_EVALUATED] * 2
    note(it, one, FULL)
    assert present(it, one, other) == [FULL, FULL]
    note(it, one, CAP, OWNER)
    assert present(it, one, other) == [CAP, CAP]
    note(it, one, SHORT, None)
    assert present(it, one, other) == [SHORT, CAP]
    it.follow()
    it.begin(one)
    assert present(it, one, other) == [None, CAP]
    assert present(it) == []


def test_a_hold_a_wish_and_other_jobs_go_before_what_was_sampled() -> None:
    it = JobWorld()
    [first] = it.submit(More())
    [held] = it.submit(More(), held=True)
    [later] = it.submit(More(not_before_ms=it.clock.ms + 60_000))
    [behind] = it.submit(More(waits_for=((first, Condition.AFTER_ANY_END),)))
    note(it, first, FULL)
    asked = (first, held, later, behind)
    held_code, wish, others = ReasonCode.QUEUE_HELD, ReasonCode.NOT_BEFORE, ReasonCode.DEPENDENCY
    assert present(it, *asked) == [FULL, held_code, wish, others]
    note(it, later, held_code, None)  # its city is stopped
    assert present(it, *asked) == [FULL, held_code, held_code, others]
    it.clock.ms += 60_000
    it.db.do(lambda c: c.exec_driver_sql("DELETE FROM reason_spell WHERE subject LIKE 'j%'"))
    assert present(it, later) == [FULL]


def test_an_array_waits_for_its_elements_unless_one_waits_to_be_placed() -> None:
    it = JobWorld()
    array = it.array(3, 1)
    it.follow()
    it.begin(element_uid(array, 0))
    assert present(it, array) == [ReasonCode.DEPENDENCY]
    note(it, array, FULL)
    assert present(it, array) == [FULL]
