"""What tests of ``corridor doctor`` share: settings in a file, the command, services beside it."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from scheduler import bootstrap
from scheduler.bootstrap import Service
from scheduler.cli.main import app
from scheduler.client import AsyncClient
from scheduler.config import load_settings

WORLD = {"PATH": os.environ["PATH"], "CORRIDOR_LANG": "en", "TZ": "UTC"}


@dataclass(frozen=True)
class Home:
    """Settings in a file, as an operator has them, and who asks."""

    folder: Path
    url: str
    token: str = ""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def write(self, **given: object) -> None:
        """Write the file of settings; ``section__key`` of what is set otherwise."""
        known: dict[str, object] = {
            "store__data_dir": self.data, "planner__ray": "off", "server__listen": "127.0.0.1:0",
            "metrics__listen": "127.0.0.1:0", "loop__metrics_s": 0.05, "leader__lease_s": 60,
            "leader__renew_s": 1, **({"store__url": self.url} if self.url else {}), **given,
        }  # fmt: skip
        lines = []
        for name, value in known.items():
            section, _, key = name.partition("__")
            shown = json.dumps(str(value)) if isinstance(value, str | Path) else json.dumps(value)
            lines.append(f"{section}.{key} = {shown}")
        (self.folder / "corridor.toml").write_text("\n".join(lines) + "\n")

    @property
    def file(self) -> str:
        return str(self.folder / "corridor.toml")

    async def doctor(self, *words: str, **env: str) -> "Told":
        """Run the command beside what runs in this process."""
        return await asyncio.to_thread(self.doctor_now, *words, **env)

    def doctor_now(self, *words: str, **env: str) -> "Told":
        clean: dict[str, str | None] = dict.fromkeys(os.environ)
        given = {**clean, **WORLD, "HOME": str(self.folder), "CORRIDOR_TOKEN": self.token, **env}
        asked = ["doctor", "--config", self.file, "--json", "--timeout", "60", *words]
        ran = CliRunner().invoke(app, asked, env={k: v for k, v in given.items() if v != ""})
        assert ran.stdout, ran.stderr
        # A service in this process may log beside it.
        said = ran.stdout[ran.stdout.index("{\n") :]
        return Told(ran.exit_code, json.loads(said), ran.stdout)


@dataclass(frozen=True)
class Told:
    """What the doctor said, and its exit code."""

    code: int
    json: dict[str, Any]
    text: str

    def of(self, check: str) -> list[str]:
        """``LEVEL finding`` of a check."""
        [found] = [one for one in self.json["checks"] if one["check"] == check]
        return [f"{one['level']} {one['finding']}" for one in found["findings"]]

    def words(self, finding: str) -> str:
        """What was said of a finding."""
        [one] = [
            one for check in self.json["checks"] for one in check["findings"]
            if one["finding"] == finding
        ]  # fmt: skip
        return str(one["what"])

    @property
    def wrong(self) -> list[str]:
        """All that is not well."""
        return [
            f"{one['level']} {one['finding']}"
            for check in self.json["checks"]
            for one in check["findings"]
            if one["level"] in ("WARNING", "FAILURE")
        ]


async def until(holds: Callable[[], bool]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(120):
        while not holds():  # noqa: ASYNC110 - of a file, seen from outside
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def served(home: Home, **given: object) -> AsyncIterator[tuple[Service, AsyncClient]]:
    """Serve, write into the settings where, and wait until the leader has signed a digest."""
    home.write(**given)
    service = await bootstrap.start_service(load_settings(home.folder / "corridor.toml", {}, {}))
    try:
        at = {"server__listen": service.address, "metrics__listen": service.metrics_address}
        home.write(**{**given, **at})
        async with AsyncClient(service.address, home.token, timeout_s=60) as client:
            await until(lambda: bool(list(home.data.glob("digests/*.txt"))))
            yield service, client
    finally:
        await service.stop(drain=False)
