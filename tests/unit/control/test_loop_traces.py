"""Spans of followed jobs are told once they can be, again after a death, and then no more."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from scheduler.control.tracing import LoopTraces, TraceDesk
from scheduler.domain.arrays import ArraySpec
from scheduler.domain.ids import element_uid
from scheduler.domain.job_spans import job_span
from scheduler.domain.traces import FOLLOWED_MAX, LINKS_MAX, SpanRecord, TraceContext
from scheduler.span_queue import SpanQueue
from scheduler.store import leader, traces
from tests.simulation.hands import Hands
from tests.unit.store.ingest_hands import running, without_programmes

CALL = TraceContext("a" * 32, "b" * 16)
FRESH = TraceContext("c" * 32, "d" * 16)


class Spans:
    """Keeps spans; they go out once the test says so."""

    def __init__(self) -> None:
        self.told: list[SpanRecord] = []
        self.gone = 0

    @property
    def emitted(self) -> int:
        return len(self.told)

    def emit(self, span: SpanRecord) -> None:
        self.told.append(span)

    def flush(self, patience_s: float) -> None:
        self.gone = self.emitted

    def names(self) -> list[str]:
        return [span.name for span in self.told]


class Leader:
    """The loop around it."""

    def __init__(self, it: Hands) -> None:
        self._it, self.epoch = it, it.epoch

    async def write(self, call: Any) -> Any:
        return self._it.db.do(call)


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return without_programmes()


def telling(it: Hands) -> tuple[LoopTraces, Spans]:
    spans = Spans()
    return LoopTraces(it.db, Leader(it), TraceDesk(spans, lambda: FRESH)), spans


def follow(it: Hands, *uids: int) -> None:
    it.db.do(lambda c: traces.follow(c, [(uid, None) for uid in uids], CALL))


def followed(it: Hands) -> set[int]:
    return {uid for (uid,) in it.db.rows("SELECT job_uid FROM job_trace")}


async def test_only_what_is_followed_is_told_and_what_was_before_is_not(it: Hands) -> None:
    early = running(it)
    follow(it, early)
    told, spans = telling(it)
    await told.tell()
    it.end(early, 10)
    it.end(running(it), 10)
    await told.tell()
    assert spans.names() == ["execute", "run", "job", "settle"]
    assert {span.context.trace_id for span in spans.told} == {CALL.trace_id}


async def test_who_dies_before_spans_have_gone_tells_nothing_less(it: Hands) -> None:
    told, spans = telling(it)
    await told.tell()
    uid = running(it)
    follow(it, uid)
    it.end(uid, 10)
    await told.tell()
    await told.tell()
    before = [span.context for span in spans.told]
    assert len(before) == 7, "each once by one teller"
    it.epoch = it.db.do(lambda c: leader.take_over(c, "next", 0))
    told, spans = telling(it)
    await told.tell()
    assert [span.context for span in spans.told] == before
    assert followed(it) == {uid}, "until what was told of it has gone out"
    await told.stop()
    assert followed(it) == set()
    told, spans = telling(it)
    await told.tell()
    assert spans.told == []


async def test_who_leads_no_more_keeps_nothing(it: Hands) -> None:
    told, spans = telling(it)
    await told.tell()
    uid = running(it)
    follow(it, uid)
    it.end(uid, 10)
    it.db.do(lambda c: leader.take_over(c, "next", 0))
    await told.stop()
    await told.tell()
    spans.flush(0.0)
    with pytest.raises(leader.Fenced):
        await told.tell()
    assert followed(it) == {uid}


async def test_batches_without_followed_jobs_are_not_told(it: Hands) -> None:
    told, spans = telling(it)
    with told.batch("ingest", told.known([1, 2])):
        pass
    assert spans.told == []


async def test_a_batch_links_to_so_many_jobs_at_most(it: Hands) -> None:
    told, spans = telling(it)
    many = dict.fromkeys(range(1, 3 * LINKS_MAX), CALL)

    def fail() -> None:
        with told.batch("ingest", many) as said:
            said["corridor.reports"] = len(many)
            raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        fail()
    [span] = spans.told
    assert span.links == tuple(job_span(CALL, uid) for uid in range(1, LINKS_MAX + 1))
    assert (span.error, span.attributes["corridor.reports"]) == ("ValueError", 3 * LINKS_MAX - 1)


async def test_where_tracing_is_off_nothing_is_asked(it: Hands) -> None:
    class Nothing:
        epoch = 1

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

    off = LoopTraces(Nothing(), Nothing(), None)  # type: ignore[arg-type]

    async def ingest(_: Sequence[Any]) -> None:
        raise AssertionError("not called")

    assert off.ingesting(ingest) is ingest
    assert off.bodies() == {}
    assert off.known([1]) == {}
    with off.batch("admit", {}):
        pass
    assert await off.tell() is False
    await off.stop()


def test_the_first_of_a_call_are_followed(it: Hands) -> None:
    array, *others = it.world.ids.take_blocks([101, *[1] * 40])
    it.db.do(lambda c: traces.follow(c, [(others[0], None), (array, ArraySpec(100))], CALL))
    expected = {others[0], array} | {element_uid(array, at) for at in range(FOLLOWED_MAX - 2)}
    assert followed(it) == expected
    it.db.do(lambda c: traces.forget(c, others))
    it.db.do(lambda c: traces.follow(c, [(uid, None) for uid in others], CALL))
    assert followed(it) == (expected - {others[0]}) | set(others[:FOLLOWED_MAX])


# --- the queue ------------------------------------------------------------------------------------

SPAN = SpanRecord("run", CALL, "", 1, 2)


def test_a_full_queue_drops_what_comes_and_never_waits() -> None:
    sending, may_send = threading.Event(), threading.Event()
    sent: list[int] = []
    counted: dict[str, int] = {}

    def count(outcome: str, number: int) -> None:
        counted[outcome] = counted.get(outcome, 0) + number

    def send(batch: Sequence[SpanRecord]) -> str:
        sending.set()
        may_send.wait()
        sent.append(len(batch))
        return ""

    queue = SpanQueue(send, count, most=3)
    queue.emit(SPAN)
    assert sending.wait(60)
    for _ in range(5):
        queue.emit(SPAN)
    assert (queue.emitted, queue.gone, counted) == (6, 2, {"dropped": 2})
    may_send.set()
    queue.flush(60)
    assert (queue.gone, sum(sent)) == (6, 4)
    queue.close(60)
    queue.emit(SPAN)
    assert counted == {"dropped": 3, "exported": 4}


def test_what_fails_is_counted_and_does_not_end_the_queue() -> None:
    counted: list[tuple[str, int]] = []
    answers = iter(["broken", "UNAVAILABLE: away", ""])

    def send(batch: Sequence[SpanRecord]) -> str:
        answer = next(answers)
        if answer == "broken":
            raise RuntimeError(answer)
        return answer

    queue = SpanQueue(send, lambda *one: counted.append(one))
    for _ in range(3):
        queue.emit(SPAN)
        queue.flush(60)
    queue.close(60)
    assert counted == [("failed", 1), ("failed", 1), ("exported", 1)]
