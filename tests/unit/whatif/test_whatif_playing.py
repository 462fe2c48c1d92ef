"""What scenarios change: small histories whose outcome can be told beforehand."""

from typing import Any

from scheduler.placement.model import (
    CORRIDOR,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    PoolSet,
    RunActive,
)
from scheduler.replay.lives import Attempt, Life, Stay
from scheduler.whatif.figures import Asker, Figures, Row
from scheduler.whatif.history import History
from scheduler.whatif.playing import Task, pack_history, play, unpack_history
from scheduler.whatif.scenarios import (
    HISTORY,
    CapChange,
    CityChange,
    FlavorChange,
    PolicyChange,
    Scenario,
)

HOUR_MS = 3_600_000
SETTINGS: tuple[Delta, ...] = (
    CitySet("east", 1), CitySet("west", 1), EnterpriseSet("E", "east"), EnterpriseSet("W", "west"),
    PoolSet("npu", "ai", 80), CityQuotaSet("east", "npu", 40), CityQuotaSet("west", "npu", 40),
)  # fmt: skip


def life(place: int, who: str, at_h: float, units: int, hours: int, **more: Any) -> Life:
    city = {"E": "east", "W": "west"}[who]
    at_ms = int(at_h * HOUR_MS)
    option = Option("npu", units, 1, hours * HOUR_MS)
    queued = JobQueued(place, city, who, 0, at_ms, (option,), interruptible=True)
    return Life(queued, at_ms, (Attempt(hours * HOUR_MS),), **more)


def history(*lives: Life, **more: Any) -> History:
    return History(SETTINGS, lives, 0, 100 * HOUR_MS, CORRIDOR, **more)


def played(of: History, **changes: Any) -> Figures:
    return play(of, Task(Scenario("s", **changes), Asker()))


def row(found: Figures, city: str) -> Row:
    (one,) = [row for row in found.rows if (row.city, row.flavor) == (city, "npu")]
    return one


#: East holds all of the pool for ten hours; an hour later West wants its own four units.
LENT = history(*(life(place, "E", 0, 4, 10) for place in range(20)), life(20, "W", 1, 4, 1))


def test_lent_units_come_back_by_churn_by_eviction_or_were_never_lent() -> None:
    churn = played(LENT)
    assert row(churn, "west").mean_wait_s == 9 * 3600
    assert churn.evictions == 0
    assert row(churn, "east").borrowed_unit_hours == 400

    evict = played(LENT, flavors=(FlavorChange("npu", reclaim="evict"),))
    assert evict.evictions == 1
    waited_s = row(evict, "west").mean_wait_s
    assert waited_s is not None
    assert waited_s <= 10 * 60, "the notice"
    # What was evicted begins anew, on what West leaves: its first hour is lost.
    assert row(evict, "east").unit_hours > row(churn, "east").unit_hours

    lease = played(LENT, flavors=(FlavorChange("npu", reclaim="lease", lease_ms=HOUR_MS),))
    assert row(lease, "west").mean_wait_s == 0
    assert row(lease, "east").borrowed_unit_hours == 0

    kept = played(LENT, cities=(CityChange("west", "npu", lend=0),))
    assert row(kept, "west").mean_wait_s == 0


def test_a_borrow_limit_a_cap_and_capacity_bind() -> None:
    limit = played(LENT, cities=(CityChange("east", "npu", borrow=0),))
    assert row(limit, "west").mean_wait_s == 0
    assert row(limit, "east").mean_wait_s == 5 * 3600
    cap = played(LENT, caps=(CapChange("E", "npu", 3),))
    assert row(cap, "east").unstarted == 20
    more = played(LENT, flavors=(FlavorChange("npu", capacity=84),))
    assert row(more, "west").mean_wait_s == 0
    assert [(one.capacity_units, one.utilization) for one in more.flavors] == [
        (84, (800 + 4) / (84 * 100))
    ]


def test_the_same_jobs_are_wide_in_every_scenario() -> None:
    of = history(life(0, "E", 0, 5, 1), life(1, "E", 0, 4, 1))
    for capacity in (60, 80, 640):
        found = played(of, flavors=(FlavorChange("npu", capacity=capacity),))
        assert row(found, "east").wide_jobs == 1


def test_ageing_decides_who_is_promised_the_pool() -> None:
    narrow = [life(place, "E", place / 2, 40, 2) for place in range(12)]
    of = history(*narrow, life(12, "E", 0.25, 80, 1))
    soon = played(of, policy=PolicyChange(ageing_ms=0, starving_ms=0))
    late = played(of, policy=PolicyChange(ageing_ms=90 * HOUR_MS, starving_ms=90 * HOUR_MS))
    first, last = (row(one, "east").wide_p95_wait_s for one in (soon, late))
    assert first is not None
    assert last is not None
    assert first <= last


def test_what_really_happened_is_told_as_it_was() -> None:
    running = RunActive(0, "east", "E", Option("npu", 80, 1, 9 * HOUR_MS), -HOUR_MS)
    of = history(
        life(0, "E", -1, 80, 9, running=running), life(1, "W", 1, 2, 1),
        real=(Stay(0, running.option, -HOUR_MS, -HOUR_MS, 2 * HOUR_MS, ""),
              Stay(1, Option("npu", 2, 1, HOUR_MS), 3 * HOUR_MS, 4 * HOUR_MS, 5 * HOUR_MS, "")),
    )  # fmt: skip
    found = play(of, Task(Scenario(HISTORY), Asker()))
    assert (row(found, "east").jobs, row(found, "east").unit_hours) == (0, 160)
    assert row(found, "west").mean_wait_s == 3 * 3600
    assert row(found, "west").unit_hours == 4
    # Played, the run that it had at the beginning goes on for its nine hours.
    assert row(played(of), "east").unit_hours == 640
    assert row(played(of), "west").mean_wait_s == 7 * 3600


def test_a_history_survives_its_way_to_another_process() -> None:
    assert unpack_history(pack_history(LENT)) == LENT
