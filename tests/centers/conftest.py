"""A real Slurm for all tests of centers, started once, and put in order before each test."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.testbed import slurm_testbed as slurm
from tests.testbed.slurm_testbed import NoSlurm, SlurmTestbed


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[SlurmTestbed]:
    """The cluster of the whole run; a test that needs one is skipped where none can be."""
    with contextlib.ExitStack() as stack:
        try:
            cluster = stack.enter_context(slurm.running())
        except NoSlurm as missing:
            pytest.skip(str(missing))
        yield cluster


@pytest.fixture
def slurm_testbed(slurm_cluster: SlurmTestbed) -> Iterator[SlurmTestbed]:
    """The cluster with all its daemons and nodes up and an empty queue, and so again after."""
    slurm_cluster.clear()
    yield slurm_cluster
    slurm_cluster.clear()
