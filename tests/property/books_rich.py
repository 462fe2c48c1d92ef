"""A ledger on which every kind of row stands: a winter of all orders, then a year without a model.

In the winter hardly a run is left alone. So the year after it has runs of every kind of payer to
which nothing more happened, beside those that cross a New Year, a change of price or the end of
their holds.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from adapters.contract import FailureClass, Phase
from quota.calendar import period_bounds
from quota.rules import Rule
from scheduler.domain.ids import run_id
from scheduler.domain.principal import EVERYTHING
from scheduler.store import (
    charge_orders,
    debts,
    enterprises_blocked,
    fund_openings,
    funds,
    grants,
    prices,
    programmes,
    top_ups,
    vouchers,
    wallets,
)
from scheduler.store.charge_orders import Code
from tests.property.books_machine import ALONE
from tests.property.test_books_machine import Books, new_year, old_year
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, FREE, NPU, job

_YEAR_ENDS_MS: Final = period_bounds("2028")[0]
#: A voucher's use counts in its year's cap; the other programmes are those of the winter.
_USED: Final = Rule("u", 1, "xianning", 5_000, issue="VOUCHER", validity_months=12,
                    year_cap_fen=900)  # fmt: skip
_POOR: Final = ("r", "2028")
_WHO: Final = ("w1", "w2", "e1", "x1")


class _Year:
    """The year after the winter, moved by hand."""

    def __init__(self, winter: Books) -> None:
        self.winter, self.it, self.count = winter, winter.it, 0

    def act(self) -> Any:
        """Something that an operator does now."""
        return self.winter.act()

    def do(self, call: Any, *what: Any) -> Any:
        """Let the operator do it."""
        return self.it.db.do(lambda c: call(c, *what, self.act()))

    def key(self) -> str:
        """A request id of its own."""
        self.count += 1
        return f"year-{self.count}"

    def pay(self, programme: str, period: str, fen: int, funder: str = "") -> None:
        """Put money into a fund."""
        self.it.db.do(
            lambda c: funds.appropriate(
                c, EVERYTHING, programme=programme, period=period, amount_fen=fen,
                request_id=self.key(), actor="test", reason="why", now_ms=self.it.clock.ms,
                funder=funder,
            )
        )  # fmt: skip

    def issue(self, programme: str, period: str, who: str, fen: int) -> None:
        """Issue a voucher, valid for as long as its rule lets it be."""
        key = self.key()
        new = vouchers.NewVoucher(who, fen, f"{programme}-{key}")
        self.do(vouchers.issue, vouchers.Issue(programme, period, (new,), key))

    def begin(self, who: str, flavor: str = NPU, units: int = 1, wall_s: int = 600,
              subsidy: str = "PREFERRED") -> int:  # fmt: skip
        """A run begins now."""
        (uid,) = self.it.world.submit(who, [job(flavor, units, wall_s, subsidy=subsidy)])
        self.it.run(uid)
        return uid

    def money(self) -> None:
        """Money of all kinds for two years, and nobody blocked."""
        for who in _WHO:
            self.do(enterprises_blocked.block, who, False)
            self.do(wallets.set_credit, who, 100_000)
        now_ms = self.it.clock.ms
        self.it.db.do(
            lambda c: programmes.create_programme(
                c, city="xianning", name="u", document_ref="", sample=True, rule=_USED,
                now_ms=now_ms,
            )
        )  # fmt: skip
        self.do(fund_openings.open_fund, "u", "2027")
        self.pay("u", "2027", 5_000)
        self.issue("u", "2027", "x1", 400)
        for period in ("2027", "2028"):
            for programme in ("v", "r", "n", "shared", "hours"):
                if period == "2028":
                    self.do(fund_openings.open_fund, programme, period)
                if programme != "hours":  # of one of them it soon is gone
                    self.pay(programme, period, 50 if (programme, period) == _POOR else 5_000)
            self.pay("v", period, 5_000, "hubei")
            self.do(grants.grant, grants.Grant("hours", period, "w2", 2_000, self.key()))
        self.issue("n", "2027", "w1", 300)

    def plain_runs(self) -> None:
        """Runs to which nothing more happens: settled, for nothing, voided, and still held."""
        for who in _WHO:
            self.it.end(self.begin(who), 600)
            self.it.end(self.begin(who), 271)
            self.it.end(self.begin(who, wall_s=60), 0)
            self.it.end(self.begin(who, CPU, 3, 7_200), 4_321, units=3)
            lost = self.begin(who)
            self.it.end(lost, 60, Phase.FAILED, FailureClass.CENTER)
            self.it.end(self.begin(who, subsidy="NONE"), 333)
            self.it.end(self.begin(who, FREE), 300)
            self.begin(who, wall_s=400)
            self.it.end(self.begin(who), 500, metered=False)
        for _ in range(3):  # until a job's cap binds, and then a year's
            self.it.end(self.begin("w1", NPU, 2, 1_800), 1_700, units=2)

    def other_runs(self) -> None:
        """Runs with more: beyond their holds, in pieces, metered anew, lowered, clawed back."""
        for who in _WHO:
            it, start_ms = self.it, self.it.clock.ms
            uid, pieces = self.begin(who), self.begin(who, wall_s=900)
            it.end(uid, 900)
            usage = [
                it.usage(pieces, start_ms + 1_000 * a, start_ms + 1_000 * b, segment=at)
                for at, (a, b) in enumerate([(0, 99), (150, 299)])
            ]
            it.report(
                it.seen(
                    pieces, Phase.SUCCEEDED, 2, start_ms=start_ms, end_ms=start_ms + 299_000,
                    usage=usage,
                )
            )  # fmt: skip
            self.meter_again(uid, start_ms, 400, 700)
            lowered = self.begin(who)
            it.end(lowered, 600)
            long = self.begin(who, wall_s=300)
            it.clock.ms += 400_000
            self.grow()
            it.end(long, 450)
            self.lower(lowered)
            self.do(enterprises_blocked.block, who, False)

    def meter_again(self, uid: int, start_ms: int, *seconds: int) -> None:
        """The center states other use of a settled run."""
        for revision, span_s in enumerate(seconds, 1):
            again = self.it.usage(uid, start_ms, start_ms + span_s * 1000, revision=revision)
            self.it.report(self.it.seen(uid, Phase.SUCCEEDED, 2, usage=[again]))

    def lower(self, uid: int) -> None:
        """Lower a charge, claw some of its subsidies back, and give some of that up."""
        run = run_id(uid, 1)
        gross = int(self.it.job(uid, "gross_fen"))
        order = charge_orders.Lowering(run, gross // 2, Code.GOODWILL, self.key())
        self.it.db.do(lambda c: charge_orders.correct(c, order, self.act(), ALONE, preview=False))
        rows = self.it.db.rows(
            f"SELECT programme FROM subsidy_line WHERE job_uid = {uid} AND ledger = 'CNY'"
            " AND line >= 0 AND revision = 1 AND amount_fen > 2 ORDER BY line"
        )
        for (programme,) in rows[:1]:
            self.do(debts.claw_back, debts.Clawback(run, programme, 2, self.key()))
            self.write_off(run)

    def write_off(self, run: str) -> None:
        """Give up 1 fen of a debt."""
        off = debts.WriteOff(run, 1, self.key())
        self.it.db.do(lambda c: debts.write_off(c, off, self.act(), ALONE))

    def grow(self) -> None:
        """Top up what runs beyond its hold."""
        terms, now_ms = top_ups.Terms(60_000, 300), self.it.clock.ms
        self.it.db.do(lambda c: top_ups.grow(c, self.it.epoch, terms, now_ms))

    def over_the_end(self) -> None:
        """Runs that cross a New Year, and others that cross a change of price."""
        self.it.clock.ms = _YEAR_ENDS_MS - 300_000
        self.issue("n", "2027", "w2", 200)
        crossing = [self.begin(who) for who in _WHO]
        crossing += [self.begin(who) for who in _WHO]
        for uid in crossing[: len(_WHO)]:
            self.it.end(uid, 500)
        self.meter_again(crossing[0], _YEAR_ENDS_MS - 300_000, 450)
        self.it.clock.ms += 10 * 60_000
        for who in _WHO:
            self.it.end(self.begin(who), 200)
        change_ms = self.it.clock.ms + 200_000
        self.it.db.do(
            lambda c: prices.set_price(
                c, center="ai", flavor=NPU, unit="npu_s", price_ufen=300_001,
                effective_from_ms=change_ms, actor="test",
            )
        )  # fmt: skip
        dearer = [self.begin(who) for who in _WHO]
        for uid in dearer[:3]:
            self.it.end(uid, 555)
        for who in _WHO:
            self.it.end(self.begin(who), 432)
        self.do(enterprises_blocked.block, "x1", True)


def rich() -> Hands:
    """Tell the winter and the year; the ledger is in order."""
    winter = Books()
    winter.found()
    for _ in chain(old_year(winter), new_year(winter)):
        pass
    year = _Year(winter)
    for part in _parts(year):
        part()
    year.it.verify()
    return year.it


def _parts(year: _Year) -> Iterator[Any]:
    yield year.money
    yield year.plain_runs
    yield year.other_runs
    yield year.over_the_end
