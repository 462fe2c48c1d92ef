"""The checks of a finished demonstration, each from rows and by arithmetic of its own.

They share nothing with the code they check: what the centers wrote down, the prices of the data
files and the ids that were acknowledged are held against the store's rows. A check that finds
something wrong names the first cases of it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Final, NamedTuple

from quota.transfers import Link
from scheduler.demo.journals import Stay
from scheduler.store.evidence import AccountRow, RunRow

_PROBLEMS_MAX: Final = 20
_ENDED_RUN: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST"})
ENDED_JOB: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "REJECTED"})
#: Whose fault is the center's or the platform's: what it cost is nobody's bill.
_NOT_BILLED: Final = frozenset({"NODE", "CENTER", "PREEMPTED", "LOST", "REJECTED_BY_CENTER"})


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it counted, and what is wrong; nothing wrong, it held."""

    name: str
    counts: Mapping[str, int]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it held."""
        return not self.problems


class _Problems:
    """Keeps the first few problems and counts the rest."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._more = 0

    def __call__(self, text: str) -> None:
        if len(self._kept) < _PROBLEMS_MAX:
            self._kept.append(text)
        else:
            self._more += 1

    def all(self) -> tuple[str, ...]:
        """What was found."""
        more = (f"and {self._more:,} more",) if self._more else ()
        return (*self._kept, *more)


# --- no run doubled -------------------------------------------------------------------------------


def no_run_doubled(stays: Sequence[Stay], runs: Sequence[RunRow]) -> Check:
    """Each run was taken once, by the center it was meant for; a job has one active run at most.

    Both by the centers' journals (accepted to ended) and by the store (admitted to ended).
    """
    wrong = _Problems()
    taken = Counter((stay.center, stay.name) for stay in stays)
    for (center, name), times in taken.items():
        if times > 1:
            wrong(f"{center} accepted {name} {times} times")
    meant = {(run.uid, run.attempt): run for run in runs}
    if len(meant) != len(runs):
        wrong(f"{len(runs) - len(meant)} runs are in the store twice")
    where: dict[tuple[int, int], str] = {}
    for stay in stays:
        key = (stay.uid, stay.attempt)
        if key not in meant:
            wrong(f"{stay.center} accepted {stay.name}, a run that the store does not know")
        elif meant[key].center != stay.center:
            wrong(f"{stay.center} accepted {stay.name}, which was meant for {meant[key].center}")
        if where.setdefault(key, stay.center) != stay.center:
            wrong(f"{stay.name} was accepted by {where[key]} and by {stay.center}")
        if stay.end_ms is None:
            wrong(f"{stay.center} still has {stay.name}")
    for run in runs:
        if run.start_ms is not None and (run.uid, run.attempt) not in where:
            wrong(f"run {run.uid}.{run.attempt} began, but no center ever accepted it")
        if run.state not in _ENDED_RUN:
            wrong(f"run {run.uid}.{run.attempt} is still {run.state}")
    _one_at_a_time(wrong, "journals", ((s.uid, s.accept_ms, s.end_ms) for s in stays))
    _one_at_a_time(wrong, "store", ((r.uid, r.admit_ms, r.end_ms) for r in runs))
    return Check("doubled", {"runs": len(runs), "accepted": len(stays)}, wrong.all())


def _one_at_a_time(
    wrong: _Problems, source: str, spans: Iterable[tuple[int, int, int | None]]
) -> None:
    """Spans of one job (from, to) must not overlap; to is None for one that goes on."""
    by_job: dict[int, list[tuple[int, int | None]]] = {}
    for uid, from_ms, to_ms in spans:
        by_job.setdefault(uid, []).append((from_ms, to_ms))
    for uid, of_job in by_job.items():
        of_job.sort(key=lambda span: span[0])
        for (_, end_ms), (next_ms, _) in pairwise(of_job):
            if end_ms is None or next_ms < end_ms:
                wrong(f"job {uid} had two active runs at {next_ms} ms, by the {source}")


# --- the ledger -----------------------------------------------------------------------------------


class Charged(NamedTuple):
    """What the API says that a job cost, in fen."""

    uid: int
    gross_fen: int
    subsidy_fen: int
    self_pay_fen: int


def ledger_holds(
    transfers: Sequence[Link],
    accounts: Sequence[AccountRow],
    open_holds: int,
    stays: Sequence[Stay],
    prices_ufen: Mapping[str, int],
    charged: Sequence[Charged],
) -> Check:
    """The chains verify, debits are credits are balances, nothing is held, each run is charged once
    for its use at the price, and each job costs what its runs do.

    ``prices_ufen`` is in millionths of a fen per unit and second, by flavor.
    """
    wrong = _Problems()
    _chains(wrong, transfers)
    posted = _balances(wrong, transfers, accounts)
    if open_holds:
        wrong(f"{open_holds} holds are open, though every job has ended")
    due: dict[tuple[int, int], int] = {}
    for stay in stays:
        fen = _due_fen(stay, prices_ufen[stay.flavor])
        due[stay.uid, stay.attempt] = due.get((stay.uid, stay.attempt), 0) + fen
    for key in sorted(posted.keys() | due.keys()):
        if posted.get(key, 0) != due.get(key, 0):
            wrong(
                f"run {key[0]}.{key[1]}: the ledger posted {posted.get(key, 0)} fen, its use at"
                f" the price is {due.get(key, 0)}"
            )
    of_job: Counter[int] = Counter()
    for (uid, _), fen in due.items():
        of_job[uid] += fen
    for job in charged:
        if of_job[job.uid] != job.gross_fen or job.subsidy_fen + job.self_pay_fen != job.gross_fen:
            wrong(f"job {job.uid}: costs {tuple(job[1:])} fen, its runs {of_job[job.uid]}")
    counts = {
        "transfers": len(transfers),
        "shards": len({link.entry.shard for link in transfers}),
        "charged": sum(fen > 0 for fen in due.values()),
        "gross_fen": sum(due.values()),
    }
    return Check("ledger", counts, wrong.all())


def _due_fen(stay: Stay, price_ufen: int) -> int:
    """Units times whole seconds times price, rounded half up.

    Nothing for the center's fault, nor for what the platform ended.
    """
    if stay.cancelled and stay.told:
        return 0
    if stay.outcome in _NOT_BILLED and not stay.cancelled:
        return 0
    ufen = stay.units * stay.used_s * price_ufen
    return (ufen + 500_000) // 1_000_000


def _chains(wrong: _Problems, transfers: Sequence[Link]) -> None:
    """Each entry's hash is over the one before and its own content, without a gap."""
    heads: dict[str, tuple[int, bytes]] = {}
    for link in transfers:
        shard = link.entry.shard
        seq, head = heads.get(shard, (0, bytes(32)))
        content = json.dumps([link.seq, *link.entry], ensure_ascii=False, separators=(",", ":"))
        digest = sha256(head + content.encode()).digest()
        if link.seq != seq + 1 or link.prev_hash != head or link.hash != digest:
            wrong(f"entry {link.seq} of {shard} does not follow from the one before it")
        heads[shard] = (link.seq, link.hash)


def _balances(
    wrong: _Problems, transfers: Sequence[Link], accounts: Sequence[AccountRow]
) -> dict[tuple[int, int], int]:
    """Replay all entries; returns what was posted by (job, attempt), in fen."""
    sums: dict[str, list[int]] = {row.account: [0, 0, 0, 0] for row in accounts}
    held: dict[str, int] = {}
    posted: dict[tuple[int, int], int] = {}
    for link in transfers:
        entry = link.entry
        debit, credit = sums.get(entry.debit_account), sums.get(entry.credit_account)
        if debit is None or credit is None:
            wrong(f"entry {link.seq} of {entry.shard} names an account that is not there")
            continue
        if entry.kind == "PENDING":
            held[entry.leg_id] = entry.amount_fen
            debit[0] += entry.amount_fen
            credit[2] += entry.amount_fen
            continue
        if entry.kind != "DIRECT":
            was = held.pop(entry.leg_id, None)
            if was is None or entry.amount_fen > was:
                wrong(f"entry {link.seq} of {entry.shard} resolves what is not held")
            debit[0] -= was or 0
            credit[2] -= was or 0
        if entry.kind != "VOID":
            debit[1] += entry.amount_fen
            credit[3] += entry.amount_fen
            if entry.job_uid:
                key = (entry.job_uid, entry.attempt)
                posted[key] = posted.get(key, 0) + entry.amount_fen
    for row in accounts:
        if tuple(sums[row.account]) != row[1:]:
            wrong(f"{row.account} holds {row[1:]}, its entries come to {tuple(sums[row.account])}")
        if row.debits_pending or row.credits_pending:
            wrong(f"{row.account} still holds {row.debits_pending + row.credits_pending} fen")
    if sum(row.debits_posted for row in accounts) != sum(row.credits_posted for row in accounts):
        wrong("debits and credits differ")
    return posted


# --- quotas ---------------------------------------------------------------------------------------


class Limits(NamedTuple):
    """Quota of a city for a flavor; ``borrow`` None is no limit, ``lend`` None lends all."""

    nominal: int
    borrow: int | None = None
    lend: int | None = None


class Holding(NamedTuple):
    """Units of a flavor that a run held for its city from admission to its end."""

    city: str
    flavor: str
    units: int
    from_ms: int
    to_ms: int


def holdings(runs: Iterable[RunRow], stays: Iterable[Stay]) -> list[Holding]:
    """From the store's admission to the center's end, or the store's for a run never taken."""
    ended = {(stay.uid, stay.attempt): stay.end_ms for stay in stays}
    found = []
    for run in runs:
        end_ms = ended.get((run.uid, run.attempt)) or run.end_ms
        if end_ms is not None:
            held = Holding(run.city, run.flavor, run.units, run.admit_ms, max(end_ms, run.admit_ms))
            found.append(held)
    return found


def peaks(held: Iterable[Holding]) -> dict[tuple[str, str], int]:
    """The most units of (city, flavor) that were held at one instant."""
    now: Counter[tuple[str, str]] = Counter()
    most: dict[tuple[str, str], int] = {}
    for _, units, city, flavor in _steps(held):
        now[city, flavor] += units
        most[city, flavor] = max(most.get((city, flavor), 0), now[city, flavor])
    return most


def quota_kept(
    held: Sequence[Holding],
    limits: Mapping[tuple[str, str], Limits],
    capacities: Mapping[str, int],
) -> Check:
    """At every instant: no city above nominal plus borrow limit, no flavor above its capacity, and
    what is held or guaranteed to others never above what there is.
    """
    wrong = _Problems()
    now: Counter[tuple[str, str]] = Counter()
    cities = sorted({city for city, _ in limits})
    instants = 0
    for at_ms, units, city, flavor in _steps(held):
        now[city, flavor] += units
        if units < 0:
            continue
        instants += 1
        own = limits.get((city, flavor))
        used = now[city, flavor]
        if own is None:
            wrong(f"{city} held {used} of {flavor} at {at_ms} ms and has no quota of it")
        elif own.borrow is not None and used > own.nominal + own.borrow:
            most = own.nominal + own.borrow
            wrong(f"{city} held {used} of {flavor} at {at_ms} ms, {most} is the most")
        total = sum(now[one, flavor] for one in cities)
        if total > capacities[flavor]:
            wrong(f"{total} of {flavor} were held at {at_ms} ms, there are {capacities[flavor]}")
        promised = sum(
            max(now[one, flavor], _guarantee(limits.get((one, flavor)))) for one in cities
        )
        if promised > capacities[flavor]:
            wrong(f"{flavor} at {at_ms} ms: {promised} held or guaranteed of {capacities[flavor]}")
    return Check("quota", {"runs": len(held), "instants": instants}, wrong.all())


def _guarantee(limits: Limits | None) -> int:
    if limits is None or limits.lend is None:
        return 0
    return max(0, limits.nominal - limits.lend)


def _steps(held: Iterable[Holding]) -> list[tuple[int, int, str, str]]:
    """Changes by time as (ms, units, city, flavor); at one instant what ends comes first."""
    steps = []
    for one in held:
        if one.to_ms > one.from_ms:
            steps.append((one.from_ms, one.units, one.city, one.flavor))
            steps.append((one.to_ms, -one.units, one.city, one.flavor))
    steps.sort()
    return steps


# --- acknowledged jobs ----------------------------------------------------------------------------


class Seen(NamedTuple):
    """A job as the API lists it in the end; ``number`` is its label, its number in the trace."""

    job_id: str
    enterprise: str
    number: str
    state: str
    settled: bool


def none_lost(acknowledged: Mapping[str, tuple[str, int]], seen: Sequence[Seen]) -> Check:
    """Every acknowledged job is there, is the one that was sent, and has ended; nothing else is.

    ``acknowledged`` maps a job id to the enterprise and the job's number in the trace.
    """
    wrong = _Problems()
    times = Counter(job.job_id for job in seen)
    numbers = Counter(number for _, number in acknowledged.values())
    for number, count in numbers.items():
        if count > 1:
            wrong(f"job {number} of the trace was acknowledged under {count} ids")
    for job_id in acknowledged:
        if job_id not in times:
            wrong(f"{job_id} was acknowledged and is not there")
    for job in seen:
        sent = acknowledged.get(job.job_id)
        if sent is None:
            wrong(f"{job.job_id} is there and was never acknowledged")
        elif sent != (job.enterprise, int(job.number or -1)):
            wrong(f"{job.job_id} is not the job that was sent under this id")
        if job.state not in ENDED_JOB or not job.settled:
            wrong(f"{job.job_id} is {job.state}{'' if job.settled else ', not settled'}")
        if times[job.job_id] > 1:
            wrong(f"{job.job_id} is listed {times[job.job_id]} times")
    return Check("lost", {"acknowledged": len(acknowledged), "ended": len(seen)}, wrong.all())


# --- ends -----------------------------------------------------------------------------------------


def ended_as_meant(meant: Mapping[str, str], seen: Sequence[Seen]) -> Check:
    """Every job ended as its program does; ``meant`` has the state by the job's number."""
    wrong = _Problems()
    states: Counter[str] = Counter()
    for job in seen:
        states[job.state] += 1
        if meant.get(job.number) != job.state:
            wrong(f"{job.job_id} is {job.state}, its program ends as {meant.get(job.number)}")
    counts = {
        "jobs": len(seen),
        "succeeded": states["SUCCEEDED"],
        "failed": states["FAILED"],
        "cancelled": states["CANCELLED"],
    }
    return Check("meant", counts, wrong.all())


# --- the service's own log ------------------------------------------------------------------------


def nothing_went_wrong(log_lines: Iterable[str]) -> Check:
    """The service logged no error; ``log_lines`` are its JSON lines among what else was said."""
    wrong = _Problems()
    lines = 0
    errors: Counter[str] = Counter()
    for line in log_lines:
        lines += 1
        if not line.startswith("{"):
            continue
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if said.get("level") in ("error", "critical"):
            last = str(said.get("exception") or said.get("error") or "").strip().splitlines()[-1:]
            errors[" ".join([str(said.get("event")), *last])] += 1
    for text, times in errors.most_common():
        wrong(f"{times:,} times: {text}")
    return Check("log", {"lines": lines}, wrong.all())
