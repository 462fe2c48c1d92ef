"""``corridor center check`` on a real Slurm and on the ModelArts center, well and unwell."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from scheduler.cli.main import app
from tests.modelarts_center.child import CenterProcess
from tests.modelarts_center.settings import (
    ACCESS_KEY,
    JOB_FLAVORS,
    POOL,
    PROJECT,
    SECRET_KEY,
    CenterSettings,
    PoolSpec,
)
from tests.testbed.slurm_testbed import SlurmTestbed

pytestmark = pytest.mark.centers

CARDS = "wuhan-ai/ascend-910b"


def check(path: Path, center: dict[str, Any], code: int, *more: str) -> Result:
    """Check a file of one center."""
    path.write_text(yaml.safe_dump({"centers": [center]}, allow_unicode=True), "utf-8")
    result = CliRunner().invoke(
        app, ["center", "check", str(path), *more], env={"CORRIDOR_LANG": "en"}
    )
    assert result.exit_code == code, result.output
    assert SECRET_KEY not in result.output
    return result


def found(path: Path, center: dict[str, Any], code: int) -> Any:
    """What is found, as JSON: the center's entry."""
    return json.loads(check(path, center, code, "--json").output)["centers"][0]


def of(entry: Any, level: str) -> set[str]:
    """Topics of findings of a level."""
    return {one["topic"] for one in entry["findings"] if one["level"] == level}


@pytest.fixture
def modelarts(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A ModelArts center of four nodes, and its entry in a file of centers."""
    settings = CenterSettings(tmp_path / "center", pools=(PoolSpec(nodes=4),))
    center = CenterProcess(settings)
    for name, text in {"ak": ACCESS_KEY, "sk": SECRET_KEY}.items():
        (tmp_path / name).write_text(text, "utf-8")
    flavors = {str(cards): name for name, cards in JOB_FLAVORS.items() if cards <= 8}
    pool = {"pool_id": POOL, "units": 32, "units_per_node": 8, "image": "image:1",
            "flavor_ids": flavors}  # fmt: skip
    yield {
        "center": "wuhan-ai", "name_zh": "智算中心", "name_en": "AI center", "kind": "modelarts",
        "settings": {
            "endpoint": center.url, "project_id": PROJECT,
            "auth": {name: {"file": str(tmp_path / name)} for name in ("ak", "sk")},
            "pools": {CARDS: pool},
        },
        "flavors": [{
            "flavor": CARDS, "name_zh": "昇腾", "name_en": "Ascend", "unit": "card",
            "architecture": "aarch64", "capacity_units": 32, "units_per_node": 8,
            "wall_limit_max_days": 14,
        }],
    }  # fmt: skip
    center.close()


def test_the_modelarts_center_is_ready(modelarts: dict[str, Any], tmp_path: Path) -> None:
    entry = found(tmp_path / "c.yaml", modelarts, 0)
    assert entry["ready"]
    assert entry["api_version"]
    [flavor] = entry["flavors"]
    assert (flavor["declared_units"], flavor["found_units"]) == (32, 32)
    assert {"ENDPOINT", "FLAVOR", "RUNS", "CLOCK"} <= of(entry, "OK")


def test_a_wrong_key_and_a_wrong_pool_are_told_apart(
    modelarts: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "sk").write_text("another-secret-key", "utf-8")
    entry = found(tmp_path / "c.yaml", modelarts, 1)
    assert "CREDENTIALS" in of(entry, "ERROR")
    (tmp_path / "sk").write_text(SECRET_KEY, "utf-8")
    modelarts["settings"]["pools"][CARDS]["pool_id"] = "no-such-pool"
    entry = found(tmp_path / "c.yaml", modelarts, 1)
    assert of(entry, "ERROR") <= {"FLAVOR", "ENDPOINT"}
    assert "no-such-pool" in check(tmp_path / "c.yaml", modelarts, 1).output


def test_a_real_slurm_is_ready_and_without_its_token_it_is_not(
    slurm_testbed: SlurmTestbed, tmp_path: Path
) -> None:
    center = dict(slurm_testbed.center())
    entry = found(tmp_path / "c.yaml", center, 0)
    assert entry["ready"]
    assert entry["api_version"]
    assert {"ENDPOINT", "FLAVOR", "RUNS"} <= of(entry, "OK")
    for flavor in entry["flavors"]:
        assert flavor["found_units"] == flavor["declared_units"], flavor
    token = tmp_path / "token"
    wrong = center | {"settings": {**center["settings"], "token": {"file": str(token)}}}
    token.write_text("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.x", "utf-8")  # ended in 1970
    assert "CREDENTIALS" in of(found(tmp_path / "c.yaml", wrong, 1), "ERROR")
    token.write_text("eyJhbGciOiJIUzI1NiJ9.e30.x", "utf-8")  # of another key: as if it were down
    assert "ENDPOINT" in of(found(tmp_path / "c.yaml", wrong, 1), "ERROR")
