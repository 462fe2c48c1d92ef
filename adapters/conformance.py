"""What every adapter must do, as checks that run against any center, real or faithful.

A test gives a ``Subject``, the few things that differ from center to center, and runs each of
``CHECKS`` on a fresh one::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_conformance(check, subject):
        await check(subject)

A check raises ``Nonconformance`` if the adapter fails, ``NotApplicable`` if the subject cannot
bring about the situation (the test turns that into a skip, which says so).
"""

import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Protocol, TypeVar

from adapters.contract import (
    ACTIVE_PHASES,
    CenterAdapter,
    Observation,
    Phase,
    RunRequest,
    Usage,
)
from adapters.errors import OutcomeUnknown, Rejected

PATIENCE_STEPS_MAX = 600  # how often a subject is asked to let time pass before giving up
PAGES_MAX = 1000
LONG_S = 3600


class Nonconformance(AssertionError):
    """The adapter does not keep the contract."""


class NotApplicable(Exception):
    """The subject cannot bring about what the check is about."""


class Subject(Protocol):
    """An adapter under test and what the checks need to move its center."""

    @property
    def adapter(self) -> CenterAdapter:
        """The adapter, always the one opened last."""
        ...

    def request(self, runtime_s: int) -> RunRequest:
        """A valid run of that length and of few units, under a new name at each call.

        The center has room for at least three of them at once.
        """
        ...

    async def let_pass(self) -> None:
        """Let about a second of the center's time pass."""
        ...

    def lose_next_answer(self) -> bool:
        """Lose the answer of the next submission, which is taken; False if that cannot be done."""
        ...

    async def reopen(self) -> bool:
        """Replace the adapter as after a crash, without closing it; False if not possible."""
        ...


Check = Callable[[Subject], Awaitable[None]]
_Result = TypeVar("_Result")


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise Nonconformance(what)


async def _refused(call: Awaitable[object]) -> Rejected:
    try:
        await call
    except Rejected as error:
        return error
    raise Nonconformance("a run that can never run must raise Rejected")


async def _eventually(
    subject: Subject, look: Callable[[], Awaitable[_Result | None]], what: str
) -> _Result:
    """Look again and again while time passes, until there is something."""
    for _ in range(PATIENCE_STEPS_MAX):
        result = await look()
        if result is not None:
            return result
        await subject.let_pass()
    raise Nonconformance(f"{what}: not within {PATIENCE_STEPS_MAX} steps")


async def _in_phase(subject: Subject, run_id: str, phases: Iterable[Phase]) -> Observation:
    wanted = frozenset(phases)

    async def look() -> Observation | None:
        seen = (await subject.adapter.find([run_id])).get(run_id)
        return seen if seen is not None and seen.phase in wanted else None

    return await _eventually(subject, look, f"run {run_id} in {', '.join(sorted(wanted))}")


async def _ended(subject: Subject, run_id: str) -> Observation:
    return await _in_phase(subject, run_id, set(Phase) - ACTIVE_PHASES)


async def _metered(subject: Subject, run_id: str) -> tuple[Usage, ...]:
    async def look() -> tuple[Usage, ...] | None:
        return (await subject.adapter.usage([run_id])).get(run_id)

    return await _eventually(subject, look, f"metered use of {run_id}")


async def _active(subject: Subject) -> list[Observation]:
    """All pages of ``list_active``."""
    seen: list[Observation] = []
    token = ""
    for _ in range(PAGES_MAX):
        page = await subject.adapter.list_active(token)
        seen += page.observations
        token = page.next_token
        if not token:
            return seen
    raise Nonconformance(f"list_active does not end after {PAGES_MAX} pages")


async def describes_itself(subject: Subject) -> None:
    """A center states its flavors with sane capacities, the same at every call."""
    first = await subject.adapter.describe()
    _expect(bool(first.center and first.kind and first.api_version), "names must not be empty")
    _expect(bool(first.flavors), "a center offers at least one flavor")
    for each in first.flavors:
        _expect(0 < each.units_per_node <= each.units, f"{each.flavor}: units of a node")
        _expect(each.architecture in ("aarch64", "x86_64"), f"{each.flavor}: architecture")
    names = [each.flavor for each in first.flavors]
    _expect(len(set(names)) == len(names), "a flavor is described once")
    _expect(await subject.adapter.describe() == first, "describe must be repeatable")


async def submits_once_per_name(subject: Subject) -> None:
    """A second call with the same name returns the first one's answer and starts nothing."""
    request = subject.request(LONG_S)
    first = await subject.adapter.submit(request)
    _expect(first.run_id == request.run_id, "the answer must be about the run that was sent")
    _expect(bool(first.native_id) and first.submit_ms > 0, "native id and submit time are known")
    await subject.let_pass()
    second = await subject.adapter.submit(request)
    _expect(second == first, "a second submission must return the first one's answer")
    again = await subject.adapter.submit(replace(request, epoch=request.epoch + 1))
    _expect(again == first, "the name alone is the key, not the rest of the request")
    listed = [one for one in await _active(subject) if one.run_id == request.run_id]
    _expect(len(listed) == 1, f"submitted three times, active {len(listed)} times")


async def submits_once_after_the_end(subject: Subject) -> None:
    """A name is never used again, not even when its run has ended."""
    request = subject.request(1)
    first = await subject.adapter.submit(request)
    ended = await _ended(subject, request.run_id)
    _expect(await subject.adapter.submit(request) == first, "an ended run must not run again")
    seen = (await subject.adapter.find([request.run_id])).get(request.run_id)
    _expect(seen == ended, "a late submission must not change an ended run")


async def finds_by_our_name(subject: Subject) -> None:
    """What is known is found by run id, what is unknown left out."""
    request = subject.request(LONG_S)
    taken = await subject.adapter.submit(request)
    unknown = subject.request(LONG_S).run_id
    found = await subject.adapter.find([unknown, request.run_id])
    _expect(set(found) == {request.run_id}, "find gives the known runs and leaves out others")
    seen = found[request.run_id]
    _expect(
        (seen.run_id, seen.native_id, seen.submit_ms)
        == (request.run_id, taken.native_id, taken.submit_ms),
        "an observation agrees with the answer to the submission",
    )
    _expect(seen.phase in ACTIVE_PHASES, "a long run has not ended yet")
    _expect(dict(await subject.adapter.find([])) == {}, "asked for nothing, nothing is found")


async def lists_all_active_runs(subject: Subject) -> None:
    """``list_active`` has every active run exactly once and no ended one."""
    requests = [subject.request(LONG_S) for _ in range(3)]
    short = subject.request(1)
    for request in (*requests, short):
        await subject.adapter.submit(request)
    await _ended(subject, short.run_id)
    listed = [one.run_id for one in await _active(subject)]
    _expect(len(set(listed)) == len(listed), "a run is listed once")
    missing = {request.run_id for request in requests} - set(listed)
    _expect(not missing, f"active, but not listed: {sorted(missing)}")
    _expect(short.run_id not in listed, "an ended run is not listed")


async def ends_in_order(subject: Subject) -> None:
    """A short run starts and ends; times and sequence only ever grow."""
    request = subject.request(2)
    await subject.adapter.submit(request)
    history: list[Observation] = []

    async def look() -> Observation | None:
        seen = (await subject.adapter.find([request.run_id]))[request.run_id]
        history.append(seen)
        return None if seen.phase in ACTIVE_PHASES else seen

    ended = await _eventually(subject, look, f"end of {request.run_id}")
    for earlier, later in itertools.pairwise(history):
        _expect(later.sequence >= earlier.sequence, "the sequence never falls")
        if later != earlier:
            _expect(later.sequence > earlier.sequence, "the sequence grows with every change")
    _expect(ended.phase is Phase.SUCCEEDED, f"a good run succeeds, not {ended.phase}")
    _expect(ended.failure is None, "a run that succeeded has no failure")
    start_ms, end_ms = ended.start_ms, ended.end_ms
    _expect(start_ms is not None and end_ms is not None, "an ended run has its times")
    _expect(ended.submit_ms <= (start_ms or 0) <= (end_ms or 0), "submit <= start <= end")


async def cancels_and_confirms(subject: Subject) -> None:
    """A cancellation is seen later as the run's end, and may be asked for again and again."""
    request = subject.request(LONG_S)
    await subject.adapter.submit(request)
    await _in_phase(subject, request.run_id, {Phase.RUNNING})
    await subject.adapter.cancel(request.run_id)
    await subject.adapter.cancel(request.run_id)
    ended = await _ended(subject, request.run_id)
    _expect(ended.phase is Phase.CANCELLED, f"a cancelled run is CANCELLED, not {ended.phase}")
    await subject.adapter.cancel(request.run_id)
    seen = (await subject.adapter.find([request.run_id]))[request.run_id]
    _expect(seen == ended, "cancelling an ended run changes nothing")
    listed = {one.run_id for one in await _active(subject)}
    _expect(request.run_id not in listed, "a cancelled run is not active")


async def cancels_nothing_unknown(subject: Subject) -> None:
    """Cancelling what was never submitted is no error, and does not touch other runs."""
    request = subject.request(LONG_S)
    await subject.adapter.submit(request)
    await subject.adapter.cancel(subject.request(LONG_S).run_id)
    await subject.let_pass()
    seen = (await subject.adapter.find([request.run_id]))[request.run_id]
    _expect(seen.phase in ACTIVE_PHASES, "only the run named is cancelled")


async def keeps_a_success(subject: Subject) -> None:
    """A cancellation that comes after the end does not rewrite it."""
    request = subject.request(1)
    await subject.adapter.submit(request)
    ended = await _ended(subject, request.run_id)
    await subject.adapter.cancel(request.run_id)
    await subject.let_pass()
    seen = (await subject.adapter.find([request.run_id]))[request.run_id]
    _expect(seen == ended, "an end is final")


async def meters_after_the_end(subject: Subject) -> None:
    """No use is stated before the end; afterwards it is final and the same at each call."""
    request = subject.request(2)
    taken = await subject.adapter.submit(request)
    unknown = subject.request(2).run_id
    early = await subject.adapter.usage([request.run_id, unknown])
    _expect(not early, "use of runs that are active or unknown is left out")
    ended = await _ended(subject, request.run_id)
    segments = await _metered(subject, request.run_id)
    _expect(bool(segments), "a run that ran has metered use")
    for each in segments:
        _expect(
            (each.run_id, each.native_id, each.submit_ms)
            == (request.run_id, taken.native_id, taken.submit_ms),
            "use is of the run that was submitted",
        )
        _expect(each.units == request.units, "use is of the units asked for")
        _expect(
            (ended.start_ms or 0) <= each.start_ms <= each.end_ms <= (ended.end_ms or 0),
            "use lies within the run",
        )
        _expect(len(each.raw_sha256) == 64 and bool(each.source), "use names its record")
    numbers = [each.segment for each in segments]
    _expect(len(set(numbers)) == len(numbers), "segments have numbers of their own")
    await subject.let_pass()
    _expect(await _metered(subject, request.run_id) == segments, "metered use is final")


async def meters_a_cancelled_run(subject: Subject) -> None:
    """A run cancelled while running is metered for what it ran."""
    request = subject.request(LONG_S)
    await subject.adapter.submit(request)
    await _in_phase(subject, request.run_id, {Phase.RUNNING})
    await subject.let_pass()
    await subject.adapter.cancel(request.run_id)
    await _ended(subject, request.run_id)
    segments = await _metered(subject, request.run_id)
    ran_ms = sum(each.end_ms - each.start_ms for each in segments)
    _expect(0 < ran_ms < LONG_S * 1000, f"metered {ran_ms} ms of a run that was cut short")


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
        error = await _refused(subject.adapter.submit(wrong))
        _expect(bool(error.reason), "a rejection has a stable reason")
    found = await subject.adapter.find([request.run_id])
    _expect(not found, "a rejected run was not taken")
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
        return (await subject.adapter.find([request.run_id])).get(request.run_id)

    seen = await _eventually(subject, look, "run whose answer was lost")
    answer = await subject.adapter.submit(request)
    _expect(answer.native_id == seen.native_id, "sent again, it is still the first run")
    listed = [one for one in await _active(subject) if one.run_id == request.run_id]
    _expect(len(listed) == 1, f"one run expected, active are {len(listed)}")


async def keeps_runs_over_a_crash(subject: Subject) -> None:
    """A new adapter knows the runs of the one before: the center holds them, not the adapter."""
    long, short = subject.request(LONG_S), subject.request(2)
    first = await subject.adapter.submit(long)
    await subject.adapter.submit(short)
    await _in_phase(subject, long.run_id, {Phase.RUNNING})
    before = (await subject.adapter.find([long.run_id]))[long.run_id]
    if not await subject.reopen():
        raise NotApplicable("this subject cannot be reopened")
    after = (await subject.adapter.find([long.run_id])).get(long.run_id)
    _expect(after is not None, "a run is found after a crash")
    _expect(after is not None and after.sequence >= before.sequence, "the sequence never falls")
    _expect(after is not None and after.start_ms == before.start_ms, "what happened, happened")
    _expect(await subject.adapter.submit(long) == first, "submission is idempotent over a crash")
    _expect((await _ended(subject, short.run_id)).phase is Phase.SUCCEEDED, "runs go on")
    _expect(bool(await _metered(subject, short.run_id)), "use is known after a crash")


async def pages_through_logs(subject: Subject) -> None:
    """Pieces of a log fit together, are never too long, and end with the run."""
    request = subject.request(1)
    await subject.adapter.submit(request)
    early = await subject.adapter.logs(request.run_id, 0, 1 << 16)
    _expect(not early.end, "the log of an active run has not ended")
    await _ended(subject, request.run_id)

    async def read(limit: int) -> bytes | None:
        text, offset = b"", 0
        for _ in range(1 << 16):
            piece = await subject.adapter.logs(request.run_id, offset, limit)
            _expect(piece.offset == offset, "a piece starts where it was asked for")
            _expect(len(piece.data) <= limit, "a piece is not longer than its limit")
            _expect(piece.next_offset == offset + len(piece.data), "the next piece follows")
            text, offset = text + piece.data, piece.next_offset
            if piece.end or not piece.data:
                return text if piece.end else None
        raise Nonconformance("a log does not end")

    whole = await _eventually(subject, lambda: read(1 << 16), "end of the log")
    _expect(await read(7) == whole, "small pieces make up the same log")
    _expect(whole.startswith(early.data), "a log only grows")


async def is_healthy(subject: Subject) -> None:
    """A center that answers says so, and tells how long a submission may stay unseen."""
    health = await subject.adapter.health()
    _expect(health.ok, f"health: {health.detail}")
    _expect(subject.adapter.settle_s >= 0, "the settle window is not negative")


async def wakes_on_change(subject: Subject) -> None:
    """Waiting ends by itself, and the hint is a plain yes or no."""
    await subject.adapter.submit(subject.request(1))
    for _ in range(3):
        _expect(isinstance(await subject.adapter.wait_for_change(0.01), bool), "yes or no")


CHECKS: tuple[Check, ...] = (
    describes_itself,
    submits_once_per_name,
    submits_once_after_the_end,
    finds_by_our_name,
    lists_all_active_runs,
    ends_in_order,
    cancels_and_confirms,
    cancels_nothing_unknown,
    keeps_a_success,
    meters_after_the_end,
    meters_a_cancelled_run,
    rejects_what_can_never_run,
    finds_after_a_lost_answer,
    keeps_runs_over_a_crash,
    pages_through_logs,
    is_healthy,
    wakes_on_change,
)
