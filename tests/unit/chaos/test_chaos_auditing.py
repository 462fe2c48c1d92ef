"""Each judge of chaos finds nothing wrong in a small world, and each fault that is seeded in it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import auditing
from tests.chaos.auditing_books import books_balance
from tests.chaos.facts import (
    Account,
    Charge,
    Entry,
    Event,
    Facts,
    Job,
    Limit,
    Line,
    Quota,
    Run,
    Stay,
    Use,
    stays_of,
)  # fmt: skip
from tests.chaos.notes import Feed, Probe, Told
from tests.chaos.run import INVARIANTS

FLAVOR, CENTER = "wuhan-ai/ascend-910b", "wuhan-ai"


def job(uid: int, name: str, state: str = "SUCCEEDED", fen: int = 4, attempt: int = 1) -> Job:
    return Job(uid, name, "wuhan", "w-1", state, attempt, True, fen, 1 if fen else 0,
               fen - 1 if fen else 0)  # fmt: skip


def run(uid: int, attempt: int = 1, state: str = "SUCCEEDED", failure: str | None = None) -> Run:
    return Run(
        uid, attempt, "wuhan", "w-1", CENTER, FLAVOR, 2, state, failure, "sim-1", 1_000, 2_000,
        5_000, settled=state not in ("RUNNING", "UNKNOWN"),
    )  # fmt: skip


def event(seq: int, kind: str, uid: int, state: str, attempt: int = 0) -> Event:
    return Event(seq, kind, uid, attempt, "wuhan", state)


def told(one: Event) -> Told:
    return Told(one.seq, f"j{one.uid}", one.city, one.kind, one.state)


EVENTS = [
    event(1, "SUBMITTED", 7, "QUEUED"), event(3, "ADMITTED", 7, "ADMITTED", 1),
    event(4, "RUN_STARTED", 7, "RUNNING", 1), event(6, "RUN_ENDED", 7, "SUCCEEDED", 1),
    event(7, "SETTLED", 7, "SUCCEEDED", 1),
]  # fmt: skip


def world() -> Facts:
    """One job of one run: 3 s of 2 units at 0.6667 fen a unit-second, so 4 fen, of them 1 given."""
    entries = [
        Entry("CNY", "PENDING", "HOLD", "fund:a", "payable:c", 2, 7, 1, "7.1.0.0"),
        Entry("CNY", "PENDING", "HOLD", "wallet:w-1", "payable:c", 6, 7, 1, "7.1.0.1"),
        Entry("CNY", "POST", "SETTLE", "fund:a", "payable:c", 1, 7, 1, "7.1.0.0"),
        Entry("CNY", "POST", "SETTLE", "wallet:w-1", "payable:c", 3, 7, 1, "7.1.0.1"),
        Entry("CNY", "DIRECT", "APPROPRIATE", "budget:a", "fund:a", 50, 0, 0, ""),
    ]
    accounts = [
        Account("fund:a", "CNY", True, 0, 0, 1, 0, 50),
        Account("wallet:w-1", "CNY", True, 9, 0, 3, 0, 0),
        Account("payable:c", "CNY", False, 0, 0, 0, 0, 4),
        Account("budget:a", "CNY", False, 0, 0, 50, 0, 0),
    ]
    return Facts(
        over=True,
        jobs=[job(7, "wuhan-1-0")],
        runs=[run(7)],
        events=list(EVENTS),
        requests=["wuhan-1"],
        quotas=[Quota("wuhan", FLAVOR, 6, 2, 6, 0, 8), Quota("ezhou", FLAVOR, 2, 0, 0, 0, 8)],
        limits=[Limit("cap", 3, 5), Limit("budget", 3, None)],
        accounts=accounts,
        entries=entries,
        charges=[Charge(7, 1, "SETTLED", 666_667, 8, 4)],
        lines=[Line(7, 1, 0, 3, 2, 0, 4, True)],
        uses=[Use(7, 1, 0, 0, 2_000, 5_000, 2)],
        names={"corridor-7.1": (7, 1)},
        acknowledged={"wuhan-1": [7]},
        sent=frozenset({"wuhan-1"}),
        feeds=[Feed("all", "", list(map(told, EVENTS)))],
        probes=[Probe("wuhan-1-0", "j7", 0.1, 0.2)],
        taken=frozenset({"corridor-7.1"}),
        stays={"corridor-7.1": Stay(1, 2_000, 5_999)},
        simulated=CENTER,
        before={(7, 0): "SUCCEEDED"},
        plans={"1 shard": ((1, 2), ()), "2 shards": ((1, 2), ())},
    )


def test_nothing_is_wrong_where_all_is_well() -> None:
    assert {judge.__name__: judge(world()) for judge in INVARIANTS} == {
        judge.__name__: [] for judge in INVARIANTS
    }
    assert len(INVARIANTS) == 13


Seeded = Callable[[Facts], None]


def _lost(facts: Facts) -> None:
    facts.acknowledged = {"wuhan-1": [7], "wuhan-2": [8]}


def _failed(facts: Facts) -> None:
    facts.jobs = [job(7, "wuhan-1-0", "FAILED")]


def _cut_by_nobody(facts: Facts) -> None:
    facts.jobs = [job(7, "wuhan-1-0", "CANCELLED")]


def _twice(facts: Facts) -> None:
    facts.jobs.append(job(8, "wuhan-1-0"))


def _of_nobody(facts: Facts) -> None:
    facts.jobs.append(job(8, "wuhan-9-0"))
    facts.requests.append("wuhan-9")


def _answered_otherwise(facts: Facts) -> None:
    facts.jobs.append(job(8, "wuhan-1-1"))


def _no_key(facts: Facts) -> None:
    facts.requests = []


def _two_active(facts: Facts) -> None:
    facts.runs = [run(7, 1, "UNKNOWN"), run(7, 2, "RUNNING")]


def _taken_twice(facts: Facts) -> None:
    facts.stays = {"corridor-7.1": Stay(2, 2_000, 5_000)}


def _runs_twice(facts: Facts) -> None:
    facts.there = {"corridor-7.1": 2}


def _rose(facts: Facts) -> None:
    facts.before = {(7, 0): "CANCELLED"}


def _run_rose(facts: Facts) -> None:
    facts.before = {(7, 1): "FAILED"}


def _told_after_the_end(facts: Facts) -> None:
    facts.events.append(event(9, "REQUEUED", 7, "QUEUED"))


def _never_told(facts: Facts) -> None:
    facts.events = facts.events[:3]


def _stranger(facts: Facts) -> None:
    facts.over, facts.there = False, {"corridor-9.1": 1}


def _stranger_taken(facts: Facts) -> None:
    facts.taken = frozenset({"corridor-9.1"})


def _left(facts: Facts) -> None:
    facts.there = {"corridor-7.1": 1}


def _quota_lies(facts: Facts) -> None:
    facts.quotas[0] = facts.quotas[0]._replace(used=2)


def _holds(facts: Facts, units: int) -> None:
    facts.runs[0] = facts.runs[0]._replace(state="RUNNING", units=units)
    facts.quotas[0] = facts.quotas[0]._replace(used=units)


def _borrows_too_much(facts: Facts) -> None:
    facts.quotas = [facts.quotas[0]._replace(capacity=99)]
    _holds(facts, 9)


def _takes_a_guarantee(facts: Facts) -> None:
    _holds(facts, 7)


def _over_its_cap(facts: Facts) -> None:
    facts.limits = [Limit("cap", 6, 5)]


def _owes(facts: Facts) -> None:
    facts.accounts[0] = facts.accounts[0]._replace(debits_posted=51)


NOT_MONEY: list[tuple[Callable[[Facts], list[str]], Seeded, str]] = [
    (auditing.acknowledged_are_there, _lost, "is lost"),
    (auditing.acknowledged_are_there, _failed, "ended FAILED"),
    (auditing.acknowledged_are_there, _cut_by_nobody, "ended CANCELLED"),
    (auditing.one_request_makes_one_set, _twice, "is there 2 times"),
    (auditing.one_request_makes_one_set, _of_nobody, "which nobody sent"),
    (auditing.one_request_makes_one_set, _answered_otherwise, "was acknowledged as"),
    (auditing.one_request_makes_one_set, _no_key, "has no key"),
    (auditing.one_run_one_native, _two_active, "2 active runs"),
    (auditing.one_run_one_native, _taken_twice, "was taken 2 times"),
    (auditing.one_run_one_native, _runs_twice, "at its center 2 times"),
    (auditing.final_states_stay, _rose, "was CANCELLED and is SUCCEEDED"),
    (auditing.final_states_stay, _run_rose, "was FAILED and is SUCCEEDED"),
    (auditing.final_states_stay, _told_after_the_end, "then QUEUED"),
    (auditing.final_states_stay, _never_told, "the feed says None"),
    (auditing.natives_are_known, _stranger, "and no run"),
    (auditing.natives_are_known, _stranger_taken, "is no run"),
    (auditing.natives_are_known, _left, "is left"),
    (auditing.nothing_is_overdrawn, _quota_lies, "runs hold 0, the quota says 2"),
    (auditing.nothing_is_overdrawn, _borrows_too_much, "9 of 6 + 2"),
    (auditing.nothing_is_overdrawn, _takes_a_guarantee, "9 of 8 are committed"),
    (auditing.nothing_is_overdrawn, _over_its_cap, "cap: 6 of 5"),
    (auditing.nothing_is_overdrawn, _owes, "fund:a owes 51"),
]


def _entry(at: int, **how: Any) -> Seeded:
    def seeded(facts: Facts) -> None:
        facts.entries[at] = facts.entries[at]._replace(**how)

    return seeded


def _again(facts: Facts) -> None:
    facts.entries.append(facts.entries[3])


def _held_again(facts: Facts) -> None:
    facts.entries.append(facts.entries[1])


def _unbalanced(facts: Facts) -> None:
    facts.accounts[0] = facts.accounts[0]._replace(credits_posted=51)


def _line(**how: Any) -> Seeded:
    def seeded(facts: Facts) -> None:
        facts.lines = [facts.lines[0]._replace(**how)]

    return seeded


def _used_twice(facts: Facts) -> None:
    facts.uses.append(facts.uses[0])


def _centers_fault(facts: Facts) -> None:
    facts.runs[0] = facts.runs[0]._replace(state="FAILED", failure="NODE")


def _still_held(facts: Facts) -> None:
    facts.charges = [facts.charges[0]._replace(state="HELD")]


def _no_hold(facts: Facts) -> None:
    facts.charges = []


def _unsettled(facts: Facts) -> None:
    facts.runs[0] = facts.runs[0]._replace(settled=False)


def _stayed_longer(facts: Facts) -> None:
    facts.stays = {"corridor-7.1": Stay(1, 2_000, 6_000)}


def _never_came(facts: Facts) -> None:
    facts.stays = {}


def _still_runs(facts: Facts) -> None:
    facts.stays = {"corridor-7.1": Stay(1, 2_000, None)}


def _job_lies(facts: Facts) -> None:
    facts.jobs = [facts.jobs[0]._replace(gross_fen=5)]


MONEY: list[tuple[Seeded, str]] = [
    (_entry(3, amount=4), "entries give 4"),
    (_again, "resolved twice"),
    (_held_again, "is held twice"),
    (_unbalanced, "CNY sums to"),
    (_line(gross_fen=5), "costs 5 for 6 unit-seconds"),
    (_line(seconds=4), "was used 3 s, and rated 4 s"),
    (_line(units=3), "of 2 units is rated otherwise"),
    (_used_twice, "2 times"),
    (_centers_fault, "its center's fault and costs 4"),
    (_still_held, "still holds"),
    (_no_hold, "holds nothing"),
    (_unsettled, "is not settled"),
    (_stayed_longer, "was there 4 s and is rated 3 s"),
    (_never_came, "was there 0 s"),
    (_still_runs, "has not ended at its center"),
    (_job_lies, "costs 5, its runs 4"),
]


def _feed(change: Callable[[list[Told]], list[Told]]) -> Seeded:
    def seeded(facts: Facts) -> None:
        facts.feeds = [replace(facts.feeds[0], told=change(list(facts.feeds[0].told)))]

    return seeded


def _second_while_first_is_silent(facts: Facts) -> None:
    facts.events = [*EVENTS[:3], event(5, "ADMITTED", 7, "ADMITTED", 2)]


def _ended_by_an_outage(facts: Facts) -> None:
    facts.runs = [run(7, 1, "LOST", "LOST")]


def _ended_without_a_cause(facts: Facts) -> None:
    facts.simulated, facts.runs = "", [run(7, 1, "FAILED", "USER_CODE")]


def _planned_otherwise(facts: Facts) -> None:
    facts.plans = {**facts.plans, "5 shards": ((2, 1), ())}


def _missed(facts: Facts) -> None:
    facts.promised = ["job 7 waited"]


def _not_started(facts: Facts) -> None:
    facts.events = facts.events[:1]


def _shown(facts: Facts) -> None:
    facts.leaks = ["ezhou was shown j7"]


def _told_of_another(facts: Facts) -> None:
    facts.feeds = [replace(facts.feeds[0], city="ezhou")]


OTHERS: list[tuple[Callable[[Facts], list[str]], Seeded, str]] = [
    (auditing.feeds_are_whole, _feed(lambda told: told[:1] + told[2:]), "was not told 3"),
    (auditing.feeds_are_whole, _feed(lambda told: [*told[:2], told[1], *told[2:]]), "after 3"),
    (auditing.feeds_are_whole, _feed(lambda told: [told[1], told[0], *told[2:]]), "1 after 3"),
    (auditing.feeds_are_whole, _feed(lambda told: [*told, told[0]._replace(seq=8)]), "is not"),
    (auditing.feeds_are_whole, _feed(lambda told: told[:-1]), "up to 6 of 7"),
    (auditing.feeds_are_whole, _feed(lambda told: []), "was told nothing"),
    (auditing.feeds_are_whole, _feed(lambda told: [told[0]._replace(state="HELD"), *told[1:]]),
     "and there is"),
    (auditing.silence_ends_nothing, _second_while_first_is_silent, "before the one before ended"),
    (auditing.silence_ends_nothing, _ended_by_an_outage, "ended LOST"),
    (auditing.silence_ends_nothing, _ended_without_a_cause, "ended FAILED"),
    (auditing.plan_is_a_function, _planned_otherwise, "5 shards is another"),
    (auditing.promises_are_kept, _missed, "job 7 waited"),
    (auditing.guaranteed_start, _not_started, "was not started"),
    (auditing.cities_see_their_own, _shown, "was shown"),
    (auditing.cities_see_their_own, _told_of_another, "was told of j7 of wuhan"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("judge", "seeded", "says"), [*NOT_MONEY, *((books_balance, *one) for one in MONEY), *OTHERS]
)
def test_a_seeded_violation_is_found(
    judge: Callable[[Facts], list[str]], seeded: Seeded, says: str
) -> None:
    facts = world()
    seeded(facts)
    found = judge(facts)
    assert any(says in one for one in found), found


def test_jobs_that_their_users_cut_may_end_so() -> None:
    facts = world()
    facts.cut = frozenset({7})
    _cut_by_nobody(facts)
    assert auditing.acknowledged_are_there(facts) == []


def test_what_is_final_is_remembered_as_it_is() -> None:
    facts = world()
    assert auditing.finals(facts) == {(7, 0): "SUCCEEDED", (7, 1): "SUCCEEDED"}
    facts.jobs, facts.runs = [job(7, "wuhan-1-0", "RUNNING")], [run(7, 1, "UNKNOWN")]
    assert auditing.finals(facts) == {}


def test_a_stay_is_from_its_start_to_its_first_end() -> None:
    events = [
        {"event": "open", "center": CENTER, "at_ms": 1},
        {"event": "accept", "name": "a", "submit_ms": 2},
        {"event": "start", "name": "a", "at_ms": 3},
        {"event": "end", "name": "a", "at_ms": 9},
        {"event": "accept", "name": "a", "submit_ms": 10},
        {"event": "accept", "name": "b", "submit_ms": 4},
        {"event": "cancel", "name": "b", "at_ms": 5},
    ]
    assert stays_of(events) == {"a": Stay(2, 3, 9), "b": Stay(1, None, 5)}
