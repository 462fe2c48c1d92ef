"""Which jobs wait for which: how a call names them, and what may not be.

A job names a job that was submitted before by its id, and a job of its own call by its place or
its display name; an element of an array by that and its index (``#2[7]``). Only within one call
can jobs wait for each other in a circle: what was stored before knows nothing of what comes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from scheduler.domain.ids import array_named, element_uid, job_id, job_uid
from scheduler.domain.states import JOB_TERMINAL, JobState
from scheduler.errors import FieldViolation

_Other = TypeVar("_Other", int, tuple[int, int])

DEPENDENCIES_MAX: Final = 1_000
#: Dependencies of all jobs of one call together.
CALL_MAX: Final = 100_000
#: Circles of a call that are told one by one.
_CIRCLES_TOLD: Final = 20
#: Ends that a job which waits for success is cancelled after.
NO_SUCCESS: Final = JOB_TERMINAL - {JobState.SUCCEEDED}


class Condition(StrEnum):
    """How the other job has to end."""

    AFTER_SUCCESS = "AFTER_SUCCESS"
    AFTER_ANY_END = "AFTER_ANY_END"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A job that has to end first: an id, ``#<place in the call>``, or a name of the call; with
    ``[<index>]`` behind it the element of an array."""

    job: str
    condition: Condition = Condition.AFTER_SUCCESS


@dataclass(frozen=True, slots=True)
class Named:
    """What a name stands for: a place in the call (from 0), or the uid of a job of before.

    ``index`` is the element of the array at the place, ``array`` the one whose element the uid is
    said to be.
    """

    place: int | None = None
    uid: int | None = None
    index: int | None = None
    array: int | None = None


class CallNames:
    """The jobs of one call by what others of it may call them; ``sizes`` of those that are arrays,
    by place."""

    def __init__(self, names: Sequence[str], sizes: Mapping[int, int] | None = None) -> None:
        self._count, self._sizes = len(names), sizes or {}
        self._places: dict[str, int | None] = {}
        for place, name in enumerate(names):
            # None: several have it
            self._places[name] = None if name in self._places else place

    def find(self, text: str) -> Named | str:
        """Return what a dependency names, or in words why it names nothing."""
        try:
            return Named(uid=job_uid(text), array=array_named(text))
        except ValueError as error:
            problem = str(error)
        if text.endswith("]") and text not in self._places:
            return self._element(text, problem)
        if text.startswith("#") and text[1:].isascii() and text[1:].isdigit():
            place = int(text[1:8])
            if place < self._count and len(text) < 8:
                return Named(place=place)
            return f"there are jobs #0 to #{self._count - 1} in this call, not {text[:40]}"
        if text and text in self._places:
            found = self._places[text]
            if found is None:
                return f"several jobs of this call are named {text[:80]!r}; name it by its place"
            return Named(place=found)
        return f"no job of this call is named {text[:80]!r}, and {problem[:120]}"

    def _element(self, text: str, problem: str) -> Named | str:
        """What the element of an array of this call is."""
        array, _, index = text[:-1].rpartition("[")
        if not array or not index.isascii() or not index.isdigit():
            return f"no job of this call is named {text[:80]!r}, and {problem[:120]}"
        found = self.find(array)
        if isinstance(found, str):
            return found
        if found.place is None or found.index is not None:
            return problem[:120]
        size = self._sizes.get(found.place, 0)
        if len(index) > 8 or int(index) >= size:
            of = f"elements 0 to {size - 1}" if size else "no elements: it is no array"
            return f"{array[:80]} has {of}"
        return Named(place=found.place, index=int(index))


def circle(waits: Mapping[int, Sequence[int]]) -> list[int]:
    """Return places that wait for each other in a circle, in order, or nothing if none do.

    ``waits`` gives, by place in the call, the places that each job waits for.
    """
    done: set[int] = set()
    for start in sorted(waits):
        path: list[int] = []
        on_path: dict[int, int] = {}
        stack: list[tuple[int, int]] = [(start, 0)]
        while stack:
            place, step = stack.pop()
            if step == 0:
                if place in done:
                    continue
                if place in on_path:
                    return path[on_path[place] :]
                on_path[place] = len(path)
                path.append(place)
            others = waits.get(place, ())
            if step < len(others):
                stack.append((place, step + 1))
                stack.append((others[step], 0))
            else:
                done.add(place)
                path.pop()
                del on_path[place]
    return []


def in_vain(waits: Mapping[int, Sequence[int]]) -> list[int]:
    """Return places that are in a circle or wait, directly or not, for one."""
    left = {place: len(others) for place, others in waits.items()}
    behind: dict[int, list[int]] = {}
    for place, others in waits.items():
        for other in others:
            behind.setdefault(other, []).append(place)
    todo = [place for place in behind if not left.get(place)]
    todo += [place for place, count in left.items() if not count and place not in behind]
    while todo:
        ended = todo.pop()
        left.pop(ended, None)
        for place in behind.get(ended, ()):
            left[place] -= 1
            if not left[place]:
                todo.append(place)
    return sorted(left)


def check_count(count: int) -> list[FieldViolation]:
    """Check how many jobs one waits for."""
    if count <= DEPENDENCIES_MAX:
        return []
    return [FieldViolation("depends_on", f"at most {DEPENDENCIES_MAX:,}, not {count:,}")]


@dataclass(slots=True)
class Resolved:
    """What the jobs of a call wait for, by place, and what is wrong with that.

    ``on_places`` are jobs of the call, ``on_elements`` elements of its arrays by (place, index),
    ``on_uids`` jobs of before. A job that is named twice is waited for once, in the stricter way.
    """

    wrong: dict[int, list[FieldViolation]] = field(default_factory=dict)
    on_places: dict[int, dict[int, Condition]] = field(default_factory=dict)
    on_elements: dict[int, dict[tuple[int, int], Condition]] = field(default_factory=dict)
    on_uids: dict[int, dict[int, Condition]] = field(default_factory=dict)

    def places(self) -> dict[int, list[int]]:
        """Which places of the call each place waits for, for the whole or for an element."""
        found = {place: list(others) for place, others in self.on_places.items()}
        for place, elements in self.on_elements.items():
            others = found.setdefault(place, [])
            others += dict.fromkeys(of for of, _ in elements if of not in others)
        return found

    def waits_for(self, place: int, uids: Sequence[int]) -> dict[int, Condition]:
        """What the job at a place waits for, by uid; ``uids`` are those of the call."""
        found = {uids[of]: condition for of, condition in self.on_places.get(place, {}).items()}
        for (of, index), condition in self.on_elements.get(place, {}).items():
            found[element_uid(uids[of], index)] = condition
        return found | self.on_uids.get(place, {})


def resolve(
    names: CallNames, waits: Mapping[int, Sequence[Dependency]], known: Collection[int]
) -> Resolved:
    """Find what the jobs at these places of a call name, and every circle.

    ``known`` has the jobs of before that may be named, elements among them.
    """
    found = Resolved()
    for place, dependencies in waits.items():
        for index, one in enumerate(dependencies):
            named = names.find(one.job)
            problem = named if isinstance(named, str) else _problem(named, place, known)
            if problem:
                path = f"depends_on[{index}].job"
                found.wrong.setdefault(place, []).append(FieldViolation(path, problem))
            elif isinstance(named, Named):
                if named.place is not None and named.index is not None:
                    _add(found.on_elements, place, (named.place, named.index), one.condition)
                elif named.place is not None:
                    _add(found.on_places, place, named.place, one.condition)
                elif named.uid is not None:
                    _add(found.on_uids, place, named.uid, one.condition)
    edges = found.places()
    for _ in range(_CIRCLES_TOLD):
        members = circle(edges)
        shown = " -> ".join(f"#{place}" for place in [*members[:8], *members[:1]])
        problem = f"these jobs wait for each other in a circle: {shown}"
        for place in members:
            found.wrong.setdefault(place, []).append(FieldViolation("depends_on", problem))
            edges.pop(place)
    for place in in_vain(edges):
        problem = "waits for jobs that wait for each other in a circle"
        found.wrong.setdefault(place, []).append(FieldViolation("depends_on", problem))
    return found


def _problem(named: Named, place: int, known: Collection[int]) -> str:
    if named.place == place:
        return "a job cannot wait for itself"
    if named.uid is None or named.uid in known:
        return ""
    return f"the enterprise has no job {job_id(named.uid)}"


def _add(
    of: dict[int, dict[_Other, Condition]], place: int, other: _Other, condition: Condition
) -> None:
    waits = of.setdefault(place, {})
    if waits.get(other) is not Condition.AFTER_SUCCESS:
        waits[other] = condition


def refused_with(
    refused: Collection[int], on_places: Mapping[int, Collection[int]]
) -> dict[int, int]:
    """Return the places that wait, directly or not, for refused ones: by place, for which."""
    waiting: dict[int, list[int]] = {}
    for place, others in on_places.items():
        for other in others:
            waiting.setdefault(other, []).append(place)
    found: dict[int, int] = {}
    todo = sorted(refused)
    while todo:
        gone = todo.pop()
        for place in waiting.get(gone, ()):
            if place not in found and place not in refused:
                found[place] = gone
                todo.append(place)
    return found
