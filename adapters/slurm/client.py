"""Calls of slurmrestd: over few connections, with a token that lasts, failures told by class."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlencode

from adapters.errors import OutcomeUnknown, Unavailable
from adapters.slurm.dialect import Dialect, offered_versions, release_of
from adapters.slurm.dialect_38 import Dialect38
from adapters.slurm.dialect_40 import Dialect40
from adapters.slurm.failures import (
    NOT_RUNNING,
    NOTHING_FOUND,
    UNKNOWN_JOB,
    SlurmError,
    errors_of,
    refusal,
    unanswered,
)
from adapters.slurm.records import (
    Diagnosis,
    Json,
    NativeJob,
    NodeState,
    PartitionState,
    Unreadable,
)
from adapters.slurm.settings import SlurmSettings
from adapters.slurm.tokens import TokenSource
from adapters.wire import Answer, AnswerLost, NotSent, Wire

#: Versions whose fields we know; no release of Slurm offers both kinds.
_OLD: Final = 38
_NEW: Final = (40, 43)
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was read: its errors by number, and its body."""

    status: int
    headers: Mapping[str, str]
    body: Json
    errors: tuple[SlurmError, ...]
    readable: bool

    @property
    def codes(self) -> frozenset[int]:
        """The numbers of its errors."""
        return frozenset(one.code for one in self.errors)


class SlurmClient:
    """The calls the adapter makes; every one raises errors of ``adapters.errors`` only.

    ``calls`` counts them by kind, ``release`` is Slurm's own version once a call was answered.
    """

    def __init__(self, settings: SlurmSettings, wire: Wire, tokens: TokenSource) -> None:
        self._settings, self._wire, self._tokens = settings, wire, tokens
        self._dialect: Dialect | None = None
        self.calls: Counter[str] = Counter()
        self.release = ""

    async def close(self) -> None:
        """Close all connections."""
        await self._wire.close()
        await asyncio.sleep(0)  # the sockets themselves are closed by the loop

    async def dialect(self) -> Dialect:
        """The dialect to speak; asked of the center once, for the document is half a megabyte."""
        if self._dialect is None:
            answer = await self._send("GET", "/openapi/v3", None, changes=False)
            versions = offered_versions(answer.body)
            self._dialect = choose(versions)
            if self._dialect is None:
                self._raise_for(_read(answer), changes=False)
                said = ", ".join(f"v0.0.{one}" for one in versions) or "none"
                raise Unavailable(f"no version of the interface that we know; offered: {said}")
        return self._dialect

    async def ping(self) -> tuple[str, ...]:
        """Controllers that answer, as ``host mode``. Raises ``Unavailable`` if none does."""
        body = await self._get("ping", "slurm", "ping", {})
        pings = [one for one in body.get("pings", ()) if isinstance(one, Mapping)]
        up = [
            f"{one.get('hostname', '?')} {one.get('mode', '')}".strip()
            for one in pings
            if one.get("ping") == "UP" or one.get("responding") is True
        ]
        if not up:
            raise Unavailable("no controller of Slurm answers")
        return tuple(up)

    async def diagnosis(self) -> Diagnosis:
        """How the controller is; it answers itself."""
        body = await self._get("diag", "slurm", "diag", {})
        return await self._readable(lambda dialect: dialect.diagnosis(body))

    async def nodes(self) -> list[NodeState]:
        """All nodes."""
        body = await self._get("nodes", "slurm", "nodes", {})
        return await self._readable(lambda dialect: dialect.nodes(body))

    async def partitions(self) -> list[PartitionState]:
        """All partitions."""
        body = await self._get("partitions", "slurm", "partitions", {})
        return await self._readable(lambda dialect: dialect.partitions(body))

    async def job(self, job_id: int) -> NativeJob | None:
        """What the controller says of an id; None if it has none such."""
        reply = await self._call("job", "GET", f"slurm/{{}}/job/{job_id}", {}, None, False)
        if UNKNOWN_JOB in reply.codes:
            return None
        self._raise_for(reply, changes=False)
        found = await self._readable(lambda dialect: dialect.jobs(reply.body))
        return next((one for one in found if one.job_id == job_id), None)

    async def history(self, query: Mapping[str, str]) -> list[tuple[NativeJob, Json]]:
        """What accounting says; it may lag behind the controller by seconds."""
        dialect = await self.dialect()
        asked = {**dialect.history(self._settings.user), **query}
        reply = await self._call("history", "GET", "slurmdb/{}/jobs", asked, None, False)
        if reply.status < 300 and reply.codes <= {NOTHING_FOUND} and reply.readable:
            if reply.codes:
                return []
            return await self._readable(lambda dialect: dialect.accounted(reply.body))
        self._raise_for(reply, changes=False)
        raise Unavailable("accounting gave no answer that can be used")

    async def accounts(self) -> frozenset[str]:
        """The accounts that our user may book on."""
        body = await self._get("accounts", "slurmdb", "associations", {})
        found = body.get("associations")
        rows = found if isinstance(found, list) else []
        return frozenset(
            str(one.get("account"))
            for one in rows
            if isinstance(one, Mapping) and one.get("user") == self._settings.user
        )

    async def submit(self, body: Json, by_s: float) -> Reply:
        """Submit; the reply may name a job id beside errors. Raises ``OutcomeUnknown``.

        Nothing is sent after ``by_s`` on the clock of ``boot_s``.
        """
        reply = await self._call("submit", "POST", "slurm/{}/job/submit", {}, body, True, by_s)
        if not reply.body.get("job_id"):
            self._raise_for(reply, changes=True)
        return reply

    async def signal(self, job_id: int, signal: str = "") -> frozenset[int]:
        """End a job, or send it a signal; gives the errors of one that does not run (any more)."""
        query = {"signal": signal} if signal else {}
        reply = await self._call("signal", "DELETE", f"slurm/{{}}/job/{job_id}", query, None, False)
        if reply.codes and reply.codes <= NOT_RUNNING | {UNKNOWN_JOB}:
            return reply.codes
        self._raise_for(reply, changes=False)
        return reply.codes

    # --- inside -----------------------------------------------------------------------------------

    async def _readable(self, read: Callable[[Dialect], T]) -> T:
        try:
            return read(await self.dialect())
        except (Unreadable, AttributeError, TypeError) as error:
            raise Unavailable(f"slurmrestd's answer cannot be read: {error}") from error

    async def _get(self, kind: str, plugin: str, what: str, query: Mapping[str, str]) -> Json:
        reply = await self._call(kind, "GET", f"{plugin}/{{}}/{what}", query, None, False)
        self._raise_for(reply, changes=False)
        return reply.body

    async def _call(
        self,
        kind: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Json | None,
        changes: bool,
        by_s: float = math.inf,
    ) -> Reply:
        dialect = await self.dialect()
        target = "/" + path.format(dialect.version)
        if query:
            target += "?" + urlencode(query)
        self.calls[kind] += 1
        reply = _read(await self._send(method, target, body, changes, by_s))
        if not self.release:
            self.release = release_of(reply.body)
        return reply

    async def _send(
        self,
        method: str,
        target: str,
        body: Json | None,
        changes: bool,
        by_s: float = math.inf,
    ) -> Answer:
        token = await self._tokens.current()
        headers = {
            "Host": self._wire.host,
            "Accept": "application/json",
            "X-SLURM-USER-NAME": self._settings.user,
            "X-SLURM-USER-TOKEN": token.text,
        }
        data = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = _encode(body).encode()
        for attempt in (1, 2):
            try:
                return await self._wire.request(
                    method, target, headers, data, self._settings.answer_s, by_s
                )
            except NotSent as error:
                raise unanswered(f"slurmrestd: {error}", sent=False, changes=changes) from error
            except AnswerLost as error:
                if attempt == 1 and error.stale and not changes:
                    continue  # the connection had been closed on the other side
                raise unanswered(f"slurmrestd: {error}", sent=True, changes=changes) from error
        raise AssertionError("unreachable")

    def _raise_for(self, reply: Reply, changes: bool) -> None:
        error = refusal(reply.status, reply.errors, reply.headers, changes, reply.readable)
        if error is not None:
            raise error
        if changes:  # success without what a success holds
            raise OutcomeUnknown("slurmrestd's answer says neither that it did nor that it did not")


def choose(versions: tuple[int, ...]) -> Dialect | None:
    """The newest dialect we know of those that are offered."""
    new = [one for one in versions if _NEW[0] <= one <= _NEW[1]]
    if new:
        return Dialect40(f"v0.0.{new[-1]}")
    return Dialect38() if _OLD in versions else None


def _read(answer: Answer) -> Reply:
    try:
        body = json.loads(answer.body) if answer.body else {}
    except ValueError:
        body = None
    readable = isinstance(body, dict)
    mapping: Json = body if isinstance(body, dict) else {}
    return Reply(answer.status, answer.headers, mapping, errors_of(mapping), readable)
