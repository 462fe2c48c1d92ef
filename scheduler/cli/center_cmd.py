"""``corridor center`` and ``city``: where jobs run, and whose they are."""

from typing import Annotated

import typer
from corridor.v1 import center_service_pb2 as pb
from corridor.v1.identity_service_pb2 import ListCitiesRequest

from scheduler.cli import (
    center_check_cmd,
    center_inventory_cmd,
    center_watch,
    exits,
    fact_cmd,
    moments,
    price_cmd,
    resolve_cmd,
)
from scheduler.cli.center_views import show as show_center
from scheduler.cli.center_views import show_list
from scheduler.cli.client_command import add
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.output import Column
from scheduler.cli.session import Session

PANEL = "Centers and people"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    center = typer.Typer(cls=ClientGroup, help="Compute centers.", no_args_is_help=True)
    add(center, "list", list_centers)
    add(center, "show", show)
    add(center, "cordon", cordon)
    add(center, "drain", drain)
    add(center, "watch", watch)
    add(center, "resume", resume)
    add(center, "reconcile", center_inventory_cmd.reconcile)
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
    """List centers and their flavors: capacity, use and price.

    USED is what our runs hold; THERE what all users of the center hold, THEIR QUEUE the runs that
    wait in its own queue, as far as it tells; OUR QUEUE the jobs that wait here.
    """
    show_list(session, list(session.client.centers.ListCenters(pb.ListCentersRequest()).centers))


def show(session: Session, center: CenterCode) -> None:
    """Show one center.

    With how it answers, the last error, what limits calls to it, its runs by state, and how much
    of it is in use, by us and by all.
    """
    request = pb.GetCenterRequest(center=center)
    show_center(session, session.client.centers.GetCenter(request).center)


def cordon(session: Session, center: CenterCode, reason: Reason) -> None:
    """Start nothing new at a center; what runs goes on."""
    request = pb.CordonCenterRequest(center=center, reason=reason)
    show_center(session, session.client.centers.CordonCenter(request).center)


def drain(
    session: Session,
    center: CenterCode,
    reason: Reason,
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline",
            metavar="WHEN",
            help="Until when it is to be empty: 2h, or 2027-01-01T09:00:00+08:00. Default: now.",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until it is empty, with a line per change.")
    ] = False,
) -> int:
    """Empty a center: runs are told, ended after a grace, and queued again; nothing is billed.

    With --deadline those that end by then anyway, by their wall limit, are left; the others work
    on until their grace must begin. Given again, the deadline is moved. `corridor center resume`
    undoes it: runs whose end was ordered by then still end, the others go on.

    With --watch the exit code is 0 once the center is empty, 1 if it was opened again before.
    """
    at = moments.option(session, "--deadline", deadline)
    request = pb.DrainCenterRequest(center=center, reason=reason, deadline=at)
    found = session.client.centers.DrainCenter(request).center
    if watch:
        return center_watch.until_empty(session, found)
    show_center(session, found)
    return exits.OK


def watch(session: Session, center: CenterCode) -> int:
    """Watch a center that is drained until it is empty: a line per change.

    It changes nothing, and may be ended and begun at any time. Exit code 0: it is empty; 1: it was
    opened again, or is not drained at all.
    """
    request = pb.GetCenterRequest(center=center)
    return center_watch.until_empty(session, session.client.centers.GetCenter(request).center)


def resume(session: Session, center: CenterCode, reason: Reason) -> None:
    """Open a cordoned or drained center again."""
    request = pb.ResumeCenterRequest(center=center, reason=reason)
    show_center(session, session.client.centers.ResumeCenter(request).center)


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
