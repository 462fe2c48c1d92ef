"""Funds, vouchers and wallets of a small corridor, moved by hand as their admins do."""

from typing import Any

from quota.calendar import period_bounds
from quota.rules import Rule
from quota.transfers import Entry, Kind, fund_account, payable_account
from scheduler.domain.approving import Approvals
from scheduler.domain.principal import EVERYTHING, Principal, Role
from scheduler.store import (
    accounts,
    bookings,
    fund_figures,
    fund_openings,
    funds,
    funds_reduction,
    money_locks,
    transfers,
    voucher_figures,
    vouchers,
)
from scheduler.store.change_requests import Act
from scheduler.store.fund_figures import FundInfo
from scheduler.store.voucher_figures import VoucherInfo
from scheduler.store.vouchers import Issue, NewVoucher
from tests.simulation import world as worlds

YEAR_MS, NEXT_YEAR_MS = period_bounds("2026")
OCTOBER_MS = period_bounds("2026-10")[0]
#: A voucher programme, one whose cap counts on issue, and a pool of two funders.
RULES = (
    (Rule("v", 1, "wuhan", 5000, issue="VOUCHER", validity_months=6), 10_000),
    (
        Rule("capped", 1, "wuhan", 5000, issue="VOUCHER", cap_on="ISSUE", year_cap_fen=1_000),
        10_000,
    ),
    (
        Rule.from_json(
            '{"programme":"pool","version":1,"city":"ezhou","rate_bp":5000,"funders":'
            '[{"name":"ezhou","share_bp":5000},{"name":"province","share_bp":5000}]}'
        ),
        0,
    ),
)
ANY_AMOUNT = Approvals(threshold_fen=10**12)


def admin(city: str) -> Principal:
    """The admin of a city."""
    return Principal(f"admin of {city}", Role.CITY_ADMIN, city, None, None, "", 0)


def member(enterprise: str) -> Principal:
    """Somebody of an enterprise."""
    return Principal("member", Role.ENTERPRISE_MEMBER, None, enterprise, None, "", 0)


class MoneyHands:
    """A corridor with money, at an instant of October 2026."""

    def __init__(self, rules: Any = RULES, now_ms: int = OCTOBER_MS + 50_000_000) -> None:
        self.world = worlds.build(now_ms=now_ms, rules=rules)
        self.db, self.clock = self.world.db, self.world.clock
        self._legs = 0
        self.pay("pool", 1_000, "first")  # all of it the own city's

    def act(self, actor: Principal | None = None, reason: str = "why") -> Act:
        """Something that somebody does now, an operator by default."""
        return Act(actor or worlds.OPERATOR, reason, self.clock.ms, self.clock.ms)

    # --- funds ----------------------------------------------------------------------------------

    def fund(self, programme: str = "v", period: str = "2026") -> FundInfo:
        """A fund as it stands."""
        [found] = self.db.read_sync(
            lambda c: fund_figures.list_funds(c, EVERYTHING, "", programme, period)
        )
        return found

    def open(self, programme: str, period: str, actor: Principal | None = None) -> FundInfo:
        """Open a fund."""
        act = self.act(actor)
        return self.db.do(lambda c: fund_openings.open_fund(c, programme, period, act))

    def pay(self, programme: str, fen: int, key: str = "p", funder: str = "") -> FundInfo:
        """Appropriate."""
        return self.db.do(
            lambda c: funds.appropriate(
                c, EVERYTHING, programme=programme, period="2026", amount_fen=fen, request_id=key,
                actor="test", reason="test", now_ms=self.clock.ms, funder=funder,
            )
        )  # fmt: skip

    def lower(
        self, programme: str, fen: int, key: str = "l", *, pending: bool = False, funder: str = "",
        actor: Principal | None = None, approvals: Approvals = ANY_AMOUNT,
    ) -> funds_reduction.Lowered:  # fmt: skip
        """Take money out."""
        order = funds_reduction.Lowering(programme, "2026", fen, key, funder, pending)
        act = self.act(actor)
        return self.db.do(lambda c: funds_reduction.lower(c, order, act, approvals))

    # --- runs, as their holds and settlements move money ----------------------------------------

    def hold(self, account: str, fen: int, shard: str | None = None) -> str:
        """Hold money of an account for a run; returns the leg."""
        self._legs += 1
        leg = f"{self._legs}.1.0.0"
        self._move(account, leg, Kind.PENDING, "HOLD", (fen, 0), fen, shard)
        return leg

    def settle(
        self, account: str, leg: str, held: int, posted: int, shard: str | None = None
    ) -> None:
        """Post a part of what is held, free the rest, as a settlement does."""
        kind = Kind.POST if posted else Kind.VOID
        self._move(account, leg, kind, "SETTLE", (-held, posted), posted, shard)

    def correct(
        self, account: str, fen: int, ref_period: str = "2026-10", shard: str = "fund:v:2026"
    ) -> None:
        """Take back a part of what an account paid, as a correction does."""
        center = payable_account("ai")
        self._legs += 1
        entry = Entry(
            shard, Kind.DIRECT, "CORRECT", center, account, fen, self.clock.ms,
            f"correct:{self._legs}", ref_period=ref_period,
        )  # fmt: skip

        def write(c: Any) -> None:
            bookings.book(c, [entry])
            funds_reduction.eat(c, {account}, self.clock.ms)

        self.db.do(write)

    def _move(
        self, account: str, leg: str, kind: Kind, code: str, moved: tuple[int, int], fen: int,
        shard: str | None,
    ) -> None:  # fmt: skip
        center = payable_account("ai")
        entry = Entry(
            shard or account, kind, code, account, center, fen, self.clock.ms, f"{code}:{leg}",
            leg_id=leg,
        )  # fmt: skip

        def write(c: Any) -> None:
            names = {account, center, *funds_reduction.sources(c, {account})}
            money_locks.lock(c, accounts=names, shards=[entry.shard])
            moves = accounts.Moves()
            moves.add(account, center, *moved)
            accounts.move(c, moves)
            transfers.append_transfers(c, [entry])
            funds_reduction.eat(c, {account}, self.clock.ms)

        self.db.do(write)

    # --- vouchers -------------------------------------------------------------------------------

    def issue(
        self, *new: NewVoucher, programme: str = "v", period: str = "2026", key: str = "i",
        actor: Principal | None = None,
    ) -> list[VoucherInfo]:  # fmt: skip
        """Issue vouchers."""
        order = Issue(programme, period, new, key)
        act = self.act(actor)
        return self.db.do(lambda c: vouchers.issue(c, order, act))

    def voucher(self, number: str) -> VoucherInfo:
        """A voucher as it stands."""
        return self.db.read_sync(
            lambda c: voucher_figures.get_voucher(c, EVERYTHING, number, self.clock.ms)
        )

    def revoke(self, number: str, actor: Principal | None = None) -> VoucherInfo:
        """Revoke a voucher."""
        act = self.act(actor)
        return self.db.do(lambda c: vouchers.revoke(c, number, act))

    def balance(self, account: str) -> tuple[int, int]:
        """(posted credits less debits, pending debits) of an account."""
        [row] = self.db.rows(
            "SELECT credits_posted - debits_posted, debits_pending FROM account"
            f" WHERE account_id = '{account}'"
        )
        return int(row[0]), int(row[1])

    def frozen(self, month: str) -> dict[str, tuple[int, bytes]]:
        """(seq, hash) of the heads that were frozen when a month was closed."""
        rows = self.db.rows(f"SELECT shard, seq, hash FROM book_head WHERE month = '{month}'")
        return {shard: (int(seq), bytes(digest)) for shard, seq, digest in rows}

    def codes(self, where: str = "1 = 1") -> list[tuple[Any, ...]]:
        """(code, debit, credit, fen) of entries, in the order of their chains."""
        return self.db.rows(
            "SELECT code, debit_account, credit_account, amount_fen FROM transfer"
            f" WHERE {where} ORDER BY shard, seq"
        )


FUND = fund_account("v", "2026")
