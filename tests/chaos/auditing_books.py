"""Invariant 7 of plain facts: the ledger sums to zero and is use at frozen prices, charged once."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

from tests.chaos.auditing import CENTERS
from tests.chaos.facts import Charge, Entry, Facts, Line, Run, Use

_UFEN: Final = 1_000_000
_FIGURES: Final = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")


class _OfRun(Protocol):
    @property
    def uid(self) -> int: ...

    @property
    def attempt(self) -> int: ...


R = TypeVar("R", bound=_OfRun)


def books_balance(facts: Facts) -> list[str]:
    """7: the ledger sums to zero and is use at frozen prices; each run is charged once."""
    return [*_balances(facts), *_charges(facts)]


def _balances(facts: Facts) -> list[str]:
    """Entries alone give all balances, each leg is held and resolved once, and all sums to 0."""
    figures: dict[str, Counter[str]] = defaultdict(Counter)
    held: dict[str, Entry] = {}
    wrong = []
    for entry in facts.entries:
        if entry.kind == "PENDING":
            if entry.leg in held:
                wrong.append(f"leg {entry.leg} is held twice")
            held[entry.leg] = entry
            figures[entry.debit]["debits_pending"] += entry.amount
            figures[entry.credit]["credits_pending"] += entry.amount
            continue
        if entry.kind in ("POST", "VOID"):
            first = held.get(entry.leg)
            if first is None or first.kind != "PENDING":
                wrong.append(f"leg {entry.leg} is resolved twice, or was never held")
                continue
            held[entry.leg] = entry
            figures[first.debit]["debits_pending"] -= first.amount
            figures[first.credit]["credits_pending"] -= first.amount
        if entry.kind != "VOID":
            figures[entry.debit]["debits_posted"] += entry.amount
            figures[entry.credit]["credits_posted"] += entry.amount
    sums: Counter[str] = Counter()
    for account in facts.accounts:
        own = figures[account.account]
        for name in _FIGURES:
            if own[name] != getattr(account, name):
                said = getattr(account, name)
                wrong.append(f"{account.account}: {name} are {said}, entries give {own[name]}")
        sums[account.ledger] += account.debits_posted - account.credits_posted
        sums[account.ledger] += account.debits_pending - account.credits_pending
    return wrong + [f"{ledger} sums to {off}" for ledger, off in sums.items() if off]


def _charges(facts: Facts) -> list[str]:
    lines, uses = _by_run(facts.lines), _by_run(facts.uses)
    charges = {(one.uid, one.attempt): one for one in facts.charges}
    names = {key: name for name, key in facts.names.items()}
    posted: Counter[tuple[int, int]] = Counter()
    for entry in facts.entries:
        if entry.kind in ("POST", "DIRECT") and entry.credit.startswith("payable:"):
            posted[entry.uid, entry.attempt] += entry.amount
    cost: Counter[int] = Counter()
    wrong = []
    for run in facts.runs:
        key = run.uid, run.attempt
        what = f"run {run.uid}.{run.attempt} ({run.state}, {run.failure})"
        gross = sum(line.gross_fen for line in lines[key])
        cost[run.uid] += gross
        charge = charges.get(key)
        if charge is None:
            wrong.append(f"{what} was started and holds nothing")
        elif run.settled:
            found = _settled(run, charge, lines[key], uses[key], gross, posted[key])
            found += _stayed(facts, run, names[key], lines[key])
            wrong += [f"{what} {one}" for one in found]
        elif gross or posted[key] or facts.over:
            wrong.append(f"{what} is not settled: it costs {gross}, {posted[key]} is posted")
    for job in facts.jobs:
        parts = job.subsidy_fen + job.self_pay_fen
        if not cost[job.uid] == job.gross_fen == parts:
            wrong.append(
                f"job {job.uid} costs {job.gross_fen}, its runs {cost[job.uid]}, its parts {parts}"
            )
    return wrong


def _settled(
    run: Run, charge: Charge, lines: list[Line], uses: list[Use], gross: int, posted: int
) -> list[str]:
    """A settled run: its use, once for each stretch, at its price."""
    wrong = []
    if charge.state == "HELD":
        wrong.append("is settled and still holds")
    billed = [line for line in lines if line.billed]
    unit_seconds = sum(line.seconds * line.units - line.free for line in billed)
    if gross != _round(unit_seconds * charge.price_ufen):
        wrong.append(f"costs {gross} for {unit_seconds} unit-seconds at {charge.price_ufen}")
    if not gross == posted == charge.posted_fen:
        wrong.append(f"costs {gross}, {posted} is posted, its hold says {charge.posted_fen}")
    stretches = Counter((use.segment, use.revision) for use in uses)
    wrong += [f"has stretch {one} {n} times" for one, n in stretches.items() if n > 1]
    used = sum((use.end_ms - use.start_ms) // 1000 for use in uses)
    if used != sum(line.seconds for line in lines):
        wrong.append(f"was used {used} s, and rated {sum(line.seconds for line in lines)} s")
    if any(line.seconds and line.units != run.units for line in lines):
        wrong.append(f"of {run.units} units is rated otherwise")
    if run.failure in CENTERS and gross:
        wrong.append(f"is its center's fault and costs {gross}")
    return wrong


def _stayed(facts: Facts, run: Run, name: str, lines: list[Line]) -> list[str]:
    """At the simulated center: rated is what its own journal says, and nothing else."""
    if run.center != facts.simulated:
        return []
    stay = facts.stays.get(name)
    if stay is None or stay.start_ms is None:
        really = 0
    elif stay.end_ms is None:
        return ["is settled and has not ended at its center"]
    else:
        really = (stay.end_ms - stay.start_ms) // 1000
    rated = sum(line.seconds for line in lines)
    return [f"was there {really} s and is rated {rated} s"] if rated != really else []


def _by_run(rows: Iterable[R]) -> dict[tuple[int, int], list[R]]:
    found: dict[tuple[int, int], list[R]] = defaultdict(list)
    for row in rows:
        found[row.uid, row.attempt].append(row)
    return found


def _round(ufen: int) -> int:
    """Half up."""
    return (2 * ufen + _UFEN) // (2 * _UFEN)
