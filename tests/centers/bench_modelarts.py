"""A faithful ModelArts center under harm: faults on the wire, kills of it and of the service."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from corridor.v1 import job_pb2

from tests.centers import stricken
from tests.centers.bench_http import Wire, death_waves, wire_rows
from tests.centers.matrix import Native, Row
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
from tests.modelarts_center.store import Store
from tests.testbed.fault_proxy import Act, FaultProxy
from tests.testbed.http_wire import Message

_COMMANDS: Final = {"ok": "sleep 2", "bad": "sleep 2; exit 3", "cut": "sleep 600"}
_ID: Final = re.compile(r"/training-jobs/([0-9a-f-]{36})")
_NODES: Final = 30
_HOLD_S: Final = 20.0


def _step_of(call: Message) -> str:
    """What a call to ModelArts is for."""
    path = call.path.partition("?")[0]
    if call.method == "POST" and path.endswith("/training-jobs"):
        return "submit"
    if path.endswith("/actions"):
        return "cancel"
    return "follow" if "/training-job" in path else ""


def _id_of(body: Mapping[str, object]) -> str:
    metadata = body.get("metadata")
    return str(metadata.get("id", "")) if isinstance(metadata, Mapping) else ""


class ModelArtsBench:
    """Faults on the wire and deaths of the service come together, kills of the center apart."""

    kind = "modelarts"
    center = "wuhan-ai"
    flavor = "wuhan-ai/ascend-910b"
    flags: Mapping[str, object] = {}
    waves: Sequence[Sequence[Row]] = (
        (Row("none", "submit"), *wire_rows(("submit", "follow", "cancel"))),
        *death_waves(),
        *(
            (Row(kill, step),)
            for step in ("submit", "cancel", "follow")
            for kill in ("center-killed-before", "center-killed-after")
        ),
        (Row("refused", "submit"),),
    )

    def __init__(self, folder: Path, process: CenterProcess, proxy: FaultProxy) -> None:
        self._folder, self._process, self._proxy = folder, process, proxy
        self._wire = Wire(proxy, _step_of, _id_of, _ID.findall)
        self._loop = asyncio.get_running_loop()

    @staticmethod
    def settings(directory: Path) -> CenterSettings:
        """Those of the center."""
        return CenterSettings(directory, pools=(PoolSpec(nodes=_NODES),), stop_grace_s=0.5)

    def entry(self) -> Mapping[str, Any]:
        """See ``Bench``."""
        keys = {"ak": ACCESS_KEY, "sk": SECRET_KEY}
        for name, text in keys.items():
            (self._folder / name).write_text(text)
        flavors = {cards: name for name, cards in JOB_FLAVORS.items() if cards <= 8}
        return {
            "kind": "modelarts",
            "simulated": False,
            "settings": {
                "endpoint": self._proxy.url,
                "project_id": PROJECT,
                "auth": {name: {"file": str(self._folder / name)} for name in keys},
                "pools": {
                    self.flavor: {
                        "pool_id": POOL, "units": 8 * _NODES, "units_per_node": 8,
                        "image": "image:1",
                        "flavor_ids": {str(cards): name for cards, name in flavors.items()},
                    }
                },
                "read_s": 2.0, "create_s": 2.0, "settle_s": 3.0, "calls_per_s": 0,
                "gate": {"failures_max": 5, "pause_s": 0.5},
            },
        }  # fmt: skip

    def job(self, fate: str) -> job_pb2.JobSpec:
        """See ``Bench``."""
        spec = job_pb2.JobSpec(script=f"#!/bin/sh\n{_COMMANDS[fate]}\n")
        spec.options.add(flavor=self.flavor, units_per_node=1)
        spec.wall_limit.seconds = 1_800
        return spec

    def cut_after_s(self, row: Row) -> float:
        """See ``Bench``."""
        return 2.0

    def struck(self, row: Row) -> int:
        """See ``Bench``."""
        return self._wire.struck(row) + stricken.struck(self._folder / "strikes", row.name)

    def native(self) -> Mapping[str, Native]:
        """What lies in the center's own file."""
        store = Store(self._process.settings.directory)
        try:
            jobs = store.jobs()
        finally:
            store.close()
        made: dict[str, Native] = {}
        for job in jobs:
            ours = job.name.replace("_", ".")
            used = sum(
                (record.end_ms // 1000 - record.start_ms // 1000) * job.cards
                for record in job.records
                if record.end_ms is not None
            )
            one = made.get(ours, Native(0, 0))
            made[ours] = Native(one.jobs + 1, one.seconds + used)
        return made

    # --- harm -----------------------------------------------------------------------------------

    def arm(self, rows: Sequence[Row]) -> None:
        """See ``Bench``; called in the thread of the story."""
        asyncio.run_coroutine_threadsafe(self._arm(rows), self._loop).result(_HOLD_S)

    async def _arm(self, rows: Sequence[Row]) -> None:
        self._wire.arm_all(rows)
        for row in rows:
            match row.fault:
                case "refused":
                    self._wire.arm(row, Act(after=self._refuse), 1)
                case "center-killed-before":
                    self._wire.arm(row, Act(before=self._kill), 1)
                case "center-killed-after":
                    self._wire.arm(row, Act(after=self._kill, lost=True), 1)

    async def _kill(self) -> None:
        await asyncio.to_thread(self._process.kill)
        self._again = asyncio.ensure_future(asyncio.to_thread(self._process.start_again))

    async def _refuse(self) -> None:
        self._again = asyncio.ensure_future(self._refuse_for_a_while())

    async def _refuse_for_a_while(self) -> None:
        await self._proxy.refuse()
        await asyncio.sleep(1.0)
        await self._proxy.admit()
