"""The worked example of the pages on the order: the planner does what they say, in every number."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    Plan,
    PoolSet,
    RunActive,
)

DOCS = Path(__file__).parents[2] / "docs"
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
NOW_MS = (24 + 9) * HOUR_MS
CORES = 100


class Example:
    """The tables of a page, and what the planner makes of them."""

    def __init__(self, page: str) -> None:
        self.text = (DOCS / page).read_text(encoding="utf-8")
        self.cities, self.runs, self.jobs, self.starts = (
            [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]
            for rows in re.findall(r"^\|[^\n]+\|\n\|[-|]+\|\n((?:\|[^\n]*\|\n)+)", self.text, re.M)
        )

    def plan(self) -> Plan:
        told: list[Delta] = [PoolSet("cpu", "center", CORES)]
        for city, weight, nominal, _ in self.cities:
            told += [CitySet(city, int(weight)), CityQuotaSet(city, "cpu", int(nominal))]
        told += [EnterpriseSet(row[2], row[1]) for row in self.jobs]
        for uid, city, enterprise, cores, ends in self.runs:
            option = Option("cpu", int(cores), 1, at_ms(ends) - NOW_MS)
            told.append(RunActive(int(uid), city, enterprise, option, NOW_MS))
        for uid, city, enterprise, cores, limit, since in self.jobs:
            option = Option("cpu", int(cores), 1, int(limit.split()[0]) * HOUR_MS)
            queued_ms = at_ms(since)
            told.append(JobQueued(int(uid), city, enterprise, 0, queued_ms, (option,)))
        core = PlanningCore(CORRIDOR)
        core.load(0, told, NOW_MS)
        return core.cycle(0, (), 1, NOW_MS)


def at_ms(text: str) -> int:
    """An instant of the page: today's without further words, else of the day before."""
    hour, minute = re.findall(r"\d+", text)[:2]
    today = re.fullmatch(r"[\d:]+", text) is not None
    return (24 * today + int(hour)) * HOUR_MS + int(minute) * MINUTE_MS


@pytest.mark.parametrize("page", ["order.md", "order.zh-CN.md"])
def test_the_planner_does_what_the_page_says(page: str) -> None:
    example = Example(page)
    plan = example.plan()
    assert [str(start.uid) for start in plan.starts] == [row[1] for row in example.starts]
    promise = next(iter(plan.reservations))
    assert (promise.uid, promise.units) == (5, 60)
    assert f"**{(promise.start_ms - 24 * HOUR_MS) // HOUR_MS}:00" in example.text.replace("at ", "")


@pytest.mark.parametrize("page", ["order.md", "order.zh-CN.md"])
def test_uses_and_cores_left_are_right(page: str) -> None:
    example = Example(page)
    held = {city: int(holds) for city, _, _, holds in example.cities}
    by_runs = {city: sum(int(r[3]) for r in example.runs if r[1] == city) for city in held}
    assert held == by_runs
    used = dict.fromkeys(held, Fraction(0))
    for _, city, _, cores, ends in example.runs:
        used[city] += Fraction(int(cores) * (at_ms(ends) - NOW_MS), HOUR_MS)
    asked = {job: (city, int(cores), limit) for job, city, _, cores, limit, _ in example.jobs}
    waiting = {row[1] for row in example.starts}
    for _, uid, *uses, left in example.starts:
        for (city, weight, _, _), told in zip(example.cities, uses, strict=True):
            if told:
                assert f"{float(used[city] / int(weight)):.2f}" == told
            else:
                assert not [one for one in waiting if asked[one][0] == city]
        city, cores, limit = asked[uid]
        held[city] += cores
        used[city] += cores * int(limit.split()[0])
        waiting.remove(uid)
        assert CORES - sum(held.values()) == int(left)
