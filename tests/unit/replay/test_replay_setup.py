"""Machines of a replay: default quotas, quotas from a file, jobs that can never start."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.placement.model import CityQuotaSet
from scheduler.replay.quotas import read_quotas
from scheduler.replay.setup import CITY_WEIGHTS, apportion, corridor
from scheduler.replay.trace import ReplayError, TraceJob


def job(job_id: int, units: int, city: str = "wuhan", kind: str = "cpu") -> TraceJob:
    return TraceJob(job_id, 0, 1_000, 1_000, units, 1, city, "E1", "U1", kind)


def test_nominal_quotas_follow_the_population() -> None:
    setup = corridor({"cpu": 3328})
    nominal = {city: quota.nominal_units for (city, _), quota in setup.quotas.items()}
    assert nominal == {
        "wuhan": 1680, "huanggang": 802, "xianning": 362, "huangshi": 337, "ezhou": 147,
    }  # fmt: skip
    assert all(
        quota.borrow_limit_units is None and quota.lend_limit_units is None
        for quota in setup.quotas.values()
    )


@given(
    st.integers(0, 10**6),
    st.dictionaries(st.text("abc", min_size=1), st.integers(1, 10**6), min_size=1),
)
def test_apportioned_units_add_up_and_are_within_one_of_their_share(
    total: int, weights: dict[str, int]
) -> None:
    shares = apportion(total, weights)
    whole = sum(weights.values())
    assert sum(shares.values()) == total
    assert all(
        abs(shares[name] * whole - total * weight) < whole for name, weight in weights.items()
    )


def test_jobs_that_can_never_start_are_dropped_and_counted() -> None:
    quotas = {
        ("wuhan", "cpu"): CityQuotaSet("wuhan", "cpu", 50, 10),
        ("ezhou", "cpu"): CityQuotaSet("ezhou", "cpu", 30, None, 10),
    }
    setup = corridor({"cpu": 100}, quotas=quotas)
    kept, dropped = setup.placeable(
        [job(1, 60), job(2, 61), job(3, 80, "huangshi"), job(4, 81, "huangshi"),
         job(5, 100, "ezhou"), job(6, 1, kind="tpu")]
    )  # fmt: skip
    assert [one.job_id for one in kept] == [1, 3, 5]
    assert dropped == {"too large": 2, "no capacity for tpu": 1}


def test_a_city_without_weight_is_refused() -> None:
    with pytest.raises(ReplayError, match="city 'macheng' has no weight"):
        corridor({"cpu": 100}).placeable([job(1, 1, "macheng")])


def test_guarantees_above_the_capacity_are_refused() -> None:
    quotas = {("wuhan", "cpu"): CityQuotaSet("wuhan", "cpu", 200, None, 50)}
    with pytest.raises(ReplayError, match=r"keep 150 units for themselves .* there are 100"):
        corridor({"cpu": 100}, quotas=quotas)
    with pytest.raises(ReplayError, match="no capacity of that kind"):
        corridor({"npu": 100}, quotas=quotas)


def quota_file(folder: Path, text: str) -> Path:
    path = folder / "quotas.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_quotas_are_read_from_yaml_and_json(tmp_path: Path) -> None:
    expected = {
        ("wuhan", "cpu"): CityQuotaSet("wuhan", "cpu", 10, 5, None),
        ("macheng", "npu"): CityQuotaSet("macheng", "npu", 0, None, 0),
    }
    yaml_text = (
        "wuhan:\n  cpu: {nominal: 10, borrow_limit: 5, lend_limit: null}\n"
        "macheng:\n  weight: 84.9\n  npu:\n    nominal: 0\n    lend_limit: 0\n"
    )
    json_text = (
        '{"wuhan": {"cpu": {"nominal": 10, "borrow_limit": 5}},'
        ' "macheng": {"weight": 84.9, "npu": {"nominal": 0, "lend_limit": 0}}}'
    )
    for text in (yaml_text, json_text):
        quotas = read_quotas(quota_file(tmp_path, text))
        assert quotas.limits == expected
        assert quotas.weights == {"macheng": 8490}
    setup = corridor({"cpu": 100, "npu": 10}, {**CITY_WEIGHTS, "macheng": 8490}, expected)
    assert setup.quotas["wuhan", "cpu"].nominal_units == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": the file: expected names with a value each"),
        ("- 1", ": the file: expected names with a value each"),
        ("wuhan: 3", ": wuhan: expected names with a value each"),
        ("wuhan: {cpu: 3}", ": wuhan.cpu: expected names with a value each"),
        ("wuhan: {cpu: {nominal: 3, max: 4}}", ": wuhan.cpu.max: unknown, use nominal, borrow"),
        ("wuhan: {cpu: {borrow_limit: 3}}", ": wuhan.cpu: nominal is missing"),
        ("wuhan: {cpu: {nominal: -3}}", ": wuhan.cpu.nominal: -3 is no whole number from 0"),
        ("wuhan: {cpu: {nominal: 1.5}}", ": wuhan.cpu.nominal: 1.5 is no whole number"),
        ("wuhan: {cpu: {nominal: true}}", ": wuhan.cpu.nominal: True is no whole number"),
        ("wuhan: {cpu: {nominal: null}}", ": wuhan.cpu.nominal: None is no whole number"),
        ("wuhan: {weight: 0, cpu: {nominal: 1}}", ": wuhan.weight: 0 is no number from 0.01"),
        ("1: {cpu: {nominal: 1}}", ": the file: 1 is no name"),
        ("wuhan:\n  cpu: {nominal: 1}\n  cpu: {nominal: 2}", ":3: 'cpu' is there twice"),
        ("wuhan:\n  cpu: {nominal: 1", ":2: expected ',' or '}'"),
    ],
)
def test_quota_errors_name_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = quota_file(tmp_path, text)
    with pytest.raises(ReplayError) as caught:
        read_quotas(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)
