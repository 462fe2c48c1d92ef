"""Quotas, changes, stops and use as people read them."""

from typing import Any, Final

from corridor.v1 import quota_service_pb2 as pb

from scheduler.cli import amounts
from scheduler.cli.message_json import enum_word
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session

_MODE: Final = pb.ReclaimRule.DESCRIPTOR.fields_by_name["mode"]
_CHANGE: Final = pb.QuotaChange.DESCRIPTOR.fields_by_name["state"]
_STOP: Final = pb.NodeStop.DESCRIPTOR.fields_by_name["state"]
_STYLES: Final = {"HOLD": "yellow", "DRAIN": "red", "REFUSED": "red", "PENDING": "yellow"}


def cities(session: Session, rows: list[pb.CityQuota]) -> None:
    """Print quotas of cities."""
    out = session.out
    columns = [
        Column("quota.city", rank=1),
        Column("quota.flavor"),
        Column("quota.nominal", right=True),
        Column("quota.borrow", right=True, rank=2),
        Column("quota.lend", right=True, rank=2),
        Column("quota.used", right=True),
        Column("quota.borrowed", right=True),
        Column("quota.guaranteed", right=True, rank=3),
        Column("quota.note", rank=1),
        Column("quota.etag", rank=4),
        Column("quota.changed", right=True, rank=5),
    ]
    cells: list[list[str | Cell]] = [
        [
            session.name(row.city),
            row.flavor,
            f"{row.nominal_units:,}",
            limit(row, "borrow_limit_units", out.t("quota.no_limit")),
            limit(row, "lend_limit_units", out.t("quota.all")),
            f"{row.used_units:,}",
            Cell(f"{row.borrowed_units:,}", "yellow" if row.borrowed_units else ""),
            f"{row.guaranteed_units:,}",
            _overcommitted(session, row.overcommitted_units),
            row.etag,
            out.when(row.update_time),
        ]
        for row in rows
    ]
    out.table(columns, cells, "quota.none")


def _overcommitted(session: Session, units: int) -> Cell:
    if not units:
        return Cell("")
    return Cell(session.t("quota.overcommitted", units=f"{units:,}"), "red")


def enterprises(session: Session, rows: list[pb.EnterpriseQuota]) -> None:
    """Print caps and guarantees of enterprises."""
    out = session.out
    columns = [
        Column("quota.enterprise"),
        Column("quota.flavor"),
        Column("quota.cap", right=True),
        Column("quota.guarantee", right=True),
        Column("quota.used", right=True),
        Column("quota.city", rank=3),
        Column("quota.etag", rank=1),
        Column("quota.changed", right=True, rank=2),
    ]
    cells = [
        [
            row.enterprise,
            row.flavor,
            limit(row, "cap_units", out.t("quota.no_limit")),
            f"{row.guarantee_units:,}",
            f"{row.used_units:,}",
            session.name(row.city),
            row.etag,
            out.when(row.update_time),
        ]
        for row in rows
    ]
    out.table(columns, cells, "quota.no_caps")


def flavors(session: Session, rows: list[pb.FlavorQuota]) -> None:
    """Print the corridor's own part of flavors."""
    out = session.out
    columns = [
        Column("quota.flavor"),
        Column("quota.granted", right=True, rank=2),
        Column("quota.effective", right=True),
        Column("quota.cities", right=True),
        Column("quota.corridor", right=True),
        Column("quota.guaranteed", right=True, rank=2),
        Column("quota.used", right=True),
        Column("quota.note"),
        Column("quota.reclaim", rank=1),
        Column("quota.etag", rank=3),
        Column("quota.changed", right=True, rank=4),
    ]
    cells: list[list[str | Cell]] = [
        [
            row.flavor,
            f"{row.granted_units:,}",
            Cell(
                f"{row.effective_units:,}", "red" if row.effective_units < row.granted_units else ""
            ),
            f"{row.nominal_units:,}",
            limit(row, "corridor_units", out.t("quota.rest")),
            f"{row.guaranteed_units:,}",
            f"{row.used_units:,}",
            _overcommitted(session, row.overcommitted_units),
            reclaim(session, row.reclaim),
            row.etag,
            out.when(row.update_time),
        ]
        for row in rows
    ]
    out.table(columns, cells, "quota.none")


def reclaim(session: Session, rule: pb.ReclaimRule) -> str:
    """Return in words how lent units come back."""
    mode = enum_word(_MODE, rule.mode)
    if mode == "LEASE":
        return session.t("reclaim.lease", lease=amounts.duration_text(rule.lease_s))
    if mode == "EVICT":
        return session.t(
            "reclaim.evict",
            run_min=amounts.duration_text(rule.run_min_s),
            grace=amounts.duration_text(rule.grace_s),
            rate=f"{rule.rate_bps / 100:g}%/{amounts.duration_text(rule.rate_s)}",
        )
    return session.t("reclaim.churn")


def changes(session: Session, rows: list[pb.QuotaChange]) -> None:
    """Print changes that were ordered for later."""
    out = session.out
    columns = [
        Column("quota.change", right=True),
        Column("quota.state"),
        Column("quota.takes_effect", right=True),
        Column("quota.whose"),
        Column("quota.flavor"),
        Column("quota.becomes", flex=24),
        Column("quota.by", rank=3),
        Column("quota.why", flex=16, rank=2),
    ]
    out.table(columns, [_change_row(session, row) for row in rows], "quota.no_changes")


def _change_row(session: Session, row: pb.QuotaChange) -> list[str | Cell]:
    quota: Any = getattr(row, str(row.WhichOneof("quota")))
    state = enum_word(_CHANGE, row.state) or ""
    whose = "corridor"
    if row.HasField("city_quota"):
        whose = f"cities/{quota.city}"
    elif row.HasField("enterprise_quota"):
        whose = f"enterprises/{quota.enterprise}"
    return [
        str(row.change_id),
        Cell(session.out.word("change.", state), _STYLES.get(state, "")),
        session.out.when(row.effective_time),
        session.node(whose),
        quota.flavor,
        row.message or _becomes(session, row),
        row.ordered_by,
        row.reason,
    ]


def _becomes(session: Session, row: pb.QuotaChange) -> str:
    """Say what a change sets, with the words of the options."""
    if row.HasField("enterprise_quota"):
        of = row.enterprise_quota
        return f"cap {limit(of, 'cap_units', 'none')}, guarantee {of.guarantee_units:,}"
    if row.HasField("city_quota"):
        quota = row.city_quota
        borrow = limit(quota, "borrow_limit_units", "none")
        lend = limit(quota, "lend_limit_units", "none")
        return f"nominal {quota.nominal_units:,}, borrow-limit {borrow}, lend-limit {lend}"
    flavor = row.flavor_quota
    own = limit(flavor, "corridor_units", "none")
    rule = reclaim(session, flavor.reclaim)
    return f"granted {flavor.granted_units:,}, corridor {own}, {rule}"


def stops(session: Session, rows: list[pb.NodeStop]) -> None:
    """Print states of cities and enterprises."""
    out = session.out
    columns = [
        Column("quota.node"),
        Column("quota.state"),
        Column("quota.since", right=True),
        Column("quota.why", flex=24),
        Column("quota.by", rank=1),
    ]
    cells: list[list[str | Cell]] = [
        [
            session.node(row.node),
            stop_cell(session, row),
            out.when(row.update_time),
            row.reason,
            row.set_by,
        ]
        for row in rows
    ]
    out.table(columns, cells, "quota.no_stops")


def stop_cell(session: Session, row: pb.NodeStop) -> Cell:
    """Return the state of a node, colored if it is stopped."""
    state = enum_word(_STOP, row.state) or ""
    return Cell(session.out.word("stop.", state), _STYLES.get(state, ""))


def usage(session: Session, rows: list[pb.Usage]) -> None:
    """Print who uses what, each city with its enterprises under it."""
    columns = [
        Column("quota.who"),
        Column("quota.flavor"),
        Column("quota.used", right=True),
        Column("quota.nominal", right=True),
        Column("quota.borrowed", right=True),
        Column("quota.lent", right=True),
        Column("quota.guaranteed", right=True, rank=1),
        Column("quota.cap", right=True, rank=2),
    ]
    session.out.table(columns, [_usage_row(session, row) for row in rows], "quota.none")


def _usage_row(session: Session, row: pb.Usage) -> list[str | Cell]:
    used, guaranteed = f"{row.used_units:,}", f"{row.guaranteed_units:,}"
    if row.enterprise:
        cap = limit(row, "cap_units", "")
        return [f"  {row.enterprise}", row.flavor, used, "", "", "", guaranteed, cap]
    return [
        Cell(session.name(row.city), "bold"),
        row.flavor,
        used,
        f"{row.nominal_units:,}",
        Cell(f"{row.borrowed_units:,}", "yellow" if row.borrowed_units else ""),
        f"{row.lent_units:,}",
        guaranteed,
        "",
    ]


def limit(row: Any, field: str, without: str) -> str:
    """Return an optional number of a row, ``without`` if it is not set."""
    return f"{getattr(row, field):,}" if row.HasField(field) else without
