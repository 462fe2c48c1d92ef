"""What may be set of tracing; what cannot be used is said at the start, and no secret with it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from scheduler.config import BadConfig, load_settings
from scheduler.tracing_opener import open_tracing

LOCAL = "http://127.0.0.1:4317"


def opened(flags: Mapping[str, object]) -> None:
    settings = load_settings(None, {}, {f"tracing.{key}": one for key, one in flags.items()})
    tracing = open_tracing(settings, "one", lambda _outcome, _count: None)
    assert (tracing is not None) is bool(settings.tracing.endpoint)
    if tracing is not None:
        tracing.close()


@pytest.mark.parametrize(
    "flags",
    [
        {}, {"ratio": 1.0}, {"endpoint": LOCAL}, {"endpoint": "https://collector.example:4317"},
        {"endpoint": "http://collector:4317", "ratio": 0.0, "callers_per_s": 0.0},
    ],
)  # fmt: skip
def test_what_can_be_used_is(flags: Mapping[str, object]) -> None:
    opened(flags)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"endpoint": "127.0.0.1:4317"}, "must be http://HOST:PORT"),
        ({"endpoint": "grpc://127.0.0.1:4317"}, "must be http://HOST:PORT"),
        ({"endpoint": "http://127.0.0.1"}, "must be http://HOST:PORT"),
        ({"endpoint": "http://127.0.0.1:99999"}, "must be http://HOST:PORT"),
        ({"endpoint": LOCAL + "/v1/traces"}, "more than a host and a port"),
        ({"endpoint": "http://user:s3cret@127.0.0.1:4317"}, "more than a host and a port"),
        ({"endpoint": LOCAL, "service_name": ""}, "tracing.service_name"),
        ({"endpoint": LOCAL, "headers_file": "/nowhere"}, "cannot read /nowhere"),
        ({"endpoint": LOCAL, "ca_file": "/nowhere"}, "cannot read /nowhere"),
        ({"ratio": 1.5}, "tracing.ratio must be 0 to 1"),
        ({"ratio": "nan"}, "tracing.ratio must be 0 to 1"),
        ({"queue_max": 0}, "tracing.queue_max must be"),
    ],
)
def test_what_cannot_be_used_is_said(flags: Mapping[str, object], said: str) -> None:
    with pytest.raises(BadConfig) as failure:
        opened(flags)
    assert said in failure.value.message
    assert "s3cret" not in failure.value.message


@pytest.mark.parametrize("line", ["no colon s3cret", "Upper: s3cret", "x-bin: s3cret", "a:", ": b"])
def test_a_wrong_line_of_headers_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    file = tmp_path / "headers"
    file.write_text(f"x-tenant: wuhan\n{line}\n")
    with pytest.raises(BadConfig) as failure:
        opened({"endpoint": LOCAL, "headers_file": str(file)})
    assert "line 2" in failure.value.message
    assert "s3cret" not in failure.value.message


def test_headers_travel_in_no_plain_text_to_another_machine(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("authorization: Basic c2VjcmV0\n")
    opened({"endpoint": LOCAL, "headers_file": str(file)})
    opened({"endpoint": "https://collector.example:4317", "headers_file": str(file)})
    with pytest.raises(BadConfig, match="plain text"):
        opened({"endpoint": "http://collector.example:4317", "headers_file": str(file)})


def test_a_password_in_the_endpoint_is_not_listed() -> None:
    given = load_settings(None, {}, {"tracing.endpoint": "http://user:s3cret@127.0.0.1:4317"})
    assert "s3cret" not in str(given.rows())


_WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Missing())
from scheduler.config import load_settings
from scheduler.tracing_opener import open_tracing
assert open_tracing(load_settings(None, {}, {}), "one", print) is None
given = load_settings(None, {}, {"tracing.endpoint": "http://127.0.0.1:4317"})
try:
    open_tracing(given, "one", print)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_without_the_extra_it_is_said_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BadConfig tracing.endpoint is set")
    assert "pip install 'corridor[otel]'" in done.stdout
