"""What each of several options would cost an enterprise, for the planner to choose by.

Only jobs with alternatives are told of it: to the others it makes no difference. It is the price
at the limit less what the programmes give by their rates, as if every fund and yearly cap had
enough, so that jobs of one shape stay one kind however the funds stand. Vouchers and free
unit-seconds, which run out, are left out; a job's contract and project are taken for such as its
programmes ask for, for they make no difference between options. The figure is of the time
at which the planner was told; admission judges anew, by what there is then.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import Connection

from quota.amounts import gross_fen
from quota.calendar import natural_year
from quota.charges import Slice
from quota.eligibility import eligible
from quota.quoting import plenty, quote
from quota.rules import Ask
from scheduler.placement.model import Delta, JobQueued, Option
from scheduler.store import pricing


def told(connection: Connection, deltas: Iterable[Delta], now_ms: int) -> list[Delta]:
    """Return the deltas with the options of waiting jobs that have several priced."""
    found = list(deltas)
    enterprises = {
        one.enterprise for one in found if isinstance(one, JobQueued) and len(one.options) > 1
    }
    if not enterprises:
        return found
    money = pricing.load_money(connection, now_ms)
    payers = pricing.load_payers(connection, enterprises, money.rules, now_ms)
    return list(_Pricer(money, payers, now_ms).priced(found))


_NAMED: Final = "contract"


class _Pricer:
    """Prices options at one instant; options that are alike once."""

    def __init__(self, money: pricing.Money, payers: dict[str, pricing.Payer], now_ms: int) -> None:
        self._money, self._payers, self._year = money, payers, natural_year(now_ms)
        funded = money.funded(now_ms)
        self._rules = [
            rule
            for rule in money.rules
            if rule.programme in funded and rule.issue == "POOL" and rule.unit == "FEN"
        ]
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
        wall_s = option.wall_ms // 1000
        if option.terms.startswith("NONE"):
            return gross_fen(option.units, wall_s, price.price_ufen)
        ask = Ask(
            self._money.centers[option.flavor],
            option.flavor,
            option.flavor in self._money.domestic,
            contract=_NAMED,
            project_lists=frozenset().union(*payer.lists.values()),
        )
        applicant = payer.applicant._replace(city=job.city)
        admitted, _ = eligible(self._rules, applicant, ask)
        whole = Slice(0, option.wall_ms, option.units * wall_s, self._year, price.price_ufen)
        return quote((whole,), admitted, plenty(admitted)).self_pay_fen
