"""Agents that must show a certificate of their center, beside their token."""

import asyncio
import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scheduler import openers
from scheduler.agent.link import Link, LinkSettings
from scheduler.agent.process import AgentOptions, opened
from scheduler.config import BadConfig, load_settings

CENTER = "wuhan-ai"
TLS = Path(__file__).parents[2] / "data" / "tls"
PATIENCE_S = 20.0


class Authority:
    """Signs certificates for a day."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agents")])
        self.pem = self._sign("agents", self._key.public_key(), is_ca=True)

    def _sign(self, name: str, key: Any, *, is_ca: bool = False) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)

    def pair(self, name: str) -> tuple[Path, Path]:
        """Return the files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert_file.write_bytes(self._sign(name, key.public_key()))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert_file, key_file


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
    port = openers.agents_port(load_settings(None, {}, flags))
    assert port is not None
    await desk.start(credentials=port.credentials, agents_listen=port.listen)
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
    async with asyncio.timeout(PATIENCE_S):
        while not desk.remote.ready:
            await desk.remote.wait_for_change(0.05)
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
    desk.calls.clear()
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
