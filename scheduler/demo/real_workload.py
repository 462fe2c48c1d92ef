"""A few dozen small real programs for real centers, and how each of them must end.

Pure: the same number of jobs and the same seed give the same workload.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from corridor.v1 import job_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from scheduler.demo.workload import TRACE_LABEL, DemoJob, Workload, enterprises_of

CPU: Final = "wuhan-sc/kunpeng-920"
CARD: Final = "wuhan-sc/accelerator"
NPU: Final = "wuhan-ai/ascend-910b"
#: Cities, and how many enterprises of each send jobs.
_CITIES: Final = ("wuhan", "ezhou", "huanggang", "huangshi", "xianning")
_ENTERPRISES_EACH: Final = 2
_WALL_S: Final = 300
_APART_MS: Final = 400
_CANCEL_AFTER_MS: Final = 15_000

_DIGEST: Final = "head -c 60000000 /dev/zero | sha256sum"
_PRIMES: Final = (
    "awk 'BEGIN { for (n = 2; found < 1200; n++) { prime = 1;"
    " for (d = 2; d * d <= n; d++) if (n % d == 0) { prime = 0; break }"
    " found += prime } print n - 1 }'"
)
_PI: Final = "python3 -c 'print(4 * sum((-1) ** k / (2 * k + 1) for k in range(500_000)))'"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of job: ways to run it, its program, seconds it then waits, and its end.

    A large one is sent by the ``city`` whose quota it fits.
    """

    name: str
    options: tuple[tuple[str, int, int], ...]  # (flavor, units of a node, nodes)
    program: str
    seconds: int = 3
    ends: str = "SUCCEEDED"
    city: str = ""


_KINDS: Final = (
    _Kind("digest", ((CPU, 4, 1),), _DIGEST),
    _Kind("train", ((NPU, 8, 1),), _PI, 4),
    _Kind("primes", ((CPU, 16, 1),), _PRIMES),
    _Kind("cards", ((CARD, 2, 1),), _PI),
    _Kind("gang", ((CPU, 32, 2),), _PRIMES, 4),
    _Kind("either", ((NPU, 4, 1), (CARD, 4, 1)), _DIGEST, 4),
    _Kind("fails", ((CPU, 2, 1),), f"{_DIGEST}\nexit 3", ends="FAILED"),
    _Kind("train-gang", ((NPU, 8, 2),), _DIGEST, 4, city="wuhan"),
    _Kind("given-up", ((CPU, 8, 1),), _PI, 600, "CANCELLED"),
    _Kind("small", ((NPU, 1, 1),), _PRIMES),
    _Kind("fails-too", ((NPU, 2, 1),), f"{_PI}\nexit 3", ends="FAILED"),
    _Kind("given-up-too", ((NPU, 1, 1),), _DIGEST, 600, "CANCELLED"),
)
JOBS: Final = 3 * len(_KINDS)


def build(prices_ufen: Mapping[str, int], *, seed: int, jobs: int = JOBS) -> Workload:
    """The first so many jobs; ``prices_ufen`` is in micro-fen per unit and second, by flavor.

    What ``outcome`` of a job says is the state in which it must end.
    """
    made = tuple(_job(number, random.Random(f"{seed}/{number}")) for number in range(1, jobs + 1))
    return Workload(made, enterprises_of(made, prices_ufen), {})


def _job(number: int, rng: random.Random) -> DemoJob:
    kind = _KINDS[(number - 1) % len(_KINDS)]
    city = kind.city or rng.choice(_CITIES)
    spec = pb.JobSpec(
        display_name=f"{kind.name}-{number}",
        options=[
            pb.ResourceOption(flavor=flavor, units_per_node=units, nodes=nodes)
            for flavor, units, nodes in kind.options
        ],
        wall_limit=Duration(seconds=_WALL_S),
        script=f"#!/bin/sh\nset -e\necho {kind.name}\n{kind.program}\nsleep {kind.seconds}\n",
        architecture=pb.ARCHITECTURE_AARCH64,
        labels={TRACE_LABEL: str(number)},
    )
    return DemoJob(
        number=number,
        submit_ms=(number - 1) * _APART_MS,
        enterprise=f"demo-{city}-{rng.randint(1, _ENTERPRISES_EACH)}",
        city=city,
        spec=spec,
        run_ms=_WALL_S * 1000,  # at most: nobody is to be short of money
        outcome=kind.ends,
        deadline_after_ms=None,
        cancel_after_ms=_CANCEL_AFTER_MS if kind.ends == "CANCELLED" else None,
    )
