"""Every kind of fault once, on a whole site under load: all invariants hold after each.

``python -m tests.chaos`` does it for longer, with every single fault, and prints figures.
"""

import time

import pytest

from tests import namespaces
from tests.chaos.faults import KINDS, quick
from tests.chaos.run import Chaos
from tests.chaos.shim import NoShim
from tests.chaos.site import sites
from tests.postgres import NoServer
from tests.testbed.slurm_testbed import NoSlurm

pytestmark = pytest.mark.centers

_SEED = 5


def test_all_invariants_hold_after_each_kind_of_fault() -> None:
    if not namespaces.can_have():
        pytest.skip("network namespaces need root and ip")
    began_s = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began_s:7.1f} s  {line}")

    try:
        with sites() as site:
            site.begin()
            report = Chaos(site, _SEED, tell).run(quick(_SEED))
    except (NoServer, NoShim, NoSlurm) as missing:
        pytest.skip(str(missing))
    assert report.wrong == []
    assert report.survived.keys() == set(KINDS)
    assert report.figures["jobs driven"] == report.figures["jobs acknowledged"] > 0
