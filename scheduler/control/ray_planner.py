"""The planner on Ray: one actor per shard of cities, one root actor that plans.

The only module that imports Ray, and a program of its own: what ``ray_link`` starts beside the
service. In a cluster the actors are spread over its nodes. Actors hold a cache: each call to the
root carries the revision it starts from, an actor that was restarted says it is stale and is
refilled from the store. One call a cycle with the deltas in it, so Ray costs a few milliseconds a
cycle whatever the number of jobs; a shard is called only when its cities' queues change. Between
the service and the root actor arguments and answers stay packed, so nothing is packed twice.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from scheduler.control import frames, ray_joining
from scheduler.control.ray_joining import CannotJoin, Head
from scheduler.control.ray_scenarios import RayScenarios
from scheduler.control.ray_shard import ShardActor, code_digest
from scheduler.control.settings import LoopSettings
from scheduler.placement.columns import JobColumns, Told
from scheduler.placement.core import PlanningCore, Sampled, StaleRevision, WaitingCounts
from scheduler.placement.heads import HeadColumns
from scheduler.placement.model import Delta, Explanation, JobQueued, Plan, PolicySettings
from scheduler.placement.shard import Batch, ClassKey, Entry, HeadUpdate, Place

_START_TIMEOUT_S = 60.0
_CALL_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 3.0
_STAGE_MAX = 20_000
_HEAD_TIMEOUT_S = 3.0
#: Actors answer in a thread apart that they live, however long they plan.
_BEAT = "beat"


class RayShards:
    """The shards as actors; used inside the root actor (``intake.Shards``)."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self._handles = list(handles)

    @property
    def count(self) -> int:
        """How many shards there are."""
        return len(self._handles)

    def reset(self) -> None:
        """Empty all shards."""
        _get([handle.reset.remote() for handle in self._handles])

    def apply(self, batches: list[Batch]) -> list[HeadUpdate]:
        """Apply the batches, all shards at once; what is many jobs is sent in parts."""
        staged, calls = [], []
        for shard, queued, removed, taken in batches:
            handle = self._handles[shard]
            staged += [handle.stage.remote([one]) for one in queued if isinstance(one, JobColumns)]
            jobs = [one for one in queued if isinstance(one, JobQueued)]
            while len(jobs) > _STAGE_MAX:
                staged.append(handle.stage.remote(jobs[:_STAGE_MAX]))
                jobs = jobs[_STAGE_MAX:]
            calls.append(handle.apply.remote(jobs, removed, taken))
        for call in staged:
            _get(call)
        updates: list[HeadUpdate] = []
        for call in calls:
            columns: HeadColumns = _get(call)
            updates += columns.heads()
        return updates

    def more(self, shard: int, key: ClassKey, taken: list[int], size: int) -> HeadUpdate:
        """The next entries of a class."""
        update: HeadUpdate = _get(self._handles[shard].more.remote(key, taken, size))
        return update

    def locate(self, uid: int, taken: list[list[int]]) -> Place | None:
        """Where a job waits."""
        calls = [
            handle.locate.remote(uid, gone)
            for handle, gone in zip(self._handles, taken, strict=True)
        ]
        return next((place for place in _get(calls) if place is not None), None)

    def before(self, shard: int, key: ClassKey, entry: Entry) -> int:
        """How many waiting jobs of the same city and enterprise come before an entry."""
        return int(_get(self._handles[shard].before.remote(key, entry)))

    def before_each(self, shard: int, bounds: Sequence[tuple[ClassKey, Entry]]) -> list[int]:
        """How many waiting jobs of each class come before an entry."""
        found: list[int] = _get(self._handles[shard].before_each.remote(bounds))
        return found

    def beat(self) -> None:
        """Return if all shards live."""
        _get([_beat_of(handle) for handle in self._handles])


def _get(calls: Any) -> Any:
    import ray

    return ray.get(calls, timeout=_CALL_TIMEOUT_S)


def _beat_of(actor: Any) -> Any:
    return actor.beat.options(concurrency_group=_BEAT).remote()


class RootActor:
    """Body of the root actor: the planning core over shard actors.

    A restarted root or shard has lost its cache: the root then answers that it is stale.
    """

    def __init__(self, policy: PolicySettings, shards: Sequence[Any]) -> None:
        self._shards = RayShards(shards)
        self._core = PlanningCore(policy, shards=len(shards), remote=self._shards)
        self._staged: list[Told] = []

    def code(self) -> str:
        """What it was made of."""
        return code_digest()

    def beat(self) -> None:
        """Return if it and all shards live, and reach each other."""
        self._shards.beat()

    def call(self, method: str, arguments: bytes) -> bytes:
        """Make one of the calls below; arguments and answer are packed."""
        return frames.pack(getattr(self, method)(*frames.unpack(arguments)))

    def stage(self, deltas: Sequence[Told], first: bool) -> None:
        """Take a part of the snapshot that ``load`` will begin with."""
        if first:
            self._staged.clear()
        self._staged.extend(deltas)

    def load(self, revision: int, now_ms: int) -> None:
        """Forget everything and take the snapshot that was staged."""
        self._shards.reset()
        staged, self._staged = self._staged, []
        self._core.load(revision, staged, now_ms)

    def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan | None:
        """One cycle; None if the cache is stale."""
        try:
            return self._core.cycle(before, deltas, after, now_ms)
        except StaleRevision:
            return None

    def explain(self, uid: int, now_ms: int) -> Explanation | None:
        """As ``PlanningCore.explain``."""
        return self._core.explain(uid, now_ms)

    def estimate(self, job: JobQueued, now_ms: int) -> Explanation:
        """As ``PlanningCore.estimate``."""
        return self._core.estimate(job, now_ms)

    def counts(self, now_ms: int) -> WaitingCounts:
        """As ``PlanningCore.counts``."""
        return self._core.counts(now_ms)

    def sample(self, now_ms: int, estimate: bool) -> Sampled:
        """As ``PlanningCore.sample``."""
        return self._core.sample(now_ms, estimate)


class Driver:
    """The child's end: joins or starts Ray, makes the actors and passes calls on to the root."""

    def __init__(self) -> None:
        self._root: Any = None
        self._head: Head | None = None
        self._actors: list[Any] = []
        self._scenarios = RayScenarios(local=True)

    @property
    def is_open(self) -> bool:
        """Whether there are actors."""
        return self._root is not None

    async def open(self, settings: LoopSettings, folder: str) -> None:
        """Join or start Ray and make the actors; takes seconds. Raises ``CannotJoin``.

        In ``folder`` are the files of the node by which a cluster is joined.
        """
        shown = ray_joining.token(settings)
        ray_joining.set_token(settings, shown)
        address = settings.ray_address
        if address:
            self._head = Head(address, shown)
            await self._head.check(_HEAD_TIMEOUT_S)
        joined = await asyncio.to_thread(_connect, settings, folder)
        self._head = self._head or Head(joined, shown)
        self._scenarios = RayScenarios(local=not address)
        await asyncio.to_thread(self._make, settings)

    def _make(self, settings: LoopSettings) -> None:
        """Make the actors, each on a node of its own as far as there are so many."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        places = ray_joining.places(ray.nodes(), settings.shards + 1)
        term = secrets.token_hex(4)  # actors of another term may still be there

        def made(body: type, place: str, name: str, *given: Any) -> Any:
            # A mere wish (soft) is not heeded for a node that has just joined.
            node = NodeAffinitySchedulingStrategy(place, soft=False)
            actor = ray.remote(num_cpus=0, concurrency_groups={_BEAT: 1})(body)
            named = actor.options(name=f"{name}-{term}", scheduling_strategy=node)
            self._actors.append(named.remote(*given))
            return self._actors[-1]

        shards = [made(ShardActor, at, f"shard-{one}") for one, at in enumerate(places[1:])]
        root = made(RootActor, places[0], "root", settings.policy, shards)
        codes = ray.get([one.code.remote() for one in self._actors], timeout=_START_TIMEOUT_S)
        if set(codes) != {code_digest()}:
            raise CannotJoin("nodes of the Ray cluster have another version of Corridor than this")
        self._root = root

    async def call(self, method: str, arguments: bytes, tell: Callable[[bytes], None]) -> bytes:
        """Call the root actor, or play scenarios; raises whatever Ray raises."""
        if method == "open":
            await self.open(*frames.unpack(arguments))
            return frames.pack(None)
        if method == "echo":
            return frames.pack(None)
        if method == "beat":
            await self.beat(*frames.unpack(arguments))
            return frames.pack(None)
        if method == "play":
            folder, tasks = frames.unpack(arguments)
            told = await self._scenarios.play(
                folder, tasks, lambda number, ended: tell(frames.pack((number, ended)))
            )
            return frames.pack(told)
        answer: bytes = await asyncio.wrap_future(
            self._root.call.remote(method, arguments).future()
        )
        return answer

    async def beat(self, timeout_s: float) -> None:
        """Return if the head and all actors answer; raises whatever is wrong.

        Without its head a cluster goes on for a minute, and then ends.
        """
        assert self._head is not None, "it is open"
        await self._head.check(timeout_s)
        await asyncio.wrap_future(_beat_of(self._root).future())

    def close(self) -> None:
        """End the actors and leave Ray (a local Ray ends with it)."""
        import ray

        for actor in self._actors:
            with contextlib.suppress(Exception):
                ray.kill(actor)
        ray.shutdown()


def _connect(settings: LoopSettings, folder: str) -> str:
    """Join the cluster, or start a local Ray; returns the address of the head."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    # Else the head keeps the last 100,000 calls for screens that nobody has here.
    os.environ.setdefault("RAY_task_events_report_interval_ms", "0")
    # By default Ray's workers are nice (15) and starve beside a busy service; ours plan.
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    if settings.ray_address:
        own = ray_joining.own_address(settings.ray_address)
        ray_joining.start_node(settings.ray_address, own, folder)
        ray.init(
            address=settings.ray_address,
            namespace=settings.ray_namespace,
            log_to_driver=False,
            _node_ip_address=own,
            _temp_dir=folder,
        )
        return settings.ray_address
    ray.init(
        num_cpus=1,
        namespace=settings.ray_namespace,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=ray_joining.OBJECT_STORE_BYTES,
        configure_logging=False,
    )
    return str(ray.get_runtime_context().gcs_address)


async def serve(connection: socket.socket) -> None:
    """Answer the service's calls until it closes the connection or is gone."""
    reader, writer = await asyncio.open_connection(sock=connection)
    driver = Driver()
    answering: dict[int, asyncio.Task[None]] = {}

    def forget(number: int, _task: asyncio.Task[None]) -> None:
        answering.pop(number, None)

    async def answer(number: int, method: str, arguments: bytes) -> None:
        def tell(more: bytes) -> None:
            frames.write(writer, (number, None, more))

        message: tuple[int, bool, bytes]
        try:
            message = (number, True, await driver.call(method, arguments, tell))
        except CannotJoin as error:
            message = (number, False, str(error)[:500].encode())
        except Exception as error:  # whatever Ray raises: the planner does not answer
            message = (number, False, f"{type(error).__name__}: {error}"[:300].encode())
        frames.write(writer, message)
        await writer.drain()

    with contextlib.suppress(EOFError, OSError):
        while True:
            number, method, arguments = await frames.read(reader)
            if method == "stop":
                if number in answering:
                    answering[number].cancel()
                continue
            task = asyncio.create_task(answer(number, method, arguments))
            answering[number] = task
            task.add_done_callback(partial(forget, number))
    if driver.is_open:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await asyncio.to_thread(driver.close)
    # Not an end in order: that would wait for a start of Ray that is under way, and leave helpers
    # of Ray behind that notice only after a minute.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def main() -> None:
    """Serve on the socket whose descriptor is given; ends with the service, and Ray with it."""
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # Ray starts its processes; none of them is us
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    # Under its own name, so that the actors' classes are found by it in Ray's workers.
    from scheduler.control import ray_planner

    ray_planner.main()
