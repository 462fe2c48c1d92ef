"""How things look: tables that fit the terminal, plain text into a pipe, times and spans in words.

On a terminal a table drops its least important columns and shortens its flexible ones rather than
wrap; into a pipe everything is written out. ``NO_COLOR`` is heeded.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from scheduler.cli.texts import CATALOG, text

_GAP: Final = 2
_STYLES: Final = {
    "RUNNING": "green",
    "SUCCEEDED": "green",
    "OPEN": "green",
    "ADMITTED": "cyan",
    "ACCEPTED": "cyan",
    "QUEUED": "yellow",
    "HELD": "magenta",
    "CORDONED": "magenta",
    "DRAINING": "magenta",
    "UNKNOWN": "magenta",
    "FAILED": "red",
    "EXPIRED": "red",
    "REJECTED": "red",
    "LOST": "red",
    "CANCELLED": "dim",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column by the key of its heading.

    ``rank`` 0 is never dropped; of the others the highest goes first when the terminal is narrow.
    A column may be shortened with an ellipsis down to ``flex`` cells (0: not at all).
    """

    key: str
    right: bool = False
    rank: int = 0
    flex: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with a style of rich."""

    text: str
    style: str = ""


Row = Sequence["str | Cell"]


def fit(
    columns: Sequence[Column], widths: Sequence[int], room: int, without: Collection[int] = ()
) -> dict[int, int]:
    """Return the width of each column that is shown, by its index, within ``room`` cells.

    Columns of rank 0 are always shown; if even they do not fit, the lines are too long.
    """
    shown = {index: width for index, width in enumerate(widths) if index not in without}
    while True:
        over = sum(shown.values()) + _GAP * (len(shown) - 1) - room
        if over <= 0:
            return shown
        spare = {
            index: width - columns[index].flex
            for index, width in shown.items()
            if 0 < columns[index].flex < width
        }
        if sum(spare.values()) >= over:
            return _shorten(shown, spare, over)
        last = max(shown, key=lambda index: (columns[index].rank, index))
        if columns[last].rank == 0:
            return {
                index: min(width, columns[index].flex or width) for index, width in shown.items()
            }
        del shown[last]


def _shorten(shown: dict[int, int], spare: dict[int, int], over: int) -> dict[int, int]:
    """Take ``over`` cells from the widest flexible columns first."""
    while over > 0:
        widest = max(spare, key=lambda index: (spare[index], index))
        spare[widest] -= 1
        shown[widest] -= 1
        over -= 1
    return shown


class Output:
    """Writes for people in one language; ``now_ms`` is the service's time, asked when needed."""

    def __init__(self, lang: str, now_ms: Callable[[], int]) -> None:
        self.lang = lang
        self._now_ms = now_ms
        self.console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        self.is_terminal = self.console.is_terminal

    def t(self, key: str, /, **values: Any) -> str:
        """Return a text of the catalog."""
        return text(self.lang, key, **values)

    def line(self, words: str = "", style: str = "") -> None:
        """Print one line; a long one wraps on a terminal only."""
        if self.is_terminal:
            self.console.print(Text(words, style=style))
        else:
            sys.stdout.write(words + "\n")

    def table(self, columns: Sequence[Column], rows: Sequence[Row], empty: str = "") -> None:
        """Print a table, or the text ``empty`` if there is no row."""
        if not rows:
            if empty:
                self.line(self.t(empty))
            return
        heads = [self.t(column.key) for column in columns]
        cells = [[_cell(one) for one in row] for row in rows]
        widths = [
            max(cell_len(head), *(cell_len(row[at].text) for row in cells))
            for at, head in enumerate(heads)
        ]
        shown = dict(enumerate(widths))
        if self.is_terminal:
            # What is empty in every row tells a person nothing; a script counts on its columns.
            empty_at = {
                at
                for at, column in enumerate(columns)
                if column.rank and not any(row[at].text for row in cells)
            }
            shown = fit(columns, widths, self.console.width, empty_at)
        self._row(columns, shown, [Cell(head, "bold") for head in heads])
        for row in cells:
            self._row(columns, shown, row)

    def _row(self, columns: Sequence[Column], shown: dict[int, int], row: Sequence[Cell]) -> None:
        line = Text()
        last = max(shown)
        for index, width in shown.items():
            words = _sized(row[index].text, width, columns[index].right)
            line.append(words.rstrip() if index == last else words, row[index].style)
            if index != last:
                line.append(" " * _GAP)
        line.rstrip()
        if self.is_terminal:
            self.console.print(line, soft_wrap=True)
        else:
            sys.stdout.write(line.plain + "\n")

    def facts(self, facts: Sequence[tuple[str, "str | Cell"]], indent: int = 0) -> None:
        """Print facts as aligned lines ``name  value``; those without a value are left out."""
        said = [(self.t(key), _cell(value)) for key, value in facts if _cell(value).text]
        width = max((cell_len(name) for name, _ in said), default=0)
        for name, value in said:
            head = " " * indent + _sized(name, width, False) + " " * _GAP
            if not self.is_terminal:
                sys.stdout.write(head + value.text + "\n")
                continue
            room = max(20, self.console.width - cell_len(head))
            for at, part in enumerate(Text(value.text, value.style).wrap(self.console, room)):
                line = Text(head if at == 0 else " " * cell_len(head), style="dim")
                self.console.print(Text.assemble(line, part), soft_wrap=True)

    def row(self, cells: Row, widths: Sequence[int | None]) -> None:
        """Print one line of cells as it comes, each as wide as said (None: as it is)."""
        line = Text()
        for index, (one, width) in enumerate(zip(map(_cell, cells), widths, strict=True)):
            if index:
                line.append(" " * _GAP)
            line.append(one.text if width is None else _padded(one.text, width), one.style)
        line.rstrip()
        if self.is_terminal:
            self.console.print(line, soft_wrap=True)
        else:
            sys.stdout.write(line.plain + "\n")

    def width_of(self, prefix: str) -> int:
        """Return the width of the widest text whose key begins with ``prefix``."""
        return max(cell_len(self.t(key)) for key in CATALOG if key.startswith(prefix))

    def word(self, prefix: str, word: str) -> str:
        """Return a word in the language of the command, as it is if the catalog has it not."""
        return self.t(prefix + word) if prefix + word in CATALOG else word

    def limit(self, word: str) -> str:
        """Return what bound a programme, or why it gave nothing, in words."""
        prefix = "binding." if f"binding.{word}" in CATALOG else "refused."
        return self.word(prefix, word)

    def clock(self, at: Timestamp) -> str:
        """Return an instant for a line of a log: local time, into a pipe as RFC 3339."""
        if not self.is_terminal:
            return local(at).isoformat(timespec="milliseconds")
        return f"{local(at):%m-%d %H:%M:%S}"

    def state(self, word: str | None) -> Cell:
        """Return a state in words, colored."""
        return Cell(self.t(f"state.{word}"), _STYLES.get(word, "")) if word else Cell("")

    def when(self, at: Timestamp | None) -> str:
        """Return an instant: how long ago or ahead on a terminal, RFC 3339 into a pipe."""
        if at is None or not (at.seconds or at.nanos):
            return ""
        if not self.is_terminal:
            return local(at).isoformat(timespec="seconds")
        return self.distance(at)

    def moment(self, at: Timestamp | None) -> str:
        """Return an instant in local time, on a terminal with how long ago or ahead it is."""
        if at is None or not (at.seconds or at.nanos):
            return ""
        if not self.is_terminal:
            return local(at).isoformat(timespec="seconds")
        return f"{local(at):%Y-%m-%d %H:%M:%S} ({self.distance(at)})"

    def start(self, at: Timestamp | None) -> str:
        """Return when a job may start: an instant to come, or at once."""
        if at is not None and at.seconds and at.ToMilliseconds() <= self._now_ms() + 1000:
            return self.t("time.at_once")
        return self.moment(at)

    def when_from_now(self, at: Timestamp) -> str:
        """Return an instant to come as ``when`` does, or that it is now."""
        if at.ToMilliseconds() <= self._now_ms() + 1000:
            return self.t("time.at_once")
        return self.when(at)

    def distance(self, at: Timestamp) -> str:
        """Return how long ago or ahead of the service's time an instant is."""
        ahead_s = (at.ToMilliseconds() - self._now_ms()) // 1000
        if abs(ahead_s) < 1:
            return self.t("time.now")
        span = self.span(abs(ahead_s))
        return self.t("time.ahead" if ahead_s > 0 else "time.ago", span=span)

    def span(self, seconds: int) -> str:
        """Return a length of time in its two largest units."""
        parts: list[str] = []
        for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
            if seconds >= size or (unit == "s" and not parts):
                parts.append(self.t(f"time.{unit}", n=seconds // size))
                seconds %= size
            elif parts:
                break
            if len(parts) == 2:
                break
        return self.t("time.joint").join(parts)


def local(at: Timestamp) -> datetime:
    """Return an instant in the machine's time zone."""
    return at.ToDatetime(UTC).astimezone()


def _cell(value: "str | Cell") -> Cell:
    cell = value if isinstance(value, Cell) else Cell(value)
    return Cell("".join(c if c.isprintable() else "·" for c in cell.text), cell.style)


def _padded(words: str, width: int) -> str:
    return words + " " * (width - cell_len(words))


def _sized(words: str, width: int, right: bool) -> str:
    length = cell_len(words)
    if length > width:
        return set_cell_size(set_cell_size(words, width - 1).rstrip() + "…", width)
    return " " * (width - length) + words if right else words + " " * (width - length)
