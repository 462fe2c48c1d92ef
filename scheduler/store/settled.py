"""Which runs are done with for good: their end and use are stored and charged."""

from collections.abc import Sequence

from scheduler.store.database import Connection

RunKey = tuple[int, int]


def settled(connection: Connection, keys: Sequence[RunKey]) -> set[RunKey]:
    """Return which of these runs (job uid, attempt) are stored and settled."""
    if not keys:
        return set()
    listed = ", ".join(str(uid) for uid in {uid for uid, _ in keys})
    rows = connection.exec_driver_sql(
        f"SELECT job_uid, attempt FROM run WHERE job_uid IN ({listed}) AND settled_ms IS NOT NULL"
    )
    return {(uid, attempt) for uid, attempt in rows} & set(keys)
