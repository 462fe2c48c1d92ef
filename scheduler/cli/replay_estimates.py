"""``corridor replay --estimates``: how good the planner's estimates of starts are."""

from collections.abc import Callable, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from scheduler.placement.core import PlanningCore
from scheduler.replay.estimates import EstimateFigures, EstimateJudge, judge_by_kind
from scheduler.replay.setup import Setup
from scheduler.replay.simulate import Replayed, simulate

_SEED = 1


def judge_estimates(
    replayed: Replayed, setup: Setup, core: PlanningCore, share: float
) -> dict[str, EstimateFigures]:
    """Replay once more, ask about a share of the jobs that wait, and judge what was said."""
    judge = EstimateJudge(core, share, _SEED)
    simulate(replayed.jobs, setup, judge)
    return judge_by_kind(judge.bands, judge.start_ms)


def show_estimates(console: Console, found: Mapping[str, EstimateFigures]) -> None:
    """Print the figures, a column a kind."""
    table = Table(box=SIMPLE_HEAD, title="Estimates of starts, asked at submission")
    table.add_column("")
    for kind in found:
        table.add_column(kind, justify="right")
    rows: tuple[tuple[str, Callable[[EstimateFigures], str]], ...] = (
        ("jobs asked about that waited", lambda f: f"{f.jobs:,}"),
        ("starts within the band", lambda f: f"{f.covered:.1%}"),
        ("before the earliest", lambda f: f"{f.before_earliest:.1%}"),
        ("after the latest", lambda f: f"{f.after_latest:.1%}"),
        ("width of the band, median, s", lambda f: f"{f.band_median_s:,.0f}"),
        ("error of the likely start, median, s", lambda f: f"{f.error_median_s:,.0f}"),
        ("p90, s", lambda f: f"{f.error_p90_s:,.0f}"),
        ("as part of the wait, median", lambda f: f"{f.error_per_wait_median:.2f}"),
        ("starts later than likely, median, s", lambda f: f"{f.bias_median_s:,.0f}"),
        ("mean, s", lambda f: f"{f.bias_mean_s:,.0f}"),
        ("who always says now is off by, median, s", lambda f: f"{f.naive_error_median_s:,.0f}"),
    )
    for name, value in rows:
        table.add_row(name, *(value(figures) for figures in found.values()))
    console.print(table)
