"""What the pages show is what the command line takes: the example job, commands, options."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from scheduler.cli.groups import Stub
from scheduler.cli.main import app

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
JOB_PAGES = ("docs/enterprise.md", "docs/enterprise.zh-CN.md")


def blocks(page: Path, language: str) -> list[str]:
    """Pieces of code of a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Words of each line of shell that calls corridor."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    calls = [re.split(r"(?:^|/|\$\()corridor ", line, maxsplit=1) for line in lines]
    return [shlex.split(call[1], comments=True) for call in calls if len(call) == 2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_pages_exist_with_their_options(page: Path) -> None:
    for words in commands(page):
        command: Any = typer.main.get_command(app)
        left = list(words)
        while left and left[0] in getattr(command, "commands", {}):
            command = command.commands[left.pop(0)]
            if isinstance(command, Stub):
                command = command.load()
        assert not getattr(command, "commands", {}) or left == ["--help"], words
        known = {
            option for param in command.params for option in (*param.opts, *param.secondary_opts)
        }
        given = {word.partition("=")[0] for word in left if word.startswith("-") and word != "-"}
        assert given <= known | {"--help"}, words
        arguments = [param for param in command.params if param.param_type_name == "argument"]
        assert arguments or not [word for word in left[:1] if not word.startswith("-")], words


def test_the_pages_show_the_same_job(served: Any) -> None:
    english, chinese = (blocks(ROOT / page, "yaml") for page in JOB_PAGES)
    (job,) = (re.sub(r" *#.*", "", text) for text in english)
    assert [re.sub(r" *#.*", "", text) for text in chinese] == [job]


@pytest.mark.parametrize("page", JOB_PAGES)
def test_the_example_job_is_taken(served: Any, page: str) -> None:
    (text,) = blocks(ROOT / page, "yaml")
    file = served.file(text)
    receipt = served.ok("quote", file, who="sample-wuhan-1").out
    assert "¥320.00" in receipt  # 16 cards for 2.5 hours at 8 yuan
    (job_id,) = served.ok("submit", "--hold", file, who="sample-wuhan-1").lines
    assert served.ok("cancel", job_id, who="sample-wuhan-1").out == "1 cancelled\n"


@pytest.mark.parametrize("page", JOB_PAGES)
def test_the_alternatives_of_the_page_are_taken(served: Any, page: str) -> None:
    found = re.search(r"`(options: .*?)`", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert found is not None
    file = served.file(f"{found[1]}\nwall_limit: 1h\n")
    assert served.ok("quote", file, who="sample-wuhan-1").out.count("unit-hours") == 2


LANGUAGE_PAGES = ("docs/jobs.md", "docs/jobs.zh-CN.md")


def test_both_pages_on_what_a_job_can_say_show_the_same_jobs() -> None:
    english, chinese = (blocks(ROOT / page, "yaml") for page in LANGUAGE_PAGES)
    assert english == chinese


@pytest.mark.parametrize("text", blocks(ROOT / LANGUAGE_PAGES[0], "yaml"))
def test_every_example_of_what_a_job_can_say_is_taken(served: Any, text: str) -> None:
    file = served.file(text)
    job_ids = served.ok("submit", "--hold", file, who="sample-wuhan-1").lines
    assert len(job_ids) == max(1, text.count("- name:"))
    served.ok("cancel", *job_ids, who="sample-wuhan-1")


def test_a_quote_shows_how_long_the_inputs_of_the_page_take(served: Any) -> None:
    """400 GiB over a gigabit and 20 GiB over ten: near an hour; the latter lie at the other."""
    (text,) = [one for one in blocks(ROOT / LANGUAGE_PAGES[0], "yaml") if "location:" in one]
    shown = served.ok("quote", served.file(text), who="sample-wuhan-1").out
    assert [line.split()[-1] for line in shown.splitlines() if "inputs take" in line] == [
        "58m", "58m"
    ]  # fmt: skip


def test_the_line_that_the_page_shows_for_a_mistake_is_the_one_told(served: Any) -> None:
    (text,) = blocks(ROOT / JOB_PAGES[0], "yaml")
    wrong = served.file(text.replace("wall_limit", "wall_limt"))
    for page, lang in zip(JOB_PAGES, ("en", "zh"), strict=True):
        shown = re.search(r"`(job\.yaml:\d+: wall_limt: [^`]*)`", (ROOT / page).read_text("utf-8"))
        assert shown is not None
        ran = served.run("submit", wrong, CORRIDOR_LANG=lang)
        assert ran.err == f"{served.home}/{' '.join(shown[1].split())}\n"
