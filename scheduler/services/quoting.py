"""Use case: what jobs would cost, who would pay, and when they might start. Nothing is stored.

Costs and what budgets would hold are judged by the code that admission judges by, on the figures
of this moment; each option of each job for itself, at its full wall limit.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, NamedTuple

from quota.charges import Part, telling
from scheduler.domain.ids import job_id
from scheduler.domain.reasons import RANK, UNFORESEEN, PendingReason, ReasonCode, StartOutlook
from scheduler.domain.spec import JobSpec, ResourceOption, options_json
from scheduler.errors import TemporarilyAway
from scheduler.placement.model import Explanation, JobQueued, Option
from scheduler.services.context import Context
from scheduler.services.funding import Funding, funding
from scheduler.store import budget_holds, job_relations, paying, pricing
from scheduler.store.budget_holds import Budgets, Outlook
from scheduler.store.charges import Charge, SubsidyPart
from scheduler.store.database import Connection
from scheduler.store.paying import Judgement, Means, Wanted
from scheduler.store.planner_feed import options_of
from scheduler.store.rule_facts import Contract
from scheduler.store.submission_book import Home, SubmissionBook

JOBS_MAX: Final = 100
#: A job that is only asked about stands behind all that were submitted at the same time.
_UID: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class OptionQuote:
    """What one option would cost at most; without a price there is no ``charge``.

    ``funding`` says who would pay it. ``held`` is what it would hold of the budgets of its
    enterprise and city, None if it may not. ``reason`` says why the job would not start at once;
    times are epoch milliseconds, None where nothing can be said: it cannot start as things are, or
    the planner is away. The place is the one that it would have in its city, 0 where nothing can
    be said.
    """

    option: ResourceOption
    charge: Charge | None
    held: Outlook | None
    reason: PendingReason | None
    funding: Funding | None = None
    start_earliest_ms: int | None = None
    start_likely_ms: int | None = None
    start_latest_ms: int | None = None
    position_in_city: int = 0
    waiting_in_city: int = 0
    planner_away: bool = False


class Others(NamedTuple):
    """Jobs that one waits for: of the call, as a caller names them, and of before."""

    in_call: tuple[str, ...] = ()
    uids: tuple[int, ...] = ()

    def names(self, is_open: Container[int]) -> list[str]:
        """Those that have not ended, as a caller names them."""
        return [*self.in_call, *(job_id(uid) for uid in self.uids if uid in is_open)]


async def quote(
    context: Context,
    book: SubmissionBook,
    home: Home,
    specs: Sequence[JobSpec],
    others: Sequence[Others],
) -> list[list[OptionQuote]]:
    """Return a quote for each option of each job of an enterprise; flavors must be known."""
    now_ms = context.clock.now_ms()
    contracts = {(home.enterprise, spec.contract) for spec in specs if spec.contract}
    limits = await context.db.read(lambda connection: _limits(connection, home, contracts, now_ms))
    estimates = _Estimates(context, home, now_ms)
    before = {uid for one in others for uid in one.uids}
    is_open = await context.db.read(lambda c: job_relations.not_ended(c, before)) if before else ()
    barred = [job_relations.waits_for(one.names(is_open)) for one in others]
    return [
        [
            _behind(await _quote_one(book, home, limits, spec, option, estimates), reason)
            for option in spec.options
        ]
        for spec, reason in zip(specs, barred, strict=True)
    ]


class _Limits(NamedTuple):
    """What money and unit-seconds an enterprise can still be given, and names of programmes."""

    means: Means
    budgets: Budgets
    names: dict[str, str]


def _limits(connection: Connection, home: Home, contracts: set[Contract], now_ms: int) -> _Limits:
    return _Limits(
        paying.load(connection, {home.enterprise}, now_ms, contracts),
        budget_holds.foresee(connection, (home.city, home.enterprise), now_ms),
        pricing.programme_names(connection),
    )


async def _quote_one(
    book: SubmissionBook, home: Home, limits: _Limits, spec: JobSpec, option: ResourceOption,
    estimates: "_Estimates",
) -> OptionQuote:  # fmt: skip
    center = book.catalog[option.flavor].center
    wanted = Wanted(
        0, 1, center, option.flavor, home.enterprise, home.city, option.units,
        spec.wall_of(option), spec.subsidy, spec.self_pay_max_fen, spec.contract, spec.project,
    )  # fmt: skip
    found = paying.judge(limits.means, wanted)
    held = limits.budgets.look(wanted, max(estimates.now_ms, spec.start_not_before_ms or 0))
    short = held if isinstance(held, PendingReason) else None
    outlook = held if isinstance(held, Outlook) else None
    charge = _charge(found, option.units * spec.wall_of(option))
    paid = None if charge is None else funding(limits.means, wanted, found, limits.names)
    reasons = (found.reason, short, _never(book, home, option))
    barred = [reason for reason in reasons if reason is not None]
    if barred:
        reason = min(barred, key=lambda reason: RANK[reason.code])
        never = replace(reason, outlook=StartOutlook.NONE)
        return OptionQuote(option, charge, outlook, never, paid)
    explained = await estimates.of(spec, option)
    if explained is None:
        return OptionQuote(option, charge, outlook, None, paid, planner_away=True)
    expected = _not_before(explained.reason, spec.start_not_before_ms, estimates.now_ms)
    at_once = expected.code is ReasonCode.NOT_EVALUATED
    return OptionQuote(
        option,
        charge,
        outlook,
        None if at_once else expected,
        paid,
        expected.start_earliest_ms,
        expected.start_likely_ms,
        expected.start_latest_ms,
        explained.position_in_city,
        explained.waiting_in_city,
    )


def _behind(found: OptionQuote, others: PendingReason | None) -> OptionQuote:
    """A quote of a job that waits for others: nobody can say when those end."""
    if others is None or (found.reason is not None and found.reason.code in UNFORESEEN):
        return found
    return OptionQuote(found.option, found.charge, found.held, others, found.funding)


def _not_before(reason: PendingReason, start_ms: int | None, now_ms: int) -> PendingReason:
    """What is expected of a job that is not to start before an instant."""
    if start_ms is None or start_ms <= now_ms:
        return reason
    times = {
        name: max(at_ms, start_ms)
        for name in ("start_earliest_ms", "start_likely_ms", "start_latest_ms")
        if (at_ms := getattr(reason, name)) is not None
    }
    if reason.code is ReasonCode.NOT_EVALUATED:
        reason = replace(reason, code=ReasonCode.NOT_BEFORE, next_event_ms=start_ms)
    return replace(reason, **times)


def _charge(found: Judgement, unit_seconds: int) -> Charge | None:
    if found.price is None:
        return None
    return Charge(
        found.gross_fen,
        found.self_pay_fen,
        tuple(_lines(found.parts)),
        found.price.price_id,
        found.price.price_ufen,
        unit_seconds - found.quote.unit_seconds,
        found.quote.unit_seconds,
    )


def _lines(parts: Sequence[Part]) -> Iterator[SubsidyPart]:
    """What each programme gives in sum, of those that give money."""
    for programme, group in groupby(parts, key=lambda part: part.programme):
        mine = list(group)
        amount = sum(part.amount_fen for part in mine)
        if amount:
            yield SubsidyPart(programme, mine[0].rule_version, amount, telling(mine).binding)


def _never(book: SubmissionBook, home: Home, option: ResourceOption) -> PendingReason | None:
    """The limit that the option breaks even while nothing else runs."""
    bound = book.never(home, option.flavor, option.units_min or option.units)
    if bound is None:
        return None
    return PendingReason(
        ReasonCode.EXCEEDS_MAX, bound.node, option.flavor, limit=bound.height, used=bound.used,
        requested=option.units, short_by=bound.short_by,
    )  # fmt: skip


class _Estimates:
    """Asks the planner once for options that are alike, and no more once it is away."""

    def __init__(self, context: Context, home: Home, now_ms: int) -> None:
        self._context, self._home, self.now_ms = context, home, now_ms
        self._known: dict[tuple[int, bool, Option], Explanation] = {}
        self._away = False

    async def of(self, spec: JobSpec, option: ResourceOption) -> Explanation | None:
        """What would be said of the job if it were queued now; None if nobody can say."""
        alone = options_json(replace(spec, options=(option,)))
        (wanted,) = options_of(alone, spec.subsidy, spec.self_pay_max_fen)
        key = (spec.priority, spec.emergency, wanted)
        if key not in self._known and not self._away:
            city, enterprise = self._home.city, self._home.enterprise
            job = JobQueued(
                _UID, city, enterprise, spec.priority, self.now_ms, (wanted,),
                emergency=spec.emergency,
            )  # fmt: skip
            try:
                self._known[key] = await self._context.planner.estimate(job)
            except TemporarilyAway:
                self._away = True
        return self._known.get(key)
