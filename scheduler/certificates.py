"""Certificates of a server, read anew when their files change: nobody has to restart it for that.

The files are looked at before each handshake. What cannot be used (half written, a key of another
certificate, one that has ended) is told in the log and counted, and what was used so far is used
on. Connections that are open keep what they began with.
"""

import datetime
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

log = structlog.get_logger()

#: What a look may come to, as it is counted.
TAKEN: Final = "taken"
REFUSED: Final = "refused"
OUTCOMES: Final = (TAKEN, REFUSED)
#: No more is asked than by the handshake: an authority must say that it is one.
_OF_AUTHORITIES: Final = ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, Criticality.AGNOSTIC, None
)
#: State of a file: changed at, size, number.
_Mark = tuple[int, int, int]


class BadCertificates(ValueError):
    """The files cannot be used; the message says why, ``file`` is the one at fault."""

    def __init__(self, file: Path, what: str) -> None:
        super().__init__(what)
        self.file = file


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Files of a server, as PEM: its chain, its key, and who signs callers' certificates if any."""

    cert: Path
    key: Path
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read: PEM, parsed, and when the server's own certificate ends."""

    key: bytes
    cert: bytes
    ca: bytes | None
    authorities: tuple[x509.Certificate, ...]
    not_after_ms: int


class Certificates:
    """What a server shows and whom it trusts, as its files say; used by threads of gRPC.

    ``on_look`` is told ``TAKEN`` or ``REFUSED`` of each change of the files. Raises
    ``BadCertificates`` if they cannot be used to begin with; one that has ended is used then, for
    the log and the metrics say so, and the rest of the service should not stand still for it.
    """

    def __init__(
        self,
        files: CertificateFiles,
        wall_ms: Callable[[], int],
        on_look: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._files, self._wall_ms, self._on_look = files, wall_ms, on_look
        self._lock = threading.Lock()
        self._marks = self._marked()
        self._read = _read(files)
        self._changes = 0
        if self._read.not_after_ms <= wall_ms():
            log.error("certificate_ended", file=str(files.cert))

    @property
    def not_after_ms(self) -> int:
        """When the certificate in use ends, in epoch milliseconds."""
        return self._read.not_after_ms

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials for one address to listen on.

        Callers must show a certificate if there is an authority for those.
        """
        seen = self._changes

        def changed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal seen
            self.look()
            with self._lock:
                if seen == self._changes:
                    return None
                seen = self._changes
                return _configuration(self._read)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._read),
            changed,  # type: ignore[arg-type, unused-ignore]  # None is "no change"
            self._files.ca is not None,
        )

    def look(self) -> None:
        """Take up the files if they changed; never raises."""
        with self._lock:
            marks = self._marked()
            if marks == self._marks:
                return
            self._marks = marks
            try:
                read = _read(self._files)
                if read.not_after_ms <= self._wall_ms() < self._read.not_after_ms:
                    raise BadCertificates(
                        self._files.cert, f"{self._files.cert} has ended, the present one has not"
                    )
            except BadCertificates as error:
                log.error("certificates_refused", why=str(error), hint="the former are used on")
                outcome = REFUSED
            else:
                self._read, outcome = read, TAKEN
                self._changes += 1
                log.info("certificates_taken", file=str(self._files.cert), until=_day(read))
        self._on_look(outcome)

    def caller_problem(self, shown: Sequence[bytes]) -> str:
        """Return what is wrong with the chain that a caller shows as PEM, its own first, or "".

        It is judged by the authorities and the time of now: whom the handshake let in, and whose
        authority was taken out since, is refused.
        """
        self.look()
        try:
            chain = [one for pem in shown for one in x509.load_pem_x509_certificates(pem)]
        except ValueError:
            return "its certificate cannot be read"
        if not chain:
            return "it showed no certificate"
        at = datetime.datetime.fromtimestamp(self._wall_ms() / 1000, datetime.UTC)
        verifier = (
            PolicyBuilder()
            .store(Store(list(self._read.authorities)))
            .time(at)
            .extension_policies(ca_policy=_OF_AUTHORITIES, ee_policy=ExtensionPolicy.permit_all())
            .build_client_verifier()
        )
        try:
            verifier.verify(chain[0], chain[1:])
        except VerificationError as error:
            return f"no authority of now stands for its certificate: {error}"
        return ""

    def _marked(self) -> tuple[_Mark | None, ...]:
        return tuple(
            _mark(one) for one in (self._files.cert, self._files.key, self._files.ca) if one
        )


def check(files: CertificateFiles) -> None:
    """Raise ``BadCertificates`` unless files can be used together: key and certificate belong."""
    _read(files)


def _mark(path: Path) -> _Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _day(read: _Read) -> str:
    at = datetime.datetime.fromtimestamp(read.not_after_ms / 1000, datetime.UTC)
    return at.isoformat(timespec="seconds")


def _configuration(read: _Read) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(read.key, read.cert)], read.ca)


def _read(files: CertificateFiles) -> _Read:
    """Read the files; raises ``BadCertificates``."""
    key, cert = _bytes(files.key), _bytes(files.cert)
    chain = _certificates(files.cert, cert)
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadCertificates(
            files.key, f"{files.key} is no private key as PEM without a password"
        ) from error
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != chain[0].public_key().public_bytes(*form):
        raise BadCertificates(
            files.key, f"{files.key} is not the key of the first certificate in {files.cert}"
        )
    ca = None if files.ca is None else _bytes(files.ca)
    authorities = () if files.ca is None or ca is None else _certificates(files.ca, ca)
    not_after_ms = int(chain[0].not_valid_after_utc.timestamp() * 1000)
    return _Read(key, cert, ca, authorities, not_after_ms)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadCertificates(path, f"cannot read {path}: {error.strerror}") from error


def _certificates(path: Path, pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise BadCertificates(path, f"{path} holds no certificate as PEM") from error
