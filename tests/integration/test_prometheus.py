"""A real Prometheus with our rules scrapes a real service: all loads, is scraped, and one fires."""

import asyncio
import contextlib
import json
import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from scheduler import bootstrap
from scheduler.config import load_settings
from scheduler.settings import Settings

RULES = Path(__file__).parents[2] / "deploy/prometheus"
BOARDS = sorted((RULES.parent / "grafana").glob("*.json"))
#: Where there is no history yet: nobody verified, and the seconds before a lead are a large part.
AT_FIRST = {
    "CorridorBooksNotVerified", "CorridorNoLeader", "CorridorSloBurnsFast", "CorridorSloBurns",
    "CorridorSloBurnsSlowly", "CorridorDigestLate",
}  # fmt: skip
#: How long anything may take on a machine that is busy; nothing waits for it to pass.
TIMEOUT_S = 120.0


@pytest.fixture
def program() -> str:
    """Where Prometheus is."""
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("prometheus is not installed; tests/testbed/install.sh installs it")
    return found


def settings_in(folder: Path) -> Settings:
    """Settings of a service with samples in a folder, and its database."""
    flags: Mapping[str, object] = {
        "store.data_dir": str(folder),
        "server.listen": "127.0.0.1:0",
        "metrics.listen": "127.0.0.1:0",
        "planner.ray": "off",
        "loop.metrics_s": 0.2,
    }
    settings = load_settings(None, {}, flags)
    bootstrap.initialize(settings)
    return settings


def configure(folder: Path, targets: list[str]) -> Path:
    """Our configuration with what a test must change: where services listen, and how often."""
    config = yaml.safe_load((RULES / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
    for path in RULES.glob("*.rules.yml"):
        rules = yaml.safe_load(path.read_text("utf-8"))
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            if "for" in rule:
                rule["for"] = "1s"
        (folder / path.name).write_text(yaml.safe_dump(rules), "utf-8")
    written = folder / "prometheus.yml"
    written.write_text(yaml.safe_dump(config), "utf-8")
    return written


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Asked:
    """The API of a running Prometheus."""

    def __init__(self, http: httpx.AsyncClient, process: asyncio.subprocess.Process) -> None:
        self._http, self._process = http, process

    async def get(self, path: str, **parameters: str) -> Any:
        """What it answers; None while it is not there yet."""
        try:
            answer = await self._http.get(f"/api/v1/{path}", params=parameters)
        except httpx.TransportError:
            return None
        return answer.json()["data"] if answer.status_code == 200 else None

    async def until(self, path: str, holds: Callable[[Any], bool], **parameters: str) -> Any:
        """Ask until what it answers is right."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                found = await self.get(path, **parameters)
                if found is not None and holds(found):
                    return found
                assert self._process.returncode is None, "Prometheus ended by itself"
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def running(program: str, config: Path, folder: Path) -> AsyncIterator[Asked]:
    """A Prometheus on loopback, gone after the block."""
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}", "--log.level=warn",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http:
            yield Asked(http, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        _, said = await process.communicate()
    assert b"level=error" not in said, said.decode()


def alerts(found: Any) -> dict[str, str]:
    """State by name of the alerts that are not inactive."""
    return {one["labels"]["alertname"]: one["state"] for one in found["alerts"]}


def firing(name: str) -> Callable[[Any], bool]:
    """Whether an alert fires."""
    return lambda found: alerts(found).get(name) == "firing"


async def check_dashboards(prometheus: Asked) -> None:
    """Each query of each dashboard is answered, if only with nothing."""
    for path in BOARDS:
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                filled = target["expr"].replace("$__rate_interval", "1m")
                query = re.sub(r"\$\w+", ".*", filled)
                assert await prometheus.get("query", query=query) is not None, query


async def test_rules_load_a_service_is_scraped_and_its_troubles_are_told(
    program: str, tmp_path: Path
) -> None:
    service = await bootstrap.start_service(settings_in(tmp_path))
    try:
        config = configure(tmp_path, [service.metrics_address])
        async with running(program, config, tmp_path) as prometheus:

            def shows(found: Any) -> bool:
                return bool(found["result"]) and found["result"][0]["value"][1] == "1"

            await prometheus.until("query", shows, query='up{job="corridor"}')
            await prometheus.until("query", shows, query="corridor_leader")
            found = await prometheus.until(
                "rules",
                lambda found: all(
                    rule["health"] == "ok" for group in found["groups"] for rule in group["rules"]
                ),
            )
            loaded = {rule["name"] for group in found["groups"] for rule in group["rules"]}
            assert {"CorridorDown", "CorridorBooksDiffer", "slo:corridor_bad:ratio_30d"} <= loaded
            await prometheus.until(
                "query", lambda found: found["result"], query="slo:corridor_bad:ratio_5m"
            )
            await check_dashboards(prometheus)
            await prometheus.until(
                "query", shows, query='corridor_center_reachable{center="wuhan-sc"}'
            )
            # A rule may have been evaluated before the first scrape; what that told goes away.
            await prometheus.until("alerts", lambda found: alerts(found).keys() <= AT_FIRST)

            inner: Any = service.adapters["wuhan-sc"]
            inner.inner.set_outage(True)
            told = await prometheus.until("alerts", firing("CorridorCenterUnreachable"))
            [one] = [
                alert
                for alert in told["alerts"]
                if alert["labels"]["alertname"] == "CorridorCenterUnreachable"
            ]
            assert one["labels"] | {"alertname": ""} == {
                "alertname": "", "center": "wuhan-sc", "severity": "page",
            }  # fmt: skip
            assert one["annotations"]["summary"] == "Center wuhan-sc does not answer"
            inner.inner.set_outage(False)
            await prometheus.until(
                "alerts", lambda found: "CorridorCenterUnreachable" not in alerts(found)
            )

            await service.stop(drain=False)
            for name in ("CorridorDown", "CorridorNoLeader", "CorridorReplicaDown"):
                await prometheus.until("alerts", firing(name))
    finally:
        await service.stop(drain=False)
