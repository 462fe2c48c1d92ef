"""Scenarios as people write them: files with flaws by line and field, options, and back."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from scheduler.cli import scenarios
from scheduler.cli.failures import Failed, flaw_line
from scheduler.cli.flaws import BadFile
from scheduler.cli.nodes import read_documents
from scheduler.cli.texts import text
from scheduler.rpc.simulation_messages import message_of, scenario_of
from scheduler.whatif.scenarios import (
    CapChange,
    CityChange,
    FlavorChange,
    PolicyChange,
    Scenario,
)

CPU = "wuhan-sc/kunpeng-920"
FILE = """\
scenarios:
  - name: more for ezhou
    cities:
      ezhou:
        wuhan-sc/kunpeng-920: {nominal: 600, borrow_limit: none}
      wuhan:
        wuhan-sc/kunpeng-920: {lend_limit: 200}
    enterprises:
      sample-ezhou-1:
        wuhan-sc/kunpeng-920: {cap: 128}
  - name: 2
    flavors:
      wuhan-sc/kunpeng-920: {capacity: 4000, reclaim: lease, lease: 4h}
    order: {ageing: 1h, usage_half_life: 7d}
"""
FOUND = [
    Scenario(
        "more for ezhou",
        (CityChange("ezhou", CPU, 600, None), CityChange("wuhan", CPU, lend=200)),
        (CapChange("sample-ezhou-1", CPU, 128),),
    ),
    Scenario(
        "2",
        flavors=(FlavorChange(CPU, 4000, "lease", 4 * 3_600_000),),
        policy=PolicyChange(3_600_000, half_life_ms=7 * 86_400_000),
    ),
]


def read(tmp_path: Path, words: str, name: str = "s.yaml") -> list[Scenario]:
    path = tmp_path / name
    path.write_text(words, encoding="utf-8")
    return scenarios.read_file(path)


def plain(node: Any) -> Any:
    """A tree of the reader as plain data."""
    if isinstance(node.value, dict):
        return {name: plain(entry.node) for name, entry in node.value.items()}
    if isinstance(node.value, list):
        return [plain(one) for one in node.value]
    return node.value


def test_a_file_says_what_is_asked(tmp_path: Path) -> None:
    assert read(tmp_path, FILE) == FOUND
    jsonschema.validate(plain(read_documents(FILE, "s.yaml")[0]), scenarios.schema())


def test_options_say_the_same() -> None:
    one = scenarios.parse(
        f"more for ezhou: ezhou.{CPU}.nominal=600, ezhou.{CPU}.borrow_limit=none,"
        f"wuhan.{CPU}.lend_limit=200,sample-ezhou-1.{CPU}.cap=128"
    )
    two = scenarios.parse(
        f"2:{CPU}.capacity=4000,{CPU}.reclaim=lease,{CPU}.lease=4h,"
        "order.ageing=1h,order.usage_half_life=7d"
    )
    assert [one, two] == FOUND


def test_scenarios_travel_as_messages_and_come_back() -> None:
    more = Scenario("x", (CityChange("a", "b", 0, 0, 0), CityChange("a", "c", lend=None)),
                    (CapChange("e", "b", None),), (FlavorChange("b", 0),))  # fmt: skip
    for scenario in (*FOUND, more):
        assert scenario_of(message_of(scenario)) == scenario


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("nominal: 600", "nominal: -1", "5: scenarios[0].cities.ezhou.wuhan-sc/kunpeng-920.nominal:"
         " must be a whole number"),
        ("nominal: 600", "nominl: 600", "5: scenarios[0].cities.ezhou.wuhan-sc/kunpeng-920.nominl:"
         " unknown field; did you mean nominal"),
        ("borrow_limit: none", "borrow_limit: some", "5: scenarios[0].cities.ezhou."
         "wuhan-sc/kunpeng-920.borrow_limit: must be a whole number of units, 0 to"),
        ("{cap: 128}", "{}", "10: scenarios[0].enterprises.sample-ezhou-1.wuhan-sc/kunpeng-920.cap:"
         " is missing"),
        ("reclaim: lease", "reclaim: now", "13: scenarios[1].flavors.wuhan-sc/kunpeng-920.reclaim:"
         " must be one of churn, lease, evict"),
        ("ageing: 1h", "ageing: soon", "14: scenarios[1].order.ageing:"),
        ("name: 2", "name: today", "11: scenarios[1].name: 'today' is always shown"),
        ("name: 2", "name: more for ezhou", "11: scenarios[1].name: 'more for ezhou' is there"),
        ("  - name: 2\n", "  - flavours:\n", "11: scenarios[1].flavours: unknown field"),
        ("scenarios:\n", "scenarios: []\nmore:\n", "1: scenarios: must have 1 to 8 items"),
        ("      wuhan:\n", "      ezhou:\n", "6: ezhou: "),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_by_line_and_field(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in FILE
    with pytest.raises(BadFile) as caught:
        read(tmp_path, FILE.replace(old, new))
    lines = [flaw_line("en", flaw) for flaw in caught.value.flaws]
    assert any(line.startswith(f"{tmp_path}/s.yaml:{told}") for line in lines), lines
    assert all(flaw_line("zh", flaw) for flaw in caught.value.flaws)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("", "file.one_document"),
        (FILE + "---\n" + FILE, "file.one_document"),
        ("scenarios: {a: 1}", "field.list"),
        ("- a", "field.map"),
    ],
)
def test_a_file_holds_one_mapping(tmp_path: Path, words: str, key: str) -> None:
    with pytest.raises(BadFile) as caught:
        read(tmp_path, words)
    assert caught.value.flaws[0].key == key


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile) as caught:
        scenarios.read_file(tmp_path / "nothing.yaml")
    assert caught.value.flaws[0].key == "file.unreadable"


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("more", "scenario.form"),
        (":a.b.nominal=1", "scenario.form"),
        ("x:", "scenario.form"),
        ("x:a.b.nominal", "scenario.form"),
        ("x:a.b.nominal=", "scenario.form"),
        ("x:nominal=1", "scenario.target"),
        ("x:a.nominal=1", "scenario.target"),
        ("x:a.b.nominals=1", "scenario.target"),
        ("x:order.patience=1h", "scenario.target"),
        ("x:cap=1", "scenario.target"),
        ("x:capacity=1", "scenario.target"),
        ("x:a.b.nominal=none", "scenario.units"),
        ("x:a.b.nominal=1.5", "scenario.units"),
        ("x:a.b.nominal=²", "scenario.units"),
        ("x:a.b.borrow_limit=all", "scenario.units_or_none"),
        ("x:f.capacity=none", "scenario.units"),
        ("x:f.reclaim=now", "scenario.mode"),
        ("x:f.lease=soon", "scenario.span"),
        ("x:order.ageing=400d", "scenario.span"),
        ("x:order.usage_half_life=0s", "scenario.option"),
        ("today:a.b.nominal=1", "scenario.option"),
        ("x:a.b.cap=1,a.b.cap=2", "scenario.option"),
    ],
)
def test_a_wrong_option_is_told(given: str, key: str) -> None:
    with pytest.raises(Failed) as caught:
        scenarios.parse(given)
    assert caught.value.key == key
    assert text("zh", key, **caught.value.values)
