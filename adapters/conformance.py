"""What every adapter must do, as checks that run against any center, real or faithful.

A test gives a ``Subject``, the few things that differ from center to center, and runs each of
``CHECKS`` on a fresh one. ``adapters.pytest_conformance`` does so with pytest: it is a plugin that
is there wherever Corridor is installed. Nothing here needs pytest.

A check raises ``Nonconformance`` if the adapter fails, ``NotApplicable`` if the subject cannot
bring about the situation (the test turns that into a skip, which says so).
"""

import itertools
from dataclasses import replace

from adapters import conformance_tools as tools
from adapters.conformance_ending import (
    cancels_and_confirms,
    cancels_nothing_unknown,
    keeps_a_success,
    lets_a_told_run_save,
    meters_a_cancelled_run,
    tells_before_it_ends,
    tells_nobody_else,
)
from adapters.conformance_tools import (
    LONG_S,
    Check,
    Nonconformance,
    NotApplicable,
    Subject,
)
from adapters.contract import ACTIVE_PHASES, CenterDescription, Observation, Phase
from adapters.errors import OutcomeUnknown

__all__ = ["CHECKS", "Check", "Nonconformance", "NotApplicable", "Subject"]


async def describes_itself(subject: Subject) -> None:
    """A center states its flavors with sane capacities, the same at every call."""
    first = await subject.adapter.describe()
    tools.expect(bool(first.center and first.kind and first.api_version), "names must not be empty")
    tools.expect(bool(first.flavors), "a center offers at least one flavor")
    for each in first.flavors:
        tools.expect(0 < each.units_per_node <= each.units, f"{each.flavor}: units of a node")
        tools.expect(each.architecture in ("aarch64", "x86_64"), f"{each.flavor}: architecture")
    names = [each.flavor for each in first.flavors]
    tools.expect(len(set(names)) == len(names), "a flavor is described once")
    again = await subject.adapter.describe()
    tools.expect(_lasting(again) == _lasting(first), "describe must be repeatable")


def _lasting(said: CenterDescription) -> CenterDescription:
    """What does not change from one moment to the next."""
    flavors = tuple(replace(one, used_units=None, waiting_runs=None) for one in said.flavors)
    return replace(said, flavors=flavors)


async def submits_once_per_name(subject: Subject) -> None:
    """A second call with the same name returns the first one's answer and starts nothing."""
    request = subject.request(LONG_S)
    first = await subject.adapter.submit(request)
    tools.expect(first.run_id == request.run_id, "the answer must be about the run that was sent")
    tools.expect(
        bool(first.native_id) and first.submit_ms > 0, "native id and submit time are known"
    )
    await subject.let_pass()
    second = await subject.adapter.submit(request)
    tools.expect(second == first, "a second submission must return the first one's answer")
    again = await subject.adapter.submit(replace(request, epoch=request.epoch + 1))
    tools.expect(again == first, "the name alone is the key, not the rest of the request")
    listed = [one for one in await tools.active(subject) if one.run_id == request.run_id]
    tools.expect(len(listed) == 1, f"submitted three times, active {len(listed)} times")


async def submits_what_is_fresh_once(subject: Subject) -> None:
    """A fresh run needs no look-up; sent again by one who cannot know, it is still the first."""
    request = subject.request(LONG_S)
    first = await subject.adapter.submit(replace(request, fresh=True))
    again = await subject.adapter.submit(replace(request, fresh=False))
    tools.expect(again == first, "a run that was sent before is looked up by its name")
    listed = [one for one in await tools.active(subject) if one.run_id == request.run_id]
    tools.expect(len(listed) == 1, f"submitted twice, active {len(listed)} times")


async def submits_once_after_the_end(subject: Subject) -> None:
    """A name is never used again, not even when its run has ended."""
    request = subject.request(1)
    first = await subject.adapter.submit(request)
    ended = await tools.ended(subject, request.ref)
    tools.expect(await subject.adapter.submit(request) == first, "an ended run must not run again")
    seen = (await subject.adapter.find([request.ref])).get(request.run_id)
    tools.expect(seen == ended, "a late submission must not change an ended run")


async def finds_by_our_name(subject: Subject) -> None:
    """What is known is found by run id, what is unknown left out."""
    request = subject.request(LONG_S)
    taken = await subject.adapter.submit(request)
    unknown = subject.request(LONG_S)
    found = await subject.adapter.find([unknown.ref, request.ref])
    tools.expect(set(found) == {request.run_id}, "find gives the known runs and leaves out others")
    seen = found[request.run_id]
    tools.expect(
        (seen.run_id, seen.native_id, seen.submit_ms)
        == (request.run_id, taken.native_id, taken.submit_ms),
        "an observation agrees with the answer to the submission",
    )
    tools.expect(seen.phase in ACTIVE_PHASES, "a long run has not ended yet")
    tools.expect(dict(await subject.adapter.find([])) == {}, "asked for nothing, nothing is found")


async def lists_all_active_runs(subject: Subject) -> None:
    """``list_active`` has every active run exactly once and no ended one."""
    requests = [subject.request(LONG_S) for _ in range(3)]
    short = subject.request(1)
    for request in (*requests, short):
        await subject.adapter.submit(request)
    await tools.ended(subject, short.ref)
    listed = [one.run_id for one in await tools.active(subject)]
    tools.expect(len(set(listed)) == len(listed), "a run is listed once")
    missing = {request.run_id for request in requests} - set(listed)
    tools.expect(not missing, f"active, but not listed: {sorted(missing)}")
    tools.expect(short.run_id not in listed, "an ended run is not listed")


async def ends_in_order(subject: Subject) -> None:
    """A short run starts and ends; times and sequence only ever grow."""
    request = subject.request(2)
    await subject.adapter.submit(request)
    history: list[Observation] = []

    async def look() -> Observation | None:
        seen = (await subject.adapter.find([request.ref]))[request.run_id]
        history.append(seen)
        return None if seen.phase in ACTIVE_PHASES else seen

    ended = await tools.eventually(subject, look, f"end of {request.run_id}")
    for earlier, later in itertools.pairwise(history):
        tools.expect(later.sequence >= earlier.sequence, "the sequence never falls")
        if later != earlier:
            tools.expect(later.sequence > earlier.sequence, "the sequence grows with every change")
    tools.expect(ended.phase is Phase.SUCCEEDED, f"a good run succeeds, not {ended.phase}")
    tools.expect(ended.failure is None, "a run that succeeded has no failure")
    start_ms, end_ms = ended.start_ms, ended.end_ms
    tools.expect(start_ms is not None and end_ms is not None, "an ended run has its times")
    tools.expect(ended.submit_ms <= (start_ms or 0) <= (end_ms or 0), "submit <= start <= end")


async def meters_after_the_end(subject: Subject) -> None:
    """No use is stated before the end; afterwards it is final and the same at each call."""
    request = subject.request(2)
    taken = await subject.adapter.submit(request)
    unknown = subject.request(2)
    early = await subject.adapter.usage([request.ref, unknown.ref])
    tools.expect(not early, "use of runs that are active or unknown is left out")
    ended = await tools.ended(subject, request.ref)
    segments = await tools.metered(subject, request.ref)
    tools.expect(bool(segments), "a run that ran has metered use")
    for each in segments:
        tools.expect(
            (each.run_id, each.native_id, each.submit_ms)
            == (request.run_id, taken.native_id, taken.submit_ms),
            "use is of the run that was submitted",
        )
        tools.expect(each.units == request.units, "use is of the units asked for")
        tools.expect(
            (ended.start_ms or 0) <= each.start_ms <= each.end_ms <= (ended.end_ms or 0),
            "use lies within the run",
        )
        tools.expect(len(each.raw_sha256) == 64 and bool(each.source), "use names its record")
    numbers = [each.segment for each in segments]
    tools.expect(len(set(numbers)) == len(numbers), "segments have numbers of their own")
    await subject.let_pass()
    tools.expect(await tools.metered(subject, request.ref) == segments, "metered use is final")


async def hears_what_is_kept_elsewhere(subject: Subject) -> None:
    """Told that an end is kept elsewhere, it lets go at most of that; the unknown is no error."""
    done, going = subject.request(1), subject.request(LONG_S)
    await subject.adapter.submit(done)
    await subject.adapter.submit(going)
    ended = await tools.ended(subject, done.ref)
    await tools.metered(subject, done.ref)
    for _ in range(2):
        await subject.adapter.acknowledge([done.run_id, subject.request(1).run_id])
    await subject.adapter.acknowledge([])
    found = await subject.adapter.find([done.ref, going.ref])
    tools.expect(found.get(done.run_id, ended) == ended, "an end that is kept does not change")
    tools.expect(going.run_id in found, "runs of which nothing was said stay known")
    listed = {one.run_id for one in await tools.active(subject)} & {done.run_id, going.run_id}
    tools.expect(listed == {going.run_id}, f"active is the other run alone, not {sorted(listed)}")


async def rejects_what_can_never_run(subject: Subject) -> None:
    """An unknown flavor and a run larger than the center are refused for good, with a reason."""
    request = subject.request(1)
    flavors = {each.flavor: each for each in (await subject.adapter.describe()).flavors}
    capacity = flavors[request.flavor]
    for wrong in (
        replace(request, flavor="no-center/no-flavor"),
        replace(request, units_per_node=capacity.units_per_node + 1),
        replace(request, nodes=capacity.units // request.units_per_node + 1),
    ):
        error = await tools.refused(subject.adapter.submit(wrong))
        tools.expect(bool(error.reason), "a rejection has a stable reason")
    found = await subject.adapter.find([request.ref])
    tools.expect(not found, "a rejected run was not taken")
    await subject.adapter.submit(request)  # corrected, the same name is as good as new


async def finds_after_a_lost_answer(subject: Subject) -> None:
    """A lost answer raises ``OutcomeUnknown``; the run is found by name and not started twice."""
    request = subject.request(LONG_S)
    if not subject.lose_next_answer():
        raise NotApplicable("no way to lose an answer here")
    try:
        await subject.adapter.submit(request)
    except OutcomeUnknown:
        pass
    else:
        raise Nonconformance("a lost answer must raise OutcomeUnknown")

    async def look() -> Observation | None:
        return (await subject.adapter.find([request.ref])).get(request.run_id)

    seen = await tools.eventually(subject, look, "run whose answer was lost")
    answer = await subject.adapter.submit(replace(request, fresh=False))
    tools.expect(answer.native_id == seen.native_id, "sent again, it is still the first run")
    listed = [one for one in await tools.active(subject) if one.run_id == request.run_id]
    tools.expect(len(listed) == 1, f"one run expected, active are {len(listed)}")


async def keeps_runs_over_a_crash(subject: Subject) -> None:
    """A new adapter knows the runs of the one before: the center holds them, not the adapter."""
    long, short = subject.request(LONG_S), subject.request(2)
    first = await subject.adapter.submit(long)
    await subject.adapter.submit(short)
    await tools.in_phase(subject, long.ref, {Phase.RUNNING})
    before = (await subject.adapter.find([long.ref]))[long.run_id]
    if not await subject.reopen():
        raise NotApplicable("this subject cannot be reopened")

    async def look() -> Observation | None:
        return (await subject.adapter.find([long.ref])).get(long.run_id)

    after = await tools.eventually(subject, look, "run of before the crash")
    tools.expect(after.sequence >= before.sequence, "the sequence never falls")
    tools.expect(after.start_ms == before.start_ms, "what happened, happened")
    again = await subject.adapter.submit(replace(long, fresh=False))
    tools.expect(again == first, "submission is idempotent over a crash")
    tools.expect((await tools.ended(subject, short.ref)).phase is Phase.SUCCEEDED, "runs go on")
    tools.expect(bool(await tools.metered(subject, short.ref)), "use is known after a crash")


async def pages_through_logs(subject: Subject) -> None:
    """Pieces of a log fit together, are never too long, and end with the run."""
    request = subject.request(1)
    await subject.adapter.submit(request)
    early = await subject.adapter.logs(request.ref, 0, 1 << 16)
    tools.expect(not early.end, "the log of an active run has not ended")
    await tools.ended(subject, request.ref)

    async def read(limit: int) -> bytes | None:
        text, offset = b"", 0
        for _ in range(1 << 16):
            piece = await subject.adapter.logs(request.ref, offset, limit)
            tools.expect(piece.offset == offset, "a piece starts where it was asked for")
            tools.expect(len(piece.data) <= limit, "a piece is not longer than its limit")
            tools.expect(piece.next_offset == offset + len(piece.data), "the next piece follows")
            text, offset = text + piece.data, piece.next_offset
            if piece.end or not piece.data:
                return text if piece.end else None
        raise Nonconformance("a log does not end")

    whole = await tools.eventually(subject, lambda: read(1 << 16), "end of the log")
    tools.expect(await read(7) == whole, "small pieces make up the same log")
    tools.expect(whole.startswith(early.data), "a log only grows")


async def is_healthy(subject: Subject) -> None:
    """A center that answers says so, and tells how long a submission may stay unseen."""
    health = await subject.adapter.health()
    tools.expect(health.ok, f"health: {health.detail}")
    # An intent to send is good for half of it; with none nothing could ever be sent.
    tools.expect(subject.adapter.settle_s > 0, "the settle window is positive")
    tools.expect(subject.adapter.provisional_s >= 0, "nor is how long an acceptance may not hold")


async def wakes_on_change(subject: Subject) -> None:
    """Waiting ends by itself, and the hint is a plain yes or no."""
    await subject.adapter.submit(subject.request(1))
    for _ in range(3):
        tools.expect(isinstance(await subject.adapter.wait_for_change(0.01), bool), "yes or no")


CHECKS: tuple[Check, ...] = (
    describes_itself,
    submits_once_per_name,
    submits_what_is_fresh_once,
    submits_once_after_the_end,
    finds_by_our_name,
    lists_all_active_runs,
    ends_in_order,
    cancels_and_confirms,
    cancels_nothing_unknown,
    keeps_a_success,
    tells_before_it_ends,
    tells_nobody_else,
    lets_a_told_run_save,
    meters_after_the_end,
    meters_a_cancelled_run,
    hears_what_is_kept_elsewhere,
    rejects_what_can_never_run,
    finds_after_a_lost_answer,
    keeps_runs_over_a_crash,
    pages_through_logs,
    is_healthy,
    wakes_on_change,
)
