"""What a simulation found, for people: scenarios beside today, by flavor and city."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from corridor.v1 import simulation_pb2 as pb

from scheduler.cli import amounts
from scheduler.cli.message_json import to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session
from scheduler.whatif.scenarios import HISTORY, OTHERS, TODAY

_COLUMNS: Final = (
    Column("simulate.city", flex=12),
    Column("simulate.scenario", flex=10),
    Column("simulate.jobs", right=True, rank=6),
    Column("simulate.mean_wait", right=True),
    Column("simulate.p95_wait", right=True, rank=1),
    Column("simulate.wide_wait", right=True, rank=4),
    Column("simulate.unit_hours", right=True, rank=2),
    Column("simulate.borrowed", right=True, rank=3),
    Column("simulate.lent", right=True, rank=3),
    Column("simulate.of_nominal", right=True, rank=7),
    Column("simulate.cost", right=True, rank=5),
    Column("simulate.subsidy", right=True, rank=8),
)


class Block(NamedTuple):
    """The rows of one flavor ("" for all), by city and then scenario."""

    flavor: str
    rows: list[tuple[str, pb.CityFigures]]


def blocks(result: pb.SimulationResult) -> Iterator[Block]:
    """Yield all flavors together, then each, as far as there is something to show."""
    flavors = [one.flavor for one in result.scenarios[0].flavors] if result.scenarios else []
    for flavor in ("", *flavors):
        cities = dict.fromkeys(
            row.city for one in result.scenarios for row in one.cities if row.flavor == flavor
        )
        rows = [
            (one.scenario, row)
            for city in cities
            for one in result.scenarios
            for row in one.cities
            if (row.city, row.flavor) == (city, flavor)
        ]
        if rows:
            yield Block(flavor, rows)


def today_of(result: pb.SimulationResult) -> dict[tuple[str, str], pb.CityFigures]:
    """The figures of today by (city, flavor)."""
    return {
        (row.city, row.flavor): row
        for one in result.scenarios
        if one.scenario == TODAY
        for row in one.cities
    }


def scenario_name(session: Session, name: str) -> str:
    """A scenario's name in the language of the command."""
    known = {TODAY: "simulate.today", HISTORY: "simulate.history"}
    return session.t(known[name]) if name in known else name


def city_name(session: Session, city: str) -> str:
    """A city's name in the language of the command."""
    return session.t("simulate.others") if city == OTHERS else session.name(city)


def show(session: Session, result: pb.SimulationResult) -> None:
    """Print tables, and what there is to know about them."""
    out = session.out
    today = today_of(result)
    priced = any(row.gross_fen for one in result.scenarios for row in one.cities)
    for block in blocks(result):
        out.line(session.name(block.flavor) or session.t("simulate.all_flavors"), style="bold")
        cells: list[list[str | Cell]] = []
        last = ""
        for scenario, row in block.rows:
            shown = "" if row.city == last and out.is_terminal else city_name(session, row.city)
            last = row.city
            before = today.get((row.city, row.flavor))
            compared = None if scenario in (TODAY, HISTORY) else before
            cells.append(
                [
                    shown,
                    scenario_name(session, scenario),
                    *_cells(session, row, compared, priced=priced, real=scenario == HISTORY),
                ]
            )
        out.table(_COLUMNS, cells)
        out.line()
    _about(session, result)


def _cells(
    session: Session, row: pb.CityFigures, today: pb.CityFigures | None, *, priced: bool, real: bool
) -> list[str | Cell]:
    """The figures of a row; beside each how it differs from today."""
    span = session.out.span

    def cell(value: float | None, before: float | None, words: Callable[[int], str]) -> str:
        if value is None:
            return ""
        said = words(round(value))
        if today is None or before is None or round(value) == round(before):
            return said
        difference = round(value) - round(before)
        return f"{said} ({'+' if difference > 0 else '-'}{words(abs(difference))})"

    def wait(field: str) -> str:
        before = None if today is None else seconds(today, field)
        return cell(seconds(row, field), before, span)

    def count(field: str, words: Callable[[int], str] = "{:,}".format) -> str:
        return cell(getattr(row, field), None if today is None else getattr(today, field), words)

    jobs = f"{row.jobs:,}"
    if row.unstarted_jobs:
        key = "simulate.waiting" if real else "simulate.unstarted"
        jobs += " " + session.t(key, n=f"{row.unstarted_jobs:,}")
    whole = not row.flavor
    share = f"{row.share_of_nominal:.0%}" if row.HasField("share_of_nominal") else ""
    return [
        Cell(jobs, "red" if row.unstarted_jobs else ""),
        wait("mean_wait"),
        wait("p95_wait"),
        wait("wide_p95_wait"),
        "" if whole else count("unit_hours"),
        "" if whole else count("borrowed_unit_hours"),
        "" if whole else count("lent_unit_hours"),
        share,
        count("gross_fen", amounts.money) if priced else "",
        count("subsidy_fen", amounts.money) if priced else "",
    ]


def seconds(row: pb.CityFigures, field: str) -> float | None:
    """A wait in seconds, None if nobody waited."""
    if not row.HasField(field):  # type: ignore[arg-type]
        return None
    span: Any = getattr(row, field)
    return float(span.ToMilliseconds() / 1000)


def _about(session: Session, result: pb.SimulationResult) -> None:
    out = session.out
    values = {
        "jobs": f"{result.jobs:,}",
        "days": f"{(result.end_time.seconds - result.start_time.seconds) / 86_400:.1f}",
    }
    out.line(session.t("simulate.span", **values))
    for one in result.scenarios:
        name = scenario_name(session, one.scenario)
        used = ", ".join(
            f"{flavor.flavor} {flavor.utilization:.1%}"
            for flavor in one.flavors
            if flavor.HasField("utilization")
        )
        if used:
            out.line(session.t("simulate.used", scenario=name, used=used))
    for name, jobs in unstarted(result).items():
        words = session.t("simulate.only_started", scenario=scenario_name(session, name), n=jobs)
        out.line(words, "yellow")
    if result.estimated_jobs:
        out.line(session.t("simulate.estimated", n=f"{result.estimated_jobs:,}"))
    if any(one.withheld for one in result.scenarios):
        out.line(session.t("simulate.withheld"))
    if result.place == pb.SimulationResult.PLACE_PROCESSES and result.why_not_ray:
        why = result.why_not_ray
        why = session.t("simulate.ray_not_up") if why == _RAY_NOT_UP else why
        out.line(session.t("simulate.without_ray", why=why), style="dim")


def unstarted(result: pb.SimulationResult) -> dict[str, str]:
    """How many jobs of those shown never start, by the scenarios in which some do not."""
    found: dict[str, str] = {}
    for one in result.scenarios:
        jobs = sum(row.unstarted_jobs for row in one.cities if not row.flavor)
        if jobs and one.scenario != HISTORY:
            found[one.scenario] = f"{jobs:,}"
    return found


# --- JSON -----------------------------------------------------------------------------------------


def as_json(result: pb.SimulationResult) -> dict[str, Any]:
    """Return a result as plain data; each scenario's rows with how they differ from today."""
    found = to_json(result)
    today = today_of(result)
    for scenario, one in zip(found["scenarios"], result.scenarios, strict=True):
        for row, message in zip(scenario["cities"], one.cities, strict=True):
            before = today.get((message.city, message.flavor))
            row["against_today"] = None if before is None else _difference(message, before)
    return found


#: What the service says if it has no Ray.
_RAY_NOT_UP: Final = "Ray is not up"
_SPANS: Final = ("mean_wait", "p95_wait", "wide_p95_wait")
_COUNTS: Final = (
    "jobs", "unstarted_jobs", "wide_jobs", "unit_hours", "borrowed_unit_hours", "lent_unit_hours",
    "gross_fen", "subsidy_fen",
)  # fmt: skip


def _difference(row: pb.CityFigures, before: pb.CityFigures) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in _SPANS:
        now, then = seconds(row, field), seconds(before, field)
        found[f"{field}_s"] = None if now is None or then is None else round(now - then, 3)
    for field in _COUNTS:
        found[field] = getattr(row, field) - getattr(before, field)
    return found
