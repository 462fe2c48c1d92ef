"""Signs certificates for tests, for a day or as long as they say."""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """An authority with a key of its own; ``pem`` is its certificate."""

    def __init__(self, folder: Path, name: str = "agents") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = self._sign(name, self._key.public_key(), DAY, is_ca=True)

    def _sign(
        self,
        name: str,
        key: Any,
        lasts: datetime.timedelta,
        also: Sequence[str] = (),
        *,
        is_ca: bool = False,
    ) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + lasts)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([_named(one) for one in (name, *also)]), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)

    def signed(
        self, name: str, lasts: datetime.timedelta = DAY, also: Sequence[str] = ()
    ) -> tuple[bytes, bytes]:
        """Return a certificate of a name, or of several, and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return self._sign(name, key.public_key(), lasts, also), private

    def pair(self, name: str, also: Sequence[str] = ()) -> tuple[Path, Path]:
        """Return the files of a certificate and its key; names may be addresses."""
        cert_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        for file, data in zip((cert_file, key_file), self.signed(name, also=also), strict=True):
            file.write_bytes(data)
        return cert_file, key_file


def _named(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
