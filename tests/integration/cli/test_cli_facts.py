"""Facts about enterprises and flavors on the command line, against a real service."""

from typing import Any


def test_facts_are_said_shown_and_ended(served: Any) -> None:
    who = {"who": "huangshi"}
    facts = ("enterprise", "facts")
    why = ("--reason", "register of 2026")
    wrote = ("--source", "notice 8", *why)
    one = "sample-huangshi-1"
    checked = served.ok(*facts, "relate", one, "wuhan-ai", *wrote, "--dry-run", **who)
    assert checked.out.startswith("Only checked")
    assert "Nothing is known" in served.ok(*facts, "show", one, **who).out
    served.ok(*facts, "relate", one, "wuhan-ai", *wrote, **who)
    served.ok(*facts, "list-project", one, "ai-list", "P-1", *wrote, "--from", "24h", **who)
    served.ok(*facts, "support", one, "huangshi-domestic", "2025", *wrote, **who)
    shown = served.ok(*facts, "show", one, **who).out
    for text in (
        "related center", "wuhan-ai", "ai-list / P-1", "planned", "huangshi-domestic since 2025",
        "in force", "notice 8",
    ):  # fmt: skip
        assert text in shown
    assert "关联中心" in served.ok(*facts, "show", one, "--lang", "zh", **who).out
    again = served.run(*facts, "relate", one, "wuhan-ai", *wrote, **who)
    assert (again.code, again.err.count("\n")) == (1, 1)
    assert "end it first" in again.err
    served.ok(*facts, "unrelate", one, "wuhan-ai", *why, **who)
    served.ok(*facts, "unlist-project", one, "ai-list", "P-1", *why, **who)
    ended = served.ok(*facts, "unsupport", one, "huangshi-domestic", *why, "--json", **who)
    assert ended.json["facts"][0]["state"] == "ENDED"
    assert served.ok(*facts, "show", one, "--json", **who).json == {"facts": []}
    kept = served.ok(*facts, "show", one, "--all", "--json", **who).json["facts"]
    assert [fact["source"] for fact in kept] == ["notice 8"] * 3
    log = served.ok("audit", f"enterprises/{one}", "--json", **who).json
    assert len([event for event in log["events"] if "FACT" in event["action"]]) == 6


def test_only_operators_say_what_is_of_domestic_make(served: Any) -> None:
    said = ("center", "domestic", "wuhan-sc/accelerator")
    why = ("--reason", "new cards")
    assert served.run(*said, "yes", *why, who="huangshi").code == 4
    wrong = served.run(*said, "maybe", *why)
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "is of domestic make" in served.ok(*said, "yes", *why).out
    shown = served.ok("center", "show", "wuhan-sc", "--json").json
    found = {flavor["flavor"]: flavor.get("domestic", False) for flavor in shown["flavors"]}
    assert found["wuhan-sc/accelerator"] is True
    assert "is not of domestic make" in served.ok(*said, "no", *why).out
