"""``corridor fund``, ``voucher``, ``wallet`` and ``period`` against a real service."""

from typing import Any

import pytest

OPEN = ("fund", "open", "huanggang-voucher", "--reason", "budget of the year")


def test_a_fund_is_opened_paid_into_and_lowered(served: Any) -> None:
    ran = served.ok(*OPEN, "--period", "2031", who="huanggang")
    assert ran.lines[1].split()[:4] == ["huanggang-voucher", "huanggang", "黄冈", "2031"]
    of = ("huanggang-voucher", "--period", "2031", "--reason", "x")
    paid = served.ok("fund", "appropriate", "huanggang-voucher", "100", *of[1:], "--json").json
    assert paid["fund"]["available_fen"] == 10_000
    assert paid["change_request"] is None
    ran = served.run("fund", "lower", of[0], "100.01", *of[1:])
    assert (ran.code, "¥100.00 can be taken out now" in ran.err) == (1, True)
    lowered = served.ok("fund", "lower", of[0], "40", *of[1:], "--pending", "--json").json
    assert lowered["fund"]["available_fen"] == 6_000
    ran = served.run("fund", "lower", of[0], "much", *of[1:])
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    ran = served.run(*OPEN, "--period", "2031Q1")
    assert (ran.code, "overlaps 2031" in ran.err) == (1, True)
    assert "已拨" in served.ok("fund", "show", "huanggang-voucher", CORRIDOR_LANG="zh").out


def test_a_large_amount_waits_for_another_person(served: Any) -> None:
    of: tuple[str, ...] = ("fund", "appropriate", "huangshi-voucher", "1000000", "--reason", "x")
    year = served.ok("fund", "show", "huangshi-voucher", "--json").json["funds"][0]["period"]
    of = (*of, "--period", year, "--request-id", "large")
    ran = served.ok(*of, who="huangshi")
    assert "waits for another person" in ran.lines[0]
    request = served.ok(*of, "--json", who="huangshi").json["change_request"]
    assert request["state"] == "PENDING"
    withdraw = ("approve", "withdraw", str(request["number"]), "--reason", "only a test")
    served.ok(*withdraw, who="huangshi")


def test_a_request_id_is_told_and_does_nothing_twice(served: Any) -> None:
    served.ok(*OPEN, "--period", "2032", who="huanggang")
    of = (
        "fund", "appropriate", "huanggang-voucher", "5", "--period", "2032", "--reason", "x",
        "--request-id", "once",
    )  # fmt: skip
    for _ in range(2):
        assert served.ok(*of, "--json").json["fund"]["appropriated_fen"] == 500
    assert "request id once" in served.ok(*of, "--verbose").err


def test_wallets_are_shown_and_changed_by_operators(served: Any) -> None:
    wallet = ("wallet", "top-up", "sample-huangshi-1", "12.50", "--reason", "bank receipt 7")
    before = served.ok("wallet", "show", "sample-huangshi-1", "--json").json["wallets"][0]
    assert served.run(*wallet, who="huangshi").code == 4
    after = served.ok(*wallet, "--json").json["wallet"]
    assert after["paid_in_fen"] - before["paid_in_fen"] == 1_250
    credit = ("wallet", "credit", "sample-huangshi-1", "--reason", "x")
    assert served.ok(*credit, "70000", "--json").json["credit_limit_fen"] == 7_000_000
    shown = served.ok("wallet", "show", who="sample-huangshi-1", CORRIDOR_LANG="zh").lines
    assert shown[0].split()[0] == "企业"
    assert [line.split()[0] for line in shown[1:]] == ["sample-huangshi-1"]


def test_periods_are_listed_and_closed_when_they_are_over(served: Any) -> None:
    months = served.ok("period", "list", "--json").json["months"]
    assert months[0]["state"] == "OPEN"
    ran = served.run("period", "close", months[0]["month"], "--reason", "x")
    assert (ran.code, "is not over" in ran.err) == (1, True)
    assert served.run("period", "close", months[0]["month"], "--reason", "x", who="ezhou").code == 4
    fund = served.ok("fund", "show", "ezhou-voucher", "--json").json["funds"][0]["period"]
    ran = served.run("period", "close", fund, "--programme", "ezhou-voucher", "--reason", "x")
    assert (ran.code, "lower the fund" in ran.err) == (1, True)
    listed = served.ok("period", "list", CORRIDOR_LANG="zh").out
    assert "月份" in listed
    assert "最后一日" in listed


# --- vouchers -------------------------------------------------------------------------------------


def issued(served: Any, *options: str, who: str = "wuhan") -> Any:
    """Issue vouchers of the sample programme that has them; returns the answer."""
    year = served.ok("fund", "show", "wuhan-direct-voucher", "--json").json["funds"][0]["period"]
    one = ("voucher", "issue", "wuhan-direct-voucher", "--period", year, "--reason", "a test")
    return served.ok(*one, *options, "--json", who=who).json["vouchers"]


def test_a_voucher_is_issued_seen_by_its_enterprise_and_revoked(served: Any) -> None:
    [new] = issued(served, "--enterprise", "sample-wuhan-1", "--face", "88.50", "--number", "T-1")
    assert (new["face_fen"], new["state"]) == (8_850, "ISSUED")
    shown = served.ok("voucher", "list", who="sample-wuhan-1").lines
    assert [line.split()[0] for line in shown[1:]] == ["T-1"]
    assert served.run("voucher", "show", "T-1", who="sample-ezhou-1").code == 1
    facts = served.ok("voucher", "show", "T-1", who="sample-wuhan-1", CORRIDOR_LANG="zh").out
    assert "¥88.50" in facts
    assert "有效" in facts
    revoke = ("voucher", "revoke", "T-1", "--reason", "moved away")
    assert served.run(*revoke, who="ezhou").code == 1
    assert served.ok(*revoke, "--json", who="wuhan").json["returned_fen"] == 8_850
    assert "revoked" in served.ok(*revoke, who="wuhan").out, "again changes nothing"
    none = served.ok("voucher", "list", who="sample-wuhan-1").out
    assert none == "No vouchers that give anything now.\n"
    ended = served.ok("voucher", "list", "--ended", "--json", who="sample-wuhan-1").json
    assert [one["voucher_no"] for one in ended["vouchers"]] == ["T-1"]


def test_many_vouchers_are_issued_from_a_file_of_a_spreadsheet(served: Any) -> None:
    path = served.file(
        "\ufeffenterprise,face,number,valid_from,valid_until\r\n"
        "sample-wuhan-1,100,F-1,,2027-06-30\r\n"
        "\r\n"
        "sample-wuhan-1,50.5,,,\r\n",
        "many.csv",
    )
    first, second = issued(served, "--file", path)
    assert (first["voucher_no"], first["face_fen"], second["face_fen"]) == ("F-1", 10_000, 5_050)
    assert first["valid_to_time"] == "2027-06-30T16:00:00Z", "to the end of the day in Shanghai"
    assert second["voucher_no"].startswith("wuhan-direct-voucher-")
    assert "2027-06-30" in served.ok("voucher", "show", "F-1").out


def test_free_hours_are_granted_and_listed_beside_vouchers(served: Any) -> None:
    year = served.ok("fund", "show", "wuhan-free-hours", "--json").json["funds"][0]["period"]
    grant = ("fund", "grant", "wuhan-free-hours", "sample-wuhan-1", "90m", "--period", year)
    found = served.ok(*grant, "--reason", "x", "--json", who="wuhan").json["grant"]
    assert found["granted_unit_seconds"] == 5_400
    listed = served.ok("voucher", "list", who="sample-wuhan-1").lines
    assert listed[-1].split()[0] == "wuhan-free-hours"
    assert "1.5 h" in listed[-1]
    ran = served.run(*grant[:4], "soon", *grant[5:], "--reason", "x", who="wuhan")
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_no_vouchers_come_out_of_a_pool(served: Any) -> None:
    year = served.ok("fund", "show", "wuhan-voucher", "--json").json["funds"][0]["period"]
    one = ("voucher", "issue", "wuhan-voucher", "--period", year, "--reason", "x")
    ran = served.run(*one, "--enterprise", "sample-wuhan-1", "--face", "5")
    assert (ran.code, "issue: VOUCHER" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--file"),
        (("--enterprise", "a", "--file", "b"), "--file"),
        (("--enterprise", "a", "--face", "x"), "--face"),
        (("--enterprise", "a", "--face", "0"), "--face"),
        (("--enterprise", "a", "--face", "5", "--valid-from", "soon"), "--valid-from"),
        (("--enterprise", "a", "--face", "5", "--valid-until", "2026-02-30"), "--valid-until"),
        (("--file", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_wrong_use_of_an_issue_is_one_line(served: Any, options: Any, says: str) -> None:
    one = ("voucher", "issue", "wuhan-voucher", "--period", "2026", "--reason", "x")
    ran = served.run(*one, *options)
    assert (ran.code, says in ran.err, ran.err.count("\n")) == (2, True, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("enterprise,number\n", "vouchers.csv:1: face:"),
        ("enterprise,face,valid\n", "vouchers.csv:1: valid: unknown field"),
        ("enterprise,face\na,1\nb,x\n", "vouchers.csv:3: face:"),
        ("enterprise,face\n,1\n", "vouchers.csv:2: enterprise:"),
        ("enterprise,face,valid_until\na,1,31.12.2026\n", "vouchers.csv:2: valid_until:"),
        ("enterprise,face\n\n", "holds no voucher"),
        ("enterprise,face\na,1.005\n", "vouchers.csv:2: face:"),
        ("enterprise,face\n\na,1\n", "vouchers.csv:3: enterprise: there is no enterprise 'a'"),
        (
            "enterprise,face,valid_from,valid_until\nsample-wuhan-2,1,,2099-12-31\n",
            "vouchers.csv:2: valid_until: is beyond the longest validity",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told_by_its_line(served: Any, text: str, says: str) -> None:
    path = served.file(text, "vouchers.csv")
    one = ("voucher", "issue", "wuhan-direct-voucher", "--period", "2026", "--reason", "x")
    ran = served.run(*one, "--file", path)
    assert (ran.code, says in ran.err) == (2, True), ran.err
    assert served.run(*one, "--file", path, "--json").error["flaws"][0]["file"] == path
