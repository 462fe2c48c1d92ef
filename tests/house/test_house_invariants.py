"""The page of invariants: its tests and faults exist, and each fault is for its row's tests."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mutants.catalog import load

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "invariants.md"
#: What must each have a row.
WANTED = {
    *(f"I{number}" for number in range(1, 15)),
    *(f"L{number}" for number in range(1, 17)),
    *("3", "5", "6", "9", "10", "11", "12"),
}


class Row(NamedTuple):
    """One invariant: its numbers, the tests that search, the fault that one of them catches."""

    numbers: str
    tests: tuple[str, ...]
    fault: str


def rows() -> list[Row]:
    """The rows of the page's table."""
    found = []
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 4 and cells[2] != "tests":
            found.append(Row(cells[0], tuple(re.findall(r"`([^`]+)`", cells[2])), cells[3]))
    return found


def functions(path: Path) -> set[str]:
    """Names of the tests of a file."""
    tree = ast.parse(path.read_text("utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in tree.body if isinstance(node, kinds)}


def test_every_invariant_has_a_row() -> None:
    numbers = {number for row in rows() for number in re.split(r",\s*", row.numbers) if number}
    assert numbers == WANTED


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.fault)
def test_its_tests_exist_and_one_catches_its_fault(row: Row) -> None:
    assert row.tests
    for test in row.tests:
        file, _, name = test.partition("::")
        assert name in functions(ROOT / file), test
    (fault,) = [one for one in load() if one.name == row.fault]
    assert fault.test in row.tests
