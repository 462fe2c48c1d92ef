"""Panels and dashboards as Grafana imports them, made from what is to be seen.

Each dashboard asks for its Prometheus when it is imported. Where a query aggregates, it drops the
labels that say which replica showed a series.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS: Final = 24
#: A window that fits what one looks at.
WINDOW: Final = "[$__rate_interval]"

#: An expression and the legend of its series.
Query = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture of queries; ``title`` and ``about`` are for people, ``unit`` is Grafana's."""

    title: str
    unit: str
    queries: Sequence[Query]
    about: str = ""
    kind: str = "timeseries"
    width: int = 8
    height: int = 7


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: rows of panels, and the labels one may choose by."""

    uid: str
    title: str
    rows: Sequence[tuple[str, Sequence[Panel]]]
    chosen_by: Sequence[str] = field(default=())


def graph(title: str, unit: str, *queries: Query, about: str = "") -> Panel:
    """Lines over time."""
    return Panel(title, unit, queries, about)


def figure(title: str, query: str, legend: str = "", about: str = "") -> Panel:
    """A single figure, as it is now."""
    return Panel(title, "none", [(query, legend)], about, "stat", 4, 4)


def bars(title: str, query: Query, about: str) -> Panel:
    """Parts of a whole beside each other, as they are now."""
    return Panel(title, "percentunit", [query], about, "bargauge", 12, 8)


def _of(metric: str, select: str) -> str:
    return f"{metric}{{{select}}}" if select else metric


def _legend(by: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by.split(", "))


def most(metric: str, by: str, select: str = "", tail: str = "") -> Query:
    """A gauge that only the leader shows, by some labels."""
    return f"max by ({by}) ({_of(metric, select)}){tail}", _legend(by)


def total(metric: str, by: str, select: str = "") -> Query:
    """The sum of a gauge by some labels."""
    return f"sum by ({by}) ({_of(metric, select)})", _legend(by)


def rate(metric: str, by: str, select: str = "") -> Query:
    """How often a second, by some labels."""
    return f"sum by ({by}) (rate({_of(metric, select)}{WINDOW}))", _legend(by)


def within(metric: str, by: str, select: str = "", window: str = "[1h]") -> Query:
    """How often within a window, by some labels."""
    return f"sum by ({by}) (increase({_of(metric, select)}{window}))", _legend(by)


def recorded(series: str, select: str = "") -> Query:
    """A series that the rules record; its name begins with its labels."""
    return _of(series, select), _legend(series.partition(":")[0].replace("_", ", "))


def quantiles(metric: str, by: str, select: str = "", window: str = WINDOW) -> list[Query]:
    """Median and 95th percentile of a histogram by some labels."""
    rates = f"sum by ({by}, le) (rate({_of(metric + '_bucket', select)}{window}))"
    return [
        (f"histogram_quantile({share}, {rates})", f"{_legend(by)} {name}")
        for share, name in (("0.5", "p50"), ("0.95", "p95"))
    ]


#: Where the values of what one may choose by come from.
_VALUES: Final = {
    "city": ("City 城市", "corridor_quota_nominal_units"),
    "flavor": ("Flavor 规格", "corridor_pool_capacity_units"),
    "center": ("Center 算力中心", "corridor_adapter_calls_total"),
}


def _choice(label: str) -> dict[str, Any]:
    title, metric = _VALUES[label]
    query = f"label_values({metric}, {label})"
    return {
        "name": label, "label": title, "type": "query", "datasource": _SOURCE,
        "query": {"query": query, "refId": label}, "includeAll": True,
        "multi": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]},
        "refresh": 2, "sort": 1,
    }  # fmt: skip


def _options(kind: str) -> dict[str, Any]:
    if kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"}}  # fmt: skip
    reduce = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    if kind == "stat":
        return {**reduce, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
    return {**reduce, "orientation": "horizontal", "displayMode": "basic"}


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
        for i, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number, "type": panel.kind, "title": panel.title, "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"h": panel.height, "w": panel.width, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": targets, "options": _options(panel.kind),
    }  # fmt: skip


def made(board: Board) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in board.rows:
        place = {"h": 1, "w": _COLUMNS, "x": 0, "y": y}
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "gridPos": place,
                       "collapsed": False, "panels": []})  # fmt: skip
        x, y, height = 0, y + 1, 0
        for panel in row:
            if x + panel.width > _COLUMNS:
                x, y, height = 0, y + height, 0
            panels.append(_panel(panel, len(panels) + 1, x, y))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource",
              "query": "prometheus"}  # fmt: skip
    return {
        "title": board.title, "uid": board.uid, "tags": ["corridor"], "schemaVersion": 39,
        "version": 1, "editable": True, "refresh": "15s",
        "time": {"from": "now-6h", "to": "now"}, "timezone": "browser",
        "templating": {"list": [source, *map(_choice, board.chosen_by)]},
        "annotations": {"list": []}, "links": [
            {"type": "dashboards", "tags": ["corridor"], "title": "Corridor", "asDropdown": True,
             "includeVars": True, "keepTime": True, "targetBlank": False, "url": "", "tooltip": "",
             "icon": "external link"}
        ],
        "panels": panels,
    }  # fmt: skip
