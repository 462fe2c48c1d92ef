"""The invariants of the design, each judged of plain facts, with none of the code they are about.

A function for each says all that is wrong; 7 is in ``auditing_books``. What concerns Slurm is
judged once more, to the second, by ``soak_books``, of Slurm's own logs.
"""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Final

from tests.chaos.facts import Facts

_FINAL_JOBS: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "REJECTED"})
_FINAL_RUNS: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST"})
_HOLDING: Final = frozenset({"PENDING", "SUBMITTING", "ACCEPTED", "RUNNING", "UNKNOWN"})
#: What a center says that no program and no user brought about: such runs cost nothing.
CENTERS: Final = frozenset({"NODE", "CENTER", "LOST", "PREEMPTED", "REJECTED_BY_CENTER"})


def acknowledged_are_there(facts: Facts) -> list[str]:
    """1: an acknowledged submission is never lost, and in the end each job came to its own end."""
    jobs = {job.uid: job for job in facts.jobs}
    wrong = [
        f"{request}: job {uid} was acknowledged and is lost"
        for request, uids in facts.acknowledged.items()
        for uid in uids
        if uid not in jobs
    ]
    if facts.over:
        for job in facts.jobs:
            if job.state == "SUCCEEDED" or (job.state == "CANCELLED" and job.uid in facts.cut):
                continue
            wrong.append(f"job {job.uid} ({job.name}) ended {job.state}")
    return wrong


def one_request_makes_one_set(facts: Facts) -> list[str]:
    """2: one request key, one set of jobs; nothing that nobody sent, no job twice."""
    wrong = [
        f"{name} is there {count} times"
        for name, count in Counter(job.name for job in facts.jobs).items()
        if count > 1
    ]
    made: dict[str, list[int]] = defaultdict(list)
    for job in facts.jobs:
        made[job.name.rpartition("-")[0]].append(job.uid)
    for request, uids in made.items():
        if request not in facts.sent:
            wrong.append(f"jobs {uids} of {request}, which nobody sent")
        told = facts.acknowledged.get(request)
        if told is not None and sorted(told) != sorted(uids):
            wrong.append(f"{request} was acknowledged as {list(told)} and made {uids}")
    keys = Counter(facts.requests)
    wrong += [f"the key {key} is there {count} times" for key, count in keys.items() if count > 1]
    wrong += [f"{request} made jobs and has no key" for request in made if request not in keys]
    return wrong


def one_run_one_native(facts: Facts) -> list[str]:
    """3: at most one active run a job, at most one native job a run."""
    active = Counter(run.uid for run in facts.runs if run.state in _HOLDING)
    wrong = [f"job {uid} has {count} active runs" for uid, count in active.items() if count > 1]
    wrong += [f"{name} is at its center {n} times" for name, n in facts.there.items() if n > 1]
    wrong += [
        f"{name} was taken {stay.taken} times"
        for name, stay in facts.stays.items()
        if stay.taken > 1
    ]
    return wrong


def final_states_stay(facts: Facts) -> list[str]:
    """4: what is final never changes, in tables and in the feed."""
    now = {(job.uid, 0): job.state for job in facts.jobs}
    now |= {(run.uid, run.attempt): run.state for run in facts.runs}
    wrong = [
        f"{key} was {state} and is {now.get(key)}"
        for key, state in facts.before.items()
        if now.get(key) != state
    ]
    final: dict[int, str] = {}
    for event in facts.events:
        if not event.uid:
            continue
        ended = final.get(event.uid)
        if ended is not None and event.state != ended:
            wrong.append(f"job {event.uid} was told {ended}, then {event.state} ({event.kind})")
        if event.state in _FINAL_JOBS:
            final.setdefault(event.uid, event.state)
    wrong += [
        f"job {job.uid} is {job.state}, and the feed says {final.get(job.uid)}"
        for job in facts.jobs
        if (job.state if job.state in _FINAL_JOBS else None) != final.get(job.uid)
    ]
    return wrong


def finals(facts: Facts) -> dict[tuple[int, int], str]:
    """What is final by now, for the next audit: jobs as attempt 0."""
    found = {(job.uid, 0): job.state for job in facts.jobs if job.state in _FINAL_JOBS}
    return found | {
        (run.uid, run.attempt): run.state for run in facts.runs if run.state in _FINAL_RUNS
    }


def natives_are_known(facts: Facts) -> list[str]:
    """5: whatever a center has under our mark is a run of ours; in the end nothing is there."""
    wrong = [
        f"{name} is at a center, and no run" for name in facts.there if name not in facts.names
    ]
    wrong += [f"{name} was taken, and is no run" for name in facts.taken if name not in facts.names]
    if facts.over:
        wrong += [f"{name} is left at its center" for name in facts.there]
    return wrong


def nothing_is_overdrawn(facts: Facts) -> list[str]:
    """6: what is held and used is what runs hold, within quota, pool, budget, cap and fund."""
    held: Counter[tuple[str, str]] = Counter()
    for run in facts.runs:
        if run.state in _HOLDING:
            held[run.city, run.flavor] += run.units
    wrong = []
    committed: Counter[str] = Counter()
    for one in facts.quotas:
        used = held[one.city, one.flavor]
        where = f"{one.city} {one.flavor}"
        if used != one.used:
            wrong.append(f"{where}: runs hold {used}, the quota says {one.used}")
        if one.borrow is not None and used > one.nominal + one.borrow:
            wrong.append(f"{where}: {used} of {one.nominal} + {one.borrow}")
        guarantee = one.nominal - (one.nominal if one.lend is None else one.lend)
        committed[one.flavor] += max(used, guarantee)
    capacity = {one.flavor: one.capacity for one in facts.quotas}
    wrong += [
        f"{flavor}: {units} of {capacity[flavor]} are committed"
        for flavor, units in committed.items()
        if units > capacity[flavor]
    ]
    wrong += [
        f"{one.what}: {one.used} of {one.limit}"
        for one in facts.limits
        if one.limit is not None and one.used > one.limit
    ]
    for account in facts.accounts:
        owed = account.debits_posted + account.debits_pending
        if account.limited and owed > account.credits_posted + account.credit_fen:
            wrong.append(f"{account.account} owes {owed} of {account.credits_posted}")
    return wrong


# --- the feed, silence, the plan ------------------------------------------------------------------


def feeds_are_whole(facts: Facts) -> list[str]:
    """8: no watcher missed an event, got one twice, or got one out of order."""
    wrong = []
    for feed in facts.feeds:
        told = [one.seq for one in feed.told]
        wrong += [f"{feed.name} was told {b} after {a}" for a, b in pairwise(told) if b <= a]
        if not told:
            wrong += [f"{feed.name} was told nothing"] if facts.over else []
            continue
        there = {
            event.seq: event
            for event in facts.events
            if event.uid and feed.city in ("", event.city) and event.seq <= told[-1]
        }
        missed = sorted(there.keys() - set(told))
        wrong += [f"{feed.name} was not told {seq}: {there[seq]}" for seq in missed[:9]]
        wrong += [f"{feed.name} was told {seq}, which is not" for seq in set(told) - there.keys()]
        wrong += [
            f"{feed.name} was told {one}, and there is {there[one.seq]}"
            for one in feed.told
            if one.seq in there and (one.kind, one.state) != there[one.seq][1:6:4]
        ]
        last = max((e.seq for e in facts.events if e.uid and feed.city in ("", e.city)), default=0)
        if facts.over and told[-1] != last:
            wrong.append(f"{feed.name} was told up to {told[-1]} of {last}")
    return wrong


def silence_ends_nothing(facts: Facts) -> list[str]:
    """9: an outage ends no running job; a silent center makes UNKNOWN, never a second run.

    By the feed, a run begins only after the one before has ended by its center's word; and no run
    ends otherwise than well that nobody cut and whose center did not say so.
    """
    ended: set[tuple[int, int]] = set()
    wrong = []
    for event in facts.events:
        if event.kind == "RUN_ENDED":
            ended.add((event.uid, event.attempt))
        elif event.kind == "ADMITTED" and event.attempt > 1:
            before = event.uid, event.attempt - 1
            if before not in ended:
                wrong.append(f"run {event.uid}.{event.attempt} began before the one before ended")
    for run in facts.runs:
        if run.state not in _FINAL_RUNS or run.state == "SUCCEEDED" or run.uid in facts.cut:
            continue
        if run.center == facts.simulated or run.failure not in CENTERS:
            wrong.append(f"run {run.uid}.{run.attempt} ended {run.state} ({run.failure})")
    return wrong


def plan_is_a_function(facts: Facts) -> list[str]:
    """10: of one snapshot the planner makes one plan, for any order and number of shards."""
    first = next(iter(facts.plans.values()), None)
    return [
        f"the plan of {how} is another: {plan} and {first}"
        for how, plan in facts.plans.items()
        if plan != first
    ]


def promises_are_kept(facts: Facts) -> list[str]:
    """11: no promised start is missed; what is ``late`` beyond all outages was found beside."""
    return list(facts.promised)


def guaranteed_start(facts: Facts) -> list[str]:
    """12: a city below its guarantee starts at once: before the fault's end was over for others.

    Each probe must have been started by the time at which it was said to be.
    """
    started = {event.uid for event in facts.events if event.kind == "ADMITTED"}
    jobs = {job.name: job.uid for job in facts.jobs}
    return [
        f"probe {probe.name} of a city below its guarantee was not started"
        for probe in facts.probes
        if probe.began_s and jobs.get(probe.name) not in started
    ]


def cities_see_their_own(facts: Facts) -> list[str]:
    """13: one city can read nothing of another: no read, and no event of a feed."""
    told = [
        f"{feed.name} was told of {one.job} of {one.city}"
        for feed in facts.feeds
        for one in feed.told
        if feed.city and one.city != feed.city
    ]
    return [*facts.leaks, *told]
