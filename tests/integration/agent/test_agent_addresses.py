"""An agent of several addresses, and of a name with several records, dials until one leads."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from scheduler.addresses import each_given
from scheduler.agent.link import Dialed, Link, LinkSettings

TIMEOUT_S = 10


class Dialing(Link):
    """Dials nobody: who leads takes it in, all others refuse, and each dial is noted."""

    def __init__(self, servers: tuple[str, ...], leader: str, known: dict[str, list[str]]) -> None:
        self.dialed: list[tuple[str, str | None]] = []
        self.pauses: list[int] = []
        self.leader, self.known = leader, known
        self.led, self.paused_twice = asyncio.Event(), asyncio.Event()
        agent: Any = None
        super().__init__(
            agent, LinkSettings(servers, Path("token")), "test",
            pause=self._wait, draw=lambda: 1.0, look_up=lambda host: known[host],
        )  # fmt: skip

    async def _wait(self, pause_s: float) -> None:
        self.pauses.append(len(self.dialed))
        if len(self.pauses) == 2:
            self.paused_twice.set()
        await asyncio.sleep(0)

    async def dial_once(self, address: str, tls_name: str | None = None) -> Dialed:
        self.dialed.append((address, tls_name))
        if address == self.leader:
            self.led.set()
            await asyncio.Event().wait()
        return Dialed(False, False, "UNAVAILABLE: this replica does not lead")

    async def until_led(self) -> None:
        task = asyncio.create_task(self.dial_forever())
        async with asyncio.timeout(TIMEOUT_S):
            await self.led.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_address_is_dialed_in_turn_and_then_it_waits() -> None:
    link = Dialing(("10.0.0.1", "10.0.0.2:5"), "nobody", {})
    task = asyncio.create_task(link.dial_forever())
    async with asyncio.timeout(TIMEOUT_S):
        await link.paused_twice.wait()
    task.cancel()
    assert link.dialed[:4] == [("10.0.0.1", None), ("10.0.0.2:5", None)] * 2
    assert link.pauses[:2] == [2, 4], "not before all were tried"


async def test_every_record_of_a_name_is_dialed() -> None:
    known = {"corridor.example": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]}
    link = Dialing(("corridor.example:5",), "10.0.0.3:5", known)
    await link.until_led()
    assert link.dialed == [(f"10.0.0.{n}:5", "corridor.example") for n in (1, 2, 3)]


async def test_records_are_looked_up_anew_for_each_round() -> None:
    known = {"corridor.example": ["10.0.0.1", "10.0.0.2"]}
    link = Dialing(("corridor.example",), "10.0.0.9:7443", known)

    async def moves(pause_s: float) -> None:
        known["corridor.example"] = ["10.0.0.8", "10.0.0.9"]
        await asyncio.sleep(0)

    link._pause = moves
    await link.until_led()
    assert link.dialed[-1] == ("10.0.0.9:7443", "corridor.example")
    assert len(link.dialed) == 4


@pytest.mark.parametrize(
    ("given", "servers"),
    [(["a", "b:5"], ("a", "b:5")), (["a, b:5"], ("a", "b:5")), (["a,b", "c"], ("a", "b", "c"))],
)
def test_addresses_are_given_with_commas_or_again(
    given: list[str], servers: tuple[str, ...]
) -> None:
    assert each_given(given) == servers
