"""A quote as a receipt on a terminal: all of it fits, in both languages, and adds up."""

import re
from typing import Any

import pytest
from rich.cells import cell_len

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
JOB = """\
name: receipt
flavor: wuhan-ai/ascend-910b
units_per_node: 8
nodes: 2
wall_limit: 150h
command: [python, train.py]
contract: C-2026-8
"""


def receipt(served: Any, enterprise: str, lang: str, width: int) -> list[str]:
    """Lines of a quote as a terminal shows them, checked to fit."""
    ran = served.ok(
        "quote", served.file(JOB), "--enterprise", enterprise, CORRIDOR_LANG=lang, FORCE_COLOR="1",
        COLUMNS=str(width), TERM="xterm-256color",
    )  # fmt: skip
    lines = [ESCAPE.sub("", line) for line in ran.lines]
    assert [line for line in lines if cell_len(line) > width] == []
    return lines


def row(lines: list[str], head: str) -> list[str]:
    """The cells of the line that begins so."""
    [line] = [line for line in lines if line.startswith(head)]
    return re.split(r"  +", line.strip())


@pytest.mark.parametrize("width", [80, 120])
def test_a_receipt_says_who_pays_and_what_is_left(served: Any, width: int) -> None:
    """2,400 card-hours at 8 yuan, of which 2,000 are free and 60 % of the rest are a voucher's."""
    lines = receipt(served, "sample-wuhan-2", "en", width)
    assert row(lines, "free hours wuhan-free-hours")[1] == "2,000 h"
    assert row(lines, "gross")[1:] == ["¥3,200.00", "400.00 unit-hours at ¥8.00"]
    assert row(lines, "subsidy wuhan-direct-voucher")[1:] == ["-¥1,920.00", "60%, rule 1"]
    assert row(lines, "subsidy corridor-shared")[1:] == ["-¥320.00", "10%, rule 1"]
    assert row(lines, "own part")[1] == "¥960.00"
    voucher = row(lines, "  voucher wuhan-direct-voucher-")
    assert voucher[1:3] == ["¥5,000.00", "¥1,920.00"]
    assert row(lines, "your wallet")[1:3] == ["¥2,000,000.00", "¥960.00"]
    assert row(lines, "wuhan-startup") == ["wuhan-startup", "wuhan-direct-voucher gives instead"]
    assert row(lines, "corridor-early")[1] == "not for enterprises of your size"


@pytest.mark.parametrize("width", [80, 120])
def test_what_is_claimed_back_is_paid_first(served: Any, width: int) -> None:
    lines = receipt(served, "sample-huanggang-2", "en", width)
    assert row(lines, "subsidy huanggang-contract-voucher")[2] == "claimed back; 40%, rule 1"
    assert row(lines, "own part")[1] == "¥5,760.01"
    assert row(lines, "to pay first")[1:] == ["¥13,440.00", "¥7,679.99 of it comes back"]
    assert row(lines, "  its fund, of hubei")[2] == "¥1,919.99"
    assert row(lines, "  its fund, of huanggang")[2] == "¥1,920.00"


@pytest.mark.parametrize("width", [80, 120])
def test_a_receipt_in_chinese(served: Any, width: int) -> None:
    lines = receipt(served, "sample-huanggang-2", "zh", width)
    assert row(lines, "补贴 黄冈合同算力券（示例）")[1:] == [
        "-¥7,679.99", "先付后补；40%，规则第 1 版",
    ]  # fmt: skip
    assert row(lines, "先行支付")[1:] == ["¥13,440.00", "其中 ¥7,679.99 事后申领"]
    assert row(lines, "黄冈人工智能算力券（示例）")[1] == "由 黄冈合同算力券（示例） 补贴"
    assert "可用资金" in lines
    assert "不予补贴的项目" in lines
