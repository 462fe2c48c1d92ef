"""ReadJobLogs over a real server."""

from typing import Any

import grpc
import pytest
from corridor.v1 import job_service_pb2 as pb

from adapters.errors import OutcomeUnknown, Rejected, Throttled, Unauthorized, Unavailable

EZHOU = "sample-ezhou-1"


async def read(corridor: Any, job_id: str, **more: Any) -> pb.ReadJobLogsResponse:
    answer: pb.ReadJobLogsResponse = await corridor.jobs.ReadJobLogs(
        pb.ReadJobLogsRequest(job_id=job_id, **more), metadata=corridor.member(EZHOU)
    )
    return answer


async def test_a_log_is_read_piece_by_piece(corridor: Any, hands: Any, centers: Any) -> None:
    (job_id,) = await hands.submit(EZHOU)
    await hands.run(job_id)
    centers.log = "第一行\nsecond line\n".encode()
    whole, offset = b"", 0
    while True:
        piece = await read(corridor, job_id, offset=offset, limit_bytes=7)
        whole, offset = whole + piece.data, piece.next_offset
        if piece.end:
            break
    assert whole == centers.log
    center, run, *window = centers.asked[0]
    assert (center, run.run_id, window) == ("wuhan-ai", f"{job_id}.1", [0, 7])
    assert run.native_id
    assert run.submit_ms
    for asked, limit in ((0, 65_536), (1_048_577, 1_048_576)):
        await read(corridor, job_id, limit_bytes=asked)
        assert centers.asked[-1][3] == limit


async def test_the_last_attempt_or_the_one_that_is_named(
    corridor: Any, hands: Any, centers: Any, refusal: Any
) -> None:
    (job_id,) = await hands.submit(EZHOU)
    await hands.run(job_id)
    await hands.fail(job_id)
    await hands.run(job_id)
    for attempt, asked in ((0, 2), (1, 1), (2, 2)):
        await read(corridor, job_id, attempt=attempt)
        assert centers.asked[-1][1].run_id == f"{job_id}.{asked}"
    found = await refusal(read(corridor, job_id, attempt=3))
    assert found.code == grpc.StatusCode.NOT_FOUND


async def test_a_job_that_was_nowhere_has_no_log(corridor: Any, hands: Any, refusal: Any) -> None:
    (job_id,) = await hands.submit(EZHOU)
    found = await refusal(read(corridor, job_id))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_RUN")


@pytest.mark.parametrize("field", ["attempt", "offset", "limit_bytes"])
async def test_numbers_are_not_negative(corridor: Any, refusal: Any, field: str) -> None:
    found = await refusal(read(corridor, "j0000000000001", **{field: -1}))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))


async def test_a_center_that_does_not_give_it(
    corridor: Any, hands: Any, centers: Any, refusal: Any
) -> None:
    (job_id,) = await hands.submit(EZHOU)
    await hands.run(job_id)
    for error, code in (
        (Unavailable("down"), grpc.StatusCode.UNAVAILABLE),
        (Throttled("slowly", 7.0), grpc.StatusCode.UNAVAILABLE),
        (OutcomeUnknown("lost"), grpc.StatusCode.UNAVAILABLE),
        (Unauthorized("who?"), grpc.StatusCode.UNAVAILABLE),
        (Rejected("never heard of it", "UNKNOWN_RUN"), grpc.StatusCode.NOT_FOUND),
    ):
        centers.error = error
        found = await refusal(read(corridor, job_id))
        assert found.code == code
        assert "wuhan-ai" in found.message
