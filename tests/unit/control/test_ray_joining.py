"""Before Ray is asked: its token, its head, and a child that says nothing."""

import asyncio
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from scheduler import openers
from scheduler.config import BadConfig, load_settings
from scheduler.control import ray_joining
from scheduler.control.planner import PlannerAway
from scheduler.control.ray_joining import CannotJoin, Head
from scheduler.control.ray_link import ClusterAway, RayPlanner
from scheduler.control.settings import LoopSettings

TOKEN = "a1b2c3"
#: Takes all that it is told and answers nothing.
MUTE = "import socket, sys; heard = socket.socket(fileno=int(sys.argv[1]))\nwhile heard.recv(9): 0"


@pytest.fixture
async def head() -> AsyncIterator[str]:
    """Address of who answers as a Ray's head does, to whoever shows the token."""

    async def alive(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if ("authorization", f"Bearer {TOKEN}") not in (context.invocation_metadata() or ()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
        return b""

    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    methods = {"CheckAlive": grpc.unary_unary_rpc_method_handler(alive)}
    handler = grpc.method_handlers_generic_handler("ray.rpc.NodeInfoGcsService", methods)
    server.add_generic_rpc_handlers([handler])
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_a_head_is_there_for_whoever_shows_its_token(head: str) -> None:
    await Head(head, TOKEN).check(30)
    with pytest.raises(CannotJoin, match=r"does not know the token of planner\.ray_token_file"):
        await Head(head, "another").check(30)


async def test_a_head_that_is_away_is_said_to_be() -> None:
    with pytest.raises(CannotJoin, match=r"head of the Ray cluster at 127\.0\.0\.1:1 is away"):
        await Head("127.0.0.1:1", TOKEN).check(30)


async def test_nothing_is_started_for_a_cluster_that_does_not_answer() -> None:
    with pytest.raises(ClusterAway, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        await RayPlanner.open(LoopSettings(ray_address="127.0.0.1:1"))


def test_a_local_ray_gets_a_token_of_its_own_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "ray-token"
    settings = LoopSettings(ray_token_file=str(path))
    made = ray_joining.token(settings)
    assert len(made) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ray_joining.token(settings) == made
    assert [one.name for one in tmp_path.iterdir()] == ["ray-token"]


def test_a_cluster_wants_the_token_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "token"
    settings = LoopSettings(ray_address="head:6379", ray_token_file=str(path))
    with pytest.raises(CannotJoin, match="cannot read"):
        ray_joining.token(settings)
    assert not path.exists()
    path.write_text(" \n")
    with pytest.raises(CannotJoin, match="is empty"):
        ray_joining.token(settings)
    path.write_text(f"{TOKEN}\n")
    assert ray_joining.token(settings) == TOKEN
    with pytest.raises(CannotJoin, match="names no file"):
        ray_joining.token(LoopSettings(ray_address="head:6379"))


def test_a_service_has_a_token_in_its_data_directory_and_an_address_with_a_port(
    tmp_path: Path,
) -> None:
    flags = {"store.data_dir": str(tmp_path), "planner.ray_address": "head:6379"}
    found = openers.loop_settings(load_settings(None, {}, flags))
    assert (found.ray_address, found.ray_token_file) == ("head:6379", str(tmp_path / "ray-token"))
    for wrong in ("auto", "ray://head:10001", "head"):
        with pytest.raises(BadConfig, match=r"planner\.ray_address must be host:port"):
            openers.loop_settings(load_settings(None, {}, {"planner.ray_address": wrong}))


def test_actors_are_spread_over_nodes_with_processors_the_head_last() -> None:
    def node(name: str, alive: bool = True, **resources: float) -> dict[str, Any]:
        return {"NodeID": name, "Alive": alive, "Resources": resources}

    head, ours = node("a", CPU=2), node("b", memory=1)
    head["Resources"]["node:__internal_head__"] = 1.0
    nodes = [head, ours, node("d", CPU=1), node("c", CPU=1), node("e", alive=False, CPU=1)]
    assert ray_joining.places(nodes, 4) == ["c", "d", "a", "c"]
    assert ray_joining.places([head, ours], 3) == ["a", "a", "a"]
    with pytest.raises(CannotJoin, match="no node of the Ray cluster has a processor"):
        ray_joining.places([ours, node("z", CPU=0)], 1)


#: Answers an echo after so many seconds, and a sign of life after so many echoes; 0 never.
SLOW = """
import asyncio, socket, sys
from scheduler.control import frames

async def main(descriptor, slow_s, beat_after):
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    echoes, beats = 0, []
    while True:
        number, method, _ = await frames.read(reader)
        if method == "beat":
            beats.append(number)
        elif method == "echo":
            await asyncio.sleep(slow_s)
            frames.write(writer, (number, True, frames.pack(None)))
            echoes += 1
        if beat_after and echoes >= beat_after and beats:
            frames.write(writer, (beats.pop(), True, frames.pack(None)))
            echoes = 0

asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
"""


async def mute_planner(program: str = MUTE, *arguments: str) -> RayPlanner:
    """A planner whose child takes all calls and answers none, or as the program says."""
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_connection(sock=ours)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(theirs.fileno()), *arguments,
            pass_fds=[theirs.fileno()], stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    return RayPlanner(process, reader, writer, tempfile.mkdtemp())


async def test_a_ray_that_is_silent_is_given_up_in_a_call_and_between_calls() -> None:
    planner = await mute_planner()
    try:
        cycle = asyncio.create_task(planner.cycle(0, (), 1, 0))
        await asyncio.sleep(0)
        planner.watch(0.2)
        told = r"the process of the planner on Ray was silent for 0\.8 s"
        with pytest.raises(PlannerAway, match=told):
            await cycle
        with pytest.raises(PlannerAway, match=told):
            await planner.counts(0)
    finally:
        await planner.close()


async def test_a_cluster_that_is_silent_beside_its_child_is_given_up() -> None:
    planner = await mute_planner(SLOW, "0", "0")
    try:
        cycle = asyncio.create_task(planner.cycle(0, (), 1, 0))
        await asyncio.sleep(0)
        planner.watch(0.2)
        with pytest.raises(PlannerAway, match=r"^Ray was silent for 0\.2 s"):
            await cycle
    finally:
        await planner.close()


async def test_a_machine_that_is_busy_is_not_taken_for_a_cluster_that_is_away() -> None:
    # A sign of life comes after seven echoes of 0.1 s each: that is above 0.2 s, and all is slow.
    planner = await mute_planner(SLOW, "0.1", "7")
    try:
        assert await planner._sign_of_life(0.2) is None
        assert await planner._sign_of_life(0.2) is None
    finally:
        await planner.close()
