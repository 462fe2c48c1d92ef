"""A chart of a simulation for a report: waits and use by city and scenario, SVG or PNG.

Drawn by matplotlib, the ``charts`` extra. Chinese names need a font that has them: an SVG without
one leaves them to the fonts of whoever looks at it, a PNG falls back to codes and English.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scheduler.cli.exits import ERROR, USAGE
from scheduler.cli.failures import Failed

SUFFIXES: Final = (".png", ".svg")
#: Families that have Chinese, the best first.
CHINESE_FONTS: Final = (
    "Noto Sans CJK SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC",
    "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Heiti SC", "SimHei",
    "Noto Sans CJK JP", "Droid Sans Fallback", "Arial Unicode MS",
)  # fmt: skip
#: Told apart also by people who see no colors well, and in print.
_COLORS: Final = (
    "#4477aa", "#aa3377", "#228833", "#ccbb44", "#66ccee", "#ee6677", "#bbbbbb", "#000000",
    "#994455", "#997700",
)  # fmt: skip
_BORROWED_HATCH: Final = "////"


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of a chart."""

    title: str
    wait: str
    use: str
    own: str
    borrowed: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One flavor: by scenario and city the mean wait in hours, units in use on average and, of
    these, borrowed ones. ``None`` where there is no figure."""

    flavor: str
    cities: Sequence[str]
    scenarios: Sequence[str]
    wait_h: Sequence[Sequence[float | None]]
    used: Sequence[Sequence[float]]
    borrowed: Sequence[Sequence[float]]


def check(path: Path) -> None:
    """Raise ``Failed`` if no chart can be written there: before anything is asked."""
    if path.suffix.lower() not in SUFFIXES:
        raise Failed("chart.kind", USAGE, given=path, kinds=", ".join(SUFFIXES))
    if not path.absolute().parent.is_dir():
        raise Failed("chart.folder", USAGE, given=path, folder=path.absolute().parent)
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise Failed("chart.extra", ERROR, missing=error.name) from error


def chinese_font() -> str | None:
    """Return a family of this machine that has Chinese, None if there is none."""
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in CHINESE_FONTS if name in there), None)


def needs_chinese(panels: Sequence[Panel], words: Words) -> bool:
    """Whether anything in a chart is not written in Latin letters."""
    texts = [*(panel.flavor for panel in panels), words.title, words.wait, words.use, words.own]
    for panel in panels:
        texts += [*panel.cities, *panel.scenarios]
    return any(ord(char) > 0x2E80 for text in texts for char in text)


def draw(path: Path, panels: Sequence[Panel], words: Words, font: str | None) -> None:
    """Write a chart; ``font`` is a family that has all its letters, None for the usual one.

    Raises ``OSError`` if the file cannot be written.
    """
    with _quiet():
        import matplotlib as mpl
        from matplotlib.figure import Figure

        # Without a font with Chinese the text of an SVG stays text: who looks at it may have one.
        as_text = font is None and path.suffix.lower() == ".svg" and needs_chinese(panels, words)
        families = [name for name in (font, "DejaVu Sans") if name]
        settings: Any = {
            "font.family": [*families, *CHINESE_FONTS] if as_text else families,
            "svg.fonttype": "none" if as_text else "path",
            "svg.hashsalt": "corridor",
            "hatch.linewidth": 0.6,
        }
        with mpl.rc_context(settings):
            width = 1.5 + sum(max(4.5, 0.26 * len(p.cities) * len(p.scenarios)) for p in panels)
            figure = Figure(figsize=(width, 7.5), layout="constrained")
            axes = figure.subplots(2, len(panels), squeeze=False)
            for column, panel in enumerate(panels):
                _waits(axes[0][column], panel, words.wait if column == 0 else "")
                _use(axes[1][column], panel, words, first=column == 0)
            handles, labels = axes[0][0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
            figure.suptitle(words.title)
            metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
            figure.savefig(path, dpi=144, metadata=metadata)


def _bars(axes: Any, panel: Panel) -> Iterator[tuple[int, list[float], float]]:
    """Yield (scenario, where its bars stand, how wide they are), and name the cities below."""
    width = 0.8 / len(panel.scenarios)
    for number in range(len(panel.scenarios)):
        offset = (number - (len(panel.scenarios) - 1) / 2) * width
        yield number, [at + offset for at in range(len(panel.cities))], width
    axes.set_xticks(range(len(panel.cities)), panel.cities)
    axes.tick_params(axis="x", labelsize="small")
    axes.grid(axis="y", linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _waits(axes: Any, panel: Panel, label: str) -> None:
    for number, at, width in _bars(axes, panel):
        heights = [hours or 0.0 for hours in panel.wait_h[number]]
        color = _COLORS[number % len(_COLORS)]
        axes.bar(at, heights, width, color=color, label=panel.scenarios[number])
    axes.set_title(panel.flavor, fontsize="medium")
    axes.set_ylabel(label)


def _use(axes: Any, panel: Panel, words: Words, *, first: bool) -> None:
    for number, at, width in _bars(axes, panel):
        color = _COLORS[number % len(_COLORS)]
        borrowed = panel.borrowed[number]
        own = [used - lent for used, lent in zip(panel.used[number], borrowed, strict=True)]
        axes.bar(at, own, width, color=color)
        axes.bar(
            at, borrowed, width, bottom=own, color="white", edgecolor=color, linewidth=0.8,
            hatch=_BORROWED_HATCH,
        )  # fmt: skip
    axes.set_ylabel(words.use if first else "")
    if first:
        from matplotlib.patches import Patch

        plain = Patch(facecolor="#888888", label=words.own)
        hatched = Patch(
            facecolor="white", edgecolor="#888888", hatch=_BORROWED_HATCH, label=words.borrowed
        )
        axes.legend(handles=[plain, hatched], fontsize="small", frameon=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Letters and families that are not there are our choice: do not speak of them."""
    os.environ.setdefault("MPLBACKEND", "agg")
    fonts = logging.getLogger("matplotlib.font_manager")
    before = fonts.level
    fonts.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
            yield
    finally:
        fonts.setLevel(before)
