"""From a run to the body that creates its job, and settings, both strict."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import DataRef
from adapters.errors import Rejected
from adapters.modelarts.job import read_job
from adapters.modelarts.jobs import create_body, differs
from adapters.modelarts.settings import ModelArtsSettings
from tests.unit.adapters.modelarts_fake import FLAVOR, make_request, parsed, settings_mapping


def test_a_run_becomes_a_job() -> None:
    settings = parsed(log_url="obs://logs/corridor/", job_retries=2)
    request = make_request(
        nodes=2,
        wall_limit_s=3601,
        environment={"EPOCHS": "3", "CORRIDOR_CITY": "not-a-lie"},
        inputs=(DataRef("obs://data/set/"), DataRef("nfs://10.0.0.1/share/a")),
        outputs=(DataRef("obs://data/out/"),),
        labels={"team": "算力"},
    )
    assert create_body(request, settings) == {
        "kind": "job",
        "metadata": {
            "name": "corridor-j1_1",
            "workspace_id": "0",
            "description": 'Corridor j1.1 ezhou e1 {"team": "算力"}',
            "annotations": {"fault-tolerance/job-retry-num": "2"},
        },
        "algorithm": {
            "command": "python train.py",
            "engine": {"image_url": "corridor/train:1"},
            "environments": {
                "EPOCHS": "3",
                "CORRIDOR_CITY": "ezhou",
                "CORRIDOR_RUN_ID": "j1.1",
                "CORRIDOR_WALL_LIMIT_S": "3601",
                "CORRIDOR_EPOCH": "3",
                "CORRIDOR_ENTERPRISE": "e1",
            },
            "inputs": [{"name": "input_0", "remote": {"obs": {"obs_url": "/data/set/"}}}],
            "outputs": [{"name": "output_0", "remote": {"obs": {"obs_url": "/data/out/"}}}],
        },
        "spec": {
            "resource": {"flavor_id": "f.8", "node_count": 2, "pool_id": "pool-1"},
            "auto_stop": {"time_unit": "HOURS", "duration": 2},
            "schedule_policy": {"priority": 1, "preemptible": False},
            "log_export_path": {"obs_url": "/logs/corridor/"},
            "volumes": [
                {
                    "nfs": {
                        "nfs_server_path": "10.0.0.1:/share/a",
                        "local_path": "/corridor/input_1",
                        "read_only": True,
                    }
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"flavor": "other/flavor"}, "UNKNOWN_FLAVOR"),
        ({"units_per_node": 16}, "TOO_LARGE"),
        ({"nodes": 5}, "TOO_LARGE"),
        ({"units_per_node": 3}, "INVALID_SIZE"),
        ({"units_per_node": 4, "nodes": 2}, "INVALID_SIZE"),
        ({"units_per_node": 0}, "INVALID_REQUEST"),
        ({"wall_limit_s": 0}, "INVALID_REQUEST"),
        ({"command": ()}, "NO_COMMAND"),
        ({"name": "corridor-other.1"}, "INVALID_NAME"),
        ({"run_id": "a_b", "name": "corridor-a_b"}, "INVALID_NAME"),
        ({"environment": {f"V{i}": "" for i in range(96)}}, "INVALID_ENVIRONMENT"),
        ({"inputs": (DataRef("https://example/x"),)}, "INVALID_INPUT"),
        ({"outputs": (DataRef("nfs://server/x"),)}, "INVALID_OUTPUT"),
        ({"command": ("x" * 100_001,)}, "COMMAND_TOO_LONG"),
        ({"script": "长" * 40_000}, "COMMAND_TOO_LONG"),
        ({"memory_mib_per_node": 2_000_000}, "TOO_MUCH_MEMORY"),
    ],
)
def test_what_can_never_run_is_refused(wrong: dict[str, Any], reason: str) -> None:
    pools = dict(settings_mapping()["pools"])  # type: ignore[call-overload]
    pools[FLAVOR] = {**pools[FLAVOR], "memory_mib_per_node": 1_000_000}
    with pytest.raises(Rejected) as refused:
        create_body(make_request(**wrong), parsed(pools=pools))
    assert refused.value.reason == reason


def test_an_image_is_needed_from_somewhere() -> None:
    pools = dict(settings_mapping()["pools"])  # type: ignore[call-overload]
    pools[FLAVOR] = {**pools[FLAVOR], "image": ""}
    settings = parsed(pools=pools)
    with pytest.raises(Rejected) as refused:
        create_body(make_request(), settings)
    assert refused.value.reason == "NO_IMAGE"
    create_body(make_request(image="a/b:1"), settings)


@pytest.mark.parametrize(
    ("script", "said"),
    [("#!/bin/bash\necho \"$0\" | wc -l; echo 'it'\"'\"'s' $1 $BASH\n", "1\nit's a b /bin/bash\n"),
     ("echo plain $1", "plain a b\n")],
)  # fmt: skip
def test_a_script_runs_as_it_was_written(script: str, said: str) -> None:
    body = create_body(make_request(script=script, command=("a b",)), parsed())
    command = ["/bin/sh", "-c", body["algorithm"]["command"]]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == said


def test_a_description_is_never_too_long() -> None:
    body = create_body(make_request(labels={"x": "长" * 400}), parsed())
    assert len(body["metadata"]["description"]) == 256


def test_a_job_of_our_name_is_ours_if_it_is_what_we_asked_for() -> None:
    body = create_body(make_request(), parsed())
    raw = {**body, "metadata": {**body["metadata"], "id": "id-1"}, "status": {}}
    assert differs(read_job(raw), body) == ""
    assert differs(read_job({"metadata": raw["metadata"]}), body) == ""  # nothing is stated
    later = create_body(make_request(epoch=4), parsed())
    assert differs(read_job(raw), later) == ""
    for other in (
        make_request(nodes=2), make_request(units_per_node=4), make_request(command=("x",)),
        make_request(run_id="j2.1"),
    ):  # fmt: skip
        assert differs(read_job(raw), create_body(other, parsed()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"endpoint": "http://modelarts.example"}, "endpoint: must be https"),
        ({"endpoint": "https://user:pw@modelarts.example"}, "endpoint: must be https://HOST"),
        ({"endpoint": "https://modelarts.example/v2"}, "endpoint: must be https://HOST"),
        ({"endpoint": "modelarts.example"}, "endpoint: must be https://HOST"),
        ({"endpoint": "https://modelarts.example:x"}, "endpoint: must be https://HOST"),
        ({"project_id": "a/b"}, "project_id: must be letters"),
        ({"auth": {"ak": "AKLITERAL", "sk": {"env": "X"}}}, "auth.ak: must be {file: PATH}"),
        ({"auth": {"ak": {"env": "X"}}}, "auth.sk: is mandatory"),
        ({"auth": {"iam_endpoint": "https://iam.example", "user": "u", "domain": "d",
                   "password": {"env": "X"}}}, "auth.project: is mandatory without 'region'"),
        ({"pools": {}}, "pools: is mandatory"),
        ({"ca_file": "/no/such/file"}, "ca_file: there is no file"),
        ({"priority": 4}, "priority: must be at most 3"),
        ({"offset_mode": "guess"}, "offset_mode: must be one of auto, record, page"),
        ({"log_url": "/bucket/"}, "log_url: must be obs://"),
        ({"typo": 1}, "typo: is not known here"),
    ],
)  # fmt: skip
def test_wrong_settings_name_their_place(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=r"^wuhan-ai\.") as wrong:
        parsed(**change)
    assert said in str(wrong.value)
    assert "AKLITERAL" not in str(wrong.value)
    assert "pw" not in str(wrong.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"units": 12}, "units: must be whole nodes of 8"),
        ({"flavor_ids": {"1": "f.1"}}, "flavor_ids: must have the flavor of a whole node, 8 cards"),
        ({"flavor_ids": {"8": "f", "4": "f"}}, "flavor_ids: must not name one flavor for two"),
        ({"flavor_ids": {"8": "f.8", "x": "f"}}, "flavor_ids.x: must be cards of a node"),
        ({"flavor_ids": {"8": "f.8", "9": "f"}}, "flavor_ids.9: must be cards of a node"),
        ({"architecture": "riscv"}, "architecture: must be one of aarch64, x86_64"),
    ],
)
def test_wrong_pools_name_their_place(change: dict[str, object], said: str) -> None:
    pools = dict(settings_mapping()["pools"])  # type: ignore[call-overload]
    pools[FLAVOR] = {**pools[FLAVOR], **change}
    with pytest.raises(ValueError, match="pools") as wrong:
        parsed(pools=pools)
    assert said in str(wrong.value)


def test_the_region_is_the_project_of_a_token(tmp_path: Path) -> None:
    auth = {"iam_endpoint": "https://iam.example", "user": "u", "domain": "d",
            "password": {"env": "X"}}  # fmt: skip
    settings = parsed(auth=auth, region="cn-central-221")
    assert isinstance(settings, ModelArtsSettings)
    assert "project='cn-central-221'" in repr(settings.auth)


def test_numbers_of_cards_may_be_numbers() -> None:
    pools = dict(settings_mapping()["pools"])  # type: ignore[call-overload]
    pools[FLAVOR] = {**pools[FLAVOR], "flavor_ids": {8: "f.8"}}
    assert parsed(pools=pools).pools[FLAVOR].cards_of("f.8") == 8
