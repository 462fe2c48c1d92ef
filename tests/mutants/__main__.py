"""Seeds each fault of ``mutants.toml`` in a copy of the tree: its test must fail there.

``python -m tests.mutants [--tested] [WORDS]`` tries those whose name or path holds one of the
words, or all. The tests are first run without any fault, for one that fails anyway proves nothing;
``--tested`` runs but one where they were run a moment ago, as in ``.ci/run``.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Final

from tests import memory
from tests.mutants.catalog import ROOT, BadCatalog, Mutant, load

_JOBS: Final = 2
_TESTED: Final = "--tested"
_NURSERY: Final = Path(__file__).with_name("nursery.py")
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
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory.folder())))
        beds = [_bed(folder / str(number), stack) for number in range(_JOBS)]
        tests = sorted({mutant.test for mutant in chosen})
        first = tests[:1] if is_tested else tests
        if first and beds[0].pytest(first) != 0:
            print("the tests fail without a fault: see `make test`")
            return 1
        free: SimpleQueue[Bed] = SimpleQueue()
        for bed in beds:
            free.put(bed)
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


@dataclass(frozen=True)
class Bed:
    """A copy of the tree, and who runs tests in it."""

    tree: Path
    nursery: "subprocess.Popen[str]"

    def pytest(self, tests: Sequence[str]) -> int | None:
        """Run tests of the tree; returns pytest's exit status, None if they took too long."""
        assert self.nursery.stdin is not None, "it was started with pipes"
        assert self.nursery.stdout is not None, "it was started with pipes"
        order = {"tree": str(self.tree), "tests": list(tests)}
        print(json.dumps(order), file=self.nursery.stdin, flush=True)
        answer = json.loads(self.nursery.stdout.readline())
        status: int | None = answer["status"]
        if status not in {0, _FAILED, None}:
            print(answer["said"], flush=True)
        return status


def _bed(tree: Path, stack: contextlib.ExitStack) -> Bed:
    process = subprocess.Popen(
        [sys.executable, _NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return Bed(_copy(tree), stack.enter_context(process))


def _try(mutant: Mutant, free: "SimpleQueue[Bed]") -> bool:
    """Whether the fault's test fails with the fault in a copy of the tree."""
    bed, began_s = free.get(), monotonic()
    try:
        mutant.apply(bed.tree)
        status = bed.pytest([mutant.test])
    finally:
        shutil.copy2(ROOT / mutant.path, bed.tree / mutant.path)
        free.put(bed)
    said = {_FAILED: "caught", None: "caught (hangs)"}.get(status, "NOT CAUGHT")
    print(f"{said:14} {monotonic() - began_s:5.0f} s  {mutant.name}", flush=True)
    return said != "NOT CAUGHT"


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
