"""Which run is spoken of, for lines of the log that name none: those of adapters and libraries.

Whoever makes calls for a run says so around them; a line that is written meanwhile, in the same
task or one that it starts, is about that run.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Final, Protocol


class Subject(Protocol):
    """What may be spoken of."""

    @property
    def said(self) -> Mapping[str, str]:
        """Its ids: ``run``, and as far as they are known ``city``, ``enterprise``, ``trace_id``."""
        ...


_subject: Final[ContextVar[Subject | None]] = ContextVar("corridor_subject", default=None)


def subject() -> Subject | None:
    """Return what is spoken of now."""
    return _subject.get()


class about:
    """Speak of a subject within a ``with`` statement."""

    __slots__ = ("_given", "_token")

    def __init__(self, given: Subject) -> None:
        self._given = given

    def __enter__(self) -> None:
        self._token: Token[Subject | None] = _subject.set(self._given)

    def __exit__(self, *_: object) -> None:
        _subject.reset(self._token)
