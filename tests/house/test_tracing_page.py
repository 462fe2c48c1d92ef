"""The page of traces names all spans, what is said of them, and all settings, in both languages."""

import dataclasses
import re
from pathlib import Path

import pytest

from scheduler.domain.job_spans import SPANS
from scheduler.domain.traces import FOLLOWED_MAX, LINKS_MAX
from scheduler.metrics_tracing import OUTCOMES
from scheduler.settings import TracingSettings

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["tracing.md", "tracing.zh-CN.md"]


def rows(page: str) -> dict[str, list[str]]:
    """Cells of all tables of a page by what the first one has in code."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0].startswith("`"):
            found[cells[0].strip("`")] = cells[1:]
    return found


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("page", PAGES)
def test_every_span_is_there_with_what_is_said_of_it(page: str) -> None:
    told = {
        name: [word for word in code(cells[-1]) if "." in word]
        for name, cells in rows(page).items()
        if len(cells) == 3
    }
    assert told == {name: list(said) for name, said in SPANS.items()}


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_is_there_with_its_default(page: str) -> None:
    told = {name: cells for name, cells in rows(page).items() if name.startswith("tracing.")}
    given = TracingSettings()
    assert list(told) == [f"tracing.{one.name}" for one in dataclasses.fields(given)]
    for name, cells in told.items():
        value = getattr(given, name.partition(".")[2])
        if value:
            assert (
                float(code(cells[0])[0]) == value
                if isinstance(value, int | float)
                else (code(cells[0]) == [value])
            )
        else:
            assert code(cells[0]) == []


@pytest.mark.parametrize("page", PAGES)
def test_bounds_and_outcomes_are_named(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert FOLLOWED_MAX == LINKS_MAX == 32
    assert text.count(" 32 ") == 2
    assert [name for name in OUTCOMES if f"`{name}`" not in text] == []
