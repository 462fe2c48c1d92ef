"""The adapter of docs/adapters.md, taken from the page: it passes the suite, and runs a job."""

import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from adapters.conformance import CHECKS
from scheduler.cli.main import app
from scheduler.store.seed_centers import read_file

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs/adapters.md", ROOT / "docs/adapters.zh-CN.md")
MACHINE = "aarch64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def files(page: Path) -> dict[str, str]:
    """The files of a page: blocks that begin with a name, those of one name put together."""
    found: dict[str, str] = {}
    for block in re.findall(r"```\w+\n(# [\w.]+\.\w+.*?)```", page.read_text("utf-8"), re.DOTALL):
        head, _, text = block.partition("\n")
        name = head.removeprefix("# ").removesuffix(", continued")
        found[name] = found.get(name, "") + "\n\n" + text
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project of the page, installed as pip does it, in a folder of its own."""
    written = files(PAGES[0])
    for name, text in written.items():
        (tmp_path / name).write_text(text, "utf-8")
    info = tmp_path / "corridor_folder-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: corridor-folder\nVersion: 1.0\n")
    points = re.search(
        r'\[project\.entry-points\."(.+?)"\]\n(\w+) = "(.+?)"', written["pyproject.toml"]
    )
    assert points is not None
    (info / "entry_points.txt").write_text(f"[{points[1]}]\n{points[2]} = {points[3]}\n", "utf-8")
    return tmp_path


@pytest.fixture
def installed_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same, found by this process."""
    monkeypatch.syspath_prepend(str(project))
    yield project
    sys.modules.pop("folder_center", None)


def centers_file(project: Path) -> str:
    """The page's file of centers, with a folder and the architecture of this machine."""
    given = yaml.safe_load((project / "centers.yaml").read_text("utf-8"))
    (project / "lab").mkdir()
    given["centers"][0]["settings"]["folder"] = str(project / "lab")
    given["centers"][0]["flavors"][0]["architecture"] = MACHINE
    path = project / "centers.yaml"
    path.write_text(yaml.safe_dump(given, allow_unicode=True), "utf-8")
    return str(path)


def test_both_pages_build_the_same() -> None:
    assert files(PAGES[0]) == files(PAGES[1])
    assert set(files(PAGES[0])) == {
        "pyproject.toml", "folder_center.py", "test_folder_center.py", "centers.yaml",
    }  # fmt: skip


def run_suite(project: Path, *args: str) -> str:
    ran = subprocess.run(
        [
            sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider",
            "-p", "no:asyncio", "-p", "no:xdist", "--rootdir", str(project), "-c", "/dev/null",
            *args, str(project / "test_folder_center.py"),
        ],
        capture_output=True, text=True, cwd=project,
    )  # fmt: skip
    return ran.stdout + ran.stderr


def test_the_adapter_of_the_page_passes_the_suite(project: Path) -> None:
    said = run_suite(project)
    assert f"\n{len(CHECKS)} passed in" in said, said


def test_the_suite_finds_it_out_without_its_fence(project: Path) -> None:
    """As the page says: a name that is taken twice is noticed."""
    path = project / "folder_center.py"
    fence = "new.rename(self.folder / request.name)"
    text = path.read_text("utf-8")
    assert text.count(fence) == 1
    again = f"forget(self.folder / request.name); {fence}"
    text += (
        "\n\ndef forget(path):\n    run = Run(path)\n    if run.exists:\n        run.cancel()\n"
        "        path.rename(path.parent.with_name(f'gone-{os.urandom(8).hex()}'))\n"
    )
    path.write_text(text.replace(fence, again), "utf-8")
    said = run_suite(project, "-k", "submits_once_per_name or finds_after_a_lost_answer")
    assert "a second submission must return the first one's answer" in said
    assert "2 failed" in said


def test_the_center_of_the_page_is_ready(installed_project: Path) -> None:
    path = centers_file(installed_project)
    assert [one.kind for one in read_file(Path(path))] == ["folder"]
    env = {"CORRIDOR_LANG": "en"}
    ran = CliRunner().invoke(app, ["center", "check", path], env=env)
    assert ran.exit_code == 0, ran.output
    assert "lab Laboratory · folder · API 1" in ran.output
    assert "lab/cpu: 8 units declared, 8 found, 0 of them in use by all" in ran.output
    kinds = CliRunner().invoke(app, ["center", "kinds"], env=env).output
    assert re.search(r"^folder +corridor-folder 1\.0 +folder_center:open_center$", kinds, re.M)
