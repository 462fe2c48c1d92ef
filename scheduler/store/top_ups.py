"""More money held for runs that go on beyond what is held for them (T6).

A hold is for a run's whole wall limit, at which its center ends it; it begins anew with a run that
its center queued again and began anew. One that its center lets go on
gets a further revision of its hold, at the prices and by the rules that were frozen for it, of what
programmes and the wallet have left now. A run for which nobody can pay more is to end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from quota.charges import Left, Quote, Source
from quota.eligibility import Admitted
from quota.quoting import quote
from quota.rules import Rule
from quota.slices import Cuts, Span, bounds_of, cut
from quota.transfers import wallet_account
from scheduler.store import frozen, holds, leader, paying, pricing
from scheduler.store.database import bulk_read
from scheduler.store.frozen import Frozen
from scheduler.store.holding import Holding, note
from scheduler.store.judgements import Judgement, Wanted, needs_of

RunKey = tuple[int, int]


class Terms(NamedTuple):
    """A run is given ``more_s`` once it went on for ``after_ms`` beyond what is held for it."""

    after_ms: int
    more_s: int


@dataclass(frozen=True, slots=True)
class Grown:
    """Runs whose hold was topped up, and those for which nobody can pay more."""

    topped: tuple[RunKey, ...]
    unpaid: tuple[RunKey, ...]


class _Run(NamedTuple):
    """A run beyond its hold."""

    uid: int
    attempt: int
    center: str
    flavor: str
    enterprise: str
    city: str
    units: int
    start_ms: int
    subsidy: str
    self_pay_max_fen: int | None
    rev: int
    held_s: int
    own_fen: int
    price_id: str
    price_ufen: int
    text: str

    @property
    def key(self) -> RunKey:
        return self.uid, self.attempt


_DUE: Final = (
    " FROM run r JOIN job j ON j.uid = r.job_uid"
    " WHERE r.settled_ms IS NULL AND r.state = 'RUNNING' AND r.evict_cause IS NULL"
    " AND NOT j.cancel_requested AND coalesce(r.restart_ms, 0) >= 0"
    " AND coalesce(r.restart_ms, r.start_ms) + r.wall_limit_s * 1000 <= {before_ms}"
    " AND coalesce(r.restart_ms, r.start_ms) + 1000 * (SELECT sum(h.wall_limit_s) FROM hold h"
    " WHERE h.job_uid = r.job_uid AND h.attempt = r.attempt AND h.state = 'HELD') <= {before_ms}"
)


def any_due(connection: Connection, terms: Terms, now_ms: int) -> bool:
    """Whether a run goes on beyond what is held for it."""
    due = _DUE.format(before_ms=now_ms - terms.after_ms)
    return connection.exec_driver_sql(f"SELECT 1{due} LIMIT 1").first() is not None


def grow(connection: Connection, epoch: int, terms: Terms, now_ms: int) -> Grown:
    """Hold more for the runs that are due, each all of it or nothing.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    runs = _due(connection, terms, now_ms)
    if not runs:
        return Grown((), ())
    owners = {(run.city, run.enterprise) for run in runs}
    means = holds.load(connection, owners, {run.center for run in runs}, now_ms)
    kept = {run.key: frozen.read(run.text, run.price_id, run.price_ufen) for run in runs}
    rules = pricing.load_rules(connection, {v for one in kept.values() for v in one.versions()})
    shards = holds.voucher_shards(connection, means.left)
    holding = Holding(means, now_ms, shards, "TOP_UP", "topup")
    topped, unpaid = list[RunKey](), list[RunKey]()
    for run in runs:
        over_s = max(0, (now_ms - run.start_ms) // 1000 - run.held_s)
        wanted = _wanted(run, over_s + terms.more_s)
        found = _judge(means, run, wanted, kept[run.key], rules)
        if found is None:
            unpaid.append(run.key)
            continue
        holding.holds.append(
            (
                run.uid, run.attempt, run.rev, run.price_id, run.price_ufen, run.text, run.units,
                run.held_s, wanted.wall_limit_s, found.gross_fen, now_ms,
            )
        )  # fmt: skip
        note(holding, wanted, run.rev, found, frozen.basis(run.text))
        means.take(wanted, found)
        topped.append(run.key)
    holds.write(connection, holding)
    return Grown(tuple(topped), tuple(unpaid))


def _due(connection: Connection, terms: Terms, now_ms: int) -> list[_Run]:
    rows: Sequence[Any] = bulk_read(
        connection,
        "SELECT r.job_uid, r.attempt, r.center, r.flavor, r.enterprise, r.city, r.units,"
        " coalesce(r.restart_ms, r.start_ms), j.subsidy, j.self_pay_max_fen,"
        " (SELECT count(*) FROM hold h WHERE h.job_uid = r.job_uid AND h.attempt = r.attempt),"
        " (SELECT sum(h.wall_limit_s) FROM hold h WHERE h.job_uid = r.job_uid"
        " AND h.attempt = r.attempt),"
        " (SELECT coalesce(sum(CASE WHEN l.kind = 'WALLET' THEN l.amount_fen"
        " WHEN l.credit_account LIKE 'claim:%' THEN -l.amount_fen ELSE 0 END), 0)"
        " FROM hold_leg l WHERE l.job_uid = r.job_uid AND l.attempt = r.attempt)"
        f"{_DUE.format(before_ms=now_ms - terms.after_ms)} ORDER BY r.job_uid LIMIT 500",
    )
    listed = ", ".join(str(row[0]) for row in rows) or "0"
    first = {
        (uid, attempt): rest
        for uid, attempt, *rest in bulk_read(
            connection,
            "SELECT job_uid, attempt, price_id, price_ufen, frozen FROM hold"
            f" WHERE job_uid IN ({listed}) AND rev = 0",
        )
    }
    return [_Run._make((*row[:10], *map(int, row[10:13]), *first[row[0], row[1]])) for row in rows]


def _wanted(run: _Run, seconds: int) -> Wanted:
    return Wanted(
        run.uid, run.attempt, run.center, run.flavor, run.enterprise, run.city, run.units, seconds,
        run.subsidy, run.self_pay_max_fen,
    )  # fmt: skip


def _judge(
    means: paying.Means,
    run: _Run,
    wanted: Wanted,
    kept: Frozen,
    rules: dict[tuple[str, int], Rule],
) -> Judgement | None:
    """Return who pays for more of a run; None if its enterprise may not or can not."""
    payer = means.payers.get(run.enterprise)
    if payer is None or payer.blocked:
        return None
    admitted = _capped(kept.admitted(rules), means.money.rules)
    charge = _quote(means, run, wanted, kept, admitted)
    most = run.self_pay_max_fen
    own_fen = charge.self_pay_fen
    if most is not None and run.own_fen + own_fen > most:
        return None
    if run.subsidy == "REQUIRED" and charge.gross_fen and not charge.subsidy_fen:
        return None
    if charge.wallet_fen > means.left.get(wallet_account(run.enterprise), 0):
        return None
    price = pricing.Price(run.price_id, run.price_ufen)
    return Judgement(price, charge, None, needs_of(run.enterprise, charge), tuple(admitted))


def _capped(admitted: Sequence[Admitted], in_force: Sequence[Rule]) -> list[Admitted]:
    """The frozen rules, under the yearly caps that are in force now: a cap holds for all."""
    caps = {rule.programme: rule.year_cap_fen for rule in in_force}
    return [
        one._replace(rule=replace(one.rule, year_cap_fen=caps[one.rule.programme]))
        if one.rule.programme in caps and one.rule.unit == "FEN"
        else one
        for one in admitted
    ]


def _quote(
    means: paying.Means,
    run: _Run,
    wanted: Wanted,
    kept: Frozen,
    admitted: Sequence[Admitted],
) -> Quote:
    """Quote the time beyond the hold, of what there is now; rules and prices are frozen."""
    begins_ms = run.start_ms + run.held_s * 1000
    span = Span(0, begins_ms, begins_ms + wanted.wall_limit_s * 1000, run.units)
    sources: dict[str, tuple[Source, ...]] = {}
    for rule, _, _ in admitted:
        own = rule.issue == "VOUCHER" or rule.unit != "FEN"
        theirs = means.own.sources.get((run.enterprise, rule.programme), ())
        funds = tuple(means.money.funds.get(rule.programme, ()))
        sources[rule.programme] = theirs if own else funds
    bounds = bounds_of(source for mine in sources.values() for source in mine)
    slices = cut([span], Cuts(kept.prices, bounds)).slices
    caps = means.caps_of(run.enterprise, [one.rule for one in admitted])
    return quote(slices, admitted, Left(sources, means.left, caps), settling=True)
