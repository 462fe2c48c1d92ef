"""Body of the planner's actors that keep the queues of cities. Imports no Ray."""

import gc
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from scheduler import placement
from scheduler.control import frames
from scheduler.placement.columns import JobColumns
from scheduler.placement.heads import HeadColumns, heads_in_columns
from scheduler.placement.model import JobQueued
from scheduler.placement.shard import CityShard, ClassKey, Entry, HeadUpdate, Place


@cache
def code_digest() -> str:
    """Return a digest of what this process plans by: two that say the same plan the same."""
    told = hashlib.sha256()
    for path in (*sorted(Path(placement.__file__).parent.glob("*.py")), Path(frames.__file__)):
        told.update(path.read_bytes())
    return told.hexdigest()


class ShardActor:
    """Body of a shard's actor."""

    def __init__(self) -> None:
        self._shard = CityShard()
        self._staged: list[JobQueued | JobColumns] = []

    def code(self) -> str:
        """What it was made of."""
        return code_digest()

    def beat(self) -> None:
        """Return, which says that it lives."""

    def reset(self) -> None:
        """Forget all jobs."""
        self._shard = CityShard()
        self._staged.clear()

    def stage(self, queued: list[JobQueued | JobColumns]) -> None:
        """Take a part of the jobs that ``apply`` will begin with."""
        self._staged += queued

    def apply(self, queued: list[JobQueued], removed: list[int], taken: list[int]) -> HeadColumns:
        """As ``CityShard.apply``; what was staged is a snapshot, of which nothing is garbage."""
        staged, self._staged = self._staged, []
        if staged:
            gc.disable()
        try:
            return heads_in_columns(self._shard.apply([*staged, *queued], removed, taken))
        finally:
            gc.enable()

    def more(self, key: ClassKey, taken: list[int], size: int) -> HeadUpdate:
        """As ``CityShard.more``."""
        return self._shard.more(key, taken, size)

    def locate(self, uid: int, taken: list[int]) -> Place | None:
        """As ``CityShard.locate``."""
        return self._shard.locate(uid, taken)

    def before(self, key: ClassKey, entry: Entry) -> int:
        """As ``CityShard.before``."""
        return self._shard.before(key, entry)

    def before_each(self, bounds: Sequence[tuple[ClassKey, Entry]]) -> list[int]:
        """As ``CityShard.before_each``."""
        return self._shard.before_each(bounds)
