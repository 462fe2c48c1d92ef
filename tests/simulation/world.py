"""A small corridor for tests: three cities, two centers, scarce quotas, funds and credit."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quota.rules import Rule
from scheduler.domain.ids import IdGenerator
from scheduler.domain.principal import EVERYTHING, Principal, Role
from scheduler.domain.retries import RetryLimit, retries_text
from scheduler.domain.spec import JobSpec, ResourceOption
from scheduler.domain.states import RETRIED_BY_DEFAULT, FailureClass
from scheduler.store import funds, seed, submission_book, submissions
from scheduler.store.catalog import CityRow, FlavorRow
from scheduler.store.identity import NewEnterprise
from scheduler.store.seed_files import Seed, SeedCenter, SeedPrice, SeedProgramme, SeedQuota
from scheduler.store.submissions import Key, More, NewJob, Submission
from tests.simulation.inline_store import InlineDatabase

NOW_MS = 1_790_000_000_000  # 2026-09-21
NPU, CPU, FREE = "ai/npu", "sc/cpu", "sc/free"
CITIES = ("wuhan", "ezhou", "xianning")
CENTERS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "ai": {NPU: (8, 8)},
    "sc": {CPU: (64, 16), FREE: (4, 4)},
}
#: Micro-fen per unit and second; one flavor costs nothing.
PRICES: Mapping[str, int] = {NPU: 222_222, CPU: 2_778, FREE: 0}
ENTERPRISES: Mapping[str, tuple[str, int]] = {
    "w1": ("wuhan", 10**9),
    "w2": ("wuhan", 2_000),
    "e1": ("ezhou", 10**9),
    "e2": ("ezhou", 0),
    "x1": ("xianning", 10**9),
    "x2": ("xianning", 100_000),
}
RULES: Sequence[tuple[Rule, int]] = (
    (Rule("wuhan-v", 1, "wuhan", 3000, year_cap_fen=6_000), 20_000),
    (Rule("ezhou-a", 1, "ezhou", 5000, exclusive_group="g", job_cap_fen=2_000), 10_000),
    (Rule("ezhou-b", 1, "ezhou", 2500, exclusive_group="g", minimum_fen=50), 10_000),
    (Rule("xianning-v", 1, "xianning", 10_000, flavors=(CPU,)), 5_000),
    (Rule("shared", 1, "corridor", 2000, priority=9, base="REMAINING", ceiling_bp=6_000), 15_000),
)
OPERATOR = Principal("test", Role.OPERATOR, None, None, None, "", 0)


class HandClock:
    """Time that only tests move; a scheduling second is a real one."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def real_s(self, duration_ms: int) -> float:
        return duration_ms / 1000

    async def pause(self, seconds: float) -> None:
        """Wait as those do whom a center throttles: time goes on."""
        self.ms += int(seconds * 1000) + 1


@dataclass
class World:
    """The store with its catalog, and a way to submit jobs as the API does."""

    db: InlineDatabase
    clock: HandClock
    ids: IdGenerator
    _calls: int = 0
    specs: dict[int, JobSpec] = field(default_factory=dict)

    def submit(
        self,
        enterprise: str,
        specs: Sequence[JobSpec],
        *,
        request_id: str | None = None,
        uids: Sequence[int] | None = None,
        waits: Mapping[int, Sequence[tuple[int, str]]] | None = None,
    ) -> list[int]:
        """Submit jobs in one durable call; returns their uids, the first answer's if repeated.

        ``waits`` gives, by place in the call, the jobs that one waits for, each with a condition.
        """
        self._calls += 1
        city = self.db.rows(f"SELECT city FROM enterprise WHERE code = '{enterprise}'")[0][0]
        sizes = [1 + (spec.array.size if spec.array else 0) for spec in specs]
        new = list(uids) if uids is not None else self.ids.take_blocks(sizes)
        jobs = [
            _new_job(uid, enterprise, city, spec, self.clock.ms, tuple((waits or {}).get(at, ())))
            for at, (uid, spec) in enumerate(zip(new, specs, strict=True))
        ]
        digest = repr([(job.options, job.labels) for job in jobs]).encode()
        key = Key(enterprise, request_id or f"call-{self._calls}", digest)
        answer = json.dumps(new).encode()
        [outcome] = self.db.do(
            lambda c: submissions.store(
                c, [Submission(key, submission_book.revision(c), jobs, answer, self.clock.ms)]
            )
        )
        if isinstance(outcome, submissions.Earlier):
            assert outcome.payload_sha256 == digest, "the same key for another payload"
            found: list[int] = json.loads(outcome.answer)
            return found
        self.specs.update(zip(new, specs, strict=True))
        return new


def _new_job(
    uid: int, enterprise: str, city: str, spec: JobSpec, now_ms: int,
    waits_for: tuple[tuple[int, str], ...] = (),
) -> NewJob:  # fmt: skip
    options = [[o.flavor, o.units, o.nodes, spec.wall_limit_s] for o in spec.options]
    return NewJob(
        uid=uid, enterprise=enterprise, city=city, state="HELD" if spec.held else "QUEUED",
        priority=spec.priority, submit_ms=now_ms, deadline_ms=spec.queue_deadline_ms,
        display_name=spec.display_name, options=json.dumps(options, separators=(",", ":")),
        labels=json.dumps(dict(spec.labels)), spec=encode(spec), subsidy=spec.subsidy,
        self_pay_max_fen=spec.self_pay_max_fen, attempts_max=spec.attempts_max,
        retry_on=retries_text(spec.retry_on, spec.retry_limits), user_name=f"{enterprise}-user",
        more=More(
            interruptible=spec.interruptible, notice_s=spec.notice_s, array=spec.array,
            waits_for=waits_for, contract=spec.contract, project=spec.project,
        ),
    )  # fmt: skip


def encode(spec: JobSpec) -> bytes:
    """What the tests store as a job's specification."""
    options = [[o.flavor, o.units_per_node, o.nodes] for o in spec.options]
    return json.dumps([options, spec.wall_limit_s, dict(spec.labels)]).encode()


def decode(stored: bytes) -> JobSpec:
    """The part of a specification that a center is told."""
    options, wall_limit_s, labels = json.loads(stored)
    return JobSpec(tuple(ResourceOption(*one) for one in options), wall_limit_s, labels=labels)


def job(
    flavor: str = NPU,
    units: int = 1,
    wall_s: int = 600,
    *,
    nodes: int = 1,
    subsidy: str = "PREFERRED",
    self_pay_max_fen: int | None = None,
    attempts_max: int = 3,
    retry_on: frozenset[FailureClass] = RETRIED_BY_DEFAULT,
    retry_limits: Sequence[RetryLimit] = (),
    interruptible: bool = False,
    notice_s: int = 0,
    priority: int = 0,
    **labels: str,
) -> JobSpec:
    """A job on one flavor; ``runtime_s`` and ``outcome`` decide its fate at a simulated center."""
    fate = {f"corridor.simulated/{key.replace('_', '-')}": text for key, text in labels.items()}
    return JobSpec(
        (ResourceOption(flavor, units, nodes),), wall_s, subsidy=subsidy,
        self_pay_max_fen=self_pay_max_fen, attempts_max=attempts_max, retry_on=retry_on,
        retry_limits=tuple(retry_limits),
        labels=fate, interruptible=interruptible, notice_s=notice_s, priority=priority,
    )  # fmt: skip


def build(
    now_ms: int = NOW_MS,
    rules: Sequence[tuple[Rule, int]] = RULES,
    credit: Mapping[str, int] | None = None,
    quotas: Sequence[SeedQuota] = (),
) -> World:
    """A corridor at an instant; ``credit`` sets other credit lines than those above."""
    db, clock = InlineDatabase(), HandClock(now_ms)
    content = Seed(
        cities=[CityRow(city, city, city, 3 - at) for at, city in enumerate(CITIES)],
        centers=[_center(center) for center in CENTERS],
        quotas=list(quotas),
        prices=[SeedPrice(flavor, price, 0) for flavor, price in PRICES.items()],
        programmes=[
            SeedProgramme(rule.city, rule.programme, "", True, rule, fund) for rule, fund in rules
        ],
        enterprises=[
            NewEnterprise(
                code, city, code, "", False, "SMALL", "", False, (credit or {}).get(code, limit)
            )
            for code, (city, limit) in ENTERPRISES.items()
        ],
    )
    db.do(lambda c: seed.load_seed(c, content, now_ms))
    return World(db, clock, IdGenerator(0, clock.now_ms))


def _center(center: str) -> SeedCenter:
    flavors = tuple(
        FlavorRow(flavor, center, flavor, flavor, "card", "aarch64", units, per_node, 10**6, 0)
        for flavor, (units, per_node) in CENTERS[center].items()
    )
    return SeedCenter(center, center, center, "simulated", True, {}, flavors)


def pay_into(
    world: World, programme: str, amount_fen: int, request_id: str, period: str = "2026"
) -> None:
    """Appropriate money of a period."""
    world.db.do(
        lambda c: funds.appropriate(
            c, EVERYTHING, programme=programme, period=period, amount_fen=amount_fen,
            request_id=request_id, actor="test", reason="test", now_ms=world.clock.ms,
        )
    )  # fmt: skip


def random_job(rng: random.Random) -> JobSpec:
    """Any job: size, terms, alternatives, retry policy."""
    flavor = rng.choice((NPU, NPU, CPU, CPU, FREE))
    per_node = {NPU: 8, CPU: 16, FREE: 4}[flavor]
    options = [ResourceOption(flavor, rng.randint(1, per_node), 1)]
    if flavor == CPU and rng.random() < 0.3:
        options = [ResourceOption(CPU, rng.randint(1, 16), rng.randint(1, 4))]
    if rng.random() < 0.25:
        options.append(ResourceOption(rng.choice((NPU, CPU)), rng.randint(1, 8), 1))
        if options[1].flavor == options[0].flavor and options[1].units == options[0].units:
            options.pop()
    interruptible = rng.random() < 0.6
    labels = {}
    if interruptible and rng.random() < 0.5:
        labels["corridor.simulated/checkpoint-s"] = rng.choice(("1", "10", "100"))
    return JobSpec(
        tuple(options),
        rng.choice((60, 600, 1800, 7200)),
        labels=labels,
        interruptible=interruptible,
        notice_s=rng.choice((0, 0, 5, 600)) if interruptible else 0,
        priority=rng.choice((0, 0, 0, 5)),
        attempts_max=rng.choice((1, 2, 3)),
        retry_on=rng.choice(
            (RETRIED_BY_DEFAULT, RETRIED_BY_DEFAULT, frozenset(), frozenset(FailureClass))
        ),
        retry_limits=rng.choice(
            ((), (), (RetryLimit(FailureClass.NODE, 1),), (RetryLimit(FailureClass.LOST, 0),))
        ),
        subsidy=rng.choice(("PREFERRED", "PREFERRED", "PREFERRED", "REQUIRED", "NONE")),
        self_pay_max_fen=rng.choice((None, None, None, None, 0, 1_000)),
        held=rng.random() < 0.05,
    )
