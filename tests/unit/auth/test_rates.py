"""How much one caller may ask for: what passes, what is refused, and what is said then."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.auth.rates import NO_RATE, Bucket, Rate, Rates
from scheduler.domain.principal import Principal, Role
from scheduler.errors import RateLimited

LI = Principal("li", Role.ENTERPRISE_MEMBER, "wuhan", "e000", None, "tok-1", 10**15)
KEY = ("", "li", "OPERATOR", None, None, None)


class Hands:
    """A clock that tests move, and what was refused."""

    def __init__(self) -> None:
        self.real_s = 100.0
        self.refused: list[str] = []

    def rates(self, calls: Rate = NO_RATE, jobs: Rate = NO_RATE, streams: int = 0) -> Rates:
        return Rates(
            calls, jobs, streams, real_s=lambda: self.real_s, on_refused=self.refused.append
        )


def test_a_caller_may_burst_then_as_the_rate_allows() -> None:
    hands = Hands()
    rates = hands.rates(Rate(10, 3))
    for _ in range(3):
        rates.call(LI)
    with pytest.raises(RateLimited) as caught:
        rates.call(LI)
    assert caught.value.metadata == {"limit": "limits.calls_per_s"}
    assert "10 calls a second here, 3 after a rest (limits.calls_per_s)" in caught.value.message
    assert caught.value.subject == "callers/li"
    hands.real_s += caught.value.retry_after_s
    rates.call(LI)
    assert hands.refused == ["calls"]


def test_callers_do_not_share_a_bucket_but_tokens_of_one_do() -> None:
    rates = Hands().rates(Rate(1, 1))
    rates.call(LI)
    for other in (
        replace(LI, subject="wang"), replace(LI, enterprise="e001"), replace(LI, issuer="https://i"),
        replace(LI, role=Role.ENTERPRISE_ADMIN),
    ):  # fmt: skip
        rates.call(other)
    with pytest.raises(RateLimited):
        rates.call(replace(LI, token_id="tok-2"))


def test_a_call_of_many_jobs_is_taken_whole_and_the_next_waits_for_it() -> None:
    hands = Hands()
    rates = hands.rates(jobs=Rate(100, 1_000))
    rates.jobs(LI, 10_000)
    with pytest.raises(RateLimited) as caught:
        rates.jobs(LI, 1)
    assert caught.value.retry_after_s == pytest.approx(90.0, abs=0.02)
    hands.real_s += 89.9
    with pytest.raises(RateLimited):
        rates.jobs(LI, 1)
    hands.real_s += 0.2
    rates.jobs(LI, 1)


def test_streams_are_counted_while_they_are_open() -> None:
    hands = Hands()
    rates = hands.rates(streams=2)
    rates.open_stream(LI)
    rates.open_stream(LI)
    with pytest.raises(RateLimited, match="at most 2 streams of one caller"):
        rates.open_stream(LI)
    rates.open_stream(replace(LI, subject="wang"))
    rates.close_stream(LI)
    rates.open_stream(LI)
    assert hands.refused == ["streams"]


def test_no_rate_is_no_limit() -> None:
    rates = Rates()
    for _ in range(1_000):
        rates.call(LI)
        rates.jobs(LI, 10_000)
        rates.open_stream(LI)


@settings(max_examples=60)
@given(
    per_s=st.sampled_from((0.5, 1.0, 4.0)),
    burst=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9)), max_size=30),
)
def test_a_bucket_is_as_one_that_is_filled_drop_by_drop(
    per_s: float, burst: int, steps: list[tuple[int, int]]
) -> None:
    """Beside a bucket that is kept as people think of it: how much is in it."""
    bucket, now_s = Bucket(Rate(per_s, burst)), 0.0
    level = float(burst)
    for quarters, count in steps:
        now_s += quarters / 4
        level = min(burst, level + quarters / 4 * per_s)
        wait_s = bucket.take(KEY, count, now_s)
        assert (wait_s == 0.0) == (level > 0)
        if wait_s:
            assert math.isclose(wait_s, (1 - level) / per_s)
        else:
            level -= count
