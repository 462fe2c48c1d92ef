"""Client of the control endpoint of a center in another process."""

import json
import urllib.request
from typing import Any

from tests.modelarts_center.wire import Json


class Control:
    """Orders faults and waits for what happens. Calls block; each takes one connection."""

    def __init__(self, url: str) -> None:
        self._url = url

    def fault(self, call: str, kind: str, **more: Any) -> int:
        """Order a fault (fields of ``faults.Fault``); returns its id."""
        return int(self._post("fault", {"call": call, "kind": kind, **more})["id"])

    def fired(self, fault: int, times: int = 1) -> None:
        """Wait until a fault has met so many calls."""
        self._post("fired", {"id": fault, "times": times})

    def release(self, fault: int) -> None:
        """Let answers go that a fault holds."""
        self._post("release", {"id": fault})

    def clear(self) -> None:
        """End all faults."""
        self._post("clear", {})

    def wipe(self) -> None:
        """Make the center as it was when it was new: no jobs, no faults, a right clock."""
        self._post("wipe", {})

    def set_node(self, number: int, *, broken: bool) -> str:
        """Take a node of the first pool out of service, or put it back; returns its name."""
        return str(self._post("node", {"number": number, "broken": broken})["node"])

    def job(self, name: str, do: str) -> Json:
        """Do "lose", "recover" or "preempt" to a job."""
        return self._post("job", {"name": name, "do": do})

    def jobs(self) -> list[Json]:
        """Every job that was ever made, oldest first."""
        jobs: list[Json] = self._post("jobs", {})["jobs"]
        return jobs

    def stated(self) -> list[Json]:
        """The same as ModelArts shows each, whatever searches hide; deleted ones too."""
        jobs: list[Json] = self._post("stated", {})["jobs"]
        return jobs

    def until(self, name: str, *phases: str, stretches: int = 0) -> Json:
        """Wait until a job is in one of these phases and was started so many times."""
        return self._post("until", {"name": name, "phases": phases, "stretches": stretches})

    def skew(self, skew_s: float) -> None:
        """Set the gateway's clock wrong by so many seconds."""
        self._post("clock", {"skew_s": skew_s})

    def searches(self, *, lag_s: float = 0.0, hidden: tuple[str, ...] = ()) -> None:
        """Let searches miss young jobs, or those of these names."""
        self._post("searches", {"lag_s": lag_s, "hidden": hidden})

    def calls(self) -> dict[str, int]:
        """How often each call was made."""
        return self._post("calls", {})

    def _post(self, call: str, given: Json) -> Json:
        request = urllib.request.Request(
            f"{self._url}/{call}", json.dumps(given).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            told: Json = json.load(response)
        return told
