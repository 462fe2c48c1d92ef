"""SimulateQuotas over the API: progress and result, who sees what, bounds, and its end."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import simulation_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from scheduler.domain.principal import Role
from scheduler.settings import SimulationSettings
from tests.simulation.days import random_day
from tests.simulation.world import CPU, NPU

Start = Callable[..., Any]


@pytest.fixture(scope="module")
def a_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A database with a day of jobs that all have ended, and the time at its end."""
    day = random_day(4)
    day.go_on_to(None)
    path = tmp_path_factory.mktemp("day") / "corridor.db"
    with sqlite3.connect(path) as file:
        day.it.db._raw.backup(file)
    file.close()
    return path, day.it.clock.ms + 1


@pytest.fixture
async def corridor(start_corridor: Start, a_day: tuple[Path, int]) -> Any:
    """A service with that history."""
    path, now_ms = a_day
    service = await start_corridor(data=path)
    service.clock.ms = now_ms
    return service


def limits(city: str, flavor: str, **units: Any) -> pb.CityLimitsChange:
    return pb.CityLimitsChange(city=city, flavor=flavor, **units)


MORE = pb.Scenario(name="more", cities=[limits("ezhou", NPU, nominal_units=6)])


async def told(call: Any) -> tuple[list[pb.SimulationProgress], pb.SimulationResult]:
    """The progress and the result of a call."""
    progress: list[pb.SimulateQuotasResponse] = []
    results: list[pb.SimulateQuotasResponse] = []
    async for one in call:
        assert not results, "the result comes last"
        (results if one.HasField("result") else progress).append(one)
    (result,) = results
    return [one.progress for one in progress], result.result


async def begins(call: Any) -> bool:
    """Whether a call is taken; it is ended then."""
    first = await anext(aiter(call))
    call.cancel()
    return bool(first.progress.phase == pb.SimulationProgress.PHASE_READING)


def figures(result: pb.SimulationResult, scenario: str, city: str, flavor: str = "") -> Any:
    (found,) = [one for one in result.scenarios if one.scenario == scenario]
    (row,) = [row for row in found.cities if (row.city, row.flavor) == (city, flavor)]
    return row


def cities(result: pb.SimulationResult) -> set[str]:
    return {row.city for scenario in result.scenarios for row in scenario.cities}


def ask(service: Any, who: Any, *scenarios: pb.Scenario, days: int = 7) -> Any:
    request = pb.SimulateQuotasRequest(days=days, scenarios=scenarios)
    return service.quotas.SimulateQuotas(request, metadata=who)


async def test_an_operator_sees_every_scenario_beside_today_and_what_was(corridor: Any) -> None:
    progress, result = await told(ask(corridor, corridor.operator(), MORE))
    assert progress[0].phase == pb.SimulationProgress.PHASE_READING
    assert [one.scenario for one in result.scenarios] == ["history", "today", "more"]
    assert cities(result) == {"ezhou", "wuhan", "xianning"}
    assert result.jobs == 120
    assert result.estimated_jobs == 0
    assert (result.place, result.why_not_ray) == (
        pb.SimulationResult.PLACE_PROCESSES, "Ray is not up",
    )  # fmt: skip
    # Nothing was changed since: the present settings give what really happened.
    for city in cities(result):
        was = figures(result, "history", city)
        was_today = figures(result, "today", city)
        assert was == was_today
    today, more = (figures(result, name, "ezhou", NPU) for name in ("today", "more"))
    assert more.jobs == today.jobs
    assert more.borrowed_unit_hours < today.borrowed_unit_hours
    assert more.share_of_nominal < today.share_of_nominal
    assert today.gross_fen > today.subsidy_fen > 0
    assert [one.flavor for one in result.scenarios[0].flavors] == [NPU, CPU, "sc/free"]


async def test_an_auditor_may_ask_and_a_member_may_not(corridor: Any, refusal: Any) -> None:
    assert await begins(ask(corridor, corridor.token(Role.AUDITOR), MORE))
    member = await refusal(told(ask(corridor, corridor.member("w1"), MORE)))
    assert member.code == grpc.StatusCode.PERMISSION_DENIED


async def test_a_city_sees_itself_and_of_two_others_nothing(corridor: Any) -> None:
    progress, result = await told(ask(corridor, corridor.city_admin("ezhou"), MORE))
    assert cities(result) == {"ezhou"}
    assert {one.total_jobs for one in progress} <= {0, 1_000}
    assert result.jobs == figures(result, "today", "ezhou").jobs < 120
    for one in result.scenarios:
        assert one.withheld
        assert not one.HasField("evictions")
        assert not any(flavor.HasField("utilization") for flavor in one.flavors)
    _, whole = await told(ask(corridor, corridor.operator(), MORE))
    for name in ("history", "today", "more"):
        assert figures(result, name, "ezhou") == figures(whole, name, "ezhou")


async def test_every_kind_of_change_is_played(corridor: Any) -> None:
    scenario = pb.Scenario(
        name="all",
        cities=[limits("ezhou", NPU, borrow_without_limit=True, lend_limit_units=1),
                limits("wuhan", NPU, lend_all=True, borrow_limit_units=0)],
        enterprises=[pb.EnterpriseCapChange(enterprise="x1", flavor=CPU, cap_units=0)],
        flavors=[pb.FlavorChange(flavor=NPU, capacity_units=6, reclaim="lease",
                                 lease=Duration(seconds=3600))],
        order=pb.OrderChange(ageing=Duration(seconds=60), usage_half_life=Duration(seconds=9000)),
    )  # fmt: skip
    _, result = await told(ask(corridor, corridor.operator(), scenario))
    flavors = {one.flavor: one.capacity_units for one in result.scenarios[2].flavors}
    assert flavors[NPU] == 6
    capped = figures(result, "all", "xianning")
    assert capped.unstarted_jobs > 0
    assert figures(result, "today", "xianning").unstarted_jobs == 0


@pytest.mark.parametrize(
    ("scenarios", "days", "field"),
    [
        ([], 7, "scenarios"),
        ([MORE], 93, "days"),
        ([MORE], -1, "days"),
        ([pb.Scenario(name="x")], 7, "scenarios[0]"),
        ([MORE, pb.Scenario(name="more", cities=MORE.cities)], 7, "scenarios[1].name"),
        ([pb.Scenario(name="x", cities=[limits("ezhou", "gpu", nominal_units=1)])], 7,
         "scenarios[0].cities[0].flavor"),
        ([MORE, pb.Scenario(name="x", cities=[limits("nowhere", NPU, nominal_units=1)])], 7,
         "scenarios[1].cities[0].city"),
        ([pb.Scenario(name="x", cities=[limits("ezhou", NPU, nominal_units=-5)])], 7,
         "scenarios[0].cities[0].nominal"),
        ([pb.Scenario(name="x", order=pb.OrderChange(ageing=Duration(seconds=-5)))], 7,
         "scenarios[0].policy.ageing"),
    ],
)  # fmt: skip
async def test_wrong_fields_are_named(
    corridor: Any, refusal: Any, scenarios: list[pb.Scenario], days: int, field: str
) -> None:
    found = await refusal(told(ask(corridor, corridor.operator(), *scenarios, days=days)))
    assert found.code == grpc.StatusCode.INVALID_ARGUMENT
    assert found.fields == (field,)


async def test_a_city_admin_learns_nothing_of_enterprises_elsewhere(
    corridor: Any, refusal: Any
) -> None:
    who = corridor.city_admin("ezhou")
    said = []
    for code in ("w1", "nobody"):
        cap = pb.EnterpriseCapChange(enterprise=code, flavor=NPU, cap_units=1)
        call = ask(corridor, who, pb.Scenario(name="x", enterprises=[cap]))
        found = await refusal(told(call))
        assert found.fields == ("scenarios[0].enterprises[0].enterprise",)
        said.append(found.message.replace(code, "CODE"))
    assert said[0] == said[1]
    own = pb.EnterpriseCapChange(enterprise="e1", flavor=NPU, cap_units=1)
    assert await begins(ask(corridor, who, pb.Scenario(name="x", enterprises=[own])))


async def test_too_many_jobs_are_refused_with_what_to_do(
    start_corridor: Start, a_day: tuple[Path, int], refusal: Any
) -> None:
    path, now_ms = a_day
    service = await start_corridor(data=path, simulation=SimulationSettings(jobs_max=119))
    service.clock.ms = now_ms
    found = await refusal(told(ask(service, service.operator(), MORE)))
    assert found.fields == ("days",)
    assert "120 jobs in these days, and at most 119" in found.message
    found = await refusal(told(ask(service, service.city_admin("ezhou"), MORE)))
    assert "there are more jobs in these days, and at most 119" in found.message


# --- its end --------------------------------------------------------------------------------------


def many(path: Path, times: int) -> None:
    """Let the day come many times over, a day apart; only its jobs count."""
    with sqlite3.connect(path) as file:
        names = [row[1] for row in file.execute("PRAGMA table_info(job)")]
        moved = {
            "uid": "uid + n * 1000000000", "submit_ms": "submit_ms + n * 20000",
            "state": "'QUEUED'", "end_ms": "NULL", "attempt": "0", "not_before_ms": "0",
        }  # fmt: skip
        chosen = ", ".join(moved.get(name, name) for name in names)
        file.execute(
            f"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {times})"
            f" INSERT INTO job ({', '.join(names)}) SELECT {chosen} FROM job, t"
        )
    file.close()


def processes(folder: Path) -> list[bytes]:
    """Command lines of processes that work for a simulation whose files are in a folder."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            words = (one / "cmdline").read_bytes()
        except OSError:
            continue
        if f"{folder}/corridor-simulation-".encode() in words:
            found.append(words)
    return found


async def gone(folder: Path) -> None:
    """Wait until no process of a simulation is left."""
    while processes(folder):  # noqa: ASYNC110 - nobody tells of the end of a process of another's
        await asyncio.sleep(0.05)


async def test_a_call_that_is_cancelled_ends_its_processes_and_makes_room(
    start_corridor: Start, a_day: tuple[Path, int], tmp_path: Path, refusal: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # others' simulations are elsewhere
    path = tmp_path / "many.db"
    path.write_bytes(a_day[0].read_bytes())
    many(path, 100)
    service = await start_corridor(data=path, simulation=SimulationSettings(at_once=1))
    service.clock.ms = a_day[1] + 100 * 20_000
    who = service.operator()
    call = ask(service, who, MORE)
    async for one in call:
        if one.progress.phase == pb.SimulationProgress.PHASE_PLAYING and one.progress.ended_jobs:
            break
    assert 0 < one.progress.ended_jobs < one.progress.total_jobs == 2 * 120 * 101
    assert processes(tmp_path)
    busy = await refusal(told(ask(service, who, MORE)))
    assert busy.code == grpc.StatusCode.UNAVAILABLE
    assert "simulations run" in busy.message
    call.cancel()
    async with asyncio.timeout(30):
        await gone(tmp_path)
    assert await begins(ask(service, who, MORE))
    async with asyncio.timeout(30):
        await gone(tmp_path)
