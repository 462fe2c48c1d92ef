"""One mapping of a data file, read name by name; what is wrong is told with its place."""

from collections.abc import Callable
from datetime import date, datetime
from typing import TypeVar

from quota.calendar import SHANGHAI
from scheduler.errors import CorridorError

T = TypeVar("T")


class BadSeed(CorridorError):
    """A data file cannot be used; the message names the file, the place and what is wrong."""

    reason = "BAD_SEED"


class Part:
    """One mapping of a file; ``done`` refuses keys that were not asked for."""

    def __init__(self, place: str, value: object) -> None:
        if not isinstance(value, dict):
            raise BadSeed(f"{place}: must be a mapping of names to values")
        self.place = place
        self._values = dict(value)

    def bad(self, key: str, what: str) -> BadSeed:
        """Return what is wrong with the value of a name."""
        return BadSeed(f"{self.place}.{key}: {what}")

    def text(self, key: str, default: str | None = None) -> str:
        """Take a text; without a default it is mandatory."""
        value = self._values.pop(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.bad(key, "is mandatory, a text" if value is None else "must be a text")
        return value

    def whole(
        self, key: str, default: int | None = None, least: int = 0, most: int | None = None
    ) -> int:
        """Take a whole number within its range; without a default it is mandatory."""
        value = self._values.pop(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.bad(key, f"must be a whole number from {least}, not {value!r}")
        if most is not None and value > most:
            raise self.bad(key, f"must be at most {most}, not {value}")
        return value

    def maybe_whole(self, key: str) -> int | None:
        """Take a whole number from 0, None if it is not there."""
        return None if self._values.get(key) is None else self.whole(key)

    def flag(self, key: str, default: bool) -> bool:
        """Take a yes or no."""
        value = self._values.pop(key, default)
        if not isinstance(value, bool):
            raise self.bad(key, f"must be true or false, not {value!r}")
        return value

    def day_ms(self, key: str) -> int:
        """Take a date as its midnight in Shanghai."""
        value = self._values.pop(key, None)
        if not isinstance(value, date):
            raise self.bad(key, f"must be a date such as 2026-01-01, not {value!r}")
        return int(datetime(value.year, value.month, value.day, tzinfo=SHANGHAI).timestamp()) * 1000

    def texts(self, key: str) -> tuple[str, ...]:
        """Take a list of texts, empty if it is not there."""
        value = self._values.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.bad(key, "must be a list of texts")
        return tuple(value)

    def mapping(self, key: str) -> dict[str, object]:
        """Take a mapping as it is."""
        value = self._values.pop(key, {})
        if not isinstance(value, dict):
            raise self.bad(key, "must be a mapping")
        return value

    def some(self, key: str, read: Callable[["Part"], T]) -> list[T]:
        """Take a list of mappings, empty if it is not there."""
        return self.each(key, read) if self.has(key) else []

    def each(self, key: str, read: Callable[["Part"], T]) -> list[T]:
        """Take a mandatory list of mappings, each read by itself."""
        value = self._values.pop(key, None)
        if not isinstance(value, list):
            raise self.bad(key, "is mandatory, a list")
        found = []
        for index, one in enumerate(value):
            part = Part(f"{self.place}.{key}[{index}]", one)
            found.append(read(part))
            part.done()
        return found

    def has(self, key: str) -> bool:
        """Whether there is a value of a name."""
        return key in self._values

    def done(self) -> None:
        """Refuse what nobody asked for."""
        if self._values:
            name = min(str(key) for key in self._values)
            raise self.bad(name, "is not known here; look for a typing error")
