"""The runs that hold units: how they begin, end, and are known to end sooner."""

from scheduler.placement.model import PolicySettings, RunActive
from scheduler.placement.refusals import Refusals
from scheduler.placement.rules import ActiveRun, Rules
from scheduler.placement.run_times import PastRun, RecentRuns


class Runs(Rules):
    """What runs hold, and what was learned of them."""

    def __init__(self, policy: PolicySettings) -> None:
        super().__init__(policy)
        self.refusals = Refusals()
        self.run_times = RecentRuns()
        #: (enterprise, user) of whom something was learned.
        self._learned: set[tuple[str, str]] = set()

    def _occupy(self, run: RunActive, now_ms: int) -> None:
        """A run holds units until its limit, or until it is evicted."""
        uid, city, enterprise, option, start_ms, priority, user, interruptible, evictions, *_ = run
        pool, end_ms = self._pool(option.flavor), start_ms + option.wall_ms
        if not run.begun:
            pool.sent(uid)
        if run.ending_ms:
            end_ms = min(end_ms, run.ending_ms)
            pool.ending[uid] = run.ending_for
        pool.take(uid, end_ms, option.units, city, enterprise)
        score = self.keys.charge(city, enterprise, option, option.wall_ms, now_ms)
        self.active[uid] = ActiveRun(
            city, enterprise, option, start_ms, score, user, end_ms, priority, interruptible,
            evictions,
        )  # fmt: skip

    def _release(self, uid: int) -> ActiveRun | None:
        """Free a run's units and take its charge away."""
        run = self._free(uid)
        if run is not None:
            self.keys.refund(run.city, run.enterprise, run.option.flavor, run.score)
        return run

    def _free(self, uid: int) -> ActiveRun | None:
        """Free a run's units."""
        run = self.active.pop(uid, None)
        if run is None:
            return None
        option = run.option
        flavor = option.flavor
        pool = self.pools[flavor]
        pool.give_back(uid, run.end_ms, option.units, run.city, run.enterprise)
        pool.begun(uid)
        if pool.ending:
            pool.ending.pop(uid, None)
        if pool.spared:
            pool.spared.pop(uid, None)
        self.dirty.add(flavor)
        return run

    def _move_end(self, uid: int, end_ms: int) -> None:
        """A run ends at another instant than was thought."""
        run = self.active[uid]
        pool, units = self._pool(run.option.flavor), run.option.units
        pool.move_end(uid, run.end_ms, end_ms, units, run.city, run.enterprise)
        self.active[uid] = run._replace(end_ms=end_ms)
        if pool.holder is not None:
            self.dirty.add(pool.flavor)

    def _not_evicted(self, uid: int, now_ms: int) -> None:
        """A run that was to be evicted goes on: for a while it is not chosen again."""
        run = self.active.get(uid)
        pool = None if run is None else self._pool(run.option.flavor)
        if run is None or pool is None or uid not in pool.ending:
            return
        for_uid, holder = pool.ending.pop(uid), pool.holder
        if holder is not None and holder.entry[2] == for_uid:
            holder.evicts = False
        pool.forget_evicted(uid)
        pool.spared[uid] = now_ms + pool.reclaim.rate_ms
        self._move_end(uid, run.start_ms + run.option.wall_ms)
        self.dirty.add(pool.flavor)

    def _ended(self, uid: int, used_ms: int, whole: bool, now_ms: int) -> None:
        run = self._free(uid)
        if run is None:
            return
        if used_ms <= 0:
            self.keys.refund(run.city, run.enterprise, run.option.flavor, run.score)
            return
        enterprise, option = run.enterprise, run.option
        flavor, units, _, wall_ms, _, _, _, _, _ = option
        if whole:
            self._learn((enterprise, run.user, flavor, units, wall_ms, used_ms))
        self.keys.charge(run.city, enterprise, option, used_ms, now_ms, run.score)

    def _learn(self, run: PastRun) -> None:
        self.run_times.learn(run)
        if run[1]:
            self._learned.add(run[:2])

    def _started(self, uid: int, start_ms: int) -> None:
        run = self.active.get(uid)
        if run is None:
            return
        if self._pool(run.option.flavor).begun(uid):
            self.dirty.add(run.option.flavor)
        if run.options:
            self.refusals.forget(run.key)
        if run.start_ms == start_ms:
            return
        self.active[uid] = run._replace(start_ms=start_ms, options=())
        if uid not in self._pool(run.option.flavor).ending:
            self._move_end(uid, start_ms + run.option.wall_ms)
