"""Prometheus' own tool reads our rules, runs their tests and likes the names of our metrics."""

import shutil
import subprocess
from pathlib import Path

import prometheus_client as prom
import pytest
import yaml

from scheduler.metrics import Metrics

RULES = Path(__file__).parents[2] / "deploy/prometheus"


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


def test_alerts_fire_as_their_tests_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", "corridor.rules.test.yml")


#: What metrics of the ledger begin with: money, holds, hours, and differences with centers' books.
LEDGER = ("corridor_fund_", "corridor_hold", "corridor_budget_", "corridor_recon_")


def test_each_alert_of_the_ledger_is_seen_to_fire() -> None:
    rules = yaml.safe_load((RULES / "corridor.rules.yml").read_text("utf-8"))
    tests = yaml.safe_load((RULES / "corridor.rules.test.yml").read_text("utf-8"))["tests"]
    fired = {
        one["alertname"] for each in tests for one in each["alert_rule_test"] if "exp_alerts" in one
    }
    named = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    ledger = {rule["alert"] for rule in named if any(name in rule["expr"] for name in LEDGER)}
    assert "CorridorBooksDiffer" in ledger
    assert ledger <= fired


def test_configuration_and_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_names_of_metrics_follow_the_conventions() -> None:
    registry = Metrics().registry
    assert promtool("check", "metrics", stdin=prom.generate_latest(registry).decode()) == ""


def test_a_bad_name_would_be_found() -> None:
    registry = prom.CollectorRegistry()
    prom.Gauge("corridor_card_hours", "Hours instead of the base unit.", registry=registry)
    with pytest.raises(AssertionError, match="use base unit"):
        promtool("check", "metrics", stdin=prom.generate_latest(registry).decode())
