"""Runs tests of copies of the tree, each time in a fork that has the libraries imported already.

A program of its own, run by its path: it must know nothing of our packages, which each copy of
the tree has its own of. It obeys lines of JSON on its input, ``{"tree": ..., "tests": [...]}``,
and answers each with ``{"status": ..., "said": ...}``: pytest's exit status, null for tests that
took too long, and the end of what it printed.
"""

import importlib
import json
import os
import select
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Final

#: Half of the time of a test that is asked for alone goes into importing these.
_LIBRARIES: Final = (
    "alembic.command", "google.protobuf.message", "grpc.aio", "httpx", "hypothesis.stateful",
    "hypothesis.strategies", "numpy", "psycopg", "pytest", "pytest_asyncio", "rich.table",
    "sqlalchemy.orm", "sqlmodel", "structlog", "typer", "xdist.scheduler", "yaml",
)  # fmt: skip
#: So long one test may take: a fault may make it run for ever, and that too is noticed.
_LIMIT_S: Final = 240
_SAID_MAX: Final = 2000
_FAILED: Final = 1  # pytest's exit status when tests ran and some failed
_BROKEN: Final = 99
_OPTIONS: Final = (
    "-q", "-x", "-p", "no:cacheprovider",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # of what was imported before pytest began
)  # fmt: skip


def run(tree: str, tests: Sequence[str]) -> tuple[int | None, str]:
    """Run tests of a tree in a fork; returns its status and the end of what it said."""
    with tempfile.TemporaryFile("w+b") as said:
        child = os.fork()
        if child == 0:
            status = _BROKEN
            try:
                status = _be(tree, tests, said.fileno())
            finally:
                os._exit(status)
        ended = os.pidfd_open(child)
        try:
            in_time = bool(select.select([ended], [], [], _LIMIT_S * len(tests))[0])
        finally:
            os.close(ended)
        if not in_time:
            os.killpg(child, signal.SIGKILL)  # and what the tests had started
        _, raw = os.waitpid(child, 0)
        said.seek(0)
        text = said.read().decode(errors="replace")[-_SAID_MAX:]
    return os.waitstatus_to_exitcode(raw) if in_time else None, text


def _be(tree: str, tests: Sequence[str], output: int) -> int:
    """Become a pytest of the tree."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number in (1, 2):
        os.dup2(output, number)
    os.chdir(tree)
    ours = [tree, os.path.join(tree, "proto", "gen")]
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(ours),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CORRIDOR_CI": "1",
        "CORRIDOR_FAULT": "1",
    }
    sys.dont_write_bytecode = True
    sys.path[0:1] = ours  # instead of the folder of this program
    importlib.invalidate_caches()
    status = _pytest(tests)
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _pytest(tests: Sequence[str]) -> int:
    """Run tests; what a failed one left open, which pytest raises at its very end, is a failure."""
    import pytest

    ended: list[int] = []

    class Ending:
        def pytest_sessionfinish(self, exitstatus: int) -> None:
            ended.append(int(exitstatus))

    try:
        return int(pytest.main([*_OPTIONS, *tests], plugins=[Ending()]))
    except Exception:
        if not ended:
            raise
        traceback.print_exc()
        return ended[0] or _FAILED


def main() -> None:
    """Obey until the end of the input."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    orders, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    for line in orders:
        order = json.loads(line)
        status, said = run(order["tree"], order["tests"])
        print(json.dumps({"status": status, "said": said}), file=answers, flush=True)


if __name__ == "__main__":
    main()
