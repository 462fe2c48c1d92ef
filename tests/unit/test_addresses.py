"""One address or several: what gRPC is told of them, and which an agent dials in turn."""

import pytest

from scheduler.addresses import Target, each_record, split_addresses, target_of

KNOWN = {"a.example": ["10.0.0.1"], "b.example": ["10.0.0.2", "10.0.0.3", "fd00::2"]}


def look_up(host: str) -> list[str]:
    if host not in KNOWN:
        raise OSError(-2, "Name or service not known")
    return KNOWN[host]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ("127.0.0.1:1", Target("127.0.0.1:1", "", False, True)),
        ("localhost", Target("localhost:7443", "", False, True)),
        ("10.0.0.9", Target("10.0.0.9:7443", "", False, False)),
        ("[::1]:5", Target("[::1]:5", "", False, True)),
        # One name may have several records: gRPC looks them up itself, again and again.
        ("a.example:5", Target("a.example:5", "", True, False)),
        (
            "127.0.0.1:1,127.0.0.1:2",
            Target("ipv4:127.0.0.1:1,127.0.0.1:2", "127.0.0.1", True, True),
        ),
        (
            "a.example, b.example:5",
            Target("ipv4:10.0.0.1:7443,10.0.0.2:5,10.0.0.3:5", "a.example", True, False),
        ),
        ("gone.example,a.example", Target("ipv4:10.0.0.1:7443", "gone.example", True, False)),
        ("[fd00::1]:1,[fd00::2]:2", Target("ipv6:[fd00::1]:1,[fd00::2]:2", "fd00::1", True, False)),
        ("a.example:5,a.example:5", Target("a.example:5", "", True, False)),
        ("127.0.0.1:1,10.0.0.1:1", Target("ipv4:127.0.0.1:1,10.0.0.1:1", "127.0.0.1", True, False)),
    ],
)
def test_where_a_channel_leads(addresses: str, expected: Target) -> None:
    assert target_of(addresses, look_up=look_up) == expected


def test_the_name_that_certificates_have_may_be_given() -> None:
    assert target_of("10.0.0.1,10.0.0.2", "corridor.example").tls_name == "corridor.example"
    assert target_of("10.0.0.1", "corridor.example").tls_name == "corridor.example"


@pytest.mark.parametrize("addresses", ["", "a:1,", "a:1,,b:2", "a:x,b:2"])
def test_each_of_a_list_must_be_an_address(addresses: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        split_addresses(addresses)


def test_a_list_of_which_nothing_is_known_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gone\.example \(Name or service not known\), lost"):
        target_of("gone.example,lost.example", look_up=look_up)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", [("127.0.0.1:1", "")]),
        ("a.example:5", [("a.example:5", "")]),
        ("gone.example", [("gone.example", "")]),
        (
            "b.example",
            [
                ("10.0.0.2:7443", "b.example"),
                ("10.0.0.3:7443", "b.example"),
                ("[fd00::2]:7443", "b.example"),
            ],
        ),
    ],
)
def test_an_agent_dials_each_record_of_a_name(
    address: str, expected: list[tuple[str, str]]
) -> None:
    assert each_record(address, look_up) == expected
