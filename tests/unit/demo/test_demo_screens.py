"""What the demonstration shows: in both languages, within 80 columns, from real metrics."""

import io
import re

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from scheduler.demo import display, tables, texts
from scheduler.demo.checks import Check
from scheduler.demo.display import Progress
from scheduler.demo.report import EVERYONE, NOWHERE, Jobs, Use
from scheduler.demo.scraping import Scraped, read
from scheduler.demo.texts import Texts
from scheduler.metrics import Metrics

MONDAY_MS = 1_772_380_800_000  # 2026-03-02 00:00 in Wuhan
CARD, CORE = "wuhan-ai/ascend-910b", "wuhan-sc/kunpeng-920"
NAMES = {"huanggang": "Huanggang 黄冈", "wuhan": "Wuhan 武汉"}
BUSY = Scraped(
    "ray", {CARD: 316, CORE: 3_328}, {CARD: 632, CORE: 3_328}, 29_501_234_56, 3_020_500_00
)


def screen(shown: RenderableType, width: int = 80) -> list[str]:
    """What a terminal of this width shows."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def cells(line: str) -> int:
    """Columns of a terminal: a Chinese character takes two."""
    return Text(line.rstrip()).cell_len


def progress() -> Progress:
    now_ms = MONDAY_MS + (24 + 13) * 3_600_000 + 20 * 60_000
    return Progress(9_446, MONDAY_MS, now_ms, 5_760, 8_303, 395, 292, 7_616, BUSY)


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_every_text_fills_in(language: str) -> None:
    say = Texts(language)
    for key, both in texts._TEXTS.items():
        fields = [set(re.findall(r"{(\w+)", text)) for text in both]
        assert fields[0] == fields[1], key
        filled = say(key, **dict.fromkeys(fields[0], 1))
        assert "{" not in filled


def test_another_language_is_refused() -> None:
    with pytest.raises(ValueError, match="one of en, zh"):
        Texts("fr")


def test_one_line_says_where_things_stand() -> None:
    assert display.line(Texts("en"), progress()) == (
        "day 2 13:20, 5,760 times real time: submitted 8,303/9,446 waiting 395 running 292"
        " ended 7,616; planner on Ray; ascend-910b 50% kunpeng-920 100%;"
        " subsidy held ¥29,501,234 spent ¥3,020,500"
    )


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_the_live_display_fits_80_columns(language: str) -> None:
    shown = screen(display.table(Texts(language), progress()))
    assert max(map(cells, shown)) <= 80
    assert any("8,303 / 9,446" in line for line in shown)
    assert any(CARD in line and "316 / 632" in line for line in shown)


def test_before_the_first_scrape_nothing_is_made_up() -> None:
    early = Progress(9_446, MONDAY_MS, MONDAY_MS - 1)
    assert "planner -; -;" in display.line(Texts("en"), early)


@pytest.mark.parametrize("language", texts.LANGUAGES)
@pytest.mark.parametrize("width", [80, 100])
def test_tables_fit_and_cut_nothing(language: str, width: int) -> None:
    say = Texts(language)
    jobs = Jobs()
    jobs.by_state.update(SUCCEEDED=2_272, FAILED=146, CANCELLED=16, EXPIRED=14)
    jobs.waits_ms += [1_100, 119 * 60_000, 40 * 3_600_000]
    groups = {("huanggang", "wuhan-sc"): jobs, ("wuhan", NOWHERE): Jobs()}
    use = Use(975_000_000_000, 3_328, 3_328, 1_252_500_00, 2_020_300_00)
    uses = {(flavor, city): use for flavor in (CARD, CORE) for city in (EVERYONE, *NAMES)}
    for table in (tables.jobs_table(say, groups, NAMES), tables.use_table(say, uses, NAMES)):
        shown = screen(table, width)
        assert max(map(cells, shown)) <= width
        assert not any("…" in line for line in shown)
        assert any("Huanggang 黄冈" in line for line in shown)
    assert any(CORE in line and "3,328/3,328" in line for line in shown)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "-"), (0, "0 s"), (119_000, "119 s"), (120_000, "2 min"), (7_200_000, "2.0 h")],
)
def test_spans(ms: int | None, text: str) -> None:
    assert tables.span(ms) == text


def test_checks_say_what_held_and_what_did_not() -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    found = [
        Check("quota", {"runs": 3, "instants": 5}, ()),
        Check("lost", {"acknowledged": 2, "ended": 1}, ("j1 was acknowledged [and] is not there",)),
    ]
    tables.print_checks(console, Texts("en"), found)
    assert isinstance(console.file, io.StringIO)
    said = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert said[1:] == [
        "held      quota never exceeded: 5 instants of 3 runs",
        "BROKEN    no acknowledged job lost: 2 acknowledged, 1 there and ended",
        "          j1 was acknowledged [and] is not there",
    ]


def test_a_scrape_of_the_service_is_read() -> None:
    metrics = Metrics()
    metrics.backend("ray")
    metrics.figures._capacity.labels(CARD).set(632)
    metrics.figures._pool_used.labels(CARD).set(316)
    for city, held in (("wuhan", 700), ("ezhou", 35)):
        metrics.figures._held.labels(city, f"{city}-voucher").set(held)
        metrics.figures._posted.labels(city, f"{city}-voucher").set(2 * held)
        metrics._refused.labels(city, CARD, "WALLET_SHORT").inc(3)
    metrics.loop_error()
    import prometheus_client

    found = read(prometheus_client.generate_latest(metrics.registry).decode())
    assert found == Scraped("ray", {CARD: 316}, {CARD: 632}, 735, 1_470, found.refused, 1)
    assert found.refused == {"WALLET_SHORT": 6}
