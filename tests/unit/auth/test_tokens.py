import pytest

from scheduler.auth import tokens
from scheduler.auth.verifier import Verified, Verifier
from scheduler.domain.principal import Principal, Role
from scheduler.errors import Unauthenticated


def test_secrets_are_long_random_and_never_stored_as_such() -> None:
    made = {tokens.new_secret() for _ in range(50)}
    assert len(made) == 50
    secret = made.pop()
    assert secret.startswith("cor_")
    assert len(secret) >= 36
    assert secret not in tokens.fingerprint(secret)
    assert tokens.bearer(f"Bearer {secret}") == secret


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "TOKEN_MISSING"),
        ("", "TOKEN_MISSING"),
        ("Basic abc", "TOKEN_MALFORMED"),
        ("Bearer ", "TOKEN_MALFORMED"),
        ("Bearer cor_short", "TOKEN_MALFORMED"),
        ("Bearer cor_" + "a" * 39 + "!", "TOKEN_MALFORMED"),
        (b"\xff\xfe", "TOKEN_MALFORMED"),
    ],
)
def test_a_malformed_authorization_is_refused(value: str | bytes | None, reason: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        tokens.bearer(value)
    assert caught.value.reason == reason


class Shelf:
    """A token store of one token, counting how often it is asked."""

    def __init__(self, secret: str, expire_ms: int) -> None:
        self.key = tokens.fingerprint(secret)
        self.principal = Principal("li", Role.OPERATOR, None, None, None, "tok-1", expire_ms)
        self.revoked_ms: int | None = None
        self.asked = 0

    async def look(self, key: str) -> Verified | None:
        self.asked += 1
        return Verified(self.principal, self.revoked_ms) if key == self.key else None


class Hands:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.wall_ms = 1_000
        self.real_s = 0.0


async def test_a_verified_token_is_remembered_and_a_revoked_one_forgotten_in_time() -> None:
    secret, hands = tokens.new_secret(), Hands()
    shelf = Shelf(secret, expire_ms=10**12)
    verifier = Verifier(shelf.look, lambda: hands.wall_ms, lambda: hands.real_s)
    for _ in range(3):
        assert (await verifier.principal(f"Bearer {secret}")).subject == "li"
    assert shelf.asked == 1
    shelf.revoked_ms = 5
    hands.real_s = 4.9
    await verifier.principal(f"Bearer {secret}")
    hands.real_s = 5.1
    for _ in range(2):
        with pytest.raises(Unauthenticated) as caught:
            await verifier.principal(f"Bearer {secret}")
        assert caught.value.reason == "TOKEN_REVOKED"


async def test_expiry_counts_even_while_remembered() -> None:
    secret, hands = tokens.new_secret(), Hands()
    shelf = Shelf(secret, expire_ms=2_000)
    verifier = Verifier(shelf.look, lambda: hands.wall_ms, lambda: hands.real_s)
    await verifier.principal(f"Bearer {secret}")
    hands.wall_ms = 2_000
    with pytest.raises(Unauthenticated) as caught:
        await verifier.principal(f"Bearer {secret}")
    assert caught.value.reason == "TOKEN_EXPIRED"
    assert caught.value.metadata == {"token_id": "tok-1"}


async def test_an_unknown_token_is_refused_and_forget_asks_again() -> None:
    secret, hands = tokens.new_secret(), Hands()
    shelf = Shelf(secret, expire_ms=10**12)
    verifier = Verifier(shelf.look, lambda: hands.wall_ms, lambda: hands.real_s)
    with pytest.raises(Unauthenticated) as caught:
        await verifier.principal(f"Bearer {tokens.new_secret()}")
    assert caught.value.reason == "TOKEN_UNKNOWN"
    await verifier.principal(f"Bearer {secret}")
    verifier.forget()
    await verifier.principal(f"Bearer {secret}")
    assert shelf.asked == 3
