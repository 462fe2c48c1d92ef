"""What the checks of ``adapters.conformance`` share: a subject, patience, and how a check fails."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from adapters.contract import (
    ACTIVE_PHASES,
    CenterAdapter,
    Observation,
    Phase,
    RunRef,
    RunRequest,
    Usage,
)
from adapters.errors import Rejected

PATIENCE_STEPS_MAX = 600  # how often a subject is asked to let time pass before giving up
PAGES_MAX = 1000
#: Of a run that does not end by itself while it is looked at.
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

    def saving_request(self) -> RunRequest | None:
        """Return a long run that, told of its end, saves its work within seconds and exits.

        Its log has something in it once it heeds a notice: a run has begun before its program has.
        None if no program here can do so.
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


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise Nonconformance(what)


async def refused(call: Awaitable[object]) -> Rejected:
    try:
        await call
    except Rejected as error:
        return error
    raise Nonconformance("a run that can never run must raise Rejected")


async def eventually(
    subject: Subject, look: Callable[[], Awaitable[_Result | None]], what: str
) -> _Result:
    """Look again and again while time passes, until there is something."""
    for _ in range(PATIENCE_STEPS_MAX):
        result = await look()
        if result is not None:
            return result
        await subject.let_pass()
    raise Nonconformance(f"{what}: not within {PATIENCE_STEPS_MAX} steps")


async def in_phase(subject: Subject, run: RunRef, phases: Iterable[Phase]) -> Observation:
    wanted = frozenset(phases)

    async def look() -> Observation | None:
        seen = (await subject.adapter.find([run])).get(run.run_id)
        return seen if seen is not None and seen.phase in wanted else None

    return await eventually(subject, look, f"run {run.run_id} in {', '.join(sorted(wanted))}")


async def ended(subject: Subject, run: RunRef) -> Observation:
    return await in_phase(subject, run, set(Phase) - ACTIVE_PHASES)


async def metered(subject: Subject, run: RunRef) -> tuple[Usage, ...]:
    async def look() -> tuple[Usage, ...] | None:
        return (await subject.adapter.usage([run])).get(run.run_id)

    return await eventually(subject, look, f"metered use of {run.run_id}")


async def speaks(subject: Subject, run: RunRef) -> None:
    """Wait until its log has something in it."""

    async def look() -> bytes | None:
        return (await subject.adapter.logs(run, 0, 1)).data or None

    await eventually(subject, look, f"log of {run.run_id}")


async def active(subject: Subject) -> list[Observation]:
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
