"""Alert rules and dashboards: they parse, and name only metrics that the service gives."""

import json
import re
from pathlib import Path
from typing import Any

import prometheus_client as prom
import pytest
import typer.main
import yaml

from deploy.grafana import generate
from deploy.grafana.panels import made
from scheduler.cli.groups import Stub
from scheduler.cli.main import app
from scheduler.metrics import Metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
#: Recorded series of ours have colons in their names.
NAME = re.compile(r"(?<![\w:])corridor_\w+")
RECORDED = re.compile(r"\b\w+:corridor_[\w:]+")
FILES = sorted(PROMETHEUS.glob("*.rules.yml"))
#: (file, rule) of all files.
ALL_RULES: list[tuple[str, dict[str, Any]]] = [
    (path.name, rule)
    for path in FILES
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = [(file, rule) for file, rule in ALL_RULES if "alert" in rule]
ALERT_NAMES = [rule["alert"] for _, rule in ALERTS]
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((ROOT / "deploy/grafana").glob("*.json"))
}
RUNBOOKS = sorted((ROOT / "docs/runbooks").glob("*.md"))
#: What ends in these is asked for by a histogram's buckets alone.
PARTS = ("_sum", "_count")


def known() -> dict[str, tuple[str, ...]]:
    """Labels by the names under which the service's metrics are scraped."""
    names: dict[str, tuple[str, ...]] = {}
    for collector in set(Metrics().registry._collector_to_names):
        if not isinstance(collector, prom.Gauge | prom.Counter | prom.Histogram):
            continue
        labels = tuple(collector._labelnames)
        name = collector._name
        if isinstance(collector, prom.Histogram):
            names |= {f"{name}_{suffix}": labels for suffix in ("sum", "count")}
            names[f"{name}_bucket"] = (*labels, "le")
        else:
            names[f"{name}_total" if isinstance(collector, prom.Counter) else name] = labels
    return names


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Panels with queries."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """All PromQL of panels, and of what one may choose by."""
    found = [
        target["expr"]
        for board in BOARDS.values()
        for panel in panels(board)
        for target in panel["targets"]
    ]
    chosen = [one for board in BOARDS.values() for one in board["templating"]["list"]]
    return found + [one["query"]["query"] for one in chosen if one["type"] == "query"]


def expressions() -> list[str]:
    """All PromQL of rules and panels."""
    return sorted({str(rule["expr"]) for _, rule in ALL_RULES} | set(queries()))


@pytest.mark.parametrize("expression", expressions())
def test_metrics_and_recorded_series_exist(expression: str) -> None:
    records = {rule["record"] for _, rule in ALL_RULES if "record" in rule}
    assert set(RECORDED.findall(expression)) <= records
    assert set(NAME.findall(RECORDED.sub("", expression))) <= known().keys()


@pytest.mark.parametrize("expression", expressions())
def test_selected_labels_exist(expression: str) -> None:
    for name, selector in re.findall(r"(?<![\w:])(corridor_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selector)) <= set(known()[name])


@pytest.mark.parametrize(("file", "rule"), ALERTS, ids=ALERT_NAMES)
def test_alerts_say_what_is_wrong_in_both_languages(file: str, rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "warn")
    notes = rule["annotations"]
    assert set(notes) == {"summary", "summary_zh", "description", "runbook_url"}
    assert re.search(r"[\u4e00-\u9fff]", notes["summary_zh"])
    assert not re.search(r"[\u4e00-\u9fff]", notes["summary"] + notes["description"])


@pytest.mark.parametrize(("file", "rule"), ALERTS, ids=ALERT_NAMES)
def test_each_alert_has_its_runbook_in_both_languages(file: str, rule: dict[str, Any]) -> None:
    page = f"docs/runbooks/{file.partition('.')[0]}"
    assert rule["annotations"]["runbook_url"] == f"{page}.md#{rule['alert'].lower()}"
    for path in (f"{page}.md", f"{page}.zh-CN.md"):
        text = (ROOT / path).read_text("utf-8")
        assert text.count(f"\n## {rule['alert']}\n") == 1, path
        section = text.partition(f"\n## {rule['alert']}\n")[2].partition("\n## ")[0]
        assert "`" in section, "a runbook names something to look at"


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.name)
def test_runbooks_are_of_alerts_and_name_what_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    names = {
        rule["alert"] for file, rule in ALERTS if file.split(".")[0] == page.name.split(".")[0]
    }
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == names
    code = " ".join(re.findall(r"`([^`\n]+)`", text) + re.findall(r"```\w*\n(.*?)```", text, re.S))
    records = {rule["record"] for _, rule in ALL_RULES if "record" in rule}
    assert set(RECORDED.findall(code)) <= records
    assert set(NAME.findall(RECORDED.sub("", code))) <= known().keys()


def commands(text: str) -> list[list[str]]:
    """Words after ``corridor`` in pieces of code."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.S)
    pieces = re.findall(r"`([^`\n]+)`", text) + [line for one in blocks for line in one.split("\n")]
    return [piece.split()[1:] for piece in pieces if piece.startswith("corridor ")]


def called(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words call, loaded, and the words left for it."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while rest[:1] and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
        command = command.load() if isinstance(command, Stub) else command
    return command, rest


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.name)
def test_commands_of_runbooks_exist_down_to_their_options(page: Path) -> None:
    for words in commands(page.read_text("utf-8")):
        command, rest = called(words)
        assert not hasattr(command, "commands"), f"{words}: which command of the group?"
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= options, words


def test_a_command_that_is_not_there_would_be_found() -> None:
    assert hasattr(called(["center", "mend"])[0], "commands")
    assert commands("`corridor center list --json` and\n```sh\ncorridor fund show\n```") == [
        ["center", "list", "--json"],
        ["fund", "show"],
    ]


def test_names_are_unique() -> None:
    alerts = [rule["alert"] for _, rule in ALERTS]
    assert len(alerts) == len(set(alerts))
    uids = [board["uid"] for board in BOARDS.values()]
    assert len(uids) == len(set(uids))
    for board in BOARDS.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))


def test_dashboards_are_what_their_generator_makes() -> None:
    """A change of one is a change of the other: ``python -m deploy.grafana.generate``."""
    assert {name: made(board) for name, board in generate.BOARDS.items()} == BOARDS
    for name in BOARDS:
        text = (ROOT / f"deploy/grafana/{name}.json").read_text("utf-8")
        assert text == json.dumps(BOARDS[name], indent=2, ensure_ascii=False) + "\n"


def test_panels_do_not_lie_on_each_other() -> None:
    for board in BOARDS.values():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert max(x for x, _ in cells) < 24
            assert not cells & taken
            taken |= cells


def test_every_metric_is_on_a_dashboard() -> None:
    records = {rule["record"]: rule["expr"] for _, rule in ALL_RULES if "record" in rule}
    shown = " ".join(queries())
    shown += " ".join(expr for name, expr in records.items() if name in shown)
    hidden = {name for name in known() if not name.endswith(PARTS)}
    assert {name for name in hidden if name not in shown} == set()


def test_every_recorded_series_is_used() -> None:
    used = " ".join(queries() + [rule["expr"] for _, rule in ALL_RULES])
    assert {
        rule["record"] for _, rule in ALL_RULES if "record" in rule and rule["record"] not in used
    } == set()


@pytest.mark.parametrize("page", ["docs/slo.md", "docs/slo.zh-CN.md"])
def test_objectives_and_burn_rates_are_published_as_they_are(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    written = re.findall(r"^\| `([a-z-]+)` \| ([\d.]+) % \|", text, re.MULTILINE)
    records = [
        rule for _, rule in ALL_RULES if rule.get("record") == "slo:corridor_objective:ratio"
    ]
    held = [(rule["labels"]["slo"], float(rule["expr"][len("vector(") : -1])) for rule in records]
    assert [(slo, round(float(percent) / 100, 6)) for slo, percent in written] == held
    rows = re.findall(r"^\| `(Corridor\w+)` \| ([\d.]+) \|.*\| (\w+) \|$", text, re.MULTILINE)
    rules = {rule["alert"]: rule for _, rule in ALERTS}
    assert [name for name, *_ in rows] == [name for name in rules if name.startswith("CorridorSlo")]
    for name, burn, severity in rows:
        assert f"> on (slo) {burn} * (1 - slo:corridor_objective:ratio)" in rules[name]["expr"]
        assert rules[name]["labels"]["severity"] == severity
