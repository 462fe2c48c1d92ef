"""A whole run of the service with every kind of secret, and a search for each in all it wrote."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import identity_service_pb2 as pb
from corridor.v1 import job_service_pb2 as jobs
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.client import Client
from tests.authority import Authority
from tests.issuer import AUDIENCE, Issuer, Key

CORRIDOR = [sys.executable, "-c", "from scheduler.cli.main import main; main()"]
WEBHOOK_SECRET = "webhook-secret-8471"
PATIENCE_S = 60


def environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CORRIDOR_")}
    return {**kept, **more}


@contextlib.contextmanager
def serving(folder: Path, more: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Run the service with its log at its loudest; yields its address and the process."""
    with (folder / "log").open("wb") as written:
        process = subprocess.Popen(
            [*CORRIDOR, "serve"], cwd=folder, env=environment(more), stdout=written, stderr=written
        )
    try:
        yield wait_for_address(folder / "log", process), process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def wait_for_address(log: Path, process: "subprocess.Popen[bytes]") -> str:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s and process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if '"serving"' in line:
                return str(json.loads(line)["address"])
        time.sleep(0.05)
    raise AssertionError(log.read_text(encoding="utf-8"))


def refused(call: Any, *args: Any) -> None:
    with pytest.raises(grpc.RpcError):
        call(*args)


def test_no_secret_of_a_run_is_in_what_it_wrote(tmp_path: Path) -> None:
    authority, secret_file = Authority(tmp_path), tmp_path / "webhook-secret"
    cert, key = authority.pair("localhost")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    secret_file.write_text(WEBHOOK_SECRET)
    with Issuer() as issuer:
        settings = {
            "CORRIDOR_SERVER_LISTEN": "localhost:0", "CORRIDOR_METRICS_LISTEN": "127.0.0.1:0",
            "CORRIDOR_SERVER_TLS_CERT": str(cert), "CORRIDOR_SERVER_TLS_KEY": str(key),
            "CORRIDOR_PLANNER_RAY": "off", "CORRIDOR_LOG_FORMAT": "json",
            "CORRIDOR_LOG_LEVEL": "debug", "CORRIDOR_ALERTS_WEBHOOK_URL": issuer.url,
            "CORRIDOR_ALERTS_WEBHOOK_SECRET_FILE": str(secret_file),
            "CORRIDOR_OIDC_ISSUER": issuer.url, "CORRIDOR_OIDC_AUDIENCE": AUDIENCE,
            "CORRIDOR_OIDC_ROLES": "ops=operator",
        }  # fmt: skip
        made = subprocess.run(
            [*CORRIDOR, "init", "--json"], cwd=tmp_path, env=environment(settings), check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        operator = str(json.loads(made.stdout)["token"])
        now = int(time.time())
        claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "li", "corridor_role": "ops"}
        login = issuer.token({**claims, "exp": now + 600})
        forged = issuer.token({**claims, "exp": now + 600}, Key("first", "ES256"))
        stranger = "cor_" + "Zz9" * 13 + "q"
        with serving(tmp_path, settings) as (address, _process):
            made_here = drive(address, tmp_path / "ca.pem", operator, [login], [forged, stranger])
    written = (tmp_path / "log").read_text(encoding="utf-8") + made.stderr
    assert '"serving"' in written
    secrets = {
        "operator": operator, "login": login, "forged": forged, "stranger": stranger,
        "made": made_here, "webhook": WEBHOOK_SECRET, "key": key.read_text().splitlines()[1],
    }  # fmt: skip
    assert [name for name, secret in secrets.items() if secret in written] == []
    assert "***" not in written, "nor did the second wall have to take one out"
    # Nor a part of one: of a JWT its signature gives the right, of a token any half would be much.
    assert [name for name, one in secrets.items() if one[len(one) // 2 :] in written] == []


def drive(address: str, ca: Path, operator: str, good: list[str], bad: list[str]) -> str:
    """Make calls with all these tokens, in order and not; returns a token that was made."""
    for token in bad:
        with Client(address, token, tls_ca=ca) as client:
            refused(client.identity.WhoAmI, pb.WhoAmIRequest())
    for token in (*good, operator):
        with Client(address, token, tls_ca=ca) as client:
            client.identity.WhoAmI(pb.WhoAmIRequest())
            refused(client.jobs.GetJob, jobs.GetJobRequest(job_id=token))
            refused(client.identity.RevokeToken, pb.RevokeTokenRequest(token_id=token))
            refused(client.identity.CreateToken, pb.CreateTokenRequest())
    with Client(address, operator, tls_ca=ca) as client:
        expire = Timestamp(seconds=int(time.time()) + 3_600)
        token_wanted = pb.Token(subject="wang", role=pb.ROLE_AUDITOR, expire_time=expire)
        made = client.identity.CreateToken(pb.CreateTokenRequest(token=token_wanted))
        with Client(address, made.secret, tls_ca=ca) as other:
            other.identity.ListTokens(pb.ListTokensRequest())
        client.identity.RevokeToken(pb.RevokeTokenRequest(token_id=made.token.token_id))
    return made.secret
