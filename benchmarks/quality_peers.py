"""The schedulers that the planner is measured against: one pool, written apart from the planner.

At one instant all ends come first, then all arrivals, then planning. FCFS starts the head of the
queue. EASY (Lifka) also starts what ends by the head's start or fits beside it then; the head's
start is found from limits. EASY-SJBF tries the shortest limit first. EASY-fair orders the queue by
what each city has used per weight (units x limit from a start on, corrected at the end), the
order made anew after each head that starts.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from heapq import heappop, heappush
from itertools import groupby

from scheduler.replay.trace import TraceJob


class _Machine:
    """Units and runs of one pool; ``limits`` are (end at limit, number, units) in order."""

    def __init__(self, jobs: Sequence[TraceJob], units: int) -> None:
        self.jobs, self.free = jobs, units
        self.start_ms = [-1] * len(jobs)
        self.ends: list[tuple[int, int]] = []
        self.limits: list[tuple[int, int, int]] = []

    def start(self, number: int, now_ms: int) -> None:
        """Let a job hold its units."""
        job = self.jobs[number]
        self.start_ms[number] = now_ms
        self.free -= job.units
        heappush(self.ends, (now_ms + job.run_ms, number))
        insort(self.limits, (now_ms + job.wall_ms, number, job.units))

    def end(self, number: int) -> None:
        """Free a job's units."""
        job = self.jobs[number]
        self.free += job.units
        del self.limits[bisect_left(self.limits, (self.start_ms[number] + job.wall_ms, number))]

    def shadow(self, units: int) -> tuple[int, int]:
        """When so many units are free if runs end at their limits, and how many are left then."""
        free, at, limits = self.free, 0, self.limits
        while free < units:
            at_ms = limits[at][0]
            while at < len(limits) and limits[at][0] == at_ms:
                free += limits[at][2]
                at += 1
        return limits[at - 1][0], free - units

    def backfill(self, head: int, others: Sequence[int], now_ms: int) -> list[int]:
        """Start what may start before the head, in the order given; returns what was started."""
        shadow_ms, beside = self.shadow(self.jobs[head].units)
        started: list[int] = []
        for number in others:
            if not self.free:
                break
            job = self.jobs[number]
            if job.units > self.free:
                continue
            if now_ms + job.wall_ms > shadow_ms:
                if job.units > beside:
                    continue
                beside -= job.units
            self.start(number, now_ms)
            started.append(number)
        return started


class Fifo:
    """Submission order; without ``backfill`` FCFS, ``shortest`` first EASY-SJBF, else EASY."""

    def __init__(self, backfill: bool = True, shortest: bool = False) -> None:
        self._backfill, self._shortest = backfill, shortest
        self._queue: list[int] = []

    def arrive(self, number: int, job: TraceJob) -> None:
        """A job waits."""
        self._queue.append(number)

    def end(self, job: TraceJob) -> None:
        """A run ended."""

    def plan(self, machine: _Machine, now_ms: int) -> None:
        """Start what this policy starts now."""
        queue, jobs, first = self._queue, machine.jobs, 0
        while first < len(queue) and jobs[queue[first]].units <= machine.free:
            machine.start(queue[first], now_ms)
            first += 1
        del queue[:first]
        if not queue or not self._backfill or not machine.free:
            return
        others = queue[1:]
        if self._shortest:
            others.sort(key=lambda number: (jobs[number].wall_ms, number))
        started = set(machine.backfill(queue[0], others, now_ms))
        if started:
            self._queue = [number for number in queue if number not in started]


class Fair:
    """Cities by what they have used per weight, then submission; EASY on that order."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = weights
        self._used = dict.fromkeys(weights, 0)
        self._queues: dict[str, list[int]] = {city: [] for city in weights}

    def arrive(self, number: int, job: TraceJob) -> None:
        """A job waits."""
        self._queues[job.city].append(number)

    def end(self, job: TraceJob) -> None:
        """A run ended: what it was charged above its use is given back."""
        self._used[job.city] += job.units * (job.run_ms - job.wall_ms)

    def plan(self, machine: _Machine, now_ms: int) -> None:
        """Start heads while they fit; then backfill in the order of that instant."""
        jobs = machine.jobs
        while True:
            head = next(self._ordered(), None)
            if head is None:
                return
            if jobs[head].units > machine.free:
                break
            machine.start(head, now_ms)
            self._started(jobs[head], [head])
        if not machine.free:
            return
        others = list(self._ordered())[1:]
        for number in machine.backfill(head, others, now_ms):
            self._started(jobs[number], [number])

    def _started(self, job: TraceJob, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._queues[job.city].remove(number)
            self._used[job.city] += job.units * job.wall_ms

    def _ordered(self) -> Iterator[int]:
        def key(city: str) -> Fraction:
            return Fraction(self._used[city], self._weights[city])

        cities = sorted((city for city, queue in self._queues.items() if queue), key=key)
        for _, equal in groupby(cities, key=key):
            yield from sorted(number for city in equal for number in self._queues[city])


Peer = Fifo | Fair


def run(jobs: Sequence[TraceJob], units: int, peer: Peer) -> list[int]:
    """Return the start of each job (ordered by submission) on a machine of so many units."""
    machine, arrived = _Machine(jobs, units), 0
    while arrived < len(jobs) or machine.ends:
        now_ms = jobs[arrived].submit_ms if arrived < len(jobs) else machine.ends[0][0]
        if machine.ends and machine.ends[0][0] < now_ms:
            now_ms = machine.ends[0][0]
        while machine.ends and machine.ends[0][0] == now_ms:
            _, number = heappop(machine.ends)
            machine.end(number)
            peer.end(jobs[number])
        while arrived < len(jobs) and jobs[arrived].submit_ms == now_ms:
            peer.arrive(arrived, jobs[arrived])
            arrived += 1
        peer.plan(machine, now_ms)
    return machine.start_ms


def peers(weights: Mapping[str, int]) -> dict[str, Callable[[], Peer]]:
    """The peers by name, each to be made anew for a run."""
    return {
        "fcfs": lambda: Fifo(backfill=False),
        "easy": Fifo,
        "easy_sjbf": lambda: Fifo(shortest=True),
        "easy_fair": lambda: Fair(weights),
    }
