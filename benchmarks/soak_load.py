"""The load of the soak: what people do, at a rate that is kept, for as long as it is told.

``python -m benchmarks.soak_load ORDER`` (JSON: address, token, jobs_per_s, seconds, every_s). Calls
go to both replicas in turn, as members of enterprises and an operator. It says a line of JSON
(``window``) about each ``every_s`` on its standard error, then ``sent``.
"""

import asyncio
import itertools
import json
import random
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final

import grpc
import uvloop
from corridor.v1 import identity_service_pb2 as identity_pb
from corridor.v1 import job_pb2, wallet_pb2
from corridor.v1 import job_service_pb2 as pb
from corridor.v1 import quota_service_pb2 as quota_pb

from benchmarks import workload
from benchmarks.load import percentile, spec
from scheduler.client import AsyncClient

_LATE_S: Final = 60.0
#: Who is at it: so many members of enterprises.
_PEOPLE: Final = 40
#: Sizes of submissions, in jobs, as often as they stand here.
_CALLS: Final = (1, 1, 1, 1, 5, 20, 50)
#: Of so many submissions one is cancelled, one is held and released.
_CANCELLED: Final = 25
_HELD: Final = 40
_RUNTIMES_S: Final = (0.5, 1.0, 2.0, 4.0)
Metadata = tuple[tuple[str, str], ...]


@dataclass
class Tally:
    """What happened since the last window, and all in all."""

    took_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    submitted: int = 0
    events: int = 0

    async def timed(self, what: str, call: Awaitable[Any]) -> Any:
        """Await a call; its time, or how it was refused, is counted."""
        began_s = perf_counter()
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            self.refused[f"{what}: {error.code().name}"] += 1
            return None
        self.took_ms[what].append((perf_counter() - began_s) * 1000)
        return answer

    def window(self) -> dict[str, Any]:
        """Return what happened since the last time."""
        told: dict[str, Any] = {"submitted": self.submitted, "events": self.events}
        for what, took in sorted(self.took_ms.items()):
            told[what] = [len(took), percentile(took, 0.5), percentile(took, 0.99)]
        told["refused"] = dict(self.refused)
        self.took_ms.clear()
        return told


class People:
    """Those who call; each shows a token of its own, but for who watches all."""

    def __init__(self, client: AsyncClient, operators: AsyncClient) -> None:
        self.client, self._operators, self.tally = client, operators, Tally()
        self.rng = random.Random(1)
        self.members: list[tuple[str, Metadata]] = []
        self.operator: Metadata = ()
        self.recent: list[tuple[Metadata, str, str]] = []

    async def enroll(self, operator: str) -> None:
        """Make the tokens of members."""
        self.operator = _shown(operator)
        for name, _ in self.rng.sample(workload.members(), _PEOPLE):
            token = identity_pb.Token(
                subject=f"{name}-user", role=identity_pb.ROLE_ENTERPRISE_MEMBER, enterprise=name
            )
            token.expire_time.FromSeconds(int(time.time()) + 86_400)
            made = await self.client.identity.CreateToken(
                identity_pb.CreateTokenRequest(token=token), metadata=self.operator
            )
            self.members.append((name, _shown(made.secret)))

    async def submit(self, jobs: list[job_pb2.JobSpec], number: int) -> None:
        """Submit some jobs; some are cancelled or held, as people do."""
        name, own = self.members[number % len(self.members)]
        request = pb.SubmitJobsRequest(request_id=str(uuid.uuid4()), enterprise=name, jobs=jobs)
        answer = await self.tally.timed(
            "submit", self.client.jobs.SubmitJobs(request, metadata=own)
        )
        if answer is None:
            return
        ids = [result.job_id for result in answer.results if result.job_id]
        self.tally.submitted += len(ids)
        self.recent = [*self.recent[-99:], (own, name, ids[0])]
        chosen = pb.JobSelection(job_ids=ids)
        if number % _CANCELLED == 0:
            cancel = pb.CancelJobsRequest(selection=chosen, reason="a mistake")
            await self.tally.timed("cancel", self.client.jobs.CancelJobs(cancel, metadata=own))
        if number % _HELD == 0:
            hold = pb.HoldJobsRequest(selection=chosen, reason="not yet")
            await self.tally.timed("hold", self.client.jobs.HoldJobs(hold, metadata=own))
            release = pb.ReleaseJobsRequest(selection=chosen, reason="now")
            await self.tally.timed("release", self.client.jobs.ReleaseJobs(release, metadata=own))

    async def look(self, number: int) -> None:
        """Look at something, as screens and scripts do."""
        jobs, rng = self.client.jobs, self.rng
        if not self.recent:
            return
        own, name, job = rng.choice(self.recent)
        looks: tuple[tuple[str, Callable[[], Awaitable[Any]]], ...] = (
            ("get", lambda: jobs.GetJob(pb.GetJobRequest(job_id=job), metadata=own)),
            ("explain", lambda: jobs.ExplainJob(pb.ExplainJobRequest(job_id=job), metadata=own)),
            ("list", lambda: jobs.ListJobs(
                pb.ListJobsRequest(filter=pb.JobFilter(enterprise=name), page_size=100),
                metadata=own,
            )),
            ("quote", lambda: jobs.QuoteJobs(
                pb.QuoteJobsRequest(enterprise=name, jobs=[spec(number)]), metadata=own
            )),
            ("usage", lambda: self.client.quotas.ListUsage(
                quota_pb.ListUsageRequest(), metadata=self.operator
            )),
            ("wallets", lambda: self.client.subsidies.ListWallets(
                wallet_pb2.ListWalletsRequest(), metadata=own
            )),
            ("list all", lambda: jobs.ListJobs(
                pb.ListJobsRequest(page_size=100), metadata=self.operator
            )),
        )  # fmt: skip
        what, call = looks[number % len(looks)]
        await self.tally.timed(what, call())

    async def watch_all(self, begun: asyncio.Event) -> None:
        """Count all events, for ever."""
        async for answer in self._operators.watch(pb.WatchJobsRequest()):
            begun.set()
            self.tally.events += len(answer.events)

    async def watch_own(self, number: int) -> None:
        """Watch one enterprise for a while, leave, and come back where one was; for ever."""
        name, own = self.members[number]
        token = ""
        while True:
            request = pb.WatchJobsRequest(enterprise=name, resume_token=token)
            stream = self.client.jobs.WatchJobs(request, metadata=own)
            began_s = perf_counter()
            patience_s = self.rng.uniform(5.0, 30.0)
            try:
                async for answer in stream:
                    token = answer.resume_token
                    if perf_counter() - began_s > patience_s:
                        break
            except grpc.aio.AioRpcError as error:
                self.tally.refused[f"watch: {error.code().name}"] += 1
                token = ""
                await asyncio.sleep(1.0)
            finally:
                stream.cancel()


def _shown(secret: str) -> Metadata:
    return (("authorization", f"Bearer {secret}"),)


async def _steadily(
    per_s: float, until_s: float, do: Callable[[int], tuple[int, Awaitable[None]]]
) -> None:
    """Do something again and again at a rate; each tells how many it is of.

    What takes long delays nothing that comes after it, as people do not wait for each other.
    """
    due_s = perf_counter()
    under_way: set[asyncio.Future[None]] = set()
    for number in itertools.count():
        await asyncio.sleep(min(due_s, until_s) - perf_counter())
        if perf_counter() >= until_s:
            break
        count, doing = do(number)
        work = asyncio.ensure_future(doing)
        under_way.add(work)
        work.add_done_callback(under_way.discard)
        due_s += count / per_s
    await asyncio.gather(*under_way)


async def soak(
    people: People, token: str, *, jobs_per_s: float, seconds: float, every_s: float
) -> None:
    """Put the load on; see the module."""
    tally = people.tally
    await people.enroll(token)
    begun = asyncio.Event()
    watching = [asyncio.create_task(people.watch_all(begun))]
    await begun.wait()
    watching += [asyncio.create_task(people.watch_own(one)) for one in range(_PEOPLE // 2)]
    began_s = perf_counter()
    until_s = began_s + seconds

    def submission(number: int) -> tuple[int, Awaitable[None]]:
        count = _CALLS[number % len(_CALLS)]
        first = number * max(_CALLS)
        jobs = [
            spec(first + one, _RUNTIMES_S[(first + one) % len(_RUNTIMES_S)]) for one in range(count)
        ]
        return count, people.submit(jobs, number)

    def glance(number: int) -> tuple[int, Awaitable[None]]:
        return 1, people.look(number)

    telling = asyncio.create_task(_tell(tally, began_s, every_s))
    await asyncio.gather(
        _steadily(jobs_per_s, until_s, submission), _steadily(10.0, until_s, glance)
    )
    telling.cancel()
    for one in watching:
        one.cancel()
    _say("sent", **tally.window())


async def _tell(tally: Tally, began_s: float, every_s: float) -> None:
    for number in itertools.count(1):
        await asyncio.sleep(began_s + number * every_s - perf_counter())
        _say("window", at_s=perf_counter() - began_s, **tally.window())


def _say(event: str, **told: Any) -> None:
    print(json.dumps({"event": event, **told}), file=sys.stderr, flush=True)


async def _main(order: Mapping[str, Any]) -> None:
    given = dict(order)
    address, token = given.pop("address"), given.pop("token")
    async with (
        AsyncClient(address, None, timeout_s=_LATE_S) as client,
        AsyncClient(address, token, timeout_s=_LATE_S) as operators,
    ):
        await soak(People(client, operators), token, **given)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(json.loads(sys.argv[1])))
