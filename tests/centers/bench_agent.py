"""A center behind its agent: the agent is killed at its calls, and so is the service, and both."""

import contextlib
import json
import math
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from corridor.v1 import identity_service_pb2 as identity_pb
from corridor.v1 import job_pb2

from scheduler.store import seed
from tests.centers import mortal_agent, stricken
from tests.centers.bench_simulated import SimulatedBench
from tests.centers.matrix import Bench, Native, Outcome, Row, Story

_PROGRAM: Final = Path(mortal_agent.__file__)
_TOKEN_S: Final = 86_400
#: The steps of an agent's work at its center, and those at which a death has most to undo.
_STEPS: Final = ("submit", "list", "find", "cancel", "usage", "acknowledge")
_GRAVE: Final = ("submit", "cancel", "usage")
_TURNS: Final = {"submit": 0, "cancel": 2, "acknowledge": 3}


def _killed(victim: str, steps: Sequence[str]) -> tuple[Row, ...]:
    """One of ``mortal_agent.VICTIMS`` is killed at each of these calls of the agent; without a
    victim the service kills itself at its own, which go to the agent."""
    return tuple(
        Row(fault, step, f"{fault}@{step}")
        for step in steps
        for when in ("before", "after")
        for fault in [f"{victim}-killed-{when}" if victim else f"kill-{when}"]
    )


def _wave(*rows: Row) -> tuple[Row, ...]:
    """A submission, cancellation or acknowledgement that another row's death cuts off may not come
    again, and would never be struck by its own: submissions begin, the others wait for the rest."""
    return tuple(sorted(rows, key=lambda row: _TURNS.get(row.step, 1)))


_NONE: Final = Row("none", "submit")
_AGENT: Final = _killed("agent", _STEPS)
_LOST: Final = _killed("lost-agent", _GRAVE)
_BOTH: Final = _killed("both", _GRAVE)
_SERVICE: Final = (*_killed("service", _GRAVE), *_killed("", _GRAVE))
#: Journals are lost first: what was settled before would not be heard of any more. Of what is
#: acknowledged together one death is enough, so that those two rows are in two waves.
WAVES: Final = (
    _wave(_NONE, *_LOST, *_BOTH),
    _wave(*_AGENT[:-1]),
    _wave(*_SERVICE, _AGENT[-1]),
)
#: The same in less time.
FEW_WAVES: Final = (_wave(_NONE, *_BOTH, _AGENT[-1]), _wave(*_AGENT[:-1]))
#: The gravest alone, where a center itself takes its time.
ONE_WAVE: Final = (_wave(_NONE, *_killed("agent", _GRAVE), *_killed("both", ("submit",))),)
#: The order in which they are told of.
_ROWS: Final = (_NONE, *_AGENT, *_LOST, *_BOTH, *_SERVICE)


class AgentBench:
    """Another bench's center, reached through an agent; nothing else harms it."""

    def __init__(
        self, kind: str, inner: Bench, folder: Path, waves: Sequence[Sequence[Row]] = WAVES
    ) -> None:
        self.kind, self.waves = kind, waves
        self.center, self.flavor = inner.center, inner.flavor
        self._inner, self._folder = inner, folder
        self._address = f"127.0.0.1:{_free_port()}"
        self.flags: Mapping[str, object] = {"server.listen": self._address}

    def entry(self) -> Mapping[str, Any]:
        """See ``Bench``: the service's own file; the agent's has what the center is."""
        simulated = self._inner.entry().get("simulated", True)
        return {"kind": "agent", "simulated": simulated, "settings": {"heartbeat_s": 1}}

    def job(self, fate: str) -> job_pb2.JobSpec:
        """See ``Bench``."""
        return self._inner.job(fate)

    def arm(self, rows: Sequence[Row]) -> None:
        """See ``Bench``: service and agent strike themselves."""

    def cut_after_s(self, row: Row) -> float:
        """See ``Bench``: a row that must not be cut off by another's death waits (``_wave``)."""
        [wave] = [rows for rows in self.waves if row in rows]
        before = wave[: wave.index(row)] if _TURNS.get(row.step, 0) > 1 else ()
        if not all(self.struck(one) or one.fault == "none" for one in before):
            return math.inf
        return self._inner.cut_after_s(row)

    def struck(self, row: Row) -> int:
        """See ``Bench``."""
        return stricken.struck(self._folder / "strikes", row.name)

    def native(self) -> Mapping[str, Native]:
        """See ``Bench``: the center's own books, wherever it is called from."""
        return self._inner.native()

    @staticmethod
    def place(outcome: Outcome) -> int:
        """Where it stands among others on the page."""
        return _ROWS.index(outcome.row)

    @contextlib.contextmanager
    def agent(self, story: Story) -> Iterator[None]:
        """An agent with a token of the story's service, which is alive again whenever it dies."""
        order = {
            "center": self.center,
            "centers_file": str(self._centers_file()),
            "server": self._address,
            "token_file": str(self._token_file(story)),
            "state_dir": str(self._folder / "agent"),
            "strikes": str(story.strikes),
        }
        log = self._folder / "agent.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), json.dumps(order)], stderr=errors
            )
            try:
                yield
                assert process.poll() is None, "it ended by itself"
            except AssertionError as error:
                error.add_note(f"the agent: {log.read_text('utf-8', 'replace')[-5_000:]}")
                raise
            finally:
                process.kill()
                process.wait()

    def _centers_file(self) -> Path:
        """The sample's center as the inner bench has it; it stays with the agent."""
        sample = yaml.safe_load((seed.DATA / "centers.yaml").read_text("utf-8"))
        [mine] = [one for one in sample["centers"] if one["center"] == self.center]
        path = self._folder / "near.yaml"
        path.write_text(yaml.safe_dump({"centers": [{**mine, **self._inner.entry()}]}), "utf-8")
        return path

    def _token_file(self, story: Story) -> Path:
        token = identity_pb.Token(subject="agent", role=identity_pb.ROLE_AGENT, center=self.center)
        token.expire_time.FromSeconds(int(time.time()) + _TOKEN_S)
        request = identity_pb.CreateTokenRequest(token=token)
        path = self._folder / "token"
        path.touch(0o600)
        path.write_text(story.call(lambda client: client.identity.CreateToken(request)).secret)
        return path


class NearSimulated(SimulatedBench):
    """The simulated center as an agent has it: on real time, with its journal at the agent."""

    runtime_s = 1

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.journal = folder / "agent" / f"{self.center}.journal"

    def entry(self) -> Mapping[str, Any]:
        """See ``Bench``."""
        return {"settings": {"seed": 1, "settle_s": 0.3, "usage_delay_s": 0.2}}

    def cut_after_s(self, row: Row) -> float:
        """See ``Bench``: only whole seconds cost."""
        return 1.2


def _free_port() -> int:
    """A port that nobody uses, below those that systems give out by themselves: agents dial it
    while its service is dead."""
    rng = random.SystemRandom()
    while True:
        port = rng.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            return port
