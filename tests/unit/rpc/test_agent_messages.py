"""What agents and scheduler say arrives as it was said, every field of it."""

from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any

import pytest
from corridor.v1 import adapter_service_pb2 as pb

from adapters.agent import words
from adapters.contract import (
    Accepted,
    CenterDescription,
    DataRef,
    FailureClass,
    FlavorCapacity,
    LogChunk,
    Observation,
    Phase,
    RunRef,
    RunRequest,
    Usage,
)
from adapters.errors import (
    AdapterError,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
)
from scheduler.rpc import agent_messages as messages
from scheduler.rpc import run_messages as runs

CENTER = "wuhan-sc"
REF = RunRef("j1.1", "corridor-j1.1", "77", 1_700_000_000_000)
SEEN = Observation(
    "j1.1", "77", Phase.FAILED, 4, 1_700_000_000_000, 1_700_000_001_000, 1_700_000_009_000,
    FailureClass.NODE, 3, "结点故障", 2,
)  # fmt: skip
USED = Usage(
    "j1.1", "77", 1_700_000_000_000, 1, 2, 1_700_000_001_000, 1_700_000_009_000, 8, "a" * 64,
    "sacct", FailureClass.PREEMPTED,
)  # fmt: skip
REQUEST = RunRequest(
    "j1.1", "corridor-j1.1", 7, "wuhan", "e1", "wuhan-sc/kunpeng-920", 4, 2, 3600, 1024, "image",
    ("run", "fast"), "#!/bin/sh\n", {"A": "甲"}, (DataRef("s3://in", 5, "cities/wuhan"),),
    (DataRef("s3://out", 6, "centers/wuhan-sc"),), {"l": "m"}, True, 1234.567, "ab" * 16,
)  # fmt: skip
TOLD = words.Told(
    CenterDescription(
        CENTER, "slurm", "0.0.40", True,
        (FlavorCapacity("wuhan-sc/kunpeng-920", 3328, 64, "aarch64", 100, 3),),
    ),
    12.5, 6.0,
)  # fmt: skip
REPORT = words.RunReport(9, REF, SEEN, (USED, replace(USED, failure=None)), True)
ERRORS: list[AdapterError] = [
    Unavailable("down"),
    Throttled("slower", 1.25),
    Rejected("never", "TOO_LARGE"),
    Unauthorized("who"),
    OutcomeUnknown("lost"),
]


def same(said: Any, heard: Any) -> bool:
    """Whether two words are the same; errors are by class and content."""
    if isinstance(said, AdapterError):
        return type(said) is type(heard) and vars(said) == vars(heard) and str(said) == str(heard)
    if is_dataclass(said):
        return type(said) is type(heard) and all(
            same(getattr(said, one.name), getattr(heard, one.name)) for one in fields(said)
        )
    return bool(said == heard)


@pytest.mark.parametrize("sample", [SEEN, USED, REQUEST, REF, REPORT, TOLD.description.flavors[0]])
def test_the_samples_have_something_in_every_field(sample: Any) -> None:
    """A field that the contract gets must be carried too: it fails here until it is."""
    for one in fields(sample):
        value = getattr(sample, one.name)
        assert value != one.default, one.name
        if one.default_factory is not MISSING:
            assert value != one.default_factory(), one.name


@pytest.mark.parametrize(
    "said",
    [
        words.Hello(1, CENTER, "0.1.0", "journal", 7),
        TOLD,
        words.Standing(None, 1.5, 99.25),
        words.Standing(Unavailable("down"), None, 0.0),
        words.Inventory((REPORT,), True, False),
        words.Inventory((), False, True),
        words.Reports((REPORT, replace(REPORT, usage=None), replace(REPORT, usage=()))),
        words.Answer(3, Accepted("j1.1", "77", 1_700_000_000_000)),
        words.Answer(3, words.Found({"j1.1": SEEN})),
        words.Answer(3, words.Measured({"j1.1": (USED,), "j2.1": ()})),
        words.Answer(3, words.Measured({})),
        words.Answer(3, LogChunk(b"\x00\xff", 7, 9, True)),
        words.Answer(3, None),
        *(words.Answer(3, error) for error in ERRORS),
    ],
    ids=lambda said: type(said).__name__,
)
def test_the_agents_words_arrive(said: words.FromAgent) -> None:
    wire = messages.from_agent(said).SerializeToString()
    assert same(said, messages.to_word(CENTER, pb.ConnectRequest.FromString(wire)))


@pytest.mark.parametrize(
    "said",
    [
        words.Welcome(1, 7, 4.5),
        words.Heartbeat(),
        words.Ack(12),
        words.Reconciled(("j1.1", "j2.1"), (REF,)),
        words.Reconciled(()),
        *(
            words.Command(3, 7, body)
            for body in (
                REQUEST,
                replace(REQUEST, fresh=False, send_by_s=float("inf")),
                words.Find((REF, RunRef("j2.1", "n"))),
                words.Find(()),
                words.Cancel(REF),
                words.Notify(REF, 60),
                words.ReadLogs(REF, 5, 6),
                words.ReadUsage((REF,)),
                words.ReadUsage(()),
            )
        ),
    ],
    ids=lambda said: type(getattr(said, "body", said)).__name__,
)
def test_the_schedulers_words_arrive(said: words.ToAgent) -> None:
    wire = messages.from_scheduler(said).SerializeToString()
    assert same(said, messages.to_agent(pb.ConnectResponse.FromString(wire)))


@pytest.mark.parametrize("phase", list(Phase))
def test_each_phase_arrives(phase: Phase) -> None:
    seen = replace(SEEN, phase=phase)
    assert runs.to_observation(runs.from_observation(seen)) == seen


@pytest.mark.parametrize("failure", [None, *FailureClass])
def test_each_failure_arrives(failure: FailureClass | None) -> None:
    seen = replace(SEEN, failure=failure)
    assert runs.to_observation(runs.from_observation(seen)) == seen


def test_windows_never_become_shorter_and_last_moments_never_later() -> None:
    assert runs.milliseconds_of(1.0001) == 1001
    assert runs.milliseconds_before(1.9999) == 1999


def test_an_error_of_a_class_not_known_here_leaves_all_open() -> None:
    assert isinstance(runs.to_error(pb.CallError(error_class=99)), OutcomeUnknown)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        pb.ConnectRequest(answer=pb.CommandAnswer(id=1)),
        pb.ConnectRequest(answer=pb.CommandAnswer(id=1, accepted=pb.RunAccepted(run_id="j1.1"))),
        pb.ConnectRequest(reports=pb.RunReports(runs=[pb.RunReport(run=pb.RunName(run_id="x"))])),
    ],
)
def test_what_makes_no_sense_is_refused(said: pb.ConnectRequest) -> None:
    with pytest.raises(ValueError, match=r"nothing|without|no name"):
        messages.to_word(CENTER, said)


@pytest.mark.parametrize(
    "said",
    [
        pb.ConnectResponse(),
        pb.ConnectResponse(command=pb.AgentCommand(id=1)),
        pb.ConnectResponse(command=pb.AgentCommand(id=1, submit=pb.SubmitRun(run_id="j1.1"))),
    ],
)
def test_commands_that_make_no_sense_are_refused(said: pb.ConnectResponse) -> None:
    with pytest.raises(ValueError, match=r"nothing|no name"):
        messages.to_agent(said)
