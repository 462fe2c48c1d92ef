"""A report that meets an operator's word on its run is read again, and bars no other."""

import asyncio
from collections.abc import Sequence

from scheduler.control.inbox import Inbox
from scheduler.domain.reports import Report, silent
from scheduler.store.settlements import Moved


async def test_a_report_beside_an_operators_word_is_taken_anew() -> None:
    taken: list[int] = []
    failures: list[int] = []
    moves = [Moved("it is resolved by now")]

    async def ingest(reports: Sequence[Report]) -> None:
        if moves:
            raise moves.pop()
        taken.extend(report.uid for report in reports)

    inbox = Inbox(ingest, lambda: failures.append(1), 10)
    serving = asyncio.create_task(inbox.serve_forever())
    await inbox.report([silent(1, 1, "?"), silent(2, 1, "?")])
    assert (taken, failures) == ([1, 2], [])
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
