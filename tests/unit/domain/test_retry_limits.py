"""How often a job is tried again after failures of each class."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import FailureClass
from scheduler.domain.retries import (
    RetryLimit,
    attempts_for,
    check_retries,
    counted,
    left,
    retries_of,
    retries_text,
)

NODE, USER, LOST = FailureClass.NODE, FailureClass.USER_CODE, FailureClass.LOST
classes = st.sampled_from(sorted(FailureClass))
policies = st.tuples(
    st.frozensets(classes), st.dictionaries(classes, st.integers(0, 19), max_size=4)
)


def test_a_limit_stands_for_its_class_whether_or_not_it_is_tried_again_otherwise() -> None:
    text = retries_text({NODE, LOST}, [RetryLimit(NODE, 2), RetryLimit(USER, 1)])
    assert text == "LOST,NODE:2,USER_CODE:1"
    assert retries_of(text) == {LOST: None, NODE: 2, USER: 1}
    assert retries_text({NODE, LOST}, [RetryLimit(NODE, 0)]) == "LOST"


def test_what_failed_as_often_as_it_may_is_not_tried_again() -> None:
    text, failures = "LOST,NODE:2,USER_CODE:1", ""
    assert left(text, failures) == {LOST, NODE, USER}
    failures = counted(failures, NODE)
    assert left(text, failures) == {LOST, NODE, USER}
    failures = counted(counted(failures, NODE), LOST)
    assert failures == "LOST:1,NODE:2"
    assert left(text, failures) == {LOST, USER}


@given(policies, st.lists(classes, max_size=30))
def test_no_class_is_tried_again_more_often_than_its_limit(
    policy: tuple[frozenset[FailureClass], dict[FailureClass, int]], failing: list[FailureClass]
) -> None:
    retry_on, limits = policy
    text = retries_text(retry_on, [RetryLimit(*one) for one in limits.items()])
    failures, retried = "", Counter[FailureClass]()
    for failure in failing:
        may = failure in limits or failure in retry_on
        may &= retried[failure] < limits.get(failure, 99)
        assert (failure in left(text, failures)) == may
        if may:
            failures = counted(failures, failure)
            retried[failure] += 1
    assert retries_of(failures) == retried


@pytest.mark.parametrize(
    ("limits", "attempts"), [([], 3), ([1], 3), ([0, 5, 2], 6), ([19], 20), ([10**6], 20)]
)
def test_who_does_not_say_has_as_many_attempts_as_its_limits_need(
    limits: list[int], attempts: int
) -> None:
    given_ones = [RetryLimit(of, n) for of, n in zip(FailureClass, limits, strict=False)]
    assert attempts_for(given_ones) == attempts


@pytest.mark.parametrize(
    ("attempts_max", "limits", "field", "words"),
    [
        (0, [], "attempts_max", "1..20"),
        (21, [], "attempts_max", "1..20"),
        (3, [(NODE, -1)], "limits[0].retries_max", "0..19"),
        (20, [(NODE, 1), (USER, 20)], "limits[1].retries_max", "0..19"),
        (3, [(NODE, 3)], "limits[0].retries_max", "3 retries need 4 attempts in all"),
        (3, [(NODE, 1), (NODE, 1)], "limits[1].failure_class", "NODE has a limit already"),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    attempts_max: int, limits: list[tuple[FailureClass, int]], field: str, words: str
) -> None:
    [wrong] = check_retries(attempts_max, [RetryLimit(*one) for one in limits])
    assert wrong.field == f"retry_policy.{field}"
    assert words in wrong.description


def test_limits_within_the_attempts_are_taken() -> None:
    assert check_retries(4, [RetryLimit(NODE, 3), RetryLimit(USER, 0)]) == []
