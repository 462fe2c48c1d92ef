"""``corridor quota simulate`` beside a real service, and over a trace without one."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import CORRIDOR

ROOT = Path(__file__).parents[3]
PAGES = ("docs/city-admin.md", "docs/city-admin.zh-CN.md")
CPU = "wuhan-sc/kunpeng-920"
HEADER = "submit_s,city,enterprise,kind,units,walltime_req_s,runtime_s,job_id\n"


def examples(page: str) -> tuple[str, list[str]]:
    """The file of scenarios that a page shows, and its commands."""
    words = (ROOT / page).read_text("utf-8")
    (file,) = re.findall(r"```yaml\n(# scenarios\.yaml\n.*?)```", words, re.DOTALL)
    return file, re.findall(r"^corridor (quota simulate .*)$", words, re.MULTILINE)


def workload(path: Path, jobs: int) -> None:
    """Jobs of five cities, one a minute, more than the machine takes."""
    cities = ("wuhan", "ezhou", "huanggang", "huangshi", "xianning")
    rows = (
        f"{number * 60},{cities[number % 5]},E{number % 5},{('cpu', 'npu')[number % 2]},"
        f"{64 + number % 9},7200,{1800 + number % 7 * 600},{number}\n"
        for number in range(jobs)
    )
    path.write_text(HEADER + "".join(rows), encoding="utf-8")


@pytest.fixture
def with_jobs(served: Any, job_text: Any) -> Any:
    """The service, with a job of Ezhou that has ended."""
    run_one(served, job_text)
    return served


def run_one(service: Any, job_text: Any) -> None:
    """Let a job of Ezhou run to its end."""
    file = service.file(job_text("for simulation"))
    (job_id,) = service.ok("submit", file, who="sample-ezhou-1").lines
    service.ok("watch", job_id, "--until-ended", who="sample-ezhou-1")


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands are run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_ask_the_same() -> None:
    asked = []
    for page in PAGES:
        file, commands = examples(page)
        plain = [re.sub(r'--scenario "[^:]*:', '--scenario "', command) for command in commands]
        asked.append((re.sub(r"name: .*", "", file), plain))
    assert asked[0] == asked[1]
    assert len(asked[0][1]) == 4


@pytest.mark.parametrize("page", PAGES)
def test_the_worked_example_of_the_page_works(with_jobs: Any, page: str, at_work: Path) -> None:
    lang = "zh" if "zh" in page else "en"
    file, commands = examples(page)
    (at_work / "scenarios.yaml").write_text(file, encoding="utf-8")
    words = shlex.split(commands[1])
    out = with_jobs.ok(*words, who="ezhou", CORRIDOR_LANG=lang, COLUMNS="200").out
    names = re.findall(r"- name: (.+)", file)
    for name in (*names, {"en": "as it was", "zh": "实际"}[lang], "ezhou 鄂州"):
        assert name in out
    assert "wuhan 武汉" not in out
    assert {"en": "figures of other cities are left out", "zh": "则不显示"}[lang] in out
    assert (at_work / "waits.svg").read_text("utf-8").startswith("<?xml")


def test_the_other_examples_of_the_page_work(with_jobs: Any, at_work: Path) -> None:
    file, commands = examples(PAGES[0])
    (at_work / "scenarios.yaml").write_text(file, encoding="utf-8")
    workload(at_work / "week.csv", 600)
    assert set(shlex.split(commands[0])) < set(shlex.split(commands[1])), "run with a chart above"
    found = with_jobs.ok(*shlex.split(commands[2]), who="ezhou").json
    assert [one["scenario"] for one in found["scenarios"]] == ["history", "today", "cap"]
    assert found["place"] == "PROCESSES"
    less = with_jobs.ok(*shlex.split(commands[3])).out
    assert "cpu" in less
    assert "npu" in less


def test_operators_see_all_cities_and_differences_as_json(own: Any, job_text: Any) -> None:
    """Of a service of its own: history and today are compared, so no other jobs may be there."""
    run_one(own, job_text)
    scenario = f"stop:ezhou.{CPU}.nominal=0,ezhou.{CPU}.borrow_limit=0"
    found = own.ok("quota", "simulate", "--days", "7", "--scenario", scenario, "--json").json
    history, today, stop = found["scenarios"]
    assert found["jobs"] >= 1

    def row(of: Any) -> Any:
        (one,) = [one for one in of["cities"] if (one["city"], one["flavor"]) == ("ezhou", CPU)]
        return one

    assert row(today)["unstarted_jobs"] == 0
    assert row(stop)["unstarted_jobs"] == row(today)["jobs"] >= 1
    assert row(stop)["unit_hours"] == 0
    assert row(stop)["against_today"]["unit_hours"] == -row(today)["unit_hours"] < 0
    assert row(history)["unit_hours"] == pytest.approx(row(today)["unit_hours"], rel=0.2)
    assert {one["city"] for one in today["cities"]} >= {"ezhou", "wuhan", "huangshi"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give 1 to 8 scenarios"),
        (("--scenario", "x"), "write NAME:WHAT=VALUE"),
        (("--scenario", f"x:ezhou.{CPU}.nominal=1", "--scenario", f"x:ezhou.{CPU}.nominal=2"),
         "two scenarios are named x"),
        (("--scenario", f"x:ezhou.{CPU}.nominal=1", "--chart", "x.pdf"), "a chart is one of"),
        (("--scenario", f"x:ezhou.{CPU}.nominal=1", "--capacity", "cpu=1"), "are for --trace"),
        (("--scenario", "x:ezhou.cpu.nominal=1", "--trace", "nothing.csv"), "needs --capacity"),
        (("--scenario", "x:ezhou.cpu.nominal=1", "--trace", "nothing.csv", "--capacity", "cpu=9"),
         "cannot read nothing.csv"),
        (("--scenario", "x:nowhere.cpu.nominal=1"), "scenarios[0].cities[0].flavor: unknown"),
    ],
)  # fmt: skip
def test_wrong_use_is_told_in_one_line(served: Any, arguments: tuple[str, ...], told: str) -> None:
    ran = served.run("quota", "simulate", *arguments)
    assert ran.code == 2
    assert told in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_city_admin_cannot_cap_enterprises_elsewhere(served: Any) -> None:
    scenario = f"x:sample-wuhan-1.{CPU}.cap=1"
    ran = served.run("quota", "simulate", "--scenario", scenario, who="ezhou")
    assert ran.code == 2
    assert "there is no enterprise 'sample-wuhan-1' in your city" in ran.err


def children(pid: int) -> list[int]:
    """Processes of a process."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    return [int(one) for one in found]


def test_ctrl_c_ends_a_simulation_and_what_plays_it(tmp_path: Path) -> None:
    workload(tmp_path / "long.csv", 40_000)
    arguments = ["quota", "simulate", "--trace", "long.csv", "--capacity", "cpu=200,npu=200",
                 "--scenario", "x:ezhou.cpu.nominal=1"]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CORRIDOR_LANG": "en"}
    with subprocess.Popen(
        [*CORRIDOR, *arguments], cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background is deaf to the signal, and so are its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        try:
            while not (played := children(process.pid)):
                assert process.poll() is None, "it plays for a long time"
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) != 0
        finally:
            process.kill()
    assert [pid for pid in played if Path(f"/proc/{pid}").exists()] == []


def test_a_trace_needs_no_service_and_no_token(tmp_path: Path) -> None:
    workload(tmp_path / "week.csv", 400)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CORRIDOR_LANG": "en"}
    done = subprocess.run(
        [*CORRIDOR, "quota", "simulate", "--trace", "week.csv", "--capacity", "cpu=300,npu=300",
         "--scenario", "less:wuhan.cpu.nominal=20,wuhan.cpu.borrow_limit=0", "--json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert [one["scenario"] for one in found["scenarios"]] == ["today", "less"]
    rows = {(one["city"], one["flavor"]): one for one in found["scenarios"][1]["cities"]}
    assert rows["wuhan", "cpu"]["unstarted_jobs"] == rows["wuhan", "cpu"]["jobs"] == 40
    assert rows["ezhou", "cpu"]["unstarted_jobs"] == 0
