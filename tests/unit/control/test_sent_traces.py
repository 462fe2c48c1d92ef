"""A run of a followed job is sent with its trace, for the log of who calls its center."""

from typing import Any

from adapters.contract import Accepted, RunRequest
from scheduler.domain.traces import TraceContext

TRACE = TraceContext("a" * 32, "b" * 16)


async def test_a_run_of_a_followed_job_is_sent_with_its_trace(bench: Any) -> None:
    followed, other = bench.track(1), bench.track(2)
    followed.trace = TRACE
    submit, sent = bench.center.submit, dict[str, RunRequest]()

    async def noted(request: RunRequest) -> Accepted:
        sent[request.run_id] = request
        accepted: Accepted = await submit(request)
        return accepted

    bench.center.submit = noted
    await bench.worker.send_once()
    assert sent[followed.run_id].said["trace_id"] == TRACE.trace_id
    assert "trace_id" not in sent[other.run_id].said
