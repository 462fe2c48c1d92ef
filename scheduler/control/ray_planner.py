"""The planner on Ray: one actor per shard of cities, one root actor that plans.

The only module that imports Ray, and only when it is used: a start of Ray takes seconds, and the
service accepts jobs long before. Actors hold a cache: each call to the root carries the revision
it starts from, an actor that was restarted says it is stale and is refilled from the store. One
call a cycle with the deltas in it, so Ray costs a few milliseconds a cycle whatever the number of
jobs; a shard is called only when its cities' queues change.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from scheduler.control.planner import PlannerAway
from scheduler.control.settings import LoopSettings
from scheduler.placement.core import PlanningCore, StaleRevision, WaitingCounts
from scheduler.placement.model import Delta, Explanation, JobQueued, Plan, PolicySettings
from scheduler.placement.shard import Batch, CityShard, ClassKey, Entry, HeadUpdate, Place

T = TypeVar("T")

_LOAD_TIMEOUT_S = 60.0
_CALL_TIMEOUT_S = 10.0
_OBJECT_STORE_BYTES = 128 << 20
_NAMESPACE = "corridor"
_start_lock = threading.Lock()


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
        """Apply the batches, all shards at once."""
        calls = [
            self._handles[shard].apply.remote(queued, removed, taken)
            for shard, queued, removed, taken in batches
        ]
        return [update for updates in _get(calls) for update in updates]

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


def _get(calls: Any) -> Any:
    import ray

    return ray.get(calls, timeout=_CALL_TIMEOUT_S)


class ShardActor:
    """Body of a shard's actor."""

    def __init__(self) -> None:
        self._shard = CityShard()

    def reset(self) -> None:
        """Forget all jobs."""
        self._shard = CityShard()

    def apply(
        self, queued: list[JobQueued], removed: list[int], taken: list[int]
    ) -> list[HeadUpdate]:
        """As ``CityShard.apply``."""
        return self._shard.apply(queued, removed, taken)

    def more(self, key: ClassKey, taken: list[int], size: int) -> HeadUpdate:
        """As ``CityShard.more``."""
        return self._shard.more(key, taken, size)

    def locate(self, uid: int, taken: list[int]) -> Place | None:
        """As ``CityShard.locate``."""
        return self._shard.locate(uid, taken)

    def before(self, key: ClassKey, entry: Entry) -> int:
        """As ``CityShard.before``."""
        return self._shard.before(key, entry)


class RootActor:
    """Body of the root actor: the planning core over shard actors.

    A restarted root or shard has lost its cache: the root then answers that it is stale.
    """

    def __init__(self, policy: PolicySettings, shards: Sequence[Any]) -> None:
        self._shards = RayShards(shards)
        self._core = PlanningCore(policy, shards=len(shards), remote=self._shards)

    def load(self, revision: int, deltas: Sequence[Delta], now_ms: int) -> None:
        """Forget everything and take a snapshot."""
        self._shards.reset()
        self._core.load(revision, deltas, now_ms)

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


class RayPlanner:
    """A planner backend whose root and shards are actors. Raises ``PlannerAway``."""

    name = "ray"

    def __init__(self, root: Any, shards: Sequence[Any]) -> None:
        self._root, self._actors = root, [root, *shards]

    @classmethod
    async def open(cls, settings: LoopSettings) -> "RayPlanner":
        """Join or start Ray and make the actors; takes seconds, in a thread."""
        try:
            return await _in_thread(lambda: cls._open(settings))
        finally:
            _restore_signals()

    @classmethod
    def _open(cls, settings: LoopSettings) -> "RayPlanner":
        try:
            import ray
        except ImportError as error:
            raise PlannerAway("Ray is not installed: pip install 'corridor[server]'") from error
        try:
            _connect(settings.ray_address)
            shard = ray.remote(num_cpus=0)(ShardActor)
            root = ray.remote(num_cpus=0)(RootActor)
            shards = [shard.remote() for _ in range(settings.shards)]
            made = root.remote(settings.policy, shards)
            ray.get(made.counts.remote(0), timeout=_LOAD_TIMEOUT_S)
        except Exception as error:
            _disconnect()
            raise PlannerAway(f"{type(error).__name__}: {error}") from error
        return cls(made, shards)

    async def load(self, revision: int, deltas: Sequence[Delta], now_ms: int) -> None:
        """Forget everything and take this snapshot."""
        await self._ask(self._root.load.remote(revision, list(deltas), now_ms), _LOAD_TIMEOUT_S)

    async def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        """One cycle; raises ``StaleRevision`` if an actor was restarted."""
        call = self._root.cycle.remote(before, list(deltas), after, now_ms)
        plan: Plan | None = await self._ask(call, _CALL_TIMEOUT_S)
        if plan is None:
            raise StaleRevision("the planner's actor was restarted")
        return plan

    async def explain(self, uid: int, now_ms: int) -> Explanation | None:
        """Why a job waits."""
        found: Explanation | None = await self._ask(self._root.explain.remote(uid, now_ms))
        return found

    async def estimate(self, job: JobQueued, now_ms: int) -> Explanation:
        """What would be said of the job if it were queued now."""
        found: Explanation = await self._ask(self._root.estimate.remote(job, now_ms))
        return found

    async def counts(self, now_ms: int) -> WaitingCounts:
        """Waiting jobs by city, flavor and reason."""
        found: WaitingCounts = await self._ask(self._root.counts.remote(now_ms))
        return found

    async def close(self) -> None:
        """End the actors and leave Ray (a local Ray ends with it)."""
        await _in_thread(self._close)

    def _close(self) -> None:
        import ray

        for actor in self._actors:
            with contextlib.suppress(Exception):
                ray.kill(actor)
        _disconnect()

    @staticmethod
    async def _ask(call: Any, timeout_s: float = _CALL_TIMEOUT_S) -> Any:
        try:
            return await asyncio.wait_for(asyncio.wrap_future(call.future()), timeout_s)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever Ray raises: the planner does not answer
            raise PlannerAway(f"{type(error).__name__}: {error}"[:300]) from error


def _connect(address: str) -> None:
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)  # what matters to us is raised
    with _start_lock:
        if ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")
        # By default Ray's workers are nice (15) and starve beside a busy service; ours plan.
        os.environ.setdefault("RAY_worker_niceness", "0")
        if address:
            ray.init(address=address, namespace=_NAMESPACE, log_to_driver=False)
            return
        ray.init(
            num_cpus=1,
            namespace=_NAMESPACE,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            configure_logging=False,
        )


def _restore_signals() -> None:
    """Ray takes SIGTERM to print a native trace; give it back to whom it belonged in Python."""
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGTERM)
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _disconnect() -> None:
    import ray

    with _start_lock, contextlib.suppress(Exception):
        ray.shutdown()


async def _in_thread(call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, call)
