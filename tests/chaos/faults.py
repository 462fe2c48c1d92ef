"""All that is done to a site, each in three steps: strike, wait for what shows that it works, undo.

A fault is a generator: it strikes and yields, waits for an event and yields, and undoes what it
did. It lasts until that event, never for a time. Two are done at once if neither is in the way of
the other's event.
"""

import random
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.patience import until
from tests.chaos.scene import Scene
from tests.chaos.site import DATABASE, HOST, SIMULATED, SLURM, Member, Site
from tests.testbed.slurm_testbed import CONTROLLER, REST
from tests.testbed.slurm_testbed import DATABASE as ACCOUNTING

#: How much slower each sync of the database's disk is.
_SLOW_S: Final = 0.3
_HOUR_S: Final = 3_600.0


Steps = Iterator[None]


@dataclass(frozen=True, slots=True)
class Fault:
    """``kind`` is what the figures are by; ``does`` does it."""

    kind: str
    name: str
    area: str
    does: Callable[[Scene], Steps]


# --- services -------------------------------------------------------------------------------------


def _kill_leader(scene: Scene) -> Steps:
    leader, (_, epoch) = scene.site.leader(), scene.site.lease()
    leader.process.kill()
    yield
    scene.wait_for_another(epoch)
    yield
    leader.process.start()


def _kill_follower(scene: Scene) -> Steps:
    follower = scene.site.follower()
    follower.process.kill()
    yield
    scene.wait_for_submissions()
    yield
    follower.process.start()


def _kill_both(scene: Scene) -> Steps:
    _, epoch = scene.site.lease()
    for one in scene.site.replicas:
        one.process.kill()
    yield
    for one in scene.site.replicas:
        one.process.start()
    scene.wait_for_another(epoch)
    yield


def _end_leader(scene: Scene) -> Steps:
    leader, (_, epoch) = scene.site.leader(), scene.site.lease()
    leader.process.send(signal.SIGTERM)
    yield
    scene.wait_for_another(epoch)
    until(lambda: not leader.process.lives, "its end")
    yield
    leader.process.kill()  # it is buried, too
    leader.process.start()


def _stop_leader(scene: Scene) -> Steps:
    leader, (_, epoch) = scene.site.leader(), scene.site.lease()
    leader.process.send(signal.SIGSTOP)
    yield
    scene.wait_for_another(epoch)
    scene.wait_for_starts(SIMULATED, 1)
    yield
    replaced = len(leader.process.said("replaced"))
    leader.process.send(signal.SIGCONT)
    leader.process.wait_said("replaced", replaced + 1)


def _cut_leader_from_database(scene: Scene) -> Steps:
    leader, (_, epoch) = scene.site.leader(), scene.site.lease()
    scene.site.network.cut(leader.place, DATABASE)
    yield
    scene.wait_for_another(epoch)
    scene.wait_for_starts(SIMULATED, 1)
    yield
    scene.site.network.mend(leader.place, DATABASE)


def _cut_leader_one_way(scene: Scene) -> Steps:
    """What it says still arrives; it hears nothing any more."""
    leader, (_, epoch) = scene.site.leader(), scene.site.lease()
    scene.site.network.cut(DATABASE, leader.place, both=False)
    yield
    scene.wait_for_another(epoch)
    yield
    scene.site.network.mend(leader.place, DATABASE)


def _cut_follower_from_database(scene: Scene) -> Steps:
    follower = scene.site.follower()
    scene.site.network.cut(follower.place, DATABASE)
    yield
    scene.wait_for_submissions()
    yield
    scene.site.network.mend(follower.place, DATABASE)


# --- the database ---------------------------------------------------------------------------------


def _restart_database(mode: str) -> Callable[[Scene], Steps]:
    def restart(scene: Scene) -> Steps:
        if mode == "kill -9":
            scene.site.server.kill()
        else:
            scene.site.server.stop(mode)
        yield
        scene.site.server.start()
        scene.wait_for_submissions()
        yield

    return restart


def _hang_up_database(scene: Scene) -> Steps:
    for one in scene.site.replicas:
        scene.site.network.hang_up(DATABASE, one.place)
    yield
    scene.wait_for_submissions()
    yield


# --- agents ---------------------------------------------------------------------------------------


def _kill_agent(center: str) -> Callable[[Scene], Steps]:
    def kill(scene: Scene) -> Steps:
        agent = scene.site.agents[center]
        agent.process.kill()
        yield
        scene.wait_until_stuck(center)
        yield
        agent.process.start()

    return kill


def _stop_agent(scene: Scene) -> Steps:
    agent = scene.site.agents[SIMULATED]
    agent.process.send(signal.SIGSTOP)
    yield
    scene.wait_until_stuck(SIMULATED)
    yield
    agent.process.send(signal.SIGCONT)


def _cut_agent(center: str) -> Callable[[Scene], Steps]:
    def cut(scene: Scene) -> Steps:
        agent = scene.site.agents[center]
        for one in scene.site.replicas:
            scene.site.network.cut(agent.place, one.place)
        yield
        scene.wait_until_stuck(center)
        yield
        for one in scene.site.replicas:
            scene.site.network.mend(agent.place, one.place)

    return cut


def _hang_up_agents(scene: Scene) -> Steps:
    for agent in scene.site.agents.values():
        for one in scene.site.replicas:
            scene.site.network.hang_up(agent.place, one.place)
    yield
    scene.wait_for_starts(SIMULATED)
    yield


# --- Slurm ----------------------------------------------------------------------------------------


def _kill_daemon(daemon: str) -> Callable[[Scene], Steps]:
    def kill(scene: Scene) -> Steps:
        if daemon == CONTROLLER:
            until(lambda: scene.slurm.controller_is_old, "that it may be killed again")
        scene.site.slurm.kill(daemon)
        yield
        scene.wait_for_submissions()
        yield
        scene.site.slurm.start(daemon)
        if daemon == CONTROLLER:
            scene.slurm.controller_killed()

    return kill


def _freeze_controller(scene: Scene) -> Steps:
    scene.site.slurm.freeze(CONTROLLER)
    yield
    scene.wait_until_stuck(SLURM)
    yield
    scene.site.slurm.thaw(CONTROLLER)


def _restart_controller(scene: Scene) -> Steps:
    scene.site.slurm.kill(CONTROLLER, signal.SIGTERM)  # it saves all that it knows
    yield
    scene.wait_for_submissions()
    yield
    scene.site.slurm.start(CONTROLLER)


def _cut_slurm(scene: Scene) -> Steps:
    scene.site.network.cut(scene.site.agents[SLURM].place, HOST)
    yield
    scene.wait_until_stuck(SLURM)
    yield
    scene.site.network.mend(scene.site.agents[SLURM].place, HOST)


def _hang_up_slurm(scene: Scene) -> Steps:
    scene.site.network.hang_up(scene.site.agents[SLURM].place, HOST)
    yield
    scene.wait_for_submissions()
    yield


# --- clients, disk, clocks ------------------------------------------------------------------------


def _cut_clients(whom: Callable[[Site], Member]) -> Callable[[Scene], Steps]:
    def cut(scene: Scene) -> Steps:
        replica = whom(scene.site)
        scene.site.network.cut(HOST, replica.place)
        yield
        scene.wait_for_submissions()
        yield
        scene.site.network.mend(HOST, replica.place)

    return cut


def _cut_replicas(scene: Scene) -> Steps:
    scene.site.network.cut("r1", "r2")
    yield
    scene.wait_for_submissions()
    yield
    scene.site.network.mend("r1", "r2")


def _hang_up_clients(scene: Scene) -> Steps:
    for one in scene.site.replicas:
        scene.site.network.hang_up(HOST, one.place)
    yield
    scene.wait_for_submissions()
    yield


def _slow_disk(scene: Scene) -> Steps:
    scene.site.database_shim.slow_disk(_SLOW_S)
    yield
    scene.wait_for_submissions()
    yield
    scene.site.database_shim.slow_disk(0.0)


def _move_clock(by_s: float, whom: Callable[[Site], Member]) -> Callable[[Scene], Steps]:
    """While the process runs."""

    def move(scene: Scene) -> Steps:
        member = whom(scene.site)
        member.shim.move_clock(by_s)
        yield
        scene.wait_for_submissions()
        yield
        member.shim.move_clock(0.0)

    return move


def _start_with_clock(by_s: float) -> Callable[[Scene], Steps]:
    """A service is killed and begins with a wrong clock, and leads with it."""

    def start(scene: Scene) -> Steps:
        other = scene.site.follower()
        other.process.kill()
        other.shim.move_clock(by_s)
        other.process.start()
        until(lambda: scene.site.serves(other), "the one whose clock is wrong")
        yield
        leader, (_, epoch) = scene.site.leader(), scene.site.lease()
        leader.process.kill()
        scene.wait_for_another(epoch)
        scene.wait_for_starts(SIMULATED, 1)
        yield
        leader.process.start()
        until(lambda: scene.site.serves(leader), "the other")
        other.process.kill()
        other.shim.move_clock(0.0)
        other.process.start()

    return start


def _move_database_clock(by_s: float) -> Callable[[Scene], Steps]:
    def move(scene: Scene) -> Steps:
        scene.site.database_shim.move_clock(by_s)
        yield
        scene.wait_for_submissions()
        yield
        scene.site.database_shim.move_clock(0.0)

    return move


KILL, STOP, RESTART = "kill -9", "SIGSTOP", "database restart"
RESET, SLOW, CLOCK, CUT, ORDER = (
    "connections reset", "slow disk", "clock jump", "partition", "stop in order",
)  # fmt: skip
_LEAD, _BASE, _AGENT, _SLURM, _SIDE = "lead", "database", "agent", "slurm", "side"
#: Apart from the database's: after a crash that syncs each of its files, which took minutes so.
_DISK: Final = "disk"
FAULTS: Final = (
    Fault(KILL, "the leader", _LEAD, _kill_leader),
    Fault(KILL, "the follower", _LEAD, _kill_follower),
    Fault(KILL, "both services", _LEAD, _kill_both),
    Fault(ORDER, "the leader", _LEAD, _end_leader),
    Fault(STOP, "the leader", _LEAD, _stop_leader),
    Fault(CUT, "leader and database", _LEAD, _cut_leader_from_database),
    Fault(CUT, "database to leader, one way", _LEAD, _cut_leader_one_way),
    Fault(CUT, "follower and database", _LEAD, _cut_follower_from_database),
    Fault(CLOCK, "a leader begins 45 s behind", _LEAD, _start_with_clock(-45.0)),
    Fault(CLOCK, "a leader begins 20 s ahead", _LEAD, _start_with_clock(20.0)),
    Fault(RESTART, "in order (fast)", _BASE, _restart_database("fast")),
    Fault(RESTART, "at once (immediate)", _BASE, _restart_database("immediate")),
    Fault(KILL, "the database", _BASE, _restart_database("kill -9")),
    Fault(RESET, "database and services", _BASE, _hang_up_database),
    Fault(KILL, "the agent of Slurm", _AGENT, _kill_agent(SLURM)),
    Fault(KILL, "the agent of the simulated center", _AGENT, _kill_agent(SIMULATED)),
    Fault(STOP, "the agent of the simulated center", _AGENT, _stop_agent),
    Fault(CUT, "the agent of Slurm and the services", _AGENT, _cut_agent(SLURM)),
    Fault(CUT, "the simulated center's agent and the services", _AGENT, _cut_agent(SIMULATED)),
    Fault(RESET, "agents and services", _AGENT, _hang_up_agents),
    Fault(KILL, REST, _SLURM, _kill_daemon(REST)),
    Fault(KILL, ACCOUNTING, _SLURM, _kill_daemon(ACCOUNTING)),
    Fault(KILL, CONTROLLER, _SLURM, _kill_daemon(CONTROLLER)),
    Fault(STOP, CONTROLLER, _SLURM, _freeze_controller),
    Fault(ORDER, CONTROLLER, _SLURM, _restart_controller),
    Fault(CUT, "the agent and Slurm", _SLURM, _cut_slurm),
    Fault(RESET, "the agent and Slurm", _SLURM, _hang_up_slurm),
    Fault(CUT, "clients and the leader", _SIDE, _cut_clients(Site.leader)),
    Fault(CUT, "clients and the follower", _SIDE, _cut_clients(Site.follower)),
    Fault(CUT, "the two services", _SIDE, _cut_replicas),
    Fault(RESET, "clients and services", _SIDE, _hang_up_clients),
    Fault(SLOW, "each sync of the database 0.3 s", _DISK, _slow_disk),
    Fault(CLOCK, "of the leader, an hour forwards", _SIDE, _move_clock(_HOUR_S, Site.leader)),
    Fault(CLOCK, "of the leader, an hour back", _SIDE, _move_clock(-_HOUR_S, Site.leader)),
    Fault(CLOCK, "of the database, an hour forwards", _SIDE, _move_database_clock(_HOUR_S)),
    Fault(CLOCK, "of the database, an hour back", _SIDE, _move_database_clock(-_HOUR_S)),
)
KINDS: Final = (KILL, STOP, RESTART, RESET, SLOW, CLOCK, CUT, ORDER)


_TOGETHER: Final = (
    {_LEAD, _SLURM}, {_BASE, _SLURM}, {_BASE, _SIDE}, {_AGENT, _SIDE}, {_SLURM, _SIDE},
    {_AGENT, _DISK}, {_SLURM, _DISK},
)  # fmt: skip


def may_go_together(one: Fault, other: Fault) -> bool:
    """Whether neither keeps the other's event from coming."""
    return {one.area, other.area} in _TOGETHER


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """As they are waited for: a database that is away first, for all others' events need it."""
    return sorted(faults, key=lambda one: one.area != _BASE)


def rounds(deck: Sequence[Fault]) -> Iterator[list[Fault]]:
    """All of a deck in its order, each with the next one that may go with it."""
    left = list(deck)
    while left:
        fault = left.pop(0)
        other = next((one for one in left if may_go_together(fault, one)), None)
        if other is not None:
            left.remove(other)
        yield in_order([fault] if other is None else [fault, other])


def quick(seed: int) -> list[Fault]:
    """A deck of every kind of fault in each area, in some order."""
    rng = random.Random(seed)
    seen, deck = set(), []
    for fault in rng.sample(FAULTS, len(FAULTS)):
        if (fault.kind, fault.area) not in seen:
            seen.add((fault.kind, fault.area))
            deck.append(fault)
    return deck
