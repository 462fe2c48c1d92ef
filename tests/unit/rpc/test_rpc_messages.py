import pytest

from scheduler.domain import uscc
from scheduler.errors import InvalidRequest, Unauthenticated
from scheduler.rpc import caller, messages


def test_page_tokens_come_back_as_they_went() -> None:
    assert messages.page_key(messages.page_token("城", 5), str, int) == ("城", 5)
    assert messages.page_key("", str) is None


@pytest.mark.parametrize(
    "token", ["x", "%%%%", "WzFd", "e30=", messages.page_token(True), messages.page_token("a", "b")]
)
def test_a_page_token_of_another_list_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest):
        messages.page_key(token, str)


@pytest.mark.parametrize("part", ["a\0", "\ud800", 1 << 63, -(1 << 63) - 1])
def test_a_page_token_of_what_no_database_takes_is_refused(part: str | int) -> None:
    with pytest.raises(InvalidRequest):
        messages.page_key(messages.page_token("a", part), str, type(part))
    assert messages.page_key(messages.page_token((1 << 63) - 1), int) == ((1 << 63) - 1,)


@pytest.mark.parametrize(("asked", "size"), [(0, 100), (1, 1), (1000, 1000), (5000, 1000)])
def test_page_sizes(asked: int, size: int) -> None:
    assert messages.page_size(asked) == size


def test_times_keep_their_milliseconds() -> None:
    at = messages.timestamp(1_790_000_000_123)
    assert at is not None
    assert messages.milliseconds(at) == 1_790_000_000_123
    assert messages.timestamp(None) is None


def test_there_is_no_caller_outside_a_call() -> None:
    with pytest.raises(Unauthenticated):
        caller.current()


# Codes of large listed companies, from their public annual reports.
@pytest.mark.parametrize("code", ["914403001922038216", "91110000802100433B"])
def test_real_credit_codes_check(code: str) -> None:
    assert uscc.problem(code) is None


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("914403001922038217", "check"),
        ("91440300192203821", "18 characters"),
        ("91440300192203821O", "'O'"),
        ("914403001922038b16", "'b'"),
    ],
)
def test_wrong_credit_codes_are_named(code: str, what: str) -> None:
    problem = uscc.problem(code)
    assert problem is not None
    assert what in problem
