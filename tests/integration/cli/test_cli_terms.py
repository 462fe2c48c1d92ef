"""Programmes, rules, prices and approvals on the command line, against a real service."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.cli import rule_file

RULE = """\
apiVersion: corridor/v1
kind: RuleVersion
programme: {programme}
effective_from: {start}
rule:
  rate_bp: 3000
  tiers:
    - {{rate_bp: 6000, startup: true, sectors: [ai]}}
  year_cap_fen: 12345600
  funders:
    - {{funder: huangshi, share_bp: 5000}}
    - {{funder: hubei, share_bp: 5000}}
"""
PROGRAMME = """\
apiVersion: corridor/v1
kind: Programme
programme: {programme}
city: huangshi
name: 黄石一人公司算力券（示例）
document_ref: 示例：非真实政策
sample: true
rule:
  rate_bp: 2500
  startup_only: true
"""
ACCELERATOR = "wuhan-sc/accelerator"


def _asked(ran: Any) -> int:
    """The number of the request that a command made."""
    return int(ran.json["change_request"]["number"])


def test_a_programme_goes_from_its_file_to_its_end(served: Any) -> None:
    first = served.file(PROGRAMME.format(programme="huangshi-a"), "programme.yaml")
    create = ("programme", "create", "-f", first, "--reason", "decided")
    assert "Only checked" in served.ok(*create, "--dry-run", who="huangshi").out
    number = _asked(served.ok(*create, "--json", who="huangshi"))
    ran = served.run("programme", "show", "huangshi-a", who="huangshi")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    listed = served.ok("approve", "list", who="huangshi")
    assert f"\n{number:>6}  rule" in listed.out or f"{number}  rule" in listed.out
    ran = served.run("approve", "accept", str(number), "--reason", "mine", who="huangshi")
    assert ran.code == 4
    assert "another person" in ran.err
    shown = served.ok("approve", "accept", str(number), "--reason", "yes", "--dry-run")
    assert shown.out.startswith("Only checked")
    assert "approved" in served.ok("approve", "accept", str(number), "--reason", "yes").out
    shown = served.ok("programme", "show", "huangshi-a", who="huangshi").out
    for words in ("黄石一人公司算力券（示例）", "in force", "25.00 %", "startup_only"):
        assert words in shown
    second = served.file(
        RULE.format(programme="huangshi-a", start="2030-01-01T00:00:00+08:00"), "rule.yaml"
    )
    asked = served.ok(
        "programme", "propose", "-f", second, "--reason", "new document", who="huangshi"
    ).out
    for words in ("rate_bp", "25.00 %", "30.00 %", "¥123,456.00", "corridor approve accept"):
        assert words in asked
    waiting = served.ok("approve", "list", "--kind", "rule-version", "--json", who="huangshi")
    [request] = waiting.json["change_requests"]
    assert json.loads(request["payload_json"])["rule"]["funders"][1]["name"] == "hubei"
    served.ok("approve", "accept", str(request["number"]), "--reason", "agreed")
    rules = served.ok("programme", "rules", "huangshi-a", "--json", who="huangshi").json
    assert [(one["version"], one["state"]) for one in rules["versions"]] == [
        (2, "PLANNED"), (1, "IN_FORCE"),
    ]  # fmt: skip
    assert rules["versions"][0]["effective_time"] == "2029-12-31T16:00:00Z"
    end = ("programme", "end", "huangshi-a", "--reason", "over", "--json")
    number = _asked(served.ok(*end, who="huangshi"))
    served.ok("approve", "accept", str(number), "--reason", "agreed")
    assert "已终止" in served.ok("programme", "show", "huangshi-a", CORRIDOR_LANG="zh").out
    table = served.ok("programme", "rules", "huangshi-a").lines
    assert [line.split()[:2] for line in table[1:]] == [["2", "ended"], ["1", "ended"]]


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("rate_bp: 3000", "rate_bp: 30.5"), 6, "rule.rate_bp"),
        (("year_cap_fen: 12345600", "year_cap_fen: 0.5"), 9, "rule.year_cap_fen"),
        (("tiers:", "teirs:"), 7, "tiers"),
        (("  rate_bp: 3000\n", ""), 6, "rule.rate_bp"),
        (("kind: RuleVersion", "kind: Rule"), 2, "RuleVersion"),
        (("corridor/v1", "corridor/v2"), 1, "apiVersion"),
        (("2030-01-01", "tomorrow"), 4, "2027-01-01"),
        (("huangshi, share_bp: 5000", "huangshi, share_bp: 4500"), 10, "not 9500"),
        (("sectors: [ai]", "flavors: [ai]"), 8, "rule.tiers[0].flavors"),
        (("year_cap_fen: 12345600", "flavors: [mars/npu]"), 9, "wuhan-ai/ascend-910b"),
        (("2030-01-01", "2020-01-01"), 4, "in the past"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_by_its_line(
    served: Any, change: tuple[str, str], line: int, says: str
) -> None:
    """Whether the command line or the service finds it."""
    text = RULE.format(programme="huangshi-voucher", start="2030-01-01")
    assert change[0] in text
    path = served.file(text.replace(*change), "wrong.yaml")
    ran = served.run("programme", "propose", "-f", path, "--reason", "x", who="huangshi")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith(f"{path}:{line}: ")
    assert says in ran.err
    about = ("--about", "programmes/huangshi-voucher", "--kind", "rule-version")
    waiting = served.ok("approve", "list", *about, "--json")
    assert waiting.json == {"change_requests": []}


def test_a_file_that_cannot_be_used_is_told(served: Any, tmp_path: Any) -> None:
    for text in ("", "a: 1\n---\nb: 2\n", "- 1\n", "kind: [\n"):
        path = served.file(text, "odd.yaml")
        ran = served.run("programme", "propose", "-f", path, "--reason", "x")
        assert (ran.code, ran.err.count("\n")) == (2, 1), text
    ran = served.run("programme", "create", "-f", str(tmp_path / "none"), "--reason", "x")
    assert (ran.code, "none" in ran.err) == (2, True)


def test_prices_are_set_by_two_operators(served: Any) -> None:
    set_prices = (
        "center", "set-prices", "wuhan-sc", "--from", "2030-01-01", "--reason", "price list",
    )  # fmt: skip
    price = ("--price", f"{ACCELERATOR}=6.50")
    assert "Only checked" in served.ok(*set_prices, *price, "--dry-run").out
    number = _asked(served.ok(*set_prices, *price, "--json"))
    shown = served.ok("approve", "show", str(number)).out
    for words in ("prices", ACCELERATOR, "¥6.000012/h", "¥6.500016/h"):
        assert words in shown, shown
    ran = served.run("approve", "accept", str(number), "--reason", "x")
    assert (ran.code, "another person" in ran.err) == (4, True)
    second = served.ok("token", "create", "second operator", "--role", "operator").out.strip()
    served.tokens["second"] = second
    served.ok("approve", "accept", str(number), "--reason", "agreed", who="second")
    listed = served.ok("center", "prices", "wuhan-sc", "--flavor", ACCELERATOR, "--json").json
    assert [(one["price_ufen_per_unit_second"], one["state"]) for one in listed["prices"]] == [
        (180_556, "PLANNED"), (166_667, "IN_FORCE"),
    ]  # fmt: skip
    table = served.ok("center", "prices", "--all").out
    assert "planned" in table
    ran = served.run(*set_prices, *price)
    assert (ran.code, "would overlap" in ran.err) == (2, True)
    exact = ("--price", f"{ACCELERATOR}=166000ufen", "--replace-planned", "--json")
    asked = served.ok(*set_prices, *exact).json["change_request"]
    assert json.loads(asked["after_json"])[ACCELERATOR] == 166_000
    denied = served.ok("approve", "deny", str(asked["number"]), "--reason", "no", who="second")
    assert "denied" in denied.out
    for wrong in ("wuhan-sc", f"{ACCELERATOR}=", f"{ACCELERATOR}=-1", "=8", f"{ACCELERATOR}=x"):
        ran = served.run(*set_prices, "--price", wrong)
        assert (ran.code, "--price" in ran.err) == (2, True), wrong


def test_requests_are_listed_withdrawn_and_shown_in_chinese(served: Any) -> None:
    (fund,) = served.ok("fund", "show", "xianning-voucher", "--json").json["funds"]
    pay = (
        "fund", "appropriate", "xianning-voucher", "2000000", "--period", fund["period"],
        "--reason", "二期拨款",
    )  # fmt: skip
    served.ok(*pay, "--json", who="xianning")
    [request] = served.ok("approve", "list", "--json", who="xianning").json["change_requests"]
    assert (request["kind"], request["amount_fen"]) == ("APPROPRIATE", 200_000_000)
    shown = served.ok("approve", "show", str(request["number"]), CORRIDOR_LANG="zh").out
    for words in ("拨款", "待审批", "¥2,000,000.00", "二期拨款", "须由另一人审批"):
        assert words in shown
    table = served.ok("approve", "list", "--city", "xianning", CORRIDOR_LANG="zh").out
    assert "待审批" in table
    withdraw = ("approve", "withdraw", str(request["number"]), "--reason", "typing error")
    assert "withdrawn" in served.ok(*withdraw, who="xianning").out
    assert served.ok("approve", "list", who="xianning").out == "No changes wait for a decision.\n"
    all_of_them = served.ok("approve", "list", "--all", "--json", who="xianning").json
    assert [one["state"] for one in all_of_them["change_requests"]] == ["WITHDRAWN"]
    ran = served.run("approve", "list", "--kind", "gift")
    assert (ran.code, "rule-version" in ran.err) == (2, True)
    ran = served.run("approve", "deny", "999999", "--reason", "x")
    assert (ran.code, ran.err.count("\n")) == (1, 1)


def test_a_request_survives_the_end_of_the_service(own: Any) -> None:
    path = own.file(PROGRAMME.format(programme="huangshi-b"), "programme.yaml")
    number = _asked(
        own.ok("programme", "create", "-f", path, "--reason", "decided", "--json", who="huangshi")
    )
    before = own.ok("approve", "show", str(number), "--json").json
    own.kill()
    own.start()
    assert own.ok("approve", "show", str(number), "--json").json == before
    own.ok("approve", "accept", str(number), "--reason", "agreed")
    own.kill()
    own.start()
    shown = own.ok("programme", "show", "huangshi-b", "--json").json
    assert shown["current"]["version"] == 1
    assert shown["current"]["approved_by"].startswith("operator")
    assert own.ok("approve", "show", str(number), "--json").json["state"] == "APPROVED"


DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("page", ["approvals.md", "approvals.zh-CN.md"])
def test_the_rule_of_the_page_is_taken(served: Any, page: str) -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    path = served.file(text, "page.yaml")
    ran = served.ok("programme", "propose", "-f", path, "--reason", "x", "--dry-run", who="ezhou")
    assert "Only checked" in ran.out
    assert "25.00 %" in ran.out


def test_the_schema_of_files_admits_what_is_read() -> None:
    """The reader and its schema know the same fields, down to the lists."""
    schema = rule_file.schema(rule_file.VERSION)
    said = yaml.safe_load(RULE.format(programme="p", start="'2030-01-01'"))
    assert set(said) <= set(schema["properties"])
    rule = schema["properties"]["rule"]
    assert set(said["rule"]) <= set(rule["properties"])
    assert set(said["rule"]["tiers"][0]) <= set(rule["properties"]["tiers"]["items"]["properties"])
    assert schema["required"] == ["apiVersion", "kind", "programme", "rule"]
    assert schema["properties"]["kind"] == {
        "enum": ["RuleVersion"],
        "description": "What the file says.",
    }
    moment = schema["properties"]["effective_from"]
    for example in moment["examples"]:
        assert re.search(moment["pattern"], example)
