"""A real Slurm under harm: faults on the wire, kills of its daemons, kills of the service."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from corridor.v1 import job_pb2

from tests.centers import stricken
from tests.centers.bench_http import Wire, death_waves, wire_rows
from tests.centers.matrix import Native, Row
from tests.testbed.fault_proxy import Act, FaultProxy
from tests.testbed.http_wire import Message
from tests.testbed.slurm_testbed import CONTROLLER, DATABASE, NODES, REST, SlurmTestbed

_SCRIPTS: Final = {"ok": "sleep 2", "bad": "sleep 2; exit 3", "cut": "sleep 600"}
#: A controller writes its state every five seconds: what it took before is safe from a kill.
SAFE_S: Final = 7.0
_HOLD_S: Final = 20.0


def _step_of(call: Message) -> str:
    """What a call to slurmrestd is for."""
    if call.method == "POST" and call.path.endswith("/job/submit"):
        return "submit"
    if call.method == "DELETE":
        return "cancel"
    if "/slurmdb/" in call.path:
        return "accounting"
    return "follow" if re.search(r"/slurm/v[\d.]+/jobs?\b", call.path) else ""


def _ids_in(path: str) -> Sequence[str]:
    return re.findall(r"/job/(\d+)", path)


class SlurmBench:
    """Faults on the wire and deaths of the service come together, kills of daemons one by one."""

    kind = "slurm"
    center = "wuhan-sc"
    flavor = "wuhan-sc/kunpeng-920"
    flags: Mapping[str, object] = {}
    waves: Sequence[Sequence[Row]] = (
        (Row("none", "submit"), *wire_rows(("submit", "follow", "cancel"))),
        tuple(wire_rows(("accounting",))),
        *death_waves(),
        *(
            (Row(f"slurmctld-killed-{when}", step),)
            for step in ("submit", "cancel")
            for when in ("before", "after")
        ),
        (
            *(
                Row(f"slurmrestd-killed-{when}", step)
                for step in ("submit", "cancel")
                for when in ("before", "after")
            ),
            Row("slurmdbd-killed", "accounting"),
            Row("refused", "submit"),
        ),
    )

    def __init__(self, folder: Path, testbed: SlurmTestbed, proxy: FaultProxy) -> None:
        self._folder, self._testbed, self._proxy = folder, testbed, proxy
        self._wire = Wire(proxy, _step_of, lambda body: str(body.get("job_id") or ""), _ids_in)
        self._loop = asyncio.get_running_loop()
        self._deeds: set[asyncio.Task[None]] = set()
        self._one = asyncio.Lock()

    def entry(self) -> Mapping[str, Any]:
        """See ``Bench``."""
        entry = self._testbed.center(self._proxy.url)
        entry["settings"] |= {
            "settle_s": 15.0, "answer_s": 10.0, "connections_max": 16, "polls_per_s": 200.0,
            "look_s": 1.0, "gate": {"failures_max": 50, "pause_s": 0.5},
        }  # fmt: skip
        return entry

    def job(self, fate: str) -> job_pb2.JobSpec:
        """See ``Bench``."""
        spec = job_pb2.JobSpec(script=f"#!/bin/sh\n{_SCRIPTS[fate]}\n")
        spec.options.add(flavor=self.flavor, units_per_node=1)
        spec.wall_limit.seconds = 1_800
        return spec

    def cut_after_s(self, row: Row) -> float:
        """See ``Bench``."""
        return SAFE_S if row.fault.startswith(CONTROLLER) else 2.0

    def struck(self, row: Row) -> int:
        """See ``Bench``."""
        return self._wire.struck(row) + stricken.struck(self._folder / "strikes", row.name)

    def native(self) -> Mapping[str, Native]:
        """Jobs that began: one that its controller forgot unstarted was never run."""
        self._testbed.wait_idle()
        made: dict[str, set[tuple[int, int]]] = {}
        seconds: dict[str, int] = {}
        for row in self._testbed.sacct():
            if row.start_s is not None and row.elapsed_s >= 0:
                made.setdefault(row.name, set()).add((row.job_id, row.submit_s))
                seconds[row.name] = seconds.get(row.name, 0) + row.elapsed_s * row.cpus
        return {name: Native(len(ids), seconds[name]) for name, ids in made.items()}

    # --- harm -----------------------------------------------------------------------------------

    def arm(self, rows: Sequence[Row]) -> None:
        """See ``Bench``; called in the thread of the story."""
        if rows[0].fault.startswith(CONTROLLER):  # of earlier rows it shall forget nothing
            self._testbed.wait_saved()
        asyncio.run_coroutine_threadsafe(self._arm(rows), self._loop).result(_HOLD_S)

    async def _arm(self, rows: Sequence[Row]) -> None:
        self._wire.arm_all(rows)
        for row in rows:
            daemon, _, when = row.fault.partition("-killed")
            if row.fault == "refused":
                self._wire.arm(row, Act(after=self._refuse), 1)
            elif daemon in (CONTROLLER, REST, DATABASE):
                self._wire.arm(row, self._killing(daemon, after=when == "-after"), 1)

    def _killing(self, daemon: str, *, after: bool) -> Act:
        """What a controller forgets must not have begun: nothing begins on drained nodes."""
        kill = self._kills(daemon)
        if not after:
            return Act(before=kill)
        if daemon == CONTROLLER:
            return Act(before=lambda: asyncio.to_thread(self._close_nodes), after=kill)
        return Act(after=kill, lost=True)

    def _kills(self, daemon: str) -> Callable[[], Awaitable[None]]:
        async def kill() -> None:
            await self._one.acquire()  # who is dead already cannot be killed
            await asyncio.to_thread(self._testbed.kill, daemon)
            self._later(self._bring_back(daemon))

        return kill

    async def _bring_back(self, daemon: str) -> None:
        try:
            await asyncio.to_thread(self._testbed.start, daemon)
            await asyncio.to_thread(self._testbed.open_nodes)
        finally:
            self._one.release()

    def _close_nodes(self) -> None:
        for node in NODES:
            self._testbed.drain(node)

    async def _refuse(self) -> None:
        self._later(self._refuse_for_a_while())

    async def _refuse_for_a_while(self) -> None:
        await self._proxy.refuse()
        await asyncio.to_thread(self._testbed.open_nodes)
        await asyncio.sleep(1.0)
        await self._proxy.admit()

    def _later(self, deed: Awaitable[None]) -> None:
        task = asyncio.ensure_future(deed)
        self._deeds.add(task)
        task.add_done_callback(self._deeds.discard)

    async def close(self) -> None:
        """Wait for what was set going."""
        await asyncio.gather(*self._deeds)
