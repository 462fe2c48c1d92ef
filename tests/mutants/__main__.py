"""Seeds each fault of ``mutants.toml`` in a copy of the tree: its test must fail there.

``python -m tests.mutants [--tested] [WORDS]`` tries those whose name or path holds one of the
words, or all. The tests are first run without any fault, for one that fails anyway proves nothing;
``--tested`` leaves that out where they were run a moment ago, as in ``.ci/run``.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Final

from tests.mutants.catalog import ROOT, BadCatalog, Mutant, load

_JOBS: Final = 2
_TESTED: Final = "--tested"
#: A fault may make a test run for ever; that too is noticed.
_LIMIT_S: Final = 240
_FAILED: Final = 1  # pytest's exit status when tests ran and some failed
_PARTS: Final = ("adapters", "deploy", "docs", "proto", "quota", "scheduler", "tests")


def main(words: Sequence[str]) -> int:
    """Try the faults; returns how many were not caught."""
    is_tested, words = _TESTED in words, [word for word in words if word != _TESTED]
    try:
        chosen = [
            mutant
            for mutant in load()
            if not words or any(word in mutant.name or word in mutant.path for word in words)
        ]
        for mutant in chosen:
            mutant.mutated((ROOT / mutant.path).read_text("utf-8"))
    except BadCatalog as error:
        print(error)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        trees = [_copy(Path(folder) / str(number)) for number in range(_JOBS)]
        tests = sorted({mutant.test for mutant in chosen})
        if tests and not is_tested and _pytest(trees[0], tests) != 0:
            print("the tests fail without a fault: see `make test`")
            return 1
        free: SimpleQueue[Path] = SimpleQueue()
        for tree in trees:
            free.put(tree)
        with ThreadPoolExecutor(_JOBS) as pool:
            caught = list(pool.map(lambda mutant: _try(mutant, free), chosen))
    print(f"{len(chosen)} seeded faults, {caught.count(False)} not caught")
    return caught.count(False)


def _copy(tree: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "*.gz")
    for part in _PARTS:
        shutil.copytree(ROOT / part, tree / part, ignore=ignored)
    for traces in ("scheduler/data/traces", "tests/data/traces"):
        shutil.copytree(ROOT / traces, tree / traces, dirs_exist_ok=True)
    for file in ROOT.glob("*.*"):
        if file.is_file() and file.suffix in {".toml", ".md"}:
            shutil.copy2(file, tree / file.name)
    return tree


def _try(mutant: Mutant, free: "SimpleQueue[Path]") -> bool:
    """Whether the fault's test fails with the fault in a copy of the tree."""
    tree, began_s = free.get(), monotonic()
    try:
        mutant.apply(tree)
        status = _pytest(tree, [mutant.test])
    finally:
        shutil.copy2(ROOT / mutant.path, tree / mutant.path)
        free.put(tree)
    said = {_FAILED: "caught", None: "caught (hangs)"}.get(status, "NOT CAUGHT")
    print(f"{said:14} {monotonic() - began_s:5.0f} s  {mutant.name}", flush=True)
    return said != "NOT CAUGHT"


def _pytest(tree: Path, tests: Sequence[str]) -> int | None:
    """Run tests of a tree; returns pytest's exit status, None if they took too long."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tree), str(tree / "proto" / "gen")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CORRIDOR_CI": "1",
        "CORRIDOR_FAULT": "1",
    }
    with subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as done:  # fmt: skip
        try:
            said, _ = done.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(done.pid, signal.SIGKILL)  # and what the tests had started
            return None
    if done.returncode not in {0, _FAILED}:
        print(said.decode(errors="replace")[-2000:], flush=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
