"""Secrets that somebody wrote into the log all the same do not come out of it."""

import json
import logging

import pytest
import structlog

from scheduler import logs
from scheduler.auth import tokens
from scheduler.redacting import redacted
from tests.issuer import by_hand

TOKEN = "cor_" + "Ab3" * 13 + "x"
JWT = by_hand({"alg": "ES256", "kid": "k"}, {"sub": "li", "exp": 5}, b"signature")
KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIH\nabc\n-----END EC PRIVATE KEY-----"
PASSWORD = "p4ss:w0rd"


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (f"token={TOKEN} id=tok-1", "token=cor_*** id=tok-1"),
        (f"authorization: Bearer {TOKEN}", "authorization: Bearer cor_***"),
        ("authorization: Bearer 0123456789abcdef", "authorization: Bearer ***"),
        (f"sent {JWT}, refused", "sent eyJ***, refused"),
        (f"postgresql://app:{PASSWORD}@db/corridor", "postgresql://app:***@db/corridor"),
        (f"read {KEY} from x", "read -----EC PRIVATE KEY ***----- from x"),
        (json.dumps({"key": KEY})[:40], '{"key": "-----EC PRIVATE KEY ***-----'),
        ("Basic dXNlcjpwYXNz", "Basic ***"),
        # What is no secret stays as it is.
        ("corridor_jobs_total at https://host:7443/path, user@host", None),
        ("basic case, bearer of news", None),
    ],
)
def test_lines_lose_their_secrets_alone(line: str, left: str | None) -> None:
    assert redacted(line) == (line if left is None else left)


def test_tokens_as_they_are_made_are_found() -> None:
    for _ in range(20):
        assert redacted(f"<{tokens.new_secret()}>") == "<cor_***>"


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_line_of_ours_or_of_a_library_has_one(
    form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(form, "debug")
    try:
        log = structlog.get_logger()
        log.warning("told", token=TOKEN, nested={"deep": [JWT]}, url=f"x://u:{PASSWORD}@h/")
        logging.getLogger("a.library").error("sent Bearer %s", TOKEN)
        try:
            raise ValueError(f"not {TOKEN}, with {KEY}")
        except ValueError as error:
            log.error("failed", exc_info=error)
            logging.getLogger("a.library").exception("it failed")
    finally:
        structlog.reset_defaults()
        logging.basicConfig(handlers=[], force=True)
    written = capfd.readouterr().err
    assert written.count("***") >= 6
    for secret in (TOKEN, JWT, PASSWORD, "MHcCAQEEIH"):
        assert secret not in written
