"""Kinds of centers by entry point: found, imported when needed, and named when they are broken."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import registry
from adapters.registry import BadKind, Offer
from adapters.simulated import SimulatedCenter

FLAVOR = {"flavor": "a/card", "units": 8, "units_per_node": 8, "architecture": "aarch64"}
OPENER = """
from adapters.simulated import open_center as simulated
def open_center(center, settings, now_ms, real_s):
    return simulated(center, settings, now_ms, real_s)
nothing = 3
def old(center, settings, now_ms, real_s):
    return object()
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package of one module with an entry point, as pip leaves it behind."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(package: str, kind: str, opener: str, code: str = OPENER) -> None:
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code, "utf-8")
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n", "utf-8"
        )
        info.joinpath("entry_points.txt").write_text(
            f"[corridor.adapters]\n{kind} = {opener}\n", "utf-8"
        )
        monkeypatch.delitem(sys.modules, module, raising=False)

    return put


def opened(kind: str) -> object:
    return registry.open_adapter(kind, "a", {"flavors": [FLAVOR]}, lambda: 1, float)


def told(kind: str) -> str:
    with pytest.raises(BadKind) as caught:
        opened(kind)
    return str(caught.value)


def test_our_own_kinds_are_found_like_any_other() -> None:
    own = {offer.kind: offer for offer in registry.offers()}
    assert own["simulated"].opener == "adapters.simulated:open_center"
    assert own["simulated"].package.startswith("corridor ")
    assert {"simulated", "slurm", "modelarts"} <= set(registry.kinds())


def test_a_kind_of_another_package_is_opened(install: Install) -> None:
    install("corridor-cloud", "cloud", "corridor_cloud:open_center")
    assert Offer("cloud", "corridor-cloud 1.2", "corridor_cloud:open_center") in registry.offers()
    assert isinstance(opened("cloud"), SimulatedCenter)


def test_a_kind_is_imported_when_it_is_opened_and_not_before(install: Install) -> None:
    install("corridor-cloud", "cloud", "corridor_cloud:open_center")
    assert "cloud" in registry.kinds()
    opened("simulated")
    assert "corridor_cloud" not in sys.modules
    opened("cloud")
    assert "corridor_cloud" in sys.modules


def test_an_unknown_kind_names_those_there_are() -> None:
    assert "unknown kind 'cloud'; known are " in told("cloud")
    assert "simulated" in told("cloud")


@pytest.mark.parametrize(
    ("opener", "code", "why"),
    [
        ("corridor_nowhere:open_center", "", "No module named 'corridor_nowhere'"),
        ("corridor_cloud:open_center", "raise OSError('no library')", "OSError: no library"),
        ("corridor_cloud:closed", OPENER, "has no attribute 'closed'"),
        ("corridor_cloud:nothing", OPENER, "must be a function that opens a center, not int"),
    ],
)
def test_a_broken_kind_names_its_package(
    install: Install, opener: str, code: str, why: str
) -> None:
    install("corridor-cloud", "cloud", opener, code)
    said = told("cloud")
    assert "corridor-cloud 1.2" in said
    assert why in said
    assert isinstance(opened("simulated"), SimulatedCenter)


def test_an_adapter_of_another_contract_is_told_what_it_lacks(install: Install) -> None:
    install("corridor-cloud", "cloud", "corridor_cloud:old")
    assert "lacks" in told("cloud")
    assert "submit" in told("cloud")


def test_an_adapter_must_have_a_settle_window() -> None:
    """An intent to send is good for a part of it: without one a run would never be sent."""
    with pytest.raises(BadKind, match="settle_s of its adapter must be above 0"):
        registry.open_adapter(
            "simulated", "a", {"flavors": [FLAVOR], "settle_s": 0}, lambda: 1, float
        )


def test_two_packages_of_one_kind_are_both_named(install: Install) -> None:
    install("corridor-cloud", "cloud", "corridor_cloud:open_center")
    install("corridor-sky", "cloud", "corridor_sky:open_center")
    assert "by corridor-cloud 1.2 and corridor-sky 1.2: uninstall one" in told("cloud")


def test_what_a_kind_needs_is_imported_with_it() -> None:
    """Who has simulated centers alone needs no client of HTTP."""
    code = (
        "import sys; from adapters import registry; registry.kinds();"
        f" registry.open_adapter('simulated', 'a', {{'flavors': [{FLAVOR}]}}, lambda: 1, float);"
        " print(sorted({'httpx', 'adapters.slurm', 'adapters.modelarts'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
