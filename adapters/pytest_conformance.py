"""The conformance suite as a plugin of pytest, there wherever Corridor is installed.

An author gives one fixture, and one test that runs every check of ``adapters.conformance``::

    @pytest.fixture
    def conformance_subject(tmp_path):
        @contextlib.asynccontextmanager
        async def subject():
            made = MySubject(tmp_path)      # see adapters.conformance.Subject
            try:
                yield made
            finally:
                await made.close()
        return subject

    def test_my_center_keeps_the_contract(conformance_check):
        conformance_check()

The test is collected once for each check, under its name. Each has a subject and an event loop of
its own. What the subject cannot bring about is a skip that says why.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from adapters.conformance import Check, Subject

_NEEDED = (
    "give a fixture conformance_subject: a function of no arguments that returns an async context"
    " manager of a Subject (adapters.conformance)"
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have a test that asks for ``conformance_check`` run once for each check."""
    if "conformance_check" not in metafunc.fixturenames:
        return
    from adapters.conformance import CHECKS

    ids = [check.__name__ for check in CHECKS]
    metafunc.parametrize("conformance_check", CHECKS, ids=ids, indirect=True)


@pytest.fixture
def conformance_subject() -> "Callable[[], AbstractAsyncContextManager[Subject]]":
    """Opens a subject; the author's own fixture of this name takes the place of this one."""
    raise pytest.UsageError(_NEEDED)


@pytest.fixture
def conformance_check(
    request: pytest.FixtureRequest,
    conformance_subject: "Callable[[], AbstractAsyncContextManager[Subject]]",
) -> Callable[[], None]:
    """Return a function that runs one check on a subject of its own."""
    from adapters.conformance import NotApplicable

    check: Check = request.param

    async def on_a_subject() -> None:
        opened = conformance_subject() if callable(conformance_subject) else None
        if not isinstance(opened, AbstractAsyncContextManager):
            raise pytest.UsageError(_NEEDED)
        async with opened as subject:
            await check(subject)

    def run() -> None:
        with asyncio.Runner() as runner:
            try:
                runner.run(on_a_subject())
            except NotApplicable as why:
                pytest.skip(f"{check.__name__}: {why}")

    return run
