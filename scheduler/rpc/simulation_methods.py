"""QuotaService, its what-if."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from corridor.v1 import simulation_pb2 as pb

from scheduler.rpc import caller
from scheduler.rpc.messages import CallContext
from scheduler.rpc.simulation_messages import response, scenario_of
from scheduler.services import simulating
from scheduler.services.context import Context


class SimulationMethods:
    """Mixed into the servicer of QuotaService."""

    _context: Context

    async def SimulateQuotas(
        self, request: pb.SimulateQuotasRequest, context: CallContext
    ) -> AsyncIterator[pb.SimulateQuotasResponse]:
        scenarios = [scenario_of(one) for one in request.scenarios]
        told = simulating.simulate_quotas(self._context, caller.current(), request.days, scenarios)
        async with aclosing(told):
            async for one in told:
                yield response(one)
