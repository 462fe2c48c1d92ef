"""Profiles: which service a person talks to, as whom, and in which language.

They are kept in ``~/.config/corridor/config.toml`` (``XDG_CONFIG_HOME`` moves it), readable by
its owner only since it holds tokens. Precedence: flag, environment, profile, default.
"""

import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from scheduler.cli.texts import LANGUAGES

SERVER_DEFAULT: Final = "127.0.0.1:7443"
#: Setting -> variable of the environment.
VARIABLES: Final[Mapping[str, str]] = {
    "server": "CORRIDOR_SERVER",
    "token": "CORRIDOR_TOKEN",
    "token_file": "CORRIDOR_TOKEN_FILE",
    "token_command": "CORRIDOR_TOKEN_COMMAND",
    "city": "CORRIDOR_CITY",
    "enterprise": "CORRIDOR_ENTERPRISE",
    "lang": "CORRIDOR_LANG",
    "tls_ca": "CORRIDOR_TLS_CA",
    "tls_name": "CORRIDOR_TLS_NAME",
    "insecure": "CORRIDOR_INSECURE",
}
PROFILE_VARIABLE: Final = "CORRIDOR_PROFILE"


class BadProfile(Exception):
    """The profiles cannot be used; ``key`` and ``values`` say why."""

    def __init__(self, key: str, **values: Any) -> None:
        self.key, self.values = key, values
        super().__init__(f"{key} {values}")


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile; empty settings are not set. At most one says how the token is got."""

    server: str = ""
    token: str = ""
    token_file: str = ""
    token_command: str = ""
    city: str = ""
    enterprise: str = ""
    lang: str = ""
    tls_ca: str = ""
    tls_name: str = ""
    insecure: bool = False


#: Where a token may come from; the first that is set counts.
TOKENS: Final = ("token", "token_file", "token_command")
SETTINGS: Final = tuple(one.name for one in fields(Profile))


@dataclass(frozen=True, slots=True)
class Profiles:
    """All profiles of a file, and which one is used if none is named."""

    default: str = ""
    named: Mapping[str, Profile] = field(default_factory=dict)

    def get(self, name: str) -> Profile:
        """Return a profile, the default one for ""; raises ``BadProfile`` if it is not there."""
        wanted = name or self.default
        if not wanted:
            return Profile()
        if wanted not in self.named:
            known = ", ".join(self.named) or "-"
            raise BadProfile("profile.unknown", name=wanted, known=known)
        return self.named[wanted]


def config_path(environment: Mapping[str, str]) -> Path:
    """Return where the profiles are."""
    base = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "corridor" / "config.toml"


def read_profiles(path: Path) -> Profiles:
    """Return the profiles of a file, none if there is no file; raises ``BadProfile``."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise BadProfile("profile.unreadable", path=path, why=error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadProfile("profile.not_toml", path=path, why=error) from error
    named = document.get("profiles", {})
    default = document.get("default", "")
    if not isinstance(named, dict) or not isinstance(default, str):
        raise BadProfile("profile.shape", path=path)
    return Profiles(default, {name: _profile(path, name, part) for name, part in named.items()})


def _profile(path: Path, name: str, part: Any) -> Profile:
    if not isinstance(part, dict):
        raise BadProfile("profile.shape", path=path)
    for key, value in part.items():
        if key not in SETTINGS:
            known = ", ".join(SETTINGS)
            raise BadProfile("profile.setting", path=path, name=name, setting=key, known=known)
        if not isinstance(value, bool if key == "insecure" else str):
            raise BadProfile("profile.value", path=path, name=name, setting=key)
    return Profile(**part)


def write_profiles(path: Path, profiles: Profiles) -> None:
    """Write all profiles at once, readable by their owner only."""
    lines = [f"default = {_quoted(profiles.default)}"] if profiles.default else []
    for name, profile in sorted(profiles.named.items()):
        lines += ["", f"[profiles.{_quoted(name)}]"]
        for setting in SETTINGS:
            value = getattr(profile, setting)
            if value:
                lines.append(f"{setting} = {'true' if value is True else _quoted(value)}")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp makes the file 0600 before a byte is in it; replace keeps readers whole.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".config-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("\n".join(lines).lstrip("\n") + "\n")
    os.replace(temporary, path)


def _quoted(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def is_token(text: str) -> bool:
    """Whether a text can be sent as a token; an empty one is none."""
    return all("!" <= char <= "~" for char in text)


def is_open_to_others(path: Path) -> bool:
    """Whether someone else on the machine may read the file."""
    try:
        return os.name == "posix" and bool(path.stat().st_mode & 0o077)
    except OSError:
        return False


def language(flag: str | None, environment: Mapping[str, str], profile: Profile) -> str:
    """Return "zh" or "en": by flag, variable, profile, or the machine's locale."""
    for wanted in (flag, environment.get("CORRIDOR_LANG"), profile.lang):
        if wanted in LANGUAGES:
            return wanted
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if locale := environment.get(variable):
            return "zh" if locale.lower().startswith("zh") else "en"
    return "en"
