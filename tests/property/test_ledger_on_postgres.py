"""The machine of the ledger beside its model, and the order of settlements, on PostgreSQL.

The same machines run on SQLite at length; here it is that PostgreSQL gives the same.
"""

from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.postgres import Postgres
from tests.property.test_ledger_machine import Ledger
from tests.property.test_ledger_order import JOBS, settle
from tests.simulation import inline_store


@pytest.fixture(autouse=True)
def on_postgresql(postgres: Postgres) -> Iterator[None]:
    """Worlds are databases of the server."""
    with inline_store.on(postgres):
        yield


def run(examples: int, steps: int) -> None:
    """Search without shrinking, whose every step would take a database of its own."""
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=(Phase.explicit, Phase.generate),
        ),
    )


def test_the_ledger_is_that_of_its_model() -> None:
    run(4, 25)


@pytest.mark.slow
def test_the_ledger_is_that_of_its_model_at_length() -> None:
    run(60, 40)


def test_the_order_of_settlements_changes_nothing() -> None:
    seconds = [600, 2_400, 333, 7_300, 100, 0]
    plain = settle([*range(len(JOBS))], [], seconds)
    assert settle([5, 3, 1, 0, 2, 4], [2, 3], seconds) == plain
    with inline_store.on(None):
        assert settle([*range(len(JOBS))], [], seconds) == plain
