"""Alert rules and dashboards: they parse, and name only metrics that the service gives."""

import json
import re
from pathlib import Path
from typing import Any

import prometheus_client as prom
import pytest
import yaml

from scheduler.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = re.compile(r"(?<![\w:])corridor_\w+")
RULES: dict[str, Any] = yaml.safe_load(
    (DEPLOY / "prometheus/corridor.rules.yml").read_text("utf-8")
)
ALL_RULES = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in ALL_RULES if "alert" in rule]
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/corridor.json").read_text("utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


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


def expressions() -> list[str]:
    """All PromQL of rules and panels."""
    return [rule["expr"] for rule in ALL_RULES] + [
        target["expr"] for panel in PANELS for target in panel["targets"]
    ]


@pytest.mark.parametrize("expression", expressions())
def test_metrics_exist(expression: str) -> None:
    records = {rule["record"] for rule in ALL_RULES if "record" in rule}
    rest = expression
    for record in records:
        rest = rest.replace(record, "")
    assert set(NAME.findall(rest)) <= known().keys()


@pytest.mark.parametrize("expression", expressions())
def test_selected_labels_exist(expression: str) -> None:
    for name, selector in re.findall(r"(?<![\w:])(corridor_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selector)) <= set(known()[name])


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alerts_say_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "warn")
    assert {"summary", "action"} <= rule["annotations"].keys()


def test_prometheus_reads_the_rules() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))
    for name in config["rule_files"]:
        assert (DEPLOY / "prometheus" / name).exists()


def test_names_are_unique() -> None:
    alerts = [rule["alert"] for rule in ALERTS]
    assert len(alerts) == len(set(alerts))
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_every_metric_is_on_the_board_or_in_an_alert() -> None:
    shown = " ".join(expressions())
    hidden = {name for name in known() if not name.endswith(("_sum", "_count"))}
    assert {name for name in hidden if name not in shown} == set()
