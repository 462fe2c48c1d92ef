"""Budgets and loans from the command line, against a real service and its control loop."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

CORE, NPU = "wuhan-sc/kunpeng-920", "wuhan-ai/ascend-910b"
WHY = ("--reason", "a test")
OWNER = "sample-xianning-1"


@pytest.fixture
def budgets(served: Any) -> Iterator[Any]:
    """The service; budgets of the cities used here are off again after the test."""
    yield served
    for city in ("xianning", "huanggang", "huangshi"):
        if served.ok("budget", "settings", city, "--json").json["etag"]:
            served.ok("budget", "settings", city, "on=no", *WHY)


def next_month(period: str) -> str:
    """The month after: jobs of these tests may run over the end of this one."""
    year, month = int(period[:4]), int(period[5:])
    return f"{year + month // 12}-{month % 12 + 1:02d}"


def allot(served: Any, city: str, flavor: str, hours: str, *more: str) -> Any:
    """Set a city's budget of this month and the next; returns this month's."""
    made = ("budget", "set", flavor, "--city", city, "--hours", hours, *WHY, "--json")
    (first,) = served.ok(*made, *more).json["budgets"]
    served.ok(*made, "--period", next_month(first["period"]))
    return first


def until(look: Callable[[], Any]) -> Any:
    """Ask again until there is an answer: the control loop works beside."""
    for _ in range(2_000):
        found = look()
        if found:
            return found
    raise AssertionError("nothing came of it")


def test_a_job_waits_for_its_budget_and_starts_when_it_is_there(
    budgets: Any, job_text: Any
) -> None:
    first = allot(budgets, "xianning", CORE, "2h")
    assert (first["allotted_unit_seconds"], first["free_unit_seconds"]) == (7_200, 7_200)
    budgets.ok("budget", "settings", "xianning", "enterprises=free", *WHY)
    (job_id,) = budgets.ok("submit", budgets.file(job_text("budgeted")), who=OWNER).lines

    def reason() -> Any:
        found = budgets.ok("explain", job_id, "--json", who=OWNER).json["reason"]
        return found if found and found["code"] == "BUDGET_CITY" else None

    found = until(reason)
    assert (found["node"], found["limit"]) == ("cities/xianning", 7_200)
    assert found["requested"] == 4 * (7_200 + 60)
    said = budgets.ok("explain", job_id, who=OWNER).out
    assert "8.1 unit-hours" in said, "hours are shown as hours"
    allot(budgets, "xianning", CORE, "1000h")
    ran = budgets.ok("watch", "--from-start", "--until-ended", job_id, who=OWNER)
    assert ran.code == 0
    shown = until(
        lambda: next(
            (
                row
                for row in budgets.ok("budget", "list", "--city", "xianning", "--json").json[
                    "budgets"
                ]
                if row["enterprise"] == OWNER and row["settled_unit_seconds"]
            ),
            None,
        )
    )
    assert 4 * 60 <= shown["settled_unit_seconds"] <= 4 * 7_260
    assert shown["held_unit_seconds"] == 0
    ran = budgets.ok("budget", "list", "--city", "xianning", "--flavor", CORE)
    assert ran.lines[0].split()[:3] == ["OF", "FLAVOR", "PERIOD"]
    assert "1,000 h" in ran.out
    facts = budgets.ok("budget", "show", CORE, "--city", "xianning", CORRIDOR_LANG="zh").out
    assert "用尽时" in facts
    assert "不再启动" in facts
    assert budgets.ok("budget", "verify").out.startswith("The budgets hold: ")
    assert budgets.ok("budget", "verify", "--json").json["ok"]


def test_what_cannot_be_set_is_told_in_a_line(budgets: Any) -> None:
    allot(budgets, "xianning", NPU, "100h")
    for options, code, words in (
        (("--city", "xianning", "--hours", "many"), 2, "must be hours"),
        (("--hours", "1h"), 2, "say whose budget"),
        (("--city", "xianning", "--hours", "1h", "--etag", "77"), 1, "read it again"),
        (("--city", "xianning", "--hours", "1h", "--period", "2020-01"), 2, "is over"),
        (("--city", "xianning", "--hours", "1h", "--period", "2030Q1"), 2, "must be a month"),
        (("--enterprise", OWNER, "--hours", "101h"), 3, "set at most 360000"),
    ):
        ran = budgets.run("budget", "set", NPU, *options, *WHY)
        assert (ran.code, ran.err.count("\n")) == (code, 1), ran.err
        assert words in ran.err
    ran = budgets.run("budget", "set", NPU, "--city", "xianning", "--hours", "1h", *WHY,
                      who="xianning")  # fmt: skip
    assert (ran.code, "only an operator" in ran.err) == (4, True)
    budgets.ok("budget", "set", NPU, "--enterprise", OWNER, "--hours", "100h", *WHY, who="xianning")
    for wrong in ("color=red", "mode", "mode=soft", "keep=-1"):
        ran = budgets.run("budget", "settings", "xianning", wrong, *WHY)
        assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_settings_are_shown_and_set(budgets: Any) -> None:
    fresh = budgets.ok("budget", "settings", "huangshi", "--json").json
    assert (fresh["enabled"], fresh["mode"], fresh["etag"]) == (False, "HARD", "")
    made = budgets.ok(
        "budget", "settings", "huangshi", "mode=overburn", "overburn=12.5%", "roll-over=yes", *WHY
    ).out
    assert "12.50 %" in made
    assert "runs may start to a margin" in made
    found = budgets.ok("budget", "settings", "huangshi", "--json", who="huangshi").json
    assert (found["overburn_bps"], found["roll_over"], found["enabled"]) == (1_250, True, True)
    ran = budgets.run("budget", "settings", "huangshi", "mode=hard", *WHY, who="huangshi")
    assert (ran.code, "only an operator" in ran.err) == (4, True)
    budgets.ok("budget", "settings", "huangshi", "share=150%", *WHY, who="huangshi")


def test_hours_are_asked_for_accepted_owed_and_forgiven(budgets: Any) -> None:
    allot(budgets, "xianning", NPU, "8000h")
    allot(budgets, "huanggang", NPU, "9000h")
    ask = ("loan", "request", NPU, "1500h", "--from", "huanggang", *WHY)
    loan = budgets.ok(*ask, "--json", who="xianning").json
    assert (loan["state"], loan["unit_seconds"]) == ("REQUESTED", 1500 * 3_600)
    number = str(loan["loan_id"])
    for who, code in (("xianning", 4), ("ezhou", 1), ("operator", 4)):
        assert budgets.run("loan", "accept", number, *WHY, who=who).code == code
    assert number in budgets.ok("loan", "list", "--open", who="huanggang").out
    assert "lent" in budgets.ok("loan", "accept", number, *WHY, who="huanggang").out
    assert budgets.run("loan", "decline", number, *WHY, who="huanggang").code == 1
    rows = budgets.ok("budget", "list", "--flavor", NPU, "--city", "xianning", who="xianning").out
    assert "+1,500 h" in rows
    ran = budgets.run("loan", "request", NPU, "501h", "--from", "huanggang", *WHY, who="xianning")
    assert (ran.code, "may still owe at most 1800000" in ran.err) == (3, True)
    listed = budgets.ok("loan", "list", who="xianning").out
    assert "1,500 h" in listed.splitlines()[-1]
    (debt,) = budgets.ok("loan", "list", "--json", who="xianning").json["debts"]
    assert debt["lender"] == "huanggang"
    assert budgets.ok("loan", "list", "--json", who="ezhou").json == {"loans": [], "debts": []}
    pardon = ("loan", "forgive", NPU, "500h", "--lender", "huanggang", "--borrower", "xianning")
    assert "1,000 h" in budgets.ok(*pardon, *WHY).out
    assert budgets.run(*pardon, *WHY, who="huanggang").code == 4
    offered = budgets.ok("loan", "offer", NPU, "10h", "--to", "xianning", *WHY, "--json",
                         who="huanggang").json  # fmt: skip
    budgets.ok("loan", "decline", str(offered["loan_id"]), *WHY, who="xianning")


def test_a_standing_rule_lends_at_once_up_to_what_it_says(budgets: Any) -> None:
    allot(budgets, "xianning", CORE, "8000h")
    allot(budgets, "huanggang", CORE, "9000h")
    rule = ("loan", "rule", CORE, "--to", "xianning", "--per-loan", "100h", "--per-period", "150h")
    shown = budgets.ok(*rule, *WHY, who="huanggang").out
    assert "xianning" in shown
    assert budgets.run(*rule, "--city", "huanggang", *WHY).code == 4, "its own admin's alone"
    ask = ("loan", "request", CORE, "--from", "huanggang", *WHY, "--json")
    states = [
        budgets.ok(*ask, hours, who="xianning").json["state"] for hours in ("101h", "100h", "51h")
    ]
    assert states == ["REQUESTED", "ACCEPTED", "REQUESTED"]
    assert budgets.ok("loan", "list", "--json", who="xianning").json["loans"][1]["by_rule"]


def test_a_quote_shows_what_would_be_held_or_whose_budget_is_short(
    budgets: Any, job_text: Any
) -> None:
    allot(budgets, "xianning", CORE, "12h")
    budgets.ok("budget", "settings", "xianning", "enterprises=free", "on=yes", *WHY)
    file = budgets.file(job_text("asked"))
    (option,) = budgets.ok("quote", file, "--json", who=OWNER).json["quotes"][0]["options"]
    held = option["budget_holds"]
    assert sum(part["unit_seconds"] for part in held) == 4 * (7_200 + 60)
    shown = budgets.ok("quote", file, who=OWNER).out
    assert f"h of {held[0]['period']}; free then: no limit of yours, " in shown
    assert "预占额度" in budgets.ok("quote", file, who=OWNER, CORRIDOR_LANG="zh").out
    own = ("budget", "set", CORE, "--enterprise", OWNER, *WHY)
    budgets.ok(*own, "--hours", "2h")
    over = budgets.ok("quote", file, who=OWNER).out
    assert "has not enough left [BUDGET_ENTERPRISE]" in over
    assert "6.1 unit-hours" in over
    listed = budgets.ok("quote", file, file, who=OWNER).out
    assert listed.count("enterprise's budget") == 2
    budgets.ok(*own, "--hours", "none")
