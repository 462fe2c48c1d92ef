"""Quotas, changes, stops and use as messages of the API, and back."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from corridor.v1 import quota_service_pb2 as pb

from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc.messages import milliseconds, optional, timestamp
from scheduler.services.quotas import Command
from scheduler.store.quotas import CityLimits, CityQuotaRow
from scheduler.store.quotas_dated import DatedChange, EnterpriseLimits
from scheduler.store.quotas_enterprises import EnterpriseQuotaRow
from scheduler.store.quotas_flavors import DEFAULTS, FlavorQuotaRow, Reclaim
from scheduler.store.quotas_usage import UsageRow
from scheduler.store.stops import StopRow

Row = TypeVar("Row")
Message = TypeVar("Message")
_MODES: Final = {
    "churn": pb.RECLAIM_MODE_CHURN,
    "lease": pb.RECLAIM_MODE_LEASE,
    "evict": pb.RECLAIM_MODE_EVICT,
}
_MODE_WORDS: Final = {number: word for word, number in _MODES.items()}


def given(convert: Callable[[Row], Message], row: Row | None) -> Message | None:
    """Return what may be missing as a message, or leave it out."""
    return None if row is None else convert(row)


def city_quota(row: CityQuotaRow) -> pb.CityQuota:
    """Return a city's quota as a message."""
    return pb.CityQuota(
        city=row.city,
        flavor=row.flavor,
        nominal_units=row.limits.nominal_units,
        borrow_limit_units=row.limits.borrow_limit_units,
        lend_limit_units=row.limits.lend_limit_units,
        used_units=row.used_units,
        borrowed_units=row.borrowed_units,
        etag=row.etag,
        update_time=timestamp(row.updated_ms),
        guaranteed_units=row.limits.guaranteed_units,
        overcommitted_units=row.overcommitted_units,
    )


def city_limits(quota: pb.CityQuota) -> CityLimits:
    """Return what of a city's quota can be set."""
    return CityLimits(
        quota.nominal_units,
        optional(quota, "borrow_limit_units"),
        optional(quota, "lend_limit_units"),
    )


def enterprise_quota(row: EnterpriseQuotaRow) -> pb.EnterpriseQuota:
    """Return an enterprise's quota as a message."""
    return pb.EnterpriseQuota(
        enterprise=row.enterprise,
        flavor=row.flavor,
        cap_units=row.cap_units,
        used_units=row.used_units,
        etag=row.etag,
        update_time=timestamp(row.updated_ms),
        guarantee_units=row.guarantee_units,
        city=row.city,
    )


def enterprise_limits(quota: pb.EnterpriseQuota) -> EnterpriseLimits:
    """Return what of an enterprise's quota can be set."""
    return EnterpriseLimits(optional(quota, "cap_units"), quota.guarantee_units)


def flavor_quota(row: FlavorQuotaRow) -> pb.FlavorQuota:
    """Return a flavor's quota as a message."""
    pool = row.pool
    return pb.FlavorQuota(
        flavor=pool.flavor,
        center=pool.center,
        granted_units=pool.granted_units,
        reported_units=pool.reported_units,
        effective_units=pool.effective_units,
        corridor_units=pool.corridor_units,
        nominal_units=pool.nominal_units,
        guaranteed_units=row.guaranteed_units,
        used_units=row.used_units,
        overcommitted_units=pool.overcommitted_units,
        reclaim=_reclaim(row.reclaim),
        etag=row.etag,
        update_time=timestamp(row.updated_ms),
    )


def _reclaim(rule: Reclaim) -> pb.ReclaimRule:
    return pb.ReclaimRule(
        mode=_MODES[rule.mode],
        lease_s=rule.lease_s,
        run_min_s=rule.run_min_s,
        grace_s=rule.grace_s,
        rate_bps=rule.rate_bps,
        rate_s=rule.rate_s,
    )


def reclaim(quota: pb.FlavorQuota) -> Reclaim | None:
    """Return the reclaim rule of a message, None if it has none.

    Raises ``InvalidRequest`` for a mode that this version does not know.
    """
    if not quota.HasField("reclaim"):
        return None
    rule = quota.reclaim
    mode = rule.mode or pb.RECLAIM_MODE_CHURN
    if mode not in _MODE_WORDS:
        raise InvalidRequest([FieldViolation("quota.reclaim.mode", f"{mode} is not known here")])
    run_min_s, grace_s = optional(rule, "run_min_s"), optional(rule, "grace_s")
    return Reclaim(
        _MODE_WORDS[mode],
        rule.lease_s or DEFAULTS.lease_s,
        DEFAULTS.run_min_s if run_min_s is None else run_min_s,
        DEFAULTS.grace_s if grace_s is None else grace_s,
        rule.rate_bps or DEFAULTS.rate_bps,
        rule.rate_s or DEFAULTS.rate_s,
    )


def command(request: Any, etag: str) -> Command:
    """Return how a request changes a quota."""
    given = request.HasField("effective_time")
    return Command(etag, request.reason, milliseconds(request.effective_time) if given else None)


def change(row: DatedChange) -> pb.QuotaChange:
    """Return a change ordered for later as a message."""
    message = pb.QuotaChange(
        change_id=row.change_id,
        effective_time=timestamp(row.effective_ms),
        state=pb.QuotaChangeState.Value(f"QUOTA_CHANGE_STATE_{row.state}"),
        reason=row.reason,
        ordered_by=row.actor,
        create_time=timestamp(row.created_ms),
        decide_time=timestamp(row.decided_ms),
        message=row.message,
    )
    match row.limits:
        case CityLimits(nominal, borrow, lend):
            message.city_quota.CopyFrom(
                pb.CityQuota(
                    city=row.city, flavor=row.flavor, nominal_units=nominal,
                    borrow_limit_units=borrow, lend_limit_units=lend,
                )
            )  # fmt: skip
        case EnterpriseLimits(cap, guarantee):
            message.enterprise_quota.CopyFrom(
                pb.EnterpriseQuota(
                    enterprise=row.enterprise, city=row.city, flavor=row.flavor, cap_units=cap,
                    guarantee_units=guarantee,
                )
            )  # fmt: skip
        case limits:
            message.flavor_quota.CopyFrom(
                pb.FlavorQuota(
                    flavor=row.flavor, granted_units=limits.granted_units,
                    corridor_units=limits.corridor_units, reclaim=_reclaim(limits.reclaim),
                )
            )  # fmt: skip
    return message


def stop(row: StopRow) -> pb.NodeStop:
    """Return a node's state as a message."""
    return pb.NodeStop(
        node=row.node,
        state=pb.StopState.Value(f"STOP_STATE_{row.state}"),
        reason=row.reason,
        set_by=row.actor,
        etag=row.etag,
        update_time=timestamp(row.updated_ms),
    )


def stop_word(state: int) -> str:
    """Return a state of a node as the store has it, empty for none that is known here."""
    try:
        return pb.StopState.Name(state).removeprefix("STOP_STATE_")  # type: ignore[arg-type]
    except ValueError:
        return ""


def usage(row: UsageRow) -> pb.Usage:
    """Return a line of use as a message."""
    return pb.Usage(
        city=row.city,
        enterprise=row.enterprise,
        flavor=row.flavor,
        used_units=row.used_units,
        guaranteed_units=row.guaranteed_units,
        nominal_units=row.nominal_units,
        borrowed_units=row.borrowed_units,
        lent_units=row.lent_units,
        cap_units=row.cap_units,
    )
