"""Dry runs of rules and prices from the command line, against a real service."""

from typing import Any

RULE = """\
apiVersion: corridor/v1
kind: RuleVersion
programme: ezhou-voucher
rule:
  rate_bp: 4000
  year_cap_fen: 50000000
"""


def test_a_rule_is_tried_on_past_runs(served: Any, job_text: Any) -> None:
    served.ok(
        "submit", "--wait", served.file(job_text("tried", runtime_s=6_000)), who="sample-ezhou-1"
    )
    file = served.file(RULE, "rule.yaml")
    asked = ("programme", "simulate", "--file", file)
    found = served.ok(*asked, "--json", who="ezhou").json["simulation"]
    assert found["city"] == "ezhou"
    assert found["run_count"] >= 1
    (own,) = [one for one in found["programmes"] if one["programme"] == "ezhou-voucher"]
    assert own["proposed_fen"] >= 2 * own["today_fen"] > 0
    assert own["booked_fen"] > 0  # by rules that other tests may have changed since
    assert found["gross_today_fen"] == found["gross_proposed_fen"]
    shown = served.ok(*asked, who="ezhou").out
    assert "settled in the last 28 days" in shown
    assert "ezhou-voucher" in shown
    chinese = served.ok(*asked, CORRIDOR_LANG="zh").out
    assert "拟议" in chinese
    assert "比例: " in chinese
    dearer = served.ok(
        "programme", "simulate", "--price", "wuhan-sc/kunpeng-920=0.20", "--json", who="ezhou"
    ).json["simulation"]
    assert dearer["gross_proposed_fen"] > dearer["gross_today_fen"]


def test_what_cannot_be_tried_is_named(served: Any) -> None:
    nothing = served.run("programme", "simulate")
    assert (nothing.code, "--file" in nothing.err) == (2, True)
    unknown = served.run("programme", "simulate", "--price", "no/such=1", who="ezhou")
    assert (unknown.code, "prices[no/such]: there is no such flavor" in unknown.err) == (2, True)
    file = served.file(RULE.replace("4000", "40000"), "rule.yaml")
    wrong = served.run("programme", "simulate", "--file", file, who="ezhou")
    assert (wrong.code, "rate_bp" in wrong.err) == (2, True)
    file = served.file(RULE, "rule.yaml")
    assert served.run("programme", "simulate", "--file", file, who="wuhan").code == 1
    assert served.run("programme", "simulate", "--file", file, who="sample-ezhou-1").code == 4
