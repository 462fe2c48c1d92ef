"""How fast ModelArts is spoken to, beside its official SDK, both against one trivial server.

The SDK is a peer of tests alone: where it is not installed, ours is measured without a target.
``python -m benchmarks.modelarts URL SECONDS`` is the SDK's side, in a process of its own.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Final

from adapters.modelarts import ModelArtsCenter, open_center
from adapters.modelarts.searching import PAGE_JOBS
from benchmarks.modelarts_server import JOBS
from benchmarks.report import Figure

_SDK: Final = "huaweicloudsdkmodelarts"
_TIMES: Final = 3  # as fast as the SDK is to be beaten by
_AT_ONCE: Final = 8
_JOB: Final = "00000000-0000-0000-0000-000000000000"
_PROJECT: Final = "p0"
_PEER: Final = "official SDK, calls/s"


def run(quick: bool) -> list[Figure]:
    """Show jobs, list pages of them, and sweep all that are active.

    Rounds of theirs and ours take turns, so that both have the same neighbors on the machine.
    """
    seconds, rounds = (0.4, 1) if quick else (2.0, 5)
    theirs: dict[str, list[float]] = {"show": [], "list": []}
    ours: dict[str, list[float]] = {"show": [], "list": [], "sweep": []}
    with _server() as url, _sdk(url, seconds) as ask:
        for _ in range(rounds):
            _note(theirs, ask())
            _note(ours, asyncio.run(_ours(url, seconds)))
    mine, peer = ({name: median(found) for name, found in side.items() if found}
                  for side in (ours, theirs))  # fmt: skip
    return [
        _beside("jobs shown, 8 calls at once", mine["show"], peer.get("show")),
        _beside(f"pages of {PAGE_JOBS} jobs, 8 calls at once", mine["list"], peer.get("list")),
        Figure("modelarts", f"CPU of a sweep of {JOBS:,} active jobs", mine["sweep"], "s", 0.1),
    ]


def _note(side: dict[str, list[float]], found: Mapping[str, float]) -> None:
    for name, value in found.items():
        side[name].append(value)


def _beside(what: str, value: float, theirs: float | None) -> Figure:
    target = None if theirs is None else _TIMES * theirs
    peer = "" if theirs is None else _PEER
    return Figure("modelarts", what, value, "calls/s", target, at_most=False, peer=peer,
                  peer_value=theirs)  # fmt: skip


@contextlib.contextmanager
def _server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.modelarts_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()


# --- ours -----------------------------------------------------------------------------------------


async def _ours(url: str, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        adapter = _opened(url, Path(folder))
        client = adapter.client
        body = {"workspace_id": "0", "offset": 0, "limit": PAGE_JOBS, "filters": []}
        rates = {
            "show": await _rate(lambda: client.show(_JOB), seconds),
            "list": await _rate(lambda: client.search(body), seconds),
            "sweep": median([await _sweep_s(adapter) for _ in range(3)]),
        }
        await adapter.close()
    return rates


def _opened(url: str, folder: Path) -> ModelArtsCenter:
    for name in ("ak", "sk"):
        (folder / name).write_text("a-made-up-key")
    keys = {name: {"file": str(folder / name)} for name in ("ak", "sk")}
    pool = {"units": 8, "units_per_node": 8, "image": "a/b:1", "flavor_ids": {8: "f.8"}}
    settings = {
        "endpoint": url, "project_id": _PROJECT, "auth": keys, "pools": {"wuhan-ai/ascend": pool},
        "offset_mode": "record", "calls_per_s": 0,
    }  # fmt: skip
    return open_center("wuhan-ai", settings, lambda: int(time.time() * 1000), lambda ms: ms / 1000)


async def _rate(call: Callable[[], Awaitable[Any]], seconds: float) -> float:
    """Calls a second, ``_AT_ONCE`` at a time."""
    await call()
    ends_s = time.perf_counter() + seconds

    async def keep_calling() -> int:
        done = 0
        while time.perf_counter() < ends_s:
            await call()
            done += 1
        return done

    began_s = time.perf_counter()
    done = await asyncio.gather(*(keep_calling() for _ in range(_AT_ONCE)))
    return sum(done) / (time.perf_counter() - began_s)


async def _sweep_s(adapter: ModelArtsCenter) -> float:
    """CPU seconds of one look at all that is active."""
    began_s, seen, token = time.process_time(), 0, ""
    while True:
        page = await adapter.list_active(token)
        seen += len(page.observations)
        token = page.next_token
        if not token:
            break
    if seen != JOBS:
        raise RuntimeError(f"a sweep saw {seen} of {JOBS} jobs")
    return time.process_time() - began_s


# --- the SDK --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _sdk(url: str, seconds: float) -> Iterator[Callable[[], dict[str, float]]]:
    """What measures it once; nothing comes of it where the SDK is not installed."""
    if find_spec(_SDK) is None:
        print(f"modelarts: {_SDK} is not installed, so that nothing stands beside us",
              file=sys.stderr)  # fmt: skip
        yield dict
        return
    command = [sys.executable, "-m", "benchmarks.modelarts", url, str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        asked, told = child.stdin, child.stdout

        def ask() -> dict[str, float]:
            asked.write(b"\n")
            asked.flush()
            rates: dict[str, float] = json.loads(told.readline())
            return rates

        try:
            yield ask
        finally:
            asked.close()


def _measure_sdk(url: str, seconds: float) -> None:
    """Measure for each line that comes in: its best rates, of one thread and of several."""
    sdk = import_module(f"{_SDK}.v1")
    core = import_module("huaweicloudsdkcore.auth.credentials")
    credentials = core.BasicCredentials("a-made-up-key", "a-made-up-key", _PROJECT)
    client = sdk.ModelArtsClient.new_builder().with_credentials(credentials)
    client = client.with_endpoint(url).build()
    show = sdk.ShowTrainingJobDetailsRequest(training_job_id=_JOB)
    page = sdk.ListTrainingJobsRequest(body=sdk.JobSearches(offset=0, limit=PAGE_JOBS))
    calls = {
        "show": lambda: client.show_training_job_details(show),
        "list": lambda: client.list_training_jobs(page),
    }
    for _ in sys.stdin:
        rates = {
            name: max(_thread_rate(call, threads, seconds) for threads in (1, _AT_ONCE))
            for name, call in calls.items()
        }
        print(json.dumps(rates), flush=True)


def _thread_rate(call: Callable[[], Any], threads: int, seconds: float) -> float:
    call()
    ends_s = time.perf_counter() + seconds

    def keep_calling(_: int) -> int:
        done = 0
        while time.perf_counter() < ends_s:
            call()
            done += 1
        return done

    began_s = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(keep_calling, range(threads)))
    return done / (time.perf_counter() - began_s)


if __name__ == "__main__":
    _measure_sdk(sys.argv[1], float(sys.argv[2]))
