"""Operators' verbs on a service: centers shown live, emptied by a deadline, and taken stock of."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.cli import conftest

SC, FLAVOR = "wuhan-sc", "wuhan-sc/kunpeng-920"
WHO = "sample-wuhan-1"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A service for the tests here, which open and close its centers."""
    yield from conftest._served(tmp_path_factory.mktemp("centers"))


@pytest.fixture
def own(service: Any) -> Iterator[Any]:
    """The same with no job and with open centers at each test's end."""
    yield service
    jobs = service.ok("jobs", "--json").json["jobs"]
    left = [job["job_id"] for job in jobs if job["state"] in ("QUEUED", "RUNNING")]
    if left:
        service.ok("cancel", *left, "--reason", "the test is over")
    service.ok("center", "resume", SC, "--reason", "the test is over")
    for _ in range(600):
        if not center(service)["active_runs"]:
            return
    raise AssertionError("runs do not end")


def submit(own: Any, job_text: Any, *names: str, runtime_s: int = 600_000) -> list[str]:
    """Jobs whose runs take long, submitted and running."""
    texts = [job_text(name, runtime_s=runtime_s).replace("2h", "13d") for name in names]
    ids: list[str] = own.ok("submit", own.file("---\n".join(texts)), who=WHO).lines
    for job in ids:
        wait_for(own, job, "RUNNING")
    return ids


def wait_for(own: Any, job: str, state: str) -> None:
    """Wait until a job is in a state, told by its own events."""
    for _ in range(600):
        if own.ok("job", job, "--json").json["state"] == state:
            return
    raise AssertionError(f"{job} is not {state}")


def center(own: Any, code: str = SC) -> Any:
    return own.ok("center", "show", code, "--json").json


def test_centers_are_shown_live(own: Any, job_text: Any) -> None:
    submit(own, job_text, "one", "two")
    for _ in range(600):
        shown = center(own)
        flavors = {one["flavor"]: one for one in shown["flavors"]}
        if flavors[FLAVOR]["center_used_units"] is not None and shown["runs"]["running"] == 2:
            break
    assert flavors[FLAVOR]["used_units"] == 8
    assert flavors[FLAVOR]["waiting_jobs"] == 0
    assert shown["gate"]["passes"]
    assert shown["runs"] == {
        "pending": 0, "submitting": 0, "accepted": 0, "running": 2, "unknown": 0, "ending": 0,
    }  # fmt: skip
    out = own.ok("center", "show", SC).out
    assert re.search(r"^active runs +2 \(2 running\)$", out, re.MULTILINE), out
    heads = own.ok("center", "list").lines[0]
    assert "THERE" in heads
    assert "THEIR QUEUE" in heads
    assert "本队列" in own.ok("center", "list", CORRIDOR_LANG="zh").lines[0]


def test_a_center_is_emptied_by_a_deadline_while_somebody_watches(own: Any, job_text: Any) -> None:
    [job] = submit(own, job_text, "long")
    drain = ("center", "drain", SC, "--reason", "new racks")
    refused = own.run(*drain, "--deadline", "yesterday")
    assert refused.code == 2
    told = own.ok(*drain, "--deadline", "30m")
    assert re.search(r"^state +DRAINING", told.out, re.MULTILINE), told.out
    assert "to be empty by" in told.out
    assert own.ok("job", job, "--json").json["state"] == "RUNNING"
    ran = own.ok("center", "watch", SC)
    assert ran.lines[0].startswith("wuhan-sc: runs left: 1 (1 running)")
    assert ran.lines[-1] == "wuhan-sc is empty."
    wait_for(own, job, "QUEUED")
    own.ok("center", "resume", SC, "--reason", "done")
    assert center(own)["drain_deadline"] is None
    wait_for(own, job, "RUNNING")
    attempts = [run["state"] for run in own.ok("job", job, "--json").json["runs"]]
    assert attempts == ["PREEMPTED", "RUNNING"]


def test_a_drain_may_be_watched_as_json_from_its_beginning(own: Any, job_text: Any) -> None:
    submit(own, job_text, "long")
    drained = own.ok("center", "drain", SC, "--reason", "fire", "--watch", "--json")
    rows = [json.loads(line) for line in drained.lines]
    assert [rows[0]["active_runs"], rows[-1]["active_runs"]] == [1, 0]
    assert {row["state"] for row in rows} == {"DRAINING"}
    assert rows[0]["drain_deadline"] is None


def test_who_watches_a_center_that_is_not_drained_is_told(own: Any) -> None:
    ran = own.run("center", "watch", SC)
    assert ran.code == 1
    assert ran.lines[-1] == "wuhan-sc is not drained: it was opened or cordoned."


def test_stock_is_taken_of_a_center(own: Any, job_text: Any) -> None:
    submit(own, job_text, "one", "two")
    found = own.ok("center", "reconcile", SC, "--json").json
    assert (found["agreed_count"], found["run_count"], found["runs"]) == (2, 0, [])
    assert found["look_time"] is not None
    lines = own.ok("center", "reconcile", SC).lines
    assert re.match(
        r"Looked at wuhan-sc .+: 2 runs as we think, 0 wait here to be sent\.", lines[0]
    )
    assert lines[1] == "Nothing differs."
    assert own.run("center", "reconcile", "mars").code == 1


def test_a_stray_is_told_of_and_left_alone(own: Any, job_text: Any) -> None:
    """A run with our mark that the store knows nothing of: as after a restored backup."""
    submit(own, job_text, "known")
    own.stop()
    journal = own.home / "data" / "centers" / f"{SC}.journal"
    lines = journal.read_text("utf-8").splitlines()
    taken = [json.loads(line) for line in lines if '"name"' in line and '"submit_ms"' in line][-1]
    stray = taken | {
        "run_id": "j00000000000zz.1", "name": "corridor-j00000000000zz.1", "native_id": "sim-9999",
    }  # fmt: skip
    journal.write_text("\n".join([*lines, json.dumps(stray)]) + "\n", "utf-8")
    own.start()
    for lang, word in (("en", "stray"), ("zh", "来历不明")):
        ran = own.run("center", "reconcile", SC, CORRIDOR_LANG=lang)
        assert ran.code == 1
        assert re.search(rf"^j00000000000zz\.1 +{word} +sim-9999", ran.out, re.MULTILINE), ran.out
