"""Judges certificates, files with secrets, and disks: pure, with the limits of the alerts."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from scheduler.doctor.facts import CertificateFacts, FileSizes, SecretFacts, SpaceFacts
from scheduler.doctor.findings import Finding, Findings, Size, Span, fail, ok, skipped, warn

_RUNBOOK: Final = "docs/runbooks/service.md#"
_DAY_MS: Final = 86_400_000
_ENDING_MS: Final = 14 * _DAY_MS  # alert CorridorCertificateEnding
_ENDS_MS: Final = 2 * _DAY_MS  # alert CorridorCertificateEnds
_FREE_WARN: Final = 15  # percent; alert CorridorDiskFilling
_FREE_FAIL: Final = 5  # alert CorridorDiskFull
#: The log is cleared at 16 MB unless somebody reads on; so much says that somebody does.
_WAL_BYTES: Final = 1 << 30
_OTHERS: Final = 0o007
_GROUP_WRITES: Final = 0o020


def certificates(given: Sequence[CertificateFacts], now_ms: int, name: str) -> Findings:
    """Judge certificates at ``now_ms``; ``name`` is how others reach the server's, "" for any."""
    if not given:
        return [skipped("doctor.no_certificates")]
    found = [_certificate(one, now_ms) for one in given]
    for one in given:
        if one.name == "server.tls_cert" and name and not one.problem and not _has(one, name):
            names = ", ".join(one.names) or "-"
            see = "docs/security.md#tls"
            found.append(
                warn("doctor.certificate_name", see, file=one.file, wanted=name, names=names)
            )
    return found


def _certificate(one: CertificateFacts, now_ms: int) -> Finding:
    what = {"name": one.name, "file": one.file}
    if one.problem:
        see = f"{_RUNBOOK}corridorcertificaterefused"
        return fail("doctor.certificate_bad", see, name=one.name, why=one.problem)
    until = datetime.fromtimestamp(one.ends_ms / 1000, UTC).isoformat(timespec="minutes")
    if one.begins_ms > now_ms:
        see = f"{_RUNBOOK}corridorclockskew"
        return fail("doctor.certificate_early", see, age=Span(one.begins_ms - now_ms), **what)
    left_ms = one.ends_ms - now_ms
    see = f"{_RUNBOOK}corridorcertificateends"
    if left_ms <= 0:
        return fail("doctor.certificate_over", see, age=Span(-left_ms), **what)
    if left_ms < _ENDS_MS:
        return fail("doctor.certificate_ends", see, age=Span(left_ms), **what)
    if left_ms < _ENDING_MS:
        see = f"{_RUNBOOK}corridorcertificateending"
        return warn("doctor.certificate_ends", see, age=Span(left_ms), **what)
    return ok("doctor.certificate", until=until, **what)


def _has(one: CertificateFacts, name: str) -> bool:
    """Whether a certificate is of a name; a star stands for one label."""
    rest = name.partition(".")[2]
    return name in one.names or (bool(rest) and f"*.{rest}" in one.names)


def secrets(given: Sequence[SecretFacts]) -> Findings:
    """Judge files that hold secrets."""
    there = [one for one in given if one.mode is not None]
    found = [problem for one in given for problem in _secret(one)]
    if not found and not there:
        return [skipped("doctor.no_secrets")]
    return found or [ok("doctor.secrets", n=len(there))]


def _secret(one: SecretFacts) -> Iterator[Finding]:
    see = "docs/security.md#secrets"
    what = {"name": one.name, "file": one.file}
    if one.problem:
        yield fail("doctor.secret_unread", see, why=one.problem, **what)
    elif one.mode is None and one.is_needed:
        yield fail("doctor.secret_missing", see, **what)
    elif one.mode is not None and one.mode & _OTHERS:
        yield fail("doctor.secret_open", see, mode=f"{one.mode:04o}", **what)
    elif one.mode is not None and one.mode & _GROUP_WRITES:
        yield warn("doctor.secret_group", see, mode=f"{one.mode:04o}", **what)


def disk(given: Sequence[SpaceFacts], sizes: Sequence[FileSizes]) -> Findings:
    """Judge room on disks, and what databases in files take."""
    found = [problem for one in given for problem in _space(one)]
    for file in sizes:
        if file.wal_bytes > _WAL_BYTES:
            see = "docs/postgresql.md#how-large-it-grows"
            found.append(warn("doctor.wal", see, path=file.path, size=Size(file.wal_bytes)))
    return found


def _space(one: SpaceFacts) -> Iterator[Finding]:
    if one.problem:
        yield fail("doctor.disk_unread", "", name=one.name, path=one.path, why=one.problem)
        return
    what: dict[str, str | int] = {"name": one.name, "path": one.path}
    percent = 100 * one.free_bytes // max(1, one.size_bytes)
    values = {**what, "free": Size(one.free_bytes), "percent": percent}
    if percent < _FREE_FAIL:
        yield fail("doctor.disk_full", f"{_RUNBOOK}corridordiskfull", **values)
    elif percent < _FREE_WARN:
        yield warn("doctor.disk_filling", f"{_RUNBOOK}corridordiskfilling", **values)
    else:
        yield ok("doctor.disk", **values)
    left = 100 * one.free_inodes // one.inodes if one.inodes else 100
    if left < _FREE_WARN:
        judge = fail if left < _FREE_FAIL else warn
        yield judge("doctor.inodes", f"{_RUNBOOK}corridordiskfull", percent=left, **what)
