"""The control endpoint: faults, nodes and clocks by HTTP, for tests in another process.

Not a part of ModelArts; it listens on a port of its own. ``control.Control`` is its client.
"""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.modelarts_center.faults import Fault
from tests.modelarts_center.gateway import CALL_NAMES
from tests.modelarts_center.model import Job
from tests.modelarts_center.rendering import job_json
from tests.modelarts_center.wire import Json, Request, Response, json_response

if TYPE_CHECKING:
    from tests.modelarts_center.center import Center


class ControlCalls:
    """POST /{call} with a JSON object, answered by one."""

    def __init__(self, center: "Center") -> None:
        self._center = center
        self._calls: dict[str, Callable[[Json], Awaitable[Json]]] = {
            "/fault": self._fault,
            "/fired": self._fired,
            "/release": self._release,
            "/clear": self._clear,
            "/wipe": self._wipe,
            "/node": self._node,
            "/job": self._job,
            "/jobs": self._jobs,
            "/stated": self._stated,
            "/until": self._until,
            "/clock": self._clock,
            "/searches": self._searches,
            "/calls": self._call_counts,
        }

    async def handle(self, request: Request) -> Response:
        """Answer one request; 400 with the reason for what cannot be done."""
        call = self._calls.get(request.path)
        if call is None or request.method != "POST":
            return json_response({"error": f"calls are {', '.join(self._calls)}"}, 404)
        try:
            return json_response(await call(json.loads(request.body or b"{}")))
        except (ValueError, KeyError, TypeError) as wrong:
            return json_response({"error": repr(wrong)}, 400)

    async def _fault(self, given: Json) -> Json:
        if given.get("call") not in CALL_NAMES | {"*"}:
            raise ValueError(f"call is one of {sorted(CALL_NAMES)} or *")
        if "fields" in given:
            given["fields"] = tuple(given["fields"])
        return {"id": self._center.faults.add(Fault(**given)).id}

    async def _fired(self, given: Json) -> Json:
        fault = self._known(given)
        await self._center.faults.fired(fault, given.get("times", 1))
        return {"fired": fault.fired}

    async def _release(self, given: Json) -> Json:
        self._known(given).released.set()
        return {}

    async def _clear(self, given: Json) -> Json:
        self._center.faults.clear()
        return {}

    async def _wipe(self, given: Json) -> Json:
        center = self._center
        center.faults.clear()
        center.skew_s = center.service.search_lag_s = 0.0
        center.service.hidden = set()
        await center.machine.wipe()
        center.gateway.calls.clear()
        return {}

    async def _node(self, given: Json) -> Json:
        machine, pool = self._center.machine, given.get("pool", self._center.settings.pools[0].name)
        node = machine.nodes(pool)[given["number"]]
        machine.set_node(pool, node, broken=bool(given["broken"]))
        return {"node": node}

    async def _job(self, given: Json) -> Json:
        job, machine = self._center.job(given["name"]), self._center.machine
        doing = {"lose": machine.lose, "recover": machine.recover, "preempt": machine.preempt}
        doing[given["do"]](job)
        return _told(job)

    async def _jobs(self, given: Json) -> Json:
        return {"jobs": [_told(job) for job in self._center.all_jobs()]}

    async def _stated(self, given: Json) -> Json:
        machine = self._center.machine
        return {"jobs": [job_json(job, machine) for job in self._center.all_jobs()]}

    async def _until(self, given: Json) -> Json:
        name, phases, stretches = given["name"], given["phases"], given.get("stretches", 0)
        return _told(await self._center.until_phase(name, *phases, stretches=stretches))

    async def _clock(self, given: Json) -> Json:
        self._center.skew_s = float(given["skew_s"])
        return {}

    async def _searches(self, given: Json) -> Json:
        self._center.service.search_lag_s = float(given.get("lag_s", 0))
        self._center.service.hidden = set(given.get("hidden", ()))
        return {}

    async def _call_counts(self, given: Json) -> Json:
        return dict(self._center.gateway.calls)

    def _known(self, given: Json) -> Fault:
        fault = self._center.faults.get(given["id"])
        if fault is None:
            raise KeyError(given["id"])
        return fault


def _told(job: Job) -> Json:
    """What the center knows of a job, whatever searches or faults hide."""
    return {
        "id": job.id,
        "name": job.name,
        "phase": job.phase,
        "deleted": job.deleted,
        "exits": job.exits,
        "stretches": len(job.records),
    }
