"""What there is at one moment, as plain data: the database's tables, the centers' own books, and
the clients' notes. The auditor (``auditing``) judges it and reads nothing else.

The tables are read by plain SQL in one snapshot. What others know (clients, centers) is taken
before, so that all of it must be in the tables, but for the ends of runs, taken after them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg

from tests.chaos.notes import Feed, Probe


class Job(NamedTuple):
    """A row of ``job``, by its id as people see it."""

    uid: int
    name: str
    city: str
    enterprise: str
    state: str
    attempt: int
    settled: bool
    gross_fen: int
    subsidy_fen: int
    self_pay_fen: int


class Run(NamedTuple):
    """A row of ``run``."""

    uid: int
    attempt: int
    city: str
    enterprise: str
    center: str
    flavor: str
    units: int
    state: str
    failure: str | None
    native_id: str
    admit_ms: int
    start_ms: int | None
    end_ms: int | None
    settled: bool


class Event(NamedTuple):
    """A row of ``event``."""

    seq: int
    kind: str
    uid: int
    attempt: int
    city: str
    state: str


class Quota(NamedTuple):
    """A city's of a flavor, and the flavor's capacity."""

    city: str
    flavor: str
    nominal: int
    borrow: int | None
    lend: int | None
    used: int
    capacity: int


class Account(NamedTuple):
    """A ledger account, as the store sums it."""

    account: str
    ledger: str
    limited: bool
    credit_fen: int
    debits_pending: int
    debits_posted: int
    credits_pending: int
    credits_posted: int


class Entry(NamedTuple):
    """A row of ``transfer``."""

    ledger: str
    kind: str
    code: str
    debit: str
    credit: str
    amount: int
    uid: int
    attempt: int
    leg: str


class Charge(NamedTuple):
    """A run's hold: its state and price, and what was posted of it."""

    uid: int
    attempt: int
    state: str
    price_ufen: int
    gross_fen: int
    posted_fen: int


class Line(NamedTuple):
    """A rated line."""

    uid: int
    attempt: int
    segment: int
    seconds: int
    units: int
    free: int
    gross_fen: int
    billed: bool


class Use(NamedTuple):
    """A usage record."""

    uid: int
    attempt: int
    segment: int
    revision: int
    start_ms: int
    end_ms: int
    units: int


class Limit(NamedTuple):
    """Something of which no more may be used than there is; ``limit`` None is any amount."""

    what: str
    used: int
    limit: int | None


class Stay(NamedTuple):
    """What a center's own books have of a run of ours: how often it took it, and its stay there.

    Instants are epoch milliseconds, None if it has not begun or not ended.
    """

    taken: int
    start_ms: int | None
    end_ms: int | None


@dataclass
class Facts:
    """See the module. ``over`` says that all was done by then: nothing may be open any more.

    ``names`` are our names of runs (``corridor-...``) by run, ``there`` what of them is at a
    center and has not ended, ``taken`` what the simulated center had ever taken, both before the
    tables were read; ``stays`` is what that one's journal has of each run, read after them.
    ``before`` are the final states that were seen earlier, ``plans`` the starts that the planner
    makes of one and the same snapshot, by how it was asked.
    """

    over: bool = False
    jobs: list[Job] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    quotas: list[Quota] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    names: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    acknowledged: Mapping[str, Sequence[int]] = field(default_factory=dict)
    sent: frozenset[str] = frozenset()
    cut: frozenset[int] = frozenset()
    feeds: Sequence[Feed] = ()
    probes: Sequence[Probe] = ()
    leaks: Sequence[str] = ()
    there: Mapping[str, int] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    stays: Mapping[str, Stay] = field(default_factory=dict)
    simulated: str = ""
    before: Mapping[tuple[int, int], str] = field(default_factory=dict)
    plans: Mapping[str, object] = field(default_factory=dict)
    promised: Sequence[str] = ()


_JOB = (
    "SELECT uid, display_name, city, enterprise, state, attempt, settled, gross_fen, subsidy_fen,"
    " self_pay_fen FROM job ORDER BY uid"
)
_RUN = (
    "SELECT job_uid, attempt, city, enterprise, center, flavor, units, state, failure_class,"
    " native_id, admit_ms, start_ms, end_ms, settled_ms IS NOT NULL FROM run"
    " ORDER BY job_uid, attempt"
)
_EVENT = "SELECT seq, kind, job_uid, attempt, city, state FROM event ORDER BY seq"
_QUOTA = (
    "SELECT q.city, q.flavor, q.nominal_units, q.borrow_limit_units, q.lend_limit_units,"
    " q.used_units, f.capacity_units FROM city_quota q JOIN flavor f ON f.code = q.flavor"
)
_LIMITS = (
    "SELECT 'enterprise ' || enterprise || ' ' || flavor, used_units, cap_units"
    " FROM enterprise_quota",
    "SELECT 'cap ' || programme || ' ' || enterprise, pending_fen + posted_fen, limit_fen"
    " FROM cap_counter",
    "SELECT 'budget ' || node || ' ' || flavor, held_unit_seconds + settled_unit_seconds"
    " + given_unit_seconds, allotted_unit_seconds + received_unit_seconds + margin_unit_seconds"
    " FROM budget",
)
_ACCOUNT = (
    "SELECT account_id, ledger, limited, credit_limit_fen, debits_pending, debits_posted,"
    " credits_pending, credits_posted FROM account"
)
_ENTRY = (
    "SELECT ledger, kind, code, debit_account, credit_account, amount_fen, job_uid, attempt,"
    " leg_id FROM transfer ORDER BY shard, seq"
)
_CHARGE = (
    "SELECT job_uid, attempt, min(state), min(price_ufen), sum(gross_fen)::bigint,"
    " sum(posted_fen)::bigint FROM hold GROUP BY 1, 2"
)
_LINE = "SELECT job_uid, attempt, segment, seconds, units, free, gross_fen, billed FROM rated_line"
_USE = "SELECT job_uid, attempt, segment, revision, start_ms, end_ms, units FROM usage_record"


def read_tables(connection: "psycopg.Connection[tuple[Any, ...]]", facts: Facts) -> None:
    """Read all tables in one snapshot."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

        def rows(sql: str) -> Iterable[tuple[Any, ...]]:
            return connection.execute(sql.encode()).fetchall()

        facts.jobs = [Job(*row) for row in rows(_JOB)]
        facts.runs = [Run(*row) for row in rows(_RUN)]
        facts.events = [Event(*row) for row in rows(_EVENT)]
        facts.requests = [str(row[0]) for row in rows("SELECT request_id FROM request_key")]
        facts.quotas = [Quota(*row) for row in rows(_QUOTA)]
        facts.limits = [Limit(*row) for sql in _LIMITS for row in rows(sql)]
        facts.accounts = [Account(*row) for row in rows(_ACCOUNT)]
        facts.entries = [Entry(*row) for row in rows(_ENTRY)]
        facts.charges = [Charge(*row) for row in rows(_CHARGE)]
        facts.lines = [Line(*row) for row in rows(_LINE)]
        facts.uses = [Use(*row) for row in rows(_USE)]


def stays_of(events: Iterable[Mapping[str, Any]]) -> dict[str, Stay]:
    """What a simulated center's journal has of each run, by name."""
    taken: Counter[str] = Counter()
    told: dict[str, dict[str, int]] = defaultdict(dict)
    for event in events:
        name, what = str(event.get("name", "")), event["event"]
        if what == "accept":
            taken[name] += 1
        elif what in ("start", "end", "cancel"):  # which ends it at once
            told[name].setdefault("start" if what == "start" else "end", int(event["at_ms"]))
    return {
        name: Stay(taken[name], told[name].get("start"), told[name].get("end")) for name in taken
    }
