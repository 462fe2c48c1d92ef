"""What all calls share: the machine, the settings, and which jobs searches do not show yet."""

import json
from dataclasses import dataclass, field

from tests.modelarts_center.errors import NO_SUCH_JOB, ApiError, illegal
from tests.modelarts_center.machine import Machine
from tests.modelarts_center.model import Job
from tests.modelarts_center.settings import CenterSettings, PoolSpec
from tests.modelarts_center.store import Store
from tests.modelarts_center.wire import Json, Request


@dataclass(slots=True)
class Service:
    """The service behind the gateway.

    ``search_lag_s``: searches show a job only so long after it was made. ``hidden``: names of jobs
    that searches do not show at all.
    """

    settings: CenterSettings
    machine: Machine
    store: Store
    search_lag_s: float = 0.0
    hidden: set[str] = field(default_factory=set)

    def job(self, job_id: str) -> Job:
        """A job by id; raises ``ApiError``."""
        job = self.machine.job(job_id)
        if job is None:
            raise ApiError(404, NO_SUCH_JOB, "The training job does not exist.")
        return job

    def pool(self, name: str) -> PoolSpec:
        """A pool by its name; raises ``ApiError``."""
        pool = self.machine.pools.get(name)
        if pool is None:
            raise ApiError(404, "ModelArts.5000", f"The pool {name} does not exist.")
        return pool

    def found_by_searches(self, job: Job) -> bool:
        """Whether searches show a job already."""
        age_ms = self.machine.now_ms() - job.create_ms
        return age_ms >= self.search_lag_s * 1000 and job.name not in self.hidden


def body_of(request: Request) -> Json:
    """The JSON object of a body; raises ``ApiError``."""
    try:
        body = json.loads(request.body)
    except ValueError:
        raise illegal("the body is no JSON") from None
    if not isinstance(body, dict):
        raise illegal("the body is no JSON object")
    return body


def number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query; raises ``ApiError``."""
    text = request.parameter(name, str(default))
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise illegal(f"{name} is a whole number of {least} to {most}")
    return int(text)


def window(mode: str, offset: int, limit: int) -> slice:
    """Which of a list a page holds: offsets count records or whole pages."""
    start = offset * limit if mode == "page" else offset
    return slice(start, start + limit)
