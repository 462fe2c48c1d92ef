"""Judges what was read of the database: pure, and with the limits at which alerts are raised.

Lengths are in milliseconds, as the facts have them.
"""

from collections.abc import Iterator
from typing import Final

from scheduler.doctor.findings import Finding, Findings, Size, Span, fail, ok, skipped, warn
from scheduler.domain.checkup import (
    FeedFacts,
    FileFacts,
    LeadFacts,
    Replica,
    SchemaFacts,
    ServerFacts,
    TimeFacts,
    Transaction,
)

_RUNBOOK: Final = "docs/runbooks/service.md#"
_DATABASE: Final = "docs/postgresql.md#settings"
_MAKE: Final = "docs/postgresql.md#make-it"

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000
#: An answer that takes longer is slow (alert CorridorDatabaseSlow).
_SLOW_MS: Final = 500
#: Triggers are replaced in place, which earlier ones cannot (``store.guards``).
_VERSION_LEAST: Final = 140_000
_CONNECTIONS_WARN: Final = 80  # percent
_CONNECTIONS_FAIL: Final = 95
#: Nothing of ours reads for longer (``store.read_timeout_s``) but a verification.
_TRANSACTION_MS: Final = 15 * _MINUTE_MS
_IDLE_MS: Final = 5 * _MINUTE_MS
#: PostgreSQL freezes by itself at 200 million, and stops near 2,100 million.
_FROZEN_WARN: Final = 1_000_000_000
_FROZEN_FAIL: Final = 1_800_000_000
_KEPT_BYTES: Final = 1 << 30
#: Writes of ours are over sooner: they take milliseconds, and are ended after a minute.
_WRITER_WARN_MS: Final = 10_000
_WRITER_FAIL_MS: Final = _MINUTE_MS
#: So much longer than told may an event be kept (alert CorridorRetentionBehind).
_RETENTION_MS: Final = 2 * _DAY_MS
_SKEW_WARN_MS: Final = 2_000  # alert CorridorClockSkew
_SKEW_FAIL_MS: Final = 30_000
#: By so much may real centers' time differ from ours: beyond it a service does not start.
_AHEAD_MS: Final = 60_000
#: A replica that was not seen for so long may have lost its number (``store.replicas``).
SILENT_MS: Final = 60_000


def server(facts: ServerFacts, took_ms: int) -> Findings:
    """Judge a server of PostgreSQL that answered within ``took_ms``."""
    most = facts.connections_max - facts.spare
    found = [
        ok(
            "doctor.postgresql", release=facts.release, ms=took_ms, used=facts.connections,
            most=most, size=Size(facts.size_bytes),
        )
    ]  # fmt: skip
    if facts.version < _VERSION_LEAST:
        found.append(fail("doctor.postgresql_old", _MAKE, release=facts.release))
    if facts.is_standby:
        found.append(fail("doctor.standby", _DATABASE))
    if not facts.by_code_point:
        found.append(fail("doctor.order_of_texts", _MAKE))
    found += [fail("doctor.unsafe", _DATABASE, setting=name) for name in facts.unsafe]
    found += _slow(took_ms)
    found += _connections(facts.connections, most)
    found += _transactions(facts)
    if facts.frozen_age >= _FROZEN_WARN:
        judge = fail if facts.frozen_age >= _FROZEN_FAIL else warn
        found.append(judge("doctor.not_frozen", _DATABASE, age=facts.frozen_age))
    if facts.kept_bytes >= _KEPT_BYTES:
        found.append(warn("doctor.slot", _DATABASE, size=Size(facts.kept_bytes)))
    return found


def _slow(took_ms: int) -> Iterator[Finding]:
    if took_ms > _SLOW_MS:
        yield warn("doctor.database_slow", f"{_RUNBOOK}corridordatabaseslow", ms=took_ms)


def _connections(used: int, most: int) -> Iterator[Finding]:
    percent = 100 * used // max(1, most)
    if percent >= _CONNECTIONS_WARN:
        judge = fail if percent >= _CONNECTIONS_FAIL else warn
        yield judge("doctor.connections", _DATABASE, used=used, most=most)


def _transactions(facts: ServerFacts) -> Iterator[Finding]:
    idle, oldest = facts.idle, facts.oldest
    if idle is not None and idle.age_ms >= _IDLE_MS:
        yield warn("doctor.idle_in_transaction", _DATABASE, **_who(idle))
    if (
        oldest is not None
        and oldest.age_ms >= _TRANSACTION_MS
        and oldest.pid != (idle.pid if idle is not None else None)
    ):
        yield warn("doctor.long_transaction", _DATABASE, **_who(oldest))
    if facts.prepared:
        yield warn("doctor.prepared", _DATABASE, n=facts.prepared)


def _who(one: Transaction) -> dict[str, str | int]:
    return {"pid": one.pid, "program": one.program or "?", "age": Span(one.age_ms)}


def file(facts: FileFacts, took_ms: int) -> Findings:
    """Judge a database of SQLite."""
    size = Size(facts.size_bytes)
    return [ok("doctor.sqlite", release=facts.release, ms=took_ms, size=size), *_slow(took_ms)]


def schema(facts: SchemaFacts) -> Findings:
    """Judge the revision of the schema."""
    see = "docs/postgresql.md#change-the-schema"
    if facts.found == facts.head:
        return [ok("doctor.schema", revision=facts.head)]
    if facts.found is None:
        if facts.tables:
            return [fail("doctor.schema_foreign", _MAKE, n=facts.tables)]
        return [fail("doctor.schema_none", "docs/operator.md#install-and-start")]
    values = {"revision": facts.found, "head": facts.head}
    if facts.found not in facts.known:
        return [fail("doctor.schema_newer", see, **values)]
    behind = facts.known.index(facts.head) - facts.known.index(facts.found)
    return [fail("doctor.schema_behind", see, n=behind, **values)]


def lead(facts: LeadFacts, own_version: str) -> Findings:
    """Judge who leads on a database of PostgreSQL, and who lives beside."""
    alive = [one for one in facts.replicas if one.silent_ms <= SILENT_MS]
    found = [_leader(facts, alive)]
    for one in facts.replicas:
        if one.silent_ms > SILENT_MS:
            see = f"{_RUNBOOK}corridorreplicadown"
            found.append(warn("doctor.replica_silent", see, name=one.name, age=Span(one.silent_ms)))
    versions = sorted({one.version for one in alive})
    see = f"{_RUNBOOK}corridorversionsdiffer"
    if len(versions) > 1:
        told = ", ".join(f"{one.name} {one.version}" for one in alive)
        found.append(warn("doctor.versions_differ", see, versions=told))
    elif versions and versions != [own_version]:
        found.append(warn("doctor.version_other", see, theirs=versions[0], ours=own_version))
    return found


def _leader(facts: LeadFacts, alive: list[Replica]) -> Finding:
    if not alive and not facts.holder:
        return fail("doctor.no_service", f"{_RUNBOOK}corridordown")
    names = ", ".join(one.name for one in alive)
    if not facts.holder:
        see = f"{_RUNBOOK}corridornoleader"
        if not facts.epoch:
            return fail("doctor.never_led", see, n=len(alive), names=names)
        since = Span(facts.renewed_ms)
        return fail("doctor.no_leader", see, age=since, n=len(alive), names=names)
    return ok(
        "doctor.leader", name=facts.holder, epoch=facts.epoch, age=Span(facts.renewed_ms),
        n=len(alive), names=names,
    )  # fmt: skip


def lead_of_file(facts: LeadFacts, data_dir: str, pid: int | None) -> Findings:
    """Judge who works on a database of SQLite: ``pid`` has the lock of its data directory."""
    if pid is None:
        return [fail("doctor.nobody_serves", f"{_RUNBOOK}corridordown", path=data_dir)]
    return [ok("doctor.serves_alone", pid=pid, epoch=facts.epoch)]


def feed(facts: FeedFacts, keep_ms: int) -> Findings:
    """Judge up to where the feed is whole; events are to be kept for ``keep_ms``, 0 for ever."""
    found = [ok("doctor.feed", last=facts.last, behind=max(0, facts.last - facts.horizon))]
    writer = facts.writer
    if writer is not None and writer.age_ms >= _WRITER_WARN_MS:
        judge = fail if writer.age_ms >= _WRITER_FAIL_MS else warn
        behind = max(0, facts.last - facts.horizon)
        see = f"{_RUNBOOK}corridorplannerbehind"
        found.append(judge("doctor.feed_held", see, behind=behind, **_who(writer)))
    over_ms = facts.oldest_ms - keep_ms
    if keep_ms and over_ms > _RETENTION_MS:
        see = f"{_RUNBOOK}corridorretentionbehind"
        found.append(warn("doctor.feed_kept", see, over=Span(over_ms)))
    return found


def clock(facts: TimeFacts, asked_ms: int, took_ms: int, speed: float) -> Findings:
    """Judge clocks: the database was asked at ``asked_ms`` of ours and took ``took_ms``."""
    see = f"{_RUNBOOK}corridorclockskew"
    found: Findings = []
    if facts.clock_ms is None:
        found.append(skipped("doctor.clock_same"))
    else:
        skew_ms = facts.clock_ms - (asked_ms + took_ms // 2)
        found.append(_skew(skew_ms, max(0, abs(skew_ms) - took_ms // 2), see))
    ahead_ms = 0 if facts.newest_ms is None else facts.newest_ms - asked_ms
    if speed != 1:
        found.append(warn("doctor.clock_scaled", "docs/operator.md#settings", speed=f"{speed:g}"))
    elif ahead_ms > _AHEAD_MS:
        found.append(warn("doctor.clock_ahead", see, age=Span(ahead_ms)))
    return found


def _skew(skew_ms: int, at_least_ms: int, see: str) -> Finding:
    """What the answer's own way may explain is not held against the clocks."""
    seconds = f"{skew_ms / 1000:+.1f}"
    if at_least_ms > _SKEW_FAIL_MS:
        return fail("doctor.clock_skew", see, seconds=seconds)
    if at_least_ms > _SKEW_WARN_MS:
        return warn("doctor.clock_skew", see, seconds=seconds)
    return ok("doctor.clock", seconds=seconds)
