"""The conformance suite on our adapter and a ModelArts center that checks and runs for real."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.conformance import CHECKS, Check, NotApplicable
from adapters.conformance_ending import lets_a_told_run_save
from adapters.contract import RunRequest
from adapters.modelarts import ModelArtsCenter
from tests.centers.modelarts_bench import Bench, bench, make_request, token_auth

pytestmark = pytest.mark.centers


class ModelArtsSubject:
    """A subject on one bench; a center's second is a real one."""

    def __init__(self, made: Bench) -> None:
        self.bench = made

    @property
    def adapter(self) -> ModelArtsCenter:
        return self.bench.adapter

    def request(self, runtime_s: int) -> RunRequest:
        return make_request(f"echo begins; sleep {runtime_s}; echo ends")

    def saving_request(self) -> RunRequest | None:
        return None  # no call of ModelArts reaches a job's program

    async def let_pass(self) -> None:
        await asyncio.sleep(0.1)

    def lose_next_answer(self) -> bool:
        self.bench.fault("create", "drop")
        return True

    async def reopen(self) -> bool:
        self.bench.open()
        return True


@pytest.fixture(params=["key", "token"])
async def subject(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[ModelArtsSubject]:
    """A center and an adapter of its own, with each way to prove who we are."""
    async with bench(tmp_path) as made:
        if request.param == "token":
            made.open(auth=token_auth(made.ma.url, tmp_path))
        yield ModelArtsSubject(made)


@pytest.mark.parametrize(
    "check",
    [one for one in CHECKS if one is not lets_a_told_run_save],
    ids=lambda one: one.__name__,
)
async def test_modelarts_keeps_the_contract(check: Check, subject: ModelArtsSubject) -> None:
    await check(subject)


async def test_no_call_reaches_a_program(subject: ModelArtsSubject) -> None:
    """The one check that does not apply; when a later ModelArts has such a call, it will."""
    with pytest.raises(NotApplicable):
        await lets_a_told_run_save(subject)
