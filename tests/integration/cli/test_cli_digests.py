"""The ledger's signed digests from the command line, against a real service."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def until(look: Callable[[], Any]) -> Any:
    """Ask again until there is an answer: the leader signs beside."""
    for _ in range(2_000):
        found = look()
        if found:
            return found
    raise AssertionError("nothing came of it")


def test_a_digest_is_saved_and_checked(served: Any, tmp_path: Path) -> None:
    until(lambda: served.ok("ledger", "digests", "--json").json["digests"])
    saved = served.ok("ledger", "digest", "--out", str(tmp_path), "--json", who="wuhan").json
    text, signature, key = (Path(file) for file in saved["files"])
    right = served.ok("ledger", "check", str(text), "--key", str(key), who="wuhan")
    assert right.out.startswith("1 digests: signed by the key")
    day = saved["digest"]["day"]
    assert day in served.ok("ledger", "digests").out
    assert (Path(served.home) / "data" / "digests" / text.name).read_bytes() == text.read_bytes()

    whole = text.read_text(encoding="utf-8")
    text.write_text(whole.replace(day, "2020-02-02"), encoding="utf-8")
    wrong = served.run("ledger", "check", str(text), "--key", str(key))
    assert (wrong.code, "was not signed by this key" in wrong.out) == (1, True)

    text.write_text(whole, encoding="utf-8")
    signature.unlink()
    missing = served.run("ledger", "check", str(text), "--key", str(key), "--json")
    assert missing.code == 1
    assert missing.json["problems"] == [f"{text}: there is no {signature.name} beside it"]


def test_enterprises_have_no_say_in_digests(served: Any) -> None:
    refused = served.run("ledger", "digests", who="sample-wuhan-1")
    assert refused.code == 4


def test_what_is_no_key_is_named(served: Any, tmp_path: Path) -> None:
    until(lambda: served.ok("ledger", "digests", "--json").json["digests"])
    saved = served.ok("ledger", "digest", "--out", str(tmp_path), "--json").json
    key = tmp_path / "key.pem"
    key.write_text("no key", encoding="utf-8")
    refused = served.run("ledger", "check", saved["files"][0], "--key", str(key))
    assert (refused.code, "is no public key in PEM" in refused.err) == (2, True)
