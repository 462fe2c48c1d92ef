"""What ends and begins with a budget's period: settlements, openings, what is left or owed over.

At the opening of a period a node gets what the one before left, if its terms say so, and repays
what it owes. Runs of a closed period may still be open: what they free or use is carried over when
they settle, so that it does not matter which comes first.
"""

from collections.abc import Iterator, Sequence

from quota.budgets import (
    CORRIDOR,
    Book,
    Entry,
    Key,
    Kind,
    Mode,
    Part,
    Terms,
    Use,
    Wanted,
    city_node,
    part_of,
)
from quota.calendar import period_bounds, period_of


def spread(parts: Sequence[Part], uses: Sequence[Use]) -> tuple[list[int], int]:
    """Return (what was used of each part, what was used beyond the hold), in unit-seconds.

    Use counts where its time lies; what a part cannot take (the run began later than it was held
    for) is taken by the others, the last first: the hold as a whole was for this run.
    """
    ends = [period_bounds(part.period)[1] for part in parts[:-1]]
    used = [0] * len(parts)
    for start_ms, end_ms, units in uses:
        total_s, before_s = (end_ms - start_ms) // 1000, 0
        for at, boundary_ms in enumerate(ends):
            until_s = min(total_s, max(0, boundary_ms - start_ms) // 1000)
            used[at] += (until_s - before_s) * units
            before_s = until_s
        used[-1] += (total_s - before_s) * units
    over = 0
    for at, part in enumerate(parts):
        over += max(0, used[at] - part.unit_seconds)
        used[at] = min(used[at], part.unit_seconds)
    for at in reversed(range(len(parts))):
        more = min(over, parts[at].unit_seconds - used[at])
        used[at] += more
        over -= more
    return used, over


def settle(
    book: Book, wanted: Wanted, parts: Sequence[Part], uses: Sequence[Use], run: tuple[int, int]
) -> tuple[list[int], int]:
    """Count a run's use and free the rest of its hold; returns (used of each part, overrun).

    ``uses`` is empty for a run that is not to be counted. The caller sees to it that each hold is
    settled once.
    """
    used, over = spread(parts, uses)
    enterprise, city = wanted.nodes
    for number, part in enumerate(parts):
        book.note(
            Entry(
                Kind.SETTLE, enterprise, wanted.flavor, part.period, held=-part.unit_seconds,
                settled=used[number], parent=city, uid=run[0], attempt=run[1], part=number,
            )
        )  # fmt: skip
    if over:
        book.note(
            Entry(
                Kind.OVERRUN, CORRIDOR, wanted.flavor, parts[-1].period, settled=over,
                uid=run[0], attempt=run[1],
            )
        )  # fmt: skip
    for part in parts:
        for node in (enterprise, city):
            key = (node, wanted.flavor, part.period)
            terms = book.terms.get(book.budgets[key].city)
            if terms is not None:
                carry_over(book, key, terms)
    return used, over


def successor(book: Book, key: Key, terms: Terms) -> Key | None:
    """Return the budget that begins where this one ends, if it has begun."""
    end_ms = period_bounds(key[2])[1]
    following = (key[0], key[1], period_of(end_ms, terms.months))
    budget = book.budgets.get(following)
    begins = period_bounds(following[2])[0] == end_ms
    return following if budget is not None and budget.opened and begins else None


def carry_over(book: Book, key: Key, terms: Terms) -> None:
    """Carry what a closed budget has over into the next: use beyond it as a debt, or what is free.

    Does nothing while the next has not begun. Only what was certainly used is owed, and only what
    is certainly free is carried; open holds are neither.
    """
    following = successor(book, key, terms)
    budget = book.budgets.get(key)
    if following is None or budget is None or budget.allotted is None:
        return
    node, flavor, period = key
    beyond = budget.settled - (budget.limit or 0)
    if beyond > 0 and terms.mode is not Mode.OBSERVE:
        book.note(
            Entry(Kind.OVERBURN, node, flavor, period, received=beyond, debt=beyond, other=CORRIDOR)
        )
        book.note(Entry(Kind.OVERBURN, CORRIDOR, flavor, period, given=beyond, other=node))
    left = budget.free or 0
    if terms.roll_over and left > 0 and book.budgets[following].allotted is not None:
        book.note(Entry(Kind.ROLL_OVER, node, flavor, period, given=left))
        book.note(Entry(Kind.ROLL_OVER, *following, received=left))
        carry_over(book, following, terms)


def due(book: Book, now_ms: int) -> Iterator[tuple[int, list[Key]]]:
    """Yield (instant, budgets that begin at it) of all that have begun and are not open."""
    waiting: dict[int, list[Key]] = {}
    for key, budget in book.budgets.items():
        start_ms = period_bounds(key[2])[0]
        if not budget.opened and start_ms <= now_ms and budget.city in book.terms:
            waiting.setdefault(start_ms, []).append(key)
    for start_ms in sorted(waiting):
        yield start_ms, sorted(waiting[start_ms])


def open_due(book: Book, now_ms: int) -> list[Key]:
    """Open all budgets whose period has begun, in order of time; returns them.

    Opens each once: what is open is not due.
    """
    opened: list[Key] = []
    for start_ms, keys in list(due(book, now_ms)):
        for key in keys:
            book.note(Entry(Kind.OPEN, *key))
        for key in keys:
            _inherit(book, key, start_ms)
        for key in keys:
            repay(book, key, start_ms)
        opened += keys
    return opened


def _inherit(book: Book, key: Key, start_ms: int) -> None:
    terms = book.terms[book.budgets[key].city]
    for months in (1, 3):  # the terms may have changed in between
        before = (key[0], key[1], period_of(start_ms - 1, months))
        if before in book.budgets:
            carry_over(book, before, terms)


def repay(book: Book, key: Key, at_ms: int) -> None:
    """Repay debts out of a budget that opens: at most a part of its allotment, and what is free.

    Lenders without a budget at this instant cannot be repaid; what is owed to them stays.
    """
    budget = book.budgets[key]
    node, flavor, period = key
    into: dict[str, str] = {}
    owed: dict[str, int] = {}
    for lender, amount in book.owed(node, flavor).items():
        found = _receiving(book, lender, flavor, at_ms)
        if found is not None:
            into[lender], owed[lender] = found, amount
    total = sum(owed.values())
    if budget.allotted is not None:
        terms = book.terms[budget.city]
        most = part_of(budget.allotted, terms.repay_bps)
        total = min(total, most, max(0, budget.free or 0))
    for lender, amount in shares(total, owed).items():
        book.note(Entry(Kind.REPAY, node, flavor, period, given=amount, debt=-amount, other=lender))
        book.note(Entry(Kind.REPAY, lender, flavor, into[lender], received=amount, other=node))


def _receiving(book: Book, lender: str, flavor: str, at_ms: int) -> str | None:
    """Return the period into which a lender is repaid at an instant, None if there is none."""
    if lender == CORRIDOR:
        return period_of(at_ms, 1)
    for city, terms in book.terms.items():
        if city_node(city) == lender:
            period = period_of(at_ms, terms.months)
            return period if (lender, flavor, period) in book.budgets else None
    return None


def shares(amount: int, owed: dict[str, int]) -> dict[str, int]:
    """Divide a repayment between lenders in proportion to what they are owed, none above that.

    Each share is rounded down; the rest goes to the last by name, and what would be above what it
    is owed to the one before. Those that get nothing are left out.
    """
    total = sum(owed.values())
    found = {lender: amount * owed[lender] // total for lender in sorted(owed)} if total else {}
    rest = amount - sum(found.values())
    for lender in sorted(found, reverse=True):
        more = min(rest, owed[lender] - found[lender])
        found[lender] += more
        rest -= more
    return {lender: share for lender, share in found.items() if share}
