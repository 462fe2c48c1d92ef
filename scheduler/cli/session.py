"""What a command of the client works with: whom it talks to, as whom, and how it speaks."""

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
from corridor.v1.center_service_pb2 import ListCentersRequest
from corridor.v1.identity_service_pb2 import ListCitiesRequest, WhoAmIRequest, WhoAmIResponse

from scheduler.cli import exits
from scheduler.cli.failures import Failed, Reporter
from scheduler.cli.given import Given
from scheduler.cli.lines import complain
from scheduler.cli.output import Output
from scheduler.cli.profiles import (
    PROFILE_VARIABLE,
    SERVER_DEFAULT,
    TOKENS,
    VARIABLES,
    BadProfile,
    Profile,
    config_path,
    is_open_to_others,
    is_token,
    language,
    read_profiles,
)
from scheduler.cli.texts import LANGUAGES
from scheduler.cli.token_sources import CommandToken, FileToken
from scheduler.client import TIMEOUT_S, Client, Token
from scheduler.domain.traces import TRACEPARENT
from scheduler.environment import unknown
from scheduler.settings import Settings


class Session:
    """One run of a command; close it."""

    def __init__(self, command: str, given: Given, environment: Mapping[str, str]) -> None:
        self.given = given
        self.environment = environment
        self.as_json, self.verbose = given.as_json, given.verbose
        self.timeout_s = given.timeout_s or TIMEOUT_S
        self.config_path = config_path(environment)
        wrong: BadProfile | None = None
        try:
            profile = read_profiles(self.config_path).get(
                given.profile or environment.get(PROFILE_VARIABLE, "")
            )
        except BadProfile as error:
            wrong, profile = error, Profile()
        self._profile = profile
        self.lang = language(given.lang, environment, profile)
        self.server = given.server or self.setting("server") or SERVER_DEFAULT
        self.tls_ca = given.tls_ca or self.setting("tls_ca") or None
        self.tls_name = given.tls_name or self.setting("tls_name") or None
        self.reporter = Reporter(
            command, self.lang, self.as_json, self.verbose, self.server, self.timeout_s
        )
        self.out = Output(self.lang, lambda: self.now_ms)
        self.t = self.out.t
        self._wrong = wrong
        self._client: Client | None = None

    def check(self) -> None:
        """Raise ``Failed`` if the options or the profile cannot be used."""
        if self.given.lang is not None and self.given.lang not in LANGUAGES:
            raise Failed("option.lang", exits.USAGE, given=self.given.lang)
        if self._wrong is not None:
            raise Failed(self._wrong.key, exits.USAGE, **self._wrong.values)
        for name, near in unknown(self.environment, Settings().names()):
            complain(self.t("variable.near" if near else "variable.unknown", name=name, near=near))

    def setting(self, name: str) -> str:
        """Return a setting by environment or profile, "" if neither has it."""
        return self.environment.get(VARIABLES[name]) or str(getattr(self._profile, name) or "")

    @cached_property
    def city(self) -> str:
        """The city of the profile, "" for none."""
        return self.setting("city")

    @cached_property
    def enterprise(self) -> str:
        """The enterprise of the profile, "" for none."""
        return self.setting("enterprise")

    @property
    def client(self) -> Client:
        """The client, made when first needed; raises ``Failed``."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> Client:
        token = self._token()
        if self._profile.token and is_open_to_others(self.config_path):
            complain(self.t("profile.open_to_others", path=self.config_path))
        insecure = self.given.insecure or self.setting("insecure").lower() in ("1", "true", "yes")
        try:
            return Client(
                self.server, token, tls_ca=self.tls_ca, timeout_s=self.timeout_s, insecure=insecure,
                tls_name=self.tls_name, traceparent=self.environment.get(TRACEPARENT.upper()),
            )  # fmt: skip
        except ValueError as error:
            raise Failed("option.address", exits.USAGE, given=self.server) from error
        except OSError as error:
            why = error.strerror
            raise Failed("option.tls_ca", exits.USAGE, given=self.tls_ca, why=why) from error

    @property
    def has_token(self) -> bool:
        """Whether a token is given by flag, variable or profile."""
        return bool(self.given.token or any(self.setting(name) for name in TOKENS))

    def _token(self) -> Token:
        """Return the token, or what gives it: by flag, variables, then profile."""
        told = [{"token": self.given.token}]
        told.append({name: self.environment.get(VARIABLES[name]) for name in TOKENS})
        told.append({name: getattr(self._profile, name) for name in TOKENS})
        for where in told:
            if token := where["token"]:
                if not is_token(token):
                    raise Failed("option.token", exits.USAGE)
                return token
            if name := where.get("token_file"):
                path = Path(name).expanduser()
                if is_open_to_others(path):
                    complain(self.t("profile.open_to_others", path=path))
                return FileToken(path)
            if command := where.get("token_command"):
                return CommandToken(command)
        return None

    def close(self) -> None:
        """Close the client, if there is one."""
        if self._client is not None:
            self._client.close()

    # --- what many commands ask -----------------------------------------------------------------

    @cached_property
    def who(self) -> WhoAmIResponse:
        """Who the caller is; raises what the call raises."""
        return self.client.identity.WhoAmI(WhoAmIRequest())

    @property
    def now_ms(self) -> int:
        """The service's scheduling time; the machine's if the service does not say it."""
        return self._clock()

    @cached_property
    def _clock(self) -> Callable[[], int]:
        """A clock that goes on from what the service said (not faster, if it is scaled)."""
        try:
            said_ms = self.who.now.ToMilliseconds()
        except grpc.RpcError:
            return lambda: int(time.time() * 1000)
        since_s = time.monotonic()
        return lambda: said_ms + int((time.monotonic() - since_s) * 1000)

    @cached_property
    def _names(self) -> dict[str, str]:
        """Chinese names of cities, centers and flavors by code; without an answer there are none.

        They adorn what a command shows, so their lack must not fail it.
        """
        names: dict[str, str] = {}
        try:
            for city in self.client.identity.ListCities(ListCitiesRequest()).cities:
                names[city.city] = city.display_name_zh
            for center in self.client.centers.ListCenters(ListCentersRequest()).centers:
                names[center.center] = center.display_name_zh
                for flavor in center.flavors:
                    names[flavor.flavor] = flavor.display_name_zh
        except grpc.RpcError:
            pass
        return names

    def know(self, names: Mapping[str, str]) -> None:
        """Take names from elsewhere: for a command that asks no service."""
        self._names = dict(names)

    def name(self, code: str) -> str:
        """Return a code with the Chinese name beside it: ``wuhan 武汉``."""
        known = self._names.get(code, "") if code else ""
        return f"{code} {known}" if known else code

    def node(self, node: str) -> str:
        """Return the owner of a limit (``cities/wuhan``) in words."""
        kind, slash, code = node.partition("/")
        if not slash:
            return self.t(f"node.{node}") if node == "corridor" else node
        known = {"cities", "enterprises", "centers", "jobs", "programmes", "funds"}
        return self.t(f"node.{kind}", code=self.name(code)) if kind in known else node


def paged(
    call: Callable[[Any], Any], request: Any, field: str, limit: int | None = None
) -> list[Any]:
    """Return the rows of a paged call, ``field`` of its answers, all or at most ``limit``.

    ``request`` is changed: its page_size and page_token.
    """
    rows: list[Any] = []
    while True:
        request.page_size = 1000 if limit is None else min(limit - len(rows), 1000)
        answer = call(request)
        rows += getattr(answer, field)
        if not answer.next_page_token or (limit is not None and len(rows) >= limit):
            return rows
        request.page_token = answer.next_page_token
