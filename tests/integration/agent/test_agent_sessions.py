"""Who may connect as an agent, what ends a session, and what is believed while there is none."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import adapter_service_pb2 as pb
from corridor.v1 import adapter_service_pb2_grpc
from structlog.testing import capture_logs

from adapters.agent import words
from adapters.agent.remote import RemoteCenter, RemoteSettings
from adapters.agent.session import Session
from adapters.contract import Accepted, CenterAdapter, RunRef, RunRequest, boot_s
from adapters.errors import OutcomeUnknown, Unavailable
from adapters.gate import Gate, GateSettings
from adapters.simulated import accepted_names
from scheduler.agent.link import Link, LinkSettings
from scheduler.rpc.agent_messages import from_scheduler, to_agent

CENTER = "wuhan-ai"
PATIENCE_S = 20.0
HELLO = words.Hello(words.PROTOCOL, CENTER, "test", "journal-1", 0)
GREETING = pb.ConnectRequest(hello=pb.AgentHello(protocol=1, center=CENTER, journal_id="journal-1"))
STRANGE = pb.RunReport(
    run=pb.RunName(run_id="j1.1", name="n"),
    observed=pb.RunObserved(run_id="j1.1", phase=99),  # type: ignore[arg-type]
)


async def until(holds: Any) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


# --- who may connect ------------------------------------------------------------------------------


async def test_a_token_of_another_center_is_refused(desk: Any, near: Any) -> None:
    await near.hang_up()
    near.journal.center = "wuhan-sc"
    ended = await near.link.dial_once(desk.address)
    assert (ended.welcomed, ended.lasting) == (False, True)
    assert "the token tok-agent is of center wuhan-ai, and the agent speaks for wuhan-sc" in (
        ended.reason
    )
    assert "corridor token create NAME --role agent --center wuhan-sc" in ended.reason
    near.journal.center = CENTER


async def test_a_center_that_is_not_reached_by_an_agent_has_none(desk: Any, near: Any) -> None:
    await near.hang_up()
    del desk.remotes[CENTER]
    ended = await near.link.dial_once(desk.address)
    assert ended.lasting
    assert "FAILED_PRECONDITION: this service does not reach wuhan-ai through an agent" in (
        ended.reason
    )
    desk.forget()


async def test_only_who_leads_takes_an_agent(desk: Any, near: Any) -> None:
    await near.hang_up()
    desk.epoch = None
    ended = await near.link.dial_once(desk.address)
    assert (ended.welcomed, ended.lasting) == (False, False)
    assert "UNAVAILABLE: this service does not lead now" in ended.reason


async def test_a_leader_that_is_over_takes_no_agent(desk: Any, near: Any) -> None:
    await near.hang_up()
    near.journal.obey(7)
    ended = await near.link.dial_once(desk.address)
    assert not ended.welcomed
    assert "led under epoch 1, and a later leader was obeyed under epoch 7" in ended.reason


async def test_an_unknown_token_is_refused_and_a_new_one_is_read(desk: Any, near: Any) -> None:
    await near.hang_up()
    token = near.folder / "token"
    good = token.read_text()
    token.write_text("cor_" + "x" * 40)
    ended = await near.link.dial_once(desk.address)
    assert ended.lasting
    assert "UNAUTHENTICATED" in ended.reason
    token.write_text(good)
    near.dial()
    await until(lambda: desk.remote.ready)


@pytest.mark.parametrize("text", ["", "my secret", "cor_a cor_b", "cor_ä"])
async def test_a_file_without_a_token_is_told(near: Any, text: str) -> None:
    await near.hang_up()
    (near.folder / "token").write_text(text, "utf-8")
    ended = await near.link.dial_once(near.desk.address)
    assert ended.lasting
    assert "holds no token" in ended.reason
    assert not text or text not in ended.reason


async def test_a_token_file_that_others_can_read_is_told(desk: Any, near: Any) -> None:
    await near.hang_up()
    desk.epoch = None
    for mode, told in ((0o640, 1), (0o600, 0)):
        (near.folder / "token").chmod(mode)
        with capture_logs() as logs:
            await near.link.dial_once(desk.address)
        assert sum(one["event"] == "token_file_open" for one in logs) == told


async def spoken(desk: Any, *said: pb.ConnectRequest) -> grpc.aio.AioRpcError:
    """Say these words as an agent would; returns how the call ended."""
    metadata = (("authorization", f"Bearer {desk.secret}"),)

    async def words() -> AsyncIterator[pb.ConnectRequest]:
        for one in said:
            yield one
        await asyncio.sleep(PATIENCE_S)

    async with grpc.aio.insecure_channel(desk.address) as channel:
        stub: Any = adapter_service_pb2_grpc.AdapterServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.Connect(words(), metadata=metadata):
                pass
    return caught.value


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            [pb.ConnectRequest(hello=pb.AgentHello(protocol=99, center=CENTER))],
            "hello.protocol: must be 1, not 99: upgrade the older of agent and service",
        ),
        ([pb.ConnectRequest(reports=pb.RunReports())], "said: must be hello first"),
        ([pb.ConnectRequest()], "said: the agent said nothing that this version knows"),
        ([GREETING, GREETING], "said: Hello is out of place here"),
        (
            [GREETING, pb.ConnectRequest(reports=pb.RunReports(runs=[pb.RunReport()]))],
            "said: a run has no id or no name",
        ),
        (
            [GREETING, pb.ConnectRequest(reports=pb.RunReports(runs=[STRANGE]))],
            "said: run 'j1.1' is observed in an unknown phase 99",
        ),
    ],
)
async def test_what_makes_no_sense_ends_the_session(
    desk: Any, near: Any, said: Any, told: str
) -> None:
    await near.hang_up()
    error = await spoken(desk, *said)
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, told)
    assert desk.remote.session is None


async def test_the_next_address_is_tried(desk: Any, near: Any) -> None:
    await near.hang_up()
    servers = ("127.0.0.1:1", desk.address)
    settings = LinkSettings(servers, near.folder / "token", pause_min_s=0.01)
    near.link = Link(near.agent, settings, "test")
    near.dial()
    await until(lambda: desk.remote.ready)


async def test_tls_is_spoken_and_its_authority_checked(near: Any) -> None:
    """With a CA it speaks TLS also on this machine: a server of plain text is not believed."""
    await near.hang_up()
    cert = Path(__file__).parents[2] / "data" / "tls"
    server = grpc.aio.server()
    pair = ((cert / "key.pem").read_bytes(), (cert / "cert.pem").read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    try:
        for name, said in (("cert.pem", "UNIMPLEMENTED"), ("other.pem", "UNAVAILABLE")):
            settings = LinkSettings(
                (f"localhost:{port}",), near.folder / "token", tls_ca=cert / name
            )
            ended = await Link(near.agent, settings, "test").dial_once(f"localhost:{port}")
            assert said in ended.reason, name
    finally:
        await server.stop(0)


async def test_plain_text_is_spoken_to_this_machine_alone(desk: Any, near: Any) -> None:
    """An address that is not loopback gets TLS: a server of plain text never sees the token."""
    await near.hang_up()
    await desk.stop()
    await desk.start(host="0.0.0.0")
    port = desk.address.rpartition(":")[2]
    ended = await near.link.dial_once(f"0.0.0.0:{port}")
    assert (ended.welcomed, ended.lasting) == (False, False)
    assert "UNAVAILABLE" in ended.reason
    assert desk.calls == []


# --- what is believed -----------------------------------------------------------------------------


async def test_nothing_is_believed_while_no_agent_is_there(desk: Any, near: Any) -> None:
    assert (await desk.remote.health()).ok
    await near.hang_up()
    await until(lambda: desk.remote.session is None)
    calls = (
        desk.remote.describe(), desk.remote.list_active(), desk.remote.find([]),
        desk.remote.usage([]), desk.remote.cancel(RunRef("j1.1", "n")),
        desk.remote.logs(RunRef("j1.1", "n"), 0, 10),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(Unavailable, match="the agent of wuhan-ai is away"):
            await call
    assert not (await desk.remote.health()).ok


async def attached(remote: RemoteCenter) -> Session:
    """An agent that has told all but its inventory."""
    session = remote.attach(HELLO, 1)
    await session.next_word()
    session.hear(words.Standing(None, 0.0))
    return session


async def test_half_an_inventory_is_not_believed() -> None:
    remote = RemoteCenter(CENTER)
    session = await attached(remote)
    session.hear(words.Inventory((), True, False))
    with pytest.raises(Unavailable, match="has not told yet what it holds"):
        await remote.list_active()
    session.hear(words.Inventory((), False, True))
    assert (await remote.list_active()).observations == ()


async def test_an_old_look_at_the_center_is_not_believed() -> None:
    now_s = 1_000.0
    remote = RemoteCenter(CENTER, RemoteSettings(stale_s=60), lambda: now_s)
    session = await attached(remote)
    session.hear(words.Inventory((), True, True))
    now_s += 59
    await remote.list_active()
    now_s += 2
    with pytest.raises(Unavailable, match="last 61 s ago, more than the 60 s of 'stale_s'"):
        await remote.list_active()
    session.hear(words.Standing(Unavailable("controller is down"), 1.0))
    with pytest.raises(Unavailable, match="controller is down"):
        await remote.list_active()


async def test_a_silent_agent_is_taken_for_gone() -> None:
    now_s = 1_000.0
    remote = RemoteCenter(CENTER, RemoteSettings(heartbeat_s=5), lambda: now_s)
    session = await attached(remote)
    now_s += 15
    assert not session.is_silent
    now_s += 0.1
    assert session.is_silent


# --- what ends a session --------------------------------------------------------------------------


async def test_a_newer_session_replaces_an_older_one(desk: Any, near: Any) -> None:
    older = desk.remote.session
    other = Link(near.agent, LinkSettings((desk.address,), near.folder / "token"), "newer")
    task = asyncio.create_task(other.dial_once(desk.address))
    await until(lambda: desk.remote.session not in (older, None))
    assert older.replaced
    await until(lambda: ("Connect", "ABORTED") in desk.calls)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_had_left_is_unknown_and_what_had_not_certainly_had_no_effect() -> None:
    remote = RemoteCenter(CENTER)
    session = await attached(remote)
    sent = asyncio.ensure_future(remote.cancel(RunRef("j1.1", "n")))
    await asyncio.sleep(0)
    assert isinstance(await session.next_word(), words.Command)
    unsent = asyncio.ensure_future(remote.cancel(RunRef("j2.1", "n")))
    await asyncio.sleep(0)
    remote.detach(session, "the test cut it")
    with pytest.raises(OutcomeUnknown, match="the test cut it"):
        await sent
    with pytest.raises(Unavailable, match="the test cut it"):
        await unsent


async def test_a_command_that_takes_too_long_is_unknown() -> None:
    remote = RemoteCenter(CENTER, RemoteSettings(call_s=0.01))
    session = await attached(remote)
    with pytest.raises(Unavailable, match=r"no answer within 0\.01 s"):
        await remote.cancel(RunRef("j1.1", "n"))
    assert not session._out, "nobody waits for it: it is not sent later"
    call = asyncio.ensure_future(remote.cancel(RunRef("j2.1", "n")))
    await asyncio.sleep(0)
    await session.next_word()
    with pytest.raises(OutcomeUnknown):
        await call


class Held(Gate):
    """Takes a submission, and holds its answer until told."""

    def __init__(self, inner: CenterAdapter) -> None:
        super().__init__(inner, GateSettings(), time.monotonic)
        self.go, self.taken = asyncio.Event(), asyncio.Event()

    async def submit(self, request: RunRequest) -> Accepted:
        answer = await super().submit(request)
        self.taken.set()
        await self.go.wait()
        return answer


async def test_a_submission_outlives_its_session_and_is_adopted(
    desk: Any, near: Any, subject: Any, tmp_path: Path
) -> None:
    held = Held(near.center)
    near.agent.adapter = held
    request = subject.request(3600)
    call = asyncio.create_task(desk.remote.submit(request))
    await held.taken.wait()
    await near.hang_up()
    with pytest.raises(OutcomeUnknown):
        await call
    near.dial()
    held.go.set()
    await until(lambda: desk.remote.ready)
    async with asyncio.timeout(PATIENCE_S):
        seen = (await desk.remote.find([request.ref]))[request.run_id]
        assert (await desk.remote.submit(request)).native_id == seen.native_id
    assert accepted_names(tmp_path / "center.jsonl") == {request.name: 1}


async def test_a_submission_has_its_last_moment_on_the_agents_clock() -> None:
    now_s = 1_000.0
    remote = RemoteCenter(CENTER, now_s=lambda: now_s)
    session = await attached(remote)
    session.hear(words.Standing(None, 0.0, clock_s=77.0))
    now_s += 4  # the agent's time goes on too, however long the command takes to get there
    request = RunRequest("j1.1", "n", 1, "c", "e", "f", 1, 1, 60, send_by_s=now_s + 20)
    call = asyncio.ensure_future(remote.submit(request))
    await asyncio.sleep(0)
    command = await session.next_word()
    assert isinstance(command, words.Command)
    assert command.body == replace(request, send_by_s=77.0 + 4 + 20)
    sent = to_agent(from_scheduler(command))
    assert sent == command
    remote.detach(session, "the test cut it")
    with pytest.raises(OutcomeUnknown):
        await call


async def test_a_submission_that_comes_too_late_is_not_made(
    desk: Any, near: Any, subject: Any, tmp_path: Path
) -> None:
    near.agent.adapter = Gate(near.center, GateSettings(), time.monotonic)
    late, timely = subject.request(3600), subject.request(3600)
    with pytest.raises(Unavailable):
        await desk.remote.submit(replace(late, send_by_s=boot_s() - 0.01))
    assert late.run_id not in near.journal.runs
    await desk.remote.submit(replace(timely, send_by_s=boot_s() + PATIENCE_S))
    assert accepted_names(tmp_path / "center.jsonl") == {timely.name: 1}


async def test_a_restarted_service_is_told_everything(desk: Any, near: Any, subject: Any) -> None:
    requests = [subject.request(3600) for _ in range(3)]
    for request in requests:
        await desk.remote.submit(request)
    port = int(desk.address.rpartition(":")[2])
    await desk.stop()
    desk.forget()
    desk.epoch = 2
    await desk.start(port)
    await near.heard()
    listed = {one.run_id for one in (await desk.remote.list_active()).observations}
    assert listed == {request.run_id for request in requests}
    assert near.journal.epoch == 2


async def test_runs_that_the_store_is_done_with_are_forgotten_at_the_next_exchange(
    desk: Any, near: Any, subject: Any
) -> None:
    short, long = subject.request(1), subject.request(3600)
    for request in (short, long):
        await desk.remote.submit(request)
    for _ in range(6):
        await subject.let_pass()
    assert near.journal.runs[short.run_id].usage
    await near.hang_up()
    desk.forget()

    async def settled(run_ids: Any) -> set[str]:
        return set(run_ids) & {short.run_id}

    desk.remote.settled = settled
    near.dial()
    await until(lambda: set(near.journal.runs) == {long.run_id})
    assert set(desk.remote.mirror.runs) == {long.run_id}
