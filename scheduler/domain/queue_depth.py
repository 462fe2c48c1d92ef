"""How many runs of a flavor may wait in a center's own queue, or be on their way there.

What a center has in its queue it starts in its own order. So that the order stays ours, it is given
no more than it needs to begin the next run when one ends; the rest waits here.
"""

from collections.abc import Mapping
from typing import Final

#: At real centers, unless their settings say otherwise.
DEFAULT_MAX: Final = 64
_NONE: Final = "none"


def queue_max(setting: object, flavor: str, *, simulated: bool) -> int | None:
    """Return how many, None for any number: what ``queue`` in a center's settings says.

    A number holds for each flavor, a mapping by flavor; ``none`` is no limit. Without a setting a
    simulated center has none. Raises ``ValueError`` for what is none of these.
    """
    if isinstance(setting, Mapping):
        wrong = [name for name in setting if not isinstance(name, str)]
        if wrong:
            raise ValueError(f"'queue' must name flavors, not {wrong[0]!r}")
        for name, each in setting.items():
            _checked(f"queue.{name}", each)
        setting = setting.get(flavor)
    if setting is None:
        return None if simulated else DEFAULT_MAX
    return _checked("queue", setting)


def _checked(key: str, value: object) -> int | None:
    if value == _NONE:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{key!r} must be a whole number from 1, or {_NONE!r}, not {value!r}")
    return value
