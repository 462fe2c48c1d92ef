"""How fast runs are handed to a real Slurm, and what following many of them costs.

It needs a cluster of its own, as `make testbed` starts one: ``CORRIDOR_SLURM`` names its folder.
Without one there are no figures, and a line says so. Nodes are drained meanwhile, so that nothing
starts; all jobs of the cluster's user are ended at the end.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from adapters.contract import RunRequest
from adapters.slurm import SlurmCenter, open_center
from benchmarks.report import Figure

FOLDER: Final = "CORRIDOR_SLURM"
_AT_ONCE: Final = 8
_ACTIVE: Final = 10_000
_LOOK_S: Final = 2.0  # as often as the service follows a center
_SHARE: Final = 0.7
_STALE_MAX_S: Final = 60.0
_CPU_MAX_S: Final = 1.0
_ENDED: Final = 40
_TOLD_S: Final = 10.0  # accounting never hears of the end of what it did not know yet


def run(quick: bool) -> list[Figure]:
    """Submit beside raw connections, then follow all that was submitted."""
    folder = os.environ.get(FOLDER, "")
    if not folder:
        print(f"slurm: not measured, {FOLDER} names no cluster (make testbed)", file=sys.stderr)
        return []
    return asyncio.run(_measure(Path(folder), quick))


async def _measure(folder: Path, quick: bool) -> list[Figure]:
    settings = yaml.safe_load((folder / "centers.yaml").read_text("utf-8"))["centers"][0]
    center = _opened(settings["settings"])
    cluster = _Cluster(folder, settings["settings"])
    cluster.drain("DRAIN")
    try:
        rounds, size = (1, 200) if quick else (5, 1_000)
        rates = await _dispatch(center, cluster, rounds, size)
        active = 500 if quick else _ACTIVE
        await _fill(center, active)
        followed = await _follow(center, cluster, 10.0 if quick else 60.0)
    finally:
        await center.close()
        cluster.clear()
    return [*_dispatched(rates), *_followed(followed, active)]


def _opened(settings: Mapping[str, Any]) -> SlurmCenter:
    given = {key: value for key, value in settings.items() if key != "gate"}
    return open_center("wuhan-sc", given, lambda: int(time.time() * 1000), lambda ms: ms / 1000)


class _Cluster:
    """Slurm's own programs, and raw connections to slurmrestd."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._environment = {**os.environ, "SLURM_CONF": str(folder / "etc" / "slurm.conf")}
        self._settings = settings
        address = urlsplit(settings["endpoint"])
        self._address = (address.hostname, address.port)

    def run(self, *command: str) -> str:
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False
        ).stdout

    def drain(self, state: str) -> None:
        nodes = ",".join(self.run("sinfo", "-hN", "-o", "%N").split())
        self.run("scontrol", "update", f"NodeName={nodes}", f"State={state}", "Reason=benchmark")

    def clear(self) -> None:
        self.run("scancel", "-u", self._settings["user"])
        self.drain("RESUME")

    def message(self) -> bytes:
        """A submission as the adapter makes it, whole."""
        job = {
            "name": "raw", "comment": "as long a comment as that of a run, 1700000000000",
            "account": "wuhan", "partition": "cpu", "environment": {"PATH": "/usr/bin:/bin"},
            "current_working_directory": self._settings["work_dir"], "time_limit": 1,
            "standard_output": "corridor-%j.out", "nodes": [1, 1], "tasks": 1,
            "tasks_per_node": 1, "cpus_per_task": 1, "no_requeue": True,
        }  # fmt: skip
        body = json.dumps({"job": job, "script": "#!/bin/sh\ntrue\n"}).encode()
        token = Path(self._settings["token"]["file"]).read_text().strip()
        head = (
            "POST /slurm/v0.0.38/job/submit HTTP/1.1\r\nHost: slurm\r\n"
            f"X-SLURM-USER-NAME: {self._settings['user']}\r\nX-SLURM-USER-TOKEN: {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def submit_raw(self, size: int) -> None:
        """Submit over keep-alive connections and read no more than the length of answers."""
        message, left = self.message(), [size]

        async def one() -> None:
            reader, writer = await asyncio.open_connection(*self._address)
            while left[0] > 0:
                left[0] -= 1
                writer.write(message)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
            writer.close()
            await writer.wait_closed()

        await asyncio.gather(*(one() for _ in range(_AT_ONCE)))


_number = 0


def _request() -> RunRequest:
    global _number
    _number += 1
    run_id = f"b{time.time_ns()}x{_number}.1"
    return RunRequest(
        run_id=run_id, name=f"corridor-{run_id}", epoch=1, city="wuhan", enterprise="e",
        flavor="wuhan-sc/kunpeng-920", units_per_node=1, nodes=1, wall_limit_s=60,
        script="#!/bin/sh\ntrue\n", fresh=True,
    )  # fmt: skip


async def _fill(center: SlurmCenter, active: int) -> None:
    """Submit until so many runs are active."""
    missing = [_request() for _ in range(active - len(center.table.active))]

    async def one() -> None:
        while missing:
            await center.submit(missing.pop())

    await asyncio.gather(*(one() for _ in range(_AT_ONCE)))


async def _dispatch(
    center: SlurmCenter, cluster: _Cluster, rounds: int, size: int
) -> dict[str, list[float]]:
    """Rounds take turns, so that both sides have the same neighbors on the machine."""
    rates: dict[str, list[float]] = {"raw": [], "ours": []}
    await center.health()
    await _fill(center, 20)
    sides: dict[str, Callable[[], Awaitable[None]]] = {
        "raw": lambda: cluster.submit_raw(size),
        "ours": lambda: _fill(center, len(center.table.active) + size),
    }
    for _ in range(rounds):
        for name, side in sides.items():
            began_s = time.perf_counter()
            await side()
            rates[name].append(size / (time.perf_counter() - began_s))
    return rates


async def _follow(center: SlurmCenter, cluster: _Cluster, seconds: float) -> dict[str, float]:
    """Follow as the service does, while jobs end behind its back."""
    await center.list_active()  # the inventory of a start is no part of a usual minute
    await asyncio.sleep(_TOLD_S)
    victims = list(center.table.active.values())[:: max(1, len(center.table.active) // _ENDED)]
    began_s, cpu_s, calls = time.perf_counter(), time.process_time(), center.client.calls.total()
    ended_s: dict[str, float] = {}
    stale_s: list[float] = []
    while time.perf_counter() - began_s < seconds or ended_s:
        now_s = time.perf_counter()
        if victims and now_s - began_s < seconds:
            victim = victims.pop()
            await asyncio.to_thread(cluster.run, "scancel", str(victim.job_id))
            ended_s[victim.run.run_id] = time.perf_counter()
        token = "first"
        while token:
            page = await center.list_active("" if token == "first" else token)
            token = page.next_token
        for run_id in [one for one in ended_s if one not in center.table.active]:
            stale_s.append(time.perf_counter() - ended_s.pop(run_id))
        await center.wait_for_change(_LOOK_S)
    took_s = time.perf_counter() - began_s
    return {
        "cpu": (time.process_time() - cpu_s) / took_s * 60,
        "calls": (center.client.calls.total() - calls) / took_s,
        "stale": max(stale_s),
        "stale_median": median(stale_s),
    }


def _dispatched(rates: Mapping[str, list[float]]) -> list[Figure]:
    raw, ours = median(rates["raw"]), median(rates["ours"])
    return [
        Figure(
            "slurm", "runs submitted, 8 at once", ours, "runs/s", _SHARE * raw, at_most=False,
            peer="8 raw connections to slurmrestd", peer_value=raw,
        ),
    ]  # fmt: skip


def _followed(found: Mapping[str, float], active: int) -> list[Figure]:
    what = f"{active:,} active runs followed"
    return [
        Figure("slurm", f"{what}: CPU of ours a minute", found["cpu"], "s", _CPU_MAX_S),
        Figure("slurm", f"{what}: calls to the center", found["calls"], "calls/s"),
        Figure("slurm", f"{what}: latest end heard of", found["stale"], "s", _STALE_MAX_S),
        Figure("slurm", f"{what}: median end heard of", found["stale_median"], "s"),
    ]
