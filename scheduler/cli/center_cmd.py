"""``corridor center`` and ``city``: where jobs run, and whose they are."""

from typing import Annotated

import typer
from corridor.v1 import center_service_pb2 as pb
from corridor.v1.identity_service_pb2 import ListCitiesRequest

from scheduler.cli import amounts, center_check_cmd, fact_cmd, price_cmd, resolve_cmd
from scheduler.cli.client_command import add
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session

PANEL = "Centers and people"
_STATE = pb.Center.DESCRIPTOR.fields_by_name["state"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    center = typer.Typer(cls=ClientGroup, help="Compute centers.", no_args_is_help=True)
    add(center, "list", list_centers)
    add(center, "show", show)
    add(center, "cordon", cordon)
    add(center, "drain", drain)
    add(center, "resume", resume)
    add(center, "resolve", resolve_cmd.resolve)
    add(center, "check", center_check_cmd.check)
    add(center, "kinds", center_check_cmd.kinds)
    add(center, "prices", price_cmd.prices)
    add(center, "set-prices", price_cmd.set_prices)
    add(center, "domestic", fact_cmd.domestic)
    app.add_typer(center, name="center", rich_help_panel=PANEL)
    city = typer.Typer(cls=ClientGroup, help="Cities of the corridor.", no_args_is_help=True)
    add(city, "list", list_cities)
    app.add_typer(city, name="city", rich_help_panel=PANEL)


CenterCode = Annotated[str, typer.Argument(metavar="CENTER", help="Code of the center.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]


def list_centers(session: Session) -> None:
    """List centers and their flavors: capacity, use and price."""
    found = session.client.centers.ListCenters(pb.ListCentersRequest()).centers
    if session.as_json:
        print_json({"centers": [to_json(one) for one in found]})
        return
    columns = [
        Column("center.flavor"),
        Column("center.name", flex=16, rank=2),
        Column("center.state"),
        Column("center.used", right=True),
        Column("center.capacity", right=True),
        Column("center.price", right=True, rank=1),
        Column("center.limit", right=True, rank=3),
        Column("center.per_node", right=True, rank=4),
        Column("center.architecture", rank=5),
        Column("center.make", rank=5),
    ]
    rows: list[list[str | Cell]] = []
    for center in found:
        rows.append(
            [
                Cell(center.center, "bold"),
                Cell(_name(session, center), "bold"),
                _state(session, center),
                *[""] * 7,
            ]
        )
        rows += [_flavor_row(session, flavor) for flavor in center.flavors]
    session.out.table(columns, rows, "center.none")


def _flavor_row(session: Session, flavor: pb.Flavor) -> list[str | Cell]:
    out = session.out
    name = _both(session, flavor.display_name_zh, flavor.display_name_en)
    hourly_fen = (flavor.price_ufen_per_unit_second * 3600 + 500_000) // 1_000_000
    unit = out.word("unit.", flavor.unit)
    return [
        f"  {flavor.flavor}",
        f"  {name}",
        _overcommitted(session, flavor),
        f"{flavor.used_units:,}",
        _capacity(session, flavor, unit),
        f"{amounts.money(hourly_fen)}/h",
        out.span(flavor.wall_limit_max_s),
        str(flavor.units_per_node),
        flavor.architecture,
        session.t("center.domestic") if flavor.domestic else "",
    ]


def _capacity(session: Session, flavor: pb.Flavor, unit: str) -> Cell:
    """What runs may hold; of how much that is granted, if the center reports less."""
    effective, granted = f"{flavor.effective_units:,}", f"{flavor.capacity_units:,}"
    if flavor.effective_units >= flavor.capacity_units:
        return Cell(f"{granted} {unit}")
    return Cell(session.t("center.of", part=effective, whole=granted, unit=unit), "red")


def _overcommitted(session: Session, flavor: pb.Flavor) -> Cell:
    units = flavor.overcommitted_units
    return Cell(session.t("quota.overcommitted", units=f"{units:,}"), "red") if units else Cell("")


def _name(session: Session, center: pb.Center) -> str:
    return _both(session, center.display_name_zh, center.display_name_en)


def _both(session: Session, zh: str, en: str) -> str:
    return zh if session.lang == "zh" else f"{zh} {en}"


def _state(session: Session, center: pb.Center) -> Cell:
    state = session.out.state(enum_word(_STATE, center.state))
    notes = [session.t("center.simulated")] if center.simulated else []
    if not center.reachable:
        notes.append(session.t("center.unreachable"))
    noted = f"{state.text} ({', '.join(notes)})" if notes else state.text
    return Cell(noted, state.style if center.reachable else "red")


def show(session: Session, center: CenterCode) -> None:
    """Show one center."""
    request = pb.GetCenterRequest(center=center)
    _show(session, session.client.centers.GetCenter(request).center)


def cordon(session: Session, center: CenterCode, reason: Reason) -> None:
    """Start nothing new at a center; what runs goes on."""
    request = pb.CordonCenterRequest(center=center, reason=reason)
    _show(session, session.client.centers.CordonCenter(request).center)


def drain(session: Session, center: CenterCode, reason: Reason) -> None:
    """Empty a center: runs are told, ended after a grace, and queued again; nothing is billed."""
    request = pb.DrainCenterRequest(center=center, reason=reason)
    _show(session, session.client.centers.DrainCenter(request).center)


def resume(session: Session, center: CenterCode, reason: Reason) -> None:
    """Open a cordoned or drained center again."""
    request = pb.ResumeCenterRequest(center=center, reason=reason)
    _show(session, session.client.centers.ResumeCenter(request).center)


def _show(session: Session, center: pb.Center) -> None:
    if session.as_json:
        print_json(to_json(center))
        return
    out = session.out
    out.facts(
        [
            ("center.center", center.center),
            ("center.its_name", _name(session, center)),
            ("center.kind", center.kind),
            ("center.its_state", _state(session, center)),
            ("center.health", center.health_detail),
            ("center.answered", out.moment(center.last_answer_time)),
            ("center.runs", f"{center.active_runs:,}"),
        ]
    )
    columns = [
        Column("center.flavor"),
        Column("center.name", flex=16, rank=3),
        Column("center.used", right=True),
        Column("center.capacity", right=True),
        Column("center.price", right=True, rank=1),
        Column("center.limit", right=True, rank=2),
        Column("center.per_node", right=True, rank=4),
        Column("center.architecture", rank=5),
        Column("center.make", rank=5),
    ]
    rows = [_flavor_row(session, flavor) for flavor in center.flavors]
    out.line()
    columns.append(Column("quota.note", rank=1))
    out.table(columns, [[row[0], row[1], *row[3:], row[2]] for row in rows])


def list_cities(session: Session) -> None:
    """List the cities of the corridor."""
    found = session.client.identity.ListCities(ListCitiesRequest()).cities
    if session.as_json:
        print_json({"cities": [to_json(one) for one in found]})
        return
    columns = [Column("city.city"), Column("city.zh"), Column("city.en")]
    columns.append(Column("city.weight", right=True))
    rows = [
        [one.city, one.display_name_zh, one.display_name_en, f"{one.weight:,}"] for one in found
    ]
    session.out.table(columns, rows)
