"""Prometheus' own tool reads our rules, runs their tests and likes the names of our metrics."""

import shutil
import subprocess
from pathlib import Path

import prometheus_client as prom
import pytest

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
