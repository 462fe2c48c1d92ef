"""Real jobs through a real Slurm while the service and Slurm's daemons are killed."""

import contextlib
from pathlib import Path

import pytest

from tests.centers.matrix import PROGRAM
from tests.centers.soak import GENTLE, Soak
from tests.e2e.conftest import Zygote
from tests.testbed.slurm_testbed import SlurmTestbed

pytestmark = pytest.mark.centers
_JOBS = 200


def test_kills_lose_and_double_nothing(slurm_testbed: SlurmTestbed, tmp_path: Path) -> None:
    with contextlib.closing(Zygote(tmp_path / "errors.log", PROGRAM)) as zygote:
        soak = Soak(slurm_testbed, zygote, tmp_path, _JOBS, seed=4, every_s=3.0, victims=GENTLE)
        assert soak.run() == []
    assert sum(soak.kills.values()) > 0
