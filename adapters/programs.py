"""Programs that are run to their end, and are gone whenever their caller is, however it ends.

A thread attends to each. ``asyncio``'s own processes are not used for that: a loop that stops
cancels all tasks, theirs too, and while one starts or ends it is left behind then, or waited for
without end.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, Final, NamedTuple

#: Of what a program says on stderr the last is kept: why it failed.
_WORDS_MAX: Final = 4_096


class Ended(NamedTuple):
    """How a program ended: its exit code (below zero: the signal), its output, its last words."""

    code: int
    output: bytes
    words: str


async def run(
    command: Sequence[str], given: bytes = b"", on_line: Callable[[bytes], None] | None = None
) -> Ended:
    """Give a program its input, and wait for its end. Raises OSError if it cannot be started.

    Lines of its output are told as they come (``on_line``), else they are returned. It has a
    session of its own: Ctrl-C is for the caller. Who is cancelled leaves nothing of that session.
    """
    loop = asyncio.get_running_loop()

    def tell(line: bytes) -> None:
        assert on_line is not None, "it was asked for"
        loop.call_soon_threadsafe(on_line, line)

    with tempfile.TemporaryFile() as words, ThreadPoolExecutor(1, "corridor-program") as thread:
        process = _start(command, words, speaks=bool(given))
        # No task, for those are cancelled by a loop that stops, but a future.
        attending = asyncio.wrap_future(
            thread.submit(_attend, process, given, None if on_line is None else tell)
        )
        try:
            code, output = await asyncio.shield(attending)
        finally:
            if not attending.done():
                _kill(process)
            await until_done(attending)
        return Ended(code, output, _last(words))


def _start(command: Sequence[str], words: IO[bytes], *, speaks: bool) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=words,
        start_new_session=True,
    )


def _attend(
    process: "subprocess.Popen[bytes]", given: bytes, tell: Callable[[bytes], None] | None
) -> tuple[int, bytes]:
    """Give it what it reads, take what it says, and wait for its end."""
    lines: list[bytes] = []
    giving = threading.Thread(target=_give, args=(process.stdin, given), daemon=True)
    giving.start()
    assert process.stdout is not None, "it was asked for"
    with process.stdout as stdout:
        for line in stdout:
            (tell or lines.append)(line)
    code = process.wait()
    giving.join()
    return code, b"".join(lines)


def _give(stdin: IO[bytes] | None, given: bytes) -> None:
    """By itself, for it may speak before it has read all."""
    if stdin is not None:
        with contextlib.suppress(BrokenPipeError), stdin:
            stdin.write(given)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End it at once, and what it started: that would hold its output open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _last(words: IO[bytes]) -> str:
    words.seek(max(0, words.seek(0, os.SEEK_END) - _WORDS_MAX))
    return words.read().decode("utf-8", "replace").strip()


async def until_done(future: "asyncio.Future[Any]") -> None:
    """Wait for what ends soon by itself, however often the waiting is cancelled meanwhile.

    For who cleans up after a cancellation: a service that stops cancels once more. What became of
    it is not raised.
    """
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({future})
    if not future.cancelled():
        future.exception()  # nobody else may ask
