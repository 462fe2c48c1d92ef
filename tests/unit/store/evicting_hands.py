"""What tests of runs ended by order share: running jobs, one that waits for them, orders."""

from typing import Any

from scheduler.placement.model import Eviction
from scheduler.store import evicting
from scheduler.store.evicting import Orders
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

GRACE_MS = 120_000


def running(it: Hands, who: str = "w1", **terms: Any) -> int:
    """A job that runs, interruptible unless it says else."""
    [uid] = it.world.submit(who, [job(**{"interruptible": True, **terms})])
    it.run(uid)
    return uid


def waiting(it: Hands) -> int:
    """A job of another city that waits."""
    [uid] = it.world.submit("e1", [job()])
    return uid


def order(it: Hands, *uids: int, for_uid: int | None = None) -> Orders:
    """Plan evictions, and order them."""
    whom = waiting(it) if for_uid is None else for_uid
    plan = [Eviction(uid, NPU, 1, whom, GRACE_MS) for uid in uids]
    return it.db.do(lambda c: evicting.reclaim(c, it.epoch, plan, it.clock.ms))
