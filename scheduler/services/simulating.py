"""Use case of a what-if: who may ask what, and what they are shown of it.

A city sees its own figures. Others are shown to it only summed up, where no single one can be told
from the sum, and not at all if a scenario sets limits of one of them: it could be stopped, and what
is missing from the sum would be it.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest, TemporarilyAway
from scheduler.services.context import Context
from scheduler.store import pricing
from scheduler.whatif.answers import Answer, Busy, Progress, SimulationFailed, TooManyJobs
from scheduler.whatif.figures import Asker
from scheduler.whatif.scenarios import BadScenario, Scenario, check

DAYS_DEFAULT: Final = 28
DAYS_MAX: Final = 92
_BUSY_RETRY_S: Final = 30.0


async def simulate_quotas(
    context: Context, caller: Principal, days: int, scenarios: Sequence[Scenario]
) -> AsyncGenerator[Progress | Answer]:
    """Yield progress, then the answer; what runs for it ends when the generator is closed.

    Raises ``InvalidRequest`` by field, and ``TemporarilyAway`` if enough simulations run already
    or a process of this one was lost.
    """
    wrong = [FieldViolation(bad.where, bad.what) for bad in check(scenarios)]
    if not 0 <= days <= DAYS_MAX:
        wrong.append(FieldViolation("days", f"must be 0..{DAYS_MAX}, not {days}"))
    wrong = wrong or await _foreign(context, caller, scenarios)
    if wrong:
        raise InvalidRequest(wrong)
    asker = asker_of(caller, scenarios)
    try:
        told = context.simulator.simulate(days or DAYS_DEFAULT, scenarios, asker)
        async with aclosing(told):
            async for one in told:
                yield one
    except BadScenario as error:
        raise InvalidRequest([FieldViolation(error.where, error.what)]) from error
    except TooManyJobs as error:
        # How many jobs all cities have is not for one of them.
        jobs = "more" if asker.city else str(error.jobs)
        raise InvalidRequest(
            [
                FieldViolation(
                    "days",
                    f"there are {jobs} jobs in these days, and at most {error.most} are simulated;"
                    " ask for fewer days, or have simulation.jobs_max raised",
                )
            ]
        ) from error
    except Busy as error:
        raise TemporarilyAway(
            "as many simulations run as may at once; try again in half a minute",
            retry_after_s=_BUSY_RETRY_S,
        ) from error
    except SimulationFailed as error:
        raise TemporarilyAway(
            f"the simulation was lost ({str(error)[:200]}); try again", retry_after_s=1.0
        ) from error


def asker_of(caller: Principal, scenarios: Sequence[Scenario]) -> Asker:
    """Return what a caller may see of these scenarios."""
    city = caller.scope.city
    if city is None:
        return Asker()
    named = {change.city for scenario in scenarios for change in scenario.cities}
    return Asker(city, others=named <= {city})


async def _foreign(
    context: Context, caller: Principal, scenarios: Sequence[Scenario]
) -> list[FieldViolation]:
    """Refuse caps of enterprises that the caller may not see: also those that are not there."""
    city = caller.scope.city
    if city is None:
        return []
    named = [
        (f"scenarios[{number}].enterprises[{place}].enterprise", change.enterprise)
        for number, scenario in enumerate(scenarios)
        for place, change in enumerate(scenario.caps)
    ]
    if not named:
        return []
    codes = {code for _, code in named}
    now_ms = context.clock.now_ms()
    payers = await context.db.read(
        lambda connection: pricing.load_payers(connection, codes, (), now_ms)
    )
    return [
        FieldViolation(field, f"there is no enterprise {code!r} in your city")
        for field, code in named
        if code not in payers or payers[code].applicant.city != city
    ]
