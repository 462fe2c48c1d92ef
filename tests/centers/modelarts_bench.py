"""A ModelArts center in this process and our adapter on it, on clocks that can be set."""

import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Observation, Phase, RunRef, RunRequest, Usage
from adapters.modelarts import ModelArtsCenter, open_center
from tests.modelarts_center import center as served
from tests.modelarts_center import settings as s
from tests.modelarts_center.faults import Fault
from tests.modelarts_center.model import Job

CENTER = "wuhan-ai"
FLAVOR = "wuhan-ai/ascend-910b"
#: 1 to 8 cards of a node.
FLAVOR_IDS = {cards: name for name, cards in s.JOB_FLAVORS.items() if cards <= 8}
_numbers = itertools.count(1)


def settings_of(url: str, folder: Path, **more: object) -> dict[str, object]:
    """Settings of our adapter for a center at ``url``; keys lie in files in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ak").write_text(s.ACCESS_KEY)
    (folder / "sk").write_text(s.SECRET_KEY)
    pool: Mapping[str, object] = {
        "pool_id": s.POOL,
        "units": 32,
        "units_per_node": 8,
        "image": "corridor/mindformers:1.3.2",
        "flavor_ids": FLAVOR_IDS,
    }
    return {
        "endpoint": url,
        "project_id": s.PROJECT,
        "auth": {"ak": {"file": str(folder / "ak")}, "sk": {"file": str(folder / "sk")}},
        "pools": {FLAVOR: pool},
        "calls_per_s": 0,
        "queue_s": 0,
        "read_s": 5.0,
        "create_s": 5.0,
        "settle_s": 1.0,
        **more,
    }


def token_auth(url: str, folder: Path) -> dict[str, object]:
    """The setting ``auth`` for tokens of IAM."""
    (folder / "password").write_text(s.PASSWORD)
    return {
        "iam_endpoint": url,
        "domain": s.DOMAIN,
        "user": s.USER,
        "project": s.REGION,
        "password": {"file": str(folder / "password")},
    }


def make_request(command: str, **more: Any) -> RunRequest:
    """A run of one card under a new name, which executes one line of shell."""
    run_id = f"j{next(_numbers):013d}.1"
    values: dict[str, Any] = {
        "run_id": run_id,
        "name": f"corridor-{run_id}",
        "epoch": 1,
        "city": "ezhou",
        "enterprise": "e1",
        "flavor": FLAVOR,
        "units_per_node": 1,
        "nodes": 1,
        "wall_limit_s": 3600,
        "command": ("/bin/sh", "-c", command),
    }
    return RunRequest(**{**values, **more})


def native(request: RunRequest) -> str:
    """The name of a run's job."""
    return request.name.replace(".", "_")


class Bench:
    """A center and the adapter that was opened last; ``skew_ms`` sets our own clock wrong."""

    def __init__(self, ma: served.Center, folder: Path, more: Mapping[str, object]) -> None:
        self.ma, self._folder, self._more = ma, folder, more
        self.skew_ms = 0
        self._opened: list[ModelArtsCenter] = []
        self.adapter = self.open()

    def open(self, **more: object) -> ModelArtsCenter:
        """Another adapter of the same center, as after a crash of the one before."""
        settings = settings_of(self.ma.url, self._folder, **{**self._more, **more})
        self.adapter = open_center(CENTER, settings, self._now_ms, lambda ms: ms / 1000)
        self._opened.append(self.adapter)
        return self.adapter

    def _now_ms(self) -> int:
        return int(time.time() * 1000) + self.skew_ms

    def fault(self, call: str, kind: Any, **more: Any) -> Fault:
        """Order a fault."""
        return self.ma.faults.add(Fault(call, kind, **more))

    def calls(self, name: str) -> int:
        """How often a call was made."""
        return self.ma.gateway.calls[name]

    def native_jobs(self, request: RunRequest) -> list[Job]:
        """Every job of a run's name that was ever made."""
        return [job for job in self.ma.all_jobs() if job.name == native(request)]

    async def until(self, request: RunRequest, *phases: str) -> Job:
        """Wait until the run's job is in one of these phases of the center."""
        return await self.ma.until_phase(native(request), *phases)

    async def seen(self, run: RunRef) -> Observation:
        """What the adapter says of a run now."""
        return (await self.adapter.find([run]))[run.run_id]

    async def used(self, run: RunRef) -> tuple[Usage, ...]:
        """What the adapter says a run used."""
        return (await self.adapter.usage([run]))[run.run_id]

    async def active(self) -> dict[str, Observation]:
        """All pages of the active runs."""
        seen: dict[str, Observation] = {}
        token = ""
        while True:
            page = await self.adapter.list_active(token)
            seen.update((one.run_id, one) for one in page.observations)
            token = page.next_token
            if not token:
                return seen

    async def close(self) -> None:
        """Close all adapters."""
        for one in self._opened:
            await one.close()


@contextlib.asynccontextmanager
async def bench(
    folder: Path, center: Mapping[str, Any] | None = None, **more: object
) -> AsyncIterator[Bench]:
    """A center with settings ``center`` and an adapter with the settings ``more``."""
    given = {"stop_grace_s": 0.3, **(center or {})}
    async with served.running(s.CenterSettings(folder / "center", **given)) as ma:
        made = Bench(ma, folder, more)
        try:
            yield made
        finally:
            await made.close()


@contextlib.contextmanager
def raises(kind: type[Exception], what: str | None = None) -> Iterator[None]:
    """Expect exactly this class, not one derived from it."""
    with pytest.raises(kind, match=what) as caught:
        yield
    assert caught.type is kind


FINAL = frozenset(Phase) - {Phase.WAITING, Phase.RUNNING}
