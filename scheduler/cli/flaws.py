"""What is wrong with a file, by line and field; the text comes from the catalog of texts."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong: ``key`` names its text, ``values`` fill it.

    ``line`` counts from 1; 0 is the file as a whole.
    ``path`` is the field as the file writes it (``options[0].units``), "" for the file itself.
    """

    file: str
    line: int
    path: str
    key: str
    values: dict[str, Any] = field(default_factory=dict)


class BadFile(Exception):
    """A file that cannot be used; ``flaws`` has at least one, in the order of their lines."""

    def __init__(self, flaws: list[Flaw]) -> None:
        self.flaws = sorted(flaws, key=lambda flaw: flaw.line)
        super().__init__(
            "; ".join(f"{one.file}:{one.line}: {one.path}: {one.key}" for one in flaws)
        )
