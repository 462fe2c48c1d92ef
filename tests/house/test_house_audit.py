"""The audit of what is installed: licenses, what a service of vulnerabilities tells, the locks."""

import importlib.util
import itertools
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCKS = {
    "requirements.lock": ("server", "otel", "build"),
    "requirements-dev.lock": ("server", "otel", "build", "dev"),
    "requirements-all.lock": ("server", "otel", "build", "dev", "centers", "audit"),
}


def audit() -> ModuleType:
    """The script, which is in no package."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / "deploy/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Installed:
    """A package that says this of itself."""

    def __init__(self, name: str, **said: str | Sequence[str]) -> None:
        self.metadata = Message()
        self.metadata["Name"] = name
        for key, value in said.items():
            for one in [value] if isinstance(value, str) else value:
                self.metadata[key.replace("_", "-")] = one


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ({"License_Expression": "MIT"}, True),
        ({"License_Expression": "GPL-3.0-only OR Apache-2.0"}, True),
        ({"License_Expression": "MIT AND GPL-3.0-only"}, False),
        ({"License_Expression": "LGPL-3.0-only"}, False),
        ({"License_Expression": "SSPL-1.0", "License": "MIT"}, False),
        ({"License": "Apache 2.0"}, True),
        ({"License": "Proprietary"}, False),
        ({"Classifier": ["License :: OSI Approved :: MIT License"]}, True),
        (
            {"Classifier": ["License :: OSI Approved :: GNU Affero General Public License v3"]},
            False,
        ),
        ({"License": "All of it:\n" + "may be read " * 9}, False),
        ({}, False),
    ],
)
def test_licenses_off_the_list_are_named(said: Mapping[str, Any], allowed: bool) -> None:
    assert (audit().wrong_licenses([Installed("some", **said)]) == {}) is allowed


def test_an_exception_is_for_its_package_alone() -> None:
    lesser = {"License_Expression": "LGPL-3.0-only"}
    packages = [Installed("psycopg_binary", **lesser), Installed("other", **lesser)]
    assert audit().wrong_licenses(packages) == {"other": "LGPL-3.0-only"}


def test_what_is_installed_has_licenses_of_the_list() -> None:
    assert audit().main(["--licenses"]) == 0


def said_by_service(*packages: Mapping[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


SOUND = {"name": "sound", "version": "1.0", "vulns": []}
ILL = {"name": "ill", "version": "2.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("output", "code", "line"),
    [
        (said_by_service(SOUND), 0, "vulnerabilities: 0 in 1 packages"),
        (said_by_service(SOUND, UNKNOWN), 0, "0 in 1 packages, 1 not known to the service"),
        (said_by_service(SOUND, ILL), 1, "vulnerable: ill 2.0: CVE-1, mended in 2.1"),
        # pip-audit says "no known vulnerabilities found" of packages that nobody knew.
        (said_by_service(UNKNOWN), 0, "NOT CHECKED"),
        ("", 0, "NOT CHECKED"),
        ("Connection refused", 0, "NOT CHECKED"),
    ],
)
def test_no_answer_is_not_taken_for_a_good_one(
    output: str, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script = audit()
    assert script.report(script.told_by(output)) == code
    assert line in capsys.readouterr().out


# --- locks ----------------------------------------------------------------------------------------


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Version and hashes by package of a lock."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        package = re.match(r"([a-z0-9.-]+)==(\S+)", line)
        assert package is not None, line
        found[package[1]] = package[2], re.findall(r"--hash=sha256:[0-9a-f]{64}\b", line)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_locks_have_a_hash_for_every_package(name: str) -> None:
    assert [package for package, (_, hashes) in locked(name).items() if not hashes] == []


@pytest.mark.parametrize("name", LOCKS)
def test_locks_have_what_the_project_asks_for(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for extra in LOCKS[name] for one in extras[extra])]
    versions = {package: version for package, (version, _) in locked(name).items()}
    for text in wanted:
        asked = Requirement(text)
        if asked.name == "corridor":
            wanted += [one for extra in asked.extras for one in extras[extra]]
            continue
        assert asked.specifier.contains(versions[asked.name.lower()]), text


def test_each_lock_adds_to_the_one_before() -> None:
    names = list(LOCKS)
    for less, more in itertools.pairwise(names):
        assert locked(less).items() <= locked(more).items()


def test_nothing_is_installed_by_name_alone() -> None:
    """All of pip's installs have hashes, or no dependencies; only what writes locks has neither."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = re.findall(r"^(\w*)[^\n]*(?:pip install|\$\(INSTALL\))(.*)$", text, re.MULTILINE)
    others = [
        (name, rest)
        for name, rest in installs
        if "--require-hashes" not in rest and "--no-deps --no-build-isolation" not in rest
    ]
    assert [rest.split()[-1] for name, rest in others if name != "INSTALL"] == ["$(UV)"]
