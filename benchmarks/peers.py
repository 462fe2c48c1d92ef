"""Corridor on PostgreSQL beside a real Slurm, by turns, in one run on one machine.

``python -m benchmarks.peers`` (``make bench-peers``) starts a Slurm that is tuned as its guide for
high throughput says, a PostgreSQL with fsync on a disk and a service, and ends all of them. It
needs root, Slurm's programs and PostgreSQL's. ``--pages`` writes the tables into
docs/beside-slurm.md and its Chinese twin; ``--from FILE`` takes the figures of an earlier run
instead of measuring.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks import peers_pages
from benchmarks.load import percentile
from benchmarks.peers_corridor import UNITS, connected
from benchmarks.peers_front import Front, front_files
from benchmarks.peers_log import Log
from benchmarks.peers_processes import disk_of, fsync_us
from benchmarks.peers_slurm import SETTINGS, Slurm
from benchmarks.peers_stages import FULL, QUICK, Comparison, Sizes, compare, say
from benchmarks.report import show
from benchmarks.serving import serve
from benchmarks.site import Site, new_site, site_of
from scheduler import __version__
from tests import postgres
from tests.postgres import NoServer, Postgres
from tests.testbed import slurm_testbed
from tests.testbed.slurm_testbed import NoSlurm

#: A disk: temporary folders may be in memory, where a commit waits for nothing.
_DISK: Final = Path("/var/tmp")
_SYNCS: Final = 2_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or read what was measured, and show it; 1 if a side cannot be started here."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller inputs, for CI")
    parser.add_argument("--rounds", type=int, metavar="N", help="at most so many rounds of each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--from", type=Path, metavar="FILE", dest="source",
                        help="figures that --json wrote, instead of measuring")  # fmt: skip
    parser.add_argument("--pages", action="store_true", help="write the tables into the pages")
    asked = parser.parse_args(arguments)
    log, machine = Log(), dict[str, Any]()
    if asked.source is not None:
        content = json.loads(asked.source.read_text("utf-8"))
        log, machine = Log.read(content["figures"]), content["machine"]
    else:
        try:
            sizes = QUICK if asked.quick else FULL
            measure(sizes.at_most(asked.rounds or sizes.rounds), log, machine, asked.json)
        except (NoSlurm, NoServer) as missing:
            print(f"peers: {missing}", file=sys.stderr)
            return 1
    show("peers", log.figures())
    if asked.pages:
        peers_pages.write(log, machine)
    return 0


def measure(sizes: Sizes, log: Log, machine: dict[str, Any], file: Path | None) -> None:
    """Start both sides and compare them; ``machine`` is told on what. What was measured is in
    ``file`` before they are ended, also where something failed. Raises ``NoSlurm``, ``NoServer``.
    """
    began_s = time.time()
    machine["load_before"] = list(os.getloadavg())
    with (
        slurm_testbed.running(0, **SETTINGS) as testbed,
        postgres.running(_DISK) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        slurm = Slurm(testbed)
        machine.update(_machine(slurm, server))
        try:
            _measure(runner, slurm, server, sizes, log)
        finally:
            machine["load_after"] = list(os.getloadavg())
            machine["minutes"] = round((time.time() - began_s) / 60, 1)
            if file is not None:
                content = {"machine": machine, "figures": log.plain()}
                file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _measure(
    runner: asyncio.Runner, slurm: Slurm, server: Postgres, sizes: Sizes, log: Log
) -> None:
    taken_us = fsync_us(server.folder, _SYNCS)
    log.add("machine", "fsync", "value", percentile(taken_us, 0.5))
    log.add("machine", "fsync_rate", "value", 1e6 * len(taken_us) / sum(taken_us))
    url = server.url(server.create())
    with (
        site_of(front_files(slurm.testbed), store__url=url, planner__ray="off") as before,
        serve(before) as served,
    ):

        async def front() -> None:
            async with connected(served, server) as corridor:
                await Front(slurm, corridor, log, sizes).run()

        runner.run(front())
    url = server.url(server.create())
    with new_site(units=UNITS, store__url=url, planner__ray="off") as site:
        _beside(runner, slurm, server, site, log, sizes)
        _on_ray(runner, server, site, log, sizes)


def _beside(
    runner: asyncio.Runner, slurm: Slurm, server: Postgres, site: Site, log: Log, sizes: Sizes
) -> None:
    with serve(site) as served:

        async def beside() -> None:
            async with connected(served, server) as corridor:
                await compare(Comparison(slurm, corridor, log, sizes))

        runner.run(beside())


def _on_ray(runner: asyncio.Runner, server: Postgres, site: Site, log: Log, sizes: Sizes) -> None:
    """Look at a service on the same store that plans on Ray, as is the default."""
    say("the same store, planning on Ray")
    with serve(replace(site, flags={**site.flags, "planner.ray": "auto"})) as served:
        served.process.hear("planner_moved")

        async def on_ray() -> None:
            async with connected(served, server) as corridor:
                for _ in range(sizes.rounds):
                    before = corridor.cycles()
                    await corridor.submit(sizes.serial, 1)
                    mean_ms = corridor.cycle_ms(before)
                    log.add("cycle", f"mean@{sizes.depths[1]}", "cycle_ray", *mean_ms)
                log.add("memory", "on_ray", "full", corridor.memory()["service"])

        runner.run(on_ray())


def _machine(slurm: Slurm, server: Postgres) -> dict[str, Any]:
    """What all of it ran on. Raises ``NoServer`` where PostgreSQL's files lie in memory."""
    device, kind = disk_of(server.folder)
    if kind in {"tmpfs", "ramfs"}:
        raise NoServer(f"{_DISK} is in memory: a commit would wait for nothing there")
    with server.session() as session:
        said = {
            name: str(session.execute(f"SHOW {name}".encode()).fetchone()[0])  # type: ignore[index]
            for name in ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        }
    cpus = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "cpu": next((one.partition(": ")[2] for one in cpus if one.startswith("model name")), ""),
        "cpus": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "kernel": platform.release(),
        "disk": f"{device} ({kind})",
        "python": platform.python_version(),
        "slurm": slurm.version(),
        "scheduling": slurm.tuning(),
        "postgresql": said,
        "corridor": __version__,
        "revision": _revision(),
    }


def _revision() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
