"""Zip files made piece by piece in flat memory, the same bytes whenever and wherever.

All members have one fixed time and the same attributes; sizes and checksums follow the data of a
member, for they are not known before. Compression is zlib's at a fixed level: the bytes of a file
also depend on the version of zlib, its contents do not. Format: PKWARE's APPNOTE, 4.3.
"""

import struct
import zlib
from typing import Final

LEVEL: Final = 3
#: The first day that a zip file can name.
_DATE: Final = 0x0021
_VERSION: Final = 20
_UNIX: Final = 3 << 8
_MODE: Final = 0o100644 << 16
#: Sizes follow the data; names are UTF-8.
_FLAGS: Final = 0x0808
_DEFLATED: Final = 8
_SIZE_MAX: Final = 0xFFFFFFFF
_HEAD: Final = struct.Struct("<4s5H3I2H")
_AFTER: Final = struct.Struct("<4s3I")
_PLACE: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")


class ZipWriter:
    """A zip file under way: ``begin`` a member, ``write`` to it, and ``finish`` the file.

    Each returns the bytes of the file that are ready. A member may have 4 GiB.
    """

    def __init__(self) -> None:
        self._places: list[bytes] = []
        self._offset = 0
        self._member: _Member | None = None

    def begin(self, name: str) -> bytes:
        """Begin a member; the one before ends."""
        ended = self._end()
        self._member = _Member(name.encode(), self._offset)
        return ended + self._told(self._member.head())

    def write(self, data: bytes) -> bytes:
        """Add to the member."""
        if self._member is None:
            raise ValueError("no member was begun")
        return self._told(self._member.write(data))

    def finish(self) -> bytes:
        """End the file."""
        ended = self._end()
        places = b"".join(self._places)
        count = len(self._places)
        end = _END.pack(b"PK\5\6", 0, 0, count, count, len(places), self._offset, 0)
        return ended + places + end

    def _end(self) -> bytes:
        if self._member is None:
            return b""
        ended = self._told(self._member.end())
        self._places.append(self._member.place())
        self._member = None
        return ended

    def _told(self, data: bytes) -> bytes:
        self._offset += len(data)
        return data


class _Member:
    """One member under way."""

    def __init__(self, name: bytes, offset: int) -> None:
        self._name, self._offset = name, offset
        self._packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = self._size = self._packed = 0

    def head(self) -> bytes:
        fields = (_VERSION, _FLAGS, _DEFLATED, 0, _DATE, 0, 0, 0, len(self._name), 0)
        return _HEAD.pack(b"PK\3\4", *fields) + self._name

    def write(self, data: bytes) -> bytes:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        return self._count(self._packer.compress(data))

    def end(self) -> bytes:
        rest = self._count(self._packer.flush())
        if max(self._size, self._packed, self._offset) > _SIZE_MAX:
            raise ValueError(f"{self._name.decode()} is too big for a zip file")
        return rest + _AFTER.pack(b"PK\7\10", self._crc, self._packed, self._size)

    def place(self) -> bytes:
        """Its row of the directory."""
        fields = (_UNIX | _VERSION, _VERSION, _FLAGS, _DEFLATED, 0, _DATE)
        sizes = (self._crc, self._packed, self._size, len(self._name), 0, 0, 0, 0)
        return _PLACE.pack(b"PK\1\2", *fields, *sizes, _MODE, self._offset) + self._name

    def _count(self, packed: bytes) -> bytes:
        self._packed += len(packed)
        return packed
