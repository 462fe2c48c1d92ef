"""Settings of the service: defaults, a TOML file, ``CORRIDOR_*`` variables, flags; later ones win.

Every setting is ``section.key``; its variable is ``CORRIDOR_SECTION_KEY``. ``corridor config``
prints the effective values and where each came from.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path

from scheduler import environment as names
from scheduler.errors import CorridorError
from scheduler.settings import CHOICES, RANGES, Settings

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class BadConfig(CorridorError):
    """A setting is unknown or has a wrong value; the message names it and its origin."""

    reason = "BAD_CONFIG"


def load_settings(
    path: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> Settings:
    """Put the sources together; ``flags`` maps ``section.key`` to a value (None is not given).

    Raises ``BadConfig`` for an unknown name, a variable ``CORRIDOR_...`` that means nothing, or a
    value that does not fit.
    """
    known = {name: type(value) for name, value, _ in Settings().rows()}
    given: dict[str, tuple[object, str]] = {}
    if path is not None:
        given.update(_from_file(path, known))
    given.update(_from_environment(environment, known))
    for name, value in flags.items():
        if value is None:
            continue
        if name not in known:
            raise BadConfig(f"unknown setting {name!r} (flag); `corridor config` lists all")
        given[name] = (value, "flag")
    return _build(given, known)


def _from_file(path: Path, known: Mapping[str, type]) -> dict[str, tuple[object, str]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path} is not TOML: {error}") from error
    given: dict[str, tuple[object, str]] = {}
    for section, part in document.items():
        if not isinstance(part, dict):
            raise BadConfig(f"{path}: {section!r} must be a section, as in [server]")
        for key, value in part.items():
            name = f"{section}.{key}"
            if name not in known:
                raise BadConfig(f"{path}: unknown setting {name!r}; `corridor config` lists all")
            given[name] = (value, str(path))
    return given


def _from_environment(
    environment: Mapping[str, str], known: Mapping[str, type]
) -> dict[str, tuple[object, str]]:
    for variable, near in names.unknown(environment, known):
        hint = f"did you mean {near}?" if near else "`corridor config` lists all settings"
        raise BadConfig(f"the environment has {variable}, which means nothing here; {hint}")
    given: dict[str, tuple[object, str]] = {}
    for name in known:
        variable = names.variable_of(name)
        if variable in environment:
            given[name] = (environment[variable], f"environment {variable}")
    url = environment.get(names.DATABASE_URL)
    if url is not None:
        name = "store.url"
        if name in given and given[name][0] != url:
            raise BadConfig(
                f"{names.variable_of(name)} and {names.DATABASE_URL} name two databases; give one"
                " of them"
            )
        given[name] = (url, f"environment {names.DATABASE_URL}")
    return given


def _build(given: Mapping[str, tuple[object, str]], known: Mapping[str, type]) -> Settings:
    parts: dict[str, dict[str, object]] = {}
    origin: dict[str, str] = {}
    for name, (raw, source) in given.items():
        section, _, key = name.partition(".")
        parts.setdefault(section, {})[key] = _convert(name, raw, known[name], source)
        origin[name] = source
    default = Settings()
    made = {
        section: dataclasses.replace(getattr(default, section), **values)
        for section, values in parts.items()
    }
    settings = dataclasses.replace(default, **made, origin=origin)
    _check(settings)
    return settings


def _convert(name: str, raw: object, kind: type, source: str) -> object:
    try:
        if kind is bool:
            if isinstance(raw, bool):
                return raw
            return {"true": True, "1": True, "false": False, "0": False}[str(raw).lower()]
        if kind in (int, float) and not isinstance(raw, bool):
            return kind(str(raw))
    except (KeyError, ValueError):
        raise BadConfig(f"{name} must be {_KINDS[kind]}, not {raw!r} ({source})") from None
    if kind is str and isinstance(raw, str):
        choices = CHOICES.get(name)
        if choices is None or raw in choices:
            return raw
        raise BadConfig(f"{name} must be one of {', '.join(choices)}, not {raw!r} ({source})")
    raise BadConfig(f"{name} must be {_KINDS[kind]}, not {raw!r} ({source})")


def _check(settings: Settings) -> None:
    values = {name: value for name, value, _ in settings.rows()}
    for name, (least, most) in RANGES.items():
        value = values[name]
        if not least <= value <= most:  # also false for NaN
            source = settings.origin.get(name, "default")
            raise BadConfig(f"{name} must be {least:g} to {most:g}, not {value:g} ({source})")
    if settings.leader.renew_s * 2 > settings.leader.lease_s:
        raise BadConfig("leader.renew_s must be at most half of leader.lease_s")
    if bool(settings.server.tls_cert) != bool(settings.server.tls_key):
        raise BadConfig("give both server.tls_cert and server.tls_key, or neither")
    if bool(settings.server.agents_listen) != bool(settings.server.agents_ca):
        raise BadConfig("give both server.agents_listen and server.agents_ca, or neither")
    if settings.server.agents_listen and not settings.server.tls_cert:
        raise BadConfig("server.agents_listen speaks TLS: give server.tls_cert and server.tls_key")
    if bool(settings.oidc.issuer) != bool(settings.oidc.audience):
        raise BadConfig("give both oidc.issuer and oidc.audience, or neither")
    if settings.tracing.endpoint and not settings.tracing.service_name:
        raise BadConfig("tracing.service_name must name this service where tracing.endpoint is set")
    if settings.oidc.issuer and not settings.oidc.roles:
        raise BadConfig("oidc.roles must say which values of oidc.role_claim give which role")
