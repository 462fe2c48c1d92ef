"""Why jobs waited when: spells by kind of job, written when a reason changes and not otherwise.

The loop asks the planner now and then which kinds wait for what, and only what changed is written,
at most so much at a time. So the load is bounded whatever the number of jobs; a spell is known to
the loop's period. What a job does alone (held, in a pause, waiting for others) is in the feed.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.reasons import ReasonCode
from scheduler.domain.spells import Course, Happening, Spell
from scheduler.placement.census import Kind, shape_of, subject_of
from scheduler.store import leader
from scheduler.store.database import bulk_insert, bulk_read, bulk_update
from scheduler.store.job_filter import OPEN
from scheduler.store.planner_feed import options_of
from scheduler.store.reason_tables import ReasonSpell
from scheduler.store.tables import table

_COLUMNS: Final = ("subject", "from_ms", "code")
_LISTED_MAX: Final = 500
#: Rows that one pruning takes away.
_PRUNED_MAX: Final = 5_000
_KINDS: Final = ", ".join(
    f"'{kind}'"
    for kind in (
        EventKind.SUBMITTED, EventKind.HELD, EventKind.RELEASED, EventKind.READY,
        EventKind.ADMITTED, EventKind.REQUEUED, EventKind.SUCCEEDED, EventKind.FAILED,
        EventKind.CANCELLED, EventKind.EXPIRED, EventKind.REJECTED,
    )
)  # fmt: skip


class Open(NamedTuple):
    """A spell that goes on."""

    from_ms: int
    code: str


def still_open(connection: Connection) -> dict[str, Open]:
    """Return the spells that go on, by subject."""
    rows = bulk_read(
        connection, "SELECT subject, from_ms, code FROM reason_spell WHERE to_ms IS NULL"
    )
    return {subject: Open(from_ms, code) for subject, from_ms, code in rows}


def changes(
    known: Mapping[str, Open], now: Mapping[str, str], most: int
) -> tuple[dict[str, Open], dict[str, str]]:
    """Return the spells that end and those that begin, of at most ``most`` subjects."""
    ending: dict[str, Open] = {}
    beginning: dict[str, str] = {}
    moved = 0
    for subject, spell in known.items():
        code = now.get(subject)
        if code == spell.code:
            continue
        if moved == most:
            return ending, beginning
        moved += 1
        ending[subject] = spell
        if code is not None:
            beginning[subject] = code
    for subject, code in now.items():
        if subject not in known:
            if moved == most:
                break
            moved += 1
            beginning[subject] = code
    return ending, beginning


def write(
    connection: Connection,
    epoch: int,
    ending: Mapping[str, Open],
    beginning: Mapping[str, str],
    now_ms: int,
) -> dict[str, Open]:
    """End spells and begin others; returns those begun. Raises ``leader.Fenced``."""
    leader.check(connection, epoch)
    bulk_update(
        connection,
        "UPDATE reason_spell SET to_ms = v.column3 FROM {values}"
        " WHERE subject = v.column1 AND from_ms = v.column2",
        [(subject, spell.from_ms, max(now_ms, spell.from_ms)) for subject, spell in ending.items()],
    )
    begun: dict[str, Open] = {}
    for subject, code in beginning.items():
        before = ending.get(subject)
        # Two spells of a subject never begin at one instant, whatever the clock does.
        from_ms = now_ms if before is None else max(now_ms, before.from_ms + 1)
        begun[subject] = Open(from_ms, code)
    rows = [(subject, *spell) for subject, spell in begun.items()]
    bulk_insert(connection, table(ReasonSpell), _COLUMNS, rows)
    return begun


def any_old(connection: Connection, before_ms: int) -> bool:
    """Whether a spell ended before an instant."""
    found = connection.exec_driver_sql(
        f"SELECT 1 FROM reason_spell WHERE to_ms < {before_ms} LIMIT 1"
    )
    return found.first() is not None


def prune(connection: Connection, epoch: int, before_ms: int) -> int:
    """Forget spells that ended before an instant and concern no job that still waits.

    Takes away some thousands at most; returns how many. Raises ``leader.Fenced``.
    """
    leader.check(connection, epoch)
    oldest_ms = connection.exec_driver_sql(
        f"SELECT j.submit_ms FROM job j WHERE {OPEN} ORDER BY j.uid LIMIT 1"
    ).scalar()
    bound_ms = before_ms if oldest_ms is None else min(before_ms, int(oldest_ms))
    return connection.exec_driver_sql(
        "DELETE FROM reason_spell WHERE (subject, from_ms) IN (SELECT subject, from_ms FROM"
        f" reason_spell WHERE to_ms < {bound_ms} ORDER BY to_ms LIMIT {_PRUNED_MAX})"
    ).rowcount


def course_of(connection: Connection, uid: int) -> Course | None:
    """Return what is known of why a job waited when; None if it has no row of its own, or is over
    and what happened to it is no longer kept.

    The caller has looked whether the job may be seen.
    """
    job = connection.exec_driver_sql(
        "SELECT city, enterprise, options, attempt, not_before_ms, gated, deactivated, array_uid"
        " FROM job"
        f" WHERE uid = {uid}"
    ).first()
    if job is None:
        return None
    city, enterprise, options, attempt, not_before_ms, gated, deactivated, array_uid = job
    happened = tuple(
        Happening(EventKind(kind), at_ms, detail)
        for kind, at_ms, detail in bulk_read(
            connection,
            f"SELECT kind, at_ms, detail FROM event WHERE job_uid = {uid}"
            f" AND kind IN ({_KINDS}) ORDER BY seq",
        )
    )
    if not happened:
        return None
    shape = shape_of(options_of(options))
    subjects = [
        f"j{uid}",
        subject_of(Kind(city, enterprise, shape)),
        subject_of(Kind(city, "", shape)),
    ]
    since_ms = happened[0].at_ms
    spells: dict[str, list[Spell]] = {subject: [] for subject in subjects}
    listed = ", ".join(f"'{subject}'" for subject in subjects)
    for subject, from_ms, to_ms, code in bulk_read(
        connection,
        f"SELECT subject, from_ms, to_ms, code FROM reason_spell WHERE subject IN ({listed})"
        f" AND (to_ms IS NULL OR to_ms > {since_ms}) ORDER BY subject, from_ms",
    ):
        spells[subject].append(Spell(ReasonCode(code), from_ms, to_ms))
    return Course(
        happened,
        tuple(tuple(spells[subject]) for subject in subjects),
        not_before_ms if not attempt else 0,
        bool(gated),
        bool(deactivated),
        tuple(spells[subjects[0]]),
        uid == array_uid,
    )


def present(connection: Connection, uids: Collection[int], now_ms: int) -> dict[int, ReasonCode]:
    """Return why jobs wait, those of these that do and have rows, as it was sampled last.

    What was not sampled yet is NOT_EVALUATED. The caller has looked whether the jobs may be seen.
    """
    if not uids:
        return {}
    listed = ", ".join(map(str, sorted(uids)))
    rows = bulk_read(
        connection,
        "SELECT uid, city, enterprise, options, state, attempt, not_before_ms, gated, deactivated,"
        f" array_uid FROM job WHERE uid IN ({listed}) AND state IN ('QUEUED', 'HELD')",
    )
    found: dict[int, ReasonCode] = {}
    asked: dict[int, list[str]] = {}
    for uid, city, enterprise, options, state, attempt, not_before_ms, gated, off, array in rows:
        if state == "HELD":
            found[uid] = ReasonCode.DEACTIVATED if off else ReasonCode.QUEUE_HELD
            continue
        if gated or array == uid:  # of an array: unless an element waits to be placed
            found[uid] = ReasonCode.DEPENDENCY
        asked[uid] = [] if gated else [f"j{uid}"]
        if not_before_ms > now_ms:
            found.setdefault(uid, ReasonCode.RETRY_BACKOFF if attempt else ReasonCode.NOT_BEFORE)
        elif not gated:
            shape = shape_of(options_of(options))
            asked[uid] += [subject_of(Kind(city, who, shape)) for who in (enterprise, "")]
    sampled = _open_spells(connection, sorted({one for each in asked.values() for one in each}))
    for uid, subjects in asked.items():
        codes = (sampled[one] for one in subjects if one in sampled)
        found[uid] = next(codes, found.get(uid, ReasonCode.NOT_EVALUATED))
    return found


def _open_spells(connection: Connection, subjects: Sequence[str]) -> dict[str, ReasonCode]:
    found: dict[str, ReasonCode] = {}
    for first in range(0, len(subjects), _LISTED_MAX):
        some = ", ".join(f"'{one}'" for one in subjects[first : first + _LISTED_MAX])
        rows = bulk_read(
            connection,
            f"SELECT subject, code FROM reason_spell WHERE to_ms IS NULL AND subject IN ({some})",
        )
        found.update((subject, ReasonCode(code)) for subject, code in rows)
    return found
