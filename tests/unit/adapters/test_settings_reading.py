"""Settings of centers are read strictly; secrets are only ever referred to."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.reading import Fields
from adapters.secrets import BadSecret, SecretRef

LITERAL = "hunter2-do-not-print"


def wrong(values: object, read: Callable[[Fields], object]) -> str:
    """What is said of values that cannot be read."""
    with pytest.raises(ValueError, match=r"^sc") as caught:
        read(Fields("sc", values))
    return str(caught.value)


def test_each_kind_of_value_is_taken_once() -> None:
    given = {
        "name": "x", "mode": "auto", "count": 3, "rate": 2, "on": True, "list": ["a", "b"],
        "map": {"ezhou": "acct"}, "pool": {"units": 8}, "flavors": {"sc/core": {"units": 4}},
        "token": {"env": "TOKEN"},
    }  # fmt: skip
    fields = Fields("sc", given)
    assert fields.text("name") == "x"
    assert fields.choice("mode", ("auto", "off")) == "auto"
    assert fields.whole("count", most=3) == 3
    assert fields.number("rate") == 2.0
    assert fields.flag("on", False)
    assert fields.texts("list") == ("a", "b")
    assert fields.text_map("map") == {"ezhou": "acct"}
    with fields.part("pool") as pool:
        assert pool.whole("units") == 8
    assert fields.each("flavors", lambda name, one: (name, one.whole("units"))) == {
        "sc/core": ("sc/core", 4)
    }
    assert fields.secret("token") == SecretRef("env", ("TOKEN",))
    assert fields.names() == ()
    fields.done()


def test_what_is_left_out_has_its_default() -> None:
    fields = Fields("sc", {})
    assert fields.text("name", "d") == "d"
    assert fields.whole("count", 7) == 7
    assert fields.number("rate", 0.5) == 0.5
    assert fields.texts("list", ("a",)) == ("a",)
    assert fields.text_map("map") == {}
    assert fields.each("flavors", lambda name, one: name) == {}
    with fields.part("pool") as pool:
        assert not pool.has("units")


@pytest.mark.parametrize(
    ("values", "read", "said"),
    [
        ([], lambda f: f.done(), "sc: must be a mapping"),
        ({}, lambda f: f.text("name"), "sc.name: is mandatory"),
        ({"name": 3}, lambda f: f.text("name"), "sc.name: must be a text"),
        ({"mode": "x"}, lambda f: f.choice("mode", ("a", "b")), "one of a, b, not 'x'"),
        ({}, lambda f: f.whole("n"), "sc.n: is mandatory"),
        ({"n": True}, lambda f: f.whole("n"), "must be a whole number"),
        ({"n": 0}, lambda f: f.whole("n", least=1), "from 1, not 0"),
        ({"n": 9}, lambda f: f.whole("n", most=8), "at most 8, not 9"),
        ({}, lambda f: f.number("n"), "sc.n: is mandatory"),
        ({"n": float("nan")}, lambda f: f.number("n"), "must be a number"),
        ({"n": 9.5}, lambda f: f.number("n", most=8), "at most 8"),
        ({"on": 1}, lambda f: f.flag("on", False), "true or false"),
        ({"l": "ab"}, lambda f: f.texts("l"), "a list of texts"),
        ({"l": [1]}, lambda f: f.texts("l"), "a list of texts"),
        ({"m": {"a": 1}}, lambda f: f.text_map("m"), "texts to texts"),
        ({"e": []}, lambda f: f.each("e", lambda name, one: name), "names to mappings"),
        ({"e": {"a": {"x": 1}}}, lambda f: f.each("e", lambda name, one: name), "sc.e[a].x: is no"),
        ({"odd": 1}, lambda f: f.done(), "sc.odd: is not known here"),
        ({}, lambda f: f.secret("key"), "sc.key: is mandatory: {file: PATH}"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(
    values: object, read: Callable[[Fields], object], said: str
) -> None:
    assert said in wrong(values, read)


def test_a_part_is_read_to_its_end() -> None:
    fields = Fields("sc", {"pool": {"units": 1, "unit": 2}})
    with (
        pytest.raises(ValueError, match=r"^sc\.pool\.unit: is not known"),
        fields.part("pool") as p,
    ):
        p.whole("units")


@pytest.mark.parametrize(
    "given",
    [LITERAL, {"value": LITERAL}, {"file": ""}, {"env": 3}, {"command": LITERAL}, {"command": []},
     {"command": [1]}, {"file": "a", "env": "b"}, None],
)  # fmt: skip
def test_a_secret_is_never_written_into_settings(given: object) -> None:
    said = wrong({"key": given}, lambda f: f.secret("key"))
    assert said.startswith("sc.key: ")
    assert LITERAL not in said


async def test_a_secret_is_read_from_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(f"{LITERAL}\n")
    monkeypatch.setenv("CENTER_TOKEN", LITERAL)
    program = [sys.executable, "-c", f"print({LITERAL!r})"]
    for given in (
        {"file": str(tmp_path / "token")}, {"env": "CENTER_TOKEN"}, {"command": program},
    ):  # fmt: skip
        assert await SecretRef.of(given).read() == LITERAL


async def test_what_cannot_be_read_says_where_and_not_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + LITERAL.encode())
    backwards = f"print({LITERAL[::-1]!r}[::-1], flush=True); raise SystemExit(3)"
    fails = [sys.executable, "-c", backwards]
    for given, said in (
        ({"file": str(tmp_path / "none")}, "No such file"),
        ({"file": str(tmp_path / "empty")}, "nothing in it"),
        ({"file": str(tmp_path / "binary")}, "no text"),
        ({"env": "NO_SUCH_SECRET"}, "nothing in it"),
        ({"command": [str(tmp_path / "none")]}, "cannot be run"),
    ):
        with pytest.raises(BadSecret, match=said):
            await SecretRef.of(given).read()
    with pytest.raises(BadSecret, match="ended with code 3") as caught:
        await SecretRef.of({"command": fails}).read()
    assert LITERAL not in str(caught.value)
