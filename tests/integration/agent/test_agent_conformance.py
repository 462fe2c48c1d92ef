"""A center behind its agent keeps the adapter contract, over a real gRPC stream."""

from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import CHECKS, Check
from adapters.simulated import accepted_names


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
async def test_a_center_behind_its_agent_keeps_the_contract(
    check: Check, subject: Any, tmp_path: Path
) -> None:
    await check(subject)
    taken = accepted_names(tmp_path / "center.jsonl")
    assert all(times == 1 for times in taken.values())
