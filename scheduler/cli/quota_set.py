"""``corridor quota set``: quotas of cities, enterprises and flavors, now or at a time to come."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import grpc
import typer
from corridor.v1 import quota_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.cli import amounts, exits, quota_views
from scheduler.cli.failures import Failed
from scheduler.cli.kinds import INSTANT_PATTERN
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.session import Session
from scheduler.problem import problem_of

NONE: Final = "none"
_RATE: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?%/(.+)")
_MODES: Final[Mapping[str, "pb.ReclaimMode.ValueType"]] = {
    "churn": pb.RECLAIM_MODE_CHURN,
    "lease": pb.RECLAIM_MODE_LEASE,
    "evict": pb.RECLAIM_MODE_EVICT,
}

City = Annotated[str | None, typer.Option("--city", help="Of this city.")]
Enterprise = Annotated[str | None, typer.Option("--enterprise", help="Caps: of this enterprise.")]
Nominal = Annotated[int | None, typer.Option("--nominal", min=0, help="The city's own units.")]
BorrowLimit = Annotated[
    str | None,
    typer.Option(
        "--borrow-limit", metavar="UNITS|none", help="Units above nominal; none: no limit."
    ),
]
LendLimit = Annotated[
    str | None,
    typer.Option("--lend-limit", metavar="UNITS|none", help="Units others may use; none: all."),
]
Cap = Annotated[
    str | None,
    typer.Option(
        "--cap", metavar="UNITS|none", help="The most an enterprise may hold; none: no cap."
    ),
]
Guarantee = Annotated[
    int | None,
    typer.Option(
        "--guarantee", min=0, help="Units kept for an enterprise, of those guaranteed to its city."
    ),
]
Granted = Annotated[
    int | None,
    typer.Option("--granted", min=0, help="A flavor's: units the center grants the corridor."),
]
Corridor = Annotated[
    str | None,
    typer.Option(
        "--corridor",
        metavar="UNITS|none",
        help="A flavor's: the corridor's own units; none: what the cities leave.",
    ),
]
ReclaimOption = Annotated[
    str | None,
    typer.Option(
        "--reclaim",
        metavar="churn|lease|evict",
        help="A flavor's: how lent units come back to their city.",
    ),
]
Lease = Annotated[
    str | None,
    typer.Option(
        "--lease", metavar="DURATION", help="Lease: the longest limit of a run that borrows."
    ),
]
RunMin = Annotated[
    str | None,
    typer.Option(
        "--run-min", metavar="DURATION", help="Evict: a run that ran for less is not stopped."
    ),
]
Grace = Annotated[
    str | None,
    typer.Option("--grace", metavar="DURATION", help="Evict: from the notice to the stop."),
]
Rate = Annotated[
    str | None,
    typer.Option(
        "--rate",
        metavar="PERCENT%/DURATION",
        help="Evict: the most that is stopped, such as 10%/5m.",
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Set it then: 2027-01-01T00:00:00+08:00, or a duration from now such as 12h.",
    ),
]
Etag = Annotated[
    str | None, typer.Option("--etag", help="Set only if it is still the quota with this etag.")
]


@dataclass(frozen=True, slots=True)
class Given:
    """The options that say what to set; None for what was not named."""

    city: dict[str, Any]
    enterprise: dict[str, Any]
    flavor: dict[str, Any]

    def check(self, city: str | None, enterprise: str | None) -> None:
        """Raise ``Failed`` for options that do not go with what is set."""
        if (city and enterprise) or not (city or enterprise or any(_named(self.flavor))):
            raise Failed("option.owner", exits.USAGE)
        if city and any(_named({**self.enterprise, **self.flavor})):
            raise Failed("option.city_limits", exits.USAGE)
        if enterprise and any(_named({**self.city, **self.flavor})):
            raise Failed("option.enterprise_limits", exits.USAGE)
        if not (city or enterprise) and any(_named({**self.city, **self.enterprise})):
            raise Failed("option.owner", exits.USAGE)


def _named(values: dict[str, Any]) -> list[str]:
    return [name for name, value in values.items() if value is not None]


def set_quota(
    session: Session,
    flavor: Annotated[str, typer.Argument(metavar="FLAVOR", help="Such as wuhan-ai/ascend-910b.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ],
    city: City = None,
    enterprise: Enterprise = None,
    nominal: Nominal = None,
    borrow_limit: BorrowLimit = None,
    lend_limit: LendLimit = None,
    cap: Cap = None,
    guarantee: Guarantee = None,
    granted: Granted = None,
    corridor: Corridor = None,
    reclaim: ReclaimOption = None,
    lease: Lease = None,
    run_min: RunMin = None,
    grace: Grace = None,
    rate: Rate = None,
    at: At = None,
    etag: Etag = None,
) -> None:
    """Set the quota of a city, an enterprise or a flavor; what is not named stays as it is.

    The quota is read first and set under the etag that was read: if someone changes it meanwhile,
    nothing is set. One that is set at a time to come is judged again when it is due.
    """
    given = Given(
        {"nominal": nominal, "borrow_limit": borrow_limit, "lend_limit": lend_limit},
        {"cap": cap, "guarantee": guarantee},
        {
            "granted": granted,
            "corridor": corridor,
            "reclaim": reclaim,
            "lease": lease,
            "run_min": run_min,
            "grace": grace,
            "rate": rate,
        },
    )
    given.check(city, enterprise)
    when = None if at is None else _instant(session, at)
    quotas: Any = session.client.quotas
    request: Any
    show: Any
    if city:
        request = pb.UpdateCityQuotaRequest(quota=_city(session, city, flavor, given.city))
        call, show = quotas.UpdateCityQuota, quota_views.cities
    elif enterprise:
        request = pb.UpdateEnterpriseQuotaRequest(
            quota=_enterprise(session, enterprise, flavor, given.enterprise)
        )
        call, show = quotas.UpdateEnterpriseQuota, quota_views.enterprises
    else:
        request = pb.UpdateFlavorQuotaRequest(quota=_flavor(session, flavor, given.flavor))
        call, show = quotas.UpdateFlavorQuota, quota_views.flavors
    _send(session, call, show, request, reason, when, etag)


def _send(
    session: Session,
    call: Any,
    show: Any,
    request: Any,
    reason: str,
    when: Timestamp | None,
    etag: str | None,
) -> None:
    """Make the call and print the quota, or the change that was ordered for later."""
    request.reason = reason
    if etag is not None:
        request.quota.etag = etag
    if when is not None:
        request.effective_time.CopyFrom(when)
    answer = call(request)
    if session.as_json:
        print_json(to_json(answer.quota if when is None else answer.change))
    elif when is None:
        show(session, [answer.quota])
    else:
        quota_views.changes(session, [answer.change])


# --- what is to be set ----------------------------------------------------------------------------


def _city(session: Session, city: str, flavor: str, given: dict[str, Any]) -> pb.CityQuota:
    """Return the quota as read with what was named changed; a new one if there is none."""
    if not _named(given):
        options = "--nominal, --borrow-limit, --lend-limit"
        raise Failed("option.nothing_to_set", exits.USAGE, options=options)
    new = {
        f"{name}_units": _units(f"--{name.replace('_', '-')}", given[name])
        for name in ("borrow_limit", "lend_limit")
        if given[name] is not None
    }
    request = pb.GetCityQuotaRequest(city=city, flavor=flavor)
    try:
        quota = session.client.quotas.GetCityQuota(request).quota
    except grpc.RpcError as error:
        if problem_of(error).code != "NOT_FOUND":
            raise
        if given["nominal"] is None:
            values = {"city": city, "flavor": flavor}
            raise Failed("option.nominal_first", exits.USAGE, **values) from error
        quota = pb.CityQuota(city=city, flavor=flavor)
    if given["nominal"] is not None:
        quota.nominal_units = given["nominal"]
    _put(quota, new)
    return quota


def _enterprise(
    session: Session, enterprise: str, flavor: str, given: dict[str, Any]
) -> pb.EnterpriseQuota:
    """Return the enterprise's quota as read with what was named changed."""
    if not _named(given):
        raise Failed("option.nothing_to_set", exits.USAGE, options="--cap, --guarantee")
    new = {} if given["cap"] is None else {"cap_units": _units("--cap", given["cap"])}
    request = pb.GetEnterpriseQuotaRequest(enterprise=enterprise, flavor=flavor)
    quota = session.client.quotas.GetEnterpriseQuota(request).quota
    if given["guarantee"] is not None:
        quota.guarantee_units = given["guarantee"]
    _put(quota, new)
    return quota


def _flavor(session: Session, flavor: str, given: dict[str, Any]) -> pb.FlavorQuota:
    """Return the flavor's quota as read with what was named changed."""
    seconds = {
        f"{name}_s": _seconds(f"--{name.replace('_', '-')}", given[name])
        for name in ("lease", "run_min", "grace")
        if given[name] is not None
    }
    mode = given["reclaim"]
    if mode is not None and mode not in _MODES:
        raise Failed("option.reclaim", exits.USAGE, given=mode)
    rate = None if given["rate"] is None else _rate(given["rate"])
    new = (
        {}
        if given["corridor"] is None
        else {"corridor_units": _units("--corridor", given["corridor"])}
    )
    quota = session.client.quotas.GetFlavorQuota(pb.GetFlavorQuotaRequest(flavor=flavor)).quota
    if given["granted"] is not None:
        quota.granted_units = given["granted"]
    if mode is not None:
        quota.reclaim.mode = _MODES[mode]
    if rate is not None:
        quota.reclaim.rate_bps, quota.reclaim.rate_s = rate
    _put(quota.reclaim, dict(seconds))
    _put(quota, new)
    return quota


def _put(message: Any, values: Mapping[str, int | None]) -> None:
    """Set the fields of a message; None leaves one unset."""
    for field, value in values.items():
        message.ClearField(field)
        if value is not None:
            setattr(message, field, value)


def _units(option: str, given: str) -> int | None:
    """Return units, None for ``none``; raises ``Failed``."""
    if given == NONE:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 15:
        raise Failed("option.units", exits.USAGE, option=option, given=given)
    return int(given)


def _seconds(option: str, given: str) -> int:
    seconds = amounts.parse_duration(given)
    if seconds is None:
        raise Failed("option.duration", exits.USAGE, option=option, given=given)
    return seconds


def _rate(given: str) -> tuple[int, int]:
    """Return (basis points, seconds) of ``10%/5m``; raises ``Failed``."""
    found = _RATE.fullmatch(given)
    seconds = None if found is None else amounts.parse_duration(found[3])
    if found is None or not seconds:
        raise Failed("option.rate", exits.USAGE, given=given)
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")), seconds


def _instant(session: Session, given: str) -> Timestamp:
    """Return when: an instant of RFC 3339, or a duration from the service's time now."""
    at = Timestamp()
    seconds = amounts.parse_duration(given)
    if seconds:
        at.FromMilliseconds(session.now_ms + seconds * 1000)
        return at
    if re.fullmatch(INSTANT_PATTERN, given):
        try:
            at.FromDatetime(datetime.fromisoformat(given))
            return at
        except (ValueError, OverflowError):
            pass
    raise Failed("option.at", exits.USAGE, given=given)
