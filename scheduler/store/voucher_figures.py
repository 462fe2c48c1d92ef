"""Vouchers as they stand, for the enterprises that hold them and the cities that issued them."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from quota.rules import CORRIDOR
from scheduler.domain.principal import Scope
from scheduler.errors import NotFound
from scheduler.store import scoping


@dataclass(frozen=True, slots=True)
class VoucherInfo:
    """One voucher, in fen: face = held + used + returned + left.

    It gives from ``valid_from_ms`` until ``end_ms``: ``valid_to_ms``, unless it was revoked.
    """

    voucher_no: str
    programme: str
    period: str
    city: str
    enterprise: str
    face_fen: int
    held_fen: int
    used_fen: int
    returned_fen: int
    left_fen: int
    valid_from_ms: int
    valid_to_ms: int
    end_ms: int
    state: str
    issued_ms: int
    issued_by: str
    reason: str
    ended_by: str
    end_reason: str

    @property
    def target(self) -> str:
        """Its name in the audit log and in errors."""
        return f"vouchers/{self.voucher_no}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which vouchers; empty parts mean all. Those that give no more only if ``ended``."""

    programme: str = ""
    period: str = ""
    enterprise: str = ""
    ended: bool = False


_SELECT: Final = (
    "SELECT v.voucher_no, v.programme, v.period, v.city, v.enterprise, v.face_fen,"
    " a.debits_pending, v.returned_fen,"
    " a.credits_posted - a.debits_posted - a.debits_pending AS left_fen, v.valid_from_ms,"
    " v.valid_to_ms, v.end_ms, v.state, v.issued_ms, v.issued_by, v.reason, v.ended_by,"
    " v.end_reason FROM voucher v JOIN account a ON a.account_id = v.account_id"
    " JOIN enterprise e ON e.code = v.enterprise"
)


def _seen(scope: Scope) -> str:
    """A city sees the vouchers of its programmes, and of the corridor's those of its enterprises;
    an enterprise its own."""
    parts = []
    if scope.city is not None:
        parts.append(f"(v.city = :scope_city OR (v.city = '{CORRIDOR}' AND e.city = :scope_city))")
    if scope.enterprise is not None:
        parts.append("v.enterprise = :scope_enterprise")
    return " AND ".join(parts) or "1 = 1"


def list_vouchers(
    connection: Connection, scope: Scope, wanted: Wanted, now_ms: int, limit: int,
    after: tuple[int, str] = (0, ""),
) -> list[VoucherInfo]:  # fmt: skip
    """Return at most ``limit`` vouchers of a scope after (end, number): what ends first is first.

    Without ``ended`` only those that still give something or have something held.
    """
    current = (
        "" if wanted.ended
        else " AND v.end_ms > :now AND (a.debits_pending > 0"
        " OR a.credits_posted > a.debits_posted + a.debits_pending)"
    )  # fmt: skip
    rows = connection.execute(
        text(
            f"{_SELECT} WHERE {_seen(scope)} AND (:programme = '' OR v.programme = :programme)"
            " AND (:period = '' OR v.period = :period)"
            " AND (:enterprise = '' OR v.enterprise = :enterprise)"
            " AND (v.end_ms > :end OR (v.end_ms = :end AND v.voucher_no > :number))"
            f"{current} ORDER BY v.end_ms, v.voucher_no LIMIT :limit"
        ),
        {
            "programme": wanted.programme, "period": wanted.period,
            "enterprise": wanted.enterprise, "end": after[0], "number": after[1], "now": now_ms,
            "limit": limit, **scoping.values(scope),
        },
    )  # fmt: skip
    return [_info(row, now_ms) for row in rows]


def get_voucher(connection: Connection, scope: Scope, voucher_no: str, now_ms: int) -> VoucherInfo:
    """Return one voucher; ``NotFound`` outside the scope."""
    row = connection.execute(
        text(f"{_SELECT} WHERE v.voucher_no = :number AND {_seen(scope)}"),
        {"number": voucher_no, **scoping.values(scope)},
    ).first()
    if row is None:
        raise NotFound(f"there is no voucher {voucher_no!r} that you may see")
    return _info(row, now_ms)


def of_request(connection: Connection, request_key: str, now_ms: int) -> list[VoucherInfo]:
    """Return the vouchers that one call issued, in its order."""
    rows = connection.execute(
        text(f"{_SELECT} WHERE v.request_key = :key ORDER BY v.request_line"), {"key": request_key}
    )
    return [_info(row, now_ms) for row in rows]


def _info(row: Row[Any], now_ms: int) -> VoucherInfo:
    used = row.face_fen - row.debits_pending - row.returned_fen - row.left_fen
    state = row.state
    if used == row.face_fen or (state == "ISSUED" and not row.left_fen and not row.debits_pending):
        state = "USED"
    elif state == "ISSUED" and row.end_ms <= now_ms:
        state = "EXPIRED"
    return VoucherInfo(
        row.voucher_no, row.programme, row.period, row.city, row.enterprise, row.face_fen,
        row.debits_pending, used, row.returned_fen, row.left_fen, row.valid_from_ms,
        row.valid_to_ms, row.end_ms, state, row.issued_ms, row.issued_by, row.reason, row.ended_by,
        row.end_reason,
    )  # fmt: skip
