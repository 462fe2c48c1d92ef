"""What the planner makes of the live database at a moment: of one snapshot, asked in several ways.

It plans for nobody: nothing of it is written. Its reservations are promises, which are looked after
until their jobs have begun.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import Delta, JobQueued, PolicySettings
from scheduler.store import planner_feed
from scheduler.store.database import Connection, Database
from tests.chaos.facts import Run

_POLICY: Final = PolicySettings()
#: How it is asked: shards, and whether jobs come in another order.
_WAYS: Final = {"1 shard": (1, False), "2 shards": (2, False), "5 shards": (5, False),
                "another order": (1, True)}  # fmt: skip
#: Of the database's clock and this process's, and for the cycle itself.
_CLOCKS_MS: Final = 2_000


@dataclass
class Planned:
    """See the module. ``url`` is the database's."""

    url: str
    seed: int
    _promised: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)

    def look(self, now_ms: int) -> Mapping[str, object]:
        """The plans of one snapshot, by how they were asked for; notes what they promise."""
        db = Database(self.url)
        try:

            def read(connection: Connection) -> tuple[int, list[Delta]]:
                revision, told = planner_feed.snapshot(connection, now_ms, _POLICY)
                return revision, list(told)

            revision, told = db.read_feed_sync(read)
        finally:
            db.close()
        plans: dict[str, object] = {}
        for how, (shards, shuffled) in _WAYS.items():
            core = PlanningCore(_POLICY, shards=shards)
            core.load(revision, self._mixed(told) if shuffled else told, now_ms)
            plan = core.cycle(revision, [], revision, now_ms)
            plans[how] = plan.starts, plan.reservations
            for one in plan.reservations:
                self._promised.setdefault((one.uid, one.flavor), (now_ms, one.start_ms))
        return plans

    def _mixed(self, told: Sequence[Any]) -> list[Any]:
        """The same, with the jobs in another order among themselves."""
        jobs = [one for one in told if isinstance(one, JobQueued)]
        random.Random(self.seed).shuffle(jobs)
        mixed = iter(jobs)
        return [next(mixed) if isinstance(one, JobQueued) else one for one in told]

    def late(
        self,
        runs: Sequence[Run],
        open_uids: set[int],
        now_ms: int,
        trouble: Sequence[tuple[int, int]],
    ) -> list[str]:
        """Promises that were missed by more than the trouble there was meanwhile.

        ``trouble`` are spans in epoch milliseconds; ``open_uids`` wait and were not cut.
        """
        begun: dict[int, int] = {}
        for run in runs:
            begun[run.uid] = min(begun.get(run.uid, run.admit_ms), run.admit_ms)
        wrong = []
        for (uid, flavor), (made_ms, start_ms) in list(self._promised.items()):
            at_ms = begun.get(uid, now_ms if uid in open_uids else None)
            if uid in begun or uid not in open_uids:
                del self._promised[uid, flavor]
            if at_ms is None:
                continue
            lost_ms = sum(
                max(0, min(until, at_ms) - max(since, made_ms)) for since, until in trouble
            )
            if at_ms > start_ms + lost_ms + _CLOCKS_MS:
                wrong.append(
                    f"job {uid} was promised {flavor} at {start_ms}, and waited until {at_ms}"
                    f" ({lost_ms} ms of it in trouble)"
                )
        return wrong
