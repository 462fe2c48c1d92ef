"""A batch of holds while it is computed: figures that run, and the rows that come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from quota.audit import leg_id
from quota.charges import FOREVER_MS, Draw, Part
from quota.molds import Cast
from quota.transfers import (
    CNY,
    UNIT_S,
    Entry,
    Kind,
    claim_account,
    consumed_account,
    payable_account,
    wallet_account,
    wallet_shard,
)
from scheduler.store import accounts, bookings, paying
from scheduler.store.judgements import Judgement, Wanted

_OWN: Final = (None, None, None, "", 0, FOREVER_MS, False)


@dataclass(slots=True)
class Holding:
    """Running figures while a batch of holds is computed, and the rows that come of it.

    ``vouchers`` are the shards of vouchers, by their accounts. ``scarce`` says that a run got
    less, or nothing, because an account or a cap was short.
    """

    means: paying.Means
    now_ms: int
    vouchers: Mapping[str, str]
    code: str = "HOLD"
    key: str = "hold"
    scarce: bool = False
    holds: list[tuple[object, ...]] = field(default_factory=list)
    legs: list[tuple[object, ...]] = field(default_factory=list)
    entries: list[Entry | Cast] = field(default_factory=list)
    moves: accounts.Moves = field(default_factory=accounts.Moves)
    caps: dict[tuple[str, str, int], int] = field(default_factory=dict)
    #: Accounts of claims that may have to be opened: (id, kind, owner, city, limited, credit).
    claims: dict[str, tuple[str, str, str, str, bool, int]] = field(default_factory=dict)

    @property
    def noted(self) -> list[Entry]:
        """The entries that were noted one by one."""
        return [entry for entry in self.entries if isinstance(entry, Entry)]

    @property
    def casts(self) -> list[Cast]:
        """The entries that were noted by what they have in common with others."""
        return [entry for entry in self.entries if isinstance(entry, Cast)]

    def shard_of(self, account: str) -> str:
        """Shard of the entries on an account of a programme."""
        kind, _, rest = account.partition(":")
        if kind == "voucher":
            return self.vouchers[account]
        programme, period = rest.split(":")[:2]
        return bookings.fund_shard(programme, period)


def note(holding: Holding, one: Wanted, rev: int, found: Judgement, basis: str) -> None:
    """Note the legs of a revision of a hold: one for each draw, and the wallet's."""
    number = 0
    for part in found.parts:
        for draw in part.draws:
            _note_draw(holding, one, (rev, number), part, draw, basis)
            number += 1
    wallet = found.quote.wallet_fen
    if wallet:
        account, shard = wallet_account(one.enterprise), wallet_shard(one.city)
        payable = payable_account(one.center)
        leg = _Leg(rev, number, "WALLET", shard, account, payable, wallet, CNY)
        _note_leg(holding, one, leg, _OWN, basis)


class _Leg(NamedTuple):
    """A leg that is to be held."""

    rev: int
    number: int
    kind: str
    shard: str
    debit: str
    credit: str
    amount: int
    ledger: str


def _note_draw(
    holding: Holding, one: Wanted, place: tuple[int, int], part: Part, draw: Draw, basis: str
) -> None:
    """Note what one account of a programme gives; a claim is credited to the enterprise."""
    shard = holding.shard_of(draw.account)
    _, programme, period = shard.split(":")
    kind, ledger, credit = "FUND", CNY, payable_account(one.center)
    if part.unit_seconds:
        kind, ledger, credit = "GRANT", UNIT_S, consumed_account(programme, period)
    elif draw.account.startswith("voucher:"):
        kind = "VOUCHER"
    if part.claim:
        credit = claim_account(one.enterprise, programme, period)
        holding.claims[credit] = (credit, "CLAIM", one.enterprise, one.city, False, 0)
    rule = (
        part.programme, part.rule_version, draw.cap_year, draw.funder, draw.from_ms, draw.to_ms,
        draw.cap_reserved,
    )  # fmt: skip
    leg = _Leg(*place, kind, shard, draw.account, credit, draw.amount, ledger)
    _note_leg(holding, one, leg, rule, basis)
    if draw.cap_year is not None and not draw.cap_reserved and not part.unit_seconds:
        cap = (part.programme, one.enterprise, draw.cap_year)
        holding.caps[cap] = holding.caps.get(cap, 0) + draw.amount


def _note_leg(
    holding: Holding, one: Wanted, leg: _Leg, rule: tuple[object, ...], basis: str
) -> None:
    rev, number, kind, shard, debit, credit, amount, ledger = leg
    name = leg_id(one.uid, one.attempt, rev, number)
    holding.legs.append(
        (one.uid, one.attempt, rev, number, kind, debit, credit, amount, shard, *rule)
    )
    holding.entries.append(
        Entry(
            shard, Kind.PENDING, holding.code, debit, credit, amount, holding.now_ms,
            f"{holding.key}:{name}", one.uid, one.attempt, name, reason=basis, ledger=ledger,
        )
    )  # fmt: skip
    holding.moves.add(debit, credit, amount, 0)
