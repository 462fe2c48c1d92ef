"""Jobs that go before all others: the class ``emergency``, which an operator grants and takes."""

from typing import Final

from sqlalchemy import Connection, text

from scheduler.domain.events import EventKind
from scheduler.domain.ids import job_id
from scheduler.errors import WrongState
from scheduler.store import audit_trail, elements, feed, jobs
from scheduler.store.job_commands import WAITING, Order
from scheduler.store.job_filter import of_states
from scheduler.store.write_batch import WriteBatch

#: A job, and the elements of it if it is an array.
_MEANT: Final = "(uid = :uid OR array_uid = :uid)"


def grant(connection: Connection, uid: int, emergency: bool, order: Order) -> None:
    """Let a waiting job go first, or take that back; one that is so already stays as it is.

    With an array go all its elements that wait. Raises ``NotFound``, and ``WrongState`` for a job
    that waits no more.
    """
    scope = order.actor.scope
    row = jobs.get_job(connection, scope, uid)
    if row.state not in WAITING:
        raise WrongState(
            f"job {job_id(uid)} is {row.state}: only a job that waits can go first",
            subject=f"jobs/{job_id(uid)}",
            reason="NOT_WAITING",
        )
    # An element that has no row yet gets one, to go before the others of its array.
    elements.make_rows(connection, elements.find(connection, [uid]).values(), order.now_ms)
    changed = connection.execute(
        text(
            "UPDATE job SET emergency = :emergency, version = version + 1"
            f" WHERE {_MEANT} AND emergency <> :emergency AND {of_states(WAITING)}"
            " RETURNING uid, enterprise, city, state"
        ),
        {"uid": uid, "emergency": emergency},
    ).all()
    if not changed:
        return
    kind = EventKind.EMERGENCY_GRANTED if emergency else EventKind.EMERGENCY_REVOKED
    rows = [
        (one, enterprise, city, state, order.now_ms)
        for one, enterprise, city, state in sorted(tuple(found) for found in changed)
    ]
    batch = WriteBatch()
    feed.add_alike(batch, kind, rows)
    batch.write(connection)
    audit_trail.record(
        connection,
        order.actor,
        str(kind),
        f"jobs/{job_id(uid)}",
        at_ms=order.wall_ms,
        before={"emergency": not emergency},
        after={"emergency": emergency, "jobs": len(changed)},
        reason=order.reason,
        city=row.city,
        enterprise=row.enterprise,
    )
