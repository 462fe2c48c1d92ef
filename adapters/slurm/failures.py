"""What an answer of slurmrestd, or the lack of one, means: one pure function for each.

HTTP says little here: 500 is a wrong partition as well as a controller that is gone, and 200 may
hold an error of the database. What counts are Slurm's own numbers (slurm_errno.h).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.errors import (
    AdapterError,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
)
from adapters.wire import NotSent

#: Full for now: as many jobs as Slurm can hold (EAGAIN), or too many calls of ours.
FULL: Final = frozenset({11})
#: Certainly not done, and may be done later: no controller was reached, one on standby was, or
#: somebody switched submissions off; 2050 is an account's limit, of jobs or of size.
UNREACHED: Final = frozenset({1800})
NOT_DONE: Final = frozenset({1001, 1800, 2027, 2050, 2103, 2105, 2125, 2131, 7000, 7008})
#: Linux's numbers for a connection that broke (32 EPIPE, 104 ECONNRESET), passed on as they are.
_BROKEN: Final = frozenset({4, 5, 32, *range(100, 114)})
#: Sent, with no answer that can be relied upon. An expired token reads the same (5005, -1).
UNCLEAR: Final = frozenset(
    {-1, 1000, 1002, 1003, 1004, 1801, 1802, 1803, *range(5000, 5006), *_BROKEN}
)
#: Of the controller, plugins at the submission, the REST interface and its parser.
_REFUSALS: Final = (range(2000, 2200), range(3000, 4000), range(8000, 8100), range(9000, 9300))
#: Who we are, or what we may do.
IDENTITY: Final = frozenset({1007, 2002, 2010, *range(6000, 6009)})
UNKNOWN_JOB: Final = 2017
NOT_RUNNING: Final = frozenset({2020, 2021, 2024, 2077, 2084, 2085, 2086})
NOTHING_FOUND: Final = 9003
_FULL_RETRY_S: Final = 10.0
_BUSY_RETRY_S: Final = 2.0
_RETRY_MOST_S: Final = 300.0

#: Stable words for what Slurm refuses for good.
REASONS: Final[Mapping[int, str]] = {
    2000: "NO_PARTITION",
    2003: "PARTITION_FORBIDDEN",
    2005: "TOO_LARGE",
    2006: "TOO_LARGE",
    2012: "TEXT_TOO_LONG",
    2014: "CANNOT_BE_SATISFIED",
    2015: "CANNOT_BE_SATISFIED",
    2029: "NO_FEATURE",
    2038: "BAD_DEPENDENCY",
    2042: "HELD",
    2044: "TOO_LARGE",
    2045: "NO_ACCOUNT",
    2048: "NO_LICENCE",
    2051: "WALL_LIMIT",
    2052: "NO_RESERVATION",
    2053: "NO_RESERVATION",
    2066: "NO_QOS",
    2069: "TOO_LARGE",
    2072: "NO_GRES",
    2115: "NO_GRES",
    2127: "NO_ENVIRONMENT",
    2134: "TOO_LARGE",
}


@dataclass(frozen=True, slots=True)
class SlurmError:
    """One error of an answer."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.text} ({self.code})" if self.code else self.text


def errors_of(body: Mapping[str, Any]) -> tuple[SlurmError, ...]:
    """The errors of an answer; v0.0.38 writes them in three ways."""
    listed = body.get("errors")
    if not isinstance(listed, list):
        return ()
    found = []
    for each in listed:
        if not isinstance(each, Mapping):
            continue
        numbers = (each.get(key) for key in ("error_number", "error_code", "errno"))
        code = next((one for one in numbers if isinstance(one, int)), 0)
        texts = (each.get(key) for key in ("error", "description"))
        said = ": ".join(dict.fromkeys(one for one in texts if isinstance(one, str) and one))
        found.append(SlurmError(code, said or "no reason given"))
    return tuple(found)


def unanswered(what: str, sent: bool, changes: bool) -> AdapterError:
    """What it means that no whole answer arrived to a call that changes something or does not."""
    if sent and changes:
        return OutcomeUnknown(what)
    return Unavailable(what)


def refusal(
    status: int,
    errors: Sequence[SlurmError],
    headers: Mapping[str, str],
    changes: bool,
    readable: bool = True,
) -> AdapterError | None:
    """What an answer refuses, None if nothing; ``readable`` says that its body was JSON.

    What certainly reached no controller has ``NotSent`` as its cause.

    ``changes`` says that the call was to change something at the center.
    """
    text = "; ".join(map(str, errors)) or f"HTTP {status}"
    if status in (401, 403):
        return Unauthorized(f"slurmrestd refuses us: {text}")
    if status in (429, 503):
        return Throttled(f"asked to call later: {text}", _retry_after_s(headers))
    if not readable:
        return _unreadable(status, changes)
    codes = {one.code for one in errors}
    if status < 300 and not codes:
        return None
    if codes & FULL:
        return Throttled(f"Slurm takes no more jobs for now: {text}", _FULL_RETRY_S)
    if codes & NOT_DONE:
        error = Unavailable(text)
        if codes == UNREACHED:  # slurmrestd could not even open a connection
            error.__cause__ = NotSent(text)
        return error
    if codes & IDENTITY:
        return Unauthorized(text)
    if codes & UNCLEAR or (status >= 500 and not codes):
        return unanswered(text, sent=True, changes=changes)
    if status == 404 and not codes:
        return Unavailable(f"no such call at this endpoint: {text}")
    if not changes:
        return Unavailable(text)
    if not _refuses(status, codes):
        return OutcomeUnknown(text)
    return Rejected(f"Slurm refuses: {text}", _reason(codes))


def _refuses(status: int, codes: set[int]) -> bool:
    """Whether Slurm itself says no. A number that we do not know says nothing."""
    if status == 400:
        return True
    return any(code in known for code in codes for known in _REFUSALS)


def _unreadable(status: int, changes: bool) -> AdapterError:
    """A page of some gateway, or half an answer: nobody knows what was done."""
    what = f"HTTP {status} without an answer of Slurm's"
    if status == 400:
        return Rejected(f"{what}: the request could not be read", "INVALID_REQUEST")
    if status == 404:
        return Unavailable(f"{what}: is the endpoint slurmrestd's?")
    return unanswered(what, sent=True, changes=changes)


def _reason(codes: set[int]) -> str:
    known = [REASONS[code] for code in sorted(codes) if code in REASONS]
    return known[0] if known else "REFUSED_BY_SLURM"


def _retry_after_s(headers: Mapping[str, str]) -> float:
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(max(float(said), 0.1), _RETRY_MOST_S)
    return _BUSY_RETRY_S
