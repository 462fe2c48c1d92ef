"""``centers.file``: applied when a service starts, before which its adapters must open."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from corridor.v1 import center_service_pb2 as pb

from scheduler.config import BadConfig
from scheduler.store import seed
from scheduler.store.database import Database
from scheduler.store.seed_part import BadSeed
from tests.integration.serve.conftest import Installed, Serve


def write(path: Path, changed: Mapping[str, Any]) -> str:
    """The sample centers, the first one changed."""
    document = yaml.safe_load((seed.DATA / "centers.yaml").read_text("utf-8"))
    document["centers"][0] |= changed
    path.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    return str(path)


def rows(installed: Installed, sql: str) -> list[tuple[Any, ...]]:
    db = Database(installed.settings.database_url)
    try:
        return [tuple(row) for row in db.read_sync(lambda c: c.exec_driver_sql(sql).all())]
    finally:
        db.close()


async def test_a_service_starts_with_the_centers_of_its_file(
    installed: Installed, serve: Serve, tmp_path: Path
) -> None:
    path = write(tmp_path / "c.yaml", {"name_en": "Renamed", "settings": {"seed": 5}})
    async with serve(installed.with_flags({"centers.file": path})) as (service, client):
        answer = await client.centers.GetCenter(pb.GetCenterRequest(center="wuhan-ai"))
        assert answer.center.display_name_en == "Renamed"
        assert service.adapters["wuhan-ai"].inner.settings.seed == 5  # type: ignore[attr-defined]
    [(settings,)] = rows(installed, "SELECT settings FROM center WHERE code = 'wuhan-ai'")
    assert '"seed": 5' in settings


async def test_what_cannot_be_opened_is_not_stored(
    installed: Installed, serve: Serve, tmp_path: Path
) -> None:
    before = rows(installed, "SELECT * FROM center")
    path = write(tmp_path / "c.yaml", {"settings": {"sede": 5}})
    with pytest.raises(BadConfig, match=r"center wuhan-ai: its settings in .*c\.yaml .*'sede'"):
        async with serve(installed.with_flags({"centers.file": path})):
            pass
    assert rows(installed, "SELECT * FROM center") == before


async def test_secrets_never_reach_the_store(
    installed: Installed, serve: Serve, tmp_path: Path
) -> None:
    path = write(tmp_path / "c.yaml", {"settings": {"token": "s3cr3t"}})
    with pytest.raises(BadSeed, match=r"c\.yaml\.centers\[0\]\.settings\.token: must not hold"):
        async with serve(installed.with_flags({"centers.file": path})):
            pass
    stored = rows(installed, "SELECT * FROM center") + rows(installed, "SELECT * FROM audit_event")
    assert "s3cr3t" not in str(stored)


async def test_real_centers_need_real_time(
    installed: Installed, serve: Serve, tmp_path: Path
) -> None:
    real = {"kind": "slurm", "simulated": False, "settings": {}}
    path = write(tmp_path / "c.yaml", real)
    with pytest.raises(BadConfig, match=r"wuhan-ai is real \(kind slurm\), and clock\.speed is"):
        async with serve(installed.with_flags({"centers.file": path, "clock.speed": 2})):
            pass


async def test_a_database_of_faster_time_is_none_for_real_centers(
    installed: Installed, serve: Serve, tmp_path: Path
) -> None:
    db = Database(installed.settings.database_url)
    db.write_future(
        lambda c: c.exec_driver_sql("UPDATE event SET at_ms = at_ms + 90000000000")
    ).result()
    db.close()
    path = write(tmp_path / "c.yaml", {"kind": "slurm", "simulated": False, "settings": {}})
    with pytest.raises(BadConfig, match=r"ahead of the clock, for faster time was used on it"):
        async with serve(installed.with_flags({"centers.file": path, "clock.speed": 1})):
            pass


async def test_without_a_file_centers_are_as_stored(installed: Installed, serve: Serve) -> None:
    before = rows(installed, "SELECT * FROM center")
    async with serve(installed):
        pass
    assert rows(installed, "SELECT * FROM center") == before
