"""``corridor quota``: instant quotas, stops and use of cities, enterprises and flavors."""

from typing import Annotated, Any, Final

import typer
from corridor.v1 import quota_service_pb2 as pb

from scheduler.cli import exits, quota_views
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.quota_set import City, Enterprise, set_quota
from scheduler.cli.session import Session, paged
from scheduler.cli.simulate_cmd import simulate

KINDS: Final = ("cities", "enterprises", "flavors")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=ClientGroup, help="Quotas of cities and enterprises.", no_args_is_help=True
    )
    add(group, "list", list_quotas)
    add(group, "show", show)
    add(group, "get", get)
    add(group, "set", set_quota)
    add(group, "usage", usage)
    add(group, "simulate", simulate)
    add(group, "changes", changes)
    add(group, "cancel-change", cancel_change)
    add(group, "stops", stops)
    add(group, "hold", hold)
    add(group, "drain", drain)
    add(group, "open", open_node)
    app.add_typer(group, name="quota", rich_help_panel="Quotas and money")


FlavorFilter = Annotated[str | None, typer.Option("--flavor", help="Only this flavor.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]
Node = Annotated[
    str, typer.Argument(metavar="NODE", help="cities/CODE or enterprises/CODE, as in cities/ezhou.")
]
AllStates = Annotated[bool, typer.Option("--all", help="Also those that are over.")]


def list_quotas(
    session: Session,
    what: Annotated[
        str, typer.Argument(metavar="[cities|enterprises|flavors]", help="Whose quotas.")
    ] = "cities",
    city: City = None,
    enterprise: Enterprise = None,
    flavor: FlavorFilter = None,
) -> None:
    """List quotas of cities, enterprises or flavors: what may be held and what is."""
    if what not in KINDS:
        raise Failed("option.kinds", exits.USAGE, given=what)
    _show(session, what, _rows(session, what, city or "", enterprise or "", flavor))


def get(
    session: Session,
    city: City = None,
    enterprise: Enterprise = None,
    enterprises: Annotated[
        bool, typer.Option("--enterprises", help="Caps: of all enterprises you may see.")
    ] = False,
    flavor: FlavorFilter = None,
) -> None:
    """Show quotas of cities, or caps of enterprises: what may be held and what is."""
    what = "enterprises" if enterprise or enterprises else "cities"
    _show(session, what, _rows(session, what, city or "", enterprise or "", flavor))


def _rows(
    session: Session, what: str, city: str, enterprise: str, flavor: str | None = None
) -> list[Any]:
    quotas = session.client.quotas
    rows: list[Any]
    if what == "cities":
        rows = paged(quotas.ListCityQuotas, pb.ListCityQuotasRequest(city=city), "quotas")
    elif what == "enterprises":
        request = pb.ListEnterpriseQuotasRequest(enterprise=enterprise, city=city)
        rows = paged(quotas.ListEnterpriseQuotas, request, "quotas")
    else:
        rows = list(quotas.ListFlavorQuotas(pb.ListFlavorQuotasRequest()).quotas)
    return [row for row in rows if flavor in (None, row.flavor)]


def _show(session: Session, what: str, rows: list[Any]) -> None:
    if session.as_json:
        print_json({"quotas": [to_json(row) for row in rows]})
    else:
        getattr(quota_views, what)(session, rows)


def show(
    session: Session,
    node: Annotated[
        str,
        typer.Argument(
            metavar="NODE",
            help="cities/CODE, enterprises/CODE or flavors/FLAVOR, as in flavors/wuhan-ai/x.",
        ),
    ],
) -> None:
    """Show one city, enterprise or flavor: its quotas, whether it is stopped, and what will change.

    The quotas come first, then its state, then changes that were ordered for later.
    """
    what, _, code = node.partition("/")
    if what not in KINDS or not code:
        raise Failed("option.node", exits.USAGE, given=node)
    if what == "flavors":
        request = pb.GetFlavorQuotaRequest(flavor=code)
        rows: list[Any] = [session.client.quotas.GetFlavorQuota(request).quota]
    else:
        rows = _rows(session, what, code, code) if what == "cities" else _of(session, code)
    stopped = [one for one in _stops(session, everything=False) if one.node == node]
    waiting = [one for one in _changes(session, everything=False) if _is_of(one, what, code)]
    if session.as_json:
        print_json(
            {
                "quotas": [to_json(row) for row in rows],
                "stop": to_json(stopped[0]) if stopped else None,
                "changes": [to_json(one) for one in waiting],
            }
        )
        return
    _show(session, what, rows)
    for rest, view in ((stopped, quota_views.stops), (waiting, quota_views.changes)):
        if rest:
            session.out.line()
            view(session, rest)  # type: ignore[arg-type]


def _of(session: Session, enterprise: str) -> list[Any]:
    """Return the quotas of one enterprise; the call fails for one that cannot be seen."""
    found = _rows(session, "enterprises", "", enterprise)
    if found:
        return found
    flavors = _rows(session, "flavors", "", "")
    requests = [
        pb.GetEnterpriseQuotaRequest(enterprise=enterprise, flavor=one.flavor) for one in flavors
    ]
    return [session.client.quotas.GetEnterpriseQuota(one).quota for one in requests]


def _is_of(change: pb.QuotaChange, what: str, code: str) -> bool:
    if what == "cities":
        return change.HasField("city_quota") and change.city_quota.city == code
    if what == "enterprises":
        return change.enterprise_quota.enterprise == code
    return change.flavor_quota.flavor == code


def usage(session: Session, city: City = None, flavor: FlavorFilter = None) -> None:
    """Show who uses what now, and what is borrowed and lent."""
    request = pb.ListUsageRequest(city=city or "", flavor=flavor or "")
    rows = paged(session.client.quotas.ListUsage, request, "usages")
    if session.as_json:
        print_json({"usages": [to_json(row) for row in rows]})
    else:
        quota_views.usage(session, rows)


# --- changes ordered for later --------------------------------------------------------------------


def changes(session: Session, everything: AllStates = False) -> None:
    """List changes of quotas that were ordered for later with `quota set --at`."""
    rows = _changes(session, everything)
    if session.as_json:
        print_json({"changes": [to_json(row) for row in rows]})
    else:
        quota_views.changes(session, rows)


def _changes(session: Session, everything: bool) -> list[pb.QuotaChange]:
    request = pb.ListQuotaChangesRequest(all_states=everything)
    return paged(session.client.quotas.ListQuotaChanges, request, "changes")


def cancel_change(
    session: Session,
    change: Annotated[int, typer.Argument(metavar="CHANGE", help="Its number, by quota changes.")],
    reason: Reason,
) -> None:
    """Take back a change of a quota that waits for its time."""
    request = pb.CancelQuotaChangeRequest(change_id=change, reason=reason)
    row = session.client.quotas.CancelQuotaChange(request).change
    if session.as_json:
        print_json(to_json(row))
    else:
        quota_views.changes(session, [row])


# --- stops ----------------------------------------------------------------------------------------


def stops(session: Session, everything: AllStates = False) -> None:
    """List cities and enterprises that are stopped, by whom and why."""
    rows = _stops(session, everything)
    if session.as_json:
        print_json({"stops": [to_json(row) for row in rows]})
    else:
        quota_views.stops(session, rows)


def _stops(session: Session, everything: bool) -> list[pb.NodeStop]:
    request = pb.ListStopStatesRequest(all_states=everything)
    return paged(session.client.quotas.ListStopStates, request, "stops")


def hold(session: Session, node: Node, reason: Reason) -> None:
    """Start no more jobs of a city or an enterprise; what runs goes on."""
    _set_stop(session, node, pb.STOP_STATE_HOLD, reason)


def drain(session: Session, node: Node, reason: Reason) -> None:
    """Start no more jobs of a city or an enterprise, and end its runs; they are queued again."""
    _set_stop(session, node, pb.STOP_STATE_DRAIN, reason)


def open_node(session: Session, node: Node, reason: Reason) -> None:
    """Let a city or an enterprise start jobs again."""
    _set_stop(session, node, pb.STOP_STATE_OPEN, reason)


def _set_stop(session: Session, node: str, state: "pb.StopState.ValueType", reason: str) -> None:
    """Set a state under the etag that is there."""
    known = [one for one in _stops(session, everything=True) if one.node == node]
    etag = known[0].etag if known else ""
    request = pb.SetStopStateRequest(node=node, state=state, reason=reason, etag=etag)
    row = session.client.quotas.SetStopState(request).stop
    if session.as_json:
        print_json(to_json(row))
    else:
        quota_views.stops(session, [row])
