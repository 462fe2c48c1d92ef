"""Contexts of traces as W3C has them, which are recorded, and a job's events as spans."""

from typing import Any

import pytest

from scheduler.domain.events import EventKind
from scheduler.domain.job_spans import SPANS, Followed, News, RunFacts, job_span, spans_of
from scheduler.domain.traces import Chooser, SpanRecord, TraceContext, is_sampled, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (GIVEN, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"01-{TRACE}-{SPAN}-01-what-comes-later", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
    ],
)
def test_a_context_is_taken_up(text: str, sampled: bool) -> None:
    assert parse(text) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "text",
    [
        None, "", b"\xff", "nonsense", GIVEN.upper(), GIVEN + "-more", f" {GIVEN}", GIVEN + "\n",
        f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01", f"00-{TRACE}-{SPAN}-1", f"00-{TRACE}-{SPAN}-0g",
        f"0-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}",
    ],
)  # fmt: skip
def test_what_is_malformed_is_none(text: Any) -> None:
    assert parse(text) is None


def test_a_context_is_written_as_it_is_read() -> None:
    for text in (GIVEN, f"00-{TRACE}-{SPAN}-00"):
        assert str(parse(text)) == text


class Now:
    s = 0.0

    def __call__(self) -> float:
        return self.s


def chooser(ratio: float = 0.0, callers_per_s: float = 2.0, now: Now | None = None) -> Chooser:
    return Chooser(ratio, callers_per_s, lambda count: b"\xab" * count, now or Now())


def test_a_part_of_what_has_no_trace_begins_one() -> None:
    context, parent = chooser(ratio=0.5).choose(None)
    assert (parent, context) == ("", TraceContext("ab" * 16, "ab" * 8, sampled=False))
    assert chooser(ratio=1.0).choose("nonsense")[0].sampled
    ids = [f"{number:032x}" for number in range(0, 1 << 64, 1 << 54)]
    assert sum(is_sampled(one, 0.25) for one in ids) == len(ids) / 4
    assert not any(is_sampled(one, 0) for one in ids)


def test_a_callers_trace_goes_on_and_is_recorded_as_it_says() -> None:
    choose = chooser().choose
    assert choose(GIVEN) == (TraceContext(TRACE, "ab" * 8), SPAN)
    assert choose(f"00-{TRACE}-{SPAN}-00") == (TraceContext(TRACE, "ab" * 8, False), SPAN)


def test_callers_cannot_have_all_recorded() -> None:
    now = Now()
    choose = chooser(callers_per_s=2.0, now=now).choose
    assert [choose(GIVEN)[0].sampled for _ in range(4)] == [True, True, False, False]
    now.s = 0.5
    assert [choose(GIVEN)[0].sampled for _ in range(2)] == [True, False]
    now.s = 100.0
    assert [choose(GIVEN)[0].sampled for _ in range(3)] == [True, True, False]
    assert not chooser(callers_per_s=0.0).choose(GIVEN)[0].sampled
    assert chooser(ratio=1.0, callers_per_s=0.0).choose(GIVEN)[0].sampled, "one of our own part"


# --- a job's events -------------------------------------------------------------------------------

JOB = Followed(TraceContext(TRACE, SPAN), 77, "w1", "wuhan", 1_000, attempts=2)
RUN = RunFacts(1_000, "ai", "ai/npu", 2, 1, "RUNNING", "n-1", "", 2_000, 3_000, 4_000, 5_000)


def told(
    kind: EventKind, at_ms: int, run: RunFacts | None = RUN, state: str = "RUNNING", **links: Any
) -> list[SpanRecord]:
    return list(spans_of(News(JOB, kind, 2 if run else 0, at_ms, state, run), links))


def times(span: SpanRecord) -> tuple[str, int, int]:
    return span.name, span.start_ns // 1_000_000, span.end_ns // 1_000_000


def test_events_are_spans_of_what_is_over_with_them() -> None:
    spans = [
        *told(EventKind.ADMITTED, 2_000),
        *told(EventKind.RUN_SUBMITTED, 2_001),
        *told(EventKind.RUN_ACCEPTED, 3_000),
        *told(EventKind.RUN_STARTED, 4_000),
        *told(EventKind.RUN_ENDED, 5_000),
        *told(EventKind.SETTLED, 6_000),
        *told(EventKind.SUCCEEDED, 5_000, None, "SUCCEEDED"),
    ]
    assert [times(span) for span in spans] == [
        ("queue", 1_000, 2_000), ("dispatch", 2_000, 3_000), ("center.queue", 3_000, 4_000),
        ("execute", 4_000, 5_000), ("run", 2_000, 5_000), ("settle", 5_000, 6_000),
        ("job", 1_000, 5_000),
    ]  # fmt: skip
    for span in spans:
        assert set(span.attributes) <= set(SPANS[span.name])
    again = [*told(EventKind.ADMITTED, 2_000), *told(EventKind.RUN_ACCEPTED, 3_000)]
    assert [span.context for span in again] == [span.context for span in spans[:2]]
    assert len({span.context.span_id for span in spans}) == len(spans)


def test_what_a_center_dates_back_ends_no_earlier_than_it_began() -> None:
    [span] = told(EventKind.RUN_ACCEPTED, 1_500)
    assert times(span) == ("dispatch", 2_000, 2_000)


def test_ends_that_are_bad_are_errors() -> None:
    lost = RUN._replace(state="LOST", failure="LOST", start_ms=None)
    [run] = told(EventKind.RUN_ENDED, 5_000, lost)
    assert (run.name, run.error, run.attributes["corridor.failure"]) == ("run", "LOST", "LOST")
    [job] = told(EventKind.EXPIRED, 5_000, None, "EXPIRED")
    assert job.error
    [cancelled] = told(EventKind.CANCELLED, 5_000, None, "CANCELLED")
    assert not cancelled.error


def test_what_happens_in_an_instant_is_a_span_without_length() -> None:
    for kind in (EventKind.RUN_UNKNOWN, EventKind.REQUEUED, EventKind.HELD):
        [span] = told(kind, 4_500)
        assert times(span) == ("event", 4_500, 4_500)
        assert span.attributes["corridor.event"] == kind
        assert span.parent_id == job_span(JOB.submitted, JOB.uid).span_id


def test_batches_are_linked_where_they_are_known() -> None:
    plan, admit = TraceContext("1" * 32, "2" * 16), TraceContext("1" * 32, "3" * 16)
    [queue] = told(EventKind.ADMITTED, 2_000, plan=plan, admit=admit)
    assert queue.links == (plan, admit)
    [queue] = told(EventKind.ADMITTED, 2_000)
    assert queue.links == ()
