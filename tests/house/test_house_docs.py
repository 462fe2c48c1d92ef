"""Docs: links lead somewhere, and the make targets and commands they name exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from scheduler.domain.states import JOB_MOVES, RUN_MOVES

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


def name_of(path: Path) -> str:
    """Path from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, by the usual rule."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Target and anchor of each link that does not leave the repository."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, anchor = target.partition("#")
            yield path, anchor


def words(page: Path, command: str) -> set[str]:
    """What follows ``command`` at the start of a line or piece of code."""
    code = "\n".join(CODE.findall(page.read_text(encoding="utf-8")))
    return set(re.findall(rf"(?:^|[`$|(] ?){command} +([a-z][a-z-]*)", code, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert words(page, "make") <= set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    from scheduler.cli.main import app

    command = typer.main.get_command(app)
    assert words(page, "corridor") <= set(getattr(command, "commands", {}))


def test_pages_have_both_languages() -> None:
    pages = ("enterprise", "jobs", "city-admin", "money", "agent", "slo")
    for page in ("README", *(f"docs/{name}" for name in pages)):
        assert (ROOT / f"{page}.md").exists()
        assert (ROOT / f"{page}.zh-CN.md").exists()


def test_every_target_has_its_line_of_help() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))


def test_published_states_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| ([A-Z, ]+) \|([A-Z, ]*)\|$", (ROOT / "docs/contributor.md").read_text("utf-8"), re.M
    )
    found = [
        (state, frozenset(after.split(", ") if after.strip() else ()))
        for states, after in ((states, after.strip()) for states, after in rows)
        for state in states.split(", ")
    ]
    jobs, runs = found[: len(JOB_MOVES)], found[len(JOB_MOVES) :]
    assert dict(jobs) == {str(state): frozenset(map(str, to)) for state, to in JOB_MOVES.items()}
    assert dict(runs) == {str(state): frozenset(map(str, to)) for state, to in RUN_MOVES.items()}


def test_operators_page_leads_to_every_runbook() -> None:
    page = (ROOT / "docs/operator.md").read_text(encoding="utf-8")
    runbooks = {path.name for path in (ROOT / "docs/runbooks").glob("*.md")}
    english = {f"runbooks/{name}" for name in runbooks if not name.endswith(".zh-CN.md")}
    assert {target for target in LINK.findall(page) if target.startswith("runbooks/")} == english
    assert {name.replace(".md", ".zh-CN.md") for name in runbooks if ".zh" not in name} < runbooks
