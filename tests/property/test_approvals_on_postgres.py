"""The machine of changes by two persons beside its model, on PostgreSQL.

It runs on SQLite at length; here it is that PostgreSQL gives the same.
"""

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.postgres import Postgres
from tests.property.test_approvals_machine import Machine
from tests.simulation import inline_store


def test_changes_by_two_persons_are_those_of_the_model_there_too(postgres: Postgres) -> None:
    """Without shrinking, whose every step would take a database of its own."""
    with inline_store.on(postgres):
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=4, stateful_step_count=25, phases=(Phase.explicit, Phase.generate)
            ),
        )
