"""The runs that a check of money looks at: all of them, or those that are not plainly right."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs by (job, attempt); ``keys`` None are all there are."""

    keys: Sequence[tuple[int, int]] | None = None

    def has(self, name: str) -> str:
        """SQL condition: the row of that name is of one of the runs (some only on PostgreSQL)."""
        if self.keys is None:
            return "TRUE"
        uids = ",".join(str(uid) for uid, _ in self.keys)
        attempts = ",".join(str(attempt) for _, attempt in self.keys)
        return (
            f"({name}.job_uid, {name}.attempt) IN"
            f" (SELECT * FROM unnest('{{{uids}}}'::bigint[], '{{{attempts}}}'::int[]))"
        )


ALL = Runs()
