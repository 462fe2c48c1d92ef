"""Messages between the service and its child on Ray: a length, then a pickle.

Both ends are one program in one version on one machine, over a socket pair that nobody else has.
"""

import asyncio
import pickle
import struct
from typing import Any, Final

_LENGTH: Final = struct.Struct("<Q")


def pack(message: Any) -> bytes:
    """Return a message as bytes."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def unpack(data: bytes) -> Any:
    """Return the message of ``pack``."""
    return pickle.loads(data)


def write(writer: asyncio.StreamWriter, message: Any) -> None:
    """Queue a message; the caller drains."""
    data = pack(message)
    writer.write(_LENGTH.pack(len(data)))
    writer.write(data)


async def read(reader: asyncio.StreamReader) -> Any:
    """Return the next message; raises ``EOFError`` or ``OSError`` when the other end is gone."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return unpack(await reader.readexactly(length))
