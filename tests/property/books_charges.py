"""Who pays a run, said as plainly as can be: for the model of the books, one slice of time a run.

A programme gives the largest amount that nothing forbids, found by trying. Rates, caps and shares
are read from the rule; nothing here is of the code that it checks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from quota.rules import Rule
from tests.property.subsidy_oracle import plain_split

BP = 10_000


@dataclass
class Leg:
    """What is held of one payer (``programme`` "" for the wallet) in favor of ``credit``."""

    programme: str
    account: str
    credit: str
    amount: int
    year: int | None = None
    reserved: bool = False
    posted: int = 0

    @property
    def claim(self) -> bool:
        return self.credit.startswith("claim:")

    @property
    def grant(self) -> bool:
        return self.account.startswith("grant:")


@dataclass
class Line:
    """What one account gives: fen, or free unit-seconds of a grant."""

    programme: str
    account: str
    amount: int


@dataclass
class Purse:
    """What there is: sources by programme in their order, rooms by account, caps by programme."""

    sources: dict[str, list[tuple[str, str]]]
    room: dict[str, int]
    caps: dict[str, int] = field(default_factory=dict)


@dataclass
class Charge:
    """Gross in fen, lines in their order, and what the enterprise pays at first."""

    gross: int
    lines: list[Line]
    claimed: int

    @property
    def subsidy(self) -> int:
        """What programmes give in fen."""
        return sum(one.amount for one in self.lines if not one.account.startswith("grant:"))

    @property
    def first_paid(self) -> int:
        """Gross but for what is taken off the bill."""
        return self.gross - self.subsidy + self.claimed


def gross_of(unit_s: int, price_ufen: int) -> int:
    """Half-up."""
    return int(Fraction(unit_s * price_ufen, 1_000_000) + Fraction(1, 2))


def charge(
    rules: Sequence[Rule], unit_s: int, price_ufen: int, purse: Purse, *, settling: bool
) -> Charge:
    """What a run costs, and what each rule gives of it out of a purse."""
    lines: list[Line] = []
    for rule in rules:
        if rule.unit == "UNIT_S":
            lines += _in_turn(rule, int(Fraction(unit_s * rule.rate_bp, BP)), purse)
    gross = gross_of(unit_s - sum(one.amount for one in lines), price_ufen)
    given = claimed = 0
    for rule in rules:
        if rule.unit == "UNIT_S":
            continue
        want = _wanted(rule, gross, given)
        if rule.issue == "VOUCHER":
            mine = _in_turn(rule, want, purse)
        else:
            if rule.year_cap_fen is not None:
                want = min(want, max(0, purse.caps.get(rule.programme, 0)))
            mine = _shared(rule, want, purse, settling=settling)
        got = sum(one.amount for one in mine)
        if not settling and got < rule.minimum_fen:
            continue
        given += got
        claimed += got if rule.mode == "REIMBURSE" else 0
        lines += mine
    return Charge(gross, lines, claimed)


def _wanted(rule: Rule, gross: int, given: int) -> int:
    limits = [Fraction((gross if rule.base == "GROSS" else gross - given) * rule.rate_bp, BP)]
    limits.append(Fraction(gross * rule.ceiling_bp, BP) - given)
    if rule.job_cap_fen is not None:
        limits.append(Fraction(rule.job_cap_fen))
    return max(0, min(int(one) for one in limits))


def _in_turn(rule: Rule, want: int, purse: Purse) -> list[Line]:
    found = []
    for _, account in purse.sources.get(rule.programme, []):
        amount = min(want, max(0, purse.room.get(account, 0)))
        want -= amount
        if amount:
            found.append(Line(rule.programme, account, amount))
    return found


def _shared(rule: Rule, want: int, purse: Purse, *, settling: bool) -> list[Line]:
    """The most that all funders can pay their shares of; a hold wants the exact shares there."""
    accounts = dict(purse.sources.get(rule.programme, []))
    shares = rule.shares
    if not accounts or (not settling and len(accounts) < len(shares)):
        return []
    rooms = [max(0, purse.room.get(accounts.get(name, ""), 0)) for name, _ in shares]
    fits: Callable[[int], bool] = lambda amount: all(  # noqa: E731
        part <= room for part, room in zip(plain_split(amount, shares), rooms, strict=True)
    )
    if not settling:
        fits = lambda amount: all(  # noqa: E731
            Fraction(amount * share, BP) <= room
            for (_, share), room in zip(shares, rooms, strict=True)
        )
    amount = next(one for one in range(want, -1, -1) if fits(one))
    parts = zip(shares, plain_split(amount, shares), strict=True)
    return [Line(rule.programme, accounts[name], part) for (name, _), part in parts if part]


@dataclass
class Bill:
    """What each leg posts, and what is paid beside them: (account, amount) by programme, the
    wallet's more, and the debt."""

    charge: Charge
    posted: list[int]
    beyond: list[Line]
    more: int
    debt: int


def settle(
    legs: Sequence[Leg], rules: Sequence[Rule], unit_s: int, price_ufen: int, purse: Purse,
    wallet: int,
) -> Bill:  # fmt: skip
    """Bill a run: its legs first, then what the purse and the wallet have beside them."""
    offered = Purse({}, dict(purse.room), dict(purse.caps))
    for leg in legs:
        if leg.programme:
            sources = offered.sources.setdefault(leg.programme, [])
            if all(account != leg.account for _, account in sources):
                rule = next(one for one in rules if one.programme == leg.programme)
                sources.append((_funder(rule, leg.account), leg.account))
            offered.room[leg.account] = offered.room.get(leg.account, 0) + leg.amount
            offered.caps[leg.programme] = offered.caps.get(leg.programme, 0) + leg.amount
    found = charge(rules, unit_s, price_ufen, offered, settling=True)
    posted, beyond = [0] * len(legs), list[Line]()

    def post(programme: str, account: str, amount: int) -> int:
        for at, leg in enumerate(legs):
            if (leg.programme, leg.account) == (programme, account) or not (
                programme or leg.programme
            ):
                part = min(amount, leg.amount - posted[at])
                posted[at] += part
                amount -= part
        return amount

    for line in found.lines:
        rest = post(line.programme, line.account, line.amount)
        if rest:
            beyond.append(Line(line.programme, line.account, rest))
    rest = post("", "", found.first_paid)
    if 0 < rest <= len(rules):
        rest -= _round_up(legs, rules, posted, found, rest)
    more = min(rest, wallet)
    return Bill(found, posted, beyond, more, rest - more)


def _round_up(
    legs: Sequence[Leg], rules: Sequence[Rule], posted: list[int], found: Charge, rest: int
) -> int:
    """A fen that rounding left stays with a programme that still holds it; returns how many."""
    moved = 0
    for rule in rules:
        if rule.unit != "FEN" or rule.mode != "DEDUCT" or moved == rest:
            continue
        for at, leg in enumerate(legs):
            if leg.programme == rule.programme and posted[at] < leg.amount:
                posted[at] += 1
                moved += 1
                line = next((one for one in found.lines if one.account == leg.account), None)
                if line is None:
                    ends = [n for n, o in enumerate(found.lines) if o.programme == leg.programme]
                    found.lines.insert(
                        ends[-1] + 1 if ends else _place(found, rules, leg.programme),
                        Line(leg.programme, leg.account, 1),
                    )
                else:
                    line.amount += 1
                break
    return moved


def _place(found: Charge, rules: Sequence[Rule], programme: str) -> int:
    order = [rule.programme for rule in rules]
    return sum(order.index(one.programme) < order.index(programme) for one in found.lines)


def _funder(rule: Rule, account: str) -> str:
    if not account.startswith("fund:"):
        return ""
    parts = account.split(":")
    return parts[3] if len(parts) > 3 else rule.city


def lowered(
    lines: Sequence[tuple[int, bool]], wallet: int, debt: int, gross: int
) -> tuple[list[int], int, int]:
    """What each subsidy (fen, whether it is claimed), the wallet and the debt come to at ``gross``.

    Subsidies in proportion, rounded down; debt goes first; nobody pays more than before.
    """
    claimed = sum(fen for fen, claim in lines if claim)
    before = sum(fen for fen, _ in lines) - claimed + wallet + debt
    if gross == before:
        return [fen for fen, _ in lines], wallet, debt
    now = [int(Fraction(fen * gross, before)) for fen, _ in lines]
    while gross - sum(now) > wallet + debt - claimed:
        now[next(at for at, (fen, _) in enumerate(lines) if now[at] < fen)] += 1
    claims = sum(fen for fen, (_, claim) in zip(now, lines, strict=True) if claim)
    rest = gross - sum(now) + claims
    return now, min(wallet, rest), rest - min(wallet, rest)
