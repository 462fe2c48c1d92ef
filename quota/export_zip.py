"""Zip files made piece by piece in flat memory, the same bytes whenever and wherever.

All members have one fixed time and the same attributes. Compression is zlib's at a fixed level: the
bytes of a file also depend on the version of zlib, its contents do not.
"""

import io
import zipfile
from typing import IO, Final

#: The first day that a zip file can name.
_WHEN: Final = (1980, 1, 1, 0, 0, 0)
_LEVEL: Final = 6
_UNIX: Final = 3
_MODE: Final = 0o644 << 16


class _Pipe(io.RawIOBase):
    """Keeps what is written until it is taken; cannot seek, so sizes follow the data."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._kept += data
        return len(data)

    def take(self) -> bytes:
        taken, self._kept = bytes(self._kept), bytearray()
        return taken


class ZipWriter:
    """A zip file under way: ``begin`` a member, ``write`` to it, and ``finish`` the file.

    Each returns the bytes of the file that are ready.
    """

    def __init__(self, level: int = _LEVEL) -> None:
        self._pipe, self._level = _Pipe(), level
        self._zip = zipfile.ZipFile(self._pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=level)
        self._member: IO[bytes] | None = None

    def begin(self, name: str) -> bytes:
        """Begin a member; the one before ends."""
        self._end()
        info = zipfile.ZipInfo(name, _WHEN)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = _UNIX
        info.external_attr = _MODE
        # Python reads the level from here for a member that is opened (compress_level from 3.13).
        setattr(info, "_compresslevel", self._level)  # noqa: B010
        self._member = self._zip.open(info, "w", force_zip64=False)
        return self._pipe.take()

    def write(self, data: bytes) -> bytes:
        """Add to the member."""
        if self._member is None:
            raise ValueError("no member was begun")
        self._member.write(data)
        return self._pipe.take()

    def finish(self) -> bytes:
        """End the file."""
        self._end()
        self._zip.close()
        return self._pipe.take()

    def _end(self) -> None:
        if self._member is not None:
            self._member.close()
            self._member = None
