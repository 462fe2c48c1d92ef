"""The service's packages are an extra: commands that need them say in one line what to install."""

import contextlib
from collections.abc import Iterator
from typing import Final

from scheduler.cli.exits import ERROR, end

#: Import names of what the ``server`` extra brings.
SERVER_PACKAGES: Final = frozenset(
    {
        "alembic", "grpc_health", "grpc_reflection", "prometheus_client", "ray", "sqlalchemy",
        "sqlmodel", "structlog",
    }
)  # fmt: skip


@contextlib.contextmanager
def server_packages(command: str) -> Iterator[None]:
    """Import what a command needs inside this: without the extra it ends with exit code 1."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in SERVER_PACKAGES:
            raise
        end(
            command,
            f"this machine has only the client ({missing} is not installed);"
            " install the service with: pip install 'corridor[server]'",
            ERROR,
        )
