"""The real centers of a demonstration: a whole Slurm, and the ModelArts test server, on loopback.

Both are programs of a checkout (``tests/testbed/slurm``, ``tests/modelarts_center``), started here
as processes of their own. Each has a guard, a shell that waits for the end of its input: whatever
ends the demonstration, ``kill -9`` too, ends that input, and the guard then stops its center.
"""

import asyncio
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from scheduler.demo import real_records
from scheduler.demo.journals import Stay
from scheduler.demo.real_workload import NPU
from scheduler.errors import CorridorError

SLURM, MODELARTS = "wuhan-sc", "wuhan-ai"
ROOT: Final = Path(__file__).parents[2]
_SCRIPTS: Final = Path("tests/testbed/slurm")
_SERVER: Final = Path("tests/modelarts_center/__main__.py")
_PORTS: Final = 40
_READY_S: Final = 60.0
#: What is installed and started for the first time takes minutes.
_UP_S: Final = 600.0
_NODES, _CARDS = 4, 8
_POOL: Final = "pool-demonstration-0123456789abcdef0123456789ab"
_FLAVOR_OF_CARDS: Final = {
    cards: f"modelarts.pool.visual.{name}xlarge"
    for cards, name in ((1, ""), (2, "2"), (4, "4"), (8, "8"))
}
#: A center of ModelArts runs images only; the test server takes any name of one.
_IMAGE: Final = "registry.example/sample/train-aarch64:1"
_GUARD_SLURM: Final = 'cat >/dev/null; exec "$0" "$1" --purge'
_GUARD_SERVER: Final = '"$0" "$@" & pid=$!; cat >/dev/null; kill "$pid" 2>/dev/null; wait "$pid"'


class NoRealCenters(CorridorError):
    """Real centers cannot be started here; the message says what is missing and what to do."""

    reason = "NO_REAL_CENTERS"


def missing(root: Path, user_id: int) -> str:
    """Return what is missing for real centers, and what to do about it; empty if nothing is."""
    if not (root / _SCRIPTS / "up.sh").is_file() or not (root / _SERVER).is_file():
        return (
            "real centers are started by programs of a checkout, and this is an installed package:"
            " clone the repository and run make demo ARGS='--centers real' there"
        )
    if user_id != 0:
        return (
            "a real Slurm starts programs as other users, so it needs root:"
            " run sudo make demo ARGS='--centers real'"
        )
    return ""


@dataclass(frozen=True, slots=True)
class RealCenters:
    """Both, running; ``entries`` are their parts of a file of centers, by center."""

    folder: Path
    control: str
    entries: Mapping[str, Mapping[str, Any]]

    def configure(self, file: Path) -> None:
        """Put the real centers into a file that has simulated ones of the same codes and flavors.

        Capacities become those of the real ones; flavors that those do not have go.
        """
        content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        content["centers"] = [
            configured(center, self.entries[center["center"]]) for center in content["centers"]
        ]
        text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
        file.write_text(text, encoding="utf-8")

    def stays(self, records: Path) -> list[Stay]:
        """What both state of the runs they had; their own words are kept in ``records``."""
        partitions = self.entries[SLURM]["settings"]["partitions"]
        flavors = {one["partition"]: flavor for flavor, one in partitions.items()}
        accounted, stated = self._accounted(), self._stated()
        (records / f"{SLURM}.sacct").write_text("\n".join(accounted), encoding="utf-8")
        (records / f"{MODELARTS}.json").write_text(json.dumps(stated, indent=1), encoding="utf-8")
        return [
            *real_records.of_slurm(SLURM, accounted, flavors),
            *real_records.of_modelarts(MODELARTS, stated, NPU),
        ]

    def _accounted(self) -> list[str]:
        done = subprocess.run(
            real_records.SACCT,
            env={**os.environ, "SLURM_CONF": str(self.folder / "etc" / "slurm.conf"),
                 "SLURM_TIME_FORMAT": "%s"},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.splitlines()

    def _stated(self) -> list[Mapping[str, Any]]:
        request = urllib.request.Request(f"{self.control}/stated", b"{}", method="POST")
        with urllib.request.urlopen(request, timeout=_READY_S) as answer:
            jobs: list[Mapping[str, Any]] = json.load(answer)["jobs"]
        return jobs


def configured(center: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """One center of a file as the real one that ``entry`` describes, with its flavors if it has
    no own."""
    offered = entry["settings"].get("partitions") or entry["settings"]["pools"]
    flavors = [
        {
            **flavor,
            "capacity_units": offered[flavor["flavor"]]["units"],
            "units_per_node": offered[flavor["flavor"]]["units_per_node"],
        }
        for flavor in center["flavors"]
        if flavor["flavor"] in offered
    ]
    return {**center, "flavors": flavors, **entry}


@contextlib.asynccontextmanager
async def running(records: Path) -> AsyncIterator[RealCenters]:
    """Start both and stop them at the end; ``records``, a folder, is for their logs and keys.

    Raises ``NoRealCenters``.
    """
    async with contextlib.AsyncExitStack() as opened:
        await asyncio.to_thread(records.mkdir)
        folder = await _start_slurm(records, opened)
        server = await _start_server(records, opened)
        document = yaml.safe_load((folder / "centers.yaml").read_text(encoding="utf-8"))
        [slurm] = document["centers"]
        slurm |= {"name_zh": "武汉超算中心（本机Slurm）", "name_en": "a real Slurm of this machine"}
        entries = {SLURM: slurm, MODELARTS: _entry_of_server(server, records)}
        yield RealCenters(folder, str(server["control"]), entries)


async def _start_slurm(records: Path, opened: contextlib.AsyncExitStack) -> Path:
    """Start a Slurm in a folder of its own, which its user must be able to enter."""
    folder = _open_folder()
    scripts, log = ROOT / _SCRIPTS, records / "slurm.log"
    await _guarded(opened, _GUARD_SLURM, [scripts / "down.sh", folder], log)
    with log.open("ab") as file:
        up = await asyncio.create_subprocess_exec(
            scripts / "up.sh", folder, str(_free_ports(_PORTS)),
            stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        async with asyncio.timeout(_UP_S):
            status = await up.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(up.pid, signal.SIGKILL)
        raise
    if status != 0:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise NoRealCenters("Slurm does not start:\n  " + "\n  ".join(said[-12:] or ["(silence)"]))
    shutil.copy(folder / "centers.yaml", records / "slurm-center.yaml")
    return folder


def _open_folder() -> Path:
    """A folder that others than root can enter, as the one of a demonstration cannot be."""
    folder = Path(tempfile.mkdtemp(prefix="corridor-demo-slurm-"))
    folder.chmod(0o755)
    return folder


async def _start_server(records: Path, opened: contextlib.AsyncExitStack) -> dict[str, Any]:
    """Start the ModelArts test server; returns what it says when it is ready."""
    key = {"ak": f"AK{secrets.token_hex(9).upper()}", "sk": secrets.token_urlsafe(30)}
    for name, value in key.items():
        file = records / f"{MODELARTS}.{name}"
        file.touch(mode=0o600)
        file.write_text(value, encoding="ascii")
    settings = {
        "access_keys": {key["ak"]: key["sk"]},
        "pools": [{"name": _POOL, "nodes": _NODES, "cards_per_node": _CARDS}],
    }
    program = (
        sys.executable, "-m", "tests.modelarts_center", "--dir", records / MODELARTS,
        "--settings", json.dumps(settings),
    )  # fmt: skip
    process = await _guarded(opened, _GUARD_SERVER, program, records / f"{MODELARTS}.log")
    assert process.stdout is not None, "it was started with a pipe"
    with contextlib.suppress(TimeoutError, ValueError):
        async with asyncio.timeout(_READY_S):
            line = await process.stdout.readline()
        ready: dict[str, Any] = json.loads(line)
        return ready
    log = records / f"{MODELARTS}.log"
    raise NoRealCenters(f"the ModelArts test server does not start; see {log}")


def _entry_of_server(server: Mapping[str, Any], records: Path) -> dict[str, Any]:
    return {
        "center": MODELARTS,
        "name_zh": "武汉人工智能计算中心（测试服务器，非真实中心）",
        "name_en": "a test server of ModelArts, not the real center",
        "kind": "modelarts",
        "simulated": True,
        "settings": {
            "endpoint": server["url"],
            "project_id": server["project_id"],
            "auth": {
                "ak": {"file": str(records / f"{MODELARTS}.ak")},
                "sk": {"file": str(records / f"{MODELARTS}.sk")},
            },
            "pools": {
                NPU: {
                    "pool_id": _POOL,
                    "units": _NODES * _CARDS,
                    "units_per_node": _CARDS,
                    "architecture": "aarch64",
                    "image": _IMAGE,
                    "flavor_ids": {str(cards): name for cards, name in _FLAVOR_OF_CARDS.items()},
                }
            },
        },
    }


async def _guarded(
    opened: contextlib.AsyncExitStack, guard: str, words: Sequence[str | Path], log: Path
) -> asyncio.subprocess.Process:
    """Start a guard with its words; at the end its input is closed and its end waited for."""
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", guard, *words, cwd=ROOT, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=file, start_new_session=True,
        )  # fmt: skip

    async def end() -> None:
        assert process.stdin is not None, "it was started with a pipe"
        process.stdin.close()
        await process.wait()

    opened.push_async_callback(end)
    return process


def _free_ports(count: int) -> int:
    """First of so many ports that nobody uses, below those that systems give out by themselves."""
    rng = random.SystemRandom()
    while True:
        base = rng.randrange(20_000, 32_000 - count)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(base, base + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return base
