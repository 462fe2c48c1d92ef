"""Real jobs through a real Slurm while the service and Slurm's daemons are killed."""

import contextlib
from pathlib import Path

import pytest

from tests.centers.matrix import PROGRAM
from tests.centers.soak import VICTIMS, Soak
from tests.e2e.conftest import Zygote
from tests.testbed.slurm_testbed import CONTROLLER, SlurmTestbed

pytestmark = pytest.mark.centers
_JOBS, _DEATHS, _BATCH = 300, 2, 25
#: Where something dies all the time little is ever proven: a loaded machine gets peace for that.
_KILLING_S = 100.0


def test_kills_lose_and_double_nothing(slurm_testbed: SlurmTestbed, tmp_path: Path) -> None:
    with contextlib.closing(Zygote(tmp_path / "errors.log", PROGRAM)) as zygote:
        soak = Soak(
            slurm_testbed, zygote, tmp_path, _JOBS, seed=4, every_s=4.0, deaths=_DEATHS,
            batch=_BATCH, killing_s=_KILLING_S,
        )  # fmt: skip
        assert soak.run() == []
    assert soak.kills[CONTROLLER] >= _DEATHS
    assert soak.kills.keys() == set(VICTIMS)
