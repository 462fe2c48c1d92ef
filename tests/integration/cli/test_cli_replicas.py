"""The list of services from the command line, against a real service."""

from typing import Any


def test_the_service_is_listed_and_leads(served: Any) -> None:
    [one] = served.ok("replicas", "--json").json["replicas"]
    assert one["leads"] is True
    assert one["epoch"] >= 1
    assert one["address"].startswith("127.0.0.1:")
    shown = served.ok("replicas").out
    assert one["name"] in shown
    assert "yes" in shown
    assert "主导" in served.ok("--lang", "zh", "replicas").out


def test_only_who_keeps_or_audits_the_service_sees_it(served: Any) -> None:
    assert served.run("replicas", who="wuhan").code == 4
