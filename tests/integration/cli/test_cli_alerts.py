"""Alerts and forecasts from the command line, against a real service."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any


def test_forecasts_are_shown_with_their_period(served: Any) -> None:
    found = served.ok("fund", "forecast", "ezhou-voucher", "--json", who="ezhou").json
    (one,) = found["forecasts"]
    assert one["period_end_date"].endswith("-12-31")
    assert one["likely_date"] == ""
    shown = served.ok("fund", "forecast", "ezhou-voucher", CORRIDOR_LANG="zh").out
    assert "数据不足 7 天" in shown
    assert served.run("fund", "forecast", who="sample-wuhan-1").code == 4


def tell(served: Any, kind: str, name: str, city: str, enterprise: str, figures: str) -> None:
    """Put an alert into the list that is over: the leader would end one that does not hold."""
    with contextlib.closing(sqlite3.connect(Path(served.home) / "data" / "corridor.db")) as raw:
        raw.execute(
            "INSERT INTO alert (kind, name, threshold, city, enterprise, figures, raised_ms,"
            " armed_ms, tries, next_try_ms) VALUES (?, ?, 80, ?, ?, ?, 1, 2, 0, 0)",
            (kind, name, city, enterprise, figures),
        )
        raw.commit()


def test_alerts_are_listed_for_whom_they_concern(served: Any) -> None:
    fund = '{"used_fen": 80100, "appropriated_fen": 100000}'
    tell(served, "FUND_USED", "huangshi-voucher/2020", "huangshi", "", fund)
    cap = '{"used_fen": 80000, "limit_fen": 100000}'
    tell(served, "CAP_USED", "huangshi-voucher/sample-huangshi-1/2020", "huangshi",
         "sample-huangshi-1", cap)  # fmt: skip
    city = served.ok("fund", "alerts", "--all", who="huangshi").out
    assert "80 % of the fund is spent" in city
    assert "¥801.00 / ¥1,000.00" in city
    assert "企业年度上限已用 80%" in served.ok("fund", "alerts", "--all", CORRIDOR_LANG="zh").out

    def names(who: str) -> list[str]:
        found = served.ok("fund", "alerts", "--all", "--json", who=who).json["alerts"]
        return [one["name"] for one in found if one["city"] == "huangshi"]

    assert len(names("huangshi")) == 2
    assert names("sample-huangshi-1") == ["huangshi-voucher/sample-huangshi-1/2020"]
    assert names("xianning") == []
    assert served.ok("fund", "alerts", "--json", who="huangshi").json["alerts"] == []
