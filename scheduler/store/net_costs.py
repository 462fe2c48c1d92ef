"""What each of several options would cost an enterprise, for the planner to choose by.

Only jobs with alternatives are told of it: to the others it makes no difference. It is the price
at the limit less what the programmes give by their rates, as if every fund and yearly cap had
enough, so that jobs of one shape stay one kind however the funds stand. The figure is of the time
at which the planner was told; admission judges anew, by what there is then.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import Connection

from quota.amounts import gross_fen
from quota.subsidy import Left, quote
from scheduler.placement.model import Delta, JobQueued, Option
from scheduler.store import pricing

_ENOUGH: Final = Left(1 << 62)


def told(connection: Connection, deltas: Iterable[Delta], now_ms: int) -> list[Delta]:
    """Return the deltas with the options of waiting jobs that have several priced."""
    found = list(deltas)
    enterprises = {
        one.enterprise for one in found if isinstance(one, JobQueued) and len(one.options) > 1
    }
    if not enterprises:
        return found
    pricer = _Pricer(
        pricing.load_money(connection, now_ms), pricing.load_payers(connection, enterprises)
    )
    return list(pricer.priced(found))


class _Pricer:
    """Prices options at one instant; options that are alike once."""

    def __init__(self, money: pricing.Money, payers: dict[str, pricing.Payer]) -> None:
        self._money, self._payers = money, payers
        self._known: dict[tuple[str, str, tuple[Option, ...]], tuple[Option, ...]] = {}

    def priced(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        for one in deltas:
            if isinstance(one, JobQueued) and len(one.options) > 1:
                key = (one.city, one.enterprise, one.options)
                options = self._known.get(key)
                if options is None:
                    options = tuple(
                        option._replace(net_fen=self._net_fen(one, option))
                        for option in one.options
                    )
                    self._known[key] = options
                yield one._replace(options=options)
            else:
                yield one

    def _net_fen(self, job: JobQueued, option: Option) -> int:
        price = self._money.prices.get(option.flavor)
        payer = self._payers.get(job.enterprise)
        if price is None or payer is None:
            return 0
        gross = gross_fen(option.units, option.wall_ms // 1000, price.price_ufen)
        if option.terms.startswith("NONE"):
            return gross
        applicant = payer.applicant._replace(city=job.city)
        rules, _ = self._money.rules_for(applicant, option.flavor)
        left = {rule.programme: _ENOUGH for rule in rules}
        return gross - sum(part.amount_fen for part in quote(gross, rules, left))
