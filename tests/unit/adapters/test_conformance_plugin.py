"""The conformance suite as a plugin: what an author writes, and what pytest then says."""

import subprocess
import sys

import pytest

from adapters.conformance import CHECKS

pytest_plugins = ("pytester",)

SUBJECT = """
import contextlib
import pytest
from adapters.conformance import NotApplicable, Nonconformance

@pytest.fixture
def conformance_subject():
    @contextlib.asynccontextmanager
    async def subject():
        print("it opens")
        try:
            yield object()
        finally:
            print("it closes")
    return subject
"""
TEST = "def test_mine(conformance_check):\n    conformance_check()\n"
#: Checks for these tests: one that holds, one that fails, one that cannot be brought about.
OWN_CHECKS = """
import adapters.conformance as suite

async def holds(subject):
    assert type(subject) is object

async def fails(subject):
    raise suite.Nonconformance("a second submission must return the first one's answer")

async def cannot(subject):
    raise suite.NotApplicable("no way to lose an answer here")

suite.CHECKS = (holds, fails, cannot)
"""


@pytest.fixture
def own_checks(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite has three checks for a while."""
    import adapters.conformance

    monkeypatch.setattr(adapters.conformance, "CHECKS", CHECKS)  # put back afterwards
    pytester.makeconftest(OWN_CHECKS)


def outcome(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "ignore", *args)


def test_every_check_is_collected_by_its_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUBJECT + TEST)
    listed = outcome(pytester, "--collect-only", "-q").stdout.str()
    for check in CHECKS:
        assert f"::test_mine[{check.__name__}]" in listed


def test_checks_pass_fail_and_skip(pytester: pytest.Pytester, own_checks: None) -> None:
    pytester.makepyfile(SUBJECT + TEST)
    ran = outcome(pytester, "-rs", "-v")
    ran.assert_outcomes(passed=1, failed=1, skipped=1)
    said = ran.stdout.str()
    assert "test_mine[holds] PASSED" in said
    assert "Nonconformance: a second submission must return the first one's answer" in said
    assert "cannot: no way to lose an answer here" in said


def test_each_check_has_a_subject_of_its_own_which_is_closed(
    pytester: pytest.Pytester, own_checks: None
) -> None:
    pytester.makepyfile(SUBJECT + TEST)
    said = outcome(pytester, "-s", "--tb=no").stdout.str()
    assert (said.count("it opens"), said.count("it closes")) == (3, 3)


def test_other_tests_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_other(tmp_path):\n    pass\n")
    outcome(pytester).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "subject",
    ["", "\nimport pytest\n@pytest.fixture\ndef conformance_subject():\n    return 3\n"],
)
def test_an_author_without_a_subject_is_told_what_to_give(
    pytester: pytest.Pytester, own_checks: None, subject: str
) -> None:
    pytester.makepyfile(subject + TEST)
    said = outcome(pytester).stdout.str()
    assert "give a fixture conformance_subject: a function of no arguments" in said
    assert "passed" not in said


def test_the_suite_itself_needs_no_pytest() -> None:
    code = "import adapters.conformance, sys; print('pytest' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
