"""The page on ModelArts: its settings are read as they stand, alike in both languages."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.modelarts.jobs import ENVIRONMENT_MAX
from adapters.modelarts.settings import KeySettings, ModelArtsSettings, TokenSettings

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [DOCS / "modelarts.md", DOCS / "modelarts.zh-CN.md"]


def examples(page: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    first, second = re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    return yaml.safe_load(first), yaml.safe_load(second)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_of_the_page_are_read(page: Path, tmp_path: Path) -> None:
    whole, auth = examples(page)
    whole["ca_file"] = str(tmp_path / "ca.pem")
    (tmp_path / "ca.pem").touch()
    by_key = ModelArtsSettings.parse("wuhan-ai", whole)
    assert isinstance(by_key.auth, KeySettings)
    by_token = ModelArtsSettings.parse("wuhan-ai", {**whole, **auth})
    assert isinstance(by_token.auth, TokenSettings)
    assert by_token.auth.scope.project == "cn-central-221"


def test_both_languages_say_the_same() -> None:
    assert examples(PAGES[0]) == examples(PAGES[1])
    english, chinese = (page.read_text("utf-8") for page in PAGES)
    for pattern in (r"^#+ ", r"^\|", r"^\d+\. "):
        found = [len(re.findall(pattern, text, re.M)) for text in (english, chinese)]
        assert found[0] == found[1], pattern
    assert f"most {ENVIRONMENT_MAX - 5} variables" in english


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_states_the_defaults(page: Path) -> None:
    whole, _ = examples(page)
    del whole["ca_file"]
    made = ModelArtsSettings.parse("wuhan-ai", whole)
    row = re.compile(r"^\| (`\w+`(?:[,、] ?`\w+`)*) \| ([\w.]+(?:[,、] ?[\w.]+)*) \|", re.M)
    rows = row.findall(page.read_text("utf-8"))
    stated: dict[str, str] = {}
    for names, values in rows:
        pairs = zip(re.findall(r"\w+", names), re.split(r"[,、] ?", values.strip()), strict=True)
        stated.update(pairs)
    assert len(stated) == 10
    for name, value in stated.items():
        default = getattr(made, name)
        assert value == (
            str(default).lower() if isinstance(default, bool | str) else f"{default:g}"
        )
