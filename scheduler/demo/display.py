"""Progress of the demonstration: a live table on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from quota.calendar import SHANGHAI
from scheduler.demo.scraping import Scraped
from scheduler.demo.texts import Texts

_LINE_EVERY_S: Final = 5.0
_BAR_CELLS: Final = 30


@dataclass(slots=True)
class Progress:
    """What is shown; ``day`` counts from 1, ``jobs`` is how many there will be."""

    jobs: int
    start_ms: int
    now_ms: int = 0
    speed: float = 1.0
    submitted: int = 0
    waiting: int = 0
    active: int = 0
    ended: int = 0
    scraped: Scraped = field(default_factory=Scraped)

    @property
    def day(self) -> int:
        """Day of the workload."""
        return max(0, self.now_ms - self.start_ms) // 86_400_000 + 1

    @property
    def pace(self) -> str:
        """Key of the text that says what time it is and how fast it goes."""
        return "real_time" if self.speed == 1 else "day"

    @property
    def clock(self) -> str:
        """Time of day in the five cities."""
        return datetime.fromtimestamp(self.now_ms / 1000, SHANGHAI).strftime("%H:%M")

    def pools(self) -> Iterator[tuple[str, int, int]]:
        """(flavor, used, capacity) of each pool."""
        for flavor, capacity in sorted(self.scraped.capacity_units.items()):
            yield flavor, self.scraped.used_units.get(flavor, 0), capacity


def short_yuan(fen: int) -> str:
    """An amount in whole yuan: ``¥1,234``."""
    return f"¥{fen // 100:,}"


class Display:
    """Shows progress on stderr between ``with`` and its end."""

    def __init__(self, texts: Texts, console: Console | None = None) -> None:
        self._texts = texts
        self.console = console or Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._line_s = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, progress: Progress) -> None:
        """Show where things stand; without a terminal only every few seconds."""
        if self._live is not None:
            self._live.update(table(self._texts, progress), refresh=True)
        elif time.monotonic() - self._line_s >= _LINE_EVERY_S:
            self._line_s = time.monotonic()
            print(line(self._texts, progress), file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Print something that stays."""
        self.console.print(text, soft_wrap=not self.console.is_terminal)


def line(texts: Texts, progress: Progress) -> str:
    """Everything in one line."""
    pools = " ".join(
        f"{flavor.partition('/')[2]} {100 * used // capacity}%"
        for flavor, used, capacity in progress.pools()
    )
    scraped = progress.scraped
    return (
        f"{texts(progress.pace, day=progress.day, clock=progress.clock, speed=progress.speed)}:"
        f" {texts('submitted')} {progress.submitted:,}/{progress.jobs:,}"
        f" {texts('waiting')} {progress.waiting:,} {texts('running')} {progress.active:,}"
        f" {texts('ended')} {progress.ended:,};"
        f" {texts('planner')} {texts(scraped.backend) if scraped.backend else '-'};"
        f" {pools or '-'};"
        f" {texts('subsidy')} {texts('held')} {short_yuan(scraped.held_fen)}"
        f" {texts('spent')} {short_yuan(scraped.posted_fen)}"
    )


def table(texts: Texts, progress: Progress) -> Group:
    """The live display, at most 80 cells wide."""
    scraped = progress.scraped
    bars = Table.grid(padding=(0, 2, 0, 0))
    bars.add_column(no_wrap=True)
    bars.add_column(width=_BAR_CELLS)
    bars.add_column(no_wrap=True)
    for name, value in (("submitted", progress.submitted), ("ended", progress.ended)):
        bar = ProgressBar(total=progress.jobs, completed=value, width=_BAR_CELLS)
        bars.add_row(texts(name), bar, f"{value:,} / {progress.jobs:,}")
    for flavor, used, capacity in progress.pools():
        bar = ProgressBar(total=capacity, completed=min(used, capacity), width=_BAR_CELLS)
        bars.add_row(flavor, bar, f"{used:,} / {capacity:,}")
    day = texts(progress.pace, day=progress.day, clock=progress.clock, speed=progress.speed)
    counts = (
        f"{texts('waiting')} {progress.waiting:,}   {texts('running')} {progress.active:,}  "
        f" {texts('planner')} {texts(scraped.backend) if scraped.backend else '-'}"
    )
    money = (
        f"{texts('subsidy')}: {texts('held')} {short_yuan(scraped.held_fen)},"
        f" {texts('spent')} {short_yuan(scraped.posted_fen)}"
    )
    return Group(Text(day, style="bold"), bars, Text(counts), Text(money))
