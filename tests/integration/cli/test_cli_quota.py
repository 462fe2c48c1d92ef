"""``corridor quota`` against a real service: flavors, guarantees, changes to come, stops, use."""

from collections.abc import Callable
from typing import Any

import pytest

NPU, CARD, CORE = "wuhan-ai/ascend-910b", "wuhan-sc/accelerator", "wuhan-sc/kunpeng-920"


def until(look: Callable[[], bool]) -> None:
    """Ask again until it is so: the control loop works beside."""
    for _ in range(2_000):
        if look():
            return
    raise AssertionError("it never came")


def flavor(served: Any, name: str) -> Any:
    """The corridor's own part of a flavor as JSON."""
    shown = served.ok("quota", "show", f"flavors/{name}", "--json").json
    return shown["quotas"][0]


def test_a_flavors_rule_is_set_but_for_what_is_not_named(served: Any) -> None:
    set_it = ("quota", "set", CARD, "--reason", "a test")
    ran = served.ok(*set_it, "--reclaim", "evict", "--grace", "2m", "--rate", "2.5%/10m")
    assert "by stopping borrowers after 30m, with 2m notice, at most 2.5%/10m" in ran.out
    served.ok(*set_it, "--lease", "2h", "--corridor", "0", "--json")
    found = flavor(served, CARD)
    assert found["reclaim"] == {
        "mode": "EVICT", "lease_s": 7200, "run_min_s": 1800, "grace_s": 120, "rate_bps": 250,
        "rate_s": 600,
    }  # fmt: skip
    assert (found["corridor_units"], found["granted_units"]) == (0, 24)
    ran = served.ok(*set_it, "--reclaim", "churn", "--corridor", "none", CORRIDOR_LANG="zh")
    assert "随运行结束" in ran.out
    assert flavor(served, CARD)["corridor_units"] is None
    ran = served.run(*set_it, "--corridor", "1")
    assert (ran.code, "set at most 0" in ran.err) == (3, True)
    ran = served.run(*set_it, "--granted", "25", who="ezhou")
    assert (ran.code, ran.err.count("\n")) == (4, 1)


def test_what_a_center_reports_is_listed_beside_what_it_grants(served: Any) -> None:
    lines = served.ok("quota", "list", "flavors").lines
    (line,) = [line for line in lines if line.startswith(NPU)]
    assert line.split()[1:4] == ["632", "632", "632"]
    assert flavor(served, NPU)["reported_units"] == 632, "the service asked the center"


def test_a_guarantee_is_kept_out_of_the_citys(served: Any) -> None:
    own = ("quota", "set", CORE, "--city", "xianning", "--reason", "x")
    guarantee = ("quota", "set", CORE, "--enterprise", "sample-xianning-1", "--reason", "x")
    ran = served.run(*guarantee, "--guarantee", "1", who="xianning")
    assert (ran.code, "set at most 0" in ran.err) == (3, True)
    nominal = served.ok("quota", "list", "--city", "xianning", "--flavor", CORE, "--json").json[
        "quotas"
    ][0]["nominal_units"]
    served.ok(*own, "--lend-limit", str(nominal - 5))
    served.ok(*guarantee, "--guarantee", "5", who="xianning")
    served.ok(*guarantee, "--cap", "9", who="xianning")
    (row,) = served.ok(
        "quota", "list", "enterprises", "--enterprise", "sample-xianning-1", "--json"
    ).json["quotas"]
    assert (row["guarantee_units"], row["cap_units"], row["city"]) == (5, 9, "xianning")
    ran = served.run(*own, "--lend-limit", "none")
    assert (ran.code, "guaranteed 5" in ran.err) == (3, True)
    served.ok(*guarantee, "--guarantee", "0", "--cap", "none", who="xianning")
    served.ok(*own, "--lend-limit", "none")


def test_a_change_is_ordered_for_later_shown_and_taken_back(served: Any) -> None:
    set_it = ("quota", "set", CORE, "--city", "huanggang", "--nominal", "1", "--reason", "later")
    ran = served.ok(*set_it, "--at", "365d")
    assert "nominal 1, borrow-limit none, lend-limit none" in ran.out
    for node, there in (("cities/huanggang", 1), ("cities/wuhan", 0), (f"flavors/{CORE}", 0)):
        assert len(served.ok("quota", "show", node, "--json").json["changes"]) == there
    (change,) = served.ok("quota", "changes", "--json").json["changes"]
    assert (change["state"], change["city_quota"]["nominal_units"]) == ("PENDING", 1)
    assert change["effective_time"] > served.ok("whoami", "--json").json["now"]
    number = str(change["change_id"])
    ran = served.run("quota", "cancel-change", number, "--reason", "x", who="huanggang")
    assert ran.code == 1
    ran = served.ok("quota", "cancel-change", number, "--reason", "x", CORRIDOR_LANG="zh")
    assert "已撤回" in ran.out
    assert served.ok("quota", "changes").out == "No changes wait for their time.\n"
    assert number in served.ok("quota", "changes", "--all").out


def test_a_change_takes_effect_at_its_time_by_itself(served: Any) -> None:
    """The service's clock decides, which is 600 times as fast here."""
    before = flavor(served, CARD)
    served.ok("quota", "set", CARD, "--granted", "30", "--at", "30m", "--reason", "soon")
    until(lambda: flavor(served, CARD)["granted_units"] == 30)
    states = [c["state"] for c in served.ok("quota", "changes", "--all", "--json").json["changes"]]
    assert states[-1] == "APPLIED"
    served.ok("quota", "set", CARD, "--granted", str(before["granted_units"]), "--reason", "x")


def test_a_city_is_held_and_opened(served: Any) -> None:
    ran = served.ok("quota", "hold", "cities/huanggang", "--reason", "an audit", who="huanggang")
    assert ran.lines[1].split()[:4] == ["city", "huanggang", "黄冈", "HOLD"]
    shown = served.ok("quota", "show", "cities/huanggang", "--json").json
    assert (shown["stop"]["state"], shown["stop"]["reason"]) == ("HOLD", "an audit")
    assert "an audit" in served.ok("quota", "stops", who="huanggang").out
    assert served.ok("quota", "stops", who="ezhou").out == "Nothing is stopped.\n"
    file = served.file("flavor: wuhan-sc/kunpeng-920\nunits_per_node: 1\nwall_limit: 1h\n")
    (job_id,) = served.ok("submit", file, who="sample-huanggang-1").lines
    until(lambda: "[QUEUE_HELD]" in served.ok("explain", job_id, who="sample-huanggang-1").out)
    ran = served.ok("explain", job_id, who="sample-huanggang-1")
    assert "`corridor quota stops` says why" in ran.out
    served.ok("quota", "open", "cities/huanggang", "--reason", "done", who="huanggang")
    served.ok("watch", job_id, "--until-ended", who="sample-huanggang-1")
    assert served.ok("quota", "stops", "--all", "--json").json["stops"][0]["state"] == "OPEN"


def test_use_is_shown_by_city_and_enterprise(served: Any) -> None:
    rows = served.ok("quota", "usage", "--city", "ezhou", "--json", who="ezhou").json["usages"]
    assert {row["city"] for row in rows} == {"ezhou"}
    assert {row["flavor"] for row in rows if not row["enterprise"]} == {NPU, CARD, CORE}
    lines = served.ok("quota", "usage", "--flavor", NPU).lines
    assert lines[0].split()[:4] == ["WHO", "FLAVOR", "USED", "NOMINAL"]
    assert sum(line.startswith("wuhan") for line in lines) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list", "planets"), "cities, enterprises or flavors"),
        (("show", "ezhou"), "must be such as cities/ezhou"),
        (("show", "cities/"), "must be such as cities/ezhou"),
        (("set", CARD, "--reason", "x", "--reclaim", "never"), "churn, lease or evict"),
        (("set", CARD, "--reason", "x", "--rate", "10%"), "must be such as 10%/5m"),
        (("set", CARD, "--reason", "x", "--lease", "soon"), "must be a duration"),
        (("set", CARD, "--reason", "x", "--corridor", "-1"), "--corridor"),
        (("set", CARD, "--reason", "x", "--granted", "9", "--at", "tomorrow"), "--at tomorrow"),
        (("set", CARD, "--reason", "x", "--granted", "9", "--at", "2020-01-01T00:00:00Z"), "ahead"),
        (("set", CARD, "--reason", "x", "--granted", "9", "--nominal", "1"), "say whose quota"),
        (("set", CARD, "--reason", "x", "--city", "ezhou", "--lease", "1h"), "not a city's"),
        (("set", CARD, "--reason", "x", "--enterprise", "e", "--granted", "1"), "--guarantee only"),
        (("hold", "wuhan", "--reason", "x"), "cities/CODE or enterprises/CODE"),
    ],
)
def test_wrong_use_is_told_in_a_line(served: Any, words: tuple[str, ...], said: str) -> None:
    ran = served.run("quota", *words)
    assert (ran.code, ran.err.count("\n"), said in ran.err) == (2, 1, True), ran.err


def test_the_audit_log_shows_who_changed_what_and_why(served: Any) -> None:
    set_cap = ("quota", "set", CORE, "--enterprise", "sample-huangshi-1", "--reason")
    served.ok(*set_cap, "the first", "--cap", "70")
    served.ok(*set_cap, "a second look", "--cap", "none")
    target = "enterprises/sample-huangshi-1"
    out = served.ok("audit", target, COLUMNS="200").out
    assert "cap_units 70 > none" in out
    assert out.index("a second look") < out.index("the first"), "newest first"
    assert "变更" in served.ok("audit", target, CORRIDOR_LANG="zh", COLUMNS="200").out
    (last, *_) = served.ok("audit", target, "--json", "--limit", "2").json["events"]
    assert (last["before"]["cap_units"], last["after"]["cap_units"]) == (70, None)
    assert served.ok("audit", target, who="huangshi", COLUMNS="200").out == out
    assert "No such entries" in served.ok("audit", target, who="ezhou").out
