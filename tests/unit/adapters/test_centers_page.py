"""The file of centers that docs/centers.md shows opens as it stands, in both languages."""

import re
from pathlib import Path

import pytest

from adapters import registry
from adapters.gate import GateSettings
from scheduler.clock import WallClock
from scheduler.domain.queue_depth import queue_max
from scheduler.store.seed_centers import SeedCenter, read_file

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ("centers.md", "centers.zh-CN.md")


def centers_of(page: str, folder: Path) -> list[SeedCenter]:
    """The centers of the page's file."""
    [text] = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    path = folder / "centers.yaml"
    path.write_text(text, "utf-8")
    return read_file(path)


@pytest.mark.parametrize("page", PAGES)
async def test_the_file_of_the_page_opens(page: str, tmp_path: Path) -> None:
    [center] = centers_of(page, tmp_path)
    settings = dict(center.settings)
    limits = GateSettings.of(settings.pop("gate"))
    assert limits.calls_per_s == 50
    assert queue_max(settings.pop("queue"), "wuhan-sc/kunpeng-920", simulated=False) == 64
    clock = WallClock()
    adapter = registry.open_adapter(
        center.kind, center.center, settings, clock.now_ms, clock.real_s
    )
    await adapter.close()


def test_both_pages_show_the_same_file(tmp_path: Path) -> None:
    assert centers_of(PAGES[0], tmp_path) == centers_of(PAGES[1], tmp_path)
