"""Opens the doors of a service from its settings: certificates, logins, limits.

A wrong setting is ``BadConfig``.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from scheduler.auth import issuer_http
from scheduler.auth.issuer_keys import IssuerKeys
from scheduler.auth.oidc import BadRules, OidcRules, algorithms_of, roles_of
from scheduler.auth.rates import Rate, Rates
from scheduler.certificates import BadCertificates, CertificateFiles, Certificates
from scheduler.config import BadConfig
from scheduler.metrics_security import SecurityCounters
from scheduler.openers import is_loopback, split_address, wall_ms
from scheduler.rpc.guarding import Guard
from scheduler.rpc.server import AgentsPort
from scheduler.settings import Settings


@dataclass(frozen=True, slots=True)
class Doors:
    """Where callers come in: ``credentials`` None is plain text, ``agents_port`` None no such port.

    ``caller_problem`` says what is wrong with a certificate shown at that port.
    """

    guard: Guard
    credentials: grpc.ServerCredentials | None = None
    agents_port: AgentsPort | None = None
    caller_problem: Callable[[Sequence[bytes]], str] | None = None


def open_doors(settings: Settings, counters: SecurityCounters) -> Doors:
    """Return the doors of a service; certificates are taken up as their files change."""
    guard = Guard(_issuer(settings, counters), _rates(settings, counters))
    given = settings.server
    split_address("server.listen", given.listen)
    if not given.tls_cert:
        if not given.insecure and not is_loopback(given.listen):
            raise BadConfig(
                f"server.listen is {given.listen}, which others can reach, and tokens would travel"
                " in plain text: give server.tls_cert and server.tls_key, or set server.insecure"
                " where a proxy in front of it speaks TLS"
            )
        return Doors(guard)
    files = CertificateFiles(Path(given.tls_cert), Path(given.tls_key))
    own = _certificates(files, counters)
    if not given.agents_listen:
        return Doors(guard, own.credentials())
    split_address("server.agents_listen", given.agents_listen)
    files = CertificateFiles(files.cert, files.key, Path(given.agents_ca))
    agents = _certificates(files, counters)
    port = AgentsPort(given.agents_listen, agents.credentials())
    return Doors(guard, own.credentials(), port, agents.caller_problem)


_NAMES: Final = {"key": "tls_key", "cert": "tls_cert", "ca": "agents_ca"}


def _certificates(files: CertificateFiles, counters: SecurityCounters) -> Certificates:
    try:
        return Certificates(files, wall_ms, counters.certificates)
    except BadCertificates as error:
        name = next(to for of, to in _NAMES.items() if getattr(files, of) == error.file)
        raise BadConfig(f"server.{name}: {error}") from error


def _rates(settings: Settings, counters: SecurityCounters) -> Rates:
    given = settings.limits
    return Rates(
        Rate(given.calls_per_s, given.calls_burst),
        Rate(given.jobs_per_s, given.jobs_burst),
        given.streams,
        on_refused=counters.limited,
    )


def _issuer(settings: Settings, counters: SecurityCounters) -> tuple[OidcRules, IssuerKeys] | None:
    given = settings.oidc
    if not given.issuer:
        return None
    for name in ("issuer", "jwks_url"):
        _check_url(f"oidc.{name}", getattr(given, name))
    try:
        rules = OidcRules(
            given.issuer, given.audience, roles_of(given.roles), algorithms_of(given.algorithms),
            given.subject_claim, given.role_claim, given.city_claim, given.enterprise_claim,
            given.leeway_s, given.lifetime_max_s,
        )  # fmt: skip
    except BadRules as error:
        raise BadConfig(str(error)) from error
    fetch = issuer_http.fetcher(given.issuer, given.jwks_url, _trusted(given.ca_file))
    return rules, IssuerKeys(fetch, given.refresh_s, on_fetch=counters.keys)


def _check_url(name: str, url: str) -> None:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise BadConfig(f"{name} must be https://HOST/..., or http:// on this machine")
    if parts.scheme == "http" and not is_loopback(f"{parts.hostname}:0"):
        raise BadConfig(
            f"{name}: {parts.hostname} is another machine, and whoever is between could give keys"
            " of their own: give an https:// address"
        )


def _trusted(ca_file: str) -> Any:
    """Return whom to trust for the issuer's own certificate."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise BadConfig(f"oidc.ca_file: cannot use {ca_file}: {error}") from error
