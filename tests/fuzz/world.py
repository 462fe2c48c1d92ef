"""What the fuzzing calls: a real server over a database that has something of everything.

It is made once, in three stages (within a month, after it, and after its books were closed), and
put back to one of them after whatever was accepted. What cities other than ezhou have carries marks
that nobody of ezhou may ever see.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from corridor.v1 import (
    budget_pb2,
    charge_pb2,
    fact_pb2,
    identity_service_pb2,
    job_service_pb2,
    period_pb2,
    quota_service_pb2,
    reconciliation_pb2,
    statement_pb2,
    subsidy_service_pb2,
    voucher_pb2,
)
from google.protobuf.timestamp_pb2 import Timestamp

from adapters.agent.remote import RemoteCenter
from scheduler.control.simulations import Simulations
from scheduler.domain.ids import IdGenerator, center_name, job_uid, run_id
from scheduler.domain.principal import Role
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.domain.reports import silent
from scheduler.placement.model import CORRIDOR, Explanation
from scheduler.rpc.adapter_servicer import Agents
from scheduler.rpc.job_servicer import JobServicer
from scheduler.rpc.server import build
from scheduler.services.context import Context
from scheduler.settings import SimulationSettings
from scheduler.store import book_months, digests, fund_openings, ingest
from scheduler.store.database import Database
from tests.integration.conftest import NOW_MS, Corridor, HandClock, QuietCenters
from tests.integration.jobs.conftest import NPU, Hands, Planner, spec

EZHOU, WUHAN = "sample-ezhou-1", "sample-wuhan-1"
DAY_MS: Final = 86_400_000
#: In names, reasons and texts of cities other than ezhou.
MARK: Final = "KEPT-FROM-EZHOU"
OPEN, ENDED, CLOSED = "open", "ended", "closed"
MONTH: Final = "2026-09"
HOUR: Final = 3_600
WHY: Final = "as agreed"
Metadata = tuple[tuple[str, str], ...]


def at(ms: int) -> Timestamp:
    """An instant as a message."""
    found = Timestamp()
    found.FromMilliseconds(ms)
    return found


@dataclass
class World:
    """See the module. ``callers`` are metadata by who calls; ``of`` names what was made."""

    corridor: Corridor
    agents: dict[str, RemoteCenter]
    callers: dict[str, Metadata] = field(default_factory=dict)
    of: dict[str, Any] = field(default_factory=dict)
    numbers: int = 0

    @property
    def now_ms(self) -> int:
        return self.corridor.clock.ms

    def new(self) -> str:
        """A request id that was not used."""
        self.numbers += 1
        return f"fuzz-{self.numbers}"


@contextlib.asynccontextmanager
async def serving(url: str, clock: HandClock) -> AsyncIterator[World]:
    """Serve a database of samples; the clock is the test's."""
    db = Database(url)
    full = PendingReason(ReasonCode.POOL_FULL)
    planner = Planner(known={}, estimates=lambda job: Explanation(job.uid, full, 1, 1))
    remote = RemoteCenter("wuhan-sc")
    context = Context(
        db, clock, clock.now_ms, IdGenerator(0, clock.now_ms), planner, QuietCenters(), True, "1",
        # Streams are let go of at once, and what ran for them ends some time after.
        simulator=Simulations(db, clock, CORRIDOR, SimulationSettings(1 << 20), lambda: None),
    )  # fmt: skip
    jobs = JobServicer(context, lambda city, count: None)
    agents = {"wuhan-sc": remote}
    server = build(
        context, jobs, listen="127.0.0.1:0", on_call=lambda *_: None,
        agents=Agents(agents, lambda: 1),
    )  # fmt: skip
    await server.start()
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_metadata_size", 1 << 20)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
        yield World(Corridor(db, clock, server, channel, context), agents)
    await server.drain(0)
    db.close()


# --- what there is --------------------------------------------------------------------------------


async def fill(world: World) -> None:
    """Make something of everything, up to the end of September."""
    corridor, of = world.corridor, world.of
    _enroll(world)
    hands = Hands(corridor)
    operator, city, wuhan = (world.callers[name] for name in ("operator", "city", "wuhan"))
    of["theirs"] = await hands.submit(
        WUHAN, spec(f"{MARK}-1"), spec(f"{MARK}-2"), spec(f"{MARK}-3")
    )
    await hands.succeed(of["theirs"][0])
    await hands.run(of["theirs"][1])
    names = ("queued", "running", "ended", "held", "unknown", "spare", "metered")
    made = await hands.submit(EZHOU, *(spec(f"ours-{one}") for one in names))
    of.update(zip(names, made, strict=True))
    await hands.run(of["running"], of["unknown"])
    [of["owing"]] = await hands.submit("sample-ezhou-2", spec("owing"))
    await hands.succeed(of["ended"], of["metered"], of["owing"])
    unknown = job_uid(of["unknown"])
    report = silent(unknown, 1, "no answer")
    await hands._write(lambda c, e: ingest.ingest(c, e, [report], world.now_ms, lambda: 0.0))
    hold = job_service_pb2.HoldJobsRequest(
        selection=job_service_pb2.JobSelection(job_ids=[of["held"]]), reason=WHY
    )
    await corridor.jobs.HoldJobs(hold, metadata=operator)
    await _money(world, operator, city, wuhan)
    await _budgets(world, operator, city)
    await _differences(world, operator)
    await _debt(world, city)
    await _quotas(world, operator, city)
    of["listed"] = [of["ended"]]
    signed = digests.Signed("key", b"a public key", b"a signature")
    await hands._write(lambda c, e: digests.make(c, e, world.now_ms, lambda _: signed))
    of["day"] = corridor.rows("SELECT max(day) FROM ledger_digest")[0][0]
    await corridor.db.write(lambda c: fund_openings.open_period(c, "ezhou-voucher", "2025"))


def _enroll(world: World) -> None:
    token = world.corridor.token
    far_ms = NOW_MS + 300 * DAY_MS
    world.callers.update(
        operator=token(Role.OPERATOR, subject="operator", expire_ms=far_ms),
        operator2=token(Role.OPERATOR, subject="second", expire_ms=far_ms),
        city=token(Role.CITY_ADMIN, city="ezhou", subject="ezhous", expire_ms=far_ms),
        city2=token(Role.CITY_ADMIN, city="ezhou", subject="ezhous-2", expire_ms=far_ms),
        wuhan=token(Role.CITY_ADMIN, city="wuhan", subject=f"{MARK}-admin", expire_ms=far_ms),
        # Whose name ezhou may see: it lends to it.
        lender=token(Role.CITY_ADMIN, city="wuhan", subject="lender", expire_ms=far_ms),
        member=token(Role.ENTERPRISE_MEMBER, enterprise=EZHOU, subject="m", expire_ms=far_ms),
        admin=token(Role.ENTERPRISE_ADMIN, enterprise=EZHOU, subject="a", expire_ms=far_ms),
        auditor=token(Role.AUDITOR, subject="auditor", expire_ms=far_ms),
        agent=token(Role.AGENT, center="wuhan-sc", subject="agent", expire_ms=far_ms),
        nobody=(),
    )


async def _money(world: World, operator: Metadata, city: Metadata, wuhan: Metadata) -> None:
    subsidies = world.corridor.subsidies
    pay = subsidy_service_pb2.AppropriateFundRequest(
        programme="ezhou-voucher", period="2026", amount_fen=10**9, reason=WHY
    )
    numbers = []
    for name in ("change", "to-deny", "to-withdraw"):
        pay.request_id = name
        numbers.append((await subsidies.AppropriateFund(pay, metadata=city)).change_request.number)
    world.of["changes"] = numbers
    theirs = subsidy_service_pb2.AppropriateFundRequest(
        request_id="theirs", programme="wuhan-voucher", period="2026", amount_fen=10**9, reason=MARK
    )
    await subsidies.AppropriateFund(theirs, metadata=wuhan)
    issue = voucher_pb2.IssueVouchersRequest(
        request_id="vouchers", programme="wuhan-direct-voucher", period="2026", reason=MARK
    )
    issue.vouchers.add(enterprise="sample-wuhan-2", face_fen=100)
    made = await subsidies.IssueVouchers(issue, metadata=wuhan)
    world.of["voucher"] = made.vouchers[0].voucher_no
    opened = subsidy_service_pb2.OpenFundRequest(
        programme="ezhou-voucher", period="2027", reason=WHY
    )
    await subsidies.OpenFund(opened, metadata=city)


async def _budgets(world: World, operator: Metadata, city: Metadata) -> None:
    quotas, identity, of = world.corridor.quotas, world.corridor.identity, world.of
    for owner in ({"city": "wuhan"}, {"city": "ezhou"}, {"enterprise": EZHOU}):
        budget = budget_pb2.Budget(flavor=NPU, allotted_unit_seconds=10**7, **owner)  # type: ignore[arg-type]
        request = budget_pb2.UpdateBudgetRequest(budget=budget, reason=WHY)
        await quotas.UpdateBudget(request, metadata=operator)
    loan = budget_pb2.LendHoursRequest(
        lender="wuhan", borrower="ezhou", flavor=NPU, unit_seconds=100 * HOUR, reason=WHY
    )
    for name in ("lent", "loan", "loan-2"):
        of[name] = (await quotas.LendHours(loan, metadata=world.callers["lender"])).loan.loan_id
    accept = budget_pb2.AcceptLoanRequest(loan_id=of["lent"], reason=WHY)
    await quotas.AcceptLoan(accept, metadata=city)
    fact = fact_pb2.EnterpriseFact(
        enterprise=EZHOU, source="notice", related_party=fact_pb2.RelatedParty(center="wuhan-ai")
    )
    await identity.AddEnterpriseFact(
        fact_pb2.AddEnterpriseFactRequest(fact=fact, reason=WHY), metadata=city
    )
    token = identity_service_pb2.Token(
        subject="other", role=identity_service_pb2.ROLE_ENTERPRISE_MEMBER, enterprise=EZHOU
    )
    token.expire_time.CopyFrom(at(world.now_ms + DAY_MS))
    made = await identity.CreateToken(
        identity_service_pb2.CreateTokenRequest(token=token), metadata=operator
    )
    of["token"] = made.token.token_id


async def _differences(world: World, operator: Metadata) -> None:
    """A center says that a run of ours took longer."""
    job = world.of["metered"]
    world.of["run"] = run_id(job_uid(job), 1)
    world.of["unknown-run"] = run_id(job_uid(world.of["unknown"]), 1)
    [(native, submit_ms, start_ms, end_ms, units)] = world.corridor.rows(
        "SELECT native_id, submit_ms, start_ms, end_ms, units FROM usage_record"
        f" WHERE job_uid = {job_uid(job)}"
    )
    record = reconciliation_pb2.CenterUse(
        name=center_name(world.of["run"]), native_id=native, submit_time=at(submit_ms),
        start_time=at(start_ms), end_time=at(end_ms + 60_000), cards=units,
    )  # fmt: skip
    world.of["record"] = record
    request = reconciliation_pb2.ReconcileCenterRequest(
        center="wuhan-ai", from_time=at(NOW_MS - 1_000), to_time=at(world.now_ms),
        source="a file", records=[record], reason=WHY,
    )  # fmt: skip
    answer = await world.corridor.centers.ReconcileCenter(request, metadata=operator)
    world.of["difference"] = answer.differences[0].difference_id


async def _debt(world: World, city: Metadata) -> None:
    """What was given wrongly is taken back, and owed."""
    world.of["debt-run"] = run_id(job_uid(world.of["owing"]), 1)
    request = charge_pb2.ClawBackSubsidyRequest(
        request_id="back", run_id=world.of["debt-run"], programme="ezhou-voucher", amount_fen=9,
        reason=WHY,
    )  # fmt: skip
    await world.corridor.subsidies.ClawBackSubsidy(request, metadata=city)


async def _quotas(world: World, operator: Metadata, city: Metadata) -> None:
    """Etags as they stand, and a change that is to come."""
    quotas, of = world.corridor.quotas, world.of
    get = quota_service_pb2.GetCityQuotaRequest(city="ezhou", flavor=NPU)
    found = (await quotas.GetCityQuota(get, metadata=city)).quota
    later = quota_service_pb2.UpdateCityQuotaRequest(
        quota=found, reason=WHY, effective_time=at(world.now_ms + 90 * DAY_MS)
    )
    changed = await quotas.UpdateCityQuota(later, metadata=operator)
    of["quota-change"] = changed.change.change_id
    of["etag"] = found.etag
    flavor = quota_service_pb2.GetFlavorQuotaRequest(flavor=NPU)
    of["flavor-etag"] = (await quotas.GetFlavorQuota(flavor, metadata=operator)).quota.etag
    settings = budget_pb2.GetBudgetSettingsRequest(city="ezhou")
    of["settings-etag"] = (await quotas.GetBudgetSettings(settings, metadata=city)).settings.etag


async def end_month(world: World) -> None:
    """Let September pass, and resolve what keeps it from being closed."""
    corridor = world.corridor
    operator = world.callers["operator"]
    shown = reconciliation_pb2.ListDifferencesRequest(page_size=1000)
    for one in (await corridor.centers.ListDifferences(shown, metadata=operator)).differences:
        resolve = reconciliation_pb2.ResolveDifferenceRequest(
            difference_id=one.difference_id, reason=WHY,
            resolution=reconciliation_pb2.DIFFERENCE_RESOLUTION_OURS,
        )  # fmt: skip
        await corridor.centers.ResolveDifference(resolve, metadata=operator)
    corridor.clock.ms = NOW_MS + 15 * DAY_MS
    await corridor.db.write(lambda c: book_months.begin_due(c, world.now_ms))


async def close_month(world: World) -> None:
    """Close September, and make statements of it."""
    corridor, of = world.corridor, world.of
    operator = world.callers["operator"]
    close = period_pb2.CloseBookMonthRequest(month=MONTH, reason=WHY)
    await corridor.subsidies.CloseBookMonth(close, metadata=operator)
    kinds = statement_pb2
    for name, kind, owner in (
        ("draft", kinds.STATEMENT_KIND_CITY, "ezhou"),
        ("issued", kinds.STATEMENT_KIND_ENTERPRISE, EZHOU),
        ("theirs", kinds.STATEMENT_KIND_ENTERPRISE, WUHAN),
    ):
        make = kinds.CreateStatementRequest(kind=kind, owner=owner, period=MONTH)
        made = await corridor.subsidies.CreateStatement(make, metadata=operator)
        of[f"statement-{name}"] = made.statement.number
    issue = kinds.IssueStatementRequest(number=of["statement-issued"], reason=WHY)
    await corridor.subsidies.IssueStatement(issue, metadata=operator)
