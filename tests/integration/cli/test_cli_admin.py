"""Quotas, money, centers and people from the command line, against a real service."""

import socket
from pathlib import Path
from typing import Any

import pytest
from corridor.v1.identity_service_pb2 import WhoAmIRequest

from scheduler.client import Client

NPU, CARD, CORE = "wuhan-ai/ascend-910b", "wuhan-sc/accelerator", "wuhan-sc/kunpeng-920"


def quota(served: Any, city: str, flavor: str) -> Any:
    """The quota of a city as JSON."""
    (found,) = served.ok("quota", "get", "--city", city, "--flavor", flavor, "--json").json[
        "quotas"
    ]
    return found


def test_a_citys_quota_is_set_but_for_what_is_not_named(served: Any) -> None:
    before = quota(served, "huangshi", NPU)
    set_it = ("quota", "set", NPU, "--city", "huangshi", "--reason", "a test")
    ran = served.ok(*set_it, "--borrow-limit", "16", "--lend-limit", "4")
    assert ran.lines[0].split()[:3] == ["CITY", "FLAVOR", "NOMINAL"]
    assert ran.lines[1].startswith("huangshi 黄石")
    after = quota(served, "huangshi", NPU)
    assert (after["borrow_limit_units"], after["lend_limit_units"]) == (16, 4)
    assert after["nominal_units"] == before["nominal_units"]
    assert after["etag"] != before["etag"]
    served.ok(*set_it, "--lend-limit", "none", "--json")
    last = quota(served, "huangshi", NPU)
    assert (last["borrow_limit_units"], last["lend_limit_units"]) == (16, None)
    stale = served.run(*set_it, "--nominal", "1", "--etag", before["etag"])
    assert (stale.code, stale.err.count("\n")) == (1, 1)
    assert "read it again" in stale.err
    chinese = served.run(*set_it, "--nominal", "1", "--etag", before["etag"], CORRIDOR_LANG="zh")
    assert "读取之后已被他人更改" in chinese.err
    assert quota(served, "huangshi", NPU) == last
    served.ok(*set_it, "--borrow-limit", "none")


def test_a_quota_above_what_there_is_is_refused_as_such(served: Any) -> None:
    ran = served.run("quota", "set", CARD, "--city", "ezhou", "--nominal", "25", "--reason", "x")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "the center grants 24" in ran.err


def test_an_enterprises_cap_is_set_and_taken_away(served: Any) -> None:
    set_it = ("quota", "set", CORE, "--enterprise", "sample-ezhou-2", "--reason", "a test")
    served.ok(*set_it, "--cap", "8", who="ezhou")
    ran = served.ok("quota", "get", "--enterprise", "sample-ezhou-2", who="ezhou")
    assert ran.lines[1].split()[:3] == ["sample-ezhou-2", CORE, "8"]
    served.ok(*set_it, "--cap", "none", who="ezhou")
    caps = served.ok("quota", "get", "--enterprises", "--json", who="ezhou").json["quotas"]
    assert [cap["cap_units"] for cap in caps if cap["enterprise"] == "sample-ezhou-2"] == [None]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--city", "ezhou", "--enterprise", "e"),
        ("--city", "ezhou"),
        ("--city", "ezhou", "--cap", "1"),
        ("--city", "ezhou", "--borrow-limit", "many"),
        ("--enterprise", "sample-ezhou-1"),
        ("--enterprise", "sample-ezhou-1", "--nominal", "1"),
        ("--city", "atlantis", "--lend-limit", "1"),
    ],
)
def test_what_does_not_go_together_is_told(served: Any, options: tuple[str, ...]) -> None:
    ran = served.run("quota", "set", NPU, "--reason", "x", *options)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith("corridor quota set: ")


def test_money_is_appropriated_once_a_request(served: Any) -> None:
    def available() -> int:
        (fund,) = served.ok("fund", "show", "huangshi-voucher", "--json").json["funds"]
        return int(fund["available_fen"])

    before = available()
    period = served.ok("fund", "show", "huangshi-voucher", "--json").json["funds"][0]["period"]
    pay = ("fund", "appropriate", "huangshi-voucher", "1234.50", "--period", period)
    for _ in range(2):
        served.ok(*pay, "--reason", "a test", "--request-id", "pay-1", who="huangshi")
    assert available() == before + 123_450
    ran = served.ok(*pay, "--reason", "a test", who="huangshi")
    assert "¥" in ran.out
    assert available() == before + 2 * 123_450
    for wrong in ("0.001", "-5", "x"):
        ran = served.run("fund", "appropriate", "p", "--period", "1", "--reason", "x", "--", wrong)
        assert (ran.code, "must be yuan" in ran.err) == (2, True)
    ran = served.run(*pay, "--reason", "x", who="sample-huangshi-1")
    assert (ran.code, ran.err.count("\n")) == (4, 1)


def test_the_ledger_is_listed_and_verified(served: Any) -> None:
    ran = served.ok("ledger", "verify")
    assert ran.out.startswith("The ledger holds: ")
    assert served.ok("ledger", "verify", CORRIDOR_LANG="zh").out.startswith("账目相符")
    assert served.ok("ledger", "verify", "--json").json["ok"]
    transfers = served.ok("ledger", "list", "--all", "--json").json["transfers"]
    assert transfers[0]["amount_fen"] > 0
    assert len(served.ok("ledger", "list", "--limit", "3").lines) == 1 + 3


def test_programmes_and_cities_are_listed(served: Any) -> None:
    found = served.ok("programme", "list", "--json").json["programmes"]
    assert {"wuhan-voucher", "corridor-shared"} <= {one["programme"] for one in found}
    ran = served.ok("programme", "list", "--city", "ezhou")
    assert all("ezhou" in line for line in ran.lines[1:])
    assert "sample" in ran.out
    assert "wuhan      武汉" in served.ok("city", "list").out


def test_centers_are_shown_as_simulated_and_closed_for_a_while(served: Any) -> None:
    for lang, words in (("en", "OPEN (simulated)"), ("zh", "开放 (模拟)")):
        assert words in served.ok("center", "list", CORRIDOR_LANG=lang).out
    ran = served.ok("center", "cordon", "wuhan-ai", "--reason", "a test")
    assert "CORDONED (simulated)" in ran.out
    assert served.ok("center", "show", "wuhan-ai", "--json").json["state"] == "CORDONED"
    assert served.ok("center", "resume", "wuhan-ai", "--reason", "a test", "--json").json[
        "simulated"
    ]
    ran = served.ok("center", "drain", "wuhan-sc", "--reason", "a test", CORRIDOR_LANG="zh")
    assert "排空中 (模拟)" in ran.out
    served.ok("center", "resume", "wuhan-sc", "--reason", "a test")
    ran = served.run("center", "cordon", "wuhan-ai", "--reason", "x", who="ezhou")
    assert ran.code == 4
    ran = served.run("center", "cordon", "wuhan-ai")
    assert (ran.code, ran.err.count("\n"), "--reason" in ran.err) == (2, 1, True)
    assert served.run("center", "show", "atlantis").code == 1


def test_an_enterprise_is_added_by_its_city(served: Any) -> None:
    add = ("enterprise", "create", "new-1", "--name", "新企业", "--size", "micro", "--startup")
    ran = served.ok(*add, who="xianning")
    assert ran.lines[1].split()[:3] == ["new-1", "xianning", "咸宁"]
    assert "start-up" in ran.out
    assert served.run(*add, who="xianning").code == 1
    found = served.ok("enterprise", "list", "--city", "xianning", "--json").json["enterprises"]
    (made,) = [one for one in found if one["enterprise"] == "new-1"]
    assert (made["size_class"], made["startup"], made["credit_limit_fen"]) == ("MICRO", True, 0)
    ran = served.run(
        "enterprise", "create", "new-2", "--name", "x", "--credit", "100", who="xianning"
    )
    assert ran.code == 4
    ran = served.ok("enterprise", "create", "new-2", "--city", "ezhou", "--name", "x",
                    "--credit", "100.50", "--json")  # fmt: skip
    assert ran.json["credit_limit_fen"] == 10_050


def test_a_token_works_until_it_is_revoked(served: Any) -> None:
    ran = served.ok("token", "create", "Li Na", "--role", "auditor", "--expires-in", "1d")
    secret = ran.out.strip()
    assert secret.startswith("cor_")
    assert secret not in ran.err
    token_id = ran.err.split()[1].rstrip(",")
    with Client(f"127.0.0.1:{served.port}", secret) as client:
        assert client.identity.WhoAmI(WhoAmIRequest()).subject == "Li Na"
    who = served.ok("whoami", CORRIDOR_TOKEN=secret)
    assert "you are        Li Na" in who.out
    listed = served.ok("token", "list")
    assert token_id in listed.out
    assert secret not in listed.out
    served.ok("token", "revoke", token_id)
    assert token_id not in served.ok("token", "list").out
    assert token_id in served.ok("token", "list", "--all").out
    ran = served.run("whoami", CORRIDOR_TOKEN=secret)
    assert (ran.code, ran.err.count("\n")) == (4, 1)
    assert "was revoked" in ran.err
    for wrong in (("--role", "king"), ("--role", "auditor", "--expires-in", "soon")):
        ran = served.run("token", "create", "x", *wrong)
        assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_who_has_no_right_is_told_so(served: Any) -> None:
    ran = served.run("jobs", who="")
    assert (ran.code, ran.err.count("\n")) == (4, 1)
    assert "CORRIDOR_TOKEN" in ran.err
    ran = served.run("jobs", who="", CORRIDOR_LANG="zh")
    assert ran.err.startswith("corridor jobs: 没有令牌")
    ran = served.run("jobs", "--json", CORRIDOR_TOKEN="cor_" + "x" * 40)
    assert (ran.code, ran.error["reason"]) == (4, "TOKEN_UNKNOWN")
    ran = served.run("fund", "show", who="sample-ezhou-1")
    assert (ran.code, "ENTERPRISE_ADMIN" in ran.err) == (4, True)


def test_a_service_that_is_not_there_is_told_in_a_line(served: Any) -> None:
    ran = served.run("jobs", CORRIDOR_SERVER="127.0.0.1:1")
    assert (ran.code, ran.err.count("\n")) == (5, 1)
    assert ran.err.startswith("corridor jobs: cannot reach the service at 127.0.0.1:1 (")
    ran = served.run("jobs", "--server", "127.0.0.1:1", "--json")
    assert (ran.code, ran.error["code"]) == (5, "UNAVAILABLE")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        ran = served.run("jobs", "--server", address, "--timeout", "0.2")
    assert (ran.code, ran.err.count("\n")) == (5, 1)
    assert "did not answer within 0.2 s" in ran.err
    ran = served.run("jobs", "--tls-ca", str(Path(served.home) / "none.pem"))
    assert (ran.code, "cannot be read" in ran.err) == (2, True)


def test_options_may_stand_before_the_command_too(served: Any) -> None:
    assert served.ok("--lang", "zh", "jobs", "--name", "nothing").out == "没有作业。\n"
    assert served.ok("jobs", "--name", "nothing", "--lang", "zh").out == "没有作业。\n"
    ran = served.run("--server", "127.0.0.1:1", "jobs")
    assert ran.code == 5
    ran = served.run("jobs", "--lang", "de")
    assert (ran.code, ran.err) == (2, "corridor jobs: --lang de: must be zh or en\n")
