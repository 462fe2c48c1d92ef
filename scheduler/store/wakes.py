"""Services of one database wake each other: each hears when another has committed (PostgreSQL).

Word goes by NOTIFY on a connection of its own, after the commit and outside of its transaction:
within it, commits that notify would wait for each other. It is sent at once, and then at most once
in a few milliseconds however many commits there are. It says only that there is something to look
at. Whoever waits for it looks by itself now and then, for words are lost with a connection; when
that is back, all who wait are woken once.
"""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

log = structlog.get_logger()

_CHANNEL: Final = "corridor_commit"
#: Words are sent at most so often.
_GAP_S: Final = 0.005
#: A connection on which nothing was heard for so long is tried.
_TRY_S: Final = 10.0
_PAUSE_MIN_S: Final = 0.1
_PAUSE_MAX_S: Final = 2.0
_END_S: Final = 5.0


class Wakes:
    """One for each process that waits for others; ``heard`` is called in its thread, and is quick.

    Begins at once, and goes on through every loss of its connection until it is closed.
    """

    def __init__(self, engine: Engine, heard: Callable[[], None]) -> None:
        self._engine, self._heard = engine, heard
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._mouth, False)
        self._closing = False
        #: Set while words are heard.
        self.connected = threading.Event()
        self._thread = threading.Thread(target=self._run, name="corridor-wakes", daemon=True)
        self._thread.start()

    def tell(self) -> None:
        """Have the others woken soon; from any thread, and waits for nothing."""
        with contextlib.suppress(BlockingIOError):  # it is full of words that say the same
            os.write(self._mouth, b"!")

    def close(self) -> None:
        """Hear and tell nothing more."""
        self._closing = True
        self.tell()
        self._thread.join(_END_S)
        if not self._thread.is_alive():
            os.close(self._ear)
            os.close(self._mouth)

    # --- its thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        from psycopg import Error

        pause_s = _PAUSE_MIN_S
        while not self._closing:
            try:
                with self._listening() as driver:
                    log.info("hears_other_services")
                    pause_s = _PAUSE_MIN_S
                    self.connected.set()
                    self._heard()  # of what was committed while nobody listened
                    self._serve(driver)
            except (Error, SQLAlchemyError, OSError) as error:
                if self.connected.is_set():
                    log.warning("hears_no_other_services", error=str(error).strip())
                self.connected.clear()
                self._wait(None, pause_s)
                pause_s = min(pause_s * 2, _PAUSE_MAX_S)

    @contextlib.contextmanager
    def _listening(self) -> Any:
        """A connection of the engine that is none of its pool's, told to listen."""
        raw = self._engine.raw_connection()
        driver: Any = raw.driver_connection
        raw.detach()
        try:
            driver.autocommit = True
            _run(driver, f"LISTEN {_CHANNEL}")
            yield driver
        finally:
            driver.close()

    def _serve(self, driver: Any) -> None:
        """Hear and tell until closed; raises when the connection is lost."""
        is_due, next_s, tried_s = False, 0.0, time.monotonic()
        while not self._closing:
            now_s = time.monotonic()
            if is_due and now_s >= next_s:
                _run(driver, f"NOTIFY {_CHANNEL}")
                is_due, next_s, tried_s = False, now_s + _GAP_S, now_s
            elif now_s - tried_s >= _TRY_S:
                _run(driver, "SELECT 1")
                tried_s = now_s
            if _others(driver):
                self._heard()
            due_s = next_s if is_due else tried_s + _TRY_S
            is_due |= self._wait(driver, max(0.0, due_s - time.monotonic()))

    def _wait(self, driver: Any, timeout_s: float) -> bool:
        """Wait for words, from outside or from here; returns whether there is one to be sent."""
        poll = select.poll()
        poll.register(self._ear, select.POLLIN)
        if driver is not None:
            poll.register(driver.pgconn.socket, select.POLLIN)
        if self._ear not in dict(poll.poll(timeout_s * 1000)):
            return False
        os.read(self._ear, 1 << 16)
        return True


def _run(driver: Any, sql: str) -> None:
    from psycopg import errors, pq

    result = driver.pgconn.exec_(sql.encode())
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        raise errors.error_from_result(result)


def _others(driver: Any) -> bool:
    """Whether others have told something since; takes all that was heard."""
    driver.pgconn.consume_input()
    found = False
    while word := driver.pgconn.notifies():
        found |= word.be_pid != driver.pgconn.backend_pid
    return found
