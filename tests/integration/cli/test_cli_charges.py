"""``corridor charge`` and ``enterprise block`` against a real service."""

from typing import Any

import pytest

EZHOU = "sample-ezhou-1"


@pytest.fixture
def run(served: Any, job_text: Any) -> str:
    """A run of ezhou that was settled."""
    text = job_text("paid", runtime_s=300).replace("units_per_node: 4", "units_per_node: 2")
    text = text.replace("wuhan-sc/kunpeng-920", "wuhan-ai/ascend-910b")
    (job_id,) = served.ok("submit", "--wait", served.file(text), who=EZHOU).lines
    return f"{job_id}.1"


def test_a_charge_is_shown_previewed_and_lowered(served: Any, run: str) -> None:
    charge = served.ok("charge", "show", run, "--json", who=EZHOU).json
    gross = charge["gross_fen"]
    assert gross > 10
    assert gross == charge["settled_fen"] == charge["subsidy_fen"] + charge["self_pay_fen"]
    assert {row["programme"] for row in charge["answers"]} >= {"ezhou-voucher"}
    of = ("charge", "correct", run, f"{gross // 2 / 100:.2f}", "--code", "metering-error")
    shown = served.ok(*of, "--reason", "x", "--validate-only", who="ezhou")
    assert "nothing was changed" in shown.out
    assert served.ok("charge", "show", run, "--json").json["gross_fen"] == gross
    made = served.ok(*of, "--reason", "x", "--request-id", "one", "--json", who="ezhou").json
    assert made["done"] is True
    assert made["after"]["gross_fen"] == gross // 2
    again = served.ok(*of, "--reason", "x", "--request-id", "one", "--json", who="ezhou").json
    assert again["after"]["revision"] == 1
    shown = served.ok("charge", "show", run, CORRIDOR_LANG="zh").out
    assert "计量错误" in shown
    assert "更正记录" in shown
    assert served.ok("ledger", "verify").code == 0


def test_what_is_wrong_is_named_with_what_is_allowed(served: Any, run: str) -> None:
    gross = served.ok("charge", "show", run, "--json").json["gross_fen"]
    why = ("--code", "goodwill", "--reason", "x")
    above = served.run("charge", "correct", run, f"{(gross + 1) / 100:.2f}", *why)
    assert (above.code, "a charge is never raised by hand" in above.err) == (2, True)
    assert served.run("charge", "correct", run, "1.234", *why).code == 2
    assert served.run("charge", "correct", run, "0", *why, who=EZHOU).code == 4
    other = served.run("charge", "correct", run, "0", *why, who="xianning")
    assert "that you may see" in other.err
    nothing = served.run("charge", "write-off", run, "1", "--reason", "x")
    assert (nothing.code, "nothing to write off" in nothing.err) == (2, True)
    assert served.run("charge", "show", "j1.1").code == 2
    chinese = served.run("charge", "write-off", run, "1", "--reason", "x", CORRIDOR_LANG="zh")
    assert "charge write-off: 请求内容有误（amount_fen: the enterprise owes" in chinese.err
    odd = served.run("charge", "correct", run, "0", "--code", "odd", "--reason", "x")
    assert (odd.code, "'--code': 'odd' is not one of 'center-fault'," in odd.err) == (2, True)


def test_a_subsidy_is_clawed_back_and_its_enterprise_let_go_on(
    served: Any, run: str, job_text: Any
) -> None:
    charge = served.ok("charge", "show", run, "--json").json
    given = next(one for one in charge["shares"] if one["account"].startswith("fund:ezhou"))
    of = ("charge", "claw-back", run, f"{given['amount'] / 100:.2f}", "--reason", "false papers")
    ran = served.ok(*of, "--programme", "ezhou-voucher", who="ezhou")
    assert f"Enterprise {EZHOU} is blocked" in ran.out
    assert served.run("submit", served.file(job_text("more")), who=EZHOU).code == 1
    opened = served.ok("enterprise", "unblock", EZHOU, "--reason", "paid", who="ezhou")
    assert "may go on" in opened.out
    served.ok("submit", "--wait", served.file(job_text("more")), who=EZHOU)
    assert (
        served.ok("enterprise", "block", EZHOU, "--reason", "x", "--json").json["blocked"] is True
    )
    served.ok("enterprise", "unblock", EZHOU, "--reason", "x")
    assert served.run("enterprise", "block", EZHOU, "--reason", "x", who="xianning").code == 1
    assert served.ok("ledger", "verify").code == 0
