"""What tests of statements share: a corridor with charges of two months, whose books are closed."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from quota.calendar import period_bounds
from scheduler.domain.ids import IdGenerator
from scheduler.domain.principal import Principal, Role
from scheduler.services import statements as use_cases
from scheduler.services.context import Context
from scheduler.services.statements import Shown, Wanted
from scheduler.store import book_months
from scheduler.store.change_requests import Act
from scheduler.store.statements import StatementRow
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, OPERATOR, job

T = TypeVar("T")
#: 2026-09-21, and the month that is stated.
MONTH, NEXT = "2026-09", "2026-10"
DAY_MS: Final = 86_400_000
WHY: Final = "as agreed"


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await something of the store in memory, which never waits."""
    return asyncio.run(coroutine)


def context_of(it: Hands) -> Context:
    """What use cases are given."""
    away: Any = None
    return Context(
        it.db, it.clock, it.clock.now_ms, IdGenerator(0, it.clock.now_ms), away, away, True, "test"
    )


def admin(city: str) -> Principal:
    """A city's admin."""
    return Principal(f"admin-{city}", Role.CITY_ADMIN, city, None, None, "", 0)


def member(enterprise: str, role: Role = Role.ENTERPRISE_ADMIN) -> Principal:
    """Somebody of an enterprise."""
    return Principal(f"of-{enterprise}", role, None, enterprise, None, "", 0)


def charged(now_ms: int = worlds.NOW_MS) -> Hands:
    """Jobs of four enterprises that ran in September: subsidised, not subsidised, overrun, free."""
    it = Hands(worlds.build(now_ms))
    it.db.do(lambda c: book_months.begin_due(c, now_ms))
    world = it.world
    first = world.submit("w1", [job(NPU), job(NPU, 2), job(CPU, 8)])
    second = world.submit("e1", [job(NPU), job(CPU, 4)])
    third = world.submit("x1", [job(CPU, 16), job(NPU, 1, subsidy="NONE")])
    named = ("HT-2026/7", "P-9", first[0])
    it.db.do(lambda c: c.exec_driver_sql(
        "UPDATE job SET contract = ?, project = ? WHERE uid = ?", named
    ).close())  # fmt: skip
    for uid in (*first, *second, *third):
        it.run(uid)
    for seconds, uid in enumerate((*first, *second, *third), 1):
        it.end(uid, seconds * 77)
    return it


def close(it: Hands, *months: str) -> None:
    """Let the clock pass the months, and close their books and those before."""
    it.clock.ms = max(it.clock.ms, period_bounds(months[-1])[1] + DAY_MS)
    for month in months:
        act = Act(OPERATOR, "month is over", it.clock.ms, it.clock.ms)
        it.db.do(lambda c, month=month, act=act: book_months.close(c, month, act))  # type: ignore[misc]


def make(it: Hands, kind: str, owner: str, period: str = MONTH, who: Principal = OPERATOR) -> Shown:
    """Make a statement."""
    return run(use_cases.create(context_of(it), who, Wanted(kind, owner, period)))


async def _collect(it: Hands, number: str, file_format: str, who: Principal) -> bytes:
    found = await use_cases.export(context_of(it), who, number, file_format)
    return b"".join([piece async for piece in found.pieces])


def export(it: Hands, number: str, file_format: str, who: Principal = OPERATOR) -> bytes:
    """Export a file."""
    return run(_collect(it, number, file_format, who))


def issued(it: Hands, kind: str, owner: str, period: str = MONTH) -> str:
    """A statement that was issued."""
    number = make(it, kind, owner, period).row.number
    run(use_cases.issue(context_of(it), OPERATOR, number, WHY))
    return number


def pay(it: Hands, number: str, reference: str = "bank-1") -> StatementRow:
    """Pay it."""
    return run(use_cases.pay(context_of(it), OPERATOR, number, reference, WHY)).row


def money(it: Hands) -> dict[str, int]:
    """What each account was given less what it gave, in fen."""
    return dict(it.db.rows("SELECT account_id, credits_posted - debits_posted FROM account"))


def entries(it: Hands) -> int:
    """How many entries there are."""
    return int(it.db.rows("SELECT count(*) FROM transfer")[0][0])
