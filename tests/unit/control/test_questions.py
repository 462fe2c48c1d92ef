"""Who asks the planner about jobs does not hold up plans."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from scheduler.control.questions import KEPT_S, PART, Questions


class Planner:
    """Takes ``each_s`` for an answer, on a clock of its own."""

    def __init__(self, each_s: float) -> None:
        self.now_s, self.each_s, self.busy_s, self.asked = 100.0, each_s, 0.0, 0
        self.questions = Questions(lambda: self.now_s, self._sleep)
        self.at_once = self.at_once_most = 0

    async def _sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds

    def answers(self, number: int) -> Callable[[], Awaitable[int]]:
        async def answer() -> int:
            self.at_once += 1
            self.at_once_most = max(self.at_once_most, self.at_once)
            await asyncio.sleep(0)
            self.now_s += self.each_s
            self.busy_s += self.each_s
            self.asked += 1
            self.at_once -= 1
            return number

        return answer


async def test_each_gets_its_answer_and_one_is_asked_at_a_time() -> None:
    planner = Planner(0.01)
    answers = await asyncio.gather(*(planner.questions.ask(planner.answers(n)) for n in range(20)))
    assert answers == list(range(20))
    assert planner.at_once_most == 1


@pytest.mark.parametrize("each_s", [0.005, 0.05, 0.7])
async def test_many_questions_leave_the_planner_a_part_of_its_time(each_s: float) -> None:
    planner, began_s = Planner(each_s), 100.0
    while planner.now_s < began_s + 60:
        await planner.questions.ask(planner.answers(0))
    spent_s = planner.now_s - began_s
    assert planner.busy_s <= KEPT_S + PART * spent_s + each_s
    assert planner.busy_s >= PART * spent_s - each_s, "and get theirs"


async def test_who_asks_now_and_then_never_waits() -> None:
    planner = Planner(0.4)
    for _ in range(50):
        before_s = planner.now_s
        await planner.questions.ask(planner.answers(0))
        assert planner.now_s == pytest.approx(before_s + 0.4)
        planner.now_s += 1.0


async def test_a_question_that_fails_or_is_given_up_takes_its_time_and_lets_the_next_ask() -> None:
    planner = Planner(0.0)

    async def fails() -> int:
        planner.now_s += 6.0
        raise LookupError("away")

    with pytest.raises(LookupError):
        await planner.questions.ask(fails)
    waits = asyncio.create_task(planner.questions.ask(lambda: asyncio.Event().wait()))
    await asyncio.sleep(0)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert await planner.questions.ask(planner.answers(7)) == 7
    assert planner.now_s == pytest.approx(106.0 + (6.0 * (1 - PART) - KEPT_S) / PART)
