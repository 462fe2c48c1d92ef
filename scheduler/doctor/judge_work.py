"""Judges settings, the service, Ray, centers, the ledger, and the work there is: pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from scheduler.doctor.facts import (
    KeyFacts,
    Probed,
    RayFacts,
    SeenCenter,
    ServiceFacts,
    SettingsFacts,
)
from scheduler.doctor.findings import (
    Finding,
    Findings,
    Span,
    Value,
    fail,
    ok,
    skipped,
    warn,
)
from scheduler.domain.checkup import AlertFacts, BookFacts, CenterFacts, QueueFacts, RunFacts
from scheduler.settings import Settings

_SERVICE: Final = "docs/runbooks/service.md#"
_CENTERS: Final = "docs/runbooks/centers.md#"
_MONEY: Final = "docs/runbooks/money.md#"
_SETTINGS: Final = "docs/operator.md#settings"

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000
_DIGEST_MS: Final = _HOUR_MS  # alert CorridorDigestLate
_VERIFIED_MS: Final = 2 * _DAY_MS  # alert CorridorBooksNotVerified
_UNDELIVERED_MS: Final = _HOUR_MS  # alert CorridorAlertsNotDelivered
#: A center that answers is sent runs within seconds.
_UNSENT_MS: Final = 10 * _MINUTE_MS
_UNSETTLED_MS: Final = _HOUR_MS  # alert CorridorRunsUnsettled
_UNSETTLED_FAIL_MS: Final = _DAY_MS
_STILL_MS: Final = _HOUR_MS
_FILES_PERCENT: Final = 80  # alert CorridorFilesOpen


# --- settings -------------------------------------------------------------------------------------


def settings(facts: SettingsFacts, given: Settings) -> Findings:
    """Judge settings that could be read: what a service would refuse, and what contradicts."""
    found = [fail("doctor.settings_refused", _SETTINGS, why=why) for why in facts.refusals]
    found += _contradictions(given)
    if found:
        return found
    if not facts.file:
        return [ok("doctor.settings_bare", n=facts.given)]
    return [ok("doctor.settings", file=facts.file, n=facts.given)]


def _contradictions(given: Settings) -> Iterator[Finding]:
    server, planner = given.server, given.planner
    pairs = (
        ("server.insecure", "server.tls_cert", server.insecure and server.tls_cert),
        ("planner.ray_address", "planner.ray", planner.ray == "off" and planner.ray_address),
    )
    for idle, beside, both in pairs:
        if both:
            yield warn("doctor.setting_idle", _SETTINGS, name=idle, beside=beside)
    lonely = (
        ("server.peers_ca", "server.tls_cert", server.peers_ca and not server.tls_cert),
        ("server.peers_name", "server.tls_cert", server.peers_name and not server.tls_cert),
        ("oidc.roles", "oidc.issuer", given.oidc.roles and not given.oidc.issuer),
        (
            "alerts.webhook_secret_file", "alerts.webhook_url",
            given.alerts.webhook_secret_file and not given.alerts.webhook_url,
        ),
    )  # fmt: skip
    for name, wanted, alone in lonely:
        if alone:
            yield warn("doctor.setting_lonely", _SETTINGS, name=name, wanted=wanted)
    if server.insecure and not server.tls_cert:
        yield warn("doctor.insecure", "docs/security.md#tls", listen=server.listen)
    everywhere = server.listen.rpartition(":")[0].strip("[]") in ("0.0.0.0", "::")
    if everywhere and given.store.url and not server.advertise:
        yield warn("doctor.not_advertised", "docs/replicas.md#set-it-up", listen=server.listen)


# --- the service and Ray --------------------------------------------------------------------------


def health(address: str, said: str, why: str) -> Findings:
    """Judge what a service says of its health: SERVING, NOT_SERVING or UNREACHABLE."""
    if said == "SERVING":
        return [ok("doctor.serving", address=address)]
    see = f"{_SERVICE}corridordown"
    if said == "NOT_SERVING":
        return [fail("doctor.not_serving", see, address=address)]
    return [fail("doctor.unreachable", see, address=address, why=why)]


def process(facts: ServiceFacts) -> Findings:
    """Judge what a running service says by its metrics."""
    if facts.problem:
        return [skipped("doctor.no_metrics", address=facts.address or "-", why=facts.problem)]
    percent = 100 * facts.open_files // facts.files_max if facts.files_max else 0
    if percent >= _FILES_PERCENT:
        see = f"{_SERVICE}corridorfilesopen"
        return [warn("doctor.files_open", see, n=facts.open_files, most=facts.files_max)]
    return []


def ray(facts: RayFacts, service: ServiceFacts) -> Findings:
    """Judge the planner's Ray, and where the leader's planner is if ``service`` leads."""
    if facts.mode == "off":
        return [ok("doctor.ray_off")]
    see = "docs/ray.md#when-it-is-away"
    if facts.problem:
        return [warn("doctor.ray_away", see, why=facts.problem)]
    found = [
        ok("doctor.ray_cluster", address=facts.address)
        if facts.mode == "cluster"
        else ok("doctor.ray_local", release=facts.release)
    ]
    if service.leads and service.backend == "local":
        found.append(warn("doctor.ray_unused", f"{_SERVICE}corridorplannerinprocess"))
    return found


# --- centers --------------------------------------------------------------------------------------


def centers(
    known: Sequence[CenterFacts],
    probed: Sequence[Probed],
    seen: Mapping[str, SeenCenter] | None,
    service: ServiceFacts,
) -> Findings:
    """Judge centers: as the database has them, as each was found from here, and as the service
    sees them: by its API (``seen`` None: it was not asked) or else by its metrics."""
    if not known and not probed:
        return [skipped("doctor.no_centers")]
    found = [_probed(one) for one in probed]
    for one in known:
        if one.state != "OPEN":
            see = "docs/centers.md#close-empty-open"
            found.append(warn("doctor.center_closed", see, center=one.center, state=one.state))
        if one.kind == "simulated":
            found.append(ok("doctor.center_simulated", center=one.center))
        view = None if seen is None else seen.get(one.center)
        found += _seen(one, view) if view is not None else _metered(one, service)
    return found


_JUDGES: Final = {"ERROR": fail, "WARNING": warn}


def _probed(one: Probed) -> Finding:
    if one.level not in _JUDGES:
        return ok("doctor.center", center=one.center, what=one.what)
    see = "docs/centers.md#what-each-trouble-looks-like"
    judge = _JUDGES[one.level]
    return judge("doctor.center_bad", see, center=one.center, what=one.what, to_do=one.to_do)


def _seen(one: CenterFacts, view: SeenCenter) -> Iterator[Finding]:
    silent = Span(view.silent_ms or 0)
    if not view.reachable and view.silent_ms is None:
        key = "doctor.agent_never" if one.kind == "agent" else "doctor.center_never"
        yield fail(key, _see(one), center=one.center, why=view.detail)
    elif not view.reachable:
        key = "doctor.agent_silent" if one.kind == "agent" else "doctor.center_silent"
        yield fail(key, _see(one), center=one.center, age=silent, why=view.detail)
    else:
        yield ok("doctor.center_heard", center=one.center, age=silent)
    if not view.gate_passes:
        see = f"{_CENTERS}corridorbreakeropen"
        yield warn("doctor.breaker", see, center=one.center, n=view.unanswered)


def _see(one: CenterFacts) -> str:
    return _CENTERS + ("corridoragentaway" if one.kind == "agent" else "corridorcenterunreachable")


def _metered(one: CenterFacts, service: ServiceFacts) -> Iterator[Finding]:
    """What metrics of the leader tell of a center; others tell nothing."""
    if one.kind == "agent" and one.center not in service.agents:
        yield skipped("doctor.agent_not_asked", center=one.center)
    elif one.kind == "agent" and not service.agents[one.center]:
        yield fail("doctor.agent_away", _see(one), center=one.center)
    elif one.kind == "agent":
        yield ok("doctor.agent_connected", center=one.center)
    if service.centers.get(one.center) is False:
        yield fail("doctor.center_unreached", _see(one), center=one.center)
    if service.breakers.get(one.center):
        yield warn("doctor.breaker_open", f"{_CENTERS}corridorbreakeropen", center=one.center)


# --- the books ------------------------------------------------------------------------------------


def ledger(books: BookFacts, key: KeyFacts, service: ServiceFacts, now_ms: int) -> Findings:
    """Judge the key of the digests beside those that are stored, and when books were verified."""
    found = [_key(books, key)]
    if books.due_ms > _DIGEST_MS and (books.day or key.is_there):
        see = f"{_MONEY}corridordigestlate"
        found.append(warn("doctor.digest_late", see, age=Span(books.due_ms)))
    if books.day and not key.is_filed:
        see = f"{_MONEY}corridordigestunfiled"
        found.append(warn("doctor.digest_unfiled", see, day=books.day, path=key.directory))
    if not service.verified:
        found.append(skipped("doctor.not_told_verified"))
    for one in service.verified:
        age = Span(max(0, now_ms - one.at_ms))
        values: dict[str, Value] = {"books": one.books, "age": age}
        if one.problems:
            see = f"{_MONEY}corridorbookswrong"
            found.append(fail("doctor.books_wrong", see, n=one.problems, **values))
        elif age > _VERIFIED_MS:
            found.append(warn("doctor.books_old", f"{_MONEY}corridorbooksnotverified", **values))
        else:
            found.append(ok("doctor.books_verified", **values))
    return found


def _key(books: BookFacts, key: KeyFacts) -> Finding:
    see = "docs/security.md#secrets"
    if key.problem:
        return fail("doctor.key_bad", see, why=key.problem)
    if not key.is_there:
        if books.key_id:
            return fail("doctor.key_missing", see, file=key.file, signed=books.key_id)
        return ok("doctor.key_none_yet", file=key.file)
    if not books.key_id or key.key_id == books.key_id:
        return ok("doctor.key", own=key.key_id, day=books.day or "-")
    which = "doctor.key_older" if key.key_id in books.key_ids else "doctor.key_other"
    return fail(which, see, own=key.key_id, signed=books.key_id, day=books.day, file=key.file)


def deep(problems: Sequence[str], transfers: int, runs: int) -> Findings:
    """Judge what a whole verification of the ledger found."""
    see = f"{_MONEY}corridorbookswrong"
    found = [fail("doctor.ledger_wrong", see, what=one) for one in problems]
    return found or [ok("doctor.ledger_whole", transfers=transfers, runs=runs)]


def deep_file(flaws: Sequence[str]) -> Findings:
    """Judge what SQLite found in its own file."""
    see = "docs/postgresql.md#back-up-and-restore"
    found = [fail("doctor.file_damaged", see, what=one) for one in flaws]
    return found or [ok("doctor.file_whole")]


def alerts(facts: AlertFacts, has_webhook: bool) -> Findings:
    """Judge what the receiver of alerts has not taken."""
    if not has_webhook:
        return [skipped("doctor.no_webhook")]
    if not facts.undelivered:
        return [ok("doctor.delivered")]
    see = f"{_MONEY}corridoralertsnotdelivered"
    judge = fail if facts.oldest_ms > _UNDELIVERED_MS else warn
    return [judge("doctor.undelivered", see, n=facts.undelivered, age=Span(facts.oldest_ms))]


# --- the work -------------------------------------------------------------------------------------


def runs(facts: RunFacts, alarm_ms: int) -> Findings:
    """Judge runs that hang; one that is UNKNOWN for ``alarm_ms`` is for a person to look at."""
    found: Findings = []
    if facts.unknown:
        judge = fail if facts.unknown_ms >= alarm_ms else warn
        see = f"{_CENTERS}corridorrunsunknown"
        age = Span(facts.unknown_ms)
        found.append(judge("doctor.runs_unknown", see, n=facts.unknown, age=age))
    if facts.unsent_ms > _UNSENT_MS:
        see = f"{_CENTERS}corridorcenterunreachable"
        age = Span(facts.unsent_ms)
        found.append(warn("doctor.runs_unsent", see, n=facts.unsent, age=age))
    if facts.unsettled_ms > _UNSETTLED_MS:
        judge = fail if facts.unsettled_ms > _UNSETTLED_FAIL_MS else warn
        see = f"{_MONEY}corridorrunsunsettled"
        age = Span(facts.unsettled_ms)
        found.append(judge("doctor.runs_unsettled", see, n=facts.unsettled, age=age))
    return found or [ok("doctor.runs", unsent=facts.unsent, unsettled=facts.unsettled)]


def queue(facts: QueueFacts) -> Findings:
    """Judge what waits: that it moves."""
    values = {"n": facts.queued, "age": Span(facts.oldest_ms)}
    since_ms = facts.admitted_ms
    if facts.oldest_ms > _STILL_MS and (since_ms is None or since_ms > _STILL_MS):
        see = "docs/runbooks/cities.md#corridorqueuenotmoving"
        if since_ms is None:
            return [warn("doctor.queue_never", see, **values)]
        return [warn("doctor.queue_still", see, since=Span(since_ms), **values)]
    if not facts.queued:
        return [ok("doctor.queue_empty", held=facts.held)]
    return [ok("doctor.queue", held=facts.held, **values)]
