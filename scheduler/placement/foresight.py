"""When jobs start, as far as it can be foreseen: forecasts that are kept for a while.

One forecast answers for all jobs that wait for a flavor, so that asking for many of them costs
little more than asking for one. It is made anew when it is older than ``keep_ms`` or does not know
a job.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from scheduler.placement.forecast import JOBS_MAX, Expect, Forecast, connected, forecasts
from scheduler.placement.model import JobQueued, Option
from scheduler.placement.pools import Pool, RunEnd
from scheduler.placement.root import RootPlanner
from scheduler.placement.shard import ClassKey, Entry
from scheduler.placement.waiting import WaitingClass

#: Waiting jobs that are looked at for one that is only asked about.
_ASKED_MAX: Final = 400
#: A run that took longer than it was expected to is expected to go on for half as long again,
#: at least this.
_LATE_MIN_MS: Final = 60_000


class Start(NamedTuple):
    """When a job starts: as is expected, and if all use their limits; None if it never does."""

    likely_ms: int | None
    latest_ms: int | None


class _Outlook(NamedTuple):
    """Two forecasts of the same jobs: by expected run times, and by limits."""

    likely: Forecast
    latest: Forecast


class Foresight:
    """Forecasts over a root planner."""

    def __init__(self, root: RootPlanner, keep_ms: int) -> None:
        self._root, self._keep_ms = root, keep_ms
        self._outlooks: dict[str, _Outlook] = {}

    def start(self, key: ClassKey, entry: Entry, now_ms: int, asked: JobQueued | None) -> Start:
        """When a job starts that waits, or ``asked`` if it were queued."""
        flavors = [option.flavor for option in key[2]]
        if asked is not None:
            found = self._made(connected(self._root, flavors), now_ms, asked, _ASKED_MAX)
        else:
            found = self._known(flavors[0], entry[2], now_ms) or self._look(
                connected(self._root, flavors), now_ms, JOBS_MAX
            )
        forecasts = found.likely, found.latest
        starts = [one.starts.get(entry[2]) for one in forecasts]
        left = [at for at in (0, 1) if starts[at] is None and not forecasts[at].complete]
        if left:
            # There are too many to look at them all: as long as the pool works on those before.
            expects = [(self.expect, by_limits)[at] for at in left]
            pool, made_ms = self._root.pools[flavors[0]], found.likely.made_ms
            works_ms = self._queued_ms(pool, key, entry, made_ms, expects)
            for at, work_ms in zip(left, works_ms, strict=True):
                starts[at] = max(forecasts[at].until_ms, made_ms + work_ms)
        return Start(*starts)

    def forecasts(self, now_ms: int, jobs_max: int) -> Iterator[Forecast]:
        """Yield what is foreseen for all that waits, each flavor once."""
        wanted = {one.flavor for kind in self._root.census.kinds for one in kind.options}
        while wanted:
            flavors = connected(self._root, [min(wanted)])
            wanted -= flavors
            yield self._look(flavors, now_ms, jobs_max).likely

    def _known(self, flavor: str, uid: int, now_ms: int) -> _Outlook | None:
        known = self._outlooks.get(flavor)
        if known is None:
            return None
        made_ms, likely = known.likely.made_ms, known.likely
        if not made_ms <= now_ms <= made_ms + self._keep_ms:
            return None
        return known if uid in likely.asked or not likely.complete else None

    def _look(self, flavors: frozenset[str], now_ms: int, jobs_max: int) -> _Outlook:
        found = self._made(flavors, now_ms, None, jobs_max)
        self._outlooks.update(dict.fromkeys(flavors, found))
        return found

    def _made(
        self, flavors: frozenset[str], now_ms: int, asked: JobQueued | None, jobs_max: int
    ) -> _Outlook:
        expects = (self.expect, by_limits)
        return _Outlook(*forecasts(self._root, flavors, now_ms, expects, asked, jobs_max))

    def expect(self, enterprise: str, user: str, option: Option, age_ms: int) -> int:
        """How long a run takes in all: what is predicted, and more once it ran for longer."""
        wall_ms = option.wall_ms
        found = self._root.run_times.predict(enterprise, user, option)
        took_ms = wall_ms if found is None else min(found, wall_ms)
        if took_ms > age_ms:
            return took_ms
        if age_ms >= wall_ms:
            return by_limits(enterprise, user, option, age_ms)
        return min(wall_ms, age_ms + max(_LATE_MIN_MS, age_ms // 2))

    def expected(self, pool: Pool, now_ms: int) -> Pool:
        """The pool with its runs ending when they are expected to; the book is shared."""
        active = self._root.active
        ends: list[RunEnd] = []
        for _, uid, units, city, enterprise in pool.ends:
            run = active[uid]
            age_ms = max(0, now_ms - run.start_ms)
            end_ms = run.start_ms + self.expect(run.enterprise, run.user, run.option, age_ms)
            ends.append((max(now_ms + 1, end_ms), uid, units, city, enterprise))
        return Pool(pool.flavor, pool.center, pool.book, ends=sorted(ends))

    def _queued_ms(
        self, pool: Pool, key: ClassKey, entry: Entry, now_ms: int, expects: Sequence[Expect]
    ) -> list[int]:
        """How long the pool would work on the jobs that were queued before this one, as expected.

        Of its own enterprise the jobs before it are counted; of a class of another one as many of
        its jobs are older as its part of the time since the first of them says.
        """
        root, (city, enterprise, *_), age = self._root, key, entry[1:3]
        own_jobs = 0
        before: list[tuple[WaitingClass, Option, int]] = []  # how many of each, or all if its own
        for spot, waiting in root.lines.asking(pool.flavor):
            first = waiting.window[0]
            if waiting.enterprise == enterprise:
                part = waiting.count
                own_jobs += part
            elif first[1:3] < age:
                span_ms, older_ms = now_ms - first[1], entry[1] - first[1]
                is_all = older_ms >= span_ms
                part = max(1, waiting.count if is_all else waiting.count * older_ms // span_ms)
            else:
                continue
            before.append((waiting, Option(pool.flavor, spot.units, 1, spot.wall_ms), part))
        own_before = root.shards.before(root.shard_of(city), key, entry)
        found = []
        for expect in expects:
            work = own_work = 0
            for waiting, option, part in before:
                each = option.units * expect(waiting.enterprise, waiting.user, option, 0)
                if waiting.enterprise == enterprise:
                    own_work += part * each
                else:
                    work += part * each
            work += own_before * own_work // max(1, own_jobs)
            found.append(work // max(1, pool.book.capacity))
        return found


def by_limits(enterprise: str, user: str, option: Option, age_ms: int) -> int:
    """Every run uses its limit; one that is late takes as long again as it is late."""
    late_ms = age_ms - option.wall_ms
    return option.wall_ms if late_ms < 0 else age_ms + max(_LATE_MIN_MS, late_ms)
