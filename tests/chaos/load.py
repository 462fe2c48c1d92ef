"""A steady load: clients that submit, repeat, cancel, read and watch, each in a thread of its own.

Each goes on through every fault as a caller would: what was not answered is asked again under the
same request id. Any other answer than the right one, or than that a service is away, is noted.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import grpc
from corridor.v1 import identity_service_pb2 as identity_pb
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.client import Client
from tests.chaos.notes import Feed, Notes, Told
from tests.chaos.site import CARDS, CORES, NPUS, Site

#: Cities that submit all the time; PROBING has nothing but probes, so is below its guarantee.
CITIES: Final = ("wuhan", "ezhou", "huangshi")
PROBING: Final = "xianning"
_CALL_S: Final = 5.0
_PAUSE_S: Final = 0.2
_AWAY: Final = (
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED,
)  # fmt: skip
_HIDDEN: Final = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED)
_LINE: Final = "$SLURM_JOB_ID $SLURM_JOB_NAME ${SLURM_RESTART_COUNT:-0} $(date +%s%3N)"


def enterprise_of(city: str) -> str:
    """Who submits for a city."""
    return f"sample-{city}-1"


def _list(client: Client) -> pb.ListJobsResponse:
    return client.jobs.ListJobs(pb.ListJobsRequest(page_size=50))


class Load:
    """See the module. ``jobs_per_s`` is what all clients submit in sum, about."""

    def __init__(self, site: Site, seed: int, jobs_per_s: float) -> None:
        self._site, self._seed = site, seed
        self._pause_s = 2.0 * len(CITIES) / jobs_per_s
        self.notes = Notes()
        self._going = threading.Event()
        self._over = threading.Event()
        self._watchers: list[threading.Thread] = []
        self._callers: list[threading.Thread] = []
        self._watching: list[Any] = []
        self.tokens: dict[str, str] = {}

    # --- life -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to call."""
        for city in (*CITIES, PROBING):
            self.tokens[city] = self._site.make_token(
                f"member-{city}", identity_pb.ROLE_ENTERPRISE_ADMIN,
                enterprise=enterprise_of(city),
            )  # fmt: skip
        self._going.set()
        for city in ("", *CITIES[:2]):
            feed = Feed(f"watcher of {city or 'all'}", city)
            self._start(self._watchers, self._watch, feed)
        for city in CITIES:
            self._start(self._callers, self._submit_forever, city)
            self._start(self._callers, self._read_forever, city)
        self._start(self._callers, self._cancel_forever)

    def _start(
        self, among: list[threading.Thread], body: Callable[..., None], *arguments: Any
    ) -> None:
        def run() -> None:
            try:
                body(*arguments)
            except Exception as error:
                self.notes.err(f"{body.__name__}{arguments}: {error!r}")

        thread = threading.Thread(target=run, daemon=True)
        among.append(thread)
        thread.start()

    def pause(self) -> None:
        """Submit and cancel nothing more; returns once nothing is under way."""
        self._going.clear()
        for thread in self._callers:
            thread.join()

    def close(self) -> None:
        """End all, watchers too."""
        self._going.clear()
        self._over.set()
        for client in self._watching:
            client.close()
        for thread in (*self._callers, *self._watchers):
            thread.join()

    # --- what clients do --------------------------------------------------------------------------

    def until_answered(self, city: str, what: Callable[[Any], Any], always: bool = True) -> Any:
        """Call as often as it takes; each try is at all services, as the client chooses.

        None if the load ends before: at once, or where it is ``always`` to be answered when all
        is given up.
        """
        with self._site.client(self.tokens[city], timeout_s=_CALL_S) as client:
            while self._going.is_set() or (always and not self._over.is_set()):
                try:
                    return what(client)
                except grpc.RpcError as error:
                    if error.code() not in _AWAY:
                        raise
                    time.sleep(_PAUSE_S)
        return None

    def _submit_forever(self, city: str) -> None:
        rng = random.Random(f"{self._seed} {city}")
        number = 0
        while self._going.is_set():
            number += 1
            name = f"{city}-{number}"
            jobs = [self._job(rng, f"{name}-{at}") for at in range(rng.randint(1, 3))]
            self.submit(name, city, jobs)
            if rng.random() < 0.2:
                self.submit(name, city, jobs)
                self.notes.repeated += 1
            if rng.random() < 0.05:
                self._submit_otherwise(name, city, jobs)
            time.sleep(rng.expovariate(1 / self._pause_s))

    def submit(self, name: str, city: str, jobs: list[job_pb2.JobSpec]) -> tuple[str, ...]:
        """Submit until that is acknowledged; returns the jobs."""
        request = pb.SubmitJobsRequest(request_id=name, enterprise=enterprise_of(city), jobs=jobs)
        self.notes.sent.add(name)
        began_s = time.monotonic()
        answer = self.until_answered(city, lambda client: client.jobs.SubmitJobs(request))
        if answer is None:
            return ()
        ids = tuple(result.job_id for result in answer.results)
        if not all(ids):
            self.notes.err(f"{name} was refused in part: {answer.results}")
        self.notes.take(name, city, ids, began_s)
        return ids

    def _submit_otherwise(self, name: str, city: str, jobs: list[job_pb2.JobSpec]) -> None:
        """The same key with something else must be refused."""
        other = pb.SubmitJobsRequest(
            request_id=name, enterprise=enterprise_of(city), jobs=[*jobs, jobs[0]]
        )
        try:
            answer = self.until_answered(city, lambda client: client.jobs.SubmitJobs(other))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                raise
        else:
            if answer is not None:
                self.notes.err(f"{name} was taken again with other jobs")

    def _job(self, rng: random.Random, name: str) -> job_pb2.JobSpec:
        flavor = rng.choices((NPUS, CORES, CARDS), (6, 3, 1))[0]
        units = rng.choice((1, 1, 2, 8)) if flavor == CARDS else rng.randint(1, 2)
        return self.job(name, flavor, units, rng.randrange(4))

    def job(self, name: str, flavor: str, units: int, runs_s: int) -> job_pb2.JobSpec:
        """A job that runs so many seconds."""
        spec = job_pb2.JobSpec(display_name=name)
        spec.options.add(flavor=flavor, units_per_node=units)
        spec.wall_limit.seconds = 120 if flavor == CARDS else 1800
        spec.retry_policy.attempts_max = 20
        if flavor == NPUS:
            spec.image, spec.command[:] = "image", ["run"]
            spec.labels["corridor.simulated/runtime-s"] = str(1 + runs_s)
        else:
            told = f"{name} {_LINE} >>{self._site.lines}"
            spec.script = f"#!/bin/sh\necho begins {told}\nsleep {runs_s}\necho ends {told}\n"
        return spec

    def _cancel_forever(self) -> None:
        rng = random.Random(f"{self._seed} cancel")
        while self._going.is_set():
            time.sleep(rng.expovariate(1 / 3.0))
            city = rng.choice(CITIES)
            recent = self.notes.of_city.get(city, [])[-12:]
            if not recent:
                continue
            job = rng.choice(recent)
            self.notes.cut.add(job)
            request = pb.CancelJobsRequest(selection=pb.JobSelection(job_ids=[job]))
            self.until_answered(city, lambda client, it=request: client.jobs.CancelJobs(it))  # type: ignore[misc]

    def _read_forever(self, city: str) -> None:
        """Read all that there is to see; nothing of it may be another city's."""
        others = [one for one in CITIES if one != city]
        rng = random.Random(f"{self._seed} {city} reads")
        while self._going.is_set():
            time.sleep(rng.expovariate(1 / 1.5))
            shown = self.until_answered(city, _list, always=False)
            for job in shown.jobs if shown is not None else ():
                if job.city != city:
                    self.notes.leaks.append(f"{city} was shown {job.job_id} of {job.city}")
            foreign = self.notes.of_city.get(rng.choice(others), [])[-5:]
            if foreign:
                self._read_foreign(city, rng.choice(foreign))
            self.notes.reads += 1

    def _read_foreign(self, city: str, job: str) -> None:
        asked = pb.GetJobRequest(job_id=job)
        try:
            got = self.until_answered(city, lambda client: client.jobs.GetJob(asked), always=False)
        except grpc.RpcError as error:
            if error.code() not in _HIDDEN:
                raise
        else:
            if got is not None:
                self.notes.leaks.append(f"{city} was given {job} of another city")

    def _watch(self, feed: Feed) -> None:
        self.notes.feeds.append(feed)
        token = self.tokens[feed.city] if feed.city else self._site.token
        client = self._site.client(token)
        self._watching.append(client)
        asked = pb.WatchJobsRequest(from_start=True)

        def lost(_: grpc.RpcError) -> None:
            feed.losses += 1

        try:
            for answer in client.watch(asked, on_lost=lost):
                for event in answer.events:
                    state = job_pb2.JobState.Name(event.state).removeprefix("JOB_STATE_")
                    told = Told(event.sequence, event.job_id, event.city, event.kind, state)
                    feed.told.append(told)
        except (grpc.RpcError, ValueError) as error:
            if not self._over.is_set():  # a closed client says so by either
                self.notes.err(f"the {feed.name} was left alone: {error!r}")
