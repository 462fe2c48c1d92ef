"""The pages on security: they name tests that are there, and settings as they are."""

import re
from pathlib import Path

import pytest

from scheduler.auth import tokens
from scheduler.rpc import bounds
from scheduler.settings import Settings

ROOT = Path(__file__).parents[2]
TESTS = {
    path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
}
PAGES = ("threat-model.md", "threat-model.zh-CN.md", "security.md", "security.zh-CN.md")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES[:2])
def test_each_defense_names_tests_that_are_there(name: str) -> None:
    text = page(name)
    files = set(re.findall(r"\btest_\w+\.py\b", text))
    assert files - TESTS.keys() == set()
    for test in re.findall(r"::(test_\w+)", text):
        assert any(re.search(rf"def {test}\b", code) for code in TESTS.values()), test


def test_both_languages_name_the_same_defenses() -> None:
    found = [sorted(re.findall(r"(?:::)?test_\w+", page(name))) for name in PAGES[:2]]
    assert found[0] == found[1]
    for name in PAGES[:2]:
        rows = [line for line in page(name).splitlines() if line.startswith("| ")]
        assert all(line.count(" | ") >= 1 for line in rows)


@pytest.mark.parametrize("name", PAGES[2:])
def test_settings_of_the_page_are_those_of_the_service(name: str) -> None:
    text = page(name)
    wanted = [one for one in Settings().rows() if one[0].startswith(("oidc.", "limits."))]
    assert [setting for setting, _, _ in wanted if f"`{setting}`" not in text] == []
    for setting, default, _ in wanted:
        row = next(line for line in text.splitlines() if f"`{setting}`" in line and "|" in line)
        shown = default if isinstance(default, str) else f"{default:,.0f}"
        assert not default or shown in row or shown.replace(",", "") in row, (setting, shown)
    for number in (bounds.TEXT_MAX, bounds.LIST_MAX, bounds.ARGUMENT_MAX):
        assert f"{number:,}" in text
    for mebibytes in (bounds.MESSAGE_MAX_BYTES, bounds.LARGE_MAX_BYTES, bounds.SPEC_MAX_BYTES):
        assert f"{mebibytes >> 20} MiB" in text
    assert str(tokens.LIFETIME_MAX_MS // 86_400_000) in text
