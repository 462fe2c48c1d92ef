"""What vouchers must be to be issued; each flaw is named, and what is allowed instead."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import Connection, text

from quota.amounts import yuan
from quota.calendar import after_months, in_shanghai
from quota.rules import CORRIDOR, Rule
from scheduler.errors import AlreadyThere, FieldViolation, InvalidRequest, WrongState
from scheduler.store import fund_figures
from scheduler.store.fund_figures import FundInfo

#: So many may be issued by one call.
AT_ONCE: Final = 10_000
NUMBER: Final = re.compile(r"\w[\w.-]{0,63}")


@dataclass(frozen=True, slots=True)
class NewVoucher:
    """A voucher to be issued; without a number it gets one, without dates the longest validity."""

    enterprise: str
    face_fen: int
    voucher_no: str = ""
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """Vouchers to be issued out of a fund, all or none, once per request id."""

    programme: str
    period: str
    vouchers: Sequence[NewVoucher]
    request_id: str

    @property
    def key(self) -> str:
        """The key under which they are issued once."""
        return f"issue:{self.programme}:{self.period}:{self.request_id}"

    def sha256(self) -> str:
        """Digest of what the call says."""
        said = json.dumps([asdict(one) for one in self.vouchers], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Ready:
    """A voucher with all that is written of it."""

    voucher_no: str
    enterprise: str
    face_fen: int
    valid_from_ms: int
    valid_to_ms: int


def rule_in_force(connection: Connection, fund: FundInfo, now_ms: int) -> Rule:
    """Return the rule in force, which must be one of vouchers."""
    body = connection.execute(
        text(
            "SELECT body FROM rule_version WHERE programme = :code AND effective_from_ms <= :now"
            " AND (effective_to_ms IS NULL OR effective_to_ms > :now) ORDER BY version DESC LIMIT 1"
        ),
        {"code": fund.programme, "now": now_ms},
    ).scalar()
    if body is None:
        raise WrongState(
            f"no rule of {fund.programme} is in force; vouchers are issued by the rule in force",
            subject=f"programmes/{fund.programme}",
        )
    rule = Rule.from_json(body)
    if rule.issue != "VOUCHER":
        raise WrongState(
            f"{fund.programme} gives from its pool and issues no vouchers; make a programme whose"
            " rule says issue: VOUCHER",
            subject=f"programmes/{fund.programme}",
        )
    return rule


def checked(
    connection: Connection, fund: FundInfo, rule: Rule, order: Issue, now_ms: int
) -> list[Ready]:
    """Return the vouchers with numbers and validity; raises ``InvalidRequest`` for all flaws."""
    who = _enterprises(connection, {one.enterprise for one in order.vouchers})
    prefix = f"{fund.programme}-{fund.period}-"
    number = _next_number(connection, fund, prefix)
    wrong: list[FieldViolation] = []
    ready: list[Ready] = []
    for at, one in enumerate(order.vouchers):
        where = f"vouchers[{at}]"
        start_ms = now_ms if one.valid_from_ms is None else one.valid_from_ms
        most_ms = _longest(fund, rule, start_ms)
        end_ms = most_ms if one.valid_to_ms is None else one.valid_to_ms
        found = [
            *_wrong_enterprise(where, one.enterprise, who, fund),
            *_wrong_span(where, fund, start_ms, end_ms, most_ms, now_ms),
        ]
        if one.face_fen < 1:
            found.append(FieldViolation(f"{where}.face_fen", "must be at least 1 fen"))
        voucher_no = one.voucher_no
        if not voucher_no:
            number += 1
            voucher_no = f"{prefix}{number:06d}"
        elif NUMBER.fullmatch(voucher_no) is None or voucher_no.startswith(prefix):
            what = (
                "must be up to 64 letters, digits, dots, dashes or underscores, and not begin with"
                f" {prefix!r}, which numbers that are made up begin with"
            )
            found.append(FieldViolation(f"{where}.voucher_no", what))
        wrong += found
        ready.append(Ready(voucher_no, one.enterprise, one.face_fen, start_ms, end_ms))
    wrong += _taken_twice(ready)
    if wrong:
        raise InvalidRequest(wrong)
    _check_free(connection, ready)
    return ready


def _next_number(connection: Connection, fund: FundInfo, prefix: str) -> int:
    """Return how many vouchers of a fund have numbers that were made up."""
    found = connection.execute(
        text(
            "SELECT count(*) FROM voucher WHERE programme = :programme AND period = :period"
            f" AND substr(voucher_no, 1, {len(prefix)}) = :prefix"
        ),
        {"programme": fund.programme, "period": fund.period, "prefix": prefix},
    )
    return int(found.scalar_one())


def _enterprises(connection: Connection, codes: set[str]) -> dict[str, tuple[str, bool]]:
    """Return (city, blocked) of enterprises by code."""
    marks = ", ".join("?" * len(codes))
    rows = connection.exec_driver_sql(
        f"SELECT code, city, blocked FROM enterprise WHERE code IN ({marks})", tuple(sorted(codes))
    )
    return {code: (city, bool(blocked)) for code, city, blocked in rows}


def _wrong_enterprise(
    where: str, code: str, who: dict[str, tuple[str, bool]], fund: FundInfo
) -> list[FieldViolation]:
    city, blocked = who.get(code, ("", False))
    if not city or fund.city not in (CORRIDOR, city):
        what = f"there is no enterprise {code!r} of {fund.city}, whose programme this is"
    elif blocked:
        what = f"enterprise {code!r} is blocked and gets no vouchers"
    else:
        return []
    return [FieldViolation(f"{where}.enterprise", what)]


def _longest(fund: FundInfo, rule: Rule, start_ms: int) -> int:
    """Until when a voucher may be valid: the rule's months, or the end of the fund's period."""
    if rule.validity_months is None:
        return fund.end_ms
    return after_months(start_ms, rule.validity_months)


def _wrong_span(
    where: str, fund: FundInfo, start_ms: int, end_ms: int, most_ms: int, now_ms: int
) -> list[FieldViolation]:
    if not fund.start_ms <= start_ms < fund.end_ms:
        days = f"{_day(fund.start_ms)} to {_day(fund.end_ms - 1)}"
        what = f"must lie in the fund's period {fund.period}: {days}"
        return [FieldViolation(f"{where}.valid_from", what)]
    if end_ms <= max(start_ms, now_ms):
        what = "must be later than the beginning of its validity, and than now: not before the end"
        return [FieldViolation(f"{where}.valid_to", f"{what} of {_day(max(start_ms, now_ms))}")]
    if end_ms > most_ms:
        what = (
            "is beyond the longest validity that the programme's rule gives it, to the end of"
            f" {_day(most_ms - 1)}; leave it out for that"
        )
        return [FieldViolation(f"{where}.valid_to", what)]
    return []


def _day(at_ms: int) -> str:
    return in_shanghai(at_ms).date().isoformat()


def _taken_twice(ready: Sequence[Ready]) -> list[FieldViolation]:
    seen: set[str] = set()
    wrong = []
    for at, one in enumerate(ready):
        if one.voucher_no in seen:
            what = f"the number {one.voucher_no!r} stands twice in this call"
            wrong.append(FieldViolation(f"vouchers[{at}].voucher_no", what))
        seen.add(one.voucher_no)
    return wrong


def _check_free(connection: Connection, ready: Sequence[Ready]) -> None:
    numbers = [one.voucher_no for one in ready]
    for begin in range(0, len(numbers), 500):
        part = numbers[begin : begin + 500]
        marks = ", ".join("?" * len(part))
        taken = connection.exec_driver_sql(
            f"SELECT voucher_no FROM voucher WHERE voucher_no IN ({marks}) LIMIT 1", tuple(part)
        ).scalar()
        if taken is not None:
            raise AlreadyThere(
                f"there is a voucher {taken!r} already; give another number, or none"
            )


def check_money(fund: FundInfo, ready: Sequence[Ready]) -> None:
    fund_figures.check_open(fund)
    own, total = fund.funder(""), sum(one.face_fen for one in ready)
    free = 0 if own.reducing_fen else own.available_fen
    if total > free:
        pending = (
            f"; {yuan(own.reducing_fen)} is still to be taken out of it" if own.reducing_fen else ""
        )
        raise WrongState(
            f"the fund of {fund.programme} in {fund.period} has {yuan(free)} available, the"
            f" vouchers come to {yuan(total)}{pending}; issue less or appropriate more first",
            subject=fund.target,
            reason="FUND_SHORT",
        )
