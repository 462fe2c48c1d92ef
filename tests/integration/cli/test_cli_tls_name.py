"""A service whose certificate has another name than the host that is asked."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import identity_service_pb2 as pb
from corridor.v1 import identity_service_pb2_grpc as services
from typer.testing import CliRunner, Result

from scheduler.cli.main import app
from tests.authority import Authority

NAME = "corridor.example"


class Identity:
    """Knows everybody."""

    def __getattr__(self, name: str) -> Any:
        """Methods that nobody calls here."""
        return lambda request, context: None

    def WhoAmI(self, request: pb.WhoAmIRequest, context: Any) -> pb.WhoAmIResponse:
        return pb.WhoAmIResponse(subject="somebody")


@dataclass
class Named:
    """A server of that name on this machine."""

    port: int
    ca: Path
    home: Path

    def whoami(self, *words: str, **env: str) -> Result:
        asked = ("whoami", "--json", "--server", f"127.0.0.1:{self.port}", *words)
        return self.corridor(*asked, **env)

    def corridor(self, *words: str, **env: str) -> Result:
        known = {"XDG_CONFIG_HOME": str(self.home), "CORRIDOR_TOKEN": "cor_secret", **env}
        return CliRunner().invoke(app, list(words), env=known)


@pytest.fixture
def named(tmp_path: Path) -> Iterator[Named]:
    authority = Authority(tmp_path)
    cert, key = authority.signed(NAME)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    server = grpc.server(ThreadPoolExecutor(2))
    everybody: Any = Identity()
    services.add_IdentityServiceServicer_to_server(everybody, server)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, cert)]))
    server.start()
    yield Named(port, ca, tmp_path / "home")
    server.stop(0).wait()


def test_a_service_is_reached_by_the_name_of_its_certificate(named: Named) -> None:
    told = named.whoami("--tls-ca", str(named.ca), "--tls-name", NAME)
    assert (told.exit_code, '"somebody"' in told.stdout) == (0, True), told.output
    told = named.whoami(CORRIDOR_TLS_CA=str(named.ca), CORRIDOR_TLS_NAME=NAME)
    assert told.exit_code == 0, told.output


def test_without_the_name_it_is_not_trusted_and_the_line_says_what_to_give(named: Named) -> None:
    told = named.whoami("--tls-ca", str(named.ca))
    assert (told.exit_code, "--tls-name" in told.stderr) == (5, True), told.stderr
    told = named.whoami("--tls-ca", str(named.ca), "--tls-name", "other.example")
    assert told.exit_code == 5


def test_a_profile_keeps_the_name(named: Named) -> None:
    given = ("--tls-ca", str(named.ca), "--tls-name", NAME)
    kept = named.corridor("profile", "set", "far", *given)
    assert kept.exit_code == 0, kept.output
    assert named.whoami("--profile", "far").exit_code == 0
    shown = named.corridor("profile", "list", "--json").stdout
    assert f'"tls_name": "{NAME}"' in shown


def test_who_gives_a_name_wants_tls_on_this_machine_too(named: Named) -> None:
    """The authority is not known here: were it plain text, the server would not answer so."""
    told = named.whoami("--tls-name", NAME)
    assert (told.exit_code, "is not trusted" in told.stderr) == (5, True), told.stderr
