"""Programs run to their end: what they say, and that none is left, whoever stops when."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.programs import Ended, run, until_done

#: From its call to where a program only goes on, the loop turns less often.
TURNS = 12
SLOW = "import sys, time; print('begun', flush=True); time.sleep(60)"


def shell(script: str, *words: str) -> list[str]:
    return ["/bin/sh", "-c", script, *words]


def processes(mark: str) -> list[str]:
    """Command lines that have a mark, of processes that are not only waiting to be buried."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            words = (one / "cmdline").read_bytes().decode()
        except (OSError, UnicodeError):
            continue
        if mark in words and one.name != str(os.getpid()):
            found.append(words)
    return found


# --- what they say --------------------------------------------------------------------------------


async def test_what_a_program_is_given_says_and_ends_with() -> None:
    ended = await run(shell("cat; echo odd >&2; echo so >&2; exit 3"), b"one\ntwo")
    assert ended == Ended(3, b"one\ntwo", "odd\nso")
    assert await run(shell("cat; kill -9 $$")) == Ended(-9, b"", ""), "it has nothing to read"


async def test_lines_are_told_as_they_come(tmp_path: Path) -> None:
    heard, first = asyncio.Event(), tmp_path / "heard"
    lines: list[bytes] = []

    def tell(line: bytes) -> None:
        lines.append(line)
        heard.set()

    script = 'echo 1; while [ ! -e "$0" ]; do sleep 0.01; done; echo 2'
    running = asyncio.create_task(run(shell(script, str(first)), on_line=tell))
    await heard.wait()
    first.touch()
    assert await running == Ended(0, b"", "")
    assert lines == [b"1\n", b"2\n"]


async def test_more_than_a_pipe_holds_goes_in_and_out() -> None:
    much = os.urandom(1_000_000)
    assert (await run(["cat"], much)).output == much
    assert await run(["true"], much) == Ended(0, b"", ""), "it need not read what it is given"
    words = (
        await run(shell("head -c 1000000 /dev/zero | tr '\\0' x >&2; echo; echo end >&2"))
    ).words
    assert words.endswith("xend")
    assert len(words) < 5_000, "the last of it"


async def test_what_is_not_there_is_not_run() -> None:
    with pytest.raises(OSError, match="No such file"):
        await run(["/nowhere/at-all"])


# --- what is left ---------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(TURNS))
async def test_who_is_cancelled_leaves_none_whenever_that_is(tmp_path: Path, turns: int) -> None:
    running = asyncio.create_task(run([sys.executable, "-c", SLOW, str(tmp_path)], b"given"))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert processes(str(tmp_path)) == []


@pytest.mark.parametrize("turns", range(TURNS))
def test_a_loop_that_stops_leaves_none_whenever_that_is(tmp_path: Path, turns: int) -> None:
    """It cancels all tasks at once, and then once more who still cleans up."""

    async def stop(*, cancelled: bool) -> None:
        running.append(
            asyncio.create_task(run([sys.executable, "-c", SLOW, str(tmp_path)], b"given"))
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        if cancelled:
            running[-1].cancel()
            await asyncio.sleep(0)

    running: list[asyncio.Task[Any]] = []
    for cancelled in (False, True):
        asyncio.run(stop(cancelled=cancelled))
        assert running[-1].cancelled()
        assert processes(str(tmp_path)) == []
    gc.collect()  # what is not closed would warn


async def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    """It holds the output open: whoever waited for it would wait as long as it likes."""
    late, begun = tmp_path / "late", asyncio.Event()
    script = '(sleep 3; echo late > "$0") & echo begun; wait'
    running = asyncio.create_task(run(shell(script, str(late)), on_line=lambda _: begun.set()))
    await begun.wait()
    running.cancel()
    await asyncio.wait({running})
    assert not late.exists()
    assert processes(str(late)) == []


async def test_who_cannot_hear_it_ends_it(tmp_path: Path) -> None:
    """An error of who runs it, as a time that is over, is no other end."""
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await run(command)
    assert processes(str(tmp_path)) == []


# --- waiting --------------------------------------------------------------------------------------


def _raises() -> None:
    raise OSError("as it may")


@pytest.mark.parametrize("ends", [lambda: None, _raises])
async def test_whoever_cleans_up_waits_though_cancelled_once_more(ends: Callable[[], None]) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def last_words() -> None:
        begun.set()
        await may_end.wait()
        ended.append("said")
        ends()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await until_done(asyncio.ensure_future(last_words()))

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    working.cancel()
    await begun.wait()
    working.cancel()
    await asyncio.sleep(0)
    assert not working.done()
    may_end.set()
    await asyncio.wait([working])
    assert (working.cancelled(), ended) == (True, ["said"])
