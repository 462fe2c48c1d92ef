"""Agents that must show a certificate of their center, beside their token."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from scheduler.agent.link import Link, LinkSettings
from scheduler.agent.process import AgentOptions, opened
from scheduler.config import BadConfig, load_settings
from scheduler.doors import open_doors
from scheduler.metrics import Metrics
from tests.authority import Authority

CENTER = "wuhan-ai"
TLS = Path(__file__).parents[2] / "data" / "tls"
PATIENCE_S = 20.0


@pytest.fixture
async def guarded(desk: Any, near: Any, tmp_path: Path) -> Authority:
    """The desk asks for certificates that an authority of its own signed."""
    await near.hang_up()
    await desk.stop()
    authority = Authority(tmp_path)
    (tmp_path / "agents-ca.pem").write_bytes(authority.pem)
    flags = {
        "server.tls_cert": str(TLS / "cert.pem"), "server.tls_key": str(TLS / "key.pem"),
        "server.agents_listen": "127.0.0.1:7444",
        "server.agents_ca": str(tmp_path / "agents-ca.pem"),
    }  # fmt: skip
    doors = open_doors(load_settings(None, {}, flags), Metrics().security)
    assert doors.agents_port is not None
    await desk.start(
        credentials=doors.agents_port.credentials,
        agents_listen=doors.agents_port.listen,
        caller_problem=doors.caller_problem,
    )
    return authority


def link(desk: Any, near: Any, pair: tuple[Path, Path] | None) -> Link:
    cert, key = pair or (None, None)
    settings = LinkSettings(
        (desk.address,), near.folder / "token", TLS / "cert.pem", cert, key, pause_min_s=0.01
    )
    return Link(near.agent, settings, "test")


async def test_an_agent_shows_the_certificate_of_its_center(
    desk: Any, near: Any, guarded: Authority
) -> None:
    dialing = asyncio.create_task(link(desk, near, guarded.pair(CENTER)).dial_once(desk.address))
    await ready(desk)
    dialing.cancel()
    await asyncio.gather(dialing, return_exceptions=True)


async def test_the_certificate_of_another_center_is_refused(
    desk: Any, near: Any, guarded: Authority
) -> None:
    ended = await link(desk, near, guarded.pair("wuhan-sc")).dial_once(desk.address)
    assert ended.lasting
    assert ended.reason == (
        "PERMISSION_DENIED: an agent of wuhan-ai shows a certificate whose name is wuhan-ai, at the"
        " address 127.0.0.1:7444; this one showed one of wuhan-sc"
    )


async def test_no_certificate_and_a_strangers_come_nowhere(
    desk: Any, near: Any, guarded: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path).pair(CENTER)
    for pair in (None, stranger):
        ended = await link(desk, near, pair).dial_once(desk.address)
        assert "UNAVAILABLE" in ended.reason
    assert desk.calls == [], "the handshake fails before any word, the token's too"


async def test_where_certificates_are_asked_for_the_other_address_takes_no_agent(
    desk: Any, near: Any
) -> None:
    await near.hang_up()
    await desk.stop()
    pair = ((TLS / "key.pem").read_bytes(), (TLS / "cert.pem").read_bytes())
    await desk.start(
        credentials=grpc.ssl_server_credentials([pair]), agents_listen="127.0.0.1:7444"
    )
    ended = await link(desk, near, None).dial_once(desk.address)
    assert ended.lasting
    assert ended.reason.endswith("at the address 127.0.0.1:7444; this one showed none")


async def test_who_loses_its_authority_is_let_go_and_comes_back_by_the_new_one(
    desk: Any, near: Any, guarded: Authority, tmp_path: Path
) -> None:
    """Revocation is a change of the file of authorities: nobody restarts anything."""
    old = link(desk, near, guarded.pair(CENTER))
    dialing = asyncio.create_task(old.dial_once(desk.address))
    await ready(desk)
    new = Authority(tmp_path, "authority of the year after")
    (tmp_path / "agents-ca.pem").write_bytes(new.pem)
    async with asyncio.timeout(PATIENCE_S):
        ended = await dialing
    assert ended.lasting
    assert "PERMISSION_DENIED: the agent of wuhan-ai may not speak: no authority" in ended.reason
    refused = await old.dial_once(desk.address)
    assert "UNAVAILABLE" in refused.reason, "nor does it pass the handshake any more"
    dialing = asyncio.create_task(link(desk, near, new.pair(CENTER)).dial_once(desk.address))
    await ready(desk)
    dialing.cancel()
    await asyncio.gather(dialing, return_exceptions=True)


async def ready(desk: Any) -> None:
    """Wait until the center's agent is there."""
    async with asyncio.timeout(PATIENCE_S):
        while not desk.remote.ready:
            await desk.remote.wait_for_change(0.05)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"server.agents_listen": "127.0.0.1:1"}, "give both server.agents_listen and"),
        (
            {"server.agents_listen": "127.0.0.1:1", "server.agents_ca": "x.pem"},
            "server.agents_listen speaks TLS",
        ),
    ],
)
def test_half_of_it_is_refused(flags: dict[str, object], said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        load_settings(None, {}, flags)


async def test_half_an_identity_is_refused(tmp_path: Path) -> None:
    options = AgentOptions(
        CENTER, tmp_path / "none", ("127.0.0.1:1",), tmp_path / "token", tmp_path
    )
    with pytest.raises(BadConfig, match="give both --cert and --key, or neither"):
        async with opened(replace(options, tls_cert=tmp_path / "cert.pem")):
            raise AssertionError("it was opened")
