"""Centers as people see them: runs by how they stand, and why calls are not made."""

import os

import pytest
from corridor.v1 import center_service_pb2 as pb

from scheduler.cli import center_views
from scheduler.cli.given import Given
from scheduler.cli.session import Session


@pytest.fixture
def session() -> Session:
    """A command in English, of no service."""
    return Session("center show", Given(lang="en"), os.environ)


def test_runs_are_told_by_how_they_stand(session: Session) -> None:
    runs = pb.CenterRuns(pending=1, accepted=2, running=1_200, unknown=3, ending=4)
    center = pb.Center(active_runs=1_206, runs=runs)
    assert center_views.runs_text(session, center) == (
        "1,206 (1 to be sent, 2 in its queue, 1,200 running, 3 unknown); 4 are to end"
    )
    assert center_views.runs_text(session, pb.Center()) == "0"


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        (pb.CenterGate(passes=True), ""),
        (pb.CenterGate(passes=True, calls_per_second=20), "at most 20 a second"),
        (pb.CenterGate(unanswered_calls=5),
         "none: 5 in a row were not answered, the next is tried in 0.0 s"),
    ],
)  # fmt: skip
def test_what_limits_calls_is_told(
    session: Session, capsys: pytest.CaptureFixture[str], gate: pb.CenterGate, told: str
) -> None:
    center_views.show(session, pb.Center(center="a", gate=gate, last_error="Unavailable: no"))
    shown = capsys.readouterr().out
    assert ("calls" in shown) == bool(told)
    assert told in shown
    assert "last error" in shown
    assert "Unavailable: no" in shown


def test_a_center_that_asked_for_quiet_is_left_alone(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = pb.CenterGate(passes=True, calls_per_second=0.5)
    gate.next_call.FromMilliseconds(2_500)
    center_views.show(session, pb.Center(center="a", gate=gate))
    assert "at most 0.5 a second, the center asked for quiet for 2.5 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("center", "told"),
    [
        (pb.Center(reachable=True), set()),
        (pb.Center(), {"does not answer"}),
        (pb.Center(health_unknown=True), {"not known now"}),
    ],
)
def test_a_center_of_which_nobody_can_say_does_not_count_as_silent(
    session: Session, capsys: pytest.CaptureFixture[str], center: pb.Center, told: set[str]
) -> None:
    center_views.show(session, center)
    out = capsys.readouterr().out
    assert {one for one in ("does not answer", "not known now") if one in out} == told
