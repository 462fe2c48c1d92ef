"""What an enterprise owes for runs: written off, or a subsidy that it must pay back (T13).

A debt that nobody will pay is borne by its center's write-off account. A subsidy that was given
wrongly goes back to its fund (or to what lapsed of it) and becomes the enterprise's debt; the
enterprise is blocked. If that is written off, the fund's city bears it, not the center. Neither
changes what the run costs; its yearly caps stay used. A debt whose part of a month was paid
(``payment_parts``) is owed no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from quota.amounts import yuan
from quota.calendar import period_of
from quota.transfers import Entry, Kind, receivable_account, wallet_shard, write_off_account
from scheduler.domain.approving import Approvals, ChangeKind
from scheduler.domain.principal import EVERYTHING, Role
from scheduler.errors import FieldViolation, Forbidden, InvalidRequest, RequestIdReused
from scheduler.store import (
    audit_trail,
    bookings,
    change_requests,
    charge_book,
    charge_orders,
    charge_rows,
    funds_reduction,
    holds,
    lone_changes,
    payment_parts,
    transfers,
)
from scheduler.store.change_requests import Act, Proposal, Request
from scheduler.store.charge_book import Charge
from scheduler.store.lone_changes import Size


@dataclass(frozen=True, slots=True)
class WriteOff:
    """How much of a run's debt is given up, once per request id."""

    run: str
    amount_fen: int
    request_id: str

    @property
    def key(self) -> str:
        """The key under which it is made once."""
        return f"write_off:{self.run}:{self.request_id}"


@dataclass(frozen=True, slots=True)
class Clawback:
    """How much of what a programme gave a run goes back, once per request id."""

    run: str
    programme: str
    amount_fen: int
    request_id: str

    @property
    def key(self) -> str:
        """The key under which it is made once."""
        return f"clawback:{self.run}:{self.programme}:{self.request_id}"


@dataclass(frozen=True, slots=True)
class Settled:
    """The run's charge as it stands, and the request if another person is or was needed."""

    charge: Charge
    request: Request | None
    done: bool


# --- write-offs -----------------------------------------------------------------------------------


def write_off(connection: Connection, order: WriteOff, act: Act, approvals: Approvals) -> Settled:
    """Give up a debt, or ask for it; a repeated request id does neither.

    Raises ``NotFound``, ``WrongState`` for a run that is not settled, ``InvalidRequest`` for more
    than is owed, ``RequestIdReused``.
    """
    charge = charge_orders.find(connection, act.actor.scope, order.run)
    if _made(connection, charge, "WRITE_OFF", order.key, order.amount_fen):
        return Settled(charge, change_requests.find(connection, order.key), True)
    owed = sum(_owed(connection, charge).values())
    _check_debt(owed, order)
    size = Size(ChangeKind.WRITE_OFF, f"runs/{order.run}", order.amount_fen, order.key)
    if lone_changes.needs_another(connection, size, act, approvals):
        proposal = Proposal(
            size.kind,
            size.target,
            charge.run.city,
            {"run": order.run, "amount_fen": order.amount_fen, "request_id": order.request_id},
            before={"owed_fen": owed},
            after={"owed_fen": owed - order.amount_fen},
            amount_fen=order.amount_fen,
            request_key=order.key,
        )
        return Settled(charge, change_requests.propose(connection, proposal, act), False)
    _give_up(connection, order, act, act.actor.subject, act.reason)
    lone_changes.note(connection, size, act)
    return Settled(charge_orders.find(connection, EVERYTHING, order.run), None, True)


def apply(connection: Connection, request: Request, act: Act) -> None:
    """Write off what was approved; raises ``InvalidRequest`` if so much is not owed any more."""
    _give_up(connection, WriteOff(**request.payload), act, request.requester, request.reason)


def _check_debt(owed: int, order: WriteOff) -> None:
    if not 0 < order.amount_fen <= owed:
        most = f"write off ¥0.01 up to {yuan(owed)}" if owed else "there is nothing to write off"
        raise InvalidRequest(
            [
                FieldViolation(
                    "amount_fen",
                    f"the enterprise owes {yuan(owed)} for run {order.run}: {most}, not"
                    f" {yuan(order.amount_fen)}",
                )
            ]
        )


def _give_up(connection: Connection, order: WriteOff, act: Act, actor: str, reason: str) -> None:
    charge = charge_orders.find(connection, EVERYTHING, order.run)
    run, debt = charge.run, receivable_account(charge.run.enterprise)
    bearers = _bearers(connection, charge)
    bookings.open_accounts(connection, [row for _, row in bearers.values()])
    shards = {shard for shard, _ in bearers.values()}
    charge_rows.lock(connection, {debt, *bearers}, (), shards)
    charge = charge_orders.find(connection, EVERYTHING, order.run)
    owed = _owed(connection, charge)
    total = sum(owed.values())
    _check_debt(total, order)
    entries, rest = list[Entry](), order.amount_fen
    for account, fen in owed.items():
        part = min(fen, rest)
        rest -= part
        if part:
            entries.append(
                Entry(
                    bearers[account][0], Kind.DIRECT, "WRITE_OFF", account, debt, part, act.now_ms,
                    f"{order.key}.{len(entries)}", run.uid, run.attempt,
                    ref_period=_month(charge), actor=actor, reason=reason,
                )
            )  # fmt: skip
    bookings.book(connection, entries)
    audit_trail.record(
        connection,
        act.actor,
        "DEBT_WRITTEN_OFF",
        f"runs/{order.run}",
        at_ms=act.wall_ms,
        before={"owed_fen": total},
        after={"owed_fen": total - order.amount_fen},
        reason=act.reason,
        city=run.city,
        enterprise=run.enterprise,
    )


# --- clawback -------------------------------------------------------------------------------------


def claw_back(connection: Connection, order: Clawback, act: Act) -> Settled:
    """Take a subsidy back and block the enterprise; a repeated request id does neither.

    Raises ``NotFound``, ``WrongState``, ``Forbidden`` for a programme of others, ``InvalidRequest``
    for more than it gave and did not get back, ``RequestIdReused``.
    """
    charge = charge_orders.find(connection, act.actor.scope, order.run)
    _check_right(connection, order, act)
    if _made(connection, charge, "CLAWBACK", order.key, order.amount_fen):
        return Settled(charge, None, True)
    run = charge.run
    given = _given(charge, order.programme)
    homes = _homes(connection, [account for _, account, _ in given])
    debt = receivable_account(run.enterprise)
    names = {debt, *homes.values()}
    shards = {shard for shard, _, _ in given} | {wallet_shard(run.city)}
    charge_rows.lock(connection, names, (), shards)
    charge = charge_orders.find(connection, act.actor.scope, order.run)
    entries = _entries(connection, charge, order, act)
    bookings.book(connection, entries)
    funds_reduction.eat(connection, {entry.credit_account for entry in entries}, act.now_ms)
    connection.exec_driver_sql(
        "UPDATE enterprise SET blocked = TRUE WHERE code = ?", (run.enterprise,)
    )
    bookings.tell(connection, {run.city}, act.now_ms)
    audit_trail.record(
        connection,
        act.actor,
        "SUBSIDY_CLAWED_BACK",
        f"runs/{order.run}",
        at_ms=act.wall_ms,
        before={"blocked": False},
        after={"programme": order.programme, "fen": order.amount_fen, "blocked": True},
        reason=act.reason,
        city=run.city,
        enterprise=run.enterprise,
    )
    return Settled(charge_orders.find(connection, EVERYTHING, order.run), None, True)


def _check_right(connection: Connection, order: Clawback, act: Act) -> None:
    city = connection.exec_driver_sql(
        "SELECT city FROM programme WHERE code = ?", (order.programme,)
    ).scalar()
    if act.actor.role is not Role.OPERATOR and city != act.actor.city:
        raise Forbidden(
            f"programme {order.programme!r} is not your city's; its own city or an operator claws"
            " its subsidies back",
            reason="NOT_YOUR_PROGRAMME",
        )


def _given(charge: Charge, programme: str) -> list[tuple[str, str, int]]:
    """Shard, account and fen of what a programme gave a run; in the order of its lines."""
    shards = {one.debit: one.shard for one in charge.entries}
    amounts: dict[str, int] = {}
    for _, line in charge.given:
        if line.programme == programme and line.ledger == "CNY":
            amounts[line.account] = amounts.get(line.account, 0) + line.amount
    return [(shards[account], account, fen) for account, fen in amounts.items()]


def _homes(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    """Return where what accounts gave goes back to: the fund (also of a voucher), or its lapsed."""
    vouchers = holds.voucher_shards(connection, names)
    funds = {name: vouchers.get(name, name) for name in names}
    closed = charge_book.stand_ins(connection, funds.values())
    return {name: closed.get(fund, fund) for name, fund in funds.items()}


def _entries(connection: Connection, charge: Charge, order: Clawback, act: Act) -> list[Entry]:
    """Return the entries that give back what is asked for, each account in turn."""
    run, shard = charge.run, wallet_shard(charge.run.city)
    given = _given(charge, order.programme)
    back = _homes(connection, [account for _, account, _ in given])
    returned = sum(
        int(fen)
        for account, fen in connection.exec_driver_sql(
            "SELECT credit_account, amount_fen FROM transfer WHERE job_uid = ?"
            " AND attempt = ? AND code = 'CLAWBACK'",
            (run.uid, run.attempt),
        )
        if account.split(":")[1] == order.programme  # a fund's, or what lapsed of it since
    )
    left: dict[str, int] = {}
    for _, account, fen in given:
        gone = min(fen, returned)
        returned -= gone
        left[account] = fen - gone
    most = sum(left.values())
    if not 0 < order.amount_fen <= most:
        raise InvalidRequest(
            [
                FieldViolation(
                    "amount_fen",
                    f"of what {order.programme} gave run {order.run}, {yuan(most)} can be clawed"
                    f" back, not {yuan(order.amount_fen)}",
                )
            ]
        )
    rest, entries = order.amount_fen, list[Entry]()
    for account, fen in left.items():
        part = min(fen, rest)
        if part:
            rest -= part
            entries.append(
                Entry(
                    shard, Kind.DIRECT, "CLAWBACK", receivable_account(run.enterprise),
                    back[account], part, act.now_ms, f"{order.key}.{len(entries)}", run.uid,
                    run.attempt, ref_period=_month(charge), actor=act.actor.subject,
                    reason=act.reason,
                )
            )  # fmt: skip
    return entries


# --- shared ---------------------------------------------------------------------------------------


def _owed(connection: Connection, charge: Charge) -> dict[str, int]:
    """What the enterprise owes for a run and did not pay, in fen, by who would bear it.

    First what was never covered, which its center bears, then what was clawed back.
    """
    run = charge.run
    unpaid, written_off = payment_parts.owed(connection, (run.uid, run.attempt))
    center = write_off_account(run.center)
    most = charge.debt_fen + charge.clawed_back_fen - charge.written_off_fen
    found: dict[str, int] = {}
    for account in sorted(unpaid, key=lambda one: (one != center, one)):
        fen = min(unpaid[account], most)
        if account == center:  # some of it may have been paid and taken back
            fen = min(fen, charge.debt_fen - written_off.get(center, 0))
        found[account] = max(0, fen)
        most -= found[account]
    return found


def _bearers(
    connection: Connection, charge: Charge
) -> dict[str, tuple[str, tuple[str, str, str, str, bool, int]]]:
    """Shard and row of each account that may bear a debt of a run: its center's, and funds'."""
    run = charge.run
    unpaid, _ = payment_parts.owed(connection, (run.uid, run.attempt))
    found = {}
    for account in unpaid:
        kind, owner, *place = account.split(":")
        shard, city = f"payables:{owner}", ""
        if kind == "forgone":
            shard = bookings.fund_shard(owner, place[0])
            (city,) = connection.exec_driver_sql(
                "SELECT city FROM programme WHERE code = ?", (owner,)
            ).one()
        found[account] = (shard, (account, "WRITE_OFF", owner, city, False, 0))
    return found


def _month(charge: Charge) -> str:
    return period_of(min(line.start_ms for line in charge.rated), 1)


def _made(connection: Connection, charge: Charge, code: str, key: str, amount_fen: int) -> bool:
    """Whether this very order was made; raises ``RequestIdReused`` if another was, by its key."""
    run = charge.run
    booked = transfers.select(
        connection, "job_uid = ? AND attempt = ? AND code = ?", (run.uid, run.attempt, code)
    )
    made = sum(
        link.entry.amount_fen for link in booked if link.entry.idem_key.rpartition(".")[0] == key
    )
    if not made:
        return False
    if made != amount_fen:
        raise RequestIdReused(
            f"this request id already moved {yuan(made)}; use a new request id for another amount"
        )
    return True
