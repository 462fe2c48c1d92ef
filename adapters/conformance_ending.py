"""Checks of runs that are ended from outside: cancelled, or told to save their work before it."""

from adapters import conformance_tools as tools
from adapters.conformance_tools import LONG_S, NotApplicable, Subject
from adapters.contract import ACTIVE_PHASES, Phase


async def cancels_and_confirms(subject: Subject) -> None:
    """A cancellation is seen later as the run's end, and may be asked for again and again."""
    request = subject.request(LONG_S)
    await subject.adapter.submit(request)
    await tools.in_phase(subject, request.ref, {Phase.RUNNING})
    await subject.adapter.cancel(request.ref)
    await subject.adapter.cancel(request.ref)
    ended = await tools.ended(subject, request.ref)
    tools.expect(ended.phase is Phase.CANCELLED, f"a cancelled run is CANCELLED, not {ended.phase}")
    await subject.adapter.cancel(request.ref)
    seen = (await subject.adapter.find([request.ref]))[request.run_id]
    tools.expect(seen == ended, "cancelling an ended run changes nothing")
    listed = {one.run_id for one in await tools.active(subject)}
    tools.expect(request.run_id not in listed, "a cancelled run is not active")


async def cancels_nothing_unknown(subject: Subject) -> None:
    """Cancelling what was never submitted is no error, and does not touch other runs."""
    request = subject.request(LONG_S)
    await subject.adapter.submit(request)
    await subject.adapter.cancel(subject.request(LONG_S).ref)
    await subject.let_pass()
    seen = (await subject.adapter.find([request.ref]))[request.run_id]
    tools.expect(seen.phase in ACTIVE_PHASES, "only the run named is cancelled")


async def keeps_a_success(subject: Subject) -> None:
    """A cancellation that comes after the end does not rewrite it."""
    request = subject.request(1)
    await subject.adapter.submit(request)
    ended = await tools.ended(subject, request.ref)
    await subject.adapter.cancel(request.ref)
    await subject.let_pass()
    seen = (await subject.adapter.find([request.ref]))[request.run_id]
    tools.expect(seen == ended, "an end is final")


async def meters_a_cancelled_run(subject: Subject) -> None:
    """A run cancelled while running is metered for what it ran."""
    request = subject.request(LONG_S)
    await subject.adapter.submit(request)
    await tools.in_phase(subject, request.ref, {Phase.RUNNING})
    await subject.let_pass()
    await subject.adapter.cancel(request.ref)
    await tools.ended(subject, request.ref)
    segments = await tools.metered(subject, request.ref)
    ran_ms = sum(each.end_ms - each.start_ms for each in segments)
    tools.expect(0 < ran_ms < LONG_S * 1000, f"metered {ran_ms} ms of a run that was cut short")


async def tells_before_it_ends(subject: Subject) -> None:
    """A notice ends nothing by itself, may come again, and leaves the run to be cancelled."""
    request = subject.request(LONG_S)
    await subject.adapter.submit(request)
    before = await tools.in_phase(subject, request.ref, {Phase.RUNNING})
    await subject.adapter.notify(request.ref, 2)
    await subject.adapter.notify(request.ref, 2)
    for _ in range(4):  # longer than the grace: only a cancellation ends it
        await subject.let_pass()
    seen = (await subject.adapter.find([request.ref]))[request.run_id]
    tools.expect(seen.phase is Phase.RUNNING, f"a notice ends no run, but it is {seen.phase}")
    tools.expect(seen.start_ms == before.start_ms, "a notice starts nothing anew")
    await subject.adapter.cancel(request.ref)
    ended = await tools.ended(subject, request.ref)
    tools.expect(ended.phase is Phase.CANCELLED, f"told, then cancelled, it is {ended.phase}")


async def tells_nobody_else(subject: Subject) -> None:
    """A notice to a run that is unknown or has ended is no error and changes nothing."""
    request = subject.request(1)
    await subject.adapter.notify(subject.request(1).ref, 60)
    await subject.adapter.submit(request)
    ended = await tools.ended(subject, request.ref)
    await subject.adapter.notify(request.ref, 60)
    await subject.let_pass()
    seen = (await subject.adapter.find([request.ref]))[request.run_id]
    tools.expect(seen == ended, "a notice does not change an ended run")


async def lets_a_told_run_save(subject: Subject) -> None:
    """A program that saves its work and exits within the grace is seen to have ended itself."""
    request = subject.saving_request()
    if request is None:
        raise NotApplicable("no program here heeds a notice")
    await subject.adapter.submit(request)
    await tools.in_phase(subject, request.ref, {Phase.RUNNING})
    await tools.speaks(subject, request.ref)
    await subject.adapter.notify(request.ref, 60)
    ended = await tools.ended(subject, request.ref)
    tools.expect(ended.phase is Phase.FAILED, f"exited without an end of its work: {ended.phase}")
    tools.expect(ended.exit_code not in (None, 0), "such an exit has a code other than 0")
    tools.expect(bool(await tools.metered(subject, request.ref)), "what it ran is metered")
