"""The fuzzing itself: places and values, one after another, and what was found and reached."""

import random
import zlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from tests.fuzz import bases, judging, values, wire
from tests.fuzz.calling import Outcome, call
from tests.fuzz.stages import OneStage, Stages
from tests.fuzz.world import Metadata


@dataclass
class Found:
    """What the calls came to."""

    calls: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    tried: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    faults: list[str] = field(default_factory=list)

    @property
    def fields(self) -> int:
        """How many fields, by method and way, were tried."""
        return sum(len(ways) for ways in self.tried.values())


class Fuzzer:
    """Calls one service; everything that is wrong is kept in ``found``."""

    def __init__(self, stages: Stages | OneStage) -> None:
        self.stages, self.found = stages, Found()
        self.methods = dict(bases.methods())
        self.bases = bases.bases()

    async def base(self, name: str, caller: str = "") -> Outcome:
        """Make the base call of a method, which must be accepted for who may."""
        base = self.bases[name]
        message = self.message(name)
        return await self.send(name, caller or base.caller, "base", message.SerializeToString())

    async def put(self, name: str, way: "Way", value: values.Value, caller: str = "") -> Outcome:
        """Call with a value at a place, all else as in the base."""
        message = self.message(name)
        place = named(way)
        self.found.tried[name][place] += 1
        data = wire.with_place(message, way, value[1])
        what = f"{place}: {value[0]}"
        return await self.send(name, caller or self.bases[name].caller, what, data)

    async def send(
        self, name: str, caller: str, what: str, data: bytes, *more: tuple[str, str]
    ) -> Outcome:
        """Call with bytes, judge the answer and what it left, and put all back."""
        world, method = self.stages.world, self.methods[name]
        if self.stages.stage != self.bases[name].stage:
            self.stages.put_back(self.bases[name].stage)
        metadata: Metadata = (*world.callers[caller], *more)
        requests = self._requests(name, what, data)
        outcome = await call(world.corridor.channel, name, method, metadata, *requests)
        found = self.found
        found.calls += 1
        found.codes[outcome.code] += 1
        problems = list(judging.wrong(world, name, caller, metadata, data, outcome))
        changed = self.stages.changed()
        if outcome.is_refused and changed and not outcome.answers:
            problems.append(f"refused ({outcome.code}), and yet changed: {', '.join(changed)}")
        if not outcome.is_refused:
            found.accepted[name] += 1
            if changed:
                problems += self.stages.wrong()
        if changed:
            self.stages.put_back(self.stages.stage)
        found.faults += [f"{name} as {caller}, {what}: {one}" for one in problems]
        return outcome

    def message(self, name: str) -> Message:
        """Return the base request of a method, at its stage."""
        base = self.bases[name]
        if self.stages.stage != base.stage:
            self.stages.put_back(base.stage)
        return bases.request(self.methods[name], base, self.stages.world)

    def _requests(self, name: str, what: str, data: bytes) -> tuple[bytes, ...]:
        """A stream of an agent begins with its hello, whatever comes then."""
        if not name.endswith("/Connect") or what.startswith(("hello", "base")):
            return (data,)
        return (self.message(name).SerializeToString(), data)


Way = tuple[FieldDescriptor, ...]


def chosen(method: MethodDescriptor, most: int) -> Iterator[tuple[Way, values.Value]]:
    """Yield places of a method and at most so many values for each: others for other places."""
    assert method.input_type is not None
    for way in wire.places(method.input_type):
        known = list(values.of(way[-1]))
        first = zlib.crc32(f"{method.full_name}.{named(way)}".encode()) % len(known)
        step = max(1, len(known) // most)
        for number in range(min(most, len(known))):
            yield way, known[(first + number * step) % len(known)]


async def every_value(
    fuzzer: Fuzzer, names: Sequence[str], rng: random.Random
) -> AsyncIterator[bool]:
    """Put every value into every place, one after another; now and then by another caller."""
    for name in names:
        for way, value in chosen(fuzzer.methods[name], 1_000):
            caller = rng.choice(list(fuzzer.stages.world.callers)) if rng.random() < 0.1 else ""
            await fuzzer.put(name, way, value, caller)
            yield True


async def random_calls(
    fuzzer: Fuzzer, rng: random.Random, names: Sequence[str]
) -> AsyncIterator[bool]:
    """Two or three wrong places in one request, without end."""
    ways = {name: _ways(fuzzer.methods[name]) for name in names}
    some = [name for name in names if ways[name]]
    while True:
        name = rng.choice(some)
        message = fuzzer.message(name)
        data, said = message.SerializeToString(), []
        count = min(len(ways[name]), rng.choice((2, 2, 3)))
        for way in rng.sample(ways[name], count):
            value = rng.choice(list(values.of(way[-1])))
            data += _beside(way, value)
            said.append(f"{named(way)}: {value[0]}")
        callers = [fuzzer.bases[name].caller] * 10 + list(fuzzer.stages.world.callers)
        await fuzzer.send(name, rng.choice(callers), ", ".join(said), data)
        yield True


def named(way: Way) -> str:
    """A way as a path."""
    return ".".join(one.name for one in way)


def _ways(method: MethodDescriptor) -> list[Way]:
    assert method.input_type is not None
    return list(wire.places(method.input_type))


def _beside(way: Way, value: values.Value) -> bytes:
    """What a place adds to a request that is bytes already: fields of a message merge."""
    data = value[1]
    for one in reversed(way[:-1]):
        data = wire.chunk(one.number, data)
    return data
