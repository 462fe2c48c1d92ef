"""The calls to ModelArts that the adapter makes, each once; what goes wrong is a ``CallFailed``.

A call is made a second time only where that is certainly harmless: after a refusal of credentials
(nothing was done) that newer ones or a corrected clock may cure, and a mere question over a
connection that had been closed at rest.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

from adapters.gate import TokenBucket
from adapters.modelarts.auth import Auth
from adapters.modelarts.errors import Call, CallFailed, ErrorClass, classify, error_of
from adapters.modelarts.signing import Query, encoded_query
from adapters.wire import Answer, AnswerLost, NotSent, Wire

USER_AGENT: Final = "corridor"
#: By how much our clock must differ from the center's before it is corrected.
SKEW_MIN_MS: Final = 30_000
_QUOTA_PAUSE_S: Final = 5.0
_THROTTLED_PAUSE_S: Final = 1.0
_THROTTLED_PAUSE_MAX_S: Final = 300.0


class CenterClock:
    """The center's time: ours, corrected by what its answers say once it differs by much."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self.skew_ms = 0

    def now_ms(self) -> int:
        """The center's time in epoch milliseconds."""
        return self._now_ms() + self.skew_ms

    def learn(self, date: str | None) -> bool:
        """Hear the header ``Date`` of an answer: whether the clock was corrected."""
        try:
            stated_ms = round(parsedate_to_datetime(date or "").timestamp() * 1000)
        except (TypeError, ValueError, OverflowError):
            return False
        if abs(stated_ms - self.now_ms()) < SKEW_MIN_MS:
            return False
        self.skew_ms = stated_ms - self._now_ms()
        return True


class ModelArtsClient:
    """One project of one ModelArts. ``calls_per_s`` (0 = no limit) is what we allow ourselves.

    A call beyond it waits for its turn.
    """

    def __init__(
        self,
        wire: Wire,
        auth: Auth,
        clock: CenterClock,
        project_id: str,
        *,
        read_s: float = 20.0,
        create_s: float = 60.0,
        calls_per_s: float = 0.0,
    ) -> None:
        self.clock = clock
        self._wire, self._auth = wire, auth
        self._project_id = project_id
        self._read_s, self._create_s = read_s, create_s
        self._bucket = TokenBucket(calls_per_s, max(1, round(calls_per_s)), time.monotonic())
        self._queue = asyncio.Lock()
        self.calls = 0

    # --- jobs -------------------------------------------------------------------------------------

    async def create(self, body: Mapping[str, object], send_by_s: float = math.inf) -> Any:
        """Create a training job, if it is sent by then; the job as the center took it."""
        return await self.call(Call.CREATE, "POST", "training-jobs", body=body, send_by_s=send_by_s)

    async def search(self, body: Mapping[str, object]) -> Any:
        """One page of jobs."""
        return await self.call(Call.READ, "POST", "training-job-searches", body=body)

    async def show(self, job_id: str) -> Any:
        """One job in full."""
        return await self.call(Call.READ, "GET", f"training-jobs/{_part(job_id)}")

    async def stop(self, job_id: str) -> None:
        """Ask for a job's end."""
        path = f"training-jobs/{_part(job_id)}/actions"
        await self.call(Call.CHANGE, "POST", path, body={"action_type": "terminate"})

    async def is_name_taken(self, name: str, workspace_id: str) -> bool:
        """Whether the center says that a name is in use."""
        query = (("job_name", name), ("workspace_id", workspace_id))
        answer = await self.call(Call.READ, "GET", "training-job-names", query)
        return isinstance(answer, Mapping) and answer.get("is_duplicate") is True

    async def events(self, job_id: str) -> Any:
        """The newest events of a job."""
        query = (("limit", "50"), ("offset", "0"), ("order", "desc"))
        return await self.call(Call.READ, "GET", f"training-jobs/{_part(job_id)}/events", query)

    async def preview(self, job_id: str, task: str) -> Any:
        """The end of a task's log, 5 MB at most."""
        path = f"training-jobs/{_part(job_id)}/tasks/{_part(task)}/logs/preview"
        return await self.call(Call.READ, "GET", path)

    async def lines(self, job_id: str, task: str, base_line: str, lines: int) -> Any:
        """Lines of a task's log from one on."""
        query = (("base_line", base_line), ("lines", str(lines)), ("order", "asc"))
        path = f"training-jobs/{_part(job_id)}/logs/{_part(task)}"
        return await self.call(Call.READ, "GET", path, query)

    # --- pools ------------------------------------------------------------------------------------

    async def pool(self, pool_id: str) -> Any:
        """One dedicated pool."""
        return await self.call(Call.READ, "GET", f"pools/{_part(pool_id)}")

    async def workloads(self, pool_id: str, offset: int, limit: int) -> Any:
        """What runs and waits in a pool, of all its users; a page in order of creation."""
        query = (
            ("type", "train"), ("sort", "create_time"), ("ascend", "true"),
            ("offset", str(offset)), ("limit", str(limit)),
        )  # fmt: skip
        return await self.call(Call.READ, "GET", f"pools/{_part(pool_id)}/workloads", query)

    async def job_flavors(self) -> Any:
        """What training jobs may ask for."""
        query = (("flavor_type", "Ascend"),)
        return await self.call(Call.READ, "GET", "training-job-flavors", query)

    async def quotas(self) -> Any:
        """How many jobs our user may have, and has."""
        query = (("resource", "job-num"),)
        return await self.call(Call.READ, "GET", "training-quotas", query)

    # --- one call ---------------------------------------------------------------------------------

    async def call(
        self,
        call: Call,
        method: str,
        path: str,
        query: Query = (),
        body: Mapping[str, object] | None = None,
        send_by_s: float = math.inf,
    ) -> Any:
        """Make one call below the project; its parsed answer. Raises ``CallFailed``."""
        data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        full = f"/v2/{self._project_id}/{path}"
        for again in (True, False):
            await self._turn()
            skew_ms, headers = self.clock.skew_ms, self._headers(data)
            try:
                await self._auth.authorize(method, full, query, headers, data, self.clock.now_ms())
                target = f"{full}?{encoded_query(query)}" if query else full
                read_s = self._create_s if call is Call.CREATE else self._read_s
                answer = await self._wire.request(method, target, headers, data, read_s, send_by_s)
            except NotSent as error:
                raise CallFailed(ErrorClass.NOT_SENT, str(error), call=call) from None
            except AnswerLost as error:
                if again and error.stale and call is Call.READ:
                    continue
                kind = classify(call, sent=True, status=None, code="")
                assert kind is not None
                raise CallFailed(kind, str(error), call=call) from None
            self.clock.learn(answer.headers.get("date"))
            parsed = self._parsed(answer)
            failed = _failure(call, path, answer, parsed)
            if failed is None:
                return parsed
            refused = failed.kind is ErrorClass.AUTH and answer.status != 403
            if not (again and refused and await self._is_cured(headers, skew_ms)):
                raise failed
        raise AssertionError("a call ends at its second try")

    async def close(self) -> None:
        """Close all connections."""
        await self._wire.close()
        await self._auth.close()

    async def _turn(self) -> None:
        async with self._queue:  # first come, first served
            wait_s = self._bucket.take(time.monotonic())
            while wait_s > 0:
                await asyncio.sleep(wait_s)
                wait_s = self._bucket.take(time.monotonic())
        self.calls += 1

    async def _is_cured(self, refused: Mapping[str, str], skew_ms: int) -> bool:
        """Whether a call whose credentials were refused is worth a second try."""
        return self.clock.skew_ms != skew_ms or await self._auth.renewed(refused)

    def _headers(self, data: bytes) -> dict[str, str]:
        return {
            "Host": self._wire.host,
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json;charset=utf-8" if data else "application/json",
            "X-Project-Id": self._project_id,
        }

    @staticmethod
    def _parsed(answer: Answer) -> object:
        try:
            return json.loads(answer.body) if answer.body else None
        except ValueError:
            return None


def _failure(call: Call, path: str, answer: Answer, parsed: object) -> CallFailed | None:
    code, message = ("", "") if answer.status < 300 else error_of(parsed)
    readable = call is Call.CHANGE or isinstance(parsed, Mapping)
    kind = classify(call, sent=True, status=answer.status, code=code, readable=readable)
    if kind is None:
        return None
    name = path.partition("/")[0]
    what = message or ("an answer that is no JSON object" if answer.status < 300 else "no reason")
    return CallFailed(
        kind,
        " ".join(filter(None, (f"{name}: {answer.status}", code, what))),
        call=call,
        code=code,
        retry_after_s=_pause_s(kind, answer.headers.get("retry-after")),
    )


def _pause_s(kind: ErrorClass, retry_after: str | None) -> float:
    """How long the center wants to be left alone, within reason."""
    if kind is ErrorClass.QUOTA:
        return _QUOTA_PAUSE_S
    try:
        wanted_s = float(retry_after or _THROTTLED_PAUSE_S)
    except ValueError:
        return _THROTTLED_PAUSE_S
    if math.isnan(wanted_s):
        return _THROTTLED_PAUSE_S
    return min(max(wanted_s, 0.0), _THROTTLED_PAUSE_MAX_S)


def _part(text: str) -> str:
    return quote(text, safe="~")
