"""A small corridor whose quotas tests set, each as its admin or operator does."""

from scheduler.domain.principal import Principal, Role
from scheduler.domain.reasons import ReasonCode
from scheduler.store import admission, quotas, quotas_enterprises, quotas_flavors, stops
from scheduler.store.quotas import Change, CityLimits, CityQuotaRow
from scheduler.store.quotas_enterprises import EnterpriseQuotaRow
from scheduler.store.quotas_flavors import FlavorLimits, FlavorQuotaRow, Reclaim
from scheduler.store.stops import StopRow
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, OPERATOR

#: Reads the etag that is stored, so that a test need not.
CURRENT = "current"


def city_admin(city: str) -> Principal:
    """The admin of a city."""
    return Principal(f"admin of {city}", Role.CITY_ADMIN, city, None, None, "", 0)


class QuotaHands(Hands):
    """The leader and the quota book, moved by hand. The pool of NPU has 8 units."""

    def change(self, actor: Principal = OPERATOR, etag: str | None = None) -> Change:
        """A change; without an etag it changes whatever is there."""
        return Change(actor, etag, "test", self.clock.ms, 7)

    def city(
        self,
        city: str,
        nominal: int,
        borrow: int | None = None,
        lend: int | None = None,
        actor: Principal = OPERATOR,
        etag: str | None = None,
    ) -> CityQuotaRow:
        """Set a city's quota of NPU."""
        limits = CityLimits(nominal, borrow, lend)
        change = self.change(actor, etag)
        return self.db.do(lambda c: quotas.update_city_quota(c, city, NPU, limits, change))

    def enterprise(
        self,
        enterprise: str,
        cap: int | None = None,
        guarantee: int = 0,
        actor: Principal = OPERATOR,
        etag: str | None = None,
    ) -> EnterpriseQuotaRow:
        """Set an enterprise's quota of NPU."""
        change = self.change(actor, etag)
        return self.db.do(
            lambda c: quotas_enterprises.update_enterprise_quota(
                c, enterprise, NPU, cap, change, guarantee
            )
        )

    def flavor(
        self,
        corridor: int | None = None,
        granted: int = 8,
        reclaim: Reclaim = quotas_flavors.DEFAULTS,
        actor: Principal = OPERATOR,
        etag: str | None = None,
    ) -> FlavorQuotaRow:
        """Set the corridor's own part of NPU."""
        limits, change = FlavorLimits(granted, corridor, reclaim), self.change(actor, etag)
        return self.db.do(lambda c: quotas_flavors.update_flavor_quota(c, NPU, limits, change))

    def report_units(self, units: int, flavor: str = NPU, center: str = "ai") -> list[str]:
        """A center says how much it has."""
        said = {flavor: units}
        return self.db.do(
            lambda c: quotas_flavors.report_capacity(c, self.epoch, center, said, self.clock.ms)
        )

    def stop(
        self, node: str, state: str, actor: Principal = OPERATOR, etag: str | None = None
    ) -> StopRow:
        """Stop or open a node."""
        change = self.change(actor, etag)
        return self.db.do(lambda c: stops.set_stop(c, node, state, change))

    def refused(self, *uids: int) -> list[ReasonCode]:
        """Admit jobs together; returns why some were refused."""
        return [code for _, _, code in self.admit(*uids).refused]

    def reason_of(self, result: admission.Admitted) -> object:
        """The reason of the one start that was refused."""
        [delta] = result.deltas
        return getattr(delta, "reason", None)

    def audit(self) -> list[tuple[str, str, str, str]]:
        """Who did what to what, and why."""
        return self.db.rows("SELECT actor, action, target, reason FROM audit_event ORDER BY seq")

    def events(self) -> list[tuple[str, str, str]]:
        """Events about no job: kind, city, enterprise."""
        return self.db.rows(
            "SELECT kind, city, enterprise FROM event WHERE job_uid = 0"
            " AND kind <> 'CATALOG_CHANGED' ORDER BY seq"
        )


def corridor(**world: object) -> QuotaHands:
    """A small corridor; the cities' quotas of NPU are set by the test."""
    return QuotaHands(worlds.build(**world))  # type: ignore[arg-type]
