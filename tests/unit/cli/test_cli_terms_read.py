"""Prices, days and rules as people write them, and as they are shown."""

from pathlib import Path

import pytest
from corridor.v1 import rule_pb2
from hypothesis import given
from hypothesis import strategies as st

from quota.rules import Rule
from scheduler.cli import moments, rule_file
from scheduler.cli.approve_cmd import hourly, listed, percent
from scheduler.cli.flaws import BadFile
from scheduler.cli.price_cmd import parse_price


@pytest.mark.parametrize(
    ("given", "ufen"),
    [
        ("8.00", 222_222),
        ("8", 222_222),
        ("0.10", 2_778),
        ("0.0975", 2_708),
        ("0", 0),
        ("0.000018", 1),  # half of a micro-fen is rounded up
        ("0.000017", 0),
        ("222222ufen", 222_222),
        ("0ufen", 0),
    ],
)
def test_yuan_an_hour_are_rounded_to_micro_fen_a_second(given: str, ufen: int) -> None:
    assert parse_price(given) == ufen


@pytest.mark.parametrize(
    "given", ["", "-1", "1,5", "1e3", "8.0000001", "12345678", "ufen", "1 ufen", "1.5ufen", "８"]
)
def test_what_is_no_price_is_refused(given: str) -> None:
    assert parse_price(given) is None


@given(st.integers(0, 10**12))
def test_a_price_is_shown_to_the_last_digit(ufen: int) -> None:
    shown = hourly(ufen).removeprefix("¥").removesuffix("/h").replace(",", "")
    whole, _, part = shown.partition(".")
    assert int(whole) * 10**8 + int(part.ljust(8, "0")) == ufen * 3_600


def test_rates_are_shown_in_percent() -> None:
    assert [percent(bp) for bp in (0, 5, 2_500, 10_000)] == [
        "0.00 %", "0.05 %", "25.00 %", "100.00 %",
    ]  # fmt: skip


def test_lists_of_a_rule_are_shown_on_one_line() -> None:
    tiers = [
        {"rate_bp": 5_000, "startup": True, "sectors": ["ai", "bio"], "project_list": ""},
        {"rate_bp": 0, "startup": False, "sectors": [], "project_list": "p"},
    ]
    assert (
        listed(tiers) == "rate_bp 50.00 %, startup, sectors ai, bio; rate_bp 0.00 %, project_list p"
    )
    assert listed(["a/b", "c/d"]) == "a/b; c/d"
    assert listed([]) == ""


@pytest.mark.parametrize(
    ("given", "ms"),
    [
        ("2027-01-01", 1_798_732_800_000),
        ("2027-01-01T00:00:00+08:00", 1_798_732_800_000),
        ("2026-12-31T16:00:00Z", 1_798_732_800_000),
    ],
)
def test_a_day_begins_at_midnight_in_shanghai(given: str, ms: int) -> None:
    found = moments.parse(given)
    assert found is not None
    assert int(found.timestamp() * 1000) == ms


@pytest.mark.parametrize(
    "given", ["", "2027", "2027-13-01", "2027-02-30", "01.01.2027", "2027-01-01T00:00:00", "soon"]
)
def test_what_is_no_moment_is_refused(given: str) -> None:
    assert moments.parse(given) is None


def test_a_rule_file_can_say_all_that_a_rule_says() -> None:
    """A new field of rules has its place in the message and in the file."""
    whose = {"programme", "version", "city"}
    fields = {field for field in Rule.__dataclass_fields__ if field not in whose}
    assert fields == {field.name for field in rule_pb2.SubsidyRule.DESCRIPTOR.fields}
    assert fields == set(rule_file.RULE.fields)


def test_a_file_in_json_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "rule.json"
    path.write_text(
        '{"apiVersion": "corridor/v1", "kind": "RuleVersion", "programme": "p",'
        ' "rule": {"rate_bp": 5}}'
    )
    said = rule_file.read(path, rule_file.VERSION)
    assert said.rule == rule_pb2.SubsidyRule(rate_bp=5)
    assert "effective_from" not in said.values
    path.write_bytes(b"\xff")
    with pytest.raises(BadFile):
        rule_file.read(path, rule_file.VERSION)
