"""CancelJobs, HoldJobs and ReleaseJobs over a real server."""

import json
from typing import Any

import grpc
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from adapters.contract import FailureClass
from scheduler.domain.ids import job_id as id_of
from scheduler.domain.ids import job_uid
from scheduler.domain.principal import EVERYTHING, Principal, Role
from scheduler.domain.states import JobState
from scheduler.placement.model import JobRemoved
from scheduler.services.job_commands import SLICE
from scheduler.store import feed, planner_feed
from scheduler.store import job_commands as commands
from scheduler.store.job_filter import JobFilter

EZHOU = "sample-ezhou-1"


def by_ids(*job_ids: str) -> pb.JobSelection:
    return pb.JobSelection(job_ids=job_ids)


def by_filter(**conditions: Any) -> pb.JobSelection:
    return pb.JobSelection(filter=pb.JobFilter(**conditions))


async def cancel(corridor: Any, who: Any, selection: Any, reason: str = "") -> Any:
    request = pb.CancelJobsRequest(selection=selection, reason=reason)
    return await corridor.jobs.CancelJobs(request, metadata=who)


async def hold(corridor: Any, who: Any, selection: Any, reason: str = "") -> Any:
    request = pb.HoldJobsRequest(selection=selection, reason=reason)
    return await corridor.jobs.HoldJobs(request, metadata=who)


async def release(corridor: Any, who: Any, selection: Any, reason: str = "") -> Any:
    request = pb.ReleaseJobsRequest(selection=selection, reason=reason)
    return await corridor.jobs.ReleaseJobs(request, metadata=who)


async def test_what_waits_ends_at_once_and_what_runs_is_asked_once(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    queued, held, running, done = await hands.submit(
        EZHOU, new_spec(), new_spec(held=True), new_spec(), new_spec()
    )
    (foreign,) = await hands.submit("sample-ezhou-2")
    await hands.succeed(done)
    await hands.run(running)
    unknown = id_of(job_uid(foreign) + 1)
    member = corridor.member(EZHOU)
    selection = by_ids(queued, held, running, done, foreign, unknown, queued)
    answer = await cancel(corridor, member, selection, "wrong data")
    assert (answer.cancelled_count, answer.requested_count, answer.ended_count) == (2, 1, 1)
    assert answer.not_found_job_ids == [foreign, unknown]
    # Again: nothing more happens, and the one at the center is still on its way out.
    answer = await cancel(corridor, member, selection)
    assert (answer.cancelled_count, answer.requested_count, answer.ended_count) == (0, 1, 3)
    assert hands.events(queued) == ["SUBMITTED", "CANCELLED"]
    assert hands.events(held) == ["SUBMITTED", "CANCELLED"]
    assert hands.events(running)[-1:] == ["CANCEL_REQUESTED"]
    assert hands.events(running).count("CANCEL_REQUESTED") == 1
    assert hands.events(foreign) == ["SUBMITTED"]

    job = (await corridor.jobs.GetJob(pb.GetJobRequest(job_id=queued), metadata=member)).job
    assert (job.state, job.settled) == (job_pb2.JOB_STATE_CANCELLED, True)
    assert job.message == f"cancelled by {EZHOU}: wrong data"
    assert job.end_time.ToMilliseconds() == corridor.clock.ms
    job = (await corridor.jobs.GetJob(pb.GetJobRequest(job_id=running), metadata=member)).job
    assert (job.state, job.cancel_requested) == (job_pb2.JOB_STATE_RUNNING, True)

    await hands.report([running], hands.CANCELLED)
    assert hands.events(running)[-3:] == ["RUN_ENDED", "CANCELLED", "SETTLED"]


async def test_ten_thousand_by_filter(corridor: Any, hands: Any, new_spec: Any) -> None:
    doomed = await hands.submit(EZHOU, *[new_spec(labels={"run": "7"})] * 10_000)
    await hands.submit(EZHOU, *[new_spec(labels={"run": "8"})] * 3)
    await hands.submit("sample-ezhou-2", *[new_spec(labels={"run": "7"})] * 3)
    await hands.run(doomed[0])
    selection = by_filter(labels={"run": "7"})
    answer = await cancel(corridor, corridor.member(EZHOU), selection)
    assert (answer.cancelled_count, answer.requested_count, answer.ended_count) == (9_999, 1, 0)
    assert hands.states() == {"CANCELLED": 9_999, "RUNNING": 1, "QUEUED": 6}
    ((events, jobs, audits),) = corridor.rows(
        "SELECT (SELECT count(*) FROM event WHERE kind = 'CANCELLED'),"
        " (SELECT count(DISTINCT job_uid) FROM event WHERE kind = 'CANCELLED'),"
        " (SELECT count(*) FROM audit_event WHERE action = 'JOBS_CANCELLED')"
    )
    assert (events, jobs, audits) == (9_999, 9_999, 10_000 // SLICE)
    again = await cancel(corridor, corridor.member(EZHOU), selection)
    assert (again.cancelled_count, again.requested_count, again.ended_count) == (0, 1, 0)


async def test_a_filter_by_state_holds_whatever_moves(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    running = (await hands.submit(EZHOU, new_spec(), new_spec()))[1]
    await hands.run(running)
    only_queued = by_filter(states=[job_pb2.JOB_STATE_QUEUED])
    answer = await cancel(corridor, corridor.member(EZHOU), only_queued)
    assert (answer.cancelled_count, answer.requested_count) == (1, 0)
    assert hands.states() == {"CANCELLED": 1, "RUNNING": 1}
    ended = by_filter(states=[job_pb2.JOB_STATE_CANCELLED])
    answer = await cancel(corridor, corridor.member(EZHOU), ended)
    assert (answer.cancelled_count, answer.ended_count) == (0, 0)


async def test_a_job_that_moves_between_choice_and_command_is_left_alone(
    corridor: Any, hands: Any
) -> None:
    (job_id,) = await hands.submit(EZHOU)
    queued = frozenset({JobState.QUEUED})
    wanted = JobFilter(states=queued)
    uids = await corridor.db.read(lambda c: commands.select(c, EVERYTHING, wanted, 0, 10))
    assert uids == [job_uid(job_id)]
    await hands.run(job_id)
    actor = Principal("Li Na", Role.OPERATOR, None, None, None, "", 0)
    order = commands.Order(actor, "cleaning up", 0, 0, queued)
    done = await corridor.db.write(lambda c: commands.cancel(c, uids, order))
    assert done == commands.Cancelled(0, 0, 0, ())
    assert "CANCEL_REQUESTED" not in hands.events(job_id)


async def test_held_jobs_wait_until_they_are_released(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    queued, running = await hands.submit(EZHOU, new_spec(), new_spec())
    await hands.run(running)
    member = corridor.member(EZHOU)
    both = by_ids(queued, running, id_of(5))
    answer = await hold(corridor, member, both)
    assert (answer.held_count, answer.skipped_count) == (1, 1)
    assert answer.not_found_job_ids == [id_of(5)]
    assert (await hold(corridor, member, both)).held_count == 0
    assert not (await hands.admit(queued)).admitted
    answer = await release(corridor, member, by_filter(enterprise=EZHOU))
    assert (answer.released_count, answer.skipped_count) == (1, 0)
    answer = await release(corridor, member, both)
    assert (answer.released_count, answer.skipped_count) == (0, 2)
    assert answer.not_found_job_ids == [id_of(5)]
    assert hands.events(queued) == ["SUBMITTED", "HELD", "RELEASED"]
    assert len((await hands.admit(queued)).admitted) == 1


async def test_a_job_that_was_planned_before_it_was_held_keeps_its_units(
    corridor: Any, hands: Any
) -> None:
    """The planner started it, it was held and released, then it was admitted by that plan."""
    (job_id,) = await hands.submit(EZHOU)
    seen = await corridor.db.read(feed.head)
    member = corridor.member(EZHOU)
    await hold(corridor, member, by_ids(job_id))
    removed = JobRemoved(job_uid(job_id))
    _, deltas, _, _ = await corridor.db.read(lambda c: planner_feed.read_deltas(c, seen, 100))
    assert deltas == [removed]
    await release(corridor, member, by_ids(job_id))
    await hands.run(job_id)
    _, deltas, _, _ = await corridor.db.read(lambda c: planner_feed.read_deltas(c, seen, 100))
    assert removed not in deltas


async def test_a_cancelled_job_is_settled_once_its_last_run_is(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    again = job_pb2.RetryPolicy(retry_on=[job_pb2.FAILURE_CLASS_TIME_LIMIT])
    (job_id,) = await hands.submit(EZHOU, new_spec(retry_policy=again))
    await hands.run(job_id)
    corridor.clock.ms += 60_000
    limit = {"failure": FailureClass.TIME_LIMIT, "exit_code": 1}
    await hands.report([job_id], hands.FAILED, metered=False, **limit)
    member = corridor.member(EZHOU)
    assert (await cancel(corridor, member, by_ids(job_id))).cancelled_count == 1
    job = (await corridor.jobs.GetJob(pb.GetJobRequest(job_id=job_id), metadata=member)).job
    assert (job.state, job.settled) == (job_pb2.JOB_STATE_CANCELLED, False)
    assert job.failure_class == job_pb2.FAILURE_CLASS_UNSPECIFIED
    await hands.report([job_id], hands.FAILED, **limit)
    job = (await corridor.jobs.GetJob(pb.GetJobRequest(job_id=job_id), metadata=member)).job
    assert (job.state, job.settled) == (job_pb2.JOB_STATE_CANCELLED, True)
    assert job.charge.gross_fen == 107


async def test_who_did_it_and_why_is_kept(corridor: Any, hands: Any, new_spec: Any) -> None:
    mine = await hands.submit(EZHOU, new_spec(), new_spec())
    (other,) = await hands.submit("sample-ezhou-2")
    await hands.submit("sample-wuhan-1")
    answer = await hold(corridor, corridor.city_admin("ezhou"), by_filter(city="ezhou"), "outage")
    assert answer.held_count == 3
    rows = corridor.rows(
        "SELECT actor, role, action, target, city, enterprise, after, reason FROM audit_event"
        " WHERE action LIKE 'JOBS%' ORDER BY seq"
    )
    first, last = corridor.rows("SELECT min(seq), max(seq) FROM event WHERE kind = 'HELD'")[0]
    told = {"first_event": first, "last_event": last}
    assert [(*row[:6], json.loads(row[6]), row[7]) for row in rows] == [
        ("admin of ezhou", "CITY_ADMIN", "JOBS_HELD", target, "ezhou", enterprise,
         {"jobs": count, **told}, "outage")
        for target, enterprise, count in (
            (f"enterprises/{EZHOU}/jobs", EZHOU, len(mine)),
            (f"jobs/{other}", "sample-ezhou-2", 1),
        )
    ]  # fmt: skip
    details = corridor.rows("SELECT DISTINCT detail, state FROM event WHERE kind = 'HELD'")
    assert [(json.loads(detail), state) for detail, state in details] == [
        ({"by": "admin of ezhou", "reason": "outage"}, "HELD")
    ]


async def test_whoever_acts_on_others_says_why(corridor: Any, hands: Any, refusal: Any) -> None:
    (job_id,) = await hands.submit(EZHOU)
    for call in (cancel, hold, release):
        for who in (corridor.operator(), corridor.city_admin("ezhou")):
            found = await refusal(call(corridor, who, by_ids(job_id)))
            assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("reason",))
    # Out of scope is as if it were not there, whatever the reason.
    wuhan = await cancel(corridor, corridor.city_admin("wuhan"), by_ids(job_id), "mine now")
    assert wuhan.not_found_job_ids == [job_id]
    auditor = corridor.token(Role.AUDITOR)
    found = await refusal(cancel(corridor, auditor, by_ids(job_id), "no"))
    assert found.code == grpc.StatusCode.PERMISSION_DENIED
    assert hands.states() == {"QUEUED": 1}


async def test_selections_that_cannot_be_meant(corridor: Any, hands: Any, refusal: Any) -> None:
    (job_id,) = await hands.submit(EZHOU)
    member = corridor.member(EZHOU)
    both = pb.JobSelection(job_ids=[job_id], filter=pb.JobFilter(city="ezhou"))
    for selection, field in (
        (pb.JobSelection(), "selection"),
        (by_filter(), "selection"),
        (both, "selection"),
        (by_ids(*[job_id] * 10_001), "selection.job_ids"),
        (by_ids(job_id, "j1"), "selection.job_ids[1]"),
        (by_filter(states=[99]), "selection.filter.states[0]"),
    ):
        for call in (cancel, hold, release):
            found = await refusal(call(corridor, member, selection))
            assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))
    assert hands.states() == {"QUEUED": 1}
