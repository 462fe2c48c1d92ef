"""The simulated center as an adapter: what callers see of ``Cluster``, with its misbehavior."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from adapters.checking import Finding
from adapters.contract import (
    ACTIVE_PHASES,
    Accepted,
    CenterDescription,
    FailureClass,
    Health,
    LogChunk,
    Observation,
    Page,
    Phase,
    RunRef,
    RunRequest,
    Usage,
)
from adapters.errors import OutcomeUnknown, Rejected, Throttled, Unavailable
from adapters.simulated.checking import findings
from adapters.simulated.cluster import Cluster, SimulatedRun
from adapters.simulated.fate import draw, draw_call
from adapters.simulated.journal import Event, Journal
from adapters.simulated.settings import SimulatedSettings

KIND = "simulated"
API_VERSION = "1"
PAGE_RUNS_MAX = 1000
_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True, check_circular=False).encode


class SimulatedCenter:
    """A center that only pretends to compute; a ``CenterAdapter``.

    ``now_ms`` is scheduling time, ``real_s`` the real seconds in which a duration of it passes.
    Nothing runs in the background: all that is due happens when somebody asks. With a journal the
    runs go on while the process is dead; the clock must go on from there too, a clock set back
    stands still until it has caught up. Ended runs are kept for good.
    """

    def __init__(
        self,
        settings: SimulatedSettings,
        now_ms: Callable[[], int],
        real_s: Callable[[int], float],
    ) -> None:
        self.settings = settings
        self._clock_ms, self._real_s = now_ms, real_s
        self._opened_ms = self._last_ms = now_ms()
        self._cluster = Cluster(settings.flavors, round(settings.cancel_delay_s * 1000))
        self._journal = Journal(settings.journal) if settings.journal else None
        self._unwritten: list[Event] = []
        self._calls: Counter[str] = Counter()
        self._losses: list[bool] = []
        self._outage = False
        self._news = asyncio.Event()
        self._tokens, self._tokens_ms = max(1.0, settings.throttle_calls_per_s), self._last_ms
        if self._journal is not None:
            self._replay(self._journal)

    # --- what tests and demonstrations may do -----------------------------------------------------

    def set_outage(self, outage: bool) -> None:
        """Make the center unreachable until further notice; its runs go on."""
        self._outage = outage
        self._news.set()

    def lose_next(self, taken: bool) -> None:
        """Lose the next submission's answer (``taken``) or the submission itself."""
        self._losses.append(taken)

    # --- the contract -----------------------------------------------------------------------------

    @property
    def settle_s(self) -> float:
        """Real seconds; a taken run is seen at once, so this only has to be positive."""
        return self.settings.settle_s

    @property
    def provisional_s(self) -> float:
        """Nothing that was taken is forgotten, but for runs set to vanish."""
        return 0.0

    async def describe(self) -> CenterDescription:
        """Flavors and capacity as set, with what runs hold of it now and how many wait for it."""
        self._answer()
        flavors = tuple(lane.now() for lane in self._cluster.lanes.values())
        return CenterDescription(self.settings.center, KIND, API_VERSION, True, flavors)

    async def submit(self, request: RunRequest) -> Accepted:
        """Take a run into the queue of its flavor; idempotent on its name."""
        self._answer()
        if self.settings.submit_delay_s:
            await asyncio.sleep(self._real_s(round(self.settings.submit_delay_s * 1000)))
            self._answer(counted=False)
        self._calls[request.name] += 1
        call = draw_call(self.settings, request.name, self._calls[request.name])
        loss = self._losses.pop(0) if self._losses else None
        if call.unavailable:
            raise Unavailable(f"{self.settings.center}: simulated refusal of a call")
        if loss is False or (loss is None and call.lost_call):
            raise OutcomeUnknown(f"{self.settings.center}: simulated loss of a call")
        run = self._cluster.by_name.get(request.name) or self._take(request)
        if loss or (loss is None and call.lost_answer):
            raise OutcomeUnknown(f"{self.settings.center}: simulated loss of an answer")
        return Accepted(run.run_id, run.native_id, run.submit_ms)

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        """Observations of the runs known here."""
        self._answer()
        known = (self._cluster.by_run_id.get(run.run_id) for run in runs)
        return {
            run.run_id: run.observation() for run in known if run is not None and not run.vanished
        }

    async def list_active(self, page_token: str = "") -> Page:
        """Active runs in the order of their submission, ``PAGE_RUNS_MAX`` to a page.

        A token is the serial number of the last run seen, so that a run which is active all the
        while is on exactly one page whatever else starts or ends.
        """
        self._answer()
        if not page_token:
            self._news.clear()
        after = int(page_token or 0)
        page: list[Observation] = []
        last = 0
        for serial, run in self._cluster.active.items():
            if serial <= after:
                continue
            if len(page) == PAGE_RUNS_MAX:
                return Page(tuple(page), str(last))
            page.append(run.observation())
            last = serial
        return Page(tuple(page))

    async def cancel(self, run: RunRef) -> None:
        """End a waiting run at once, a running one after ``cancel_delay_s``; else nothing."""
        now_ms = self._answer()
        mine = self._cluster.by_run_id.get(run.run_id)
        if mine is None or mine.phase not in ACTIVE_PHASES:
            return
        self._calls[mine.name] += 1
        if draw_call(self.settings, mine.name, self._calls[mine.name]).unavailable:
            raise Unavailable(f"{self.settings.center}: simulated refusal of a call")
        if not mine.cancelled:
            self._happen({"event": "cancel", "name": mine.name, "at_ms": now_ms})
            self._news.set()

    async def notify(self, run: RunRef, grace_s: int) -> None:
        """Tell a running run; one with a checkpoint label saves and exits if it has the time."""
        now_ms = self._answer()
        mine = self._cluster.by_run_id.get(run.run_id)
        if mine is None or mine.phase is not Phase.RUNNING:
            return
        self._calls[mine.name] += 1
        if draw_call(self.settings, mine.name, self._calls[mine.name]).unavailable:
            raise Unavailable(f"{self.settings.center}: simulated refusal of a call")
        if mine.notice_ms is None:
            grace = {"grace_s": grace_s}
            self._happen({"event": "notice", "name": mine.name, "at_ms": now_ms, **grace})
            self._news.set()

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """One segment for each ended run that ever started, none for one that did not."""
        now_ms = self._answer()
        delay_ms = round(self.settings.usage_delay_s * 1000)
        metered = {}
        for run in runs:
            mine = self._cluster.by_run_id.get(run.run_id)
            if mine is None or mine.vanished or mine.end_ms is None:
                continue
            if mine.end_ms + delay_ms <= now_ms:
                metered[run.run_id] = _metered(self.settings.center, mine)
        return metered

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        """Nothing: what happened stays in the journal."""

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        """A few lines that say what was simulated. Raises ``Rejected`` for a run unknown here."""
        self._answer()
        mine = self._cluster.by_run_id.get(run.run_id)
        if mine is None or mine.vanished:
            raise Rejected(f"{self.settings.center} knows no run {run.run_id!r}", "UNKNOWN_RUN")
        text = _log_text(self.settings.center, mine)
        start = min(max(offset, 0), len(text))
        data = text[start : start + max(limit, 0)]
        after = start + len(data)
        return LogChunk(data, start, after, mine.end_ms is not None and after == len(text))

    async def health(self) -> Health:
        """Not ok during an outage."""
        if self._is_out():
            return Health(False, "simulated outage")
        return Health(True, "simulated")

    async def check(self) -> tuple[Finding, ...]:
        """What is to be known of it before it is used; see ``adapters.checking``."""
        return findings(self.settings)

    async def wait_for_change(self, timeout_s: float) -> bool:
        """Wake at the next start or end that is due, or when a run is submitted or cancelled."""
        if self._advance() or self._news.is_set():
            self._news.clear()
            return True
        due_ms = self._cluster.next_ms()
        if due_ms is not None:
            due_s = max(0.0, self._real_s(due_ms - self._clock_ms()))
            timeout_s = min(timeout_s, due_s)
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return self._advance()
        self._news.clear()
        return True

    async def close(self) -> None:
        """Let go of the journal; the runs stay in it."""
        if self._journal is not None:
            self._journal.close()

    # --- inside -----------------------------------------------------------------------------------

    def _answer(self, counted: bool = True) -> int:
        """Be called: raises if the center does not answer, else gives its time."""
        if self._is_out():
            raise Unavailable(f"{self.settings.center}: simulated outage")
        if counted:
            self._throttle()
        self._advance()
        return self._last_ms

    def _is_out(self) -> bool:
        elapsed_s = (self._clock_ms() - self._opened_ms) / 1000
        return self._outage or any(
            from_s <= elapsed_s < to_s for from_s, to_s in self.settings.outages
        )

    def _throttle(self) -> None:
        rate = self.settings.throttle_calls_per_s
        if not rate:
            return
        now_ms = max(self._clock_ms(), self._tokens_ms)
        gained = self._real_s(now_ms - self._tokens_ms) * rate
        self._tokens, self._tokens_ms = min(max(1.0, rate), self._tokens + gained), now_ms
        if self._tokens < 1:
            pause_s = (1 - self._tokens) / rate
            raise Throttled(f"{self.settings.center}: simulated limit of calls", pause_s)
        self._tokens -= 1

    def _advance(self) -> bool:
        """Let all that is due happen; whether anything did. Raises ``Unavailable``."""
        self._last_ms = max(self._last_ms, self._clock_ms())
        happened = self._cluster.advance(self._last_ms)
        self._unwritten += happened
        self._flush()
        return bool(happened)

    def _flush(self) -> None:
        """Write what has happened before anybody hears of it."""
        if self._journal is None:
            self._unwritten.clear()
        if self._journal is None or not self._unwritten:
            return
        try:
            self._journal.append(self._unwritten)
        except OSError as error:
            raise Unavailable(
                f"{self.settings.center}: journal cannot be written: {error}"
            ) from error
        self._unwritten.clear()

    def _happen(self, event: Event) -> None:
        """Make one event of our own durable, then true. Raises ``Unavailable``; then neither."""
        self._unwritten.append(event)
        try:
            self._flush()
        except Unavailable:
            self._unwritten.remove(event)
            raise
        self._cluster.apply(event)

    def _take(self, request: RunRequest) -> SimulatedRun:
        self._check(request)
        fate = draw(self.settings, request)
        if fate.failure is FailureClass.REJECTED_BY_CENTER:
            raise Rejected(f"{self.settings.center}: simulated rejection", "SIMULATED_REJECTION")
        ready_ms = self._last_ms + round(self.settings.start_delay_s * 1000)
        self._happen(self._cluster.acceptance(request, fate, self._last_ms, ready_ms))
        self._news.set()
        return self._cluster.by_name[request.name]

    def _check(self, request: RunRequest) -> None:
        """Refuse what can never run here. Raises ``Rejected``."""
        lane = self._cluster.lanes.get(request.flavor)
        if lane is None:
            raise Rejected(
                f"{self.settings.center} has no flavor {request.flavor!r}", "UNKNOWN_FLAVOR"
            )
        if min(request.units_per_node, request.nodes, request.wall_limit_s) <= 0:
            raise Rejected("units, nodes and wall limit must be positive", "INVALID_REQUEST")
        most = lane.capacity
        nodes = most.units // most.units_per_node
        if request.units_per_node > most.units_per_node or request.nodes > nodes:
            raise Rejected(
                f"{request.nodes} nodes of {request.units_per_node} {request.flavor} each exceed"
                f" the {nodes} nodes of {most.units_per_node} at {self.settings.center}",
                "TOO_LARGE",
            )

    def _replay(self, journal: Journal) -> None:
        """Go on where the last process stopped. Raises ``ValueError`` for a foreign journal."""
        opened = False
        for event in journal.replay():
            if event["event"] == "open":
                if event["center"] != self.settings.center:
                    raise ValueError(f"{journal.path} is the journal of {event['center']!r}")
                self._opened_ms, opened = cast(int, event["at_ms"]), True
                continue
            self._cluster.apply(event)
            at_ms = cast(int, event.get("at_ms", event.get("submit_ms", 0)))
            self._last_ms = max(self._last_ms, at_ms)
        if not opened:
            center = self.settings.center
            journal.append([{"event": "open", "center": center, "at_ms": self._opened_ms}])


def _metered(center: str, run: SimulatedRun) -> tuple[Usage, ...]:
    if run.start_ms is None or run.end_ms is None:
        return ()
    record = {
        "center": center,
        "end_ms": run.end_ms,
        "flavor": run.flavor,
        "name": run.name,
        "native_id": run.native_id,
        "start_ms": run.start_ms,
        "submit_ms": run.submit_ms,
        "units": run.units,
    }
    canonical = _encode(record).encode()
    usage = Usage(
        run_id=run.run_id,
        native_id=run.native_id,
        submit_ms=run.submit_ms,
        segment=1,
        revision=1,
        start_ms=run.start_ms,
        end_ms=run.end_ms,
        units=run.units,
        raw_sha256=hashlib.sha256(canonical).hexdigest(),
        source=KIND,
    )
    return (usage,)


def _log_text(center: str, run: SimulatedRun) -> bytes:
    """The run's log; it only ever grows at its end."""
    lines = [
        f"[simulated] center {center}, run {run.run_id}, native id {run.native_id}:"
        " nothing is really computed",
        f"[simulated] {run.submit_ms} accepted, {run.units} units of {run.flavor}",
    ]
    if run.start_ms is not None:
        lines.append(f"[simulated] {run.start_ms} started")
    if run.notice_ms is not None:
        lines.append(f"[simulated] {run.notice_ms} told: {run.grace_s} s left")
    if run.end_ms is not None:
        seen = run.observation()
        lines.append(f"[simulated] {run.end_ms} {seen.phase} {seen.message}".rstrip())
    return "".join(line + "\n" for line in lines).encode()
