"""What the doctor makes of certificates, files with secrets, and disks: each limit."""

import pytest

from scheduler.doctor import judge_files
from scheduler.doctor.facts import CertificateFacts, FileSizes, SecretFacts, SpaceFacts
from tests.unit.doctor.told import told, wrong

DAY = 86_400_000
NOW = 1_790_000_000_000
GIB = 1 << 30
CERT = CertificateFacts(
    "server.tls_cert", "cert.pem", begins_ms=NOW - DAY, ends_ms=NOW + 90 * DAY,
    names=("corridor.example", "*.corridor.internal"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (CERT, ["ok certificate"]),
        (CERT._replace(ends_ms=NOW + 14 * DAY), ["ok certificate"]),
        (CERT._replace(ends_ms=NOW + 14 * DAY - 1), ["warn certificate_ends"]),
        (CERT._replace(ends_ms=NOW + 2 * DAY), ["warn certificate_ends"]),
        (CERT._replace(ends_ms=NOW + 2 * DAY - 1), ["fail certificate_ends"]),
        (CERT._replace(ends_ms=NOW), ["fail certificate_over"]),
        (CERT._replace(begins_ms=NOW + 1), ["fail certificate_early"]),
        (CERT._replace(problem="cert.pem holds no certificate"), ["fail certificate_bad"]),
    ],
)
def test_certificates(one: CertificateFacts, expected: list[str]) -> None:
    assert told(judge_files.certificates([one], NOW, "")) == expected


def test_without_certificates_none_is_judged() -> None:
    assert told(judge_files.certificates([], NOW, "a")) == ["skipped no_certificates"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("corridor.example", []),
        ("a.corridor.internal", []),
        ("a.b.corridor.internal", ["warn certificate_name"]),
        ("other.example", ["warn certificate_name"]),
        ("", []),
    ],
)
def test_the_name_by_which_replicas_ask(name: str, expected: list[str]) -> None:
    assert wrong(judge_files.certificates([CERT], NOW, name)) == expected
    authority = CERT._replace(name="server.peers_ca")
    assert wrong(judge_files.certificates([authority], NOW, name)) == []


KEY = SecretFacts("server.tls_key", "key.pem", 0o600, "", True)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (KEY, ["ok secrets"]),
        (KEY._replace(mode=0o440), ["ok secrets"]),  # as Kubernetes mounts them
        (KEY._replace(mode=0o644), ["fail secret_open"]),
        (KEY._replace(mode=0o602), ["fail secret_open"]),
        (KEY._replace(mode=0o660), ["warn secret_group"]),
        (KEY._replace(problem="Permission denied"), ["fail secret_unread"]),
        (KEY._replace(mode=None), ["fail secret_missing"]),
        (KEY._replace(mode=None, is_needed=False), ["skipped no_secrets"]),
    ],
)
def test_files_with_secrets(one: SecretFacts, expected: list[str]) -> None:
    assert told(judge_files.secrets([one])) == expected


ROOM = SpaceFacts("store.data_dir", "/data", 40 * GIB, 100 * GIB, 900, 1000)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (ROOM, ["ok disk"]),
        (ROOM._replace(free_bytes=15 * GIB), ["ok disk"]),
        (ROOM._replace(free_bytes=15 * GIB - GIB), ["warn disk_filling"]),
        (ROOM._replace(free_bytes=5 * GIB), ["warn disk_filling"]),
        (ROOM._replace(free_bytes=5 * GIB - GIB), ["fail disk_full"]),
        (ROOM._replace(free_inodes=149), ["ok disk", "warn inodes"]),
        (ROOM._replace(free_inodes=49), ["ok disk", "fail inodes"]),
        (ROOM._replace(free_inodes=0, inodes=0), ["ok disk"]),
        (ROOM._replace(problem="Permission denied"), ["fail disk_unread"]),
    ],
)
def test_room_on_disks(one: SpaceFacts, expected: list[str]) -> None:
    assert told(judge_files.disk([one], [])) == expected


@pytest.mark.parametrize(("wal", "expected"), [(GIB, []), (GIB + 1, ["warn wal"])])
def test_a_log_that_somebody_keeps_from_being_cleared(wal: int, expected: list[str]) -> None:
    assert wrong(judge_files.disk([ROOM], [FileSizes("corridor.db", GIB, wal)])) == expected
