"""What the planner is told and what it answers: plain data, no I/O.

The planner is a pure function of what it has been told (``Snapshot``, then ``Delta`` by
``Delta``) and of ``now_ms``: the same input gives the same ``Plan``, whatever the order of equal
instants in the input and however many shards hold the queues. Times are epoch milliseconds UTC
(in a replay: trace milliseconds), quantities whole units of a flavor.
"""

from dataclasses import dataclass
from typing import NamedTuple

from scheduler.domain.reasons import PendingReason


class Option(NamedTuple):
    """One way to run a job: ``units`` (all nodes together) of a flavor for at most ``wall_ms``.

    ``terms`` says who may pay for it (empty: anybody). The planner only tells terms apart: jobs
    with other terms are of another class, as admission may refuse one and take the other.
    ``index`` is its place among the options that the job was submitted with. An elastic option may
    start on fewer nodes, down to ``units_min`` units (0: only on all). ``net_fen`` is what the
    enterprise would pay itself at the limit, ``stage_ms`` how long its inputs take to the center;
    both are 0 where nothing is known.
    """

    flavor: str
    units: int
    nodes: int
    wall_ms: int
    terms: str = ""
    index: int = 0  # type: ignore[assignment]  # hides tuple.index, which nobody asks an option
    units_min: int = 0
    net_fen: int = 0
    stage_ms: int = 0


# --- what the planner is told -------------------------------------------------------------------


class JobQueued(NamedTuple):
    """A job waits; higher ``priority`` first within its enterprise.

    Of ``options`` that can start at once the best by ``PolicySettings`` is taken, at its full size
    where that fits; their order breaks ties.

    ``queued_ms`` is the time that orders the job (kept over retries and preemption);
    ``not_before_ms`` bars it from starting earlier (retry back-off), 0 for at once. ``user`` is who
    submitted it (run times are learned per user). An ``interruptible`` job's run may be evicted to
    give lent units back; ``evictions`` counts how often that happened to the job. ``emergency``,
    granted by an operator alone, goes before all cities' other jobs. ``wished`` says that its
    submitter named ``not_before_ms``; else it is a pause after a failed attempt.
    """

    uid: int
    city: str
    enterprise: str
    priority: int
    queued_ms: int
    options: tuple[Option, ...]
    not_before_ms: int = 0
    user: str = ""
    interruptible: bool = False
    evictions: int = 0
    emergency: bool = False
    wished: bool = False


class JobRemoved(NamedTuple):
    """A waiting job waits no more (cancelled, held, expired)."""

    uid: int


class RunActive(NamedTuple):
    """A run holds units at a center: in a snapshot, or one that the planner did not start.

    One with ``ending_ms`` above 0 is being evicted, for job ``ending_for`` if not 0: its end is
    due then, and it is not evicted again. One that has not ``begun`` waits at its center, or is on
    its way there.
    """

    uid: int
    city: str
    enterprise: str
    option: Option
    start_ms: int
    priority: int = 0
    user: str = ""
    interruptible: bool = False
    evictions: int = 0
    ending_ms: int = 0
    ending_for: int = 0
    begun: bool = True


class RunHistory(NamedTuple):
    """How long an earlier run of this shape really ran: what run times are predicted from.

    Part of a snapshot, the oldest first; later ones are learned from ``RunEnded``.
    """

    enterprise: str
    user: str
    flavor: str
    units: int
    wall_ms: int
    used_ms: int


class RunStarted(NamedTuple):
    """A run really began at ``start_ms``: its limit now ends at ``start_ms + wall_ms``."""

    uid: int
    start_ms: int


class RunEnded(NamedTuple):
    """A run holds nothing any more; ``used_ms`` is how long it really occupied its units.

    One that is not ``whole`` was ended by the platform or its center: it says nothing about how
    long such runs take.
    """

    uid: int
    used_ms: int
    whole: bool = True


class Promised(NamedTuple):
    """Another planner promised a waiting job this pool: keep it (moving to another planner).

    ``evicts`` says that runs were evicted for it.
    """

    uid: int
    flavor: str
    units: int
    evicts: bool = False


class Evicted(NamedTuple):
    """A run of a flavor was evicted at ``at_ms``, whether or not it has ended since: it counts
    against the rate. Part of a snapshot."""

    uid: int
    flavor: str
    units: int
    at_ms: int


class StartRefused(NamedTuple):
    """A planned start did not pass admission: the job waits again, parked for ``reason``.

    It is looked at again at ``retry_ms``, or when ``Unparked`` names its city. Until then, if the
    reason is want of money, the jobs of its class are not tried either: they would be refused too.
    """

    uid: int
    reason: PendingReason
    retry_ms: int


class EvictionRefused(NamedTuple):
    """An eviction of the last plan was not begun (the run's job was cancelled, its center does not
    speak, or whom it was for waits no more): the run goes on, and may be planned for again."""

    uid: int


class Unparked(NamedTuple):
    """Money or quota of a city changed: jobs parked by a refused admission are looked at again."""

    city: str


class PoolSet(NamedTuple):
    """Capacity that a center grants for a flavor; ``open`` False (cordoned, down) starts nothing.

    ``capacity_units`` below what runs hold is legal: nothing is killed, nothing starts. It is the
    effective capacity: what is granted, or less if the center reports less. ``corridor_units`` are
    the corridor's own, which any city may borrow; None for what the nominal quotas leave. While
    ``queue_max`` runs have not begun (None: any number) nothing starts: what waits in the center's
    own queue is out of our order.
    """

    flavor: str
    center: str
    capacity_units: int
    open: bool = True
    corridor_units: int | None = None
    queue_max: int | None = None


class ReclaimSet(NamedTuple):
    """How lent units of a flavor come back to the city that owns them.

    ``mode`` is ``churn`` (as runs end), ``lease`` (a run that borrows has a limit of at most
    ``lease_ms``) or ``evict`` (interruptible runs that borrow and have run ``run_min_ms`` are
    stopped after a notice of ``grace_ms``, at most ``rate_bps`` basis points of all units within
    ``rate_ms``).
    """

    flavor: str
    mode: str = "churn"
    lease_ms: int = 4 * 3_600_000
    run_min_ms: int = 30 * 60_000
    grace_ms: int = 5 * 60_000
    rate_bps: int = 1_000
    rate_ms: int = 5 * 60_000


class StopSet(NamedTuple):
    """A city or enterprise is OPEN, on HOLD (starts nothing, runs go on) or DRAIN (runs end too).

    ``node`` is ``cities/<code>`` or ``enterprises/<code>``.
    """

    node: str
    state: str


class UsedUp(NamedTuple):
    """Budgets of which nothing is left, that may go below zero still: (node, flavor), all of them.

    What waits for a flavor whose budget is used up is promised nothing and tried last of all.
    """

    nodes: tuple[tuple[str, str], ...] = ()


class CitySet(NamedTuple):
    """A city takes part, with its weight (a positive integer; population by default)."""

    city: str
    weight: int


class EnterpriseSet(NamedTuple):
    """An enterprise, the city whose quota it uses, and its weight inside the city."""

    enterprise: str
    city: str
    weight: int = 1


class CityQuotaSet(NamedTuple):
    """Instant quota of (city, flavor): None for the limits means unlimited / all lendable."""

    city: str
    flavor: str
    nominal_units: int
    borrow_limit_units: int | None = None
    lend_limit_units: int | None = None


class EnterpriseQuotaSet(NamedTuple):
    """Cap of (enterprise, flavor), None for none, and what its city keeps for it alone."""

    enterprise: str
    flavor: str
    cap_units: int | None = None
    guarantee_units: int = 0


class UsageSet(NamedTuple):
    """Past use of a flavor by an enterprise as of ``at_ms``, in decayed unit-seconds.

    ``city_unit_seconds`` is the same use faded as that of cities is, None if it is the same.
    Part of a snapshot, after the enterprises and the pools.
    """

    enterprise: str
    flavor: str
    unit_seconds: int
    at_ms: int
    city_unit_seconds: int | None = None


Delta = (
    JobQueued
    | JobRemoved
    | RunActive
    | RunHistory
    | RunStarted
    | RunEnded
    | Promised
    | Evicted
    | StartRefused
    | EvictionRefused
    | Unparked
    | PoolSet
    | ReclaimSet
    | StopSet
    | UsedUp
    | CitySet
    | EnterpriseSet
    | CityQuotaSet
    | EnterpriseQuotaSet
    | UsageSet
)


# --- what it answers ----------------------------------------------------------------------------


class Start(NamedTuple):
    """Start this job now on this option; ``borrowed_units`` of it are above the city's nominal."""

    uid: int
    city: str
    enterprise: str
    option: Option
    borrowed_units: int


class Reservation(NamedTuple):
    """A promise: the job starts on ``flavor`` at ``start_ms`` at the latest, if limits hold.

    ``evicts`` says that runs are or were evicted for it.
    """

    uid: int
    flavor: str
    units: int
    start_ms: int
    evicts: bool = False


class Eviction(NamedTuple):
    """Stop this run, by notice and grace, so that ``for_uid`` (its city owns the units) can start.

    The units are free when the run has ended, not before.
    """

    uid: int
    flavor: str
    units: int
    for_uid: int
    grace_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One cycle's answer, in a fixed order.

    ``looked_at`` counts candidates that were weighed. ``more`` says that the cycle stopped at
    ``starts_max``. ``wake_ms`` is when planning again could matter without any delta (a parked or
    backed-off job becomes due); None for never. Why a job waits is answered by ``explain``.
    """

    now_ms: int
    starts: tuple[Start, ...]
    reservations: tuple[Reservation, ...]
    looked_at: int
    more: bool
    wake_ms: int | None
    evictions: tuple[Eviction, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one job waits, and its place (1 = next) among the waiting jobs of its city.

    ``options`` are the reasons of its options, in their order.
    """

    uid: int
    reason: PendingReason
    position_in_city: int
    waiting_in_city: int
    options: tuple[PendingReason, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """How the order is made.

    ``order`` is ``corridor`` (cities, enterprises, priority, time) or ``fifo`` (submission order
    alone); without ``backfill`` a blocked head of a flavor blocks that flavor (FCFS).
    Use of enterprises fades to half in ``usage_half_life_ms``, that of cities in
    ``city_half_life_ms``.

    A pool is promised first to a job that has waited ``starving_ms``, the oldest of several; then
    to the oldest that is due, one of a city that used less than its part before the others; else
    to the first in order, if it takes what its city owns. A job is due if it asks for at least two
    thirds of the most that a waiting or running one does, after ``ageing_ms``: less in proportion
    if less than twelve times the pool's units are asked for, or if its city used less than its
    part (down to a quarter). It is due later in proportion if its city used more, but only where
    more than three times the units are asked for: up to four times later at twelve times.
    ``starts_max`` bounds the starts of one cycle (the rest follows in the next at once).

    Options are compared by a cost in milliseconds: ``start_weight`` for each until the job is
    expected to run, staging counted in, ``net_weight`` for each fen that the enterprise would pay
    itself (600: a yuan weighs as much as a minute), ``stage_weight`` for each of staging once more.
    A job starts on what fits now, unless it may wait ``patience_ms`` for a better option.
    """

    order: str = "corridor"
    backfill: bool = True
    usage_half_life_ms: int = 7 * 24 * 3_600_000
    city_half_life_ms: int = 2 * 24 * 3_600_000
    ageing_ms: int = 36 * 3_600_000
    starving_ms: int = 140 * 3_600_000
    starts_max: int = 2_000
    start_weight: int = 1
    net_weight: int = 600
    stage_weight: int = 1
    patience_ms: int = 0


FCFS = PolicySettings(order="fifo", backfill=False, starts_max=1_000_000)
EASY = PolicySettings(order="fifo", backfill=True, starts_max=1_000_000)
CORRIDOR = PolicySettings()
