"""How deep a center's own queue may be: what its settings may say of it."""

import pytest

from scheduler.domain.queue_depth import DEFAULT_MAX, queue_max


@pytest.mark.parametrize(
    ("setting", "expected"),
    [(7, 7), ("none", None), ({"f": 3, "g": 9}, 3), ({"f": "none"}, None)],
)
def test_a_number_holds_for_all_flavors_and_a_mapping_for_its_own(
    setting: object, expected: int | None
) -> None:
    assert queue_max(setting, "f", simulated=False) == expected


def test_without_a_word_real_centers_have_a_limit_and_simulated_ones_none() -> None:
    for setting in (None, {"g": 9}):
        assert queue_max(setting, "f", simulated=False) == DEFAULT_MAX
        assert queue_max(setting, "f", simulated=True) is None


@pytest.mark.parametrize("setting", [0, -1, True, 1.5, "many", [3], {"g": 0}, {3: 3}])
def test_what_is_no_depth_is_named(setting: object) -> None:
    with pytest.raises(ValueError, match="'queue"):
        queue_max(setting, "f", simulated=False)
