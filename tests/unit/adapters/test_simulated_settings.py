"""Settings of a simulated center are checked by name."""

from pathlib import Path

import pytest

from adapters.contract import FailureClass
from adapters.registry import kinds, open_adapter
from adapters.simulated import SimulatedCenter, SimulatedSettings

FLAVOR = {
    "flavor": "wuhan-sc/kunpeng-920",
    "units": 1280,
    "units_per_node": 128,
    "architecture": "aarch64",
}


def test_all_settings_are_read() -> None:
    settings = SimulatedSettings.parse(
        "wuhan-sc",
        {
            "flavors": [FLAVOR],
            "seed": 3,
            "journal": "sim/wuhan-sc.jsonl",
            "start_delay_s": 2,
            "failure_rates": {"NODE": 0.01},
            "outages": [[10, 20.5]],
        },
    )
    assert settings.flavors[0].units == 1280
    assert settings.journal == Path("sim/wuhan-sc.jsonl")
    assert settings.failure_rates == {FailureClass.NODE: 0.01}
    assert settings.outages == ((10.0, 20.5),)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"sed": 1}, "'sed'"),
        ({"seed": "1"}, "'seed'"),
        ({"seed": True}, "'seed'"),
        ({"journal": 1}, "'journal'"),
        ({"flavors": []}, "'flavors'"),
        ({"flavors": "x"}, "'flavors'"),
        ({"flavors": [FLAVOR, FLAVOR]}, "'flavors'"),
        ({"flavors": [{**FLAVOR, "unit": 1}]}, r"'flavors\[0\]\.unit'"),
        ({"flavors": [{**FLAVOR, "units_per_node": 0}]}, r"'flavors\[0\]\.units_per_node'"),
        ({"flavors": [{**FLAVOR, "architecture": "vax"}]}, r"'flavors\[0\]\.architecture'"),
        ({"lost_answer_rate": 1.1}, "'lost_answer_rate'"),
        ({"start_delay_s": -1}, "'start_delay_s'"),
        ({"start_delay_s": float("nan")}, "'start_delay_s'"),
        ({"failure_rates": {"NODES": 0.1}}, r"'failure_rates\.NODES'"),
        ({"failure_rates": {"NODE": 0.6, "CENTER": 0.6}}, "failure_rates"),
        ({"outages": [[1]]}, r"'outages\[0\]'"),
        ({"outages": [[5, 1]]}, "'outages'"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SimulatedSettings.parse("wuhan-sc", {"flavors": [FLAVOR], **wrong})


def test_flavors_are_needed() -> None:
    with pytest.raises(ValueError, match="'flavors' is missing"):
        SimulatedSettings.parse("wuhan-sc", {})


def test_the_registry_opens_by_kind() -> None:
    adapter = open_adapter(
        "simulated", "wuhan-sc", {"flavors": [FLAVOR]}, lambda: 0, lambda ms: ms / 1000
    )
    assert isinstance(adapter, SimulatedCenter)


def test_the_registry_lists_what_it_knows() -> None:
    assert "simulated" in kinds()
    with pytest.raises(ValueError, match=r"'slrum'; known are agent, .*, simulated, slurm"):
        open_adapter("slrum", "wuhan-sc", {}, lambda: 0, lambda ms: ms / 1000)
