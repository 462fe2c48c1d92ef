"""What becomes of jobs whatever is lost, cut, refused or killed on the way: always one of each."""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.centers import matrix, page
from tests.centers.bench_agent import FEW_WAVES, ONE_WAVE, AgentBench, NearSimulated
from tests.centers.bench_modelarts import ModelArtsBench
from tests.centers.bench_simulated import SimulatedBench
from tests.centers.bench_slurm import SlurmBench
from tests.centers.matrix import PROGRAM, Bench, Outcome, Story
from tests.e2e.conftest import Zygote
from tests.modelarts_center.child import CenterProcess
from tests.testbed.fault_proxy import FaultProxy
from tests.testbed.slurm_testbed import SlurmTestbed

pytestmark = pytest.mark.centers
#: With this variable the tables of the page are written, else they are compared.
WRITE = "CORRIDOR_WRITE_OUTCOMES"


@pytest.fixture(scope="module")
def mortal_zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """One zygote for all stories."""
    errors = tmp_path_factory.mktemp("mortal") / "errors.log"
    with contextlib.closing(Zygote(errors, PROGRAM)) as one:
        yield one


def check(kind: str, found: Sequence[Outcome]) -> None:
    """Hold what was found against the rule, and against the page."""
    uneven = "\n".join(str(one) for one in found if not one.even)
    assert not uneven, uneven
    if WRITE in os.environ:
        page.write(kind, found)
    for language in page.PAGES:
        assert page.committed(kind, language) == page.table(found, language)


def told(bench: Bench, zygote: Zygote, folder: Path) -> list[Outcome]:
    """Tell a story of all that strikes a kind of center."""
    with contextlib.closing(Story(bench, zygote, folder)) as story:
        story.prepare()
        story.tell()
        return matrix.outcomes(story)


def told_by_agent(bench: AgentBench, zygote: Zygote, folder: Path) -> list[Outcome]:
    """Tell it with an agent between the service and the center."""
    with contextlib.closing(Story(bench, zygote, folder)) as story:
        story.prepare()
        with bench.agent(story):
            story.tell()
        return sorted(matrix.outcomes(story), key=bench.place)


def test_simulated(mortal_zygote: Zygote, tmp_path: Path) -> None:
    check("simulated", told(SimulatedBench(tmp_path), mortal_zygote, tmp_path))


async def test_modelarts(mortal_zygote: Zygote, tmp_path: Path) -> None:
    with CenterProcess(ModelArtsBench.settings(tmp_path / "center")) as process:
        async with FaultProxy(process.url) as proxy:
            bench = ModelArtsBench(tmp_path, process, proxy)
            found = await asyncio.to_thread(told, bench, mortal_zygote, tmp_path)
    check("modelarts", found)


async def test_slurm(slurm_testbed: SlurmTestbed, mortal_zygote: Zygote, tmp_path: Path) -> None:
    async with FaultProxy(slurm_testbed.url) as proxy:
        bench = SlurmBench(tmp_path, slurm_testbed, proxy)
        found = await asyncio.to_thread(told, bench, mortal_zygote, tmp_path)
        await bench.close()
    check("slurm", found)


def test_simulated_behind_its_agent(mortal_zygote: Zygote, tmp_path: Path) -> None:
    bench = AgentBench("agent-simulated", NearSimulated(tmp_path), tmp_path)
    check(bench.kind, told_by_agent(bench, mortal_zygote, tmp_path))


async def test_modelarts_behind_its_agent(mortal_zygote: Zygote, tmp_path: Path) -> None:
    with CenterProcess(ModelArtsBench.settings(tmp_path / "center")) as process:
        async with FaultProxy(process.url) as proxy:
            inner = ModelArtsBench(tmp_path, process, proxy)
            bench = AgentBench("agent-modelarts", inner, tmp_path, FEW_WAVES)
            found = await asyncio.to_thread(told_by_agent, bench, mortal_zygote, tmp_path)
    check(bench.kind, found)


async def test_slurm_behind_its_agent(
    slurm_testbed: SlurmTestbed, mortal_zygote: Zygote, tmp_path: Path
) -> None:
    async with FaultProxy(slurm_testbed.url) as proxy:
        inner = SlurmBench(tmp_path, slurm_testbed, proxy)
        bench = AgentBench("agent-slurm", inner, tmp_path, ONE_WAVE)
        found = await asyncio.to_thread(told_by_agent, bench, mortal_zygote, tmp_path)
        await inner.close()
    check(bench.kind, found)
