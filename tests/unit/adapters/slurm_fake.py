"""A Slurm in memory, as an adapter sees it: a controller, a lagging accounting, and their faults.

It speaks v0.0.38 at the place of the wire. Time is ``now_s``, moved by ``pause``.
"""

import base64
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from adapters.contract import RunRequest, boot_s
from adapters.slurm.center import SlurmCenter
from adapters.slurm.settings import SlurmSettings
from adapters.wire import Answer, AnswerLost, NotSent

START_S = 1_700_000_000
LAG_S = 5
ELIGIBLE_S = 1  # after its submission a job may begin
CPU = "wuhan-sc/kunpeng-920"
PARTITIONS = {
    CPU: {
        "partition": "cpu", "unit": "core", "units": 128, "units_per_node": 64,
        "architecture": "aarch64",
    },
}  # fmt: skip


@dataclass(slots=True)
class Job:
    """A native job; ``told_s`` is when accounting heard of it."""

    job_id: int
    name: str
    submit_s: int
    comment: str
    told_s: float
    user: str = "corridor"
    state: str = "PENDING"
    reason: str = "None"
    start_s: int = 0
    end_s: int = 0
    exit_status: int = 0
    restarts: int = 0
    forgotten: bool = False  # by the controller
    purged: bool = False
    start_told_s: float = 0.0  # when accounting hears of its start
    closed: bool = False  # in accounting by an operator, after it was forgotten
    risen: str = ""  # the controller's word of a job whose end it forgot


@dataclass(slots=True)
class FakeSlurm:
    """``lose_answers`` submissions are taken and not answered; ``faults`` strike other calls."""

    now_s: float = float(START_S)
    jobs: list[Job] = field(default_factory=list)
    began_s: int = START_S - 100
    next_id: int = 1
    lose_answers: int = 0
    drop_calls: int = 0
    controller_up: bool = True
    accounting_up: bool = True
    accounting_queue: int = 0
    submitted: int = 0  # by all users of the center
    pending: int = 0
    diagnosis_s: float = 0.0  # how long the controller takes for it
    submit_errors: list[dict[str, Any]] = field(default_factory=list)
    refuse: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    signaled: list[int] = field(default_factory=list)
    host: str = "fake"

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds

    async def close(self) -> None:
        """See ``Wire``."""

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        read_s: float,
        send_by_s: float = math.inf,
    ) -> Answer:
        """See ``Wire``."""
        if boot_s() >= send_by_s:
            raise NotSent("too late")
        assert headers["X-SLURM-USER-TOKEN"].count(".") == 2
        parts = urlsplit(target)
        query = {key: value[0] for key, value in parse_qs(parts.query).items()}
        kind = f"{method} {parts.path}" if parts.path.startswith("/openapi") else parts.path[1:]
        self.calls[kind.split("/job/")[0]] += 1
        if self.drop_calls:
            self.drop_calls -= 1
            raise NotSent("refused")
        if parts.path == "/openapi/v3":
            return Answer(200, {}, b'{"paths": {"\\/slurm\\/v0.0.38\\/ping": {}}}')
        area, _, what = parts.path.strip("/").split("/", 2)
        if area == "slurmdb":
            return self._accounting(what, query)
        if not self.controller_up:
            return _answer(500, {"errors": [{"error_code": 1800, "error": "no controller"}]})
        if what == "job/submit":
            return self._submit(json.loads(body))
        return self._controller(method, what)

    def _submit(self, body: dict[str, Any]) -> Answer:
        self.bodies.append(body)
        if self.refuse:
            return _answer(500, {"errors": self.submit_errors})
        job = self.add(body["job"]["name"], body["job"]["comment"])
        if self.submit_errors:
            job.reason = "PartitionTimeLimit"
        if self.lose_answers:
            self.lose_answers -= 1
            raise AnswerLost("cut")
        return _answer(200, {"job_id": job.job_id, "errors": self.submit_errors})

    def add(self, name: str, comment: str = "", user: str = "corridor") -> Job:
        """A job that somebody submits now."""
        now_s = int(self.now_s)
        job = Job(self.next_id, name, now_s, comment, self.now_s + LAG_S, user)
        self.next_id += 1
        self.jobs.append(job)
        return job

    def forget(self, *jobs: Job) -> None:
        """The controller is killed: these are gone, and their ids are given out again."""
        for job in jobs:
            job.forgotten = True
        kept = [job.job_id for job in self.jobs if not job.forgotten]
        self.next_id = max(kept, default=0) + 1
        self.began_s = int(self.now_s)

    def rise(self, job: Job, state: str) -> None:
        """The controller is killed and forgets an end, of which accounting was told."""
        job.risen = state
        self.began_s = int(self.now_s)

    def named(self, name: str) -> list[Job]:
        """All jobs of a name, also those forgotten."""
        return [job for job in self.jobs if job.name == name]

    def run(self, job: Job) -> None:
        """It starts."""
        job.state, job.start_s = "RUNNING", int(self.now_s)

    def end(self, job: Job, state: str = "COMPLETED", exit_status: int = 0) -> None:
        """It ends."""
        job.state, job.exit_status, job.end_s = state, exit_status, int(self.now_s)

    def _here(self, job_id: str) -> Job | None:
        live = [one for one in self.jobs if not one.forgotten and not one.purged]
        return next((one for one in reversed(live) if str(one.job_id) == job_id), None)

    def _controller(self, method: str, what: str) -> Answer:
        if what == "diag":
            self.now_s += self.diagnosis_s
            numbers = {
                "req_time": int(self.now_s), "req_time_start": self.began_s, "jobs_running": 0,
                "jobs_submitted": self.submitted, "jobs_pending": self.pending,
                "dbd_agent_queue_size": self.accounting_queue,
            }  # fmt: skip
            return _answer(200, {"statistics": numbers, "errors": []})
        if what == "ping":
            return _answer(200, {"pings": [{"hostname": "c", "ping": "UP", "mode": "primary"}]})
        if what == "partitions":
            cpu = {"name": "cpu", "state": "UP", "nodes": "n[1-2]", "max_time_limit": 60}
            return _answer(200, {"partitions": [cpu], "errors": []})
        if what == "nodes":
            node = {"state": "idle", "state_flags": [], "cpus": 64, "alloc_cpus": 8, "gres": ""}
            drained = {**node, "name": "n2", "state_flags": ["DRAIN"]}
            return _answer(200, {"nodes": [{**node, "name": "n1"}, drained], "errors": []})
        job = self._here(what.removeprefix("job/"))
        if job is None:
            return _answer(500, {"errors": [{"error_number": 2017}], "jobs": []})
        if method == "DELETE":
            self.signaled.append(job.job_id)
            self.end(job, "CANCELLED")
            job.risen = ""
            return _answer(200, {"errors": []})
        return _answer(200, {"jobs": [self._record(job)], "errors": []})

    def _record(self, job: Job) -> dict[str, Any]:
        return {
            "job_id": job.job_id, "name": job.name, "user_name": job.user, "cluster": "lab",
            "job_state": job.risen or job.state, "state_reason": job.reason,
            "state_description": "", "submit_time": job.submit_s, "start_time": job.start_s,
            "end_time": job.end_s, "exit_code": job.exit_status, "restart_cnt": job.restarts,
            "comment": job.comment, "tres_alloc_str": "cpu=1,node=1" if job.start_s else "",
            "partition": "cpu", "account": "wuhan", "standard_output": "",
        }  # fmt: skip

    def _accounting(self, what: str, query: Mapping[str, str]) -> Answer:
        if not self.accounting_up:
            return _answer(200, {"jobs": [], "errors": [{"error_number": 7000}]})
        if what == "associations":
            mine = {"user": "corridor", "account": "wuhan"}
            return _answer(200, {"associations": [mine], "errors": []})
        found = [self._told(job) for job in self.jobs if self._matches(job, query)]
        errors = [] if found else [{"error_number": 9003}]
        return _answer(200, {"jobs": found, "errors": errors})

    def _matches(self, job: Job, query: Mapping[str, str]) -> bool:
        if job.told_s > self.now_s:
            return False
        if "job_name" in query:
            return job.name in query["job_name"].split(",")
        start_s, end_s = (int(query[key].removeprefix("uts")) for key in ("start_time", "end_time"))
        states = query["state"].split(",")
        if "nodes_min" in query:
            return start_s < job.start_s <= end_s
        if job.closed:
            at_s = max(job.start_s, job.submit_s + ELIGIBLE_S)
            return "COMPLETED" in states and start_s <= at_s <= end_s
        if job.end_s:
            return job.state in states and start_s <= job.end_s <= end_s
        return job.state in states

    def _told(self, job: Job) -> dict[str, Any]:
        gone = job.forgotten and not job.end_s
        start_s = job.start_s if job.start_told_s <= self.now_s else 0
        state = "RUNNING" if gone and job.start_s else job.state
        end_s = job.end_s
        if job.closed:
            state, end_s = "COMPLETED", max(start_s, job.submit_s + ELIGIBLE_S)
        return {
            "job_id": job.job_id, "name": job.name, "user": job.user, "cluster": "lab",
            "state": {"current": state, "reason": ""},
            "time": {"submission": job.submit_s, "start": start_s, "end": end_s,
                     "eligible": job.submit_s + ELIGIBLE_S,
                     "elapsed": max(0, end_s - start_s) if start_s else 0},
            "exit_code": {"status": "SUCCESS", "return_code": 0}, "comment": {"job": job.comment},
            "tres": {"allocated": [{"type": "cpu", "name": None, "count": 1},
                                   {"type": "node", "name": None, "count": 1}]
                     if start_s else []},
            "partition": "cpu", "account": "wuhan",
        }  # fmt: skip


def _answer(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, {}, json.dumps({"errors": [], **body}).encode())


def make_token(**claims: Any) -> str:
    """A token as Slurm's, unsigned."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "s"])


def make_settings(folder: Path, **changes: Any) -> SlurmSettings:
    """Settings of a center whose token lies in ``folder``."""
    token = folder / "token"
    token.write_text(make_token(sun="corridor"))
    given = {
        "endpoint": "http://fake:6820", "user": "corridor", "token": {"file": str(token)},
        "cluster": "lab", "work_dir": "/work", "partitions": PARTITIONS, "look_s": 2.0,
    }  # fmt: skip
    return SlurmSettings.parse("wuhan-sc", {**given, **changes})


def make_center(fake: FakeSlurm, settings: SlurmSettings) -> SlurmCenter:
    """An adapter on the fake, whose time is the fake's."""
    return SlurmCenter(
        settings,
        lambda: round(fake.now_s * 1000),
        lambda ms: ms / 1000,
        fake,
        lambda: fake.now_s,
        fake.pause,
    )


def make_request(number: int = 1, **changes: Any) -> RunRequest:
    """A run of one core."""
    fields: dict[str, Any] = {
        "run_id": f"j{number}.1", "name": f"corridor-j{number}.1", "epoch": 1, "city": "wuhan",
        "enterprise": "e", "flavor": CPU, "units_per_node": 1, "nodes": 1, "wall_limit_s": 60,
        "script": "#!/bin/sh\ntrue\n", "fresh": True,
    }  # fmt: skip
    return RunRequest(**{**fields, **changes})
