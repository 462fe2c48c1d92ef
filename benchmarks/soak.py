"""The soak: half of the rate that can be kept, for long, and whether anything grows.

Two services on PostgreSQL, planning on Ray, and an agent before each of four simulated centers.
First jobs are driven through as fast as they go; then half as many a second are submitted for the
time asked, while people list, watch, quote, cancel and hold. What is over is let go of after some
minutes, as retention would after months. Growth is judged over the last two thirds.

``python -m benchmarks soak --minutes 30``; without the programs of PostgreSQL only a note is
printed.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TextIO

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.report import Figure
from benchmarks.serving import load, running
from benchmarks.soak_site import GROUPS, Soaked, soaked
from benchmarks.soak_trend import Trend, settled_part, trend
from tests.postgres import NoServer
from tests.postgres import running as postgres

_MINUTES: Final = 3.0
_SHARE: Final = 0.5
_MIB: Final = 1 << 20
#: What grows by no more than this part of itself an hour, or than so little, is flat.
_FLAT_PART: Final = 0.05
_FLAT_MIB: Final = 2.0
_FLAT_COUNT: Final = 4.0
#: Of what lasts less nothing can be said: caches and pools fill.
_JUDGED_S: Final = 900.0
_ROWS: Final = 12
_WIDTH: Final = 190
_DRAIN_S: Final = 120.0
_FULL: Final = (60.0, 2_000, 10.0)
_QUICK: Final = (5.0, 500, 2.0)
Sample = Mapping[str, Any]


def run(quick: bool, minutes: float | None = None, told: Path | None = None) -> list[Figure]:
    """Soak for so many minutes; ``told`` is a file that gets every sample, a line of JSON each."""
    # Told to end, it ends what it started, as with Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    length = minutes if minutes is not None else (0.4 if quick else _MINUTES)
    try:
        with postgres() as server, soaked(server, "off" if quick else "auto") as site:
            return _soaked(site, quick, length * 60, told)
    except NoServer as missing:
        print(f"soak: {missing}", file=sys.stderr)
        return []


def _soaked(site: Soaked, quick: bool, seconds: float, told: Path | None) -> list[Figure]:
    spell_s, open_max, every_s = _QUICK if quick else _FULL
    measured = load(
        site.served, "drive", seconds=spell_s, open_max=open_max, jobs=50, runtime_s=1.0
    )  # fmt: skip
    rate = measured["jobs_per_s"] * _SHARE
    print(f"soak: {measured['jobs_per_s']:.1f} jobs/s can be kept, {rate:.1f} are submitted")
    with open(told or os.devnull, "w", encoding="utf-8", buffering=1) as lines:
        samples, ended = _driven(site, rate, seconds, every_s, lines)
    _show(samples)
    return _figures(samples, ended, measured["jobs_per_s"], seconds)


def _driven(
    site: Soaked, rate: float, seconds: float, every_s: float, told: TextIO
) -> tuple[list[Sample], Sample]:
    order = {
        "address": site.served.address, "token": site.served.token, "jobs_per_s": rate,
        "seconds": seconds, "every_s": every_s,
    }  # fmt: skip
    samples: list[Sample] = []
    count = int(seconds / every_s) - 1  # the last window ends when the load does: it may be cut
    command = [sys.executable, "-m", "benchmarks.soak_load", json.dumps(order)]
    with running(command) as loading:
        for _ in range(count):
            samples.append(_with_held(site, loading.hear("window")))
            told.write(json.dumps(samples[-1]) + "\n")
        ended = loading.hear("sent")
    # Not before: on a busy machine that may hold a leader up for longer than its lease lasts.
    looks = {str(at): site.look(one, True) for at, one in enumerate(site.services)}
    told.write(json.dumps({"at_s": samples[-1]["at_s"], "objects": looks}) + "\n")
    return samples, {**ended, "open": site.wait_settled(_DRAIN_S)}


def _with_held(site: Soaked, window: Sample) -> Sample:
    now = site.sample()
    groups = {name: asdict(one) for name, one in now.pop("held").items()}
    return {**window, **now, "settled": window["submitted"] - now["open"], "held": groups}


# --- what it comes to -----------------------------------------------------------------------------


def _figures(
    samples: Sequence[Sample], ended: Sample, per_s: float, seconds: float
) -> list[Figure]:
    last = samples[settled_part([one["at_s"] for one in samples]) :]
    hours = [one["at_s"] / 3_600 for one in last]
    figures = [
        Figure("soak", "jobs a second that can be kept", per_s, "jobs/s"),
        Figure("soak", f"jobs submitted in {seconds / 60:.3g} minutes", ended["submitted"], "jobs"),
        Figure("soak", "jobs not settled in the end", ended["open"], "jobs", 0),
        Figure(
            "soak", "times that the lead moved", len({one["leads"] for one in samples}) - 1, "", 0
        ),
        Figure("soak", "calls refused", sum(ended["refused"].values()), "calls", 0),
    ]
    is_judged = seconds >= _JUDGED_S
    jobs_per_h = (last[-1]["settled"] - last[0]["settled"]) / (hours[-1] - hours[0])
    for name in GROUPS:
        grown = trend(hours, [one["held"][name]["own_bytes"] / _MIB for one in last])
        if grown.level:
            figures.append(_growth(name, grown, jobs_per_h, is_judged))
    for what, unit in (("descriptors", "open files"), ("threads", "threads")):
        for name in ("leader", "replica"):
            grown = trend(hours, [one["held"][name][what] for one in last])
            figures.append(_count(f"{unit} of {name}", grown, is_judged))
    for number, name in enumerate(("leader", "replica")):
        grown = trend(hours, [one["tasks"][number] for one in last])
        figures.append(_count(f"tasks of {name}", grown, is_judged))
    grown = trend(hours, [one["connections"] for one in last])
    figures.append(_count("connections", grown, is_judged))
    jobs = [one["settled"] for one in last]
    grown = trend(jobs, [one["database_bytes"] for one in last])
    figures.append(
        Figure("soak", "growth of the database for a job", grown.slope, "bytes",
               peer="bytes in all", peer_value=last[-1]["database_bytes"])
    )  # fmt: skip
    return figures


def _growth(name: str, grown: Trend, jobs_per_h: float, is_judged: bool) -> Figure:
    said = (
        f"of {grown.level:.0f} MiB; 95 %: {grown.least:+.2f}..{grown.most:+.2f};"
        f" bytes for 1,000 jobs:"
    )
    return Figure(
        "soak", f"growth of memory, {name}", max(0.0, grown.slope), "MiB/h",
        max(_FLAT_MIB, grown.level * _FLAT_PART) if is_judged else None, peer=said,
        peer_value=max(0.0, grown.slope) * _MIB * 1_000 / jobs_per_h,
    )  # fmt: skip


def _count(name: str, grown: Trend, is_judged: bool) -> Figure:
    said = f"of {grown.level:.0f}; 95 %: {grown.least:+.2f}..{grown.most:+.2f}"
    return Figure(
        "soak", f"growth of {name}", max(0.0, grown.slope), "/h",
        max(_FLAT_COUNT, grown.level * _FLAT_PART) if is_judged else None, peer=said,
    )  # fmt: skip


#: Columns of the table over time: title, and how a sample gives its text.
_COLUMNS: Final[tuple[tuple[str, Callable[[Sample], str]], ...]] = (
    ("min", lambda one: f"{one['at_s'] / 60:.1f}"),
    ("settled", lambda one: f"{one['settled']:,}"),
    ("open", lambda one: f"{one['open']:,}"),
    *(
        (f"{name} MiB", lambda one, name=name: f"{one['held'][name]['own_bytes'] / _MIB:.1f}")
        for name in GROUPS
    ),
    ("files", lambda one: _both(one, "descriptors")),
    ("threads", lambda one: _both(one, "threads")),
    ("leads", lambda one: one["leads"][-1:]),
    ("tasks", lambda one: "/".join(map(str, one["tasks"]))),
    ("conn", lambda one: str(one["connections"])),
    ("DB MiB", lambda one: f"{one['database_bytes'] / _MIB:.0f}"),
    ("jobs kept", lambda one: f"{one['jobs_kept']:,}"),
    ("submit p50/p99 ms", lambda one: _times(one, "submit")),
    ("list p50/p99 ms", lambda one: _times(one, "list")),
)


def _both(sample: Sample, what: str) -> str:
    return "/".join(str(sample["held"][name][what]) for name in ("leader", "replica"))


def _times(sample: Sample, what: str) -> str:
    if what not in sample:
        return ""
    _, middle, late = sample[what]
    return f"{middle:.0f}/{late:.0f}"


def _show(samples: Sequence[Sample]) -> None:
    table = Table(box=SIMPLE)
    for title, _ in _COLUMNS:
        table.add_column(title, justify="right")
    step = max(1, len(samples) // _ROWS)
    for one in [*samples[step - 1 :: step]]:
        table.add_row(*(text(one) for _, text in _COLUMNS))
    Console(width=_WIDTH).print(table)
