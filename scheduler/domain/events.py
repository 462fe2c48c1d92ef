"""Kinds of events in the feed: what users watch, what the planner follows, what caches heed."""

from enum import StrEnum


class EventKind(StrEnum):
    """One word for each thing that can happen."""

    SUBMITTED = "SUBMITTED"
    HELD = "HELD"
    RELEASED = "RELEASED"
    READY = "READY"  # what it waited for is over: other jobs, or room in its array
    ALL_STARTED = "ALL_STARTED"  # no element of the array waits to be started any more
    REST_EXPIRED = "REST_EXPIRED"  # elements of the array that were not started expired
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    ADMITTED = "ADMITTED"
    ADMISSION_REFUSED = "ADMISSION_REFUSED"
    RUN_SUBMITTED = "RUN_SUBMITTED"
    RUN_ACCEPTED = "RUN_ACCEPTED"
    RUN_STARTED = "RUN_STARTED"
    RUN_UNKNOWN = "RUN_UNKNOWN"
    RUN_FORGOTTEN = "RUN_FORGOTTEN"  # its center took it and lost it; it is sent again
    HOLD_ALARM = "HOLD_ALARM"  # unknown for so long that somebody must look at what it holds
    RUN_RESOLVED = "RUN_RESOLVED"  # an operator said what became of a run that was unknown
    EVICTION_ORDERED = "EVICTION_ORDERED"
    EVICTION_NOTICED = "EVICTION_NOTICED"
    RUN_ENDED = "RUN_ENDED"
    REQUEUED = "REQUEUED"
    EMERGENCY_GRANTED = "EMERGENCY_GRANTED"
    EMERGENCY_REVOKED = "EMERGENCY_REVOKED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SETTLED = "SETTLED"
    CORRECTED = "CORRECTED"  # what a settled run costs was changed
    QUOTA_CHANGED = "QUOTA_CHANGED"
    ENTERPRISE_QUOTA_CHANGED = "ENTERPRISE_QUOTA_CHANGED"
    FLAVOR_QUOTA_CHANGED = "FLAVOR_QUOTA_CHANGED"
    CAPACITY_CHANGED = "CAPACITY_CHANGED"
    STOP_CHANGED = "STOP_CHANGED"
    QUOTA_CHANGE_ORDERED = "QUOTA_CHANGE_ORDERED"
    QUOTA_CHANGE_CANCELLED = "QUOTA_CHANGE_CANCELLED"
    QUOTA_CHANGE_REFUSED = "QUOTA_CHANGE_REFUSED"  # one ordered for later did not fit when due
    CATALOG_CHANGED = "CATALOG_CHANGED"
    ENTERPRISE_CHANGED = "ENTERPRISE_CHANGED"
    CENTER_CHANGED = "CENTER_CHANGED"
    FUND_CHANGED = "FUND_CHANGED"
    ALERT_RAISED = "ALERT_RAISED"  # a fund, a cap or a voucher reached a threshold
    BUDGET_CHANGED = "BUDGET_CHANGED"
