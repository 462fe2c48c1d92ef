"""``corridor quota simulate``: what other quotas would have done to the jobs of the last weeks."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from corridor.v1 import simulation_pb2 as pb
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from scheduler.cli import charts, exits, scenarios, simulate_views
from scheduler.cli.failures import Failed
from scheduler.cli.lines import complain
from scheduler.cli.message_json import print_json
from scheduler.cli.session import Session
from scheduler.rpc.simulation_messages import message_of, result
from scheduler.whatif.scenarios import SCENARIOS_MAX, BadScenario, Scenario

_HOUR_S: Final = 3600.0
#: So many flavors fit beside each other.
_PANELS_MAX: Final = 4
#: Told how many jobs have ended, of how many (0: not known yet).
Tell = Callable[[int, int], None]


def simulate(
    session: Session,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario",
            metavar="NAME:WHAT=VALUE,…",
            help="What is changed: CITY.FLAVOR.nominal, .borrow_limit or .lend_limit,"
            " ENTERPRISE.FLAVOR.cap, FLAVOR.capacity, .reclaim or .lease, order.ageing, .starving"
            " or .usage_half_life. Can be given again for another.",
        ),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", metavar="FILE", help="Scenarios in YAML or JSON."),
    ] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=92, help="So many days of history, until now.")
    ] = 28,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="Not the history of the service but a workload in CSV, played on this machine.",
        ),
    ] = None,
    capacity: Annotated[
        str, typer.Option("--capacity", help="Of --trace: units by kind, as in cpu=3328,npu=632.")
    ] = "",
    quotas: Annotated[
        Path | None,
        typer.Option("--quotas", metavar="FILE", help="Of --trace: the quotas of today."),
    ] = None,
    flavor: Annotated[
        list[str] | None,
        typer.Option("--flavor", help="In the chart only this flavor; can be given again."),
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option("--chart", metavar="FILE", help="Also draw a chart: *.svg or *.png."),
    ] = None,
) -> None:
    """Play the last weeks again under changed quotas, and show waits, use and cost beside today's.

    Nothing is changed. The jobs come as they came and run as long as they ran; only when and where
    they start is decided anew. A city sees its own figures, and of others their sum at most.
    """
    asked = _scenarios(scenario or [], file or [])
    if chart is not None:
        charts.check(chart)
    if trace is not None:
        if not capacity:
            raise Failed("simulate.capacity", exits.USAGE)
        found = _of_trace(session, trace, capacity, quotas, asked)
    elif capacity or quotas is not None:
        raise Failed("simulate.only_trace", exits.USAGE)
    else:
        found = _of_service(session, days, asked)
    if chart is not None:
        _draw(session, chart, found, flavor or [])
    if session.as_json:
        print_json(simulate_views.as_json(found))
    else:
        simulate_views.show(session, found)


def _scenarios(given: Sequence[str], files: Sequence[Path]) -> list[Scenario]:
    found = [one for path in files for one in scenarios.read_file(path)]
    found += [scenarios.parse(one) for one in given]
    if not 1 <= len(found) <= SCENARIOS_MAX:
        raise Failed("simulate.scenarios", exits.USAGE, n=len(found), most=SCENARIOS_MAX)
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise Failed("simulate.twice", exits.USAGE, name=name)
    return found


# --- where it is played ---------------------------------------------------------------------------


def _of_service(session: Session, days: int, asked: Sequence[Scenario]) -> pb.SimulationResult:
    request = pb.SimulateQuotasRequest(days=days, scenarios=[message_of(one) for one in asked])
    call: Any = session.client.quotas.SimulateQuotas(request)
    try:
        with _progress(session) as tell:
            for told in call:
                if told.HasField("result"):
                    found: pb.SimulationResult = told.result
                    return found
                tell(told.progress.ended_jobs, told.progress.total_jobs)
    finally:
        call.cancel()  # Ctrl-C: what runs for it in the service ends too
    raise Failed("simulate.no_result")


def _of_trace(
    session: Session, trace: Path, capacity: str, quotas: Path | None, asked: Sequence[Scenario]
) -> pb.SimulationResult:
    from scheduler.cli import trace_simulation
    from scheduler.replay.trace import ReplayError
    from scheduler.whatif.answers import SimulationFailed

    session.know(trace_simulation.city_names())
    try:
        history = trace_simulation.history_of(trace, capacity, quotas)
        trace_simulation.check(history, asked)
        ended = [0] * (len(asked) + 1)
        with _progress(session) as tell:

            def on_progress(number: int, jobs: int) -> None:
                ended[number] = jobs
                tell(sum(ended), len(ended) * len(history.lives))

            answer = trace_simulation.play(history, asked, on_progress)
    except ReplayError as error:
        raise Failed("simulate.trace", exits.USAGE, what=error) from error
    except BadScenario as error:
        raise Failed("scenario.option", exits.USAGE, given=error.where, what=error.what) from error
    except SimulationFailed as error:
        raise Failed("simulate.lost", what=error) from error
    for why, count in sorted(answer.left_out.items()):
        complain(session.t("simulate.left_out", n=f"{count:,}", why=why))
    return result(answer)


@contextmanager
def _progress(session: Session) -> Iterator[Tell]:
    """A bar on the terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda ended, total: None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(session.t("simulate.reading"), total=None)

        def tell(ended: int, total: int) -> None:
            if total:
                words = session.t("simulate.playing")
                bar.update(task, description=words, completed=ended, total=total)

        yield tell


# --- the chart ------------------------------------------------------------------------------------


def _draw(session: Session, path: Path, found: pb.SimulationResult, flavors: Sequence[str]) -> None:
    words = charts.Words(
        session.t("chart.title"), session.t("chart.wait"), session.t("chart.use"),
        session.t("chart.own"), session.t("chart.borrowed"),
    )  # fmt: skip
    panels = list(_panels(session, found, flavors, plain=False))
    if not panels:
        raise Failed("chart.nothing", exits.USAGE)
    font = charts.chinese_font() if charts.needs_chinese(panels, words) else None
    if font is None and path.suffix.lower() == ".png" and charts.needs_chinese(panels, words):
        complain(session.t("chart.no_font"))
        words = charts.Words(
            "Waits and use by city and scenario", "mean wait, hours", "units in use, on average",
            "within nominal", "borrowed",
        )  # fmt: skip
        panels = list(_panels(session, found, flavors, plain=True))
    charts.draw(path, panels, words, font)


def _panels(
    session: Session, found: pb.SimulationResult, flavors: Sequence[str], *, plain: bool
) -> Iterator[charts.Panel]:
    """Yield the flavors to draw; ``plain`` names things by their codes."""
    hours = (found.end_time.seconds - found.start_time.seconds) / _HOUR_S
    shown = [block for block in simulate_views.blocks(found) if block.flavor]
    known = [block.flavor for block in shown]
    for flavor in flavors:
        if flavor not in known:
            raise Failed("chart.flavor", exits.USAGE, given=flavor, known=", ".join(known))
    chosen = [block for block in shown if not flavors or block.flavor in flavors]
    for block in chosen[:_PANELS_MAX]:
        cities = list(dict.fromkeys(row.city for _, row in block.rows))
        names = list(dict.fromkeys(name for name, _ in block.rows))
        never = simulate_views.unstarted(found)
        rows = {(name, row.city): row for name, row in block.rows}
        of = [[rows.get((name, city), pb.CityFigures()) for city in cities] for name in names]
        waits = [[simulate_views.seconds(row, "mean_wait") for row in line] for line in of]
        yield charts.Panel(
            block.flavor if plain else session.name(block.flavor),
            [city if plain else _below(session, city) for city in cities],
            [_legend(session, name, never.get(name), plain=plain) for name in names],
            [[None if wait is None else wait / _HOUR_S for wait in line] for line in waits],
            [[row.unit_hours / hours for row in line] for line in of],
            [[row.borrowed_unit_hours / hours for row in line] for line in of],
        )


def _legend(session: Session, name: str, unstarted: str | None, *, plain: bool) -> str:
    """A scenario's name, with how many jobs its waits leave out."""
    shown = name if plain else simulate_views.scenario_name(session, name)
    if unstarted is None:
        return shown
    never = f"({unstarted} never start)"
    return f"{shown} " + (never if plain else session.t("simulate.unstarted", n=unstarted))


def _below(session: Session, city: str) -> str:
    """A city's name in two lines, to stand below bars."""
    return simulate_views.city_name(session, city).replace(" ", "\n")
