"""Fractions of a fen are no amounts, at whatever command, and nothing is booked for them."""

from typing import Any

import pytest

WHY = ("--reason", "x")
FUND = ("--period", "2026", *WHY)
RUN = "j0000000000001.1"


@pytest.mark.parametrize(
    "command",
    [
        ("fund", "appropriate", "huanggang-voucher", "0.005", *FUND),
        ("fund", "lower", "huanggang-voucher", "1.001", *FUND),
        ("wallet", "top-up", "sample-huangshi-1", "12.345", *WHY),
        ("wallet", "credit", "sample-huangshi-1", "1e-3", *WHY),
        ("voucher", "issue", "huanggang-voucher", "--period", "2026", "--enterprise",
         "sample-huanggang-1", "--face", "9.999", *WHY),
        ("charge", "correct", RUN, "0.671", "--code", "goodwill", *WHY),
        ("charge", "write-off", RUN, "0.001", *WHY),
        ("charge", "claw-back", RUN, "0.019", "--programme", "huanggang-voucher", *WHY),
    ],
    ids=lambda command: " ".join(command[:2]),
)  # fmt: skip
def test_a_fraction_of_a_fen_is_refused_and_nothing_booked(
    served: Any, command: tuple[str, ...]
) -> None:
    before = served.ok("ledger", "verify", "--json").json
    ran = served.run(*command)
    assert ran.code == 2
    assert "at most 2 decimals" in ran.err
    assert served.ok("ledger", "verify", "--json").json == before
