"""Certificates of the API are taken up when their files change, and bad ones are not."""

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import identity_service_pb2 as pb
from corridor.v1 import identity_service_pb2_grpc

from scheduler import bootstrap
from scheduler.certificates import CertificateFiles, Certificates
from tests.authority import DAY, Authority

HOST = "corridor.test"


class Files:
    """The files of a server, which tests exchange."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"

    def put(self, cert: bytes | None, key: bytes | None) -> None:
        """Exchange files as those do who know how: whole, by renaming."""
        for path, data in ((self.cert, cert), (self.key, key)):
            if data is not None:
                fresh = path.with_suffix(".new")
                fresh.write_bytes(data)
                os.replace(fresh, path)


async def code_of(address: str, authority: Authority, token: str) -> str:
    """Call by a new connection that trusts one authority; returns the code."""
    credentials = grpc.ssl_channel_credentials(authority.pem)
    named = (("grpc.ssl_target_name_override", HOST),)
    async with grpc.aio.secure_channel(address, credentials, options=named) as channel:
        stub: Any = identity_service_pb2_grpc.IdentityServiceStub(channel)
        try:
            metadata = (("authorization", f"Bearer {token}"),)
            await stub.WhoAmI(pb.WhoAmIRequest(), metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


async def test_a_new_certificate_is_taken_up_and_a_bad_one_is_not(
    installed: Any, tmp_path: Path, serve: Any
) -> None:
    files, old, new = Files(tmp_path), Authority(tmp_path, "old"), Authority(tmp_path, "new")
    files.put(*old.signed(HOST))
    flags = {"server.tls_cert": str(files.cert), "server.tls_key": str(files.key)}
    service = await bootstrap.start_service(installed.with_flags(flags).settings)
    try:
        address, token = service.address, installed.token
        assert await code_of(address, old, token) == "OK"
        assert await code_of(address, new, token) == "UNAVAILABLE"
        files.put(b"-----BEGIN CERTIFICATE-----\nhalf", None)
        assert await code_of(address, old, token) == "OK", "half a file changes nothing"
        cert, key = new.signed(HOST)
        files.put(cert, None)
        assert await code_of(address, old, token) == "OK", "nor a certificate without its key"
        files.put(None, key)
        assert await code_of(address, new, token) == "OK"
        assert await code_of(address, old, token) == "UNAVAILABLE"
        metric = service.metrics.registry.get_sample_value
        name = "corridor_certificate_changes_total"
        assert metric(name, {"outcome": "refused"}) == 2
        assert metric(name, {"outcome": "taken"}) == 1
    finally:
        await service.stop(drain=False)


def ended(authority: Authority) -> tuple[bytes, bytes]:
    return authority.signed(HOST, -datetime.timedelta(minutes=1))


def without_a_key(authority: Authority) -> tuple[bytes, bytes]:
    return authority.signed(HOST)[0], authority.signed(HOST)[1]


def empty(_authority: Authority) -> tuple[bytes, bytes]:
    return b"", b""


def is_no_key(authority: Authority) -> tuple[bytes, bytes]:
    return authority.signed(HOST)[
        0
    ], b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize("bad", [ended, without_a_key, empty, is_no_key])
def test_what_cannot_be_used_leaves_what_was(
    bad: Callable[[Authority], tuple[bytes, bytes]], tmp_path: Path
) -> None:
    files, authority = Files(tmp_path), Authority(tmp_path)
    now_ms = int(datetime.datetime.now(datetime.UTC).timestamp() * 1000)
    files.put(*authority.signed(HOST, 2 * DAY))
    looks: list[str] = []
    held = Certificates(CertificateFiles(files.cert, files.key), lambda: now_ms, looks.append)
    until_ms = held.not_after_ms
    held.look()
    assert looks == [], "nothing changed"
    files.put(*bad(authority))
    held.look()
    held.look()
    assert looks == ["refused"], "told once"
    assert held.not_after_ms == until_ms
    files.cert.unlink()
    held.look()
    files.put(*authority.signed(HOST, DAY))
    held.look()
    assert looks == ["refused", "refused", "taken"]
    assert held.not_after_ms < until_ms
