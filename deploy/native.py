"""Compiles the planner: ``python deploy/native.py FOLDER`` makes a copy of the packages there.

Beside each hot module of the copy stands a compiled one, which Python imports in its place. So who
runs with ``PYTHONPATH=FOLDER``, or in that folder, plans with compiled code; the tree itself stays
as it is. The modules are the same, and so is every plan. The copy does not follow later changes of
the source: it is made anew each time.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from mypyc.build import mypycify
from setuptools import setup

ROOT: Final = Path(__file__).parents[1]
_PACKAGES: Final = ("adapters", "benchmarks", "quota", "scheduler")
#: What decides, and what it decides by; the shards' queues are not hot.
_HOT: Final = (
    "quota/instant",
    *(
        f"scheduler/placement/{name}"
        for name in (
            "model", "columns", "waiting", "pools", "usage", "keys", "lines", "order",
            "tournament", "run_times", "choosing", "census", "reasoning", "parking", "refusals",
            "rules", "runs", "intake", "reserving", "victims", "reclaim", "starting", "rescuing",
            "root",
        )
    ),
)  # fmt: skip


def main(folder: Path) -> None:
    """Copy the packages and compile the hot modules of the copy."""
    if folder.exists():
        if not (folder / "scheduler").is_dir():
            raise SystemExit(f"{folder} is there and is no copy of the packages: name another one")
        shutil.rmtree(folder)
    for package in _PACKAGES:
        hidden = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=hidden)
    os.chdir(folder)  # names of modules are those of paths
    with tempfile.TemporaryDirectory() as scratch:
        made = mypycify([f"{name}.py" for name in _HOT], target_dir=scratch, opt_level="2")
        setup(
            name="corridor-native", packages=[], py_modules=[], ext_modules=made,
            script_args=["--quiet", "build", f"--build-base={scratch}", "build_ext", "--inplace"],
        )  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("name the folder of the copy, for example build/native")
    main(Path(sys.argv[1]).resolve())
