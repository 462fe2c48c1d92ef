"""The checks by name: each reads its facts and has them judged."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from scheduler import __version__, databases, doors, openers
from scheduler.config import BadConfig
from scheduler.control import center_check
from scheduler.doctor import judge_files, judge_store, judge_work, read_files, read_service
from scheduler.doctor.case import LIMIT_S, PART, Case, Skip
from scheduler.doctor.facts import Probed, SettingsFacts
from scheduler.doctor.findings import Findings, fail, skipped
from scheduler.errors import CorridorError
from scheduler.metrics import Metrics
from scheduler.settings import Settings
from scheduler.store import checkup, verification
from scheduler.store.engine import BadDatabase
from scheduler.store.lock import holder
from scheduler.store.looking import Away

_AWAY: Final = "docs/runbooks/service.md#corridordatabaseaway"
_DAY_MS: Final = 86_400_000
_HOUR_S: Final = 3_600.0
#: A controller that is down may take nine seconds to say so.
_CENTERS_S: Final = 30.0


class Check(NamedTuple):
    """A check: ``run`` reads and judges, for ``limit_s`` real seconds unless less is asked for;
    one that is ``patient`` may take its time whatever is asked for."""

    name: str
    run: Callable[[Case], Findings]
    limit_s: float = LIMIT_S
    patient: bool = False

    def allowed_s(self, asked_s: float | None) -> float:
        """Return for how long it is waited for."""
        return self.limit_s if asked_s is None or self.patient else asked_s


# --- what is set ----------------------------------------------------------------------------------


def configuration(case: Case) -> Findings:
    """Would a service start with these settings?"""
    given = case.ask.settings
    refusals = list(case.ask.refusals)
    if given is None:
        return [fail("doctor.settings_refused", _SETTINGS, why=why) for why in refusals]
    refusals += [why for attempt in _ATTEMPTS if (why := _refusal(attempt, given))]
    facts = SettingsFacts(case.ask.settings_file, len(given.origin), tuple(refusals))
    return judge_work.settings(facts, given)


_SETTINGS: Final = "docs/operator.md#settings"
#: What a service opens of its settings alone; each raises what is wrong.
_ATTEMPTS: Final[tuple[Callable[[Settings], object], ...]] = (
    databases.url,
    lambda given: doors.open_doors(given, Metrics().security),
    openers.loop_settings,
    openers.webhook,
    openers.centers_of_file,
)


def _refusal(attempt: Callable[[Settings], object], given: Settings) -> str:
    try:
        attempt(given)
    except CorridorError as error:
        return error.message
    return ""


def certificates(case: Case) -> Findings:
    """Certificates and their keys."""
    found = read_files.certificates(case.settings, case.own_centers(), case.ask.agent)
    server = case.settings.server
    host = server.advertise.rpartition(":")[0].strip("[]")
    name = server.peers_name or host
    return judge_files.certificates(found, case.ask.wall_ms(), name)


def secrets(case: Case) -> Findings:
    """Files that hold secrets."""
    file, agent = case.ask.settings_file, case.ask.agent
    return judge_files.secrets(read_files.secrets(case.settings, file, case.own_centers(), agent))


def disk(case: Case) -> Findings:
    """Room on disks."""
    spaces = read_files.spaces(case.settings, case.ask.agent)
    return judge_files.disk(spaces, read_files.sizes(case.settings, case.ask.agent))


# --- the database ---------------------------------------------------------------------------------


def database(case: Case) -> Findings:
    """The database itself."""
    try:
        looker = case.looker
        looker.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
        began_s = time.monotonic()  # it is open now: what is measured is the answer
        looker.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
        took_ms = round((time.monotonic() - began_s) * 1000)
        if looker.is_sqlite:
            return judge_store.file(looker.read(checkup.file), took_ms)
        return judge_store.server(looker.read(checkup.server), took_ms)
    except (BadDatabase, BadConfig) as error:
        return [fail("doctor.database_none", "docs/operator.md#install-and-start",
                     why=error.message)]  # fmt: skip
    except Away as error:
        return [fail("doctor.database_away", _AWAY, why=str(error))]


def schema(case: Case) -> Findings:
    """The revision of the schema."""
    return judge_store.schema(case.read_any(checkup.schema))


def leader(case: Case) -> Findings:
    """Who leads, and who lives."""
    facts = case.read(checkup.lead)
    if case.looker.is_sqlite:
        data = case.settings.store.data_dir
        return judge_store.lead_of_file(facts, data, holder(Path(data)))
    return judge_store.lead(facts, __version__)


def feed(case: Case) -> Findings:
    """The event feed."""
    facts = case.read(lambda c: checkup.feed(c, case.now_ms(c)))
    return judge_store.feed(facts, round(case.settings.retention.events_d * _DAY_MS))


def clock(case: Case) -> Findings:
    """Clocks."""
    case.read(checkup.time)  # it is open now, and nothing but the answer is measured
    asked_ms, began_s = case.ask.wall_ms(), time.monotonic()
    facts = case.read(checkup.time)
    took_ms = round((time.monotonic() - began_s) * 1000)
    return judge_store.clock(facts, asked_ms, took_ms, case.settings.clock.speed)


# --- the service and what it works with -----------------------------------------------------------


def service(case: Case) -> Findings:
    """The running services."""
    addresses: list[str] = []
    try:
        alive = case.read(checkup.lead).replicas
        addresses = [one.address for one in alive if one.silent_ms <= judge_store.SILENT_MS]
    except (Skip, Away):
        pass  # where it listens is known from the settings
    found: Findings = []
    for door in case.doors(addresses):
        found += judge_work.health(door.address, *read_service.health(door, case.call_s))
    return (found or [skipped("doctor.no_address")]) + judge_work.process(case.service())


def ray(case: Case) -> Findings:
    """The planner's Ray."""
    facts = read_service.ray(case.settings, case.call_s)
    return judge_work.ray(facts, case.service())


def centers(case: Case) -> Findings:
    """Centers: from here, and as the service sees them."""
    known = case.read(checkup.centers)
    probed = [] if not case.own_centers() else asyncio.run(_probe(case))
    found: Findings = []
    seen = None
    try:
        seen = case.seen_centers()
    except Skip as why:
        found.append(why.finding)
    return judge_work.centers(known, probed, seen, case.service()) + found


async def _probe(case: Case) -> list[Probed]:
    here = [one for one in case.own_centers() if one.kind not in ("agent", "simulated")]
    found: list[Probed] = []
    for one in await center_check.check(here, (case.ask.timeout_s or _CENTERS_S) * PART):
        told = [each for each in one.findings if each.level == "OK" and each.topic in _TOLD]
        if told:
            what = "; ".join(each.what for each in told)
            found.append(Probed(one.center.center, "OK", what, ""))
        found += [
            Probed(one.center.center, str(each.level), each.what, each.to_do)
            for each in one.findings
            if each.level in ("WARNING", "ERROR")
        ]
    return found


#: Of what is well, that is told.
_TOLD: Final = ("ENDPOINT", "API", "CLOCK")


# --- the books and the work -----------------------------------------------------------------------


def ledger(case: Case) -> Findings:
    """The ledger's key, digests, and when it was verified."""
    facts = case.read(lambda c: checkup.books(c, case.now_ms(c)))
    key = read_files.key(case.settings, facts.day)
    return judge_work.ledger(facts, key, case.service(), case.ask.wall_ms())


def books(case: Case) -> Findings:
    """The whole ledger, from its first entry."""
    if not case.ask.deep:
        return [skipped("doctor.not_deep")]
    found: Findings = []
    if case.looker.is_sqlite:
        found += judge_work.deep_file(case.read(checkup.file_flaws))
    verified = case.snapshot(verification.verify)
    return found + judge_work.deep(verified.problems, verified.transfer_count, verified.run_count)


def alerts(case: Case) -> Findings:
    """Alerts that the webhook did not take."""
    facts = case.read(lambda c: checkup.alerts(c, case.now_ms(c)))
    return judge_work.alerts(facts, bool(case.settings.alerts.webhook_url))


def runs(case: Case) -> Findings:
    """Runs that hang."""
    facts = case.read(lambda c: checkup.runs(c, case.now_ms(c)))
    return judge_work.runs(facts, round(case.settings.loop.unknown_alarm_s * 1000))


def queue(case: Case) -> Findings:
    """Jobs that wait."""
    return judge_work.queue(case.read(lambda c: checkup.queue(c, case.now_ms(c))))


CHECKS: Final = (
    Check("configuration", configuration),
    Check("database", database),
    Check("schema", schema),
    Check("leader", leader),
    Check("service", service),
    Check("feed", feed),
    Check("clock", clock),
    Check("ray", ray),
    Check("centers", centers, _CENTERS_S),
    Check("certificates", certificates),
    Check("secrets", secrets),
    Check("disk", disk),
    Check("ledger", ledger),
    Check("books", books, _HOUR_S, patient=True),
    Check("alerts", alerts),
    Check("runs", runs),
    Check("queue", queue),
)
