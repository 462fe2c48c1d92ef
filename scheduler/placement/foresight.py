"""When jobs start, as far as it can be foreseen: forecasts that are kept for a while.

One forecast answers for all jobs that wait for a flavor, so that asking for many of them costs
little more than asking for one. It is made anew when it is older than ``keep_ms`` or does not know
a job.
"""

from collections.abc import Iterator
from typing import Final

from scheduler.placement.forecast import JOBS_MAX, Forecast, connected, forecast
from scheduler.placement.model import JobQueued, Option
from scheduler.placement.pools import Pool, RunEnd
from scheduler.placement.root import RootPlanner
from scheduler.placement.shard import Entry

#: Waiting jobs that are looked at for one that is only asked about.
_ASKED_MAX: Final = 1_000
#: A run that took longer than it was expected to is expected to go on for half as long again,
#: at least this.
_LATE_MIN_MS: Final = 60_000


class Foresight:
    """Forecasts over a root planner; ``likely`` by expected run times, else by limits."""

    def __init__(self, root: RootPlanner, keep_ms: int) -> None:
        self._root, self._keep_ms = root, keep_ms
        self._forecasts: dict[tuple[str, bool], Forecast] = {}

    def start_ms(
        self, options: tuple[Option, ...], entry: Entry, now_ms: int, asked: JobQueued | None, *,
        likely: bool,
    ) -> int | None:  # fmt: skip
        """When a job starts that waits, or ``asked`` if it were queued; None if it never does."""
        uid, root = entry[2], self._root
        flavors = [option.flavor for option in options]
        expect = self.expect if likely else by_limits
        if asked is not None:
            found = forecast(root, connected(root, flavors), now_ms, expect, asked, _ASKED_MAX)
        else:
            found = self._known(flavors[0], uid, now_ms, likely) or self._look(
                connected(root, flavors), now_ms, likely, JOBS_MAX
            )
        if uid in found.starts:
            return found.starts[uid]
        if found.complete:
            return None
        # There are too many to look at them all: as long as the pool works on those before.
        work_ms = self._queued_ms(root.pools[flavors[0]], entry, likely)
        return max(found.until_ms, now_ms + work_ms)

    def forecasts(self, now_ms: int, jobs_max: int) -> Iterator[Forecast]:
        """Yield what is foreseen for all that waits, each flavor once."""
        done: set[str] = set()
        for flavor in sorted(self._root.pools):
            if flavor in done:
                continue
            flavors = connected(self._root, [flavor])
            done |= flavors
            if any(
                one.flavor in flavors for kind in self._root.census.kinds for one in kind.options
            ):
                yield self._look(flavors, now_ms, True, jobs_max)

    def _known(self, flavor: str, uid: int, now_ms: int, likely: bool) -> Forecast | None:
        known = self._forecasts.get((flavor, likely))
        if known is None or not known.made_ms <= now_ms <= known.made_ms + self._keep_ms:
            return None
        return known if uid in known.asked or not known.complete else None

    def _look(self, flavors: frozenset[str], now_ms: int, likely: bool, jobs_max: int) -> Forecast:
        expect = self.expect if likely else by_limits
        found = forecast(self._root, flavors, now_ms, expect, jobs_max=jobs_max)
        self._forecasts.update(dict.fromkeys(((flavor, likely) for flavor in flavors), found))
        return found

    def expect(self, enterprise: str, option: Option, age_ms: int) -> int:
        """How long a run takes in all: what is predicted, and more once it ran for longer."""
        wall_ms = option.wall_ms
        found = self._root.run_times.predict(enterprise, "", option)
        took_ms = wall_ms if found is None else min(found, wall_ms)
        if took_ms > age_ms:
            return took_ms
        if age_ms >= wall_ms:
            return by_limits(enterprise, option, age_ms)
        return min(wall_ms, age_ms + max(_LATE_MIN_MS, age_ms // 2))

    def expected(self, pool: Pool, now_ms: int) -> Pool:
        """The pool with its runs ending when they are expected to; the book is shared."""
        active = self._root.active
        ends: list[RunEnd] = []
        for _, uid, units, city, enterprise in pool.ends:
            run = active[uid]
            age_ms = max(0, now_ms - run.start_ms)
            end_ms = run.start_ms + self.expect(run.enterprise, run.option, age_ms)
            ends.append((max(now_ms + 1, end_ms), uid, units, city, enterprise))
        return Pool(pool.flavor, pool.center, pool.book, ends=sorted(ends))

    def _queued_ms(self, pool: Pool, entry: Entry, likely: bool) -> int:
        """How long the pool would work on the jobs that were queued before this one."""
        expect = self.expect if likely else by_limits
        work = 0
        for owners in self._root.lines.owners(pool.flavor).values():
            for sizes in owners.values():
                for line in sizes.values():
                    for first, spot, waiting in line:
                        if first[1] < entry[1]:
                            option = Option(pool.flavor, spot.units, 1, spot.wall_ms)
                            took_ms = expect(waiting.enterprise, option, 0)
                            work += waiting.count * spot.units * took_ms
        return work // max(1, pool.book.capacity)


def by_limits(enterprise: str, option: Option, age_ms: int) -> int:
    """Every run uses its limit; one that is late takes as long again as it is late."""
    late_ms = age_ms - option.wall_ms
    return option.wall_ms if late_ms < 0 else age_ms + max(_LATE_MIN_MS, late_ms)
