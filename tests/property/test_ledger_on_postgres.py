"""The machines of ledger, funds and budgets beside their models, and the order of settlements, on
PostgreSQL.

The same machines run on SQLite at length; here it is that PostgreSQL gives the same.
"""

from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.postgres import Postgres
from tests.property.test_budget_machine import BudgetsInStore
from tests.property.test_fund_machine import Funds
from tests.property.test_ledger_machine import Ledger
from tests.property.test_ledger_order import JOBS, settle
from tests.simulation import inline_store


@pytest.fixture(autouse=True)
def on_postgresql(postgres: Postgres) -> Iterator[None]:
    """Worlds are databases of the server."""
    with inline_store.on(postgres):
        yield


def run(machine: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    """Search without shrinking, whose every step would take a database of its own."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=(Phase.explicit, Phase.generate),
        ),
    )


def test_the_ledger_is_that_of_its_model() -> None:
    run(Ledger, 4, 25)


def test_a_fund_is_that_of_its_model() -> None:
    run(Funds, 3, 20)


def test_budgets_are_those_of_their_oracle() -> None:
    run(BudgetsInStore, 3, 15)


@pytest.mark.slow
def test_the_ledger_is_that_of_its_model_at_length() -> None:
    run(Ledger, 60, 40)


@pytest.mark.slow
def test_a_fund_is_that_of_its_model_at_length() -> None:
    run(Funds, 40, 30)


@pytest.mark.slow
def test_budgets_are_those_of_their_oracle_at_length() -> None:
    run(BudgetsInStore, 30, 30)


def test_the_order_of_settlements_changes_nothing() -> None:
    seconds = [600, 2_400, 333, 7_300, 100, 0]
    plain = settle([*range(len(JOBS))], [], seconds)
    assert settle([5, 3, 1, 0, 2, 4], [2, 3], seconds) == plain
    with inline_store.on(None):
        assert settle([*range(len(JOBS))], [], seconds) == plain
