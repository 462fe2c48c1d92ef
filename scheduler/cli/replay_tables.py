"""Figures of a replay as tables for people."""

from collections.abc import Callable, Iterator

from rich.box import SIMPLE, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from scheduler.replay.measures import KindFigures, Measures, Waits

_WAIT_ROWS: tuple[tuple[str, Callable[[Waits], str]], ...] = (
    ("jobs", lambda w: f"{w.jobs:,}"),
    ("mean wait, s", lambda w: f"{w.mean_wait_s:,.1f}"),
    ("median wait, s", lambda w: f"{w.median_wait_s:,.1f}"),
    ("p95 wait, s", lambda w: f"{w.p95_wait_s:,.1f}"),
    ("longest wait, s", lambda w: f"{w.max_wait_s:,.0f}"),
    ("bounded slowdown, mean", lambda w: f"{w.avebsld:,.3f}"),
    ("bounded slowdown, median", lambda w: f"{w.median_bsld:,.3f}"),
    ("bounded slowdown, mean by user", lambda w: f"{w.avebsld_per_user:,.3f}"),
    ("waits over 7 days", lambda w: f"{w.waits_over_7d:,}"),
    ("waits over 10 x limit", lambda w: f"{w.share_wait_over_10x_limit:.2%}"),
)

_KIND_ROWS: tuple[tuple[str, Callable[[KindFigures], str]], ...] = (
    ("capacity, units", lambda k: f"{k.capacity_units:,}"),
    ("utilization", lambda k: f"{k.utilization:.4f}"),
    ("utilization by makespan", lambda k: f"{k.utilization_makespan:.4f}"),
    ("makespan, s", lambda k: f"{k.makespan_s:,.0f}"),
    ("loss of capacity", lambda k: f"{k.loss_of_capacity:.4f}"),
    ("promises (broken)", lambda k: f"{k.promises:,} ({k.promises_broken:,})"),
    ("instants over a quota", lambda k: f"{k.over_quota:,}"),
    ("share shortfall", lambda k: _share(k.share_shortfall)),
    ("share deviation, 7 days", lambda k: _share(k.share_deviation)),
    ("Jain, got per entitled", lambda k: _share(k.jain_got_per_entitled)),
    ("enterprises slower than alone", lambda k: _share(k.enterprises_slower_than_alone)),
)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def show(console: Console, measures: Measures, speed: dict[str, float]) -> None:
    """Print all figures of one replay."""
    console.print(_summary(measures), highlight=False)
    console.print(_kinds(measures))
    console.print(_sizes(measures))
    if any(len(kind.by_city) > 1 for kind in measures.kinds.values()):
        console.print(_cities(measures))
    console.print(
        f"{speed['replay_s']:.2f} s, {speed['jobs_per_s']:,.0f} jobs/s, "
        f"{measures.cycles:,} cycles, p99 {speed['cycle_p99_ms']:.2f} ms",
        highlight=False,
    )


def _summary(measures: Measures) -> str:
    text = f"{measures.trace}, policy {measures.policy}: {measures.jobs_replayed:,} jobs replayed"
    if measures.skipped:
        left_out = ", ".join(f"{count:,} {why}" for why, count in sorted(measures.skipped.items()))
        text += f", left out: {left_out}"
    if measures.window_days is not None:
        first, end = measures.window_days
        text += f"\nfigures of jobs submitted from day {first} to day {end}"
    return text


def _kinds(measures: Measures) -> Table:
    table = Table(title="Kinds", box=SIMPLE)
    table.add_column("", no_wrap=True)
    several = len(measures.kinds) > 1
    for name in (*measures.kinds, *(["all"] if several else [])):
        table.add_column(name, justify="right")
    kinds = measures.kinds.values()
    for label, of_waits in _WAIT_ROWS:
        cells = [of_waits(kind.waits) for kind in kinds]
        table.add_row(label, *cells, *([of_waits(measures.waits)] if several else []))
    for label, of_kind in _KIND_ROWS:
        table.add_row(label, *(of_kind(kind) for kind in kinds))
    return table


def _sizes(measures: Measures) -> Table:
    table = Table(title="By size", box=SIMPLE)
    for name in ("kind", "units"):
        table.add_column(name)
    for name in ("jobs", "mean wait, s", "p95 wait, s", "slowdown"):
        table.add_column(name, justify="right")
    for kind, figures in measures.kinds.items():
        for size, waits in figures.by_size.items():
            if waits.jobs:
                table.add_row(kind, size, *_brief(waits))
    return table


def _cities(measures: Measures) -> Table:
    table = Table(
        title="By city: wait, bounded slowdown, quota, use", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for name in ("kind", "city"):
        table.add_column(name, no_wrap=True)
    for name in ("jobs", "mean, s", "p95, s", "bsld", "nominal", "peak", "unit-h"):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=True)
    for kind, figures in measures.kinds.items():
        for city, of_city in figures.by_city.items():
            table.add_row(
                kind,
                city,
                *_brief(of_city.waits),
                f"{of_city.nominal_units:,}",
                f"{of_city.peak_units:,}",
                f"{of_city.got_unit_hours:,.0f}",
            )
    return table


def _brief(waits: Waits) -> Iterator[str]:
    yield f"{waits.jobs:,}"
    yield f"{waits.mean_wait_s:,.0f}"
    yield f"{waits.p95_wait_s:,.0f}"
    yield f"{waits.avebsld:,.1f}"
