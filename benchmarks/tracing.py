"""What traces cost: CPU of the service for one job, with tracing off, of a part, and of all."""

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from benchmarks.report import Figure
from benchmarks.serving import load, serve
from benchmarks.site import new_site

_UNITS: Final = 4_096
_OPEN_MAX: Final = 2_000
#: Few enough for all of them to be followed.
_JOBS_A_CALL: Final = 16
_CALLERS: Final = 16
_RUNTIME_S: Final = 1.0
#: How much is recorded; None: tracing is off.
_RATIOS: Final[Mapping[str, float | None]] = {"off": None, "1 %": 0.01, "100 %": 1.0}


@dataclass
class Sink(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """A collector that counts the bytes it is sent, and keeps nothing."""

    calls: list[int] = field(default_factory=list)

    def service(self, handler_call_details: Any) -> Any:
        """Take whatever comes."""
        return grpc.unary_unary_rpc_method_handler(self._take)

    def _take(self, request: bytes, context: Any) -> bytes:
        self.calls.append(len(request))
        return b""


@contextlib.contextmanager
def sink() -> Iterator[tuple[Sink, str]]:
    """Run a sink; gives its address."""
    one = Sink()
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((one,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield one, f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def run(quick: bool) -> list[Figure]:
    """Measure all by turns; the least of each counts, for what disturbs only ever adds."""
    submit_us: dict[str, float] = {}
    drive_ms: dict[str, float] = {}
    for _ in range(1 if quick else 3):
        for name, ratio in _RATIOS.items():
            one = _measure(ratio, 2.0 if quick else 6.0)
            submit_us[name] = min(one[0], submit_us.get(name, one[0]))
            drive_ms[name] = min(one[1], drive_ms.get(name, one[1]))
    return [
        figure
        for name in _RATIOS
        for figure in (
            Figure(
                "traces", f"{name}: CPU of the service to take one job, one a call",
                submit_us[name], "us", peer="off", peer_value=submit_us["off"],
            ),
            Figure(
                "traces", f"{name}: CPU of the service for one job, all its way", drive_ms[name],
                "ms", peer="off", peer_value=drive_ms["off"],
            ),
        )
    ]  # fmt: skip


def _measure(ratio: float | None, seconds: float) -> tuple[float, float]:
    """Return the CPU time of a submission in us, and of a job's whole way in ms."""
    with sink() as (_, address):
        traced: dict[str, Any] = {}
        if ratio is not None:
            traced = {"tracing__endpoint": address, "tracing__ratio": ratio}
        with (
            new_site(units=_UNITS, planner__ray="off", **traced) as site,
            serve(site) as served,
        ):
            cpu_s = served.process.cpu_s()
            drive = load(
                served, "drive", seconds=seconds, open_max=_OPEN_MAX, jobs=_JOBS_A_CALL,
                runtime_s=_RUNTIME_S,
            )  # fmt: skip
            drive_ms = (served.process.cpu_s() - cpu_s) / drive["jobs"] * 1e3
        with new_site(units=8, planner__ray="off", **traced) as site, serve(site) as served:
            cpu_s = served.process.cpu_s()
            taken = load(served, "submit", callers=_CALLERS, jobs=1, seconds=seconds)
            submit_us = (served.process.cpu_s() - cpu_s) / taken["jobs_sent"] * 1e6
    return submit_us, drive_ms
