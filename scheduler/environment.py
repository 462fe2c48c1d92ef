"""Variables of the environment by the names that Corridor gives meaning to.

A name that begins like ours and means nothing is most often one that was written wrong, and what it
was to say would be left out silently; so a service refuses it.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

PREFIX: Final = "CORRIDOR_"
#: A second name of the variable of ``store.url``.
DATABASE_URL: Final = "CORRIDOR_DATABASE_URL"
#: What commands read beside settings, and programs of jobs are given, and so whom they start.
_OTHERS: Final = (
    "CONFIG", "PROFILE", "SERVER", "TOKEN", "TOKEN_FILE", "TOKEN_COMMAND", "CITY", "ENTERPRISE",
    "LANG", "TLS_CA", "TLS_NAME", "INSECURE",
    "RUN", "RUN_ID", "JOB_ID", "EPOCH", "WALL_LIMIT_S", "ARRAY_ID", "ARRAY_INDEX", "ARRAY_SIZE",
)  # fmt: skip
#: Read by tests and benchmarks, which start services too.
_TESTS: Final = ("CI", "FAULT", "SLURM", "TESTBED", "TRACES", "WORLDS", "WRITE_OUTCOMES")
#: What Kubernetes says of a Service whose name begins with ``corridor``.
_OF_KUBERNETES: Final = re.compile(
    r"_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)$"
)


def variable_of(setting: str) -> str:
    """Return the variable of a setting ``section.key``."""
    return PREFIX + setting.replace(".", "_").upper()


def unknown(environment: Mapping[str, str], settings: Iterable[str]) -> list[tuple[str, str]]:
    """Return variables that mean nothing, each with the nearest name that does, or ``""``."""
    ours = {variable_of(name) for name in settings} | {DATABASE_URL}
    ours.update(PREFIX + name for name in _OTHERS)
    tests = {PREFIX + name for name in _TESTS}
    found = []
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in ours | tests or _OF_KUBERNETES.search(name):
            continue
        rest = name.removeprefix(PREFIX)
        near = difflib.get_close_matches(rest, (one.removeprefix(PREFIX) for one in ours), 1)
        found.append((name, PREFIX + near[0] if near else ""))
    return found
