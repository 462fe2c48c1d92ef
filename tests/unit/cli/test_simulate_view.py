"""The screen of ``corridor quota simulate`` says what its waits leave out."""

import pytest
from corridor.v1 import simulation_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from scheduler.cli import simulate_views
from scheduler.cli.given import Given
from scheduler.cli.session import Session
from scheduler.whatif.scenarios import HISTORY, TODAY


def session(lang: str) -> Session:
    """A session that has asked the service for names already."""
    made = Session("quota simulate", Given(lang=lang), {"XDG_CONFIG_HOME": "/nonexistent"})
    vars(made)["_names"] = {"ezhou": "鄂州"}
    return made


def scenario(name: str, unstarted: int) -> pb.ScenarioFigures:
    """Ezhou in all and of one flavor, with jobs that do not start."""
    rows = [
        pb.CityFigures(
            city="ezhou", flavor=flavor, jobs=2_000, unstarted_jobs=unstarted,
            mean_wait=Duration(seconds=3_600),
        )
        for flavor in ("", "a/b")
    ]  # fmt: skip
    return pb.ScenarioFigures(scenario=name, cities=rows)


def result(unstarted: int) -> pb.SimulationResult:
    """As it was, today, and one scenario."""
    found = [scenario(HISTORY, 1_200), scenario(TODAY, 0), scenario("tight", unstarted)]
    return pb.SimulationResult(
        scenarios=found, jobs=2_000, place=pb.SimulationResult.PLACE_PROCESSES,
        why_not_ray="Ray is not up",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lang", "waits", "never", "said", "ray"),
    [
        (
            "en",
            "(1,200 still wait)",
            "(1,100 never start)",
            "tight: 1,100 jobs never start",
            "not up",
        ),
        (
            "zh",
            "（1,200 个仍在等待）",
            "（1,100 个无法开始）",
            "1,100 个作业无法开始",
            "Ray 未启动",
        ),
    ],
)
def test_jobs_that_never_start_are_told_apart_from_those_that_still_wait(
    capsys: pytest.CaptureFixture[str], lang: str, waits: str, never: str, said: str, ray: str
) -> None:
    simulate_views.show(session(lang), result(1_100))
    out = capsys.readouterr().out
    assert out.count(waits) == out.count(never) == 1
    assert out.count(said) == 1, "the history's jobs still wait"
    assert ray in out


def test_where_all_start_nothing_is_said_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    simulate_views.show(session("en"), result(0))
    assert "never start" not in capsys.readouterr().out
    assert simulate_views.unstarted(result(0)) == {}
