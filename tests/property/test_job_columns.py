"""Jobs that come as columns are the jobs that they were made of."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement.columns import JobColumns, Told, in_columns
from scheduler.placement.core import PlanningCore
from scheduler.placement.heads import heads_in_columns
from scheduler.placement.model import (
    CORRIDOR,
    EASY,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    JobRemoved,
    Option,
    PoolSet,
    RunActive,
)
from scheduler.placement.shard import CityShard, HeadUpdate

MEMBERS = {"e1": "ezhou", "w1": "wuhan", "w2": "wuhan"}
SHAPES = (
    (Option("a", 1, 1, 60_000),),
    (Option("a", 4, 1, 5_000), Option("b", 2, 2, 9_000, units_min=1)),
    (Option("b", 3, 1, 60_000, net_fen=7),),
)
RULES: list[Delta] = [
    *(CitySet(city, 1) for city in ("ezhou", "wuhan")),
    *(EnterpriseSet(*one) for one in MEMBERS.items()),
    PoolSet("a", "c", 6),
    PoolSet("b", "c", 5),
]


@st.composite
def jobs(draw: st.DrawFn) -> list[JobQueued]:
    """Waiting jobs with uids as they are given out, not in the order of time."""
    found: list[JobQueued] = []
    for at in range(draw(st.integers(0, 30))):
        member = draw(st.sampled_from(sorted(MEMBERS)))
        job = JobQueued(
            (1 << 62) + 31 * at, MEMBERS[member], member, draw(st.sampled_from((0, 0, -3, 5))),
            draw(st.integers(-5, 20)) * 1000, tuple(draw(st.sampled_from(SHAPES))),
        )  # fmt: skip
        if draw(st.booleans()):
            job = job._replace(user=draw(st.sampled_from(("ann", "bo"))))
        if draw(st.booleans()):
            job = job._replace(interruptible=True, evictions=draw(st.integers(0, 2)))
        if draw(st.integers(0, 9)) == 0:
            job = job._replace(not_before_ms=draw(st.sampled_from((5_000, 90_000))))
        if draw(st.integers(0, 9)) == 0:
            job = job._replace(emergency=True)
        found.append(job)
    return found


def in_parts(deltas: list[Delta], size: int) -> list[Told]:
    """Deltas in columns, part by part."""
    parts = [deltas[at : at + size] for at in range(0, len(deltas), size)]
    return [one for part in parts for one in in_columns(part)]


@given(jobs(), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_columns_are_the_jobs_they_were_made_of(waiting: list[JobQueued], size: int) -> None:
    found: list[JobQueued] = []
    for one in in_parts([*waiting], size):
        if isinstance(one, JobColumns):
            assert len({job.city for job in one.jobs()}) == 1
            found += one.jobs()
        else:
            assert isinstance(one, JobQueued)
            assert one.emergency or one.not_before_ms
            found.append(one)
    assert sorted(found) == sorted(waiting)


def heads_of(shard: CityShard, told: list[Told]) -> dict[object, tuple[object, int]]:
    """The heads by class, without the numbers of classes."""
    queued = [one for one in told if isinstance(one, JobQueued | JobColumns)]
    heads = shard.apply(queued, [], [])
    assert list(heads_in_columns(heads).heads()) == heads
    return {head.key: (tuple(one[:3] for one in head.window), head.total) for head in heads}


@given(jobs(), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_a_shard_makes_the_same_queues_of_them(waiting: list[JobQueued], size: int) -> None:
    one_by_one, at_once = CityShard(), CityShard()
    assert heads_of(at_once, in_parts([*waiting], size)) == heads_of(one_by_one, [*waiting])
    for job in waiting:  # told again, with another turn
        again = job._replace(priority=9, not_before_ms=0, emergency=False)
        assert heads_of(at_once, in_parts([again], 1)) == heads_of(one_by_one, [again])
        mine, other = at_once.locate(job.uid, []), one_by_one.locate(job.uid, [])
        assert mine is not None
        assert other is not None
        assert mine.before_in_enterprise == other.before_in_enterprise


def plan_both(tell: Callable[[list[Delta]], list[Told]], deltas: list[Delta], fifo: bool) -> None:
    """Planners told in either way plan the same, and say the same of every job."""
    policy = replace(EASY if fifo else CORRIDOR, ageing_ms=3_000)
    plain, packed = PlanningCore(policy, 2), PlanningCore(policy, 2)
    plain.load(0, deltas)
    packed.load(0, tell(deltas))
    for revision, now_ms in enumerate((20_000, 21_000, 95_000)):
        plan = plain.cycle(revision, (), revision + 1, now_ms)
        assert packed.cycle(revision, (), revision + 1, now_ms) == plan
        assert packed.counts(now_ms) == plain.counts(now_ms)
        for one in deltas:
            if isinstance(one, JobQueued):
                assert packed.explain(one.uid, now_ms) == plain.explain(one.uid, now_ms)


@given(jobs(), st.integers(1, 40), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_planner_decides_the_same_by_them(
    waiting: list[JobQueued], size: int, fifo: bool
) -> None:
    running = RunActive((1 << 62) + 1, "wuhan", "w1", Option("a", 2, 1, 60_000), 0)
    plan_both(lambda told: in_parts(told, size), [*RULES, running, *waiting], fifo)


@given(jobs(), st.data())
@settings(max_examples=40, deadline=None)
def test_what_comes_after_columns_counts(waiting: list[JobQueued], data: st.DataObject) -> None:
    """A job may be told again, or be gone, or run, before a planner looked at its columns."""
    after: list[Delta] = []
    for job in waiting:
        what = data.draw(st.integers(0, 5))
        if what == 0:
            after.append(JobRemoved(job.uid))
        elif what == 1:
            after.append(job._replace(priority=7, interruptible=False))
    known: list[Delta] = [
        RunActive(job.uid, job.city, job.enterprise, job.options[0], 0) for job in waiting[::7]
    ]

    def tell(told: list[Delta]) -> list[Told]:
        columns = [*in_columns([*known, *waiting])]
        return [*RULES, *columns, *after]

    plan_both(tell, [*RULES, *known, *waiting, *after], fifo=False)


def test_what_was_told_later_stands_though_columns_are_read_after_it() -> None:
    """The columns are read job by job once one of them is gone."""
    first, other = (JobQueued(uid, "wuhan", "w1", 0, 0, SHAPES[0]) for uid in (1, 2))
    later: list[Delta] = [first._replace(options=SHAPES[2]), JobRemoved(2)]
    columns = [*in_columns([first, other])]
    plan_both(lambda _: [*RULES, *columns, *later], [*RULES, first, other, *later], fifo=False)


def test_a_head_of_nothing_is_a_head() -> None:
    gone = HeadUpdate(("wuhan", "w1", SHAPES[0], ""), (), 0)
    assert list(heads_in_columns([gone]).heads()) == [gone]
    assert list(heads_in_columns([]).heads()) == []
