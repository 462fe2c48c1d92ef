"""One call: when it is made again, what is told of it, and that no secret ever is."""

import json
import logging
from collections.abc import Callable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from adapters.modelarts import open_center
from adapters.modelarts.auth import KeyAuth, TokenAuth, TokenScope
from adapters.modelarts.client import CenterClock, ModelArtsClient
from adapters.modelarts.errors import Call, CallFailed, ErrorClass
from adapters.secrets import SecretRef
from adapters.wire import Answer, AnswerLost, NotSent
from tests.unit.adapters.modelarts_fake import (
    NOW_MS,
    SECRET,
    FakeWire,
    answer,
    make_client,
    settings_mapping,
    write_secret,
)

REFUSED = answer(401, {"error_code": "APIGW.0301", "error_msg": "verify aksk signature fail"})
FINE = answer(200, {"count": 0, "items": []})


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MA_TEST_AK", "AK1")
    monkeypatch.setenv("MA_TEST_SK", SECRET)


def in_turn(*answers: Answer | Exception) -> FakeWire:
    """A wire that gives these one after the other."""
    left = list(answers)

    def respond(method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    return FakeWire(respond)


async def failing(client: ModelArtsClient, call: Call) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        await client.call(call, "POST", "training-jobs", body={})
    return failed.value


@pytest.mark.parametrize("call", list(Call))
async def test_a_lost_answer_is_not_asked_for_again(call: Call) -> None:
    wire = in_turn(AnswerLost("broke"), FINE)
    failed = await failing(make_client(wire), call)
    assert failed.kind is (ErrorClass.UNKNOWN if call is Call.CREATE else ErrorClass.RETRYABLE)
    assert len(wire.sent) == 1


@pytest.mark.parametrize(("call", "times"), [(Call.READ, 2), (Call.CHANGE, 1), (Call.CREATE, 1)])
async def test_only_a_question_is_repeated_after_a_connection_closed_at_rest(
    call: Call, times: int
) -> None:
    wire = in_turn(AnswerLost("broke", stale=True), AnswerLost("broke", stale=True))
    await failing(make_client(wire), call)
    assert len(wire.sent) == times


async def test_nothing_sent_is_told_as_such() -> None:
    failed = await failing(make_client(in_turn(NotSent("refused"))), Call.CREATE)
    assert failed.kind is ErrorClass.NOT_SENT


async def test_a_success_that_is_no_object_is_no_success() -> None:
    for body in (b"", b"[]", b"<html>", b'"text"', b"\xff\xfe"):
        failed = await failing(make_client(in_turn(Answer(200, {}, body))), Call.CREATE)
        assert failed.kind is ErrorClass.UNKNOWN


@pytest.mark.parametrize(
    ("retry_after", "wanted"),
    [("7", 7.0), ("0.5", 0.5), (None, 1.0), ("", 1.0), ("soon", 1.0), ("-3", 0.0), ("1e9", 300.0),
     ("nan", 1.0), ("Fri, 31 Dec 1999 23:59:59 GMT", 1.0)],
)  # fmt: skip
async def test_a_pause_that_is_wanted_is_kept_within_reason(
    retry_after: str | None, wanted: float
) -> None:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    throttled = answer(429, {"error_code": "APIGW.0308", "error_msg": "throttled"}, **headers)
    failed = await failing(make_client(in_turn(throttled)), Call.READ)
    assert (failed.kind, failed.retry_after_s) == (ErrorClass.THROTTLED, wanted)


async def test_a_clock_is_corrected_by_the_centers_date() -> None:
    behind_s = 16 * 60
    date = formatdate(NOW_MS / 1000 + behind_s, usegmt=True)
    wire = in_turn(Answer(401, {"date": date}, REFUSED.body), FINE)
    client = make_client(wire)
    await client.call(Call.CREATE, "POST", "training-jobs", body={})
    dates = [headers["X-Sdk-Date"] for _, _, headers in wire.sent]
    assert dates[0] < dates[1]
    assert client.clock.skew_ms == behind_s * 1000


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", formatdate(NOW_MS / 1000 + 29, usegmt=True)]
)
def test_a_clock_that_is_right_or_not_stated_is_left_alone(date: str | None) -> None:
    clock = CenterClock(lambda: NOW_MS)
    assert not clock.learn(date)
    assert clock.skew_ms == 0


async def test_keys_that_are_refused_are_read_anew_and_tried_once(tmp_path: Path) -> None:
    ref = write_secret(tmp_path, "old")
    wire = in_turn(REFUSED, REFUSED, REFUSED, FINE)
    client = ModelArtsClient(wire, KeyAuth(ref, ref), CenterClock(lambda: NOW_MS), "p0")
    assert (await failing(client, Call.CREATE)).kind is ErrorClass.AUTH
    assert len(wire.sent) == 1  # the same keys again would change nothing
    write_secret(tmp_path, "new")
    wire.sent.clear()
    assert (await failing(client, Call.CREATE)).kind is ErrorClass.AUTH
    assert len(wire.sent) == 2
    await client.call(Call.READ, "GET", "training-jobs/x")


async def test_a_permission_that_is_missing_is_not_tried_again() -> None:
    wire = in_turn(answer(403, {"error_code": "ModelArts.0011", "error_msg": "no permission"}))
    assert (await failing(make_client(wire), Call.READ)).kind is ErrorClass.AUTH


async def test_a_key_that_could_not_be_a_header_is_not_sent(tmp_path: Path) -> None:
    ref = write_secret(tmp_path, "AK1\r\nX-Evil: 1")
    client = ModelArtsClient(in_turn(), KeyAuth(ref, ref), CenterClock(lambda: NOW_MS), "p0")
    failed = await failing(client, Call.CREATE)
    assert (failed.kind, "Evil" in str(failed)) == (ErrorClass.AUTH, False)


async def test_a_secret_that_cannot_be_read_is_an_operators_matter(tmp_path: Path) -> None:
    ref = SecretRef("file", (str(tmp_path / "missing"),))
    client = ModelArtsClient(in_turn(), KeyAuth(ref, ref), CenterClock(lambda: NOW_MS), "p0")
    failed = await failing(client, Call.CREATE)
    assert failed.kind is ErrorClass.AUTH
    assert "missing" in str(failed)


def iam(*, life_s: int | None, tokens: list[str]) -> Callable[..., Answer]:
    """IAM that gives these tokens one after the other."""

    def respond(method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        assert body["auth"]["identity"]["password"]["user"]["password"] == SECRET
        stamps = {}
        if life_s is not None:
            stamps = {
                "issued_at": "2026-11-26T00:00:00.000000Z",
                "expires_at": f"2026-11-26T{life_s // 3600:02}:{life_s // 60 % 60:02}:00.000000Z",
            }
        return answer(201, {"token": stamps}, **{"x-subject-token": tokens.pop(0)})

    return respond


@pytest.mark.parametrize(
    ("life_s", "fresh_s"), [(86_340, 86_040), (600, 300), (240, 120), (None, 10**9)]
)
async def test_a_token_is_renewed_before_it_ends(life_s: int | None, fresh_s: int) -> None:
    now_ms = NOW_MS
    wire = FakeWire(iam(life_s=life_s, tokens=["t1", "t2"]))
    ref = SecretRef("env", ("MA_TEST_SK",))
    auth = TokenAuth(wire, TokenScope("d", "u", "r"), ref, lambda: now_ms, 1.0)

    async def token() -> str:
        headers: dict[str, str] = {}
        await auth.authorize("GET", "/", (), headers, b"", now_ms)
        return headers["X-Auth-Token"]

    assert await token() == "t1"
    now_ms += fresh_s * 1000 - 1
    assert await token() == "t1"
    if life_s is not None:
        now_ms += 1
        assert await token() == "t2"


async def test_a_token_that_others_renewed_meanwhile_is_not_thrown_away() -> None:
    wire = FakeWire(iam(life_s=600, tokens=["t1", "t2"]))
    ref = SecretRef("env", ("MA_TEST_SK",))
    auth = TokenAuth(wire, TokenScope("d", "u", "r"), ref, lambda: NOW_MS, 1.0)
    first: dict[str, str] = {}
    await auth.authorize("GET", "/", (), first, b"", NOW_MS)
    for _ in range(3):  # three calls with the first token are refused one after the other
        assert await auth.renewed(first)
        await auth.authorize("GET", "/", (), {}, b"", NOW_MS)
    assert len(wire.sent) == 2


@pytest.mark.parametrize("token", ["", "two\r\nlines", "中"])
async def test_a_token_that_is_no_header_is_none(token: str) -> None:
    wire = FakeWire(iam(life_s=600, tokens=[token]))
    ref = SecretRef("env", ("MA_TEST_SK",))
    auth = TokenAuth(wire, TokenScope("d", "u", "r"), ref, lambda: NOW_MS, 1.0)
    with pytest.raises(CallFailed):
        await auth.authorize("GET", "/", (), {}, b"", NOW_MS)


def everything(thing: object, depth: int = 6) -> str:
    """All that can be seen of an object by ``repr`` and its attributes' ``repr``."""
    parts = getattr(thing, "__dict__", {}) if depth else {}
    return repr(thing) + "".join(
        everything(part, depth - 1)
        for name, part in parts.items()
        if name not in ("_keys", "_token")
    )


@pytest.mark.parametrize("mode", ["key", "token"])
async def test_no_secret_is_ever_told(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = {"env": "MA_TEST_SK"}
    auths: Mapping[str, object] = {
        "key": {"ak": {"env": "MA_TEST_AK"}, "sk": secret},
        "token": {"iam_endpoint": "http://127.0.0.1:9", "user": "u", "domain": "d",
                  "project": "r", "password": secret},
    }  # fmt: skip
    mapping = settings_mapping(auth=auths[mode], endpoint="http://127.0.0.1:9")
    adapter = open_center("wuhan-ai", mapping, lambda: NOW_MS, lambda ms: ms / 1000)
    health = await adapter.health()  # reads the secrets, then fails to connect
    told = everything(adapter) + repr(health) + caplog.text
    assert not health.ok
    assert SECRET not in told


async def test_an_error_that_echoes_a_call_tells_no_signature() -> None:
    wire = in_turn(REFUSED)
    failed = await failing(make_client(wire), Call.READ)
    signature = wire.sent[0][2]["Authorization"].rpartition("=")[2]
    assert len(signature) == 64
    assert signature not in repr(failed) + str(failed)
    assert SECRET not in json.dumps(wire.sent)
