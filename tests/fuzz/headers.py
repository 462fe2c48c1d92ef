"""What callers may say of themselves, and of a call, beside its request."""

import base64
from collections.abc import Iterator
from typing import Final

from tests.fuzz.world import Metadata

_NO_JWT: Final = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
#: Other than a token that counts, each a text of what is shown.
SHOWN: Final = (
    "", " ", "Bearer", "Bearer ", "bearer x", "Bearer x y", "Basic Og==", "Digest x",
    "Bearer " + "x" * 4_000, "Bearer corridor_" + "0" * 48, "Bearer ../../x", "Bearer '--",
    f"Bearer {_NO_JWT}.e30.", f"Bearer {_NO_JWT}.{_NO_JWT}.{_NO_JWT}", "Bearer a.b.c", "Bearer ...",
    "Bearer " + "e30." * 1_000, "Bearer %s%n{0}",
)  # fmt: skip
#: Beside a token that counts.
_BESIDE: Final = (
    ("traceparent", ""), ("traceparent", "00-0-0-0"), ("traceparent", "x" * 5_000),
    ("traceparent", "ff-" + "f" * 32 + "-" + "f" * 16 + "-ff"),
    ("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"), ("tracestate", "=,=,=" * 500),
    ("baggage", "a=b," * 1_000), ("x-request-id", "../../x"), ("corridor-passed-on-by", ""),
    ("corridor-passed-on-by", "x" * 5_000), ("grpc-accept-encoding", "identity,none"),
    ("x-binary-bin", b"\x00\xff" * 100), ("traceparent-bin", b"\x00\xff" * 100),
    ("user-agent", "{job=~'.*'}"), ("accept-language", "zh-CN" * 500), ("forwarded", "for=1"),
)  # fmt: skip


def strangers() -> Iterator[Metadata]:
    """Metadata that says nobody."""
    for shown in SHOWN:
        yield (("authorization", shown),)
    yield (("authorization", "Bearer a"), ("authorization", "Bearer b"))


def known(own: Metadata) -> Iterator[Metadata]:
    """A token that counts, and what else may stand there."""
    for name, value in _BESIDE:
        yield (*own, (name, value))  # type: ignore[arg-type]
    yield (*own, *((f"x-header-{number}", "x") for number in range(300)))
    yield (*own, *(("x-same", "y" * 100) for _ in range(300)))
