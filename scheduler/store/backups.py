"""What a backup has in it, read from a database or compared with one; and how one is gone on from.

Counts of all tables and heads of all chains are read in one snapshot with what is copied, so that
what was restored can be held against them.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, inspect

from scheduler.store import budget_journal, funds, migrate, transfers

#: Epochs and events of after a backup begin so far above those that it has. Centers obey no epoch
#: below one that they know, and a watcher's place in the feed must not come again as another's.
EPOCHS_ON: Final = 1_000_000
EVENTS_ON: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Contents:
    """Rows of each table, and the head of each chain: its last number and hash in hex.

    ``digest`` is the SHA-256 of the newest daily digest, empty if there is none.
    """

    revision: str
    tables: dict[str, int]
    heads: dict[str, tuple[int, str]]
    digest: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "revision": self.revision,
            "tables": self.tables,
            "heads": {shard: list(head) for shard, head in self.heads.items()},
            "digest": self.digest,
        }

    @classmethod
    def of_json(cls, found: Any) -> "Contents":
        """Read it again. Raises ``KeyError``, ``TypeError``, ``ValueError`` for what is none."""
        heads = {str(shard): (int(seq), str(hash)) for shard, (seq, hash) in found["heads"].items()}
        tables = {str(name): int(count) for name, count in found["tables"].items()}
        return cls(str(found["revision"]), tables, heads, str(found["digest"]))


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of a database: entries and runs that were verified, and what is wrong.

    ``transfer_count`` is None if its schema is another one than this version verifies.
    """

    transfer_count: int | None = None
    run_count: int = 0
    problems: list[str] = field(default_factory=list)


def contents(connection: Connection) -> Contents:
    """Return what a database has, on the caller's snapshot."""
    run = connection.exec_driver_sql
    names = sorted(inspect(connection).get_table_names())
    tables = {name: int(run(f'SELECT count(*) FROM "{name}"').scalar_one()) for name in names}
    heads = {
        shard: (seq, bytes(hash).hex())
        for shard, (seq, hash) in sorted(transfers.read_heads(connection).items())
    }
    digest = ""
    if "ledger_digest" in tables:
        query = "SELECT sha256 FROM ledger_digest ORDER BY day DESC LIMIT 1"
        digest = str(run(query).scalar() or "")
    return Contents(migrate.revision(connection) or "", tables, heads, digest)


def differences(wanted: Contents, found: Contents) -> list[str]:
    """Say how what a database has differs from what a backup ought to have."""
    problems = []
    if wanted.revision != found.revision:
        problems.append(f"the schema is at revision {found.revision}, not {wanted.revision}")
    for name in sorted({*wanted.tables, *found.tables}):
        ought, has = wanted.tables.get(name), found.tables.get(name)
        if ought != has:
            problems.append(f"table {name}: has {has} rows, not {ought}")
    for shard in sorted({*wanted.heads, *found.heads}):
        if wanted.heads.get(shard) != found.heads.get(shard):
            problems.append(f"shard {shard}: its head is another one")
    if wanted.digest != found.digest:
        problems.append("the newest digest of the ledger is another one")
    return problems


def verified(connection: Connection) -> Checked:
    """Verify ledger, digests and budgets from the first entry, on the caller's snapshot."""
    if migrate.revision(connection) != migrate.head():
        return Checked()
    ledger = funds.verify(connection)
    budgets = budget_journal.verify(connection)
    problems = [*ledger.problems, *(f"budgets: {one}" for one in budgets.problems)]
    return Checked(ledger.transfer_count, ledger.run_count, problems)


def go_on(connection: Connection) -> None:
    """Let a restored database be gone on from: as none that was gone on from before."""
    run = connection.exec_driver_sql
    run(f"UPDATE leader SET epoch = epoch + {EPOCHS_ON}")
    if inspect(connection).has_table("leader_lease"):
        run("DELETE FROM leader_lease")
        run("UPDATE replica SET left_ms = seen_ms WHERE left_ms IS NULL")
    if connection.dialect.name == "sqlite":
        run(f"UPDATE sqlite_sequence SET seq = seq + {EVENTS_ON} WHERE name = 'event'")
    else:
        name = run("SELECT pg_get_serial_sequence('event', 'seq')").scalar_one()
        run(f"SELECT setval('{name}', (SELECT last_value FROM {name}) + {EVENTS_ON})")


def export_snapshot(connection: Connection) -> str:
    """Return the name by which another connection sees what this transaction sees (PostgreSQL).

    The transaction may wait for the other one as long as it takes.
    """
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    return str(connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one())


def server_version(connection: Connection) -> int:
    """Return the major version of the server of PostgreSQL."""
    return int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10_000
