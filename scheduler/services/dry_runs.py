"""Use case: what other rules or prices would have given in the past, and how long money lasts."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from quota.dry_run import Played, Terms, play
from quota.forecast import DAYS_MOST, until_spent
from quota.rules import Rule
from scheduler.domain.principal import EVERYTHING, Principal, Role
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import catalog, dry_runs, forecasts, fund_days
from scheduler.store.database import Connection
from scheduler.store.dry_runs import Past

DAYS_MAX: Final = 366
_PRICE_MAX_UFEN: Final = 10**12


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: a rule of a programme (None: rules as they are), prices by flavor, and over
    how many days."""

    rule: Rule | None
    prices: Mapping[str, int]
    days: int


@dataclass(frozen=True, slots=True)
class ProgrammeEffect:
    """What a programme gives under the terms of today and those proposed, in fen.

    The dates are when its fund is likely spent, "" where that is not foreseen.
    """

    programme: str
    booked_fen: int
    today_fen: int
    proposed_fen: int
    runs_today: int
    runs_proposed: int
    limits_today: Mapping[str, int]
    limits_proposed: Mapping[str, int]
    likely_today: str
    likely_proposed: str


@dataclass(frozen=True, slots=True)
class EnterpriseEffect:
    """What an enterprise's runs cost, and what of it programmes give, in fen."""

    enterprise: str
    gross_today_fen: int
    gross_proposed_fen: int
    subsidy_today_fen: int
    subsidy_proposed_fen: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What came of a dry run."""

    city: str
    run_count: int
    days: int
    today: Played
    proposed: Played
    programmes: Sequence[ProgrammeEffect]
    enterprises: Sequence[EnterpriseEffect]


async def simulate(context: Context, caller: Principal, trial: Trial) -> Effect:
    """Charge what was settled in the last days again, under the terms of today and those proposed.

    A city admin sees the own city's runs alone. Raises ``InvalidRequest``.
    """
    now_ms = context.clock.now_ms()
    wrong = checks.whole("days", trial.days, DAYS_MAX, least=1)
    if trial.rule is None and not trial.prices:
        wrong.append(FieldViolation("rule", "give a rule, or prices, or both"))
    for flavor, ufen in trial.prices.items():
        wrong += checks.whole(f"prices[{flavor}]", ufen, _PRICE_MAX_UFEN)
    if wrong:
        raise InvalidRequest(wrong)
    scope = caller.scope if caller.role is Role.CITY_ADMIN else EVERYTHING
    city = scope.city or ""
    from_ms = now_ms - trial.days * 86_400_000

    def read(connection: Connection) -> tuple[Past, list[forecasts.FundForecast]]:
        unknown = [one for one in trial.prices if not catalog.has_flavor(connection, one)]
        if unknown:
            what = "there is no such flavor; `corridor center list` shows them"
            raise InvalidRequest([FieldViolation(f"prices[{one}]", what) for one in unknown])
        tried = () if trial.rule is None else (trial.rule,)
        past = dry_runs.load(connection, city=city, from_ms=from_ms, now_ms=now_ms, rules=tried)
        return past, forecasts.forecast_funds(connection, scope, now_ms)

    past, funds = await context.db.read(read)
    today = await asyncio.to_thread(play, past.runs, Terms(past.rules), past.purse)
    proposed = await asyncio.to_thread(play, past.runs, _proposed(past, trial), past.purse)
    return _effect(city, trial, past, (today, proposed), _Funds(funds, now_ms))


def _proposed(past: Past, trial: Trial) -> Terms:
    rules = past.rules
    if trial.rule is not None:
        others = [one for one in rules if one.programme != trial.rule.programme]
        rules = (*others, trial.rule)
    return Terms(rules, trial.prices)


class _Funds:
    """When each programme's fund would be spent, if it went on as played."""

    def __init__(self, funds: Sequence[forecasts.FundForecast], now_ms: int) -> None:
        self._funds = {one.fund.programme: one for one in funds}
        self._today = fund_days.today(now_ms)

    def likely(self, programme: str, played: Played, days: int) -> str:
        found = self._funds.get(programme)
        if found is None:
            return ""
        back = min(days, DAYS_MOST)
        daily = [played.days[programme, self._today - at] for at in range(back, 0, -1)]
        if not any(daily):
            return ""  # also of a fund without money: its programme gives free hours
        left = found.fund.available_fen + found.fund.vouchers_fen
        foreseen = until_spent(left, daily, (self._today + 3) % 7, 0)
        return found.date(None if foreseen is None else foreseen.likely_days)


def _effect(
    city: str, trial: Trial, past: Past, played: tuple[Played, Played], funds: _Funds
) -> Effect:
    today, proposed = played
    names = sorted({*past.booked, *today.given, *proposed.given, *_limited(played)})
    who = sorted(
        {*today.gross_by, *proposed.gross_by},
        key=lambda one: (-abs(proposed.given_to[one] - today.given_to[one]), one),
    )
    return Effect(
        city,
        len(past.runs),
        trial.days,
        today,
        proposed,
        [
            ProgrammeEffect(
                name,
                past.booked[name],
                today.given[name],
                proposed.given[name],
                today.runs[name],
                proposed.runs[name],
                _limits(today, name),
                _limits(proposed, name),
                funds.likely(name, today, trial.days),
                funds.likely(name, proposed, trial.days),
            )
            for name in names
        ],
        [
            EnterpriseEffect(
                one,
                today.gross_by[one],
                proposed.gross_by[one],
                today.given_to[one],
                proposed.given_to[one],
            )
            for one in who
        ],
    )


def _limited(played: tuple[Played, Played]) -> set[str]:
    return {programme for one in played for programme, _ in one.bindings}


def _limits(played: Played, programme: str) -> dict[str, int]:
    return {
        limit: count for (of, limit), count in sorted(played.bindings.items()) if of == programme
    }
