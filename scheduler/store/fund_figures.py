"""Funds as they stand: what each funder put in, and what became of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection

from quota.rules import CORRIDOR
from quota.transfers import appropriation_account, lapsed_account
from scheduler.domain.principal import Scope
from scheduler.errors import NotFound, WrongState
from scheduler.store import money_locks
from scheduler.store.bookings import fund_shard


@dataclass(frozen=True, slots=True)
class FunderMoney:
    """The money of one funder in a fund, in fen.

    ``appropriated_fen`` = held + posted + in vouchers + available + lapsed. What vouchers hold and
    paid counts as held and posted; ``vouchers_fen`` is what they can still give. ``reducing_fen``
    will be taken out as money comes free.
    """

    funder: str
    own: bool
    account_id: str
    appropriated_fen: int
    held_fen: int
    posted_fen: int
    vouchers_fen: int
    available_fen: int
    lapsed_fen: int
    reducing_fen: int


@dataclass(frozen=True, slots=True)
class FundInfo:
    """The money of a programme in a period, in fen, of all its funders; the own city's first."""

    programme: str
    city: str
    period: str
    start_ms: int
    end_ms: int
    state: str
    funders: tuple[FunderMoney, ...]

    @property
    def target(self) -> str:
        """Its name in the audit log and in errors."""
        return f"programmes/{self.programme}/funds/{self.period}"

    @property
    def appropriated_fen(self) -> int:
        """What was put in, less what was taken out again."""
        return sum(one.appropriated_fen for one in self.funders)

    @property
    def held_fen(self) -> int:
        """What is held for runs that have not settled."""
        return sum(one.held_fen for one in self.funders)

    @property
    def posted_fen(self) -> int:
        """What was paid for settled runs."""
        return sum(one.posted_fen for one in self.funders)

    @property
    def vouchers_fen(self) -> int:
        """What was issued in vouchers and is neither held nor spent."""
        return sum(one.vouchers_fen for one in self.funders)

    @property
    def available_fen(self) -> int:
        """What can still be held or issued."""
        return sum(one.available_fen for one in self.funders)

    @property
    def lapsed_fen(self) -> int:
        """What was left when the period closed."""
        return sum(one.lapsed_fen for one in self.funders)

    @property
    def reducing_fen(self) -> int:
        """What is still to be taken out."""
        return sum(one.reducing_fen for one in self.funders)

    def funder(self, name: str) -> FunderMoney:
        """Return one funder's money, the own city's for ""; ``NotFound`` if there is none."""
        for one in self.funders:
            if one.funder == name or (one.own and not name):
                return one
        known = ", ".join(one.funder for one in self.funders)
        raise NotFound(
            f"the fund of {self.programme} in {self.period} has no funder {name!r}; it has {known}"
        )

    def source_of(self, one: FunderMoney) -> str:
        """Account from which a funder's money comes."""
        return appropriation_account(self.programme, self.period, "" if one.own else one.funder)

    def lapsed_of(self, one: FunderMoney) -> str:
        """Account to which what is left of a funder's money goes in the end."""
        return lapsed_account(self.programme, self.period, "" if one.own else one.funder)


def visible(scope: Scope) -> tuple[str, tuple[str, ...]]:
    """Condition on ``p.city``: a city's own programmes and those of the whole corridor."""
    if scope.enterprise is not None:
        return (
            "p.city IN (?, (SELECT city FROM enterprise WHERE code = ?))",
            (CORRIDOR, scope.enterprise),
        )
    if scope.city is not None:
        return "p.city IN (?, ?)", (CORRIDOR, scope.city)
    return "1 = 1", ()


_LEFT: Final = "a.credits_posted - a.debits_posted - a.debits_pending"
_FUNDS: Final = (
    "SELECT p.code, p.city, f.period, f.start_ms, f.end_ms, f.state, u.funder, u.place,"
    f" u.account_id, u.appropriated_fen, u.reducing_fen, a.debits_pending, {_LEFT},"
    " coalesce(l.credits_posted - l.debits_posted, 0), coalesce(v.held, 0),"
    " coalesce(v.left_fen, 0) FROM programme p"
    " JOIN fund_period f ON f.programme = p.code"
    " JOIN fund_funder u ON u.programme = f.programme AND u.period = f.period"
    " JOIN account a ON a.account_id = u.account_id"
    " LEFT JOIN account l ON l.account_id = 'lapsed' || substr(u.account_id, 5)"
    " LEFT JOIN (SELECT v.programme, v.period, sum(a.debits_pending) AS held,"
    f" sum({_LEFT}) AS left_fen FROM voucher v JOIN account a ON a.account_id = v.account_id"
    " GROUP BY v.programme, v.period) v"
    " ON u.place = 0 AND v.programme = u.programme AND v.period = u.period"
)


def list_funds(
    connection: Connection, scope: Scope, city: str = "", programme: str = "", period: str = ""
) -> list[FundInfo]:
    """Return the funds the caller may see."""
    where, values = visible(scope)
    for column, wanted in (("p.city", city), ("p.code", programme), ("f.period", period)):
        if wanted:
            where, values = f"{where} AND {column} = ?", (*values, wanted)
    rows = connection.exec_driver_sql(
        f"{_FUNDS} WHERE {where} ORDER BY p.code, f.start_ms, f.period, u.place", values
    ).all()
    found: list[FundInfo] = []
    for head, parts in groupby(rows, key=lambda row: tuple(row[:6])):
        code, of, name, start_ms, end_ms, state = head
        money = tuple(_money(row) for row in parts)
        found.append(FundInfo(code, of, name, start_ms, end_ms, state, money))
    return found


def _money(row: Sequence[Any]) -> FunderMoney:
    """A funder's money from the columns of ``_FUNDS``."""
    funder, place, account = row[6:9]
    put_in, reducing, pending, free, lapsed, held, vouchers = map(int, row[9:])
    posted = put_in - lapsed - free - pending - held - vouchers
    return FunderMoney(
        funder, place == 0, account, put_in, pending + held, posted, vouchers, free, lapsed,
        reducing,
    )  # fmt: skip


def managed_fund(connection: Connection, scope: Scope, programme: str, period: str) -> FundInfo:
    """Return a fund that a city or an operator manages; ``NotFound`` for any other."""
    own = Scope(city=scope.city) if scope.city is not None else scope
    found = list_funds(connection, own, programme=programme, period=period)
    if not found or (scope.city is not None and found[0].city != scope.city):
        raise NotFound(
            f"there is no fund of programme {programme!r} in {period!r} that you manage;"
            " `corridor fund show` lists those there are"
        )
    return found[0]


def check_open(fund: FundInfo) -> None:
    """Raise ``WrongState`` for a fund whose period takes no more money and gives none."""
    if fund.state != "OPEN":
        raise WrongState(
            f"the fund of {fund.programme} in {fund.period} is {fund.state}; open or use the fund"
            " of a later period",
            subject=fund.target,
            reason=f"FUND_{fund.state}",
        )


def lock(
    connection: Connection,
    fund: FundInfo,
    more: Iterable[str] = (),
    caps: Iterable[money_locks.CapKey] = (),
) -> None:
    """Lock all accounts of a fund, ``more`` accounts, caps and its shard; read it again then."""
    names = [*more]
    for one in fund.funders:
        names += [one.account_id, fund.source_of(one), fund.lapsed_of(one)]
    shard = fund_shard(fund.programme, fund.period)
    money_locks.lock(connection, accounts=names, caps=caps, shards=[shard])
