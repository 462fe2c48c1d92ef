"""What becomes of jobs whatever is lost, cut, refused or killed on the way: always one of each."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.centers import matrix, page
from tests.centers.bench_simulated import SimulatedBench
from tests.centers.matrix import PROGRAM, Outcome, Story
from tests.e2e.conftest import Zygote

pytestmark = pytest.mark.centers
#: With this variable the tables of the page are written, else they are compared.
WRITE = "CORRIDOR_WRITE_OUTCOMES"


@pytest.fixture(scope="module")
def mortal_zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """One zygote for all stories."""
    errors = tmp_path_factory.mktemp("mortal") / "errors.log"
    with contextlib.closing(Zygote(errors, PROGRAM)) as one:
        yield one


def check(kind: str, found: Sequence[Outcome]) -> None:
    """Hold what was found against the rule, and against the page."""
    assert [one for one in found if not one.even] == []
    if WRITE in os.environ:
        page.write(kind, found)
    for language in page.PAGES:
        assert page.committed(kind, language) == page.table(found, language)


def test_simulated(mortal_zygote: Zygote, tmp_path: Path) -> None:
    bench = SimulatedBench(tmp_path)
    with contextlib.closing(Story(bench, mortal_zygote, tmp_path)) as story:
        story.prepare()
        story.tell(bench.rows)
        story.stop()
    check("simulated", matrix.outcomes(story, bench.rows, bench.struck))
