"""Who makes the call that is being served: set once by the interceptor, read by servicers."""

from contextvars import ContextVar

from scheduler.domain.principal import Principal
from scheduler.errors import Unauthenticated

_principal: ContextVar[Principal | None] = ContextVar("corridor_principal", default=None)


def current() -> Principal:
    """Return the verified caller; ``Unauthenticated`` outside a call that has one."""
    principal = _principal.get()
    if principal is None:
        raise Unauthenticated("this call has no caller; send `authorization: Bearer <token>`")
    return principal


def known() -> Principal | None:
    """Return the verified caller; None if there is none."""
    return _principal.get()


def set_current(principal: Principal) -> None:
    """Make ``principal`` the caller of the running task: of the interceptor only."""
    _principal.set(principal)
