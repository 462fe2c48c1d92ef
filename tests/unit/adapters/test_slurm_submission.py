"""What Slurm would take and never run is refused before it is sent."""

from pathlib import Path
from typing import Any

import pytest

from adapters.errors import Rejected
from adapters.slurm.dialect import JobDescription
from adapters.slurm.records import PartitionState
from adapters.slurm.settings import SlurmSettings
from adapters.slurm.submission import SCRIPT_BYTES_MAX, describe
from tests.unit.adapters.slurm_fake import PARTITIONS, make_request, make_settings

CARD = {
    "partition": "gpu", "unit": "gres", "gres": "gpu:ascend", "cpus_per_unit": 8, "units": 16,
    "units_per_node": 8, "architecture": "aarch64", "constraint": "kunpeng", "qos": "high",
    "memory_mib_per_unit": 1000,
}  # fmt: skip
LIVE = {name: PartitionState(name, True, "n[1-2]", 3600) for name in ("cpu", "gpu")}


@pytest.fixture
def settings(tmp_path: Path) -> SlurmSettings:
    return make_settings(
        tmp_path,
        partitions={**PARTITIONS, "wuhan-sc/accelerator": CARD},
        image_command=["apptainer", "exec", "--bind", "/work", "{image}"],
        accounts={"wuhan": "wh"},
    )


def made(settings: SlurmSettings, **changes: Any) -> JobDescription:
    return describe(make_request(**changes), settings, LIVE, "mark", singleton=False)


def test_a_run_becomes_a_job(settings: SlurmSettings) -> None:
    job = made(settings, nodes=2, units_per_node=3, wall_limit_s=61, environment={"A": "1"})
    assert (job.nodes, job.cpus_per_node, job.gres, job.time_limit_min) == (2, 3, "", 2)
    assert (job.account, job.partition, job.comment) == ("wh", "cpu", "mark")
    assert job.environment == {"PATH": settings.path, "A": "1", "CORRIDOR_RUN": "j1.1"}
    assert job.memory_mib_per_node == 0
    own = made(settings, environment={"PATH": "/opt"}, city="ezhou", memory_mib_per_node=5)
    assert (own.environment["PATH"], own.account, own.memory_mib_per_node) == ("/opt", "ezhou", 5)


def test_cards_come_with_their_cpus_and_memory(settings: SlurmSettings) -> None:
    job = made(settings, flavor="wuhan-sc/accelerator", units_per_node=4)
    assert (job.gres, job.cpus_per_node, job.memory_mib_per_node) == ("gpu:ascend:4", 32, 4000)
    assert (job.constraint, job.qos, job.partition) == ("kunpeng", "high", "gpu")


def test_commands_are_quoted_and_images_wrapped(settings: SlurmSettings) -> None:
    job = made(settings, script="", command=("echo", "a b", "$HOME"))
    assert job.script == "#!/bin/sh\nexec echo 'a b' '$HOME'\n"
    job = made(settings, script="", command=("run", "a b"), image="docker://x:1")
    assert job.script == "#!/bin/sh\nexec apptainer exec --bind /work docker://x:1 run 'a b'\n"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"flavor": "wuhan-sc/none"}, "UNKNOWN_FLAVOR"),
        ({"name": "other"}, "INVALID_REQUEST"),
        ({"units_per_node": 0}, "INVALID_REQUEST"),
        ({"units_per_node": 65}, "TOO_LARGE"),
        ({"nodes": 3}, "TOO_LARGE"),
        ({"wall_limit_s": 3601}, "WALL_LIMIT"),
        ({"wall_limit_s": 10**9}, "WALL_LIMIT"),
        ({"script": ""}, "NO_PROGRAM"),
        ({"script": "echo hi\n"}, "NO_INTERPRETER"),
        ({"script": "\ufeff#!/bin/sh\n"}, "NO_INTERPRETER"),
        ({"script": "#! bash\n"}, "NO_INTERPRETER"),
        ({"script": "#!/bin/sh\r\ntrue\r\n"}, "WINDOWS_SCRIPT"),
        ({"script": "#!/bin/sh\n\0"}, "INVALID_REQUEST"),
        ({"script": "#!/bin/sh\n" + "é" * (SCRIPT_BYTES_MAX // 2)}, "SCRIPT_TOO_LONG"),
        ({"image": "x", "script": ""}, "NO_PROGRAM"),
        ({"image": "x"}, "NO_PROGRAM"),
        ({"environment": {"A-B": "1"}}, "INVALID_REQUEST"),
        ({"environment": {"A": "\0"}}, "INVALID_REQUEST"),
        ({"environment": {"A": "x" * 1_000_000}}, "ENVIRONMENT_TOO_LONG"),
    ],
)
def test_what_can_never_run_is_refused_with_its_reason(
    settings: SlurmSettings, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Rejected) as caught:
        made(settings, **changes)
    assert caught.value.reason == reason


def test_images_need_a_command_of_the_center(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        made(make_settings(tmp_path), image="x", script="", command=("true",))
    assert caught.value.reason == "NO_IMAGES"


def test_a_partition_that_is_gone_is_refused(settings: SlurmSettings) -> None:
    live = {"other": LIVE["cpu"]}
    with pytest.raises(Rejected) as caught:
        describe(make_request(), settings, live, "", singleton=False)
    assert caught.value.reason == "NO_PARTITION"
    assert describe(make_request(wall_limit_s=9999), settings, {}, "", singleton=False)
