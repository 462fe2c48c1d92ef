"""What to try on a service that stays up: a token and three commands that work as pasted."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console

from scheduler.demo.process import ServiceProcess
from scheduler.demo.setup import Site
from scheduler.demo.texts import Texts
from scheduler.demo.workload import Workload

_JOB: Final = """\
# A sample job: 8 NPU cards for at most 2 hours. The center is simulated, nothing is computed.
name: my-first-job
flavor: wuhan-ai/ascend-910b
units_per_node: 8
wall_limit: 2h
image: registry.example/sample/train-aarch64:1
command: [python, train.py]
"""
_REAL_JOB: Final = """\
# A sample job: 2 cores of the real Slurm for at most 5 minutes.
name: my-first-job
flavor: wuhan-sc/kunpeng-920
units_per_node: 2
wall_limit: 5m
script: |
  #!/bin/sh
  echo "hello from $(hostname), job $SLURM_JOB_ID"
"""


def print_commands(
    console: Console,
    texts: Texts,
    site: Site,
    service: ServiceProcess,
    workload: Workload,
    tokens: Mapping[str, str],
    *,
    real: bool = False,
) -> None:
    """Print how to reach the service as an enterprise, and three commands."""
    job = site.directory / "job.yaml"
    job.write_text(_REAL_JOB if real else _JOB, encoding="utf-8")
    chosen = max(workload.enterprises, key=lambda one: one.credit_limit_fen)
    corridor = _command()
    key = "serving_real" if real else "serving"
    console.print(f"\n[bold]{texts(key, speed=service.clock.speed)}\n")
    for text in (
        texts("token_of", enterprise=chosen.code, city=chosen.city),
        f"export CORRIDOR_SERVER={service.address} CORRIDOR_TOKEN={tokens[chosen.code]}",
        f"{corridor} quote {job}",
        f"{corridor} submit {job}",
        f"{corridor} jobs",
    ):
        console.print(text, soft_wrap=True, markup=False)


def _command() -> str:
    """How to call this installation's command from here."""
    path = Path(sys.executable).parent / "corridor"
    if not path.exists():
        return "corridor"
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
