"""Sets budgets and moves jobs by hand, for the tests of budgets in the store."""

from quota.budgets import Terms
from quota.calendar import period_bounds
from scheduler.domain.reasons import ReasonCode
from scheduler.store import budget_journal, budget_settings, budgets
from scheduler.store.admission import Admitted
from scheduler.store.budgets import Place
from scheduler.store.quotas_telling import Change
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, OPERATOR

SEP_MS, OCT_MS = period_bounds("2026-09")
#: Of a job of one unit for 600 s.
HOLD = 660
Row = tuple[int | None, int, int, int, int]


def hands(now_ms: int = worlds.NOW_MS, **world: object) -> Hands:
    """A small corridor without budgets yet."""
    return Hands(worlds.build(now_ms, **world))  # type: ignore[arg-type]


def allot(
    it: Hands, amount: int | None, *, enterprise: str = "", flavor: str = NPU, period: str = "",
    city: str = "wuhan",
) -> None:  # fmt: skip
    """As an operator does."""
    node = f"enterprises/{enterprise}" if enterprise else f"cities/{city}"
    rows = it.db.rows(
        f"SELECT version FROM budget WHERE node = '{node}' AND flavor = '{flavor}'"
        f" AND ('{period}' = '' OR period = '{period}')"
    )
    etag = str(rows[0][0]) if rows and rows[0][0] else ""
    place = Place("" if enterprise else city, enterprise, flavor, period)
    change = Change(OPERATOR, etag, "test", it.clock.ms, 0)
    it.db.do(lambda c: budgets.update_budget(c, place, amount, change))


def set_terms(it: Hands, terms: Terms, city: str = "wuhan") -> None:
    """As an operator does."""
    rows = it.db.rows(f"SELECT version FROM budget_city WHERE city = '{city}'")
    etag = str(rows[0][0]) if rows else ""
    change = Change(OPERATOR, etag, "test", it.clock.ms, 0)
    it.db.do(lambda c: budget_settings.update_settings(c, city, terms, change))


def free_enterprises(it: Hands, **terms: object) -> None:
    """Let the city's budget alone bind."""
    set_terms(it, Terms(enterprises_free=True, **terms))  # type: ignore[arg-type]


def row(it: Hands, node: str = "cities/wuhan", period: str = "2026-09") -> Row:
    """(A, H, S, I, O) of a budget."""
    [found] = it.db.rows(
        "SELECT allotted_unit_seconds, held_unit_seconds, settled_unit_seconds,"
        f" received_unit_seconds, given_unit_seconds FROM budget WHERE node = '{node}'"
        f" AND period = '{period}'"
    )
    return found


def codes(result: Admitted) -> list[ReasonCode]:
    """Why starts were refused."""
    return [code for _, _, code in result.refused]


def admitted(result: Admitted) -> list[int]:
    """Whom it admitted."""
    return [run.uid for run in result.admitted]


def verify(it: Hands) -> None:
    """The journal gives the books."""
    found = it.db.read_sync(budget_journal.verify)
    assert found.ok, found.problems
    it.verify()
