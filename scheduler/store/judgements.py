"""What one run wants, what it takes, and what is found when it is judged; see ``paying``."""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from quota.charges import Left, Part, Quote, Refusal
from quota.eligibility import Admitted
from quota.slices import Cuts
from quota.transfers import wallet_account
from scheduler.domain.reasons import PendingReason
from scheduler.store.pricing import Price


class Wanted(NamedTuple):
    """A run for which money is wanted, for its whole wall limit.

    ``root`` is the array of an element, else the job itself: one contract may be used by one job,
    and an array is one.
    """

    uid: int
    attempt: int
    center: str
    flavor: str
    enterprise: str
    city: str
    units: int
    wall_limit_s: int
    subsidy: str
    self_pay_max_fen: int | None
    contract: str = ""
    project: str = ""
    root: int = 0


class Needs(NamedTuple):
    """What a charge takes: of accounts, and of an enterprise's yearly caps (by programme, year).

    ``spare`` is what accounts must have for it to be charged like this: the exact share of a
    funder may be a part of a fen above what it draws.
    """

    takes: tuple[tuple[str, int], ...]
    spare: tuple[tuple[str, int], ...]
    caps: tuple[tuple[tuple[str, int], int], ...]


NO_NEEDS: Final = Needs((), (), ())


@dataclass(frozen=True, slots=True)
class Judgement:
    """The price (None: there is none), who would pay what, and why it cannot be paid if so.

    ``admitted`` are the rules with their rates, ``refused`` those whose conditions are not met.
    ``memo`` is for what is derived from it: it may be that of many runs.
    """

    price: Price | None
    quote: Quote
    reason: PendingReason | None
    needs: Needs
    admitted: tuple[Admitted, ...] = ()
    refused: tuple[Refusal, ...] = ()
    cuts: Cuts | None = None
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def gross_fen(self) -> int:
        """What the center gets."""
        return self.quote.gross_fen

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the programmes give."""
        return self.quote.parts

    @property
    def subsidy_fen(self) -> int:
        """What the programmes give in sum."""
        return self.quote.subsidy_fen

    @property
    def self_pay_fen(self) -> int:
        """What the enterprise pays in the end."""
        return self.quote.self_pay_fen

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why each programme gives nothing that does not."""
        return (*self.refused, *self.quote.refusals)


def needs_of(enterprise: str, charge: Quote) -> Needs:
    """Return what a charge takes of accounts and caps."""
    takes: dict[str, int] = {}
    spare: dict[str, int] = {}
    caps: dict[tuple[str, int], int] = {}
    for part in charge.parts:
        for draw in part.draws:
            takes[draw.account] = takes.get(draw.account, 0) + draw.amount
            spare[draw.account] = spare.get(draw.account, 0) + draw.amount + 1
            if draw.cap_year is not None and not draw.cap_reserved:
                cap = part.programme, draw.cap_year
                caps[cap] = caps.get(cap, 0) + draw.amount
    if charge.wallet_fen:
        takes[wallet_account(enterprise)] = charge.wallet_fen
    return Needs(tuple(takes.items()), tuple(spare.items()), tuple(caps.items()))


def still(needs: Needs, left: Left) -> bool:
    """Whether there is still all that a charge draws; a cap of which nothing is known is unused."""
    accounts, caps = left.accounts, left.caps
    for account, amount in needs.spare:
        if accounts.get(account, 0) < amount:
            return False
    return all(caps.get(cap, amount) >= amount for cap, amount in needs.caps)
