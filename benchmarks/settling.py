"""How fast finished runs are settled on PostgreSQL by many writers, all of the same few funds.

Writers are processes: ``python -m benchmarks.settling URL FIRST COUNT BATCH`` is one.
"""

import sys
from contextlib import closing

from adapters.contract import Usage
from benchmarks.moving import Mover
from benchmarks.report import Figure
from benchmarks.site import new_site
from benchmarks.stored import fill, now_ms
from benchmarks.writers import WRITERS, begun, spent_s, together
from scheduler.control.settings import LoopSettings
from scheduler.domain.ids import run_id
from scheduler.store import funds, settlements
from scheduler.store.database import Connection, Database, open_engine
from scheduler.store.settlements import Ended

_BATCH = 1_000
_RUN_S = 300


def figures(url: str, quick: bool) -> list[Figure]:
    """Settle runs that were held as admission holds, by eight writers; then verify the ledger."""
    each = 250 if quick else 12_500
    count = WRITERS * each
    with new_site(units=1 << 20, store__url=url), closing(Database(url)) as db:
        waiting, size = fill(db, count), LoopSettings().admit_batch
        mover = Mover(db)
        for first in range(0, count, size):
            mover.admit(waiting[first : first + size])
        wrote = together("benchmarks.settling", url, 0, each, _BATCH)
        db.write_future(_end).result()
        found = db.read_sync(funds.verify)
    if not found.ok:
        raise RuntimeError(f"the ledger does not verify: {found.problems[0]}")
    if found.run_count != count:
        raise RuntimeError(f"{found.run_count} of {count} runs are settled")
    spent = spent_s(wrote)
    return [
        Figure(
            "ledger", f"settle {count:,} finished runs, {WRITERS} writers, {_BATCH:,} at once",
            spent, "s", None if quick else 10.0, peer="CPU s of the writers",
            peer_value=sum(one.cpu_s for one in wrote),
        )
    ]  # fmt: skip


def _end(connection: Connection) -> None:
    """What the ends of runs write of runs and jobs, which here come after the money."""
    run = connection.exec_driver_sql
    run(
        "UPDATE run SET state = 'SUCCEEDED', settled_ms = h.resolved_ms, end_ms = h.resolved_ms"
        " FROM hold h WHERE h.job_uid = run.job_uid AND h.attempt = run.attempt"
    )
    run(
        "UPDATE job SET state = 'SUCCEEDED', settled = TRUE, gross_fen = c.gross_fen,"
        " subsidy_fen = c.subsidy_fen, self_pay_fen = c.gross_fen - c.subsidy_fen"
        " FROM (SELECT h.job_uid, h.posted_fen AS gross_fen, (SELECT sum(s.amount_fen)"
        " FROM subsidy_line s WHERE s.job_uid = h.job_uid) AS subsidy_fen FROM hold h) c"
        " WHERE c.job_uid = job.uid"
    )


def _write(url: str, first: int, count: int, batch: int) -> None:
    """Be a writer, for runs in the order of their jobs."""
    engine = open_engine(url)
    with engine.connect() as connection:
        with connection.begin():
            ended = _ended(connection, first, count)

        def work() -> int:
            settled = 0
            for at in range(0, count, batch):
                with connection.begin():
                    part = ended[at : at + batch]
                    settled += len(settlements.settle(connection, part, now_ms()).settled)
            return settled

        begun(work)
    engine.dispose()


def _ended(connection: Connection, first: int, count: int) -> list[Ended]:
    start_ms = now_ms() - 3_600_000
    rows = connection.exec_driver_sql(
        "SELECT job_uid, center, enterprise, city, units FROM run ORDER BY job_uid"
        f" LIMIT {count} OFFSET {first}"
    )
    found = []
    for number, (uid, center, enterprise, city, units) in enumerate(rows):
        end_ms = start_ms + (_RUN_S + number % 60) * 1_000
        use = Usage(
            run_id(uid, 1), f"n{uid}", start_ms, 1, 1, start_ms, end_ms, units, "0" * 64,
            "simulated",
        )  # fmt: skip
        found.append(Ended(uid, 1, center, enterprise, city, True, (use,)))
    return found


if __name__ == "__main__":
    _write(sys.argv[1], *map(int, sys.argv[2:]))
