"""The conformance suite on our adapter and a real Slurm: all checks at once, each on its own."""

import asyncio

import pytest

from adapters.conformance import CHECKS, Check
from tests.centers.slurm_subject import subject
from tests.testbed.slurm_testbed import SlurmTestbed

pytestmark = pytest.mark.centers


async def test_slurm_keeps_the_contract(slurm_testbed: SlurmTestbed) -> None:
    """A check that does not apply would raise, so that none is left out unseen."""

    async def run(check: Check) -> None:
        async with subject(slurm_testbed) as made:
            try:
                await check(made)
            except Exception as error:
                error.add_note(f"in the check {check.__name__}")
                raise

    outcomes = await asyncio.gather(*map(run, CHECKS), return_exceptions=True)
    failures = [one for one in outcomes if isinstance(one, Exception)]
    if failures:
        raise ExceptionGroup("checks that failed", failures)
