"""How checks are run: side by side, none waits for another, and each trouble is a finding."""

import ast
import re
import threading
from pathlib import Path

import pytest

from scheduler.config import load_settings
from scheduler.doctor import running
from scheduler.doctor.case import Ask, Case, Once, Skip
from scheduler.doctor.checks import CHECKS, Check
from scheduler.doctor.findings import Findings, Level, ok, skipped
from scheduler.doctor.read_files import AgentFiles
from scheduler.doctor.read_service import Door, reached_at, told
from scheduler.store.looking import Away

ROOT = Path(__file__).parents[3]


def case(timeout_s: float | None = 20.0) -> Case:
    settings = load_settings(None, {}, {"store.data_dir": "nowhere"})
    return Case(Ask(settings, "", (), Door(""), None, AgentFiles(), timeout_s, deep=False))


def fine(_case: Case) -> Findings:
    return [ok("doctor.file_whole")]


def test_a_check_that_hangs_is_told_of_and_holds_up_no_other() -> None:
    never = threading.Event()

    def hang(_case: Case) -> Findings:
        never.wait()
        return []

    results = running.run([Check("a", hang), Check("b", fine)], case(0.05))
    never.set()
    assert [one.hangs for one in results] == [True, False]
    assert [finding.key for one in results for finding in one.findings] == [
        "doctor.hangs", "doctor.file_whole",
    ]  # fmt: skip
    assert results[0].level is Level.FAILURE


def test_checks_run_side_by_side() -> None:
    """Each waits for the other: one after the other they would never end."""
    both = threading.Barrier(2)

    def meet(_case: Case) -> Findings:
        both.wait(20)
        return fine(_case)

    results = running.run([Check("a", meet), Check("b", meet)], case())
    assert [one.level for one in results] == [Level.OK, Level.OK]


def test_a_check_that_crashes_is_a_finding() -> None:
    def crash(_case: Case) -> Findings:
        raise KeyError("surprise")

    def away(_case: Case) -> Findings:
        raise Away("permission denied for table job")

    def skip(_case: Case) -> Findings:
        raise Skip(skipped("doctor.no_database"))

    checks = [Check("a", crash), Check("b", away), Check("c", skip), Check("d", fine)]
    results = running.run(checks, case())
    assert [one.findings[0].key for one in results] == [
        "doctor.crashed", "doctor.not_read", "doctor.no_database", "doctor.file_whole",
    ]  # fmt: skip
    assert results[0].findings[0].values == {"what": "KeyError: 'surprise'"}


@pytest.mark.parametrize(
    ("asked_s", "patient", "allowed_s"), [(None, False, 7), (2, False, 2), (2, True, 7)]
)
def test_how_long_a_check_may_take(asked_s: float | None, patient: bool, allowed_s: float) -> None:
    assert Check("a", fine, 7, patient).allowed_s(asked_s) == allowed_s


def test_what_several_want_is_got_once_and_so_is_what_it_raises() -> None:
    got = []

    def get() -> int:
        got.append(1)
        raise ValueError("no")

    once = Once(get)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            once()
    assert len(got) == 1


def test_pages_that_findings_name_are_there_with_their_sections() -> None:
    found = set()
    for path in sorted((ROOT / "scheduler/doctor").glob("*.py")):
        named: dict[str, str] = {}
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant):
                named[ast.unparse(node.target)] = str(node.value.value)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                whole = ast.unparse(node)[2:-1]
                for name, value in named.items():
                    whole = whole.replace(f"{{{name}}}", value)
                found.add(whole)
            elif isinstance(node, ast.BinOp) and ast.unparse(node.left) in named:
                words = re.findall(r"'(corridor\w+)'", ast.unparse(node.right))
                found |= {named[ast.unparse(node.left)] + word for word in words}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    pages = sorted(one for one in found if re.fullmatch(r"docs/[\w./-]+\.md(#[\w-]+)?", one))
    assert len(pages) > 30
    for page in pages:
        name, _, anchor = page.partition("#")
        headings = re.findall(r"^#+ +(.+)$", (ROOT / name).read_text("utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
        assert anchor in anchors | {""}, page


def test_each_check_has_its_own_name() -> None:
    assert len({one.name for one in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:7443", "127.0.0.1:7443"),
        ("0.0.0.0:7443", "127.0.0.1:7443"),
        ("[::]:7443", "[::1]:7443"),
        ("corridor.example:7443", "corridor.example:7443"),
        ("127.0.0.1:0", ""),
        ("nonsense", ""),
    ],
)
def test_where_a_service_that_listens_is_reached(listen: str, expected: str) -> None:
    assert reached_at(listen) == expected


def test_metrics_of_something_else_are_none_of_ours() -> None:
    assert told("a", "up 1\n").problem == "these are no metrics of Corridor"
