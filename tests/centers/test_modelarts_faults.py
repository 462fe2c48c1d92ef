"""Every fault of a network or a gateway at every step: one job a run, whatever is lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Phase, RunRequest
from adapters.errors import (
    AdapterError,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
)
from tests.centers.modelarts_bench import Bench, bench, make_request, native, raises, token_auth
from tests.modelarts_center.child import CenterProcess
from tests.modelarts_center.settings import SECRET_KEY, CenterSettings

pytestmark = pytest.mark.centers

LOST: list[tuple[str, dict[str, Any]]] = [
    ("drop", {}),
    ("cut", {}),
    ("status", {"status": 500}),
    ("status", {"status": 502}),
    ("status", {"status": 504}),
    ("html", {"status": 502}),
    ("html", {"status": 400}),
    ("body", {"text": "not json"}),
    ("bad_types", {"fields": ("id",)}),
    ("bad_types", {"fields": ("create_time",)}),
]


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as one:
        yield one


def fresh(command: str = "sleep 3600") -> RunRequest:
    return make_request(command, fresh=True)


@pytest.mark.parametrize(("kind", "more"), LOST, ids=str)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_makes_one_job(
    made: Bench, kind: str, more: dict[str, Any], when: str
) -> None:
    if when == "before" and kind in ("body", "bad_types"):
        kind, more = "drop", {}  # there is no answer yet that could be spoiled
    request = fresh()
    made.fault("create", kind, when=when, **more)
    with raises(OutcomeUnknown):
        await made.adapter.submit(request)
    found = await made.adapter.find([request.ref])
    assert (request.run_id in found) is (when == "after") is bool(made.native_jobs(request))
    made.open()  # a crash in between changes nothing
    accepted = await made.adapter.submit(replace(request, fresh=False))
    assert [job.id for job in made.native_jobs(request)] == [accepted.native_id]


async def test_what_only_looks_odd_in_an_answer_loses_nothing(made: Bench) -> None:
    request = fresh()
    made.fault("create", "bad_types", fields=("duration", "start_time", "node_count", "phase"))
    accepted = await made.adapter.submit(request)
    assert [job.id for job in made.native_jobs(request)] == [accepted.native_id]


async def test_an_answer_that_comes_too_late_makes_one_job(made: Bench) -> None:
    made.open(create_s=0.2)
    request = fresh()
    held = made.fault("create", "hold")
    with raises(OutcomeUnknown, r"no answer within 0\.2 s"):
        await made.adapter.submit(request)
    accepted = await made.adapter.submit(request)  # fresh no more, whatever it says
    made.ma.faults.remove(held)
    assert [job.id for job in made.native_jobs(request)] == [accepted.native_id]


async def test_a_throttled_creation_made_nothing_and_says_when(made: Bench) -> None:
    request = fresh()
    made.fault("create", "status", when="before", status=429, retry_after_s=7)
    with raises(Throttled):
        await made.adapter.submit(request)
    assert not made.native_jobs(request)
    await made.adapter.submit(request)
    assert made.calls("search") == 0  # still as fresh as before
    made.fault("search", "status", when="before", status=429, retry_after_s=7)
    with pytest.raises(Throttled) as told:
        await made.adapter.list_active()
    assert told.value.retry_after_s == 7


async def test_a_full_quota_at_the_center_is_a_pause(tmp_path: Path) -> None:
    async with bench(tmp_path, {"job_quota": 1}) as made:
        await made.adapter.submit(fresh())
        second = fresh()
        with raises(Throttled, r"ModelArts\.0118"):
            await made.adapter.submit(second)
        assert not made.native_jobs(second)


async def test_a_job_that_searches_do_not_show_yet_is_not_made_again(made: Bench) -> None:
    request = fresh()
    made.ma.service.hidden = {native(request)}
    made.fault("create", "drop")
    with raises(OutcomeUnknown):
        await made.adapter.submit(request)
    assert not await made.adapter.find([request.ref])
    with raises(OutcomeUnknown, "no job of that name is seen yet"):
        await made.adapter.submit(replace(request, fresh=False))
    made.ma.service.hidden = set()
    accepted = await made.adapter.submit(replace(request, fresh=False))
    assert [job.id for job in made.native_jobs(request)] == [accepted.native_id]


@pytest.mark.parametrize("code", ["ModelArts.2763", "ModelArts.9999"])
@pytest.mark.parametrize("absent", [frozenset[str](), frozenset({"names"})], ids=["names", "none"])
async def test_a_name_taken_is_recognized_whatever_its_code(
    tmp_path: Path, code: str, absent: frozenset[str]
) -> None:
    async with bench(tmp_path, {"duplicate_code": code, "absent": absent}) as made:
        request = fresh()
        first = await made.adapter.submit(request)
        made.open()
        assert await made.adapter.submit(request) == first  # fresh, as a liar would say
        made.ma.service.hidden = {native(request)}
        made.open()
        with raises(OutcomeUnknown):
            await made.adapter.submit(replace(request, fresh=False))
        assert len(made.native_jobs(request)) == 1


async def test_a_name_that_a_deleted_job_keeps_is_given_up_in_the_end(tmp_path: Path) -> None:
    async with bench(tmp_path, {"delete_frees_name": False}, settle_s=10) as made:
        request = fresh("true")
        await made.adapter.submit(request)
        job = await made.until(request, "Completed")
        made.ma.machine.delete(job)
        made.open()
        again = replace(request, fresh=False)
        with raises(OutcomeUnknown):
            await made.adapter.submit(again)
        made.skew_ms += 20_000  # later than the settle window
        with raises(Rejected, "no job of that name is seen"):
            await made.adapter.submit(again)


@pytest.mark.parametrize("minutes", [-16, -14, 14, 16])
async def test_a_wrong_clock_is_corrected_and_makes_nothing_twice(
    made: Bench, minutes: int
) -> None:
    made.skew_ms = minutes * 60_000
    request = fresh()
    await made.adapter.submit(request)
    assert len(made.native_jobs(request)) == 1
    assert made.calls("create") == (2 if abs(minutes) > 15 else 1)
    await made.seen(request.ref)
    assert made.calls("show") == 1  # no refusal any more
    assert abs(made.adapter.client.clock.skew_ms + made.skew_ms) < 5000


async def test_calls_at_once_with_a_wrong_clock_all_succeed(made: Bench) -> None:
    made.skew_ms = 16 * 60_000
    requests = [fresh() for _ in range(8)]
    await asyncio.gather(*map(made.adapter.submit, requests))
    assert [len(made.native_jobs(one)) for one in requests] == [1] * 8


async def test_credentials_that_are_refused_for_good(made: Bench, tmp_path: Path) -> None:
    (tmp_path / "sk").write_text("another-secret")
    with raises(Unauthorized, "verify aksk signature fail"):
        await made.adapter.submit(fresh())
    (tmp_path / "sk").write_text(SECRET_KEY)  # changed where it is kept: found by itself
    await made.adapter.submit(fresh())
    assert not (await made.adapter.health()).detail.count(SECRET_KEY)


async def test_a_token_is_renewed_before_it_ends_and_after_a_refusal(tmp_path: Path) -> None:
    async with bench(tmp_path, {"token_life_s": 600.0}) as made:
        made.open(auth=token_auth(made.ma.url, tmp_path))
        await made.adapter.submit(fresh())
        await made.adapter.list_active()
        assert made.calls("token") == 1
        made.skew_ms += 301_000  # five minutes before its end
        await made.adapter.list_active()
        assert (made.calls("token"), made.calls("search")) == (2, 2)
        made.fault("create", "status", when="before", status=401)
        request = fresh()
        await made.adapter.submit(request)
        assert (made.calls("token"), len(made.native_jobs(request))) == (3, 1)
        made.fault("search", "status", when="before", status=401, times=0)
        with raises(Unauthorized):
            await made.adapter.list_active()


async def test_iam_away_is_no_refusal(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.open(auth=token_auth(made.ma.url, tmp_path))
        made.fault("token", "status", when="before", status=503)
        with raises(Unavailable):
            await made.adapter.submit(fresh())
        (tmp_path / "password").write_text("wrong")
        with raises(Unauthorized, "IAM gave no token: 401"):
            await made.adapter.submit(fresh())
        assert not made.ma.all_jobs()


@pytest.mark.parametrize(
    ("kind", "more"),
    [("drop", {}), ("cut", {}), ("status", {"status": 502}), ("html", {"status": 404})],
    ids=str,
)
async def test_a_page_or_record_that_is_lost_loses_no_run(
    made: Bench, kind: str, more: dict[str, Any]
) -> None:
    request = fresh()
    accepted = await made.adapter.submit(request)
    await made.until(request, "Running")
    for call, ask in (
        ("search", made.adapter.list_active),
        ("show", lambda: made.adapter.find([request.ref])),
    ):
        made.fault(call, kind, when="after", times=2, **more)
        with raises(Unavailable):
            await ask()
        made.ma.faults.clear()
    assert made.adapter.counts["failed_pages"] == 1
    assert (await made.active())[request.run_id].native_id == accepted.native_id


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_stop_is_asked_again(made: Bench, when: str) -> None:
    request = fresh()
    await made.adapter.submit(request)
    await made.until(request, "Running")
    made.fault("stop", "drop", when=when)
    with raises(OutcomeUnknown):
        await made.adapter.cancel(request.ref)
    await made.adapter.cancel(request.ref)
    await made.until(request, "Terminated")
    assert (await made.seen(request.ref)).phase is Phase.CANCELLED


async def test_a_center_that_is_not_there(made: Bench) -> None:
    made.open(endpoint="http://127.0.0.1:9")
    request = fresh()
    for call in (made.adapter.submit(request), made.adapter.find([request.ref])):
        with raises(Unavailable):
            await call
    health = await made.adapter.health()
    assert not health.ok
    assert health.detail.startswith("NOT_SENT")


async def test_a_project_that_does_not_exist(made: Bench) -> None:
    made.open(project_id="another")
    with pytest.raises(AdapterError):
        await made.adapter.submit(fresh())
    assert not (await made.adapter.health()).ok


async def test_a_center_killed_over_a_creation_and_started_again(tmp_path: Path) -> None:
    """kill -9 between its taking of the job and its answer; tasks go on, and are metered."""
    loop = asyncio.get_running_loop()
    settings = CenterSettings(tmp_path / "center", stop_grace_s=0.3)
    with await loop.run_in_executor(None, CenterProcess, settings) as center:
        async with bench(tmp_path / "unused", {}, endpoint=center.url) as made:
            request = make_request("sleep 1; exit 7", fresh=True)
            held = await loop.run_in_executor(None, center.control.fault, "create", "hold")
            submitted = asyncio.ensure_future(made.adapter.submit(request))
            await loop.run_in_executor(None, center.control.fired, held)
            await loop.run_in_executor(None, center.control.until, native(request), "Running")
            center.kill()
            with raises(OutcomeUnknown):
                await submitted
            with raises(Unavailable):
                await made.adapter.find([request.ref])
            await loop.run_in_executor(None, center.start_again)
            accepted = await made.adapter.submit(replace(request, fresh=False))
            await loop.run_in_executor(None, center.control.until, native(request), "Failed")
            seen = await made.seen(request.ref)
            assert (seen.native_id, seen.exit_code) == (accepted.native_id, 7)
            assert len(await loop.run_in_executor(None, center.control.jobs)) == 1
            assert len(await made.used(request.ref)) == 1
