"""Runs that the platform ends: why, how often, and after how many tries it gives a job up."""

from enum import StrEnum
from typing import Final

#: A job that lost so many runs to others is interrupted no more.
EVICTIONS_MAX: Final = 2
#: A job that so many centers in a row took and did not begin is held until somebody looks at it.
START_TRIES_MAX: Final = 5


class EvictCause(StrEnum):
    """Why a run is to end though neither it nor its user wants that."""

    RECLAIM = "RECLAIM"  # lent units go back to the city that owns them
    DRAIN = "DRAIN"  # its city, enterprise or center is being emptied
    START_TIMEOUT = "START_TIMEOUT"  # its center took it long ago and has not begun it
    UNPAID = "UNPAID"  # it goes on beyond what is held for it, and nobody can pay for more


#: Those that a program is told of, and given a grace for.
TOLD: Final = frozenset({EvictCause.RECLAIM, EvictCause.DRAIN, EvictCause.UNPAID})


def may_be_interrupted(interruptible: bool, evictions: int) -> bool:
    """Whether runs of a job may be ended to give lent units back."""
    return interruptible and evictions < EVICTIONS_MAX
