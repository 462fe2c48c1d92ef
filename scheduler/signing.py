"""The key that signs digests of the ledger (Ed25519), in a file that its owner alone may read.

What it signs can be checked without Corridor: ``openssl pkeyutl -verify -pubin -inkey KEY.pub.pem
-rawin -in DIGEST -sigfile DIGEST.sig``.
"""

import contextlib
import os
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


class BadKey(ValueError):
    """A key's file cannot be used; the message says why."""


class Signer:
    """Signs with one key; ``public_pem`` is what others check with."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        public = key.public_key()
        self.public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = key_id(self.public_pem)

    def sign(self, text: str) -> bytes:
        """Return the 64 bytes of a text's signature."""
        return self._key.sign(text.encode())

    @classmethod
    def new(cls) -> "Signer":
        """Make a key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def of_file(cls, path: Path) -> "Signer":
        """Read the key of a file; one that is not there is made first. Raises ``BadKey``.

        Where it is there nothing is written: it may be a secret that is mounted read-only.
        """
        if not path.exists():
            with contextlib.suppress(FileExistsError):
                _write_new(path, cls.new()._private_pem())
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> "Signer":
        """Read the key of a file, and make none. Raises ``BadKey``."""
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise BadKey(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BadKey(f"{path} is no private key in PEM without a password: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKey(f"{path} is a key of another kind; Ed25519 is wanted")
        return cls(key)

    def _private_pem(self) -> bytes:
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_new(path: Path, content: bytes) -> None:
    """Make a file that only its owner may read; whole or not at all, and never over another."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError as error:
        raise BadKey(f"cannot write {path}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def key_id(public_pem: bytes) -> str:
    """Return the name by which a digest's key is known: 16 hexadecimal digits."""
    return sha256(public_pem).hexdigest()[:16]


def is_signed(public_pem: bytes, text: str, signature: bytes) -> bool:
    """Whether a text was signed by the key; raises ``BadKey`` for what is no public key."""
    try:
        key = load_pem_public_key(public_pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"is no public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadKey("is a key of another kind; Ed25519 is wanted")
    try:
        key.verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True
