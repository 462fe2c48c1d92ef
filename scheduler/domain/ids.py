"""Identifiers: 63-bit, time-ordered integers with a short text form.

A job uid is ``milliseconds since 2024-01-01 UTC (42 bits) | replica (8 bits) | counter (13 bits)``:
it sorts by submission, fits a BIGINT, needs no round trip to a database, and two replicas never
make the same one. People see ``j`` and 13 characters of Crockford base32 (no i, l, o, u).
A run is (job uid, attempt); its id is ``<job id>.<attempt>`` and its name at a center is derived
from it, so a lost answer can always be looked up by name.

Leaving the replica out, a uid is a *tick*: ``milliseconds | counter``, which one replica counts up
without a gap. An array takes the ticks right after its own for its elements, so an element's uid
is arithmetic on its array's; people may also write it ``<array's id>[<index>]``.
"""

from collections.abc import Callable, Sequence
from typing import Final

EPOCH_MS: Final = 1_704_067_200_000  # 2024-01-01T00:00:00Z
REPLICA_BITS: Final = 8
COUNTER_BITS: Final = 13
_MASK: Final = (1 << COUNTER_BITS) - 1
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_VALUE: Final = {char: value for value, char in enumerate(_ALPHABET)}
_JOB_TEXT_LENGTH: Final = 14
_INDEX_MAX: Final = 1 << 20  # far above any index, far below what would leave the 63 bits
_ATTEMPT_MAX: Final = (1 << 31) - 1
CENTER_NAME_PREFIX: Final = "corridor-"


class IdGenerator:
    """Makes job uids for one replica, strictly increasing whatever the clock does.

    ``now_ms`` is the wall clock in epoch milliseconds. When more than 8,192 ids are asked for
    within one millisecond, or the clock steps back, the generator runs ahead of the clock.
    ``after_uid`` is an id that was made before, by an earlier process: all new ones are above it.
    """

    def __init__(self, replica: int, now_ms: Callable[[], int], after_uid: int = 0) -> None:
        self.renumber(replica)
        self._now_ms = now_ms
        # (milliseconds << COUNTER_BITS) | counter of the last id, here the end of its millisecond
        self._tick = after_uid >> REPLICA_BITS | ((1 << COUNTER_BITS) - 1) if after_uid else 0

    def renumber(self, replica: int) -> None:
        """Go on as another replica; its ids still increase."""
        if not 0 <= replica < 1 << REPLICA_BITS:
            raise ValueError(f"replica must be 0..{(1 << REPLICA_BITS) - 1}, not {replica}")
        self._replica = replica << COUNTER_BITS

    def next(self) -> int:
        """Return one new uid."""
        return self.take(1)[0]

    def take(self, count: int) -> list[int]:
        """Return ``count`` new uids in increasing order."""
        first = self._advance(count)
        replica, mask = self._replica, _MASK
        return [
            ((tick & ~mask) << REPLICA_BITS) | replica | (tick & mask)
            for tick in range(first, first + count)
        ]

    def take_blocks(self, sizes: Sequence[int]) -> list[int]:
        """Return one new uid for each size, in increasing order; behind each, size - 1 are kept
        free: an array of n elements asks for n + 1."""
        tick = self._advance(sum(sizes))
        uids = []
        for size in sizes:
            uids.append(uid_of_tick(tick, self._replica >> COUNTER_BITS))
            tick += size
        return uids

    def _advance(self, count: int) -> int:
        """Take ``count`` ticks and return the first."""
        first = max(self._tick + 1, (self._now_ms() - EPOCH_MS) << COUNTER_BITS)
        self._tick = first + count - 1
        return first


def tick_of(uid: int) -> int:
    """Return a uid without its replica."""
    return uid >> REPLICA_BITS & ~_MASK | uid & _MASK


def replica_of(uid: int) -> int:
    """Return the replica that made a uid."""
    return uid >> COUNTER_BITS & (1 << REPLICA_BITS) - 1


def uid_of_tick(tick: int, replica: int) -> int:
    """Return the uid of a tick of a replica."""
    return (tick & ~_MASK) << REPLICA_BITS | replica << COUNTER_BITS | tick & _MASK


def element_uid(array_uid: int, index: int) -> int:
    """Return the uid of an array's element; ``index`` counts from 0."""
    return uid_of_tick(tick_of(array_uid) + 1 + index, replica_of(array_uid))


def element_index(array_uid: int, uid: int) -> int:
    """Return the index of an element whose array is known."""
    return tick_of(uid) - tick_of(array_uid) - 1


def job_id(uid: int) -> str:
    """Return the text form of a job uid."""
    return (
        f"j{_ALPHABET[uid >> 60]}{_PAIRS[uid >> 50 & 1023]}{_PAIRS[uid >> 40 & 1023]}"
        f"{_PAIRS[uid >> 30 & 1023]}{_PAIRS[uid >> 20 & 1023]}{_PAIRS[uid >> 10 & 1023]}"
        f"{_PAIRS[uid & 1023]}"
    )


def job_uid(text: str) -> int:
    """Return the uid of a job id or of ``<array's id>[<index>]``; ValueError says what is wrong."""
    if text.endswith("]"):
        array, _, index = text[:-1].partition("[")
        if not _is_whole(index, _INDEX_MAX):
            raise ValueError(f"{text!r} is not an element of an array (<job id>[<index>])")
        uid = element_uid(job_uid(array), int(index))
        if uid >= 1 << 63:
            raise ValueError(f"{text!r} is not a job id: too large")
        return uid
    if len(text) != _JOB_TEXT_LENGTH or text[0] != "j":
        raise ValueError(
            f"{text!r} is not a job id (j and 13 characters, as `corridor jobs` shows)"
        )
    uid = 0
    for char in text[1:]:
        if char not in _VALUE:
            raise ValueError(f"{text!r} is not a job id: {char!r} is not used in ids")
        uid = uid << 5 | _VALUE[char]
    if uid >= 1 << 63:
        raise ValueError(f"{text!r} is not a job id: too large")
    return uid


def array_named(text: str) -> int | None:
    """Return the uid of the array in ``<array's id>[<index>]``; None if the text is another."""
    array, bracket, _ = text.partition("[")
    return job_uid(array) if bracket else None


def run_id(uid: int, attempt: int) -> str:
    """Return the text form of a run, ``<job id>.<attempt>``."""
    return f"{job_id(uid)}.{attempt}"


def parse_run_id(text: str) -> tuple[int, int]:
    """Return (job uid, attempt) of a run id; ValueError names what is wrong with it."""
    job, _, attempt = text.partition(".")
    if not _is_whole(attempt, _ATTEMPT_MAX) or int(attempt) < 1:
        raise ValueError(f"{text!r} is not a run id (<job id>.<attempt>)")
    return job_uid(job), int(attempt)


def _is_whole(text: str, most: int) -> bool:
    """Whether a text is a whole number of at most so much, in no more digits than that needs."""
    return len(text) <= len(str(most)) and text.isascii() and text.isdigit() and int(text) <= most


def center_name(run: str) -> str:
    """Return the name under which a run is known at its center."""
    return CENTER_NAME_PREFIX + run
