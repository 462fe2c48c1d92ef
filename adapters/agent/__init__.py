"""Centers reached through an agent near them, which dials out: no inbound port at the center."""

from collections.abc import Callable, Mapping

from adapters.agent.remote import RemoteCenter, RemoteSettings
from adapters.reading import Fields

__all__ = ["RemoteCenter", "RemoteSettings", "open_center"]


def open_center(
    center: str,
    settings: Mapping[str, object],
    now_ms: Callable[[], int],
    real_s: Callable[[int], float],
) -> RemoteCenter:
    """Open a center of kind ``agent``: it is reached as soon as its agent connects.

    Raises ``ValueError`` that names a setting which is unknown or wrong.
    """
    given = Fields(center, settings)
    default = RemoteSettings()
    read = RemoteSettings(
        call_s=given.number("call_s", default.call_s),
        stale_s=given.number("stale_s", default.stale_s),
        settle_s=given.number("settle_s", default.settle_s),
        heartbeat_s=given.number("heartbeat_s", default.heartbeat_s),
    )
    given.done()
    return RemoteCenter(center, read)
