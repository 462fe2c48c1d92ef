"""Opens a center's adapter by its kind: found by entry point, imported when it is needed.

A package offers a kind of center by an entry point of the group ``corridor.adapters``::

    [project.entry-points."corridor.adapters"]
    cloud = "my_package.cloud:open_center"

which names an ``Opener``. Corridor's own kinds are found the same way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from adapters.contract import CenterAdapter

GROUP: Final = "corridor.adapters"

Settings = Mapping[str, object]
Opener = Callable[[str, Settings, Callable[[], int], Callable[[int], float]], CenterAdapter]
_METHODS: Final = tuple(name for name in dir(CenterAdapter) if not name.startswith("_"))


class BadKind(ValueError):
    """There is no adapter of a kind, or its package cannot be used."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind of center: who offers it, as ``name version`` of the package, and where it is."""

    kind: str
    package: str
    opener: str


def offers() -> tuple[Offer, ...]:
    """Return all kinds that installed packages offer, by kind; nothing is imported."""
    found = {Offer(one.name, _package(one), one.value) for one in entry_points(group=GROUP)}
    return tuple(sorted(found, key=lambda offer: (offer.kind, offer.package)))


def kinds() -> tuple[str, ...]:
    """The kinds of centers there are adapters for."""
    return tuple(dict.fromkeys(offer.kind for offer in offers()))


def find_opener(kind: str) -> Opener:
    """Return what opens centers of a kind; its module is imported now.

    Raises ``BadKind`` that names the package of a kind which cannot be imported.
    """
    found = tuple(entry_points(group=GROUP, name=kind))
    if not found:
        raise BadKind(f"unknown kind {kind!r}; known are {', '.join(kinds()) or 'none'}")
    if len({(_package(one), one.value) for one in found}) > 1:
        packages = " and ".join(sorted({_package(one) for one in found}))
        raise BadKind(f"kind {kind!r} is offered more than once, by {packages}: uninstall one")
    point = found[0]
    try:
        opener = point.load()
    except Exception as error:  # whatever a package's own code raises while it is imported
        raise BadKind(
            f"kind {kind!r}: its adapter {point.value!r} of package {_package(point)} cannot be"
            f" loaded: {type(error).__name__}: {error}"
        ) from error
    if not callable(opener):
        raise BadKind(
            f"kind {kind!r}: {point.value!r} of package {_package(point)} must be a function that"
            f" opens a center, not {type(opener).__name__}"
        )
    return opener  # type: ignore[no-any-return]


def open_adapter(
    kind: str,
    center: str,
    settings: Settings,
    now_ms: Callable[[], int],
    real_s: Callable[[int], float],
) -> CenterAdapter:
    """The adapter of one center.

    ``now_ms`` is scheduling time in epoch milliseconds, ``real_s`` gives the real seconds in which
    a duration of it passes. Raises ``ValueError`` for an unknown kind (``BadKind``) or wrong
    settings.
    """
    adapter = find_opener(kind)(center, settings, now_ms, real_s)
    lacking = [name for name in _METHODS if not hasattr(adapter, name)]
    if lacking:
        raise BadKind(
            f"kind {kind!r}: its adapter is of another version of the contract; it lacks"
            f" {', '.join(lacking)} (see adapters/contract.py)"
        )
    if not adapter.settle_s > 0:
        raise BadKind(f"kind {kind!r}: settle_s of its adapter must be above 0: see its contract")
    return adapter


def _package(point: EntryPoint) -> str:
    """Return whose entry point it is."""
    distribution = point.dist
    return f"{distribution.name} {distribution.version}" if distribution else "an unknown package"
