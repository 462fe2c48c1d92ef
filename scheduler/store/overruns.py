"""What there is left for use beyond a hold: of the funds it was held from, and of the wallet.

Read only for the few runs that used more than was held for them, after what the same transaction
frees has been counted in.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from quota.charges import Bill, Left
from quota.transfers import wallet_account
from scheduler.store import accounts, pricing
from scheduler.store.charge_rows import CapKey
from scheduler.store.database import bulk_read
from scheduler.store.held_legs import HeldLeg

_UNCAPPED: Final = 1 << 62


@dataclass(slots=True)
class Remaining:
    """What accounts and yearly counters can still give while a batch is computed."""

    accounts: dict[str, int] = field(default_factory=dict)
    caps: dict[CapKey, int] = field(default_factory=dict)

    def for_run(self, enterprise: str, legs: Sequence[HeldLeg]) -> tuple[Left, int]:
        """Return what is left for a run beside its legs: of its programmes, and of its wallet."""
        caps = {
            (programme, year): max(0, fen)
            for (programme, who, year), fen in self.caps.items()
            if who == enterprise
        }
        least: dict[str, int] = {}
        for (programme, _), fen in caps.items():
            least[programme] = min(fen, least.get(programme, fen))
        # A cap that came after the run's admission is none of its frozen rules', but holds; what
        # a voucher has was counted when it was issued.
        names = {
            one.debit: _UNCAPPED
            if one.leg.cap_reserved
            else least.get(one.leg.programme, _UNCAPPED)
            for one in legs
            if one.leg.programme is not None
        }
        left = Left(
            accounts={
                name: max(0, min(self.accounts.get(name, 0), most)) for name, most in names.items()
            },
            caps=caps,
        )
        return left, max(0, self.accounts.get(wallet_account(enterprise), 0))

    def take(self, enterprise: str, bill: Bill) -> None:
        """Take out what a bill draws beyond its legs."""
        for part in bill.direct:
            for draw in part.draws:
                self.accounts[draw.account] = self.accounts.get(draw.account, 0) - draw.amount
                if draw.cap_year is not None and not draw.cap_reserved:
                    key = (part.programme, enterprise, draw.cap_year)
                    if key in self.caps:
                        self.caps[key] -= draw.amount
        wallet = wallet_account(enterprise)
        self.accounts[wallet] = self.accounts.get(wallet, 0) - bill.wallet_fen


def read(
    connection: Connection,
    over: Mapping[str, Collection[HeldLeg]],
    moves: accounts.Moves,
    caps: Mapping[CapKey, Sequence[int]],
) -> Remaining:
    """Read what is left for some enterprises' legs, after the moves that are about to be made.

    Funds whose period is being closed give nothing more, nor what a reduction waits for.
    """
    legs = [one for found in over.values() for one in found if one.leg.programme is not None]
    closed = _closed(connection, {one.shard for one in legs})
    names = {one.debit for one in legs if one.shard not in closed}
    names |= {wallet_account(enterprise) for enterprise in over}
    left = pricing.available(connection, names)
    for name, sums in moves.sums.items():
        if name in left:
            left[name] -= sums[0] + sums[1]
    limits = _limits(connection, over)
    for key, (pending, posted) in caps.items():
        if key in limits:
            limits[key] -= pending + posted
    return Remaining(left, limits)


def _closed(connection: Connection, shards: Collection[str]) -> set[str]:
    """Shards of funds that are not open."""
    rows = connection.exec_driver_sql(
        "SELECT programme, period FROM fund_period WHERE state <> 'OPEN'"
    )
    found = {f"fund:{programme}:{period}" for programme, period in rows}
    return found & set(shards)


def _limits(connection: Connection, over: Mapping[str, Collection[HeldLeg]]) -> dict[CapKey, int]:
    """What is left of the yearly counters that have a limit, of the enterprises concerned."""
    programmes = sorted(
        {one.leg.programme for found in over.values() for one in found if one.leg.programme}
    )
    if not programmes:
        return {}
    marks = ", ".join("?" * len(programmes))
    owners = ", ".join("?" * len(over))
    rows = bulk_read(
        connection,
        "SELECT programme, enterprise, year, limit_fen - pending_fen - posted_fen"
        f" FROM cap_counter WHERE limit_fen IS NOT NULL AND programme IN ({marks})"
        f" AND enterprise IN ({owners})",
        (*programmes, *sorted(over)),
    )
    return {(programme, who, year): int(left) for programme, who, year, left in rows}
