"""Tests write into memory only where there is room for it."""

from pathlib import Path

import pytest

from tests import memory


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "meminfo"


@pytest.mark.parametrize(
    ("available_kib", "is_room"), [(64 << 20, True), (6 << 20, True), ((6 << 20) - 1, False)]
)
def test_as_much_memory_is_left_as_processes_need(
    told: Path, available_kib: int, is_room: bool
) -> None:
    told.write_text(f"MemTotal: 99999999 kB\nMemAvailable: {available_kib} kB\n")
    mount = Path("/")
    assert memory.folder(mount, told, free=lambda _: 3 << 30) == (mount if is_room else None)


def test_where_the_folder_is_small_or_missing_tests_write_to_the_disk(told: Path) -> None:
    told.write_text(f"MemAvailable: {64 << 20} kB\n")
    assert memory.folder(Path("/"), told, free=lambda _: (3 << 30) - 1) is None
    assert memory.folder(told.parent / "nowhere", told) is None
    assert memory.folder(Path("/"), told.parent / "nowhere") is None
    told.write_text("MemTotal: 99999999 kB\n")
    assert memory.folder(Path("/"), told, free=lambda _: 3 << 30) is None
