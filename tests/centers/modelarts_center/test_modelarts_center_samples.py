"""The recorded calls of the SDK, made again: our answers have the status and shape of the recorded.

What was recorded was recorded with another server, so that this one cannot drift alone.
"""

import importlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.centers.modelarts_center.official_sdk import Reply, Rig, missing
from tests.modelarts_center.wire import Json

pytestmark = pytest.mark.centers

_FILE = Path(__file__).parents[2] / "data" / "modelarts" / "samples.json"
SAMPLES: dict[str, Json] = {
    sample["name"]: sample for sample in json.loads(_FILE.read_text(encoding="utf-8"))["samples"]
}
#: The job of most samples; here another id stands in its place.
RECORDED_IDS = ("6693cf1b-b824-4131-925f-dc3fcb418e15", "de9facca-a70e-4061-b1e1-65d52b50437e")


class Replay:
    """Makes recorded calls and compares the answers."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._done: set[str] = set()
        self.job_id = ""

    def again(self, name: str, **more: Any) -> Reply:
        """Make a recorded call; its answer must have the recorded status and shape."""
        sample = SAMPLES[name]
        reply = self.send(sample, **more)
        assert reply.status == sample["status"], (name, reply.body)
        wanted = sample["answer"]
        if wanted is not None:
            assert list(missing(wanted, reply.json, name)) == []
            assert reply.json.get("error_code") == wanted.get("error_code")
        self._done.add(name)
        return reply

    def send(self, sample: Json, **more: Any) -> Reply:
        """Make a recorded call."""
        path, _, query = sample["target"].partition("?")
        for recorded in RECORDED_IDS:
            path = path.replace(recorded, self.job_id)
        body = sample["body"]
        if body is not None and "algorithm" in body:
            body["algorithm"]["command"] = "sleep 60"
            if body["spec"]["resource"]["flavor_id"] == "f":  # which is a flavor of no center
                body["spec"]["resource"]["flavor_id"] = "modelarts.pool.visual.8xlarge"
        pairs = dict(parse_qsl(query))
        return self._rig.raw(sample["method"], path, body, pairs, **more)

    @property
    def left(self) -> set[str]:
        """Samples that were not compared yet."""
        return SAMPLES.keys() - self._done


def test_recorded_calls_are_answered_in_the_recorded_shape(rig: Rig) -> None:
    replay = Replay(rig)
    rig.control.set_node(3, broken=True)
    replay.again("create-201")
    first = replay.send(SAMPLES["create-dup-400"])  # the first of this name
    replay.job_id = first.json["metadata"]["id"]
    replay.again("create-dup-400")
    rig.control.until("cor-01jd-a1", "Running")
    for name in ("show-200", "list-200", "name-check-200", "events-200", "stages-200"):
        replay.again(name)
    for name in ("log-preview-200", "metrics-200", "tags-create-200", "tags-filter-200"):
        replay.again(name)
    for name in ("flavors-200", "pools-200", "quotas-200"):
        replay.again(name)
    replay.again("stop-202")
    replay.again("stop-already-400")
    rig.control.until("cor-01jd-a1", "Terminated")
    replay.again("delete-202")
    replay.again("show-404")
    replay.again("auth-error-401", secret="another")
    rig.control.fault("create", "status", status=504)
    replay.again("create-504")
    assert "cor-f4" in {job["name"] for job in rig.control.jobs()}
    assert replay.left == set()


def test_the_sdk_still_signs_the_headers_that_were_recorded(rig: Rig) -> None:
    signed = "content-type;host;user-agent;x-project-id;x-sdk-date"
    assert {sample["signed_headers"] for sample in SAMPLES.values()} == {signed}
    seen: list[str] = []
    handlers = importlib.import_module("huaweicloudsdkcore.http.http_handler")
    handler = handlers.HttpHandler().add_request_handler(
        lambda **told: seen.append(told["request"].header_params["Authorization"])
    )
    client = rig.sdk.client(rig.center.url, handler=handler)
    client.show_training_quotas(rig.sdk.models.ShowTrainingQuotasRequest())
    client.close()
    assert f"SignedHeaders={signed}," in seen[0]
