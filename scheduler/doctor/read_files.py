"""Reads certificates, what is known of files with secrets, and disks; writes nothing."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from scheduler import certificates as pairs
from scheduler import databases, openers
from scheduler.certificates import BadCertificates, CertificateFiles
from scheduler.control import digesting
from scheduler.doctor.facts import (
    CertificateFacts,
    FileSizes,
    KeyFacts,
    SecretFacts,
    SpaceFacts,
)
from scheduler.settings import Settings
from scheduler.signing import BadKey, Signer
from scheduler.store.seed_centers import SeedCenter

_CA_FILE: Final = "ca_file"


class AgentFiles(NamedTuple):
    """Files of an agent on this machine: what it shows and where its journal is; None: none."""

    cert: Path | None = None
    key: Path | None = None
    token: Path | None = None
    state_dir: Path | None = None


# --- certificates ---------------------------------------------------------------------------------


def certificates(
    settings: Settings, centers: Sequence[SeedCenter], agent: AgentFiles
) -> list[CertificateFacts]:
    """Read all certificates that settings, centers and an agent name."""
    server = settings.server
    found = []
    if server.tls_cert and server.tls_key:
        files = CertificateFiles(Path(server.tls_cert), Path(server.tls_key))
        found.append(_pair("server.tls_cert", files))
    if agent.cert is not None and agent.key is not None:
        found.append(_pair("--agent-cert", CertificateFiles(agent.cert, agent.key)))
    elif agent.cert is not None:
        found.append(_alone("--agent-cert", agent.cert))
    named = [
        ("server.agents_ca", server.agents_ca),
        ("server.peers_ca", server.peers_ca),
        ("oidc.ca_file", settings.oidc.ca_file),
        *((f"{one.center}: {place}", file) for one in centers for place, file in _ca_files(one)),
    ]
    return found + [_alone(name, Path(file)) for name, file in named if file]


def _ca_files(center: SeedCenter) -> Iterator[tuple[str, str]]:
    for place, value in _texts(center.settings, ""):
        if place.rpartition(".")[2] == _CA_FILE:
            yield place, value


def _pair(name: str, files: CertificateFiles) -> CertificateFacts:
    try:
        pairs.check(files)
    except BadCertificates as error:
        return CertificateFacts(name, str(files.cert), str(error))
    return _alone(name, files.cert)


def _alone(name: str, path: Path) -> CertificateFacts:
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        return CertificateFacts(name, str(path), f"cannot read {path}: {error.strerror}")
    except ValueError:
        return CertificateFacts(name, str(path), f"{path} holds no certificate as PEM")
    return CertificateFacts(
        name,
        str(path),
        begins_ms=max(round(one.not_valid_before_utc.timestamp() * 1000) for one in chain),
        ends_ms=min(round(one.not_valid_after_utc.timestamp() * 1000) for one in chain),
        names=names_of(chain[0]),
    )


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names and addresses that a certificate is of."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(one.value) for one in common)
    addresses = (str(one) for one in found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *addresses)


# --- secrets --------------------------------------------------------------------------------------


def secrets(
    settings: Settings, settings_file: str, centers: Sequence[SeedCenter], agent: AgentFiles
) -> list[SecretFacts]:
    """Look at the files that hold secrets: whether they are there, and who may read them."""
    store, planner, data = settings.store, settings.planner, Path(settings.store.data_dir)
    own_ray = not planner.ray_address
    named: list[tuple[str, str, bool]] = [
        ("store.password_file", store.password_file, True),
        ("server.tls_key", settings.server.tls_key, True),
        ("alerts.webhook_secret_file", settings.alerts.webhook_secret_file, True),
        ("ledger.key_file", str(openers.ledger_key(settings)), False),
        *((f"{one.center}: {place}", file, True) for one in centers
          for place, file in _secret_files(one)),
        ("--agent-key", str(agent.key or ""), True),
        ("--agent-token", str(agent.token or ""), True),
    ]  # fmt: skip
    if planner.ray != "off":
        file = planner.ray_token_file or str(data / "ray-token")
        named.append(("planner.ray_token_file", file, not own_ray))
    origin = settings.origin.get("store.url", "")
    if origin == settings_file and settings_file and "***" in dict(_shown(settings))["store.url"]:
        named.append(("store.url", settings_file, True))
    return [_secret(name, file, needed) for name, file, needed in named if file]


def _shown(settings: Settings) -> Iterator[tuple[str, str]]:
    return ((name, str(value)) for name, value, _ in settings.rows())


def _secret_files(center: SeedCenter) -> Iterator[tuple[str, str]]:
    """Files of references to secrets, ``{file: PATH}`` (``adapters.secrets``)."""
    for place, value in _texts(center.settings, ""):
        if place.rpartition(".")[2] == "file" and "." in place:
            yield place.rpartition(".")[0], value


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(one, f"{place}.{key}" if place else str(key))


def _secret(name: str, file: str, needed: bool) -> SecretFacts:
    try:
        mode = os.stat(file).st_mode & 0o7777
    except FileNotFoundError:
        return SecretFacts(name, file, None, "", needed)
    except OSError as error:
        return SecretFacts(name, file, None, error.strerror or "", needed)
    problem = "" if os.access(file, os.R_OK) else os.strerror(13)
    return SecretFacts(name, file, mode, problem, needed)


# --- disks ----------------------------------------------------------------------------------------


def spaces(settings: Settings, agent: AgentFiles) -> list[SpaceFacts]:
    """Look at the disks that data lie on, each disk once."""
    given = [("store.data_dir", Path(settings.store.data_dir))]
    file = databases.sqlite_file(settings.database_url)
    if file is not None:
        given.append(("store.url", file.parent))
    given.append(("ledger.digest_dir", openers.digest_directory(settings)))
    if agent.state_dir is not None:
        given.append(("--agent-dir", agent.state_dir))
    found: dict[int | str, SpaceFacts] = {}
    for name, path in given:
        number, space = _space(name, path)
        found.setdefault(number, space)
    return list(found.values())


def _space(name: str, path: Path) -> tuple[int | str, SpaceFacts]:
    """Look at the disk of a folder, or of the one in which it will be made."""
    there = next((one for one in (path, *path.absolute().parents) if one.exists()), path)
    try:
        room, number = os.statvfs(there), os.stat(there).st_dev
    except OSError as error:
        return str(path), SpaceFacts(name, str(path), problem=error.strerror or "")
    return number, SpaceFacts(
        name, str(path), room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize,
        room.f_favail, room.f_files,
    )  # fmt: skip


def sizes(settings: Settings, agent: AgentFiles) -> list[FileSizes]:
    """Look at files of SQLite and their logs: the database's and the agent's journals."""
    file = databases.sqlite_file(settings.database_url)
    given = [] if file is None else [file]
    if agent.state_dir is not None:
        given += sorted(agent.state_dir.glob("*.agent.db"))
    return [
        FileSizes(str(one), _size(one), _size(one.with_name(f"{one.name}-wal")))
        for one in given if one.exists()
    ]  # fmt: skip


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# --- the ledger's key -----------------------------------------------------------------------------


def key(settings: Settings, day: str) -> KeyFacts:
    """Read the id of the key that signs digests, and look for the file of a day's digest."""
    path, directory = openers.ledger_key(settings), openers.digest_directory(settings)
    filed = bool(day) and digesting.is_filed(directory, day)
    if not path.exists():
        return KeyFacts(str(path), False, "", "", str(directory), filed)
    try:
        key_id, problem = Signer.read(path).key_id, ""
    except BadKey as error:
        key_id, problem = "", str(error)
    return KeyFacts(str(path), True, key_id, problem, str(directory), filed)
