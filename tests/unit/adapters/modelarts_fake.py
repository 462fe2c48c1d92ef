"""A wire that a test answers, and the little of a center that is needed behind it."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from adapters.contract import RunRequest, boot_s
from adapters.modelarts import ModelArtsCenter
from adapters.modelarts.auth import KeyAuth
from adapters.modelarts.client import CenterClock, ModelArtsClient
from adapters.modelarts.settings import ModelArtsSettings
from adapters.secrets import SecretRef
from adapters.wire import Answer, NotSent

FLAVOR = "wuhan-ai/ascend-910b"
NOW_MS = 1_795_000_000_000
SECRET = "a-secret-that-must-not-be-told"
Json = dict[str, Any]


def answer(status: int, body: object, **headers: str) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, headers, json.dumps(body).encode())


def settings_mapping(**more: object) -> dict[str, object]:
    """Settings as of a file."""
    return {
        "endpoint": "https://modelarts.example",
        "project_id": "p0",
        "auth": {"ak": {"env": "MA_TEST_AK"}, "sk": {"env": "MA_TEST_SK"}},
        "pools": {
            FLAVOR: {
                "pool_id": "pool-1",
                "units": 32,
                "units_per_node": 8,
                "image": "corridor/train:1",
                "flavor_ids": {"1": "f.1", "2": "f.2", "4": "f.4", "8": "f.8"},
            }
        },
        "calls_per_s": 0,
        **more,
    }


def parsed(**more: object) -> ModelArtsSettings:
    """The same, read."""
    return ModelArtsSettings.parse("wuhan-ai", settings_mapping(**more))


def make_request(run_id: str = "j1.1", **more: Any) -> RunRequest:
    """A run of one whole node."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "name": f"corridor-{run_id}",
        "epoch": 3,
        "city": "ezhou",
        "enterprise": "e1",
        "flavor": FLAVOR,
        "units_per_node": 8,
        "nodes": 1,
        "wall_limit_s": 3600,
        "command": ("python", "train.py"),
    }
    return RunRequest(**{**values, **more})


def job_json(native_id: str, name: str, phase: str = "Running", **status: Any) -> Json:
    """A job as the center states it."""
    return {
        "kind": "job",
        "metadata": {"id": native_id, "name": name, "create_time": NOW_MS},
        "status": {"phase": phase, "secondary_phase": phase, **status},
        "algorithm": {"command": "python train.py"},
        "spec": {"resource": {"flavor_id": "f.8", "node_count": 1, "pool_id": "pool-1"}},
    }


class FakeWire:
    """Answers by a function of (method, path below the project, query, body)."""

    host = "modelarts.example"

    def __init__(self, respond: Callable[[str, str, dict[str, str], Any], Answer]) -> None:
        self._respond = respond
        self.sent: list[tuple[str, str, Mapping[str, str]]] = []

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        read_s: float,
        send_by_s: float = math.inf,
    ) -> Answer:
        if boot_s() >= send_by_s:
            raise NotSent("too late")
        parts = urlsplit(target)
        path = parts.path.removeprefix("/v2/p0/")
        self.sent.append((method, path, dict(headers)))
        query = dict(parse_qsl(parts.query))
        return self._respond(method, path, query, json.loads(body) if body else None)

    async def close(self) -> None: ...


class FakeCenter:
    """Jobs by id in order of creation, which no rule keeps from having one name."""

    def __init__(self, *jobs: Json, offsets: str = "record") -> None:
        self.jobs = {job["metadata"]["id"]: job for job in jobs}
        self.offsets = offsets
        self.stopped: list[str] = []
        self.wire = FakeWire(self.respond)

    def respond(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        """Answer one call."""
        if path == "training-job-searches":
            return self._search(body)
        if path == "training-jobs":
            native_id = f"id-{len(self.jobs)}"
            job = {**job_json(native_id, body["metadata"]["name"], "Creating"), **body}
            job["metadata"] = {**body["metadata"], "id": native_id, "create_time": NOW_MS}
            self.jobs[native_id] = job
            return answer(201, job)
        if path == "training-job-names":
            names = {one["metadata"]["name"] for one in self.jobs.values()}
            return answer(200, {"is_duplicate": query["job_name"] in names})
        kind, _, rest = path.partition("/")
        native_id = rest.partition("/")[0]
        if kind != "training-jobs" or native_id not in self.jobs:
            return answer(404, {"error_code": "ModelArts.0102", "error_msg": "no such job"})
        if path.endswith("/actions"):
            self.stopped.append(native_id)
            return Answer(202, {}, b"")
        if path.endswith("/events"):
            return answer(200, {"events": []})
        return answer(200, self.jobs[native_id])

    def _search(self, body: Any) -> Answer:
        found = list(self.jobs.values())
        for one in body["filters"]:
            part = "metadata" if one["key"] == "name" else "status"
            found = [job for job in found if job[part][one["key"]] in one["value"]]
        first = body["offset"] * (body["limit"] if self.offsets == "page" else 1)
        items = found[first : first + body["limit"]]
        return answer(200, {"total": len(self.jobs), "count": len(found), "items": items})


def open_fake(fake: FakeCenter, **more: object) -> ModelArtsCenter:
    """Our adapter on a fake center."""
    settings = parsed(**more)
    client = make_client(fake.wire)
    return ModelArtsCenter(settings, client, lambda: NOW_MS)


def make_client(wire: FakeWire, now_ms: Callable[[], int] = lambda: NOW_MS) -> ModelArtsClient:
    """A client that signs; its secrets are in the environment (fixture ``secrets``)."""
    auth = KeyAuth(SecretRef("env", ("MA_TEST_AK",)), SecretRef("env", ("MA_TEST_SK",)))
    return ModelArtsClient(wire, auth, CenterClock(now_ms), "p0")


def write_secret(folder: Path, text: str) -> SecretRef:
    """A secret in a file."""
    (folder / "secret").write_text(text)
    return SecretRef("file", (str(folder / "secret"),))
