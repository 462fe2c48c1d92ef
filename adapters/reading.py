"""A mapping of settings, read name by name; what is wrong is told with its place.

``ValueError``s name the place as in ``wuhan-sc.partitions[0].units: must be a whole number``. A
value that may be a secret is never part of a message.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from adapters.secrets import BadSecret, SecretRef

T = TypeVar("T")


class Fields:
    """The settings of one center or of a part of it; ``done`` refuses names not asked for."""

    def __init__(self, place: str, values: object) -> None:
        if not isinstance(values, Mapping):
            raise ValueError(f"{place}: must be a mapping of names to values")
        self.place = place
        self._values = {str(key): value for key, value in values.items()}

    def bad(self, key: str, what: str) -> ValueError:
        """Return what is wrong with the value of a name."""
        return ValueError(f"{self.place}.{key}: {what}")

    def has(self, key: str) -> bool:
        """Whether a name has a value that nobody took yet."""
        return self._values.get(key) is not None

    def names(self) -> tuple[str, ...]:
        """The names nobody took yet, in the order in which they were given."""
        return tuple(self._values)

    def text(self, key: str, default: str | None = None) -> str:
        """Take a text; without a default it is mandatory."""
        value = self._values.pop(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.bad(key, "is mandatory, a text" if value is None else "must be a text")
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str | None = None) -> str:
        """Take one of several words."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.bad(key, f"must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def whole(
        self, key: str, default: int | None = None, *, least: int = 0, most: int | None = None
    ) -> int:
        """Take a whole number within its range; without a default it is mandatory."""
        value = self._values.pop(key, default)
        if value is None:
            raise self.bad(key, "is mandatory, a whole number")
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.bad(key, f"must be a whole number from {least}, not {value!r}")
        if most is not None and value > most:
            raise self.bad(key, f"must be at most {most}, not {value}")
        return value

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        least: float = 0.0,
        most: float | None = None,
    ) -> float:
        """Take a number within its range; without a default it is mandatory."""
        value = self._values.pop(key, default)
        if value is None:
            raise self.bad(key, "is mandatory, a number")
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= least:
            raise self.bad(key, f"must be a number from {least:g}, not {value!r}")
        if most is not None and value > most:
            raise self.bad(key, f"must be at most {most:g}, not {value:g}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Take a yes or no."""
        value = self._values.pop(key, default)
        if not isinstance(value, bool):
            raise self.bad(key, f"must be true or false, not {value!r}")
        return value

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """Take a list of texts."""
        value = self._values.pop(key, default)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.bad(key, "must be a list of texts")
        if not all(isinstance(one, str) for one in value):
            raise self.bad(key, "must be a list of texts")
        return tuple(value)

    def text_map(self, key: str) -> dict[str, str]:
        """Take a mapping of texts to texts, empty if it is not there."""
        value = self._values.pop(key, {})
        if not isinstance(value, Mapping) or not all(
            isinstance(part, str) for pair in value.items() for part in pair
        ):
            raise self.bad(key, "must be a mapping of texts to texts")
        return dict(value)

    def secret(self, key: str) -> SecretRef:
        """Take where a secret is to be read; it is mandatory."""
        if not self.has(key):
            raise self.bad(key, "is mandatory: {file: PATH}, {env: NAME} or {command: [PROGRAM]}")
        try:
            return SecretRef.of(self._values.pop(key))
        except BadSecret as error:
            raise self.bad(key, str(error)) from None  # what was given may be the secret itself

    @contextmanager
    def part(self, key: str) -> Iterator["Fields"]:
        """Take a mapping and read it to its end; one that is not there is read as an empty one."""
        inner = Fields(f"{self.place}.{key}", self._values.pop(key, None) or {})
        yield inner
        inner.done()

    def each(self, key: str, read: Callable[[str, "Fields"], T]) -> dict[str, T]:
        """Take a mapping of names to mappings, each read to its end by itself."""
        value = self._values.pop(key, {})
        if not isinstance(value, Mapping):
            raise self.bad(key, "must be a mapping of names to mappings")
        found = {}
        for name, one in value.items():
            inner = Fields(f"{self.place}.{key}[{name}]", one)
            found[str(name)] = read(str(name), inner)
            inner.done()
        return found

    def done(self) -> None:
        """Refuse what nobody asked for."""
        if self._values:
            raise self.bad(min(self._values), "is not known here; look for a typing error")
