"""The protos: checked-in code is current, lint holds, released clients are not broken."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", [["generate.py", "--check"], ["check.py"]])
def test_protos_hold(command: list[str]) -> None:
    script, *arguments = command
    ended = subprocess.run(
        [sys.executable, str(ROOT / "proto" / "tools" / script), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_proto_is_no_package() -> None:
    # The import name `proto` belongs to proto-plus, which Ray may pull in; ours is corridor.v1.
    assert not (ROOT / "proto" / "__init__.py").exists()
