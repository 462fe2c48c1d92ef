"""What the doctor makes of settings, services, Ray, centers, ledger and work: each limit."""

import pytest

from scheduler.config import load_settings
from scheduler.doctor import judge_work
from scheduler.doctor.facts import (
    KeyFacts,
    Probed,
    RayFacts,
    SeenCenter,
    ServiceFacts,
    SettingsFacts,
    VerifiedBooks,
)
from scheduler.domain.checkup import AlertFacts, BookFacts, CenterFacts, QueueFacts, RunFacts
from tests.unit.doctor.told import told, wrong

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOW = 1_790_000_000_000
SILENT = ServiceFacts("127.0.0.1:9464", "connection refused")


# --- settings and services ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, []),
        ({"planner.ray": "off", "planner.ray_address": "head:6379"}, ["warn setting_idle"]),
        (
            {"server.insecure": "true", "server.tls_cert": "c", "server.tls_key": "k"},
            ["warn setting_idle"],
        ),
        ({"server.insecure": "true"}, ["warn insecure"]),
        ({"server.peers_ca": "ca.pem"}, ["warn setting_lonely"]),
        ({"oidc.roles": "a=operator"}, ["warn setting_lonely"]),
        ({"alerts.webhook_secret_file": "s"}, ["warn setting_lonely"]),
        (
            {"server.listen": "0.0.0.0:7443", "store.url": "postgresql://h/n"},
            ["warn not_advertised"],
        ),
        (
            {"server.listen": "0.0.0.0:7443", "store.url": "postgresql://h/n",
             "server.advertise": "a.example:7443"},
            [],
        ),
    ],
)  # fmt: skip
def test_settings_that_contradict(flags: dict[str, object], expected: list[str]) -> None:
    given = load_settings(None, {}, flags)
    assert wrong(judge_work.settings(SettingsFacts("", 1, ()), given)) == expected


def test_settings_that_a_service_would_refuse() -> None:
    given = load_settings(None, {}, {})
    facts = SettingsFacts("corridor.toml", 1, ("server.listen must be host:port",))
    assert told(judge_work.settings(facts, given)) == ["fail settings_refused"]
    assert told(judge_work.settings(facts._replace(refusals=()), given)) == ["ok settings"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("SERVING", ["ok serving"]),
        ("NOT_SERVING", ["fail not_serving"]),
        ("UNREACHABLE", ["fail unreachable"]),
    ],
)
def test_what_a_service_says(said: str, expected: list[str]) -> None:
    assert told(judge_work.health("a:7443", said, "refused")) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (SILENT, ["skipped no_metrics"]),
        (ServiceFacts("a", open_files=799, files_max=1000), []),
        (ServiceFacts("a", open_files=800, files_max=1000), ["warn files_open"]),
    ],
)
def test_what_metrics_say(facts: ServiceFacts, expected: list[str]) -> None:
    assert told(judge_work.process(facts)) == expected


@pytest.mark.parametrize(
    ("facts", "service", "expected"),
    [
        (RayFacts("off", "", ""), SILENT, ["ok ray_off"]),
        (RayFacts("local", "", "2.60.0"), SILENT, ["ok ray_local"]),
        (RayFacts("cluster", "head:6379", "2.60.0"), SILENT, ["ok ray_cluster"]),
        (RayFacts("cluster", "head:6379", "2.60.0", "away"), SILENT, ["warn ray_away"]),
        (
            RayFacts("local", "", "2.60.0"),
            ServiceFacts("a", leads=True, backend="local"),
            ["ok ray_local", "warn ray_unused"],
        ),
        (
            RayFacts("local", "", "2.60.0"),
            ServiceFacts("a", leads=True, backend="ray"),
            ["ok ray_local"],
        ),
        (RayFacts("off", "", ""), ServiceFacts("a", leads=True, backend="local"), ["ok ray_off"]),
    ],
)
def test_ray(facts: RayFacts, service: ServiceFacts, expected: list[str]) -> None:
    assert told(judge_work.ray(facts, service)) == expected


# --- centers --------------------------------------------------------------------------------------

SLURM = CenterFacts("sc", "slurm", False, "OPEN", 3)
AGENT = CenterFacts("ai", "agent", False, "OPEN", 3)
HEARD = SeenCenter("sc", "slurm", "OPEN", True, "well", 900, True, 0)


def test_no_centers() -> None:
    assert told(judge_work.centers([], [], None, SILENT)) == ["skipped no_centers"]


@pytest.mark.parametrize(
    ("level", "expected"),
    [("OK", ["ok center"]), ("WARNING", ["warn center_bad"]), ("ERROR", ["fail center_bad"])],
)
def test_what_was_found_from_here(level: str, expected: list[str]) -> None:
    probed = [Probed("sc", level, "the center's clock is +40 s from ours", "set both by NTP")]
    assert told(judge_work.centers([SLURM], probed, None, SILENT)) == expected


@pytest.mark.parametrize("state", ["CORDONED", "DRAINING"])
def test_a_center_that_is_closed(state: str) -> None:
    closed = SLURM._replace(state=state)
    assert told(judge_work.centers([closed], [], None, SILENT)) == ["warn center_closed"]


@pytest.mark.parametrize(
    ("known", "seen", "expected"),
    [
        (SLURM, HEARD, ["ok center_heard"]),
        (SLURM, HEARD._replace(reachable=False), ["fail center_silent"]),
        (SLURM, HEARD._replace(reachable=False, silent_ms=None), ["fail center_never"]),
        (AGENT, HEARD._replace(reachable=False), ["fail agent_silent"]),
        (AGENT, HEARD._replace(reachable=False, silent_ms=None), ["fail agent_never"]),
        (SLURM, HEARD._replace(gate_passes=False, unanswered=5), ["ok center_heard",
                                                                  "warn breaker"]),
    ],
)  # fmt: skip
def test_what_the_service_sees(known: CenterFacts, seen: SeenCenter, expected: list[str]) -> None:
    assert told(judge_work.centers([known], [], {known.center: seen}, SILENT)) == expected


@pytest.mark.parametrize(
    ("known", "service", "expected"),
    [
        (AGENT, SILENT, ["skipped agent_not_asked"]),
        (AGENT, ServiceFacts("a", agents={"ai": True}), ["ok agent_connected"]),
        (AGENT, ServiceFacts("a", agents={"ai": False}), ["fail agent_away"]),
        (SLURM, ServiceFacts("a", centers={"sc": True}), []),
        (SLURM, ServiceFacts("a", centers={"sc": False}), ["fail center_unreached"]),
        (SLURM, ServiceFacts("a", breakers={"sc": True}), ["warn breaker_open"]),
    ],
)
def test_what_metrics_say_of_centers(
    known: CenterFacts, service: ServiceFacts, expected: list[str]
) -> None:
    assert told(judge_work.centers([known], [], None, service)) == expected


# --- the books ------------------------------------------------------------------------------------

BOOKS = BookFacts("2026-11-26", "aaaa", ("bbbb", "aaaa"), 0)
KEY = KeyFacts("key.pem", True, "aaaa", "", "digests", True)
VERIFIED = ServiceFacts("a", verified=(VerifiedBooks("ledger", NOW - HOUR, 0),))


def books(
    facts: BookFacts = BOOKS, key: KeyFacts = KEY, service: ServiceFacts = VERIFIED
) -> list[str]:
    return told(judge_work.ledger(facts, key, service, NOW))


def test_a_ledger_that_is_well() -> None:
    assert books() == ["ok key", "ok books_verified"]


@pytest.mark.parametrize(
    ("facts", "key", "expected"),
    [
        (BOOKS, KEY._replace(key_id="cccc"), "fail key_other"),
        (BOOKS, KEY._replace(key_id="bbbb"), "fail key_older"),
        (BOOKS, KEY._replace(is_there=False, key_id=""), "fail key_missing"),
        (BOOKS, KEY._replace(key_id="", problem="no private key"), "fail key_bad"),
        (BookFacts("", "", (), 0), KEY._replace(is_there=False), "ok key_none_yet"),
        (BookFacts("", "", (), 0), KEY, "ok key"),
    ],
)
def test_the_key_beside_the_digests(facts: BookFacts, key: KeyFacts, expected: str) -> None:
    assert books(facts, key)[0] == expected


def test_digests_that_are_late_or_in_no_file() -> None:
    assert "warn digest_late" not in books(BOOKS._replace(due_ms=HOUR))
    assert "warn digest_late" in books(BOOKS._replace(due_ms=HOUR + 1))
    assert "warn digest_unfiled" in books(key=KEY._replace(is_filed=False))
    new = BookFacts("", "", (), 9 * HOUR)
    assert "warn digest_late" not in books(new, KEY._replace(is_there=False, key_id=""))
    assert "warn digest_late" in books(new)


@pytest.mark.parametrize(
    ("age_ms", "problems", "expected"),
    [
        (2 * DAY, 0, "ok books_verified"),
        (2 * DAY + 1, 0, "warn books_old"),
        (HOUR, 1, "fail books_wrong"),
    ],
)
def test_the_last_verification(age_ms: int, problems: int, expected: str) -> None:
    service = ServiceFacts("a", verified=(VerifiedBooks("ledger", NOW - age_ms, problems),))
    assert books(service=service)[-1] == expected
    assert books(service=SILENT)[-1] == "skipped not_told_verified"


def test_a_verification_from_the_first_entry() -> None:
    assert told(judge_work.deep((), 10, 3)) == ["ok ledger_whole"]
    assert told(judge_work.deep(("shard wuhan: entry #3 is missing",), 10, 3)) == [
        "fail ledger_wrong"
    ]
    assert told(judge_work.deep_file([])) == ["ok file_whole"]
    assert told(judge_work.deep_file(["row 3 missing from index"])) == ["fail file_damaged"]


@pytest.mark.parametrize(
    ("facts", "webhook", "expected"),
    [
        (AlertFacts(0, 0), False, ["skipped no_webhook"]),
        (AlertFacts(0, 0), True, ["ok delivered"]),
        (AlertFacts(2, HOUR), True, ["warn undelivered"]),
        (AlertFacts(2, HOUR + 1), True, ["fail undelivered"]),
    ],
)
def test_alerts(facts: AlertFacts, webhook: bool, expected: list[str]) -> None:
    assert told(judge_work.alerts(facts, webhook)) == expected


# --- the work -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (RunFacts(0, 0, 5, 10 * MINUTE, 5, HOUR), ["ok runs"]),
        (RunFacts(1, 29 * MINUTE, 0, 0, 0, 0), ["warn runs_unknown"]),
        (RunFacts(1, 30 * MINUTE, 0, 0, 0, 0), ["fail runs_unknown"]),
        (RunFacts(0, 0, 1, 10 * MINUTE + 1, 0, 0), ["warn runs_unsent"]),
        (RunFacts(0, 0, 0, 0, 1, HOUR + 1), ["warn runs_unsettled"]),
        (RunFacts(0, 0, 0, 0, 1, DAY + 1), ["fail runs_unsettled"]),
    ],
)
def test_runs_that_hang(facts: RunFacts, expected: list[str]) -> None:
    assert told(judge_work.runs(facts, 30 * MINUTE)) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (QueueFacts(0, 2, 0, None), ["ok queue_empty"]),
        (QueueFacts(9, 2, HOUR, None), ["ok queue"]),
        (QueueFacts(9, 2, HOUR + 1, HOUR), ["ok queue"]),
        (QueueFacts(9, 2, HOUR + 1, HOUR + 1), ["warn queue_still"]),
        (QueueFacts(9, 2, HOUR + 1, None), ["warn queue_never"]),
    ],
)
def test_a_queue_that_does_not_move(facts: QueueFacts, expected: list[str]) -> None:
    assert told(judge_work.queue(facts)) == expected
