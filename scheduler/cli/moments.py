"""Instants as people write them where something takes effect or ends."""

import re
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.cli import amounts, exits
from scheduler.cli.failures import Failed
from scheduler.cli.kinds import INSTANT_PATTERN, Notes
from scheduler.cli.nodes import Node
from scheduler.cli.session import Session

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
#: Days of money begin at midnight there, whatever zone the machine is in.
_SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


def parse(given: str) -> datetime | None:
    """Return the instant of ``2027-01-01T09:00:00+08:00``, or of the beginning of 2027-01-01.

    None if it is nothing such.
    """
    try:
        if _DAY.fullmatch(given):
            return datetime.fromisoformat(given).replace(tzinfo=_SHANGHAI)
        if re.fullmatch(INSTANT_PATTERN, given):
            return datetime.fromisoformat(given)
    except (ValueError, OverflowError):
        pass
    return None


def option(session: Session, name: str, given: str | None) -> Timestamp | None:
    """Return when an option says: an instant, a day, or a duration from the service's time now.

    None if it was not given; raises ``Failed``.
    """
    if given is None:
        return None
    at = Timestamp()
    seconds = amounts.parse_duration(given)
    if seconds:
        at.FromMilliseconds(session.now_ms + seconds * 1000)
        return at
    found = parse(given)
    if found is None:
        raise Failed("option.moment", exits.USAGE, option=name, given=given)
    at.FromDatetime(found)
    return at


class Moment:
    """A field of a file: a day, which begins at midnight in Shanghai, or an instant with its zone.

    Read as a ``Timestamp``.
    """

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        """Return the instant, or ``WRONG`` after noting why."""
        found = parse(node.value) if isinstance(node.value, str) else None
        if found is None:
            return notes.wrong(node, path, "field.moment")
        at = Timestamp()
        at.FromDatetime(found)
        return at

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {
            "type": "string",
            "pattern": f"^{_DAY.pattern}$|{INSTANT_PATTERN}",
            "examples": ["2027-01-01", "2027-01-01T09:00:00+08:00"],
        }
