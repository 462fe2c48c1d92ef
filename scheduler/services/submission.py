"""Use case: take jobs in, exactly once for each request id."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from scheduler.domain.arrays import ELEMENTS_MAX
from scheduler.domain.dependencies import CALL_MAX
from scheduler.domain.principal import Principal
from scheduler.domain.traces import TraceContext
from scheduler.errors import (
    CorridorError,
    FieldViolation,
    InvalidRequest,
    RequestIdReused,
    TemporarilyAway,
    WrongState,
)
from scheduler.services.context import Context
from scheduler.store import submissions
from scheduler.store.submission_book import Home, SubmissionBook
from scheduler.store.submissions import Earlier, Fate, Key, NewJob, Submission

REQUEST_ID_MAX: Final = 128
JOBS_MAX: Final = 10_000
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its key, the enterprise it names (empty: the caller's), its payload's digest.

    ``trace`` is its span, if its jobs are to be followed.
    """

    request_id: str
    enterprise: str
    payload_sha256: bytes
    trace: TraceContext | None = None


class Judged(NamedTuple):
    """The jobs of a call that are accepted, in order, and the answer that says so of each."""

    jobs: list[NewJob]
    answer: bytes
    now_ms: int


class Answered(NamedTuple):
    """The answer to a call, how many jobs it stored in which city, and if it was given before."""

    answer: bytes
    city: str
    stored: int
    replayed: bool
    enterprise: str = ""


#: Judges the jobs of a call by a book; raises to refuse the call as a whole.
Judge = Callable[[SubmissionBook, Home], Awaitable[Judged]]


def check_call(request_id: str, jobs: int, most: int = JOBS_MAX) -> None:
    """Check what a call of jobs must have; raises ``InvalidRequest``."""
    wrong = []
    if not 1 <= len(request_id) <= REQUEST_ID_MAX or not request_id.isprintable():
        wrong.append(
            FieldViolation(
                "request_id",
                f"must have 1 to {REQUEST_ID_MAX} printable characters; choose a new one for each"
                " call and keep it when you repeat the call",
            )
        )
    if not 1 <= jobs <= most:
        wrong.append(FieldViolation("jobs", f"give 1 to {most:,} jobs a call, not {jobs:,}"))
    if wrong:
        raise InvalidRequest(wrong)


def check_elements(elements: int) -> None:
    """Check how many elements the arrays of a call have together; raises ``InvalidRequest``."""
    if elements > ELEMENTS_MAX:
        problem = f"arrays of one call may have {ELEMENTS_MAX:,} elements, not {elements:,}"
        raise InvalidRequest([FieldViolation("jobs", f"{problem}; use several calls")])


def check_dependencies(dependencies: int) -> None:
    """Check for how many jobs those of a call wait together; raises ``InvalidRequest``."""
    if dependencies > CALL_MAX:
        problem = f"jobs of one call may have {CALL_MAX:,} dependencies, not {dependencies:,}"
        raise InvalidRequest([FieldViolation("jobs", f"{problem}; use several calls")])


async def resolve_enterprise(context: Context, caller: Principal, enterprise: str) -> Home:
    """Return the enterprise a call is for: the one it names, or the caller's own.

    Raises ``InvalidRequest`` if neither names one and ``NotFound`` for one that the caller may
    not see.
    """
    book = await context.desk.current_book(context.db)
    return home_of(book, caller, enterprise)


def home_of(book: SubmissionBook, caller: Principal, enterprise: str) -> Home:
    """Return the enterprise a call is for by this book; see ``resolve_enterprise``."""
    named = enterprise or caller.enterprise
    if not named:
        raise InvalidRequest(
            [FieldViolation("enterprise", "name the enterprise; you are a member of none")]
        )
    return book.home(caller.scope, named)


async def submit(context: Context, caller: Principal, call: Call, judge: Judge) -> Answered:
    """Judge the jobs of a call, store those that are accepted, and answer once they are durable.

    A call that was answered before gets that answer, whatever changed since. Nothing at all is
    stored for a call that is refused or of which every job is.

    Raises ``InvalidRequest``, ``NotFound``, ``QuotaExceeded``, ``WrongState`` for a blocked
    enterprise, ``RequestIdReused`` for an old request id with another payload.
    """
    for _ in range(_TRIES):
        book = await context.desk.book(context.db)
        answered = await _submit_by(book, context, caller, call, judge)
        if answered is not None:
            return answered
        await context.desk.current_book(context.db)
    raise TemporarilyAway("the settings change all the time; nothing was stored, try again")


async def _submit_by(
    book: SubmissionBook, context: Context, caller: Principal, call: Call, judge: Judge
) -> Answered | None:
    """Submit by this book; None if it is not the current one and nothing was stored."""
    key: Key | None = None
    try:
        home = home_of(book, caller, call.enterprise)
        key = Key(home.enterprise, call.request_id, call.payload_sha256)
        _check_open(home)
        judged = await judge(book, home)
    except CorridorError:
        if not await context.desk.is_current(context.db, book):
            return None
        earlier = await _earlier(context, key)
        if earlier is None or key is None:
            raise
        return _replay(home.city, key, earlier)
    if judged.jobs:
        submission = Submission(
            key, book.revision, judged.jobs, judged.answer, judged.now_ms, caller,
            context.wall_ms(), call.trace,
        )  # fmt: skip
        outcome = await context.desk.store(context.db, submission)
        if outcome is Fate.STALE:
            return None
        if isinstance(outcome, Earlier):
            return _replay(home.city, key, outcome)
        return Answered(judged.answer, home.city, len(judged.jobs), False, home.enterprise)
    if not await context.desk.is_current(context.db, book):
        return None
    earlier = await _earlier(context, key)
    if earlier is not None:
        return _replay(home.city, key, earlier)
    return Answered(judged.answer, home.city, 0, False, home.enterprise)


async def _earlier(context: Context, key: Key | None) -> Earlier | None:
    """Return what is stored under the key of a call of which nothing is to be stored now."""
    if key is None:
        return None
    found = await context.db.read(lambda connection: submissions.find(connection, [key]))
    return found.get((key.enterprise, key.request_id))


def _check_open(home: Home) -> None:
    if home.blocked:
        raise WrongState(
            f"{home.enterprise} is blocked and may not submit; ask the admin of {home.city}",
            subject=f"enterprises/{home.enterprise}",
            reason="ENTERPRISE_BLOCKED",
        )


def _replay(city: str, key: Key, earlier: Earlier) -> Answered:
    if earlier.payload_sha256 != key.payload_sha256:
        raise RequestIdReused(
            f"request id {key.request_id!r} was used before with another payload; nothing was"
            " stored: use a new request id for new jobs",
            metadata={"request_id": key.request_id},
        )
    return Answered(earlier.answer, city, 0, True, key.enterprise)
