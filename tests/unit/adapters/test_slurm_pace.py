"""How often a Slurm is asked depends on how much goes on there."""

from pathlib import Path

import pytest

from adapters.slurm.center import SlurmCenter
from tests.unit.adapters.slurm_fake import FakeSlurm, make_center, make_request, make_settings


@pytest.fixture
def fake() -> FakeSlurm:
    return FakeSlurm()


@pytest.fixture
def center(fake: FakeSlurm, tmp_path: Path) -> SlurmCenter:
    return make_center(fake, make_settings(tmp_path, polls_per_s=5))


async def look(center: SlurmCenter) -> None:
    page = await center.list_active()
    while page.next_token:
        page = await center.list_active(page.next_token)


@pytest.mark.parametrize(("count", "times"), [(100, 5), (600, 1)], ids=["few", "many"])
async def test_few_runs_are_looked_at_more_often(
    fake: FakeSlurm, center: SlurmCenter, count: int, times: int
) -> None:
    for number in range(count):
        await center.submit(make_request(number))
    await look(center)
    before = fake.calls["slurm/v0.0.38"]
    for _ in range(2):
        await fake.pause(2.0)
        await look(center)
    polls = fake.calls["slurm/v0.0.38"] - before
    assert polls == pytest.approx(2 * 2.0 * 5 * times, abs=1)


@pytest.mark.parametrize(("ends", "sooner"), [(40, True), (5, False)], ids=["many", "few"])
async def test_accounting_is_asked_again_sooner_where_it_told_of_much(
    fake: FakeSlurm, tmp_path: Path, ends: int, sooner: bool
) -> None:
    center = make_center(fake, make_settings(tmp_path, polls_per_s=1, look_s=10))
    for number in range(600):
        await center.submit(make_request(number))
    await fake.pause(60.0)
    await look(center)
    await fake.pause(10.0)
    await look(center)
    for job in fake.jobs[-ends:]:
        fake.run(job)
        fake.end(job)
    await fake.pause(10.0)
    await look(center)
    asked = fake.calls["slurmdb/v0.0.38/jobs"]
    await fake.pause(2.5)
    await look(center)
    assert (fake.calls["slurmdb/v0.0.38/jobs"] > asked) is sooner
