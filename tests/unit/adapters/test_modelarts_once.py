"""One job for a run: any faults at any calls, any number of tries, any processes that try."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Accepted
from adapters.errors import AdapterError, OutcomeUnknown, Throttled, Unavailable
from adapters.wire import Answer, AnswerLost, NotSent
from tests.unit.adapters.modelarts_fake import FakeCenter, answer, make_request, open_fake

#: What may happen to a call; those after the bar happen once it was done.
BEFORE = ("lost", "not sent", "throttled", "502", "html")
AFTER = ("lost after", "502 after", "cut after", "odd after")
FAULTS = st.sampled_from((*BEFORE, *AFTER, "blind", "", "", ""))


@pytest.fixture(autouse=True, scope="module")
def _secrets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MA_TEST_AK", "AK1")
        patch.setenv("MA_TEST_SK", "SK1")
        yield


class Faulty(FakeCenter):
    """Meets a fault at each call; ``unique`` says whether names are its fence."""

    def __init__(self, faults: list[str], unique: bool) -> None:
        super().__init__()
        self.faults, self.unique = faults, unique
        self.wire._respond = self.meet

    def meet(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        fault = self.faults.pop(0) if self.faults else ""
        match fault:
            case "lost":
                raise AnswerLost("lost")
            case "not sent":
                raise NotSent("not sent")
            case "throttled":
                return answer(429, {"error_code": "APIGW.0308", "error_msg": "wait"})
            case "502":
                return answer(502, {"error_code": "APIGW.0202", "error_msg": "away"})
            case "html":
                return Answer(400, {}, b"<html>proxy</html>")
            case "blind" if path == "training-job-searches" and self.unique:
                return answer(200, {"count": 0, "items": []})  # not shown yet
        done = self._do(method, path, query, body)
        match fault:
            case "lost after":
                raise AnswerLost("lost")
            case "502 after":
                return answer(502, {"error_code": "APIGW.0202", "error_msg": "away"})
            case "cut after":
                return Answer(done.status, {}, done.body[: len(done.body) // 2])
            case "odd after":
                return answer(done.status, {"metadata": {"id": "", "create_time": ""}})
        return done

    def _do(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "training-jobs" and self.unique and self.jobs:
            return answer(400, {"error_code": "X.77", "error_msg": "undocumented"})
        return self.respond(method, path, query, body)


@given(
    faults=st.lists(FAULTS, max_size=14),
    unique=st.booleans(),
    crashes=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_one_job_whatever_happens(faults: list[str], unique: bool, crashes: list[bool]) -> None:
    asyncio.run(_try_again_and_again(Faulty(faults, unique), crashes))


async def _try_again_and_again(center: Faulty, crashes: list[bool]) -> None:
    adapter, fresh = open_fake(center), True
    answers: set[Accepted] = set()
    for crash in crashes:
        if crash:
            adapter, fresh = open_fake(center), False
        before = len(center.jobs)
        try:
            answers.add(await adapter.submit(make_request(fresh=fresh)))
        except OutcomeUnknown:
            pass
        except (Unavailable, Throttled):
            assert len(center.jobs) == before, "said to have had no effect"
        except AdapterError as error:
            raise AssertionError(f"a run that can run was given up: {error}") from error
        assert len(center.jobs) <= 1
        assert not answers or {one.native_id for one in answers} == set(center.jobs)
    center.faults.clear()
    last = await open_fake(center).submit(replace(make_request(), fresh=False))
    assert set(center.jobs) == {last.native_id}
    assert answers <= {last}
