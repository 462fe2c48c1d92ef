"""Figures of a what-if, worked out by hand; and what of other cities may be told."""

import asyncio
from pathlib import Path

import pytest

from quota.charges import Source
from quota.rules import Applicant, Rule
from scheduler.placement.model import (
    CORRIDOR,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    PoolSet,
)
from scheduler.replay.lives import WAITING, Attempt, Life, Stay
from scheduler.whatif.figures import Asker, Course, Figures, Row, figures
from scheduler.whatif.history import History, Prices
from scheduler.whatif.playing import Task, pack_history, play
from scheduler.whatif.processes import ScenarioFailed, play_all
from scheduler.whatif.scenarios import OTHERS, BadScenario, CityChange, Scenario
from scheduler.whatif.using import ALL
from scheduler.whatif.worker import HISTORY_FILE

HOUR_MS = 3_600_000
CITIES = ("a", "b", "c", "d", "e")
SETTINGS: tuple[Delta, ...] = (
    *(CitySet(city, 1) for city in CITIES),
    *(EnterpriseSet(f"of-{city}", city) for city in CITIES),
    PoolSet("cpu", "c", 32),
    *(CityQuotaSet(city, "cpu", 6) for city in CITIES),
)
CPU_1H = Option("cpu", 1, 1, HOUR_MS)


def life(place: int, city: str, at_h: int, units: int, hours: int) -> Life:
    option = Option("cpu", units, 1, hours * HOUR_MS)
    queued = JobQueued(place, city, f"of-{city}", 0, at_h * HOUR_MS, (option,))
    return Life(queued, at_h * HOUR_MS, (Attempt(hours * HOUR_MS),))


def history(*lives: Life, hours: int = 10, prices: Prices | None = None) -> History:
    return History(SETTINGS, lives, 0, hours * HOUR_MS, CORRIDOR, prices or Prices())


def stay(place: int, units: int, from_h: int, to_h: int, ending: str = "") -> Stay:
    at = Option("cpu", units, 1, HOUR_MS)
    return Stay(place, at, from_h * HOUR_MS, from_h * HOUR_MS, to_h * HOUR_MS, ending)


def told(of: History, *stays: Stay, asker: Asker | None = None,
         states: tuple[str, ...] = ()) -> Figures:  # fmt: skip
    course = Course(stays, states or ("SUCCEEDED",) * len(of.lives), 0)
    return figures("s", of, of.settings, course, asker or Asker())


def row(found: Figures, city: str, flavor: str = "cpu") -> Row:
    (one,) = [row for row in found.rows if (row.city, row.flavor) == (city, flavor)]
    return one


def test_waits_are_from_submission_to_the_first_run_of_jobs_of_the_span() -> None:
    of = history(
        life(0, "a", 0, 1, 1), life(1, "a", 1, 2, 1), life(2, "a", -3, 1, 1), life(3, "a", 2, 1, 1)
    )
    found = told(
        of, stay(0, 1, 2, 3), stay(1, 2, 5, 6, "NODE"), stay(1, 2, 7, 8), stay(2, 1, 1, 2),
        states=("SUCCEEDED", "SUCCEEDED", "SUCCEEDED", WAITING),
    )  # fmt: skip
    one = row(found, "a")
    assert (one.jobs, one.unstarted) == (3, 1)
    assert one.mean_wait_s == (2 + 4) / 2 * 3600
    assert one.p95_wait_s == pytest.approx((2 + 0.95 * 2) * 3600)
    # Of 32 units a sixteenth is two.
    assert (one.wide_jobs, one.wide_p95_wait_s) == (1, 4 * 3600)
    assert one.unit_hours == 1 + 2 + 2 + 1
    assert row(found, "a", ALL).mean_wait_s == one.mean_wait_s
    assert row(found, "b", ALL).mean_wait_s is None


def test_use_outside_the_span_does_not_count() -> None:
    of = history(life(0, "a", 0, 3, 20))
    one = row(told(of, stay(0, 3, 5, 25)), "a")
    assert one.unit_hours == 3 * 5
    assert one.share_of_nominal == 15 / (6 * 10)


def test_what_is_borrowed_comes_from_the_corridor_first_and_then_from_who_leaves_idle() -> None:
    of = history(life(0, "a", 0, 14, 10), life(1, "b", 0, 3, 10))
    found = told(of, stay(0, 14, 0, 10), stay(1, 3, 0, 10))
    # Eight borrowed: two are the corridor's own, six of the 21 that b, c, d and e leave idle.
    assert row(found, "a").borrowed_unit_hours == 80
    assert row(found, "b").lent_unit_hours == pytest.approx(60 * 3 / 21)
    (use,) = found.flavors
    assert use.utilization == pytest.approx(17 / 32)
    idle_city = [one for one in found.rows if one.city == "c"]
    assert [one.flavor for one in idle_city] == [ALL]


def test_money_is_at_present_prices_and_subsidies_are_capped_by_job_and_year() -> None:
    rule = Rule("p", 1, "a", 5_000, job_cap_fen=900, year_cap_fen=1_200)
    prices = Prices(
        {"cpu": 277_778}, (rule,), {f"of-{c}": Applicant(c, "SMALL", "", False) for c in CITIES}
    )
    of = history(life(0, "a", 0, 1, 2), life(1, "a", 0, 1, 1), life(2, "b", 0, 1, 1), prices=prices)
    found = told(of, stay(0, 1, 0, 2), stay(1, 1, 1, 3), stay(2, 1, 0, 1), stay(1, 1, 4, 5, "NODE"))
    # ¥10 a unit-hour; half of 20 yuan is capped at 9, then 3 are left of the year's 12.
    assert (row(found, "a").gross_fen, row(found, "a").subsidy_fen) == (4_000, 1_200)
    assert (row(found, "b").gross_fen, row(found, "b").subsidy_fen) == (1_000, 0)


def test_vouchers_and_free_hours_give_until_they_are_used_up() -> None:
    """¥10 a unit-hour: an hour is free, and a voucher of ¥12 bears half of what is left."""
    voucher = Rule("v", 1, "a", 5_000, issue="VOUCHER", year_cap_fen=900, cap_on="ISSUE",
                   validity_months=12)  # fmt: skip
    hours = Rule("h", 1, "a", 10_000, unit="UNIT_S")
    year = 1970
    prices = Prices(
        {"cpu": 277_778}, (voucher, hours),
        {
            "of-a": Applicant("a", "SMALL", "", False, rights=frozenset({"v", "h"})),
            "of-b": Applicant("a", "SMALL", "", False),
        },
        own={
            ("of-a", "v"): (Source("voucher:V-1", cap_year=year),),
            ("of-a", "h"): (Source("grant:h:1970:of-a", from_ms=0, to_ms=8 * HOUR_MS),),
        },
        left={"voucher:V-1": 1_200, "grant:h:1970:of-a": 3_600},
    )  # fmt: skip
    of = history(life(0, "a", 0, 1, 2), life(1, "a", 0, 1, 2), life(2, "b", 0, 1, 1), prices=prices)
    found = told(of, stay(0, 1, 0, 2), stay(1, 1, 2, 4), stay(2, 1, 0, 1))
    # 2 h, 1 of them free: ¥10, of which 5; then 2 h: ¥20, of which the voucher has 7 left.
    assert (row(found, "a").gross_fen, row(found, "a").subsidy_fen) == (3_000, 1_200)
    assert (row(found, "b").gross_fen, row(found, "b").subsidy_fen) == (1_000, 0)
    assert told(of, stay(0, 1, 0, 2)) == told(of, stay(0, 1, 0, 2)), "each play has its own"


# --- who may see what -----------------------------------------------------------------------------


def shared(jobs: dict[str, int]) -> tuple[History, list[Stay]]:
    """So many one-hour jobs of each city, all of which started at once."""
    cities = [city for city, count in jobs.items() for _ in range(count)]
    lives = [life(place, city, place % 9, 1, 1) for place, city in enumerate(cities)]
    stays = [stay(place, 1, place % 9, place % 9 + 1) for place in range(len(cities))]
    return history(*lives), stays


def test_a_city_sees_itself_and_the_others_summed_up() -> None:
    of, stays = shared({"a": 2, "b": 3, "c": 3, "d": 3})
    found = told(of, *stays, asker=Asker("a"))
    assert {one.city for one in found.rows} == {"a", OTHERS}
    assert row(found, OTHERS).jobs == 9
    assert row(found, OTHERS).unit_hours == 9
    assert not found.withheld
    assert found.flavors[0].utilization is not None


@pytest.mark.parametrize(
    "jobs", [{"a": 2, "b": 9, "c": 9}, {"a": 2, "b": 90, "c": 1, "d": 1}, {"a": 2, "e": 9}]
)
def test_nothing_is_told_of_others_where_it_would_tell_of_one(jobs: dict[str, int]) -> None:
    of, stays = shared(jobs)
    found = told(of, *stays, asker=Asker("a"))
    assert {one.city for one in found.rows} == {"a"}
    assert found.withheld
    assert found.evictions is None
    assert [use.utilization for use in found.flavors] == [None]
    assert {one.city for one in told(of, *stays).rows} == set(CITIES)


def test_a_scenario_that_stops_all_others_but_one_does_not_show_that_one() -> None:
    of, _ = shared({"a": 2, "b": 3, "c": 3, "d": 3})
    stop = tuple(CityChange(city, "cpu", 0, 0) for city in ("b", "c"))
    found = play(of, Task(Scenario("s", stop), Asker("a")))
    assert {one.city for one in found.rows} == {"a"}


def test_all_flavors_together_are_told_only_if_each_is() -> None:
    of, stays = shared({"a": 2, "b": 3, "c": 3, "d": 3})
    npu = Option("npu", 1, 1, HOUR_MS)
    settings = (*of.settings, PoolSet("npu", "x", 8))
    one = Life(JobQueued(len(of.lives), "e", "of-e", 0, 0, (npu,)), 0, (Attempt(HOUR_MS),))
    of = History(settings, (*of.lives, one), of.from_ms, of.to_ms, CORRIDOR)
    stays.append(Stay(len(of.lives) - 1, npu, 0, 0, HOUR_MS, ""))
    found = told(of, *stays, asker=Asker("a"))
    assert [(row.city, row.flavor) for row in found.rows] == [
        ("a", ALL), ("a", "cpu"), (OTHERS, "cpu"),
    ]  # fmt: skip
    assert [use.utilization is None for use in found.flavors] == [False, True]
    assert found.withheld


def test_an_asker_may_be_told_nothing_of_others_at_all() -> None:
    of, stays = shared({"a": 2, "b": 3, "c": 3, "d": 3})
    found = told(of, *stays, asker=Asker("a", others=False))
    assert {one.city for one in found.rows} == {"a"}
    assert found.withheld


# --- processes ------------------------------------------------------------------------------------


def folder(path: Path, of: History) -> Path:
    (path / HISTORY_FILE).write_bytes(pack_history(of))
    return path


async def test_processes_of_their_own_find_what_this_one_finds(tmp_path: Path) -> None:
    of, _ = shared({"a": 20, "b": 30, "c": 3, "d": 3})
    tasks = [
        Task(Scenario("today"), Asker()),
        Task(Scenario("less", (CityChange("b", "cpu", 1, 0),)), Asker("a")),
    ]
    found = await play_all(folder(tmp_path, of), tasks, lambda number, ended: None)
    assert found == [play(of, task) for task in tasks]
    assert found[0] != found[1]


async def test_a_scenario_that_cannot_be_played_says_why(tmp_path: Path) -> None:
    of, _ = shared({"a": 1})
    bad = Task(Scenario("s", (CityChange("x", "cpu", 1),)), Asker())
    with pytest.raises(BadScenario) as caught:
        await play_all(folder(tmp_path, of), [bad], lambda number, ended: None)
    assert caught.value.where == "cities[0].city"


async def test_a_process_that_fails_says_its_last_line(tmp_path: Path) -> None:
    (tmp_path / HISTORY_FILE).write_bytes(b"nothing")
    with pytest.raises(ScenarioFailed, match="Error"):
        await play_all(tmp_path, [Task(Scenario("s"), Asker())], lambda number, ended: None)


def processes_of(path: Path) -> list[str]:
    """Processes that work in a folder."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            words = (one / "cmdline").read_bytes()
        except OSError:
            continue
        if one.name.isdecimal() and str(path).encode() in words:
            found.append(one.name)
    return found


async def test_a_cancelled_call_leaves_no_process(tmp_path: Path) -> None:
    ones = (life(place, "a", 0, 1, 1) for place in range(30_000))
    of = history(*(one._replace(come_ms=1_000 * place) for place, one in enumerate(ones)))
    seen = asyncio.Event()
    playing = asyncio.create_task(
        play_all(
            folder(tmp_path, of), [Task(Scenario("s"), Asker())], lambda number, ended: seen.set()
        )
    )
    await asyncio.wait([playing, asyncio.create_task(seen.wait())],
                       return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
    assert processes_of(tmp_path), "it still plays"
    playing.cancel()
    await asyncio.wait([playing])
    assert playing.cancelled()
    assert processes_of(tmp_path) == []
    assert not (tmp_path / "result-0").exists(), "it was ended, not waited for"
