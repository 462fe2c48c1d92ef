"""Hand-written Python: import boundaries, size of files and functions, what must not be in it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("scheduler", "quota", "adapters", "tests", "benchmarks", "proto/tools")
FILE_LINES = 420
FUNCTION_LINES = 70
# One declaration after another; a schema in one place reads better than in three.
SCHEMA = "scheduler/store/tables.py"
# Put together from halves, so that this file does not find itself.
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error")))


def python_files() -> Iterator[Path]:
    """All hand-written modules."""
    for folder in FOLDERS:
        yield from (path for path in (ROOT / folder).rglob("*.py") if path.is_file())


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of each function, decorators not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield node.name, node.end_lineno - node.lineno + 1


def relative(path: Path) -> str:
    """Path from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def test_import_boundaries() -> None:
    # In a process of its own: it configures logging, which silences all loggers made before.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def test_files_are_short() -> None:
    lines = {relative(p): len(p.read_text(encoding="utf-8").splitlines()) for p in python_files()}
    del lines[SCHEMA]
    assert {name: count for name, count in lines.items() if count > FILE_LINES} == {}


def test_functions_are_short() -> None:
    long = {
        f"{relative(path)}:{name}": count
        for path in python_files()
        for name, count in functions(path)
        if count > FUNCTION_LINES
    }
    assert long == {}


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{relative(path)}:{number}"
        for path in python_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_names_of_test_files_are_unique() -> None:
    # Test folders are no packages, so two files of one name would shadow each other for mypy.
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
