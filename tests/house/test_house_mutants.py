"""The seeded faults can be seeded: each one's text stands exactly once, and its test is there."""

import pytest

from tests.mutants.catalog import ROOT, Mutant, load


@pytest.mark.parametrize("mutant", load(), ids=lambda mutant: mutant.name)
def test_a_fault_can_be_seeded(mutant: Mutant) -> None:
    mutant.mutated((ROOT / mutant.path).read_text("utf-8"))
    file, _, function = mutant.test.partition("::")
    source = (ROOT / file).read_text("utf-8")
    assert not function or f"def {function.split('[')[0].split('::')[-1]}(" in source
