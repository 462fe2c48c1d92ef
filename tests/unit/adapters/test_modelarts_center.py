"""Runs among jobs: two jobs of one name, ids of others, odd pages, and what is kept."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import Phase, RunRef
from adapters.errors import OutcomeUnknown, Rejected, Unavailable
from adapters.modelarts.errors import CallFailed
from adapters.modelarts.pools import working_nodes
from adapters.modelarts.searching import Searcher
from adapters.wire import Answer
from tests.unit.adapters.modelarts_fake import (
    NOW_MS,
    SECRET,
    FakeCenter,
    FakeWire,
    Json,
    answer,
    job_json,
    make_client,
    make_request,
    open_fake,
)

OURS = "corridor-j1_1"
REF = RunRef("j1.1", "corridor-j1.1")


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MA_TEST_AK", "AK1")
    monkeypatch.setenv("MA_TEST_SK", SECRET)


def twins(*phases: str) -> list[Json]:
    """Jobs of one name, older first."""
    jobs = [job_json(f"id-{i}", OURS, phase) for i, phase in enumerate(phases)]
    for i, job in enumerate(jobs):
        job["metadata"]["create_time"] += i
    return jobs


@pytest.mark.parametrize(
    ("known", "chosen", "stopped"),
    [("", "id-0", ["id-1"]), ("id-0", "id-0", ["id-1"]), ("id-1", "id-1", ["id-0"])],
)
async def test_of_two_jobs_the_known_one_or_the_oldest_is_the_run(
    known: str, chosen: str, stopped: list[str]
) -> None:
    fake = FakeCenter(*twins("Running", "Running"))
    adapter = open_fake(fake)
    many = [REF, *(RunRef(f"j{i}.1", f"corridor-j{i}.1") for i in range(2, 8))]  # by their names
    found = await adapter.find([replace(many[0], native_id=known), *many[1:]])
    assert {run_id: one.native_id for run_id, one in found.items()} == {"j1.1": chosen}
    assert fake.stopped == stopped
    assert adapter.counts["duplicates"] == 1


async def test_a_second_job_that_has_ended_is_no_run_and_is_not_stopped() -> None:
    fake = FakeCenter(*twins("Terminated", "Running"))
    found = await open_fake(fake).find([replace(REF, native_id="id-1")])
    assert found["j1.1"].phase is Phase.RUNNING
    assert fake.stopped == []


async def test_a_sweep_stops_the_second_job_only_once_the_run_is_known() -> None:
    fake = FakeCenter(*twins("Running", "Running"))
    adapter = open_fake(fake)
    (seen,) = (await adapter.list_active()).observations
    assert (seen.native_id, fake.stopped) == ("id-0", [])
    await adapter.find([replace(REF, native_id="id-1")])
    (seen,) = (await adapter.list_active()).observations
    assert (seen.native_id, fake.stopped) == ("id-1", ["id-0"])


async def test_a_second_job_that_cannot_be_stopped_now_hides_no_run() -> None:
    fake = FakeCenter(*twins("Running", "Running"))
    adapter = open_fake(fake)
    fine = fake.respond
    fake.wire._respond = lambda method, path, *more: (
        answer(502, {}) if path.endswith("/actions") else fine(method, path, *more)
    )
    ref = replace(REF, native_id="id-1")
    many = [ref, *(RunRef(f"j{i}.1", f"corridor-j{i}.1") for i in range(2, 8))]
    assert (await adapter.find(many))["j1.1"].native_id == "id-1"
    assert len((await adapter.list_active()).observations) == 1
    assert adapter.counts["failed_stops"] == 2


async def test_a_sweep_stops_nothing_for_the_sake_of_a_job_that_is_gone() -> None:
    fake = FakeCenter(job_json("id-1", OURS))
    adapter = open_fake(fake)
    await adapter.usage([replace(REF, native_id="id-gone")])
    adapter._finder.learn("j1.1", "id-gone")
    (seen,) = (await adapter.list_active()).observations
    assert (seen.native_id, fake.stopped) == ("id-1", [])


async def test_a_creation_that_is_late_is_not_sent() -> None:
    fake = FakeCenter()
    adapter = open_fake(fake)
    with pytest.raises(Unavailable, match="too late"):
        await adapter.submit(make_request(fresh=True, send_by_s=0.0))
    with pytest.raises(Unavailable, match="too late"):  # it was looked up in time, then it was late
        await adapter.submit(make_request(send_by_s=0.0))
    assert not fake.jobs


async def test_a_run_not_known_by_id_is_cancelled_with_all_of_its_name() -> None:
    fake = FakeCenter(*twins("Running", "Completed", "Pending"), job_json("id-9", OURS + "0"))
    await open_fake(fake).cancel(REF)
    assert fake.stopped == ["id-0", "id-2"]


async def test_an_id_that_is_gone_is_no_reason_to_let_the_name_run_on() -> None:
    fake = FakeCenter(job_json("id-5", OURS))
    await open_fake(fake).cancel(replace(REF, native_id="id-gone"))
    assert fake.stopped == ["id-5"]


async def test_a_native_id_with_another_name_proves_nothing() -> None:
    fake = FakeCenter(job_json("id-0", "corridor-j2_1"), job_json("id-1", OURS))
    adapter = open_fake(fake)
    found = await adapter.find([replace(REF, native_id="id-0")])
    assert found["j1.1"].native_id == "id-1"
    assert adapter.counts["foreign_ids"] == 1


async def test_a_search_that_is_generous_finds_no_strangers() -> None:
    fake = FakeCenter(job_json("id-0", OURS + "1"), job_json("id-1", "x" + OURS))
    fake.wire = FakeWire(
        lambda method, path, query, body: answer(
            200, {"count": 2, "items": list(fake.jobs.values())}
        )
    )
    assert await open_fake(fake).find([REF]) == {}


async def test_an_odd_job_in_a_page_hides_no_other() -> None:
    broken = job_json("id-0", OURS)
    good = job_json("id-1", "corridor-j2_1")
    fake = FakeCenter(broken, good)
    adapter = open_fake(fake)
    broken["metadata"].pop("name")
    fake.wire._respond = lambda *call: answer(200, {"count": 2, "items": [broken, None, good]})
    (seen,) = (await adapter.list_active()).observations
    assert seen.run_id == "j2.1"
    assert adapter.counts["unreadable_jobs"] == 2


@pytest.mark.parametrize(
    "page",
    [{}, {"count": 1}, {"items": []}, {"count": "1", "items": []}, {"count": 3, "items": []},
     {"count": 1, "items": {}}],
)  # fmt: skip
async def test_a_page_that_does_not_add_up_says_nothing(page: Json) -> None:
    fake = FakeCenter()
    fake.wire._respond = lambda *call: answer(200, page)
    adapter = open_fake(fake)
    with pytest.raises(Unavailable):
        await adapter.list_active()
    with pytest.raises(Unavailable):
        await adapter.find([REF])


async def test_no_jobs_at_all_may_be_told_as_nothing() -> None:
    fake = FakeCenter()
    fake.wire._respond = lambda *call: answer(200, {"count": 0, "items": None})
    assert (await open_fake(fake).list_active()).observations == ()


async def test_an_unknown_phase_keeps_the_run_and_is_counted() -> None:
    fake = FakeCenter(job_json("id-0", OURS, "Hibernating", start_time=NOW_MS))
    adapter = open_fake(fake)
    seen = (await adapter.find([replace(REF, native_id="id-0")]))["j1.1"]
    assert (seen.phase, seen.message) == (Phase.RUNNING, "the center calls it 'Hibernating'")
    assert adapter.counts["unknown_phases"] == 1
    assert await adapter.usage([REF]) == {}


@pytest.mark.parametrize("kind", ["record", "page"])
@pytest.mark.parametrize("count", [3, 50, 51, 100, 101, 173])
async def test_every_job_is_on_one_page(kind: str, count: int) -> None:
    jobs = [job_json(f"id-{i}", f"corridor-j{i}_1") for i in range(count)]
    adapter = open_fake(FakeCenter(*jobs, offsets=kind))
    seen: list[str] = []
    token = ""
    while True:
        page = await adapter.list_active(token)
        seen += [one.native_id for one in page.observations]
        token = page.next_token
        if not token:
            break
    assert seen == [f"id-{i}" for i in range(count)]


def probing(*pages: Sequence[str]) -> Searcher:
    """A searcher of a center whose pages hold these jobs, whatever is asked."""
    left = list(pages)

    def respond(method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        items = [job_json(one, OURS) for one in left.pop(0)]
        return answer(200, {"count": 99, "items": items})

    return Searcher(make_client(FakeWire(respond)), "0", "auto")


@pytest.mark.parametrize(
    ("pages", "mode"),
    [
        ([("a", "b"), ("b", "c")], "record"),
        ([("a", "b"), ("c", "d")], "page"),
        ([("a", "b"), ("a", "b"), ("a", "b"), ("b", "c")], "record"),  # one came in between
        ([("a",), ("c",), ("a", "b"), ("c", "d")], "page"),
    ],
)
async def test_how_offsets_are_counted_is_found_out(pages: list[Sequence[str]], mode: str) -> None:
    searcher = probing(*pages, ("e",))
    await searcher.page([], 1)
    assert searcher.offset_mode == mode


async def test_what_cannot_be_found_out_is_not_guessed() -> None:
    searcher = probing(*[("a", "b")] * 6)
    with pytest.raises(CallFailed, match="cannot tell how offset is counted"):
        await searcher.page([], 1)
    assert searcher.offset_mode == "auto"


async def test_what_is_created_is_checked_against_what_was_sent() -> None:
    fake = FakeCenter()
    adapter = open_fake(fake)
    other = answer(201, job_json("id-0", "corridor-j9_1"))
    fake.wire._respond = lambda *call: other
    with pytest.raises(OutcomeUnknown, match="does not tell which job"):
        await adapter.submit(make_request(fresh=True))


async def test_a_refused_creation_looks_for_the_name_before_it_gives_up() -> None:
    fake = FakeCenter()
    adapter = open_fake(fake)

    def refuse(method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "training-jobs":
            return answer(400, {"error_code": "ModelArts.0104", "error_msg": "illegal"})
        return fake.respond(method, path, query, body)

    fake.wire._respond = refuse
    with pytest.raises(Rejected) as refused:
        await adapter.submit(make_request(fresh=True))
    assert refused.value.reason == "ModelArts.0104"
    asked = [path for _, path, _ in fake.wire.sent]
    assert asked == ["training-jobs", "training-job-searches", "training-job-names"]


async def test_a_name_that_is_taken_by_our_own_run_is_that_run() -> None:
    """No code says that a name is taken: any refusal may mean it, of a fresh run too."""
    fake = FakeCenter()
    first = await open_fake(fake).submit(make_request(fresh=True))
    fine = fake.respond
    fake.wire._respond = lambda method, path, *more: (
        answer(400, {"error_code": "X.1", "error_msg": "no"})
        if path == "training-jobs"
        else fine(method, path, *more)
    )
    assert await open_fake(fake).submit(make_request(fresh=True)) == first


async def test_our_own_job_is_adopted_although_settings_have_changed() -> None:
    fake = FakeCenter()
    first = await open_fake(fake).submit(make_request(fresh=True))
    adapter = open_fake(fake)
    assert await adapter.submit(make_request(command=("python", "written-otherwise"))) == first
    assert adapter.counts["adopted_changed"] == 1


async def test_a_job_of_our_name_that_is_another_is_refused() -> None:
    fake = FakeCenter(job_json("id-0", OURS))  # it says of no run, and has another command
    adapter = open_fake(fake)
    with pytest.raises(Rejected, match="another job has the name: command"):
        await adapter.submit(make_request(command=("python", "other.py")))
    assert adapter.counts["names_taken"] == 1
    assert len(fake.jobs) == 1


async def test_a_refusal_that_cannot_be_looked_into_is_no_refusal() -> None:
    fake = FakeCenter()
    adapter = open_fake(fake)
    refusal = answer(400, {"error_code": "ModelArts.0104", "error_msg": "illegal"})
    fake.wire._respond = lambda method, path, *more: (
        refusal if path == "training-jobs" else answer(502, {})
    )
    with pytest.raises(OutcomeUnknown, match="the name cannot be looked up"):
        await adapter.submit(make_request(fresh=True))


async def test_events_that_cannot_be_had_do_not_hold_up_an_end_for_ever() -> None:
    fake = FakeCenter(job_json("id-0", OURS, "Terminated", start_time=NOW_MS, duration=1000))
    adapter = open_fake(fake)
    fine = fake.respond
    fake.wire._respond = lambda method, path, *more: (
        answer(500, {}) if path.endswith("/events") else fine(method, path, *more)
    )
    ref = replace(REF, native_id="id-0")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await adapter.find([ref])
    assert (await adapter.find([ref]))["j1.1"].phase is Phase.CANCELLED


async def test_a_stop_that_is_refused_is_believed_only_of_a_job_that_has_ended() -> None:
    fake = FakeCenter(job_json("id-0", OURS, "Running"))
    adapter = open_fake(fake)
    fine = fake.respond
    fake.wire._respond = lambda method, path, *more: (
        answer(400, {"error_code": "ModelArts.9", "error_msg": "not now"})
        if path.endswith("/actions")
        else fine(method, path, *more)
    )
    ref = replace(REF, native_id="id-0")
    with pytest.raises(Unavailable, match="not now"):
        await adapter.cancel(ref)
    fake.jobs["id-0"]["status"]["phase"] = "Completed"
    await adapter.cancel(ref)


@pytest.mark.parametrize(
    ("available", "nodes"),
    [([{"count": 3}], 3), ([{"count": 1}, {"count": 2}], 3), ({"count": 3}, 3), (None, None),
     ("3", None), ([], 0), ([{"count": None}], 0)],
)  # fmt: skip
def test_nodes_that_work_are_counted_in_both_shapes(available: object, nodes: int | None) -> None:
    assert working_nodes({"status": {"resources": {"available": available}}}) == nodes
    assert working_nodes({}) is None
