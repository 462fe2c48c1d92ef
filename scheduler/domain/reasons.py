"""Why a job waits: one structured reason, in the precedence of DESIGN.md 10.

``PendingReason`` is what the planner, the admission and the API give for a pending job: never a
sentence to parse. Quantities are in units of ``flavor``; times are epoch milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ReasonCode(StrEnum):
    """Members stand in order of precedence: an earlier one hides a later one."""

    DEACTIVATED = "DEACTIVATED"
    MISCONFIGURED = "MISCONFIGURED"
    NO_FLAVOR = "NO_FLAVOR"
    QUEUE_HELD = "QUEUE_HELD"
    DEPENDENCY = "DEPENDENCY"  # another job has to end first
    NOT_BEFORE = "NOT_BEFORE"  # its submitter wants it to start later
    CENTER_DOWN = "CENTER_DOWN"
    EXCEEDS_MAX = "EXCEEDS_MAX"
    BUDGET_ENTERPRISE = "BUDGET_ENTERPRISE"
    BUDGET_CITY = "BUDGET_CITY"
    SUBSIDY_SHORT = "SUBSIDY_SHORT"  # subsidy required, and no fund or cap can give it
    WALLET_SHORT = "WALLET_SHORT"  # the enterprise's credit does not cover its part
    SELF_PAY_ABOVE_MAX = "SELF_PAY_ABOVE_MAX"  # above the most the submitter would pay
    NEXT_PERIOD_NOT_OPEN = "NEXT_PERIOD_NOT_OPEN"
    CAP_ENTERPRISE = "CAP_ENTERPRISE"
    BORROW_LIMIT = "BORROW_LIMIT"
    LEASE_TOO_LONG = "LEASE_TOO_LONG"
    CORRIDOR_FULL = "CORRIDOR_FULL"
    POOL_FULL = "POOL_FULL"
    CENTER_QUEUE = "CENTER_QUEUE"  # as many runs as may have not begun at the center
    RETRY_BACKOFF = "RETRY_BACKOFF"
    WAITING_RESERVATION = "WAITING_RESERVATION"
    WAITING_RECLAIM = "WAITING_RECLAIM"
    BEHIND_HEAD = "BEHIND_HEAD"
    NOT_EVALUATED = "NOT_EVALUATED"


class StartOutlook(StrEnum):
    """What can be said of the start of a job that waits."""

    FORESEEN = "FORESEEN"  # the band says
    PROMISED = "PROMISED"  # so it does, and its latest instant is a promise
    NONE = "NONE"  # no start can be said as things are


#: Nobody can say when what waits for one of these starts: somebody has to change, open, pay or free
#: something first.
UNFORESEEN: Final = frozenset(
    {
        ReasonCode.DEACTIVATED,
        ReasonCode.MISCONFIGURED,
        ReasonCode.NO_FLAVOR,
        ReasonCode.QUEUE_HELD,
        ReasonCode.DEPENDENCY,
        ReasonCode.CENTER_DOWN,
        ReasonCode.EXCEEDS_MAX,
        ReasonCode.BUDGET_ENTERPRISE,
        ReasonCode.BUDGET_CITY,
        ReasonCode.SUBSIDY_SHORT,
        ReasonCode.WALLET_SHORT,
        ReasonCode.SELF_PAY_ABOVE_MAX,
        ReasonCode.NEXT_PERIOD_NOT_OPEN,
    }
)
#: The place of each code in the order of precedence, from 0.
RANK: Final[Mapping[ReasonCode, int]] = {code: rank for rank, code in enumerate(ReasonCode)}


@dataclass(frozen=True, slots=True)
class PendingReason:
    """One reason: which limit of which node binds, by how much, and what would change it.

    ``node`` names the owner of the limit (``cities/wuhan``, ``enterprises/e1``,
    ``centers/wuhan-ai``, ``corridor``). ``start_earliest_ms``..``start_latest_ms`` is the band in
    which the job is expected to start; None where nothing can be said, and ``outlook`` says why:
    NONE if it does not start as things are, None if nobody looked.
    """

    code: ReasonCode
    node: str = ""
    flavor: str = ""
    limit: int | None = None
    used: int | None = None
    requested: int | None = None
    short_by: int | None = None
    next_event_ms: int | None = None
    start_earliest_ms: int | None = None
    start_likely_ms: int | None = None
    start_latest_ms: int | None = None
    outlook: StartOutlook | None = None
