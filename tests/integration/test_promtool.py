"""Prometheus' own tool reads our rules and queries, runs the rules' tests and likes our names."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prometheus_client as prom
import pytest
import yaml

from scheduler.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus"
TESTS = sorted(path.name for path in RULES.glob("*.test.yml"))
#: The world in which nothing is wrong.
HEALTHY = "healthy.test.yml"
NAME = re.compile(r"\b(?:up|process_\w+|(?<!:)corridor_\w+)\b(?=[\s{\[)]|$)")


def promtool(*words: str, stdin: str = "") -> str:
    """Run promtool; returns what it printed, and fails the test if it is not content."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed; tests/testbed/install.sh installs it")
    done = subprocess.run(
        [tool, *words], cwd=RULES, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rules() -> Iterator[dict[str, Any]]:
    """All rules of all files."""
    for path in sorted(RULES.glob("*.rules.yml")):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            yield from group["rules"]


def worlds(file: str) -> list[dict[str, Any]]:
    """The made-up worlds of a file of tests."""
    found: list[dict[str, Any]] = yaml.safe_load((RULES / file).read_text("utf-8"))["tests"]
    return found


def asked(world: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Alerts that a world asks for, and whether they are to fire."""
    for one in world.get("alert_rule_test", ()):
        yield one["alertname"], "exp_alerts" in one


@pytest.mark.parametrize("file", TESTS)
def test_alerts_fire_as_their_tests_say(file: str) -> None:
    assert "SUCCESS" in promtool("test", "rules", file)


def test_each_alert_is_seen_to_fire_and_to_be_quiet_in_its_own_world() -> None:
    """Quiet before or after, in the very series in which it fires: so what it waits for is seen."""
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    both = {
        name
        for file in TESTS
        for world in worlds(file)
        for name, fires in asked(world)
        if fires and (name, False) in set(asked(world))
    }
    assert both == alerts


def test_each_alert_is_quiet_where_all_is_well_and_all_is_measured() -> None:
    """A quiet alert says nothing if what it looks at is not there."""
    [world] = worlds(HEALTHY)
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert {name for name, fires in asked(world) if not fires} == alerts
    assert not any(fires for _, fires in asked(world))
    there = {one["series"].partition("{")[0] for one in world["input_series"]}
    wanted = {name for rule in rules() for name in NAME.findall(rule["expr"])}
    assert {"up", "corridor_leader", "process_max_fds"} <= wanted
    assert wanted <= there


def test_configuration_and_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_queries_of_dashboards_are_valid(tmp_path: Path) -> None:
    """Each is checked as if it were a rule, with what Grafana would put into it."""
    queries = sorted(
        {
            target["expr"]
            for path in (DEPLOY / "grafana").glob("*.json")
            for panel in json.loads(path.read_text("utf-8"))["panels"]
            for target in panel.get("targets", ())
        }
    )
    filled = [re.sub(r"\$\w+", ".*", query.replace("$__rate_interval", "1m")) for query in queries]
    recorded = [{"record": f"query:{i}", "expr": query} for i, query in enumerate(filled)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}), "utf-8")
    assert f"SUCCESS: {len(queries)} rules found" in promtool("check", "rules", str(path))


def test_names_of_metrics_follow_the_conventions() -> None:
    registry = Metrics().registry
    assert promtool("check", "metrics", stdin=prom.generate_latest(registry).decode()) == ""


def test_a_bad_name_would_be_found() -> None:
    registry = prom.CollectorRegistry()
    prom.Gauge("corridor_card_hours", "Hours instead of the base unit.", registry=registry)
    with pytest.raises(AssertionError, match="use base unit"):
        promtool("check", "metrics", stdin=prom.generate_latest(registry).decode())
