from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlmodel import SQLModel

from scheduler.domain.principal import EVERYTHING
from scheduler.store import (
    approval_tables,
    budget_tables,
    charge_tables,
    digest_tables,
    fund_tables,
    job_tables,
    migrate,
    pools,
    quota_tables,
    quotas,
    quotas_enterprises,
    reason_tables,
    recon_tables,
    retention_tables,
    statement_tables,
    tables,
    trace_tables,
)
from scheduler.store.database import open_engine
from tests.stores import Stores

GUARDED = (
    tables.Transfer,
    tables.AuditEvent,
    tables.UsageRecord,
    tables.RatedLine,
    tables.SubsidyLine,
    budget_tables.BudgetEntry,
    charge_tables.Correction,
    fund_tables.BookHead,
    fund_tables.FundClose,
    statement_tables.StatementFile,
    statement_tables.StatementParty,
    statement_tables.StatementRange,
    digest_tables.LedgerDigest,
    recon_tables.ReconRun,
    approval_tables.LoneChange,
)


@pytest.fixture
def engine(stores: Stores) -> Iterator[Engine]:
    engine = open_engine(stores.empty())
    yield engine
    engine.dispose()


@pytest.fixture
def ready(stores: Stores) -> Iterator[Engine]:
    """A database at the newest revision."""
    engine = open_engine(stores.migrated())
    yield engine
    engine.dispose()


#: Modules of tables, whose import fills the metadata that a database is compared with.
TABLES = (
    tables,
    quota_tables,
    budget_tables,
    charge_tables,
    fund_tables,
    job_tables,
    reason_tables,
    retention_tables,
    statement_tables,
    trace_tables,
)


def test_the_migrated_schema_is_that_of_the_tables(engine: Engine) -> None:
    assert migrate.current(engine) is None
    assert migrate.upgrade(engine) == migrate.head() == migrate.current(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    migrate.check(engine)


def test_revisions_are_found_by_the_names_of_their_files() -> None:
    folder = Path(migrate.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    script = ScriptDirectory.from_config(config)
    in_order = [revision.revision for revision in script.walk_revisions()][::-1]
    names = sorted(path.name for path in (folder / "versions").glob("rev_*.py"))
    assert [name.split("_")[1] for name in names] == in_order
    assert migrate.head() == script.get_current_head()


def test_checks_indexes_and_primary_keys_are_those_of_the_tables(
    engine: Engine, stores: Stores
) -> None:
    """What Alembic does not compare."""
    migrate.upgrade(engine)
    fresh = open_engine(stores.empty())
    SQLModel.metadata.create_all(fresh)
    for name in SQLModel.metadata.tables:
        assert _shape(engine, name) == _shape(fresh, name), name
    fresh.dispose()


def _shape(engine: Engine, table: str) -> dict[str, object]:
    found = sa.inspect(engine)
    columns = found.get_columns(table)
    return {
        "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in columns],
        "primary": found.get_pk_constraint(table)["constrained_columns"],
        "checks": sorted(
            (c["name"] or "", c["sqltext"]) for c in found.get_check_constraints(table)
        ),
        "foreign": sorted(
            (k["constrained_columns"], k["referred_table"]) for k in found.get_foreign_keys(table)
        ),
        "unique": sorted(u["column_names"] for u in found.get_unique_constraints(table)),
        "indexes": sorted(
            (i["name"] or "", i["column_names"], i["unique"]) for i in found.get_indexes(table)
        ),
    }


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO city VALUES ('a', 'a', 'a', 1)")
    migrate.upgrade(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM city").scalar_one() == 1


@pytest.mark.parametrize("model", GUARDED, ids=lambda model: str(model.__tablename__))
def test_facts_cannot_be_changed_or_deleted(ready: Engine, model: type[SQLModel]) -> None:
    target = tables.table(model)
    with ready.begin() as connection:
        connection.execute(sa.insert(target), _row(target))
    for statement in (
        sa.update(target).values({target.c[0]: target.c[0]}),
        sa.delete(target),
    ):
        with (
            pytest.raises(sa.exc.IntegrityError, match="insert-only"),
            ready.begin() as connection,
        ):
            connection.execute(statement)
    with ready.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(target)).scalar() == 1


#: Values that the checks of a table ask for.
_FITTING: dict[str, dict[str, object]] = {
    "correction": {"kind": "USAGE", "gross_fen": 3},
    "recon_run": {"to_ms": 2},
}


def _row(target: sa.Table) -> dict[str, object]:
    def value(column: sa.Column[object]) -> object:
        if isinstance(column.type, sa.LargeBinary):
            return b"x"
        if isinstance(column.type, sa.Boolean):
            return True
        return 1 if isinstance(column.type, sa.Integer) else "x"

    row = {column.name: value(column) for column in target.columns}
    return row | _FITTING.get(target.name, {})


def test_an_empty_database_is_named(engine: Engine) -> None:
    with pytest.raises(migrate.BadSchema, match="corridor init"):
        migrate.check(engine)


def test_a_newer_database_is_refused(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for act in (migrate.check, migrate.upgrade):
        with pytest.raises(migrate.BadSchema, match="newer"):
            act(engine)


def test_a_database_of_somebody_else_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (a INTEGER)")
    with pytest.raises(migrate.BadSchema, match="theirs"):
        migrate.upgrade(engine)


def _first_release(engine: Engine) -> None:
    """A database as the first version made and used it."""
    config = migrate._config()
    with engine.connect() as raw:
        connection = raw.execution_options(corridor_write=True)
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            for statement in (
                "INSERT INTO city VALUES ('wuhan', '武汉', 'Wuhan', 3)",
                "INSERT INTO center VALUES ('ai', 'ai', 'ai', 'simulated', TRUE, 'OPEN', '{}')",
                "INSERT INTO flavor VALUES"
                " ('ai/npu', 'ai', 'n', 'n', 'card', 'aarch64', 8, 8, 9, 0)",
                "INSERT INTO enterprise VALUES"
                " ('w1', 'w1', 'wuhan', NULL, 'SMALL', '', FALSE, FALSE, 1, 0)",
                "INSERT INTO city_quota VALUES ('wuhan', 'ai/npu', 8, NULL, 2, 5, 3, 1)",
                "INSERT INTO enterprise_quota VALUES ('w1', 'ai/npu', 6, 5, 2, 1)",
            ):
                connection.exec_driver_sql(statement)


def test_quotas_of_the_first_release_keep_their_meaning(engine: Engine) -> None:
    _first_release(engine)
    assert migrate.upgrade(engine) == migrate.head()
    with engine.connect() as connection:
        [pool] = pools.read(connection).values()
        assert (pool.effective_units, pool.promised_units, pool.overcommitted_units) == (8, 8, 0)
        row = quotas_enterprises.get_enterprise_quota(connection, EVERYTHING, "w1", "ai/npu")
        assert (row.cap_units, row.used_units, row.guarantee_units, row.etag) == (6, 5, 0, "2")
        quota = quotas.get_city_quota(connection, EVERYTHING, "wuhan", "ai/npu")
        assert (quota.used_units, quota.limits.guaranteed_units, quota.etag) == (5, 6, "3")
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql("UPDATE enterprise_quota SET guarantee_units = -1")


def test_rules_and_prices_of_the_first_release_get_their_ends(engine: Engine) -> None:
    """Then a newer version of a rule left the one before it without one."""
    _first_release(engine)
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO programme VALUES"
            " ('v', 'wuhan', 'v', '', TRUE, 'DEDUCT', 'POOL', 0, NULL, 'ACTIVE')",
            "INSERT INTO rule_version VALUES ('v', 1, 100, NULL, '{}', 'a')",
            "INSERT INTO rule_version VALUES ('v', 2, 200, NULL, '{}', 'b')",
            "INSERT INTO rule_version VALUES ('v', 3, 200, NULL, '{}', 'c')",
            "INSERT INTO price_version VALUES ('p@1', 'ai', 'ai/npu', 'card', 5, 100, NULL, 'x')",
        ):
            connection.exec_driver_sql(statement)
    migrate.upgrade(engine)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT version, effective_from_ms, effective_to_ms, sha256, created_by"
            " FROM rule_version ORDER BY version"
        ).all()
        assert [tuple(row) for row in rows] == [
            (1, 100, 200, "a", ""), (2, 200, 200, "b", ""), (3, 200, None, "c", ""),
        ]  # fmt: skip
        prices = connection.exec_driver_sql(
            "SELECT price_ufen, effective_to_ms, created_by, approved_by FROM price_version"
        ).all()
        assert [tuple(row) for row in prices] == [(5, None, "x", "")]


def test_facts_of_before_are_kept_and_earlier_support_is_dated_from_always(engine: Engine) -> None:
    config = migrate._config()
    with engine.connect() as raw:
        connection = raw.execution_options(corridor_write=True)
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "0016")
            for statement in (
                "INSERT INTO city VALUES ('wuhan', '武汉', 'Wuhan', 3)",
                "INSERT INTO center VALUES ('ai', 'ai', 'ai', 'simulated', TRUE, 'OPEN', '{}')",
                "INSERT INTO enterprise"
                " (code, name, city, size_class, sector, startup, blocked, weight, created_ms)"
                " VALUES ('w1', 'w1', 'wuhan', 'SMALL', '', FALSE, FALSE, 1, 0)",
                "INSERT INTO related_party VALUES ('w1', 'ai', 5, 9, 'register')",
                "INSERT INTO listed_project VALUES ('w1', 'tech', 'T-1', 5, NULL, 'notice')",
                "INSERT INTO earlier_support VALUES ('w1', 'p', 2024, 'before')",
            ):
                connection.exec_driver_sql(statement)
        with connection.begin():
            command.upgrade(config, "0017")
        facts = {
            table: tuple(connection.exec_driver_sql(f"SELECT * FROM {table}").one())
            for table in ("related_party", "listed_project", "earlier_support")
        }
        assert facts == {
            "related_party": ("w1", "ai", 5, 9, "register"),
            "listed_project": ("w1", "tech", "T-1", 5, None, "notice"),
            "earlier_support": ("w1", "p", 2024, 0, None, "before"),
        }
