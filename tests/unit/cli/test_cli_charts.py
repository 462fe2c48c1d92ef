"""Charts of a what-if: what they show, with and without a font that has Chinese."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from scheduler.cli import charts
from scheduler.cli.charts import Panel, Words
from scheduler.cli.failures import Failed

WORDS = Words("Waits", "hours", "units", "own", "borrowed")
CHINESE = Words("等待与使用", "平均等待（小时）", "单位数", "名义配额内", "借用")
PANEL = Panel(
    "wuhan-sc/kunpeng-920", ["ezhou", "wuhan"], ["today", "more"], [[1.5, 2.0], [0.5, None]],
    [[10.0, 20.0], [12.0, 20.0]], [[4.0, 0.0], [0.0, 1.0]],
)  # fmt: skip
NAMED = Panel("wuhan-sc/kunpeng-920", ["ezhou\n鄂州"], ["现状"], [[1.0]], [[2.0]], [[1.0]])


def texts(path: Path) -> list[str]:
    """Texts that an SVG leaves to the fonts of whoever looks at it."""
    found = ET.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(one.itertext()) for one in found]


@pytest.mark.parametrize("name", ["chart.svg", "chart.png", "chart.PNG"])
def test_a_chart_is_drawn_the_same_every_time(tmp_path: Path, name: str) -> None:
    one, two = tmp_path / name, tmp_path / f"again-{name}"
    for path in (one, two):
        charts.check(path)
        charts.draw(path, [PANEL, PANEL], WORDS, None)
    assert one.read_bytes() == two.read_bytes()
    begin = one.read_bytes()[:200]
    assert begin.startswith(b"\x89PNG") if name.lower().endswith("png") else b"<?xml" in begin


def test_latin_text_of_an_svg_is_drawn_and_needs_no_font(tmp_path: Path) -> None:
    charts.draw(tmp_path / "chart.svg", [PANEL], WORDS, None)
    assert texts(tmp_path / "chart.svg") == []


def test_an_svg_without_a_font_leaves_chinese_to_who_looks_at_it(tmp_path: Path) -> None:
    assert charts.needs_chinese([NAMED], WORDS)
    assert charts.needs_chinese([PANEL], CHINESE)
    assert not charts.needs_chinese([PANEL], WORDS)
    path = tmp_path / "chart.svg"
    charts.draw(path, [NAMED], CHINESE, None)
    said = texts(path)
    assert {"现状", "平均等待（小时）", "鄂州"} <= {
        part for one in said for part in one.split("\n")
    }
    assert "Noto Sans CJK SC" in path.read_text(encoding="utf-8")


def test_a_font_that_is_chosen_has_the_letters_of_the_chart(tmp_path: Path) -> None:
    font = charts.chinese_font()
    if font is None:  # then a PNG is drawn with codes; the command says so
        charts.draw(tmp_path / "chart.png", [PANEL], WORDS, None)
        return
    letters = FT2Font(font_manager.findfont(font)).get_charmap()
    words = f"{NAMED.cities[0]}{NAMED.scenarios[0]}{CHINESE.title}{CHINESE.wait}{CHINESE.own}"
    assert [char for char in words if char != "\n" and ord(char) not in letters] == []
    charts.draw(tmp_path / "chart.svg", [NAMED], CHINESE, font)
    assert texts(tmp_path / "chart.svg") == [], "drawn as outlines: it looks the same anywhere"


@pytest.mark.parametrize(
    ("name", "key"), [("chart.pdf", "chart.kind"), ("nowhere/chart.svg", "chart.folder")]
)
def test_where_no_chart_can_be_is_told_before_anything_is_asked(
    tmp_path: Path, name: str, key: str
) -> None:
    with pytest.raises(Failed) as caught:
        charts.check(tmp_path / name)
    assert caught.value.key == key
