"""Every way in which a run may end, with every order of the platform: what it costs its job."""

import itertools

import pytest

from adapters.contract import FailureClass, Phase
from scheduler.domain.evicting import START_TRIES_MAX, TOLD, EvictCause
from scheduler.domain.outcome import Ending, Order, Outcome, decide
from scheduler.domain.states import RETRIED_BY_DEFAULT, JobState, RunState

ENDS = [
    Ending(Phase.SUCCEEDED),
    Ending(Phase.CANCELLED),
    Ending(Phase.PREEMPTED, FailureClass.PREEMPTED),
    *(Ending(Phase.FAILED, failure) for failure in FailureClass),
]
ORDERS = [
    Order(cause, noticed, tries)
    for cause, noticed, tries in itertools.product(
        EvictCause, (False, True), (0, START_TRIES_MAX - 1)
    )
]
BOTH = list(itertools.product(ENDS, ORDERS))


def of(ending: Ending, order: Order | None, *, cancel: bool = False) -> Outcome:
    """What follows, for a job whose one attempt this is."""
    return decide(
        ending, attempt=1, attempts_max=1, retry_on=RETRIED_BY_DEFAULT, cancel_requested=cancel,
        now_ms=1_000, jitter=0.0, order=order,
    )  # fmt: skip


@pytest.mark.parametrize("cancel", [False, True])
def test_what_ended_by_order_costs_neither_money_nor_an_attempt(cancel: bool) -> None:
    obeyed = 0
    for ending, order in BOTH:
        found = of(ending, order, cancel=cancel)
        if found.by_order is None or order.cause is EvictCause.UNPAID:
            continue
        obeyed += 1
        assert found.by_order is order.cause
        assert (found.billed, found.free) == (False, True)
        assert (found.not_before_ms is not None) == (found.job_state is JobState.QUEUED)
        assert found.job_state in (
            {JobState.CANCELLED} if cancel else {JobState.QUEUED, JobState.HELD}
        )
        if order.cause in TOLD:
            assert (found.run_state, found.failure) == (
                RunState.PREEMPTED,
                FailureClass.PREEMPTED,
            )
    assert obeyed


@pytest.mark.parametrize("cancel", [False, True])
def test_what_nobody_could_pay_for_is_billed_and_over(cancel: bool) -> None:
    """It ran beyond its wall limit: that is no fault of the platform's."""
    obeyed = 0
    for ending, order in BOTH:
        found = of(ending, order, cancel=cancel)
        if found.by_order is not EvictCause.UNPAID:
            continue
        obeyed += 1
        assert (found.billed, found.free, found.not_before_ms) == (True, False, None)
        assert found.job_state is (JobState.CANCELLED if cancel else JobState.FAILED)
        assert (found.run_state, found.failure) == (RunState.FAILED, FailureClass.TIME_LIMIT)
        assert ending.phase is not Phase.PREEMPTED, "that was the center's own doing"
    assert obeyed


def test_a_cancellation_obeys_every_order() -> None:
    assert all(of(Ending(Phase.CANCELLED), order).by_order for order in ORDERS)


def test_a_success_is_one_whatever_was_ordered() -> None:
    for order in ORDERS:
        assert of(Ending(Phase.SUCCEEDED), order) == of(Ending(Phase.SUCCEEDED), None)


def test_what_did_not_obey_means_what_it_means_without_an_order() -> None:
    for ending, order in BOTH:
        found = of(ending, order)
        if found.by_order is None:
            assert found == of(ending, None)


def test_only_one_that_was_told_obeys_by_its_exit() -> None:
    for ending, order in BOTH:
        if ending.phase is Phase.FAILED and of(ending, order).by_order:
            assert ending.failure is FailureClass.USER_CODE
            assert order.noticed
            assert order.cause in TOLD


def test_a_job_is_held_only_after_the_last_try_to_start_it() -> None:
    for ending, order in BOTH:
        if of(ending, order).job_state is JobState.HELD:
            assert order.cause is EvictCause.START_TIMEOUT
            assert order.start_tries == START_TRIES_MAX - 1
