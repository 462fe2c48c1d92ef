"""The page of outcomes: every row is even, and both languages tell the same."""

import re
from collections.abc import Sequence

import pytest

from tests.centers import page
from tests.centers.bench_agent import FEW_WAVES, WAVES
from tests.centers.matrix import Row


def rows(language: str) -> dict[str, list[list[str]]]:
    """Cells of the tables, by kind of center."""
    text = page.PAGES[language].read_text("utf-8")
    return {
        kind: [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
        for kind, table in re.findall(
            r"<!-- outcomes (\S+) -->\n(.*?)<!-- end -->", text, re.DOTALL
        )
    }


@pytest.mark.parametrize("language", page.PAGES)
def test_nothing_is_lost_or_doubled_in_any_row(language: str) -> None:
    found = rows(language)
    assert found
    for table in found.values():
        assert table
        for _, _, *counts, same in table:
            assert counts == ["3"] * 4
            assert same in ("yes", "是")


def test_both_pages_tell_the_same() -> None:
    at = {language: number for number, language in enumerate(page.PAGES)}
    told = {
        language: {
            kind: [(_key(page.FAULTS, row[0], n), _key(page.STEPS, row[1], n)) for row in table]
            for kind, table in rows(language).items()
        }
        for language, n in at.items()
    }
    assert told["en"] == told["zh"]


@pytest.mark.parametrize(
    ("kind", "waves"), [("agent-simulated", WAVES), ("agent-modelarts", FEW_WAVES)]
)
def test_every_death_of_an_agent_is_told_of(kind: str, waves: Sequence[Sequence[Row]]) -> None:
    told = {
        (_key(page.FAULTS, fault, 0), _key(page.STEPS, step, 0))
        for fault, step, *_ in rows("en")[kind]
    }
    assert told == {(row.fault, row.step) for wave in waves for row in wave}


def _key(texts: object, shown: str, at: int) -> str:
    assert isinstance(texts, dict)
    [key] = [key for key, both in texts.items() if both[at] == shown]
    return str(key)
