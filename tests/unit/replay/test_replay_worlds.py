"""Lives small enough to work out by hand: one pool of ten units, times in seconds."""

from typing import Any

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    EASY,
    CitySet,
    Delta,
    EnterpriseSet,
    Eviction,
    JobQueued,
    Option,
    Plan,
    PoolSet,
    Start,
)
from scheduler.replay.lives import Attempt, Cut, Life, Lived, Outage
from scheduler.replay.world import World

POOL = PoolSet("cpu", "c", 10)
SETTINGS: list[Delta] = [CitySet("east", 1), EnterpriseSet("E", "east"), POOL]


def life(place: int, at_s: int, units: int, limit_s: int, *runs: Attempt, **more: Any) -> Life:
    option = Option("cpu", units, 1, limit_s * 1000)
    queued = JobQueued(place, "east", "E", 0, at_s * 1000, (option,))
    attempts = runs or (Attempt(limit_s * 1000),)
    return Life(queued, at_s * 1000, attempts, attempts_max=3, **more)


def live(*lives: Life, outside: tuple[Outage | Cut, ...] = ()) -> Lived:
    return World(lives, SETTINGS, PlanningCore(EASY), outside).run()


def runs(lived: Lived) -> list[tuple[int, int, int, str]]:
    """(job, start, end, ending) in seconds, in the order of their ends."""
    return [(one.place, one.start_ms // 1000, one.end_ms // 1000, one.ending)
            for one in lived.stays]  # fmt: skip


def test_a_failed_node_is_tried_again_after_a_pause_and_user_code_is_not() -> None:
    node = (Attempt(5_000, "NODE"), Attempt(7_000, "NODE"), Attempt(20_000))
    lived = live(life(0, 0, 4, 100, *node), life(1, 0, 4, 100, Attempt(3_000, "USER_CODE")))
    # Pauses of one minute, then two.
    assert runs(lived) == [
        (1, 0, 3, "USER_CODE"), (0, 0, 5, "NODE"), (0, 65, 72, "NODE"), (0, 192, 212, ""),
    ]  # fmt: skip
    assert lived.states == ("SUCCEEDED", "FAILED")
    assert lived.retries == 2


def test_attempts_run_out() -> None:
    lived = live(life(0, 0, 1, 100, Attempt(1_000, "NODE")))
    assert [ending for *_, ending in runs(lived)] == ["NODE"] * 3
    assert lived.states == ("FAILED",)


def test_jobs_are_cancelled_while_they_wait_and_while_they_run() -> None:
    lived = live(
        life(0, 0, 10, 100, cancel_ms=40_000),
        life(1, 1, 10, 100, cancel_ms=20_000),
        life(2, 2, 10, 50),
    )
    assert runs(lived) == [(0, 0, 40, "CANCELLED"), (2, 40, 90, "")]
    assert lived.states == ("CANCELLED", "CANCELLED", "SUCCEEDED")
    assert 1 not in lived.first_ms


def test_a_deadline_ends_the_wait_and_not_the_run() -> None:
    lived = live(life(0, 0, 10, 100, deadline_ms=50_000), life(1, 1, 10, 100, deadline_ms=50_000))
    assert runs(lived) == [(0, 0, 100, "")]
    assert lived.states == ("SUCCEEDED", "EXPIRED")


def test_a_held_job_waits_outside_the_queue() -> None:
    lived = live(life(0, 0, 10, 100), life(1, 1, 10, 10, away=((50_000, 300_000),)))
    assert runs(lived) == [(0, 0, 100, ""), (1, 300, 310, "")]


def test_in_an_outage_runs_die_and_nothing_starts() -> None:
    down = Outage(frozenset({"cpu"}), 30_000, 400_000)
    lived = live(life(0, 0, 6, 100), life(1, 50, 4, 10), outside=(down,))
    assert runs(lived) == [(0, 0, 30, "CENTER"), (1, 400, 410, ""), (0, 400, 500, "")]


def test_runs_that_hang_go_on_when_the_center_is_back() -> None:
    down = Outage(frozenset({"cpu"}), 30_000, 400_000, hang=True)
    lived = live(life(0, 0, 6, 100), life(1, 50, 10, 10), outside=(down,))
    # 70 of its 100 seconds were left at 30.
    assert runs(lived) == [(0, 0, 470, ""), (1, 470, 480, "")]
    assert lived.stays[0].hung_ms == 370_000


def test_a_cut_kills_nothing_and_lets_nothing_start_that_does_not_fit() -> None:
    cut = Cut("cpu", 10_000, 200_000, 4)
    lived = live(life(0, 0, 6, 100), life(1, 20, 4, 10), life(2, 21, 6, 10), outside=(cut,))
    assert runs(lived) == [(0, 0, 100, ""), (1, 100, 110, ""), (2, 200, 210, "")]


def test_a_promise_across_a_cut_is_void_and_any_other_is_kept() -> None:
    cut = Cut("cpu", 50_000, 300_000, 4)
    first = life(0, 0, 6, 100), life(1, 1, 8, 10)
    (kept,) = live(*first).promises
    assert (kept.promised_ms, kept.late, kept.void) == (100_000, False, False)
    (before_it,) = live(*first, outside=(Cut("cpu", 400_000, 500_000, 4),)).promises
    assert before_it == kept, "a later cut excuses nothing"
    (cut_off,) = live(*first, outside=(cut,)).promises
    assert (cut_off.promised_ms, cut_off.started_ms) == (100_000, 300_000)
    assert cut_off.late
    assert cut_off.void


def test_a_job_that_never_fits_waits_for_ever_and_holds_up_nobody() -> None:
    lived = live(life(0, 0, 11, 100), life(1, 1, 10, 10))
    assert runs(lived) == [(1, 1, 11, "")]
    assert lived.states == ("WAITING", "SUCCEEDED")


def test_units_are_held_from_the_start_and_the_run_begins_after_its_lag() -> None:
    lived = live(life(0, 0, 10, 100, Attempt(50_000, lag_ms=7_000)), life(1, 0, 10, 10))
    assert runs(lived) == [(0, 0, 57, ""), (1, 57, 67, "")]
    assert lived.stays[0].ran_ms == 7_000


def test_fewer_units_take_longer_on_the_same_flavor_and_never_longer_than_the_limit() -> None:
    seen = Attempt(60_000, units=8, flavor="cpu")
    assert seen.on(Option("cpu", 4, 1, 1_000_000)) == 120_000
    assert seen.on(Option("cpu", 4, 1, 100_000)) == 100_000
    assert seen.on(Option("npu", 4, 1, 100_000)) == 60_000


def test_a_job_comes_when_those_that_it_waits_for_have_ended() -> None:
    lived = live(
        life(0, 0, 4, 50),
        life(1, 0, 4, 90, Attempt(20_000, "USER_CODE")),
        life(2, 0, 4, 10, after=((0, True), (1, False))),
        life(3, 0, 4, 10, after=((1, True),)),
        life(4, 0, 4, 10, after=((3, False),)),
    )
    assert runs(lived) == [
        (1, 0, 20, "USER_CODE"), (4, 20, 30, ""), (0, 0, 50, ""), (2, 50, 60, ""),
    ]  # fmt: skip
    assert lived.states == ("SUCCEEDED", "FAILED", "SUCCEEDED", "CANCELLED", "SUCCEEDED")


class EvictingPlanner:
    """Starts what is queued at once; at 20 s it evicts job 0 with 5 s of grace."""

    def __init__(self) -> None:
        self.told: list[Delta] = []

    def load(self, revision: int, deltas: Any) -> None:
        """Take a snapshot."""

    def cycle(self, before: int, deltas: Any, after: int, now_ms: int) -> Plan:
        """Start, and evict once."""
        self.told += deltas
        starts = tuple(
            Start(one.uid, "east", "E", one.options[0], 0)
            for one in deltas
            if isinstance(one, JobQueued)
        )
        evicts = (Eviction(0, "cpu", 4, 1, 5_000),) if now_ms == 20_000 else ()
        return Plan(now_ms, starts, (), 0, False, None, evicts)


def test_an_evicted_job_ends_after_the_grace_and_begins_again() -> None:
    planner = EvictingPlanner()
    lived = World((life(0, 0, 4, 100), life(1, 20, 4, 10)), SETTINGS, planner).run()
    assert runs(lived) == [(0, 0, 25, "PREEMPTED"), (1, 20, 30, ""), (0, 25, 125, "")]
    assert lived.evictions == 1
    assert lived.states == ("SUCCEEDED", "SUCCEEDED")
    again = [one for one in planner.told if isinstance(one, JobQueued) and one.uid == 0]
    assert [one.evictions for one in again] == [0, 1]
    assert again[1].queued_ms == 0
