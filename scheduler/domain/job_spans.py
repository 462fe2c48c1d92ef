"""What the event feed says of a job that is followed, told as spans of its trace; pure.

The feed is what is durable of a job's way, so spans are made of it: whoever leads tells what came
since it was last told, also of what began under another process. Instants are those of events, in
scheduling time. ``SPANS`` lists all, also those of calls and of batches that others tell.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from scheduler.domain.events import EventKind
from scheduler.domain.ids import job_id, run_id
from scheduler.domain.states import JOB_TERMINAL, JobState, RunState
from scheduler.domain.traces import Attribute, SpanRecord, TraceContext, span_id_of

#: Each span that there is, and its attributes; an API call is named after its method.
SPANS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "corridor.v1.*": (
            "rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code", "corridor.role",
            "corridor.enterprise", "corridor.city", "corridor.center", "corridor.jobs",
            "corridor.jobs_followed", "corridor.replayed",
        ),
        "job": (
            "corridor.job", "corridor.enterprise", "corridor.city", "corridor.state",
            "corridor.attempts", "corridor.array", "corridor.index",
        ),
        "queue": ("corridor.job", "corridor.run"),
        "run": (
            "corridor.job", "corridor.run", "corridor.center", "corridor.flavor",
            "corridor.units", "corridor.nodes", "corridor.native_id", "corridor.state",
            "corridor.failure",
        ),
        "dispatch": ("corridor.job", "corridor.run", "corridor.center", "corridor.native_id"),
        "center.submit": (
            "corridor.job", "corridor.run", "corridor.center", "corridor.outcome",
        ),
        "center.queue": ("corridor.job", "corridor.run", "corridor.center"),
        "execute": ("corridor.job", "corridor.run", "corridor.center"),
        "settle": ("corridor.job", "corridor.run", "corridor.center"),
        "event": ("corridor.job", "corridor.run", "corridor.event"),
        "plan": ("corridor.backend", "corridor.looked_at", "corridor.starts"),
        "admit": ("corridor.admitted", "corridor.refused"),
        "ingest": ("corridor.reports",),
    }
)  # fmt: skip

#: What happens at an instant on the way: a span without length, named ``event``.
_MOMENTS: Final = frozenset(
    {
        EventKind.HELD, EventKind.RELEASED, EventKind.READY, EventKind.CANCEL_REQUESTED,
        EventKind.RUN_UNKNOWN, EventKind.RUN_FORGOTTEN, EventKind.RUN_RESOLVED,
        EventKind.HOLD_ALARM, EventKind.EVICTION_ORDERED, EventKind.EVICTION_NOTICED,
        EventKind.REQUEUED, EventKind.EMERGENCY_GRANTED, EventKind.EMERGENCY_REVOKED,
        EventKind.CORRECTED,
    }
)  # fmt: skip
_JOB_ENDS: Final = frozenset(map(str, JOB_TERMINAL))
_BAD_ENDS: Final = frozenset({JobState.FAILED, JobState.EXPIRED, JobState.REJECTED})
_BAD_RUNS: Final = frozenset({RunState.FAILED, RunState.LOST})


class Followed(NamedTuple):
    """A job that is followed: the span of its submission, and what its spans say of it.

    ``over`` says that nothing more is to come: it ended, and all its runs are settled.
    """

    submitted: TraceContext
    uid: int
    enterprise: str
    city: str
    submit_ms: int
    attempts: int = 0
    array_uid: int | None = None
    array_index: int | None = None
    over: bool = False

    @property
    def span_id(self) -> str:
        """The id of the job's own span."""
        return job_span(self.submitted, self.uid).span_id


class RunFacts(NamedTuple):
    """What is stored of a run; instants are epoch milliseconds. ``queued_ms`` is since when its
    job waited for it."""

    queued_ms: int
    center: str
    flavor: str
    units: int
    nodes: int
    state: str
    native_id: str
    failure: str
    admit_ms: int
    accept_ms: int | None
    start_ms: int | None
    end_ms: int | None


class News(NamedTuple):
    """An event of a job that is followed, with its run if it is about one."""

    job: Followed
    kind: str
    attempt: int
    at_ms: int
    state: str
    run: RunFacts | None


def job_span(submitted: TraceContext, uid: int) -> TraceContext:
    """Return the span of a job as a whole."""
    return submitted._replace(span_id=span_id_of(submitted.trace_id, "job", uid))


def run_span(submitted: TraceContext, uid: int, attempt: int, name: str = "run") -> TraceContext:
    """Return the span of one run, or of one part of it."""
    return submitted._replace(span_id=span_id_of(submitted.trace_id, name, uid, attempt))


def spans_of(news: News, links: Mapping[str, TraceContext]) -> Iterator[SpanRecord]:
    """Yield the spans that are over with an event.

    ``links`` has, by their names, the batches in which it came about, as far as they are known.
    """
    kind, run = news.kind, news.run
    if kind in _JOB_ENDS and news.state == kind:
        yield _job(news)
    elif kind in _MOMENTS:
        yield _moment(news)
    elif run is None:
        return
    elif kind == EventKind.ADMITTED:
        linked = tuple(links[name] for name in ("plan", "admit") if name in links)
        yield _part(news, "queue", run.queued_ms, news.at_ms, {}, linked, of_job=True)
    elif kind == EventKind.RUN_ACCEPTED:
        told = {"corridor.center": run.center, "corridor.native_id": run.native_id}
        yield _part(news, "dispatch", run.admit_ms, news.at_ms, told)
    elif kind == EventKind.RUN_STARTED:
        since_ms = run.admit_ms if run.accept_ms is None else run.accept_ms
        yield _part(news, "center.queue", since_ms, news.at_ms, {"corridor.center": run.center})
    elif kind == EventKind.RUN_ENDED:
        if run.start_ms is not None:
            told = {"corridor.center": run.center}
            yield _part(news, "execute", run.start_ms, news.at_ms, told)
        yield _run(news, run)
    elif kind == EventKind.SETTLED:
        since_ms = news.at_ms if run.end_ms is None else run.end_ms
        linked = tuple(links[name] for name in ("ingest",) if name in links)
        told = {"corridor.center": run.center}
        yield _part(news, "settle", since_ms, news.at_ms, told, linked)


def _job(news: News) -> SpanRecord:
    job = news.job
    told: dict[str, Attribute] = {
        "corridor.job": job_id(job.uid), "corridor.enterprise": job.enterprise,
        "corridor.city": job.city, "corridor.state": news.state, "corridor.attempts": job.attempts,
    }  # fmt: skip
    if job.array_uid is not None and job.array_index is not None:
        told["corridor.array"] = job_id(job.array_uid)
        told["corridor.index"] = job.array_index
    error = f"the job is {news.state}" if news.state in _BAD_ENDS else ""
    return SpanRecord(
        "job", job_span(job.submitted, job.uid), job.submitted.span_id,
        *_ns(job.submit_ms, news.at_ms), told, error=error,
    )  # fmt: skip


def _run(news: News, run: RunFacts) -> SpanRecord:
    told: dict[str, Attribute] = {
        **_ids(news), "corridor.center": run.center, "corridor.flavor": run.flavor,
        "corridor.units": run.units, "corridor.nodes": run.nodes,
        "corridor.native_id": run.native_id, "corridor.state": run.state,
    }  # fmt: skip
    if run.failure:
        told["corridor.failure"] = run.failure
    job = news.job
    return SpanRecord(
        "run", run_span(job.submitted, job.uid, news.attempt), job.span_id,
        *_ns(run.admit_ms, news.at_ms), told,
        error=run.failure or run.state if run.state in _BAD_RUNS else "",
    )  # fmt: skip


def _part(
    news: News,
    name: str,
    since_ms: int,
    until_ms: int,
    told: Mapping[str, Attribute],
    links: tuple[TraceContext, ...] = (),
    *,
    of_job: bool = False,
) -> SpanRecord:
    """Return one part of a run; the wait before it is a part of its job."""
    job = news.job
    parent = job.span_id if of_job else run_span(job.submitted, job.uid, news.attempt).span_id
    return SpanRecord(
        name, run_span(job.submitted, job.uid, news.attempt, name), parent,
        *_ns(since_ms, until_ms), {**_ids(news), **told}, links,
    )  # fmt: skip


def _moment(news: News) -> SpanRecord:
    job = news.job
    name = f"{news.kind} {news.at_ms}"
    context = run_span(job.submitted, job.uid, news.attempt, name)
    told = {**_ids(news), "corridor.event": news.kind}
    return SpanRecord("event", context, job.span_id, *_ns(news.at_ms, news.at_ms), told)


def _ids(news: News) -> dict[str, Attribute]:
    uid = news.job.uid
    ids: dict[str, Attribute] = {"corridor.job": job_id(uid)}
    if news.attempt:
        ids["corridor.run"] = run_id(uid, news.attempt)
    return ids


def _ns(since_ms: int, until_ms: int) -> tuple[int, int]:
    """A center's clock may be behind ours: nothing ends before it began."""
    return since_ms * 1_000_000, max(since_ms, until_ms) * 1_000_000
