"""What PostgreSQL is told about a schema beyond its tables: guards, grants and room for changes.

Run after every upgrade, over whatever tables there are by then. Doing it again changes nothing.

- Triggers refuse UPDATE and DELETE of tables that are only ever added to (the revisions make
  them); here TRUNCATE too, and with the error of a broken constraint, as on SQLite. Others refuse
  to delete what was decided once, and to change what a version of a rule or a price says.
- The role ``corridor_service`` may do what the service does: it may add to those tables and never
  change them, and owns none, so that it cannot take the triggers away. It is made where the owner
  of the database may make roles; an administrator may make it before, without a login.
- Pages of tables whose rows are written again are filled by half. What a run comes to then lies
  beside what was held for it, and no index need learn of it: a third of the work and of the log.
"""

from typing import Final

from sqlalchemy import Connection

SERVICE_ROLE: Final = "corridor_service"
_INSERT_ONLY: Final = "corridor_insert_only"
#: Guards tables of which little may be changed, and nothing deleted.
_REFUSE: Final = "corridor_refuse"

_CONSTRAINT: Final = (
    f"CREATE OR REPLACE FUNCTION {_INSERT_ONLY}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " RAISE EXCEPTION '% is insert-only', TG_TABLE_NAME USING ERRCODE = '23000'; END $$"
)
_GUARDED: Final = (
    "SELECT DISTINCT c.relname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " JOIN pg_proc p ON p.oid = t.tgfoid"
    " WHERE p.proname = ? AND c.relnamespace = current_schema()::regnamespace ORDER BY 1"
)
#: Rows of these are changed once, at the end of a run, and are a little longer then.
_WRITTEN_TWICE: Final = ("hold", "hold_leg", "budget_hold")
#: Rows of these go when they are old (``scheduler.store.retention``): their room is to be had again
#: before a fifth of the table is empty, which of years of rows is very much.
_PRUNED: Final = ("event", "job", "request_key")
#: Rows of these are changed by every charge.
_HOT: Final = ("account", "cap_counter", "ledger_shard")
_FILLED_PERCENT: Final = 45
#: Texts that languages order otherwise than their code points do.
_ORDERED: Final = "ARRAY['-a', 'B', 'Z', '_', 'a', 'b', 'é', '武汉']"
_BY_CODE_POINT: Final = f"SELECT array_agg(v ORDER BY v) = {_ORDERED} FROM unnest({_ORDERED}) AS v"


def set_up(connection: Connection) -> None:
    """Guard the tables that are there, in the caller's transaction; nothing to do on SQLite."""
    if connection.dialect.name == "sqlite":
        return
    connection.exec_driver_sql(_CONSTRAINT)
    guarded = insert_only(connection)
    for table in guarded:
        connection.exec_driver_sql(
            f"CREATE OR REPLACE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {_INSERT_ONLY}()"
        )
    for table in kept(connection):
        connection.exec_driver_sql(
            f"CREATE OR REPLACE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {_REFUSE}('rows of {table} are kept')"
        )
    for table in (*_WRITTEN_TWICE, *_HOT):
        connection.exec_driver_sql(
            f"ALTER TABLE IF EXISTS {table} SET (fillfactor = {_FILLED_PERCENT})"
        )
    for table in _PRUNED:
        connection.exec_driver_sql(
            f"ALTER TABLE IF EXISTS {table} SET (autovacuum_vacuum_scale_factor = 0.02)"
        )
    if _has_role(connection):
        _grant(connection, guarded)


def kept(connection: Connection) -> list[str]:
    """Return the tables whose rows are never deleted, and hardly changed (PostgreSQL alone)."""
    return list(connection.exec_driver_sql(_GUARDED, (_REFUSE,)).scalars())


def insert_only(connection: Connection) -> list[str]:
    """Return the tables that are only ever added to, by name (PostgreSQL alone)."""
    return list(connection.exec_driver_sql(_GUARDED, (_INSERT_ONLY,)).scalars())


def orders_by_code_point(connection: Connection) -> bool:
    """Whether texts are kept in UTF-8 and ordered by code point, as by SQLite and Python."""
    if connection.dialect.name == "sqlite":
        return True
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    return encoding == "UTF8" and bool(connection.exec_driver_sql(_BY_CODE_POINT).scalar_one())


def _has_role(connection: Connection) -> bool:
    """Whether there is the service's role, made now if it may be."""
    run = connection.exec_driver_sql
    if run("SELECT 1 FROM pg_roles WHERE rolname = ?", (SERVICE_ROLE,)).first():
        return True
    may = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    if not run(may).scalar_one():
        return False
    run(f"CREATE ROLE {SERVICE_ROLE} NOLOGIN")
    return True


def _grant(connection: Connection, guarded: list[str]) -> None:
    run = connection.exec_driver_sql
    schema = run("SELECT quote_ident(current_schema())").scalar_one()
    tables = f"ALL TABLES IN SCHEMA {schema}"
    run(f"GRANT USAGE ON SCHEMA {schema} TO {SERVICE_ROLE}")
    run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {SERVICE_ROLE}")
    run(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {SERVICE_ROLE}")
    run(f"REVOKE TRUNCATE, REFERENCES, TRIGGER ON {tables} FROM {SERVICE_ROLE}")
    for table in guarded:
        run(f"REVOKE UPDATE, DELETE ON {table} FROM {SERVICE_ROLE}")
    for table in kept(connection):
        run(f"REVOKE DELETE ON {table} FROM {SERVICE_ROLE}")
    run(f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {SERVICE_ROLE}")
