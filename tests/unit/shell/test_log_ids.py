"""Lines of the log say whom they are about: the run spoken of, or the call that is served."""

import contextvars
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import structlog

from adapters.telling import about
from scheduler import logs
from scheduler.domain.principal import Principal, Role
from scheduler.domain.traces import Chooser
from scheduler.rpc import call_trace, caller
from scheduler.services.submission_desk import SubmissionDesk
from scheduler.store.submission_book import Revision
from scheduler.store.submissions import Fate, Key, Submission

RUN, OTHER = "j0fdgz1jxr7p00.2", "j0fdgz1jxr7p01.1"
ADMIN = Principal("li", Role.CITY_ADMIN, "wuhan", None, None, "", 0)


class Run:
    """A run of a followed job."""

    said: Mapping[str, str] = {"run": RUN, "city": "wuhan", "enterprise": "w1", "trace_id": "t"}


def written(capfd: pytest.CaptureFixture[str], say: Callable[[], None]) -> list[dict[str, Any]]:
    """What is written when somebody speaks, without level and time."""
    logs.set_up("json", "debug")
    try:
        say()
    finally:
        structlog.reset_defaults()
        logging.basicConfig(handlers=[], force=True)
    found = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    return [{k: v for k, v in one.items() if k not in ("level", "timestamp")} for one in found]


def test_what_names_nobody_is_about_the_run_that_is_spoken_of(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def say() -> None:
        library = logging.getLogger("a.library")
        with about(Run()):
            structlog.get_logger().info("ours", center="ai")
            library.warning("%d %% full", 90)
        library.warning("nothing")

    ids = {**Run.said, "job": RUN.partition(".")[0]}
    assert written(capfd, say) == [
        {"event": "ours", "center": "ai", **ids},
        {"event": "90 % full", "logger": "a.library", **ids},
        {"event": "nothing", "logger": "a.library"},
    ]


def test_what_names_another_run_is_about_that_one_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def say() -> None:
        with about(Run()):
            logging.getLogger("a.library").warning("job corridor-%s is in the way", OTHER)
            structlog.get_logger().info("ours", run=OTHER)
            logging.getLogger("a.library").warning("%s waits for %s", RUN, OTHER)

    other = {"run": OTHER, "job": OTHER.partition(".")[0]}
    first, second, both = written(capfd, say)
    assert first == {
        "event": f"job corridor-{OTHER} is in the way", "logger": "a.library", **other,
    }  # fmt: skip
    assert second == {"event": "ours", **other}
    assert both["run"] == RUN, "of several it is the one that is spoken of"


def test_a_call_has_its_callers_ids_and_its_trace(capfd: pytest.CaptureFixture[str]) -> None:
    def serve() -> None:
        chooser = Chooser(0.0, 0.0, lambda count: b"\xab" * count, lambda: 0.0)
        call_trace.CallTraces(None, chooser).begin("/s/m", ())  # type: ignore[arg-type]
        caller.set_current(ADMIN)
        structlog.get_logger().info("ours", city="ezhou")
        structlog.get_logger().info("ours")

    trace = {"trace_id": "ab" * 16, "span_id": "ab" * 8}
    assert written(capfd, lambda: contextvars.copy_context().run(serve)) == [
        {"event": "ours", "city": "ezhou", **trace}, {"event": "ours", "city": "wuhan", **trace},
    ]  # fmt: skip


async def test_what_works_for_all_calls_has_the_caller_of_none() -> None:
    seen = []

    class Store:
        async def write(self, _call: Any) -> list[Fate]:
            seen.append(caller.known())
            return [Fate.STORED]

    caller.set_current(ADMIN)
    one = Submission(Key("w1", "one", b""), Revision(0), [], b"", 0)
    assert await SubmissionDesk().store(Store(), one) is Fate.STORED  # type: ignore[arg-type]
    assert (seen, caller.known()) == ([None], ADMIN)
