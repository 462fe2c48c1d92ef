"""Reads what tells whether all is well, in short statements that change nothing.

Each function reads one kind of facts; ``now_ms`` is scheduling time.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, inspect

from scheduler.domain.checkup import (
    AlertFacts,
    BookFacts,
    CenterFacts,
    FeedFacts,
    FileFacts,
    LeadFacts,
    QueueFacts,
    Replica,
    RunFacts,
    SchemaFacts,
    ServerFacts,
    TimeFacts,
    Transaction,
)
from scheduler.domain.leases import is_over
from scheduler.domain.states import JOB_TERMINAL, RUN_TERMINAL, RunState
from scheduler.store import (
    alarms,
    book_figures,
    guards,
    horizon,
    leader,
    migrate,
    newest,
    replicas,
    vitals,
)
from scheduler.store.tables import RUN_TOOK

_UNSAFE: Final = ("fsync", "full_page_writes", "synchronous_commit")
_SEEN_MS: Final = 3_600_000
_LAST_RUNS: Final = 100
_AGE: Final = "(extract(epoch FROM clock_timestamp() - {since}) * 1000)::bigint"
_OTHERS: Final = (
    "SELECT pid, coalesce(application_name, ''), coalesce(state, ''), {age} FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend' AND {where} ORDER BY 4 DESC LIMIT 1"
)
_KEPT: Final = (
    "SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint"
    " FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL"
)


def server(connection: Connection) -> ServerFacts:
    """Read how a server of PostgreSQL is."""
    run = connection.exec_driver_sql
    setting = "current_setting('{}')"
    version, release, most, spare, standby, frozen, prepared, size, connections = run(
        f"SELECT {setting.format('server_version_num')}::int, {setting.format('server_version')},"
        f" {setting.format('max_connections')}::int,"
        f" {setting.format('superuser_reserved_connections')}::int, pg_is_in_recovery(),"
        " (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()),"
        " (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()),"
        " pg_database_size(current_database()),"
        " (SELECT sum(numbackends)::bigint FROM pg_stat_database)"
    ).one()
    with _as_logged_in(connection):
        oldest = _other(connection, "xact_start", "xact_start IS NOT NULL")
        idle = _other(connection, "state_change", "state LIKE 'idle in transaction%'")
    off = run(f"SELECT {', '.join(setting.format(one) for one in _UNSAFE)}").one()
    return ServerFacts(
        version,
        str(release).split()[0],
        connections,
        most,
        spare,
        tuple(name for name, value in zip(_UNSAFE, off, strict=True) if value == "off"),
        standby,
        guards.orders_by_code_point(connection),
        oldest,
        idle,
        frozen,
        prepared,
        size,
        _wal_bytes(connection),
        0 if standby else int(run(_KEPT).scalar_one()),
    )


@contextmanager
def _as_logged_in(connection: Connection) -> Iterator[None]:
    """Be whom the connection logged in as: what one's own sessions do is not told to others, and
    a role that ``store.url`` names is another one."""
    connection.exec_driver_sql("SET ROLE NONE")
    try:
        yield
    finally:
        connection.exec_driver_sql("RESET ROLE")


def _other(connection: Connection, since: str, where: str) -> Transaction | None:
    query = _OTHERS.format(age=_AGE.format(since=since), where=where)
    row = connection.exec_driver_sql(query).first()
    return None if row is None else Transaction(*row)


def _wal_bytes(connection: Connection) -> int | None:
    """What the log takes; None where only an administrator may ask."""
    may = "SELECT has_function_privilege('pg_ls_waldir()', 'execute')"
    if not connection.exec_driver_sql(may).scalar_one():
        return None
    found = connection.exec_driver_sql("SELECT sum(size)::bigint FROM pg_ls_waldir()")
    return int(found.scalar() or 0)


def file(connection: Connection) -> FileFacts:
    """Read how a database of SQLite is."""
    run = connection.exec_driver_sql
    pages, size = run("PRAGMA page_count").scalar_one(), run("PRAGMA page_size").scalar_one()
    return FileFacts(sqlite3.sqlite_version, pages * size)


def file_flaws(connection: Connection) -> list[str]:
    """Have SQLite look through its whole file; returns what is wrong with it."""
    found = connection.exec_driver_sql("PRAGMA quick_check(20)").scalars()
    return [str(one) for one in found if one != "ok"]


def schema(connection: Connection) -> SchemaFacts:
    """Read the revision of the schema."""
    tables = len(inspect(connection).get_table_names())
    known = tuple(migrate.revisions())
    return SchemaFacts(migrate.revision(connection), migrate.head(), known, tables)


def lead(connection: Connection) -> LeadFacts:
    """Read who leads and who lives. On SQLite nobody keeps either up: see the lock of the data."""
    now_ms = leader.database_ms(connection)
    if connection.dialect.name == "sqlite":
        row = connection.exec_driver_sql("SELECT holder, epoch, renewed_ms FROM leader").first()
        holder, epoch, renewed_ms = row or ("", 0, now_ms)
        return LeadFacts(holder, epoch, max(0, now_ms - renewed_ms), 0, ())
    lease = leader.read_lease(connection)
    alive = tuple(
        Replica(one.name, one.address, one.version, max(0, now_ms - one.seen_ms))
        for one in replicas.present(connection, now_ms - _SEEN_MS)
    )
    if lease is None:
        return LeadFacts("", 0, 0, 0, alive)
    holder = "" if is_over(lease, now_ms) else lease.name
    return LeadFacts(holder, lease.epoch, max(0, now_ms - lease.renewed_ms), lease.lasts_ms, alive)


def feed(connection: Connection, now_ms: int) -> FeedFacts:
    """Read up to where the feed is whole, and who keeps it from being so."""
    oldest_ms = book_figures.read(connection, now_ms).events_oldest_ms
    if connection.dialect.name == "sqlite":
        last = vitals.read(connection).head
        return FeedFacts(last, last, None, oldest_ms)
    with _as_logged_in(connection):
        row = connection.exec_driver_sql(
            "SELECT a.pid, coalesce(a.application_name, ''), coalesce(a.state, ''),"
            f" coalesce({_AGE.format(since='a.xact_start')}, 0) FROM ({horizon.MARKS}) AS m"
            " JOIN pg_stat_activity a ON a.pid = m.pid ORDER BY m.mark, 4 DESC LIMIT 1"
        ).first()
    writer = None if row is None else Transaction(*row)
    return FeedFacts(horizon.last(connection), horizon.look(connection), writer, oldest_ms)


def time(connection: Connection) -> TimeFacts:
    """Read the database's clock, and the newest instant that was told of."""
    return TimeFacts(vitals.read(connection).clock_ms, newest.newest_ms(connection))


def books(connection: Connection, now_ms: int) -> BookFacts:
    """Read which digests there are, and by which keys."""
    run = connection.exec_driver_sql
    newest_one = run("SELECT day, key_id FROM ledger_digest ORDER BY day DESC LIMIT 1").first()
    day, key_id = newest_one or ("", "")
    keys = run("SELECT key_id FROM ledger_digest GROUP BY key_id ORDER BY max(day)").scalars()
    due_ms = book_figures.read(connection, now_ms).digest_due_ms
    return BookFacts(day, key_id, tuple(keys), due_ms)


def alerts(connection: Connection, now_ms: int) -> AlertFacts:
    """Read what the webhook has not taken."""
    found = book_figures.read(connection, now_ms)
    return AlertFacts(found.undelivered, found.undelivered_oldest_ms)


def runs(connection: Connection, now_ms: int) -> RunFacts:
    """Read the runs that somebody may have to look at."""
    over = ", ".join(f"'{state}'" for state in sorted(RUN_TERMINAL))
    unsent, unsent_ms, unsettled, unsettled_ms = connection.exec_driver_sql(
        f"SELECT count(CASE WHEN state = '{RunState.PENDING}' THEN 1 END),"
        f" min(CASE WHEN state = '{RunState.PENDING}' THEN admit_ms END),"
        f" count(CASE WHEN state IN ({over}) THEN 1 END),"
        f" min(CASE WHEN state IN ({over}) THEN end_ms END) FROM run WHERE settled_ms IS NULL"
    ).one()
    unknown, unknown_ms = alarms.unknown(connection)
    return RunFacts(
        unknown, _age(now_ms, unknown_ms), unsent, _age(now_ms, unsent_ms), unsettled,
        _age(now_ms, unsettled_ms),
    )  # fmt: skip


def queue(connection: Connection, now_ms: int) -> QueueFacts:
    """Read how many jobs wait; an array counts as one.

    The last admission is that of what runs, or of what ended last.
    """
    run = connection.exec_driver_sql
    over = ", ".join(f"'{state}'" for state in sorted(JOB_TERMINAL))
    queued, held, oldest_ms = run(
        "SELECT count(CASE WHEN state = 'QUEUED' THEN 1 END), count(CASE WHEN state = 'HELD'"
        " THEN 1 END), min(CASE WHEN state = 'QUEUED' AND NOT gated THEN submit_ms END)"
        f" FROM job WHERE state NOT IN ({over})"
    ).one()
    last_ms = run(
        "SELECT max(admit_ms) FROM (SELECT max(admit_ms) AS admit_ms FROM run"
        " WHERE settled_ms IS NULL UNION ALL SELECT max(admit_ms) FROM (SELECT admit_ms FROM run"
        f" WHERE {RUN_TOOK} ORDER BY end_ms DESC LIMIT {_LAST_RUNS}) AS ended) AS known"
    ).scalar()
    admitted_ms = None if last_ms is None else _age(now_ms, last_ms)
    return QueueFacts(queued, held, _age(now_ms, oldest_ms), admitted_ms)


def centers(connection: Connection) -> list[CenterFacts]:
    """Read the centers and how many runs each has."""
    over = ", ".join(f"'{state}'" for state in sorted(RUN_TERMINAL))
    rows = connection.exec_driver_sql(
        "SELECT c.code, c.kind, c.simulated, c.state, (SELECT count(*) FROM run r"
        f" WHERE r.center = c.code AND r.settled_ms IS NULL AND r.state NOT IN ({over}))"
        " FROM center c ORDER BY c.code"
    )
    return [CenterFacts(code, kind, bool(simulated), state, int(active))
            for code, kind, simulated, state, active in rows]  # fmt: skip


def _age(now_ms: int, since_ms: int | None) -> int:
    return 0 if since_ms is None else max(0, now_ms - int(since_ms))
