"""``corridor quota``: instant quotas of cities and caps of enterprises."""

from typing import Annotated, Any

import grpc
import typer
from corridor.v1 import quota_service_pb2 as pb

from scheduler.cli import exits
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged
from scheduler.problem import problem_of

NONE = "none"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=ClientGroup, help="Quotas of cities and enterprises.", no_args_is_help=True
    )
    add(group, "get", get)
    add(group, "set", set_quota)
    app.add_typer(group, name="quota", rich_help_panel="Quotas and money")


City = Annotated[str | None, typer.Option("--city", help="Of this city.")]
Enterprise = Annotated[str | None, typer.Option("--enterprise", help="Caps: of this enterprise.")]


def get(
    session: Session,
    city: City = None,
    enterprise: Enterprise = None,
    enterprises: Annotated[
        bool, typer.Option("--enterprises", help="Caps: of all enterprises you may see.")
    ] = False,
    flavor: Annotated[str | None, typer.Option("--flavor", help="Only this flavor.")] = None,
) -> None:
    """Show quotas of cities, or caps of enterprises: what may be held and what is."""
    if enterprise or enterprises:
        caps = pb.ListEnterpriseQuotasRequest(enterprise=enterprise or "", city=city or "")
        rows = paged(session.client.quotas.ListEnterpriseQuotas, caps, "quotas")
    else:
        request = pb.ListCityQuotasRequest(city=city or "")
        rows = paged(session.client.quotas.ListCityQuotas, request, "quotas")
    rows = [row for row in rows if flavor in (None, row.flavor)]
    if session.as_json:
        print_json({"quotas": [to_json(row) for row in rows]})
    elif enterprise or enterprises:
        _caps(session, rows)
    else:
        _quotas(session, rows)


def _quotas(session: Session, rows: list[pb.CityQuota]) -> None:
    out = session.out
    columns = [
        Column("quota.city", rank=1),
        Column("quota.flavor"),
        Column("quota.nominal", right=True),
        Column("quota.borrow", right=True, rank=2),
        Column("quota.lend", right=True, rank=2),
        Column("quota.used", right=True),
        Column("quota.borrowed", right=True),
        Column("quota.etag", rank=4),
        Column("quota.changed", right=True, rank=5),
    ]
    cells: list[list[str | Cell]] = [
        [
            session.name(row.city),
            row.flavor,
            f"{row.nominal_units:,}",
            _limit(row, "borrow_limit_units", out.t("quota.no_limit")),
            _limit(row, "lend_limit_units", out.t("quota.all")),
            f"{row.used_units:,}",
            Cell(f"{row.borrowed_units:,}", "yellow" if row.borrowed_units else ""),
            row.etag,
            out.when(row.update_time),
        ]
        for row in rows
    ]
    out.table(columns, cells, "quota.none")


def _caps(session: Session, rows: list[pb.EnterpriseQuota]) -> None:
    out = session.out
    columns = [
        Column("quota.enterprise"),
        Column("quota.flavor"),
        Column("quota.cap", right=True),
        Column("quota.used", right=True),
        Column("quota.etag", rank=1),
        Column("quota.changed", right=True, rank=2),
    ]
    cells = [
        [
            row.enterprise,
            row.flavor,
            _limit(row, "cap_units", out.t("quota.no_limit")),
            f"{row.used_units:,}",
            row.etag,
            out.when(row.update_time),
        ]
        for row in rows
    ]
    out.table(columns, cells, "quota.no_caps")


def _limit(row: Any, field: str, without: str) -> str:
    return f"{getattr(row, field):,}" if row.HasField(field) else without


def set_quota(
    session: Session,
    flavor: Annotated[str, typer.Argument(metavar="FLAVOR", help="Such as wuhan-ai/ascend-910b.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ],
    city: City = None,
    enterprise: Enterprise = None,
    nominal: Annotated[
        int | None, typer.Option("--nominal", min=0, help="The city's own units.")
    ] = None,
    borrow_limit: Annotated[
        str | None,
        typer.Option(
            "--borrow-limit", metavar="UNITS|none", help="Units above nominal; none: no limit."
        ),
    ] = None,
    lend_limit: Annotated[
        str | None,
        typer.Option("--lend-limit", metavar="UNITS|none", help="Units others may use; none: all."),
    ] = None,
    cap: Annotated[
        str | None,
        typer.Option(
            "--cap", metavar="UNITS|none", help="The most an enterprise may hold; none: no cap."
        ),
    ] = None,
    etag: Annotated[
        str | None,
        typer.Option("--etag", help="Set only if it is still the quota with this etag."),
    ] = None,
) -> None:
    """Set a city's quota, or an enterprise's cap; what is not named stays as it is.

    The quota is read first and set under the etag that was read: if someone changes it meanwhile,
    nothing is set.
    """
    if bool(city) == bool(enterprise):
        raise Failed("option.owner", exits.USAGE)
    limits = (nominal, borrow_limit, lend_limit)
    if city and cap is not None:
        raise Failed("option.city_limits", exits.USAGE)
    if enterprise and any(one is not None for one in limits):
        raise Failed("option.enterprise_limits", exits.USAGE)
    shown: Any
    if city:
        quota = _new_quota(session, city, flavor, nominal, borrow_limit, lend_limit)
        quota.etag = quota.etag if etag is None else etag
        change = pb.UpdateCityQuotaRequest(quota=quota, reason=reason)
        shown = session.client.quotas.UpdateCityQuota(change).quota
    else:
        new_cap = _new_cap(session, str(enterprise), flavor, cap)
        new_cap.etag = new_cap.etag if etag is None else etag
        new = pb.UpdateEnterpriseQuotaRequest(quota=new_cap, reason=reason)
        shown = session.client.quotas.UpdateEnterpriseQuota(new).quota
    if session.as_json:
        print_json(to_json(shown))
    elif city:
        _quotas(session, [shown])
    else:
        _caps(session, [shown])


def _units(option: str, given: str) -> int | None:
    """Return units, None for ``none``; raises ``Failed``."""
    if given == NONE:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 15:
        raise Failed("option.units", exits.USAGE, option=option, given=given)
    return int(given)


def _new_quota(
    session: Session,
    city: str,
    flavor: str,
    nominal: int | None,
    borrow_limit: str | None,
    lend_limit: str | None,
) -> pb.CityQuota:
    """Return the quota as read with what was named changed; a new one if there is none."""
    if nominal is None and borrow_limit is None and lend_limit is None:
        options = "--nominal, --borrow-limit, --lend-limit"
        raise Failed("option.nothing_to_set", exits.USAGE, options=options)
    borrow = None if borrow_limit is None else _units("--borrow-limit", borrow_limit)
    lend = None if lend_limit is None else _units("--lend-limit", lend_limit)
    request = pb.GetCityQuotaRequest(city=city, flavor=flavor)
    try:
        quota = session.client.quotas.GetCityQuota(request).quota
    except grpc.RpcError as error:
        if problem_of(error).code != "NOT_FOUND":
            raise
        if nominal is None:
            values = {"city": city, "flavor": flavor}
            raise Failed("option.nominal_first", exits.USAGE, **values) from error
        quota = pb.CityQuota(city=city, flavor=flavor)
    if nominal is not None:
        quota.nominal_units = nominal
    for field, given, units in (
        ("borrow_limit_units", borrow_limit, borrow),
        ("lend_limit_units", lend_limit, lend),
    ):
        if given is not None:
            quota.ClearField(field)  # type: ignore[arg-type]
            if units is not None:
                setattr(quota, field, units)
    return quota


def _new_cap(session: Session, enterprise: str, flavor: str, cap: str | None) -> pb.EnterpriseQuota:
    """Return the enterprise's quota as read with the new cap; a new one if there is none."""
    if cap is None:
        raise Failed("option.nothing_to_set", exits.USAGE, options="--cap")
    units = _units("--cap", cap)
    request = pb.ListEnterpriseQuotasRequest(enterprise=enterprise)
    rows = paged(session.client.quotas.ListEnterpriseQuotas, request, "quotas")
    etag = next((row.etag for row in rows if row.flavor == flavor), "")
    return pb.EnterpriseQuota(enterprise=enterprise, flavor=flavor, cap_units=units, etag=etag)
