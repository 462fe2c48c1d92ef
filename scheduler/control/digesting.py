"""The leader signs a digest of the ledger once a day, and leaves it as files for others to keep."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from scheduler.store.digests import Signed, StoredDigest

log = structlog.get_logger()


class Signs(Protocol):
    """A key that signs (``scheduler.signing.Signer``)."""

    public_pem: bytes
    key_id: str

    def sign(self, text: str) -> bytes:
        """Return a text's signature."""
        ...


@dataclass(frozen=True, slots=True)
class DigestDesk:
    """Signs digests and writes them into ``directory``: the text, its signature, the public key."""

    signer: Signs
    directory: Path

    def sign(self, text: str) -> Signed:
        """Return a text's signature with the key that checks it."""
        return Signed(self.signer.key_id, self.signer.public_pem, self.signer.sign(text))

    def write(self, made: StoredDigest) -> None:
        """Leave a digest as files. The store has it too: what cannot be written is only logged."""
        name = _name(made.day)
        files = {
            f"corridor-ledger-{made.key_id}.pub.pem": made.public_pem,
            f"{name}.sig": made.signature,
            name: made.body.encode(),  # last: where it is, the others are
        }
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for file, content in files.items():
                _replace(self.directory / file, content)
        except OSError as error:
            log.error("digest_not_written", day=made.day, why=str(error))
        else:
            log.info("digest_signed", day=made.day, file=str(self.directory / name))

    def is_filed(self, day: str) -> bool:
        """Whether a day's digest lies in the directory."""
        return is_filed(self.directory, day)


def is_filed(directory: Path, day: str) -> bool:
    """Whether a day's digest lies in a directory."""
    return (directory / _name(day)).is_file()


def _name(day: str) -> str:
    return f"corridor-ledger-{day}.txt"


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)
