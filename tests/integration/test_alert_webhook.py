"""Alerts are handed over to a receiver by HTTP: signed, at least once, in order."""

import hmac
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from quota.rules import Rule
from scheduler.config import BadConfig, load_settings
from scheduler.control.bookkeeping import BookDesk, Bookkeeping
from scheduler.control.digesting import DigestDesk
from scheduler.control.webhook import Webhook
from scheduler.openers import book_desk
from scheduler.signing import Signer
from scheduler.store import alerts
from scheduler.store.database import Connection
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

T = TypeVar("T")
SECRET = b"a shared secret"


class Receiver:
    """A city's own system: takes what it is posted, or refuses it with ``status``."""

    def __init__(self) -> None:
        self.status = 204
        self.posted: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posted.append((dict(self.headers), body))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing to say."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/alerts"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Port:
    """The loop, as far as bookkeeping knows it."""

    def __init__(self, hands: Hands) -> None:
        self.epoch, self._db = hands.epoch, hands.db

    async def write(self, call: Callable[[Connection], T]) -> T:
        return self._db.do(call)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def hands() -> Hands:
    """A fund of which 80 % are held."""
    hands = Hands(worlds.build(rules=((Rule("v", 1, "wuhan", 5_000), 1_000),)))
    (uid,) = hands.world.submit("w1", [job(NPU, wall_s=7_500)])
    hands.run(uid)
    return hands


def books_of(hands: Hands, receiver: Any, tmp_path: Path) -> Bookkeeping:
    desk = BookDesk(DigestDesk(Signer.new(), tmp_path), receiver)
    return Bookkeeping(hands.db, hands.clock, Port(hands), desk)


async def test_each_alert_is_posted_once_and_signed(
    hands: Hands, receiver: Receiver, tmp_path: Path
) -> None:
    books = books_of(hands, Webhook(receiver.url, SECRET), tmp_path)
    await books.once()
    for _ in range(3):
        await books.hand_over()
    assert [json.loads(body)["threshold"] for _, body in receiver.posted] == [50, 80]
    headers, body = receiver.posted[0]
    said = json.loads(body)
    assert (said["kind"], said["name"], said["city"]) == ("FUND_USED", "v/2026", "wuhan")
    assert headers["X-Corridor-Alert"] == str(said["number"])
    signature = hmac.new(SECRET, body, "sha256").hexdigest()
    assert headers["X-Corridor-Signature"] == f"sha256={signature}"


async def test_what_is_refused_is_posted_again_later_and_later(
    hands: Hands, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.status = 503
    books = books_of(hands, Webhook(receiver.url, b""), tmp_path)
    await books.once()
    await books.hand_over()
    assert len(receiver.posted) == 2
    assert "X-Corridor-Signature" not in receiver.posted[0][0]
    await books.hand_over()
    assert len(receiver.posted) == 2  # not before it is due
    hands.clock.ms += 15_000
    await books.hand_over()
    hands.clock.ms += 15_000
    await books.hand_over()
    assert len(receiver.posted) == 4  # the second wait is longer
    receiver.status = 200
    hands.clock.ms += 15_000
    await books.hand_over()
    hands.clock.ms += 3_600_000
    await books.hand_over()
    assert len(receiver.posted) == 6
    rows = hands.db.rows("SELECT tries, delivered_ms IS NULL FROM alert ORDER BY number")
    assert rows == [(3, 0), (3, 0)]


async def test_a_receiver_that_is_away_loses_nothing(
    hands: Hands, receiver: Receiver, tmp_path: Path
) -> None:
    nobody = Receiver()
    nobody.close()
    books = books_of(hands, Webhook(nobody.url, SECRET), tmp_path)
    await books.once()
    await books.hand_over()
    hands.clock.ms += 15_000
    found = hands.db.do(lambda c: alerts.undelivered(c, hands.clock.ms, 0, 10))
    assert [one.tries for one in found] == [1, 1]
    await books_of(hands, Webhook(receiver.url, SECRET), tmp_path).hand_over()
    assert len(receiver.posted) == 2


async def test_without_a_webhook_nothing_is_handed_over(hands: Hands, tmp_path: Path) -> None:
    books = books_of(hands, None, tmp_path)
    assert list(books.bodies()) == ["books"]
    await books.once()
    await books.hand_over()
    assert hands.db.rows("SELECT count(*) FROM alert WHERE tries > 0") == [(0,)]


@pytest.mark.parametrize(
    ("url", "secret", "why"),
    [
        ("ftp://a/b", "", "must be https://HOST/"),
        ("http://money.example/alerts", "", "would travel in plain text"),
        ("https://money.example/alerts", "missing", "cannot read"),
        ("https://money.example/alerts", "empty", "is empty"),
    ],
)
def test_a_webhook_that_cannot_be_used_is_refused_at_the_start(
    url: str, secret: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    given = {
        "store.data_dir": str(tmp_path / "data"),
        "alerts.webhook_url": url,
        "alerts.webhook_secret_file": str(tmp_path / secret) if secret else "",
    }
    with pytest.raises(BadConfig, match=why):
        book_desk(load_settings(None, {}, given))


def test_a_webhook_is_opened_as_set(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    given = {
        "store.data_dir": str(tmp_path / "data"),
        "alerts.webhook_url": "http://127.0.0.1:9/alerts",
        "alerts.webhook_secret_file": str(tmp_path / "secret"),
        "alerts.every_s": 2.5,
    }
    desk = book_desk(load_settings(None, {}, given))
    assert desk.receiver == Webhook("http://127.0.0.1:9/alerts", SECRET)
    assert desk.every_s == 2.5
