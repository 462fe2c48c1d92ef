"""The simulated center keeps the adapter contract, with and without a gate before it."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.conformance import (
    CHECKS,
    Check,
    Nonconformance,
    NotApplicable,
    Subject,
    finds_after_a_lost_answer,
    submits_once_per_name,
)
from adapters.conformance_ending import lets_a_told_run_save, tells_before_it_ends
from adapters.contract import Accepted, CenterAdapter, LogChunk, RunRef, RunRequest
from adapters.gate import Gate, GateSettings
from adapters.simulated import SimulatedCenter, SimulatedSettings, accepted_names
from adapters.simulated.fate import CHECKPOINT_LABEL

FLAVOR = {
    "flavor": "wuhan-ai/ascend-910b",
    "units": 64,
    "units_per_node": 8,
    "architecture": "aarch64",
}


class SimulatedSubject:
    """A simulated center with a journal, on a clock that moves only when told."""

    def __init__(self, journal: Path, gated: bool) -> None:
        self._journal, self._gated = journal, gated
        self._now_ms = 1_700_000_000_000
        self._jobs = itertools.count(1)
        self._all: list[SimulatedCenter] = []
        self.adapter: CenterAdapter = self._open()

    def _open(self) -> CenterAdapter:
        settings = SimulatedSettings.parse(
            "wuhan-ai",
            {
                "flavors": [FLAVOR],
                "journal": str(self._journal),
                "start_delay_s": 1,
                "cancel_delay_s": 2,
                "usage_delay_s": 2,
            },
        )
        center = SimulatedCenter(settings, lambda: self._now_ms, lambda ms: ms / 1000)
        self._all.append(center)
        if not self._gated:
            return center
        return Gate(center, GateSettings(calls_per_s=1000, burst=1000), lambda: self._now_ms / 1000)

    def request(self, runtime_s: int) -> RunRequest:
        job = f"j{next(self._jobs):013d}"
        return RunRequest(
            run_id=f"{job}.1",
            name=f"corridor-{job}.1",
            epoch=1,
            city="ezhou",
            enterprise="e1",
            flavor="wuhan-ai/ascend-910b",
            units_per_node=4,
            nodes=1,
            wall_limit_s=runtime_s + 60,
            labels={"corridor.simulated/runtime-s": str(runtime_s)},
        )

    def saving_request(self) -> RunRequest:
        request = self.request(3600)
        return replace(request, labels={**request.labels, CHECKPOINT_LABEL: "3"})

    async def let_pass(self) -> None:
        self._now_ms += 1000

    def lose_next_answer(self) -> bool:
        self._all[-1].lose_next(taken=True)
        return True

    async def reopen(self) -> bool:
        self.adapter = self._open()
        return True

    async def close(self) -> None:
        for center in self._all:
            await center.close()


@pytest_asyncio.fixture(params=["bare", "gated"])
async def subject(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[SimulatedSubject]:
    made = SimulatedSubject(tmp_path / "journal.jsonl", gated=request.param == "gated")
    yield made
    await made.close()
    assert all(times == 1 for times in accepted_names(tmp_path / "journal.jsonl").values())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
async def test_the_simulated_center_keeps_the_contract(
    check: Check, subject: SimulatedSubject
) -> None:
    await check(subject)


class Forgetful(SimulatedCenter):
    """A broken center: it takes every submission for a new run."""

    async def submit(self, request: RunRequest) -> Accepted:
        answer = await super().submit(request)
        return Accepted(answer.run_id, f"{answer.native_id}-{len(self._calls)}", self._clock_ms())


async def test_the_suite_notices_a_broken_adapter(subject: SimulatedSubject) -> None:
    settings = SimulatedSettings.parse("wuhan-ai", {"flavors": [FLAVOR]})
    subject.adapter = Forgetful(settings, lambda: subject._now_ms, lambda ms: ms / 1000)
    with pytest.raises(Nonconformance, match="first one's answer"):
        await submits_once_per_name(subject)


class Hasty(SimulatedCenter):
    """A broken center: it ends whom it should only tell."""

    async def notify(self, run: RunRef, grace_s: int) -> None:
        await self.cancel(run)


async def test_the_suite_notices_a_notice_that_ends(subject: SimulatedSubject) -> None:
    settings = SimulatedSettings.parse("wuhan-ai", {"flavors": [FLAVOR]})
    subject.adapter = Hasty(settings, lambda: subject._now_ms, lambda ms: ms / 1000)
    with pytest.raises(Nonconformance, match="a notice ends no run"):
        await tells_before_it_ends(subject)


async def test_what_cannot_be_brought_about_is_said(subject: SimulatedSubject) -> None:
    class Reliable(SimulatedSubject):
        def lose_next_answer(self) -> bool:
            return False

    reliable: Subject = Reliable(subject._journal.with_name("other.jsonl"), gated=False)
    with pytest.raises(NotApplicable):
        await finds_after_a_lost_answer(reliable)


class Slow(SimulatedCenter):
    """Its programs heed a notice only a while after their runs have begun, and then say so."""

    looks_left = 3

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        if not self.looks_left:
            return await super().logs(run, offset, limit)
        self.looks_left -= 1
        return LogChunk(b"", offset, offset, False)

    async def notify(self, run: RunRef, grace_s: int) -> None:
        if not self.looks_left:
            await super().notify(run, grace_s)


async def test_the_suite_tells_nobody_who_does_not_heed_it_yet(subject: SimulatedSubject) -> None:
    settings = SimulatedSettings.parse("wuhan-ai", {"flavors": [FLAVOR]})
    subject.adapter = Slow(settings, lambda: subject._now_ms, lambda ms: ms / 1000)
    await lets_a_told_run_save(subject)
