"""How vouchers, granted hours and wallets are shown."""

from collections.abc import Sequence
from datetime import datetime

from corridor.v1 import voucher_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from quota.calendar import SHANGHAI
from scheduler.cli import amounts
from scheduler.cli.message_json import enum_word
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session

_SOON_MS = 7 * 86_400_000
_STATE = pb.Voucher.DESCRIPTOR.fields_by_name["state"]
_STYLES = {"ISSUED": "green", "USED": "dim", "EXPIRED": "red", "REVOKED": "red"}


def day_of(at: Timestamp) -> str:
    """Return the day in Shanghai on which an instant lies."""
    return f"{datetime.fromtimestamp(at.seconds, SHANGHAI):%Y-%m-%d}"


def last_day(end: Timestamp) -> str:
    """Return the last day of what ends at an instant that is no part of it."""
    return f"{datetime.fromtimestamp((end.ToMilliseconds() - 1) // 1000, SHANGHAI):%Y-%m-%d}"


def vouchers_table(session: Session, rows: Sequence[pb.Voucher]) -> None:
    """Show vouchers; those that end within a week in yellow."""
    columns = [
        Column("voucher.number"),
        Column("voucher.enterprise", rank=2),
        Column("voucher.programme", rank=3),
        Column("voucher.state"),
        Column("voucher.face", right=True, rank=1),
        Column("voucher.held", right=True, rank=2),
        Column("voucher.used", right=True, rank=2),
        Column("voucher.left", right=True),
        Column("voucher.from", rank=4),
        Column("voucher.until"),
        Column("voucher.returned", right=True, rank=4),
    ]
    cells: list[list[str | Cell]] = [
        [
            one.voucher_no,
            one.enterprise,
            one.programme,
            state_of(session, one),
            amounts.money(one.face_fen),
            amounts.money(one.held_fen),
            amounts.money(one.used_fen),
            amounts.money(one.left_fen),
            day_of(one.valid_from_time),
            _until(session, one),
            amounts.money(one.returned_fen) if one.returned_fen else "",
        ]
        for one in rows
    ]
    session.out.table(columns, cells, "voucher.none")


def state_of(session: Session, one: pb.Voucher) -> Cell:
    """Return what became of a voucher, in words."""
    word = enum_word(_STATE, one.state) or ""
    return Cell(session.out.word("voucher.", word), _STYLES.get(word, ""))


def _until(session: Session, one: pb.Voucher) -> Cell:
    soon = one.left_fen and one.valid_to_time.ToMilliseconds() - session.now_ms <= _SOON_MS
    return Cell(last_day(one.valid_to_time), "yellow" if soon else "")


def voucher_facts(session: Session, one: pb.Voucher) -> None:
    """Show all of one voucher."""
    session.out.facts(
        [
            ("voucher.its_number", one.voucher_no),
            ("voucher.its_state", state_of(session, one)),
            ("voucher.its_enterprise", one.enterprise),
            ("voucher.its_programme", f"{one.programme} {one.period}"),
            ("voucher.its_face", amounts.money(one.face_fen)),
            ("voucher.its_held", amounts.money(one.held_fen)),
            ("voucher.its_used", amounts.money(one.used_fen)),
            ("voucher.its_returned", amounts.money(one.returned_fen)),
            ("voucher.its_left", amounts.money(one.left_fen)),
            ("voucher.its_from", day_of(one.valid_from_time)),
            ("voucher.its_until", last_day(one.valid_to_time)),
            ("voucher.its_issue", session.out.moment(one.issue_time)),
            ("voucher.its_issuer", one.issued_by),
            ("voucher.its_reason", one.reason),
            ("voucher.its_ended_by", one.ended_by),
            ("voucher.its_end_reason", one.end_reason),
        ]
    )


def grants_table(session: Session, rows: Sequence[pb.HourGrant]) -> None:
    """Show hours that were granted."""
    columns = [
        Column("grant.programme"),
        Column("grant.enterprise", rank=2),
        Column("grant.period", rank=1),
        Column("grant.granted", right=True),
        Column("grant.held", right=True, rank=2),
        Column("grant.used", right=True, rank=1),
        Column("grant.left", right=True),
        Column("grant.until", rank=1),
    ]
    cells: list[list[str | Cell]] = [
        [
            one.programme,
            one.enterprise,
            one.period,
            amounts.hours_text(one.granted_unit_seconds),
            amounts.hours_text(one.held_unit_seconds),
            amounts.hours_text(one.used_unit_seconds),
            amounts.hours_text(one.left_unit_seconds),
            last_day(one.end_time),
        ]
        for one in rows
    ]
    session.out.table(columns, cells)
