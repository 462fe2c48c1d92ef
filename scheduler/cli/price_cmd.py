"""``corridor center prices`` and ``set-prices``: what an hour of a unit costs, from when on."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Final

import typer
from corridor.v1 import price_pb2 as pb
from corridor.v1.rule_pb2 import TERM_STATE_ENDED

from scheduler.cli import approve_cmd, exits, moments, once, rule_views
from scheduler.cli.failures import Failed
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.once import RequestId
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged

_YUAN: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?", re.ASCII)
_UFEN: Final = re.compile(r"([0-9]{1,13})ufen", re.ASCII)


def prices(
    session: Session,
    center: Annotated[
        str, typer.Argument(metavar="CENTER", help="Only of this center; default: all.")
    ] = "",
    flavor: Annotated[str, typer.Option("--flavor", help="Only of this flavor.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are no longer in force.")
    ] = False,
) -> None:
    """List prices by flavor: those in force and those to come."""
    wanted = pb.ListPricesRequest(center=center, flavor=flavor)
    found = paged(session.client.centers.ListPrices, wanted, "prices")
    if not everything:
        found = [one for one in found if one.state != TERM_STATE_ENDED]
    if session.as_json:
        print_json({"prices": [to_json(one) for one in found]})
    else:
        _table(session, found)


def set_prices(
    session: Session,
    center: Annotated[str, typer.Argument(metavar="CENTER", help="Code of the center.")],
    price: Annotated[
        list[str],
        typer.Option(
            "--price",
            metavar="FLAVOR=YUAN",
            help="Yuan for an hour of one unit, such as wuhan-ai/ascend-910b=8.00, or exactly as"
            " FLAVOR=222222ufen (millionths of a fen a second); may be repeated.",
        ),
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ],
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="From when on: 2027-01-01, 2027-01-01T09:00:00+08:00 or 12h; default: when"
            " approved.",
        ),
    ] = None,
    replace_planned: Annotated[
        bool,
        typer.Option("--replace-planned", help="Drop prices of these flavors not yet in force."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check it; nothing is changed.")
    ] = False,
    request_id: RequestId = None,
) -> None:
    """Set prices of a center, of several flavors at once; for operators, another one approves.

    What was quoted keeps its price. A price of yuan for an hour is rounded to millionths of a fen
    a second; the answer shows what that comes to.
    """
    wanted = pb.SetPricesRequest(
        center=center,
        prices=[flavor_price(one) for one in price],
        effective_time=moments.option(session, "--from", start),
        replace_planned=replace_planned,
        reason=reason,
        validate_only=dry_run,
    )
    answer = once.call(session, session.client.centers.SetPrices, wanted, request_id)
    if session.as_json:
        print_json({"request_id": wanted.request_id, **to_json(answer)})
    elif answer.HasField("change_request"):
        approve_cmd.shown(session, answer.change_request, dry_run)
    else:
        _table(session, list(answer.prices))


def flavor_price(given: str) -> pb.FlavorPrice:
    """Return what ``FLAVOR=YUAN`` says; raises ``Failed`` for what is nothing such."""
    flavor, equals, value = given.rpartition("=")
    ufen = parse_price(value)
    if not equals or not flavor or ufen is None:
        raise Failed("option.price", exits.USAGE, given=given)
    return pb.FlavorPrice(flavor=flavor, price_ufen_per_unit_second=ufen)


def parse_price(value: str) -> int | None:
    """Return micro-fen per unit and second of ``8.00`` yuan an hour, or of ``222222ufen``.

    None if it is nothing such.
    """
    exact = _UFEN.fullmatch(value)
    if exact is not None:
        return int(exact[1])
    if _YUAN.fullmatch(value) is None:
        return None
    a_second = Decimal(value) * 100 * 10**6 / 3_600
    return int(a_second.to_integral_value(ROUND_HALF_UP))


def _table(session: Session, found: list[pb.PriceVersion]) -> None:
    columns = [
        Column("price.flavor"),
        Column("price.state"),
        Column("price.hourly", right=True),
        Column("price.from"),
        Column("price.until"),
        Column("price.version", rank=3),
        Column("price.ufen", right=True, rank=4),
        Column("price.maker", rank=2),
        Column("price.approver", rank=2),
    ]
    rows: list[list[str | Cell]] = [
        [
            one.flavor,
            rule_views.term_state(session, one.state),
            approve_cmd.hourly(one.price_ufen_per_unit_second),
            session.out.when(one.effective_time),
            session.out.when(one.end_time),
            one.price_version,
            f"{one.price_ufen_per_unit_second:,}",
            one.created_by,
            one.approved_by,
        ]
        for one in found
    ]
    session.out.table(columns, rows, "price.none")
