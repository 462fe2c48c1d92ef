"""Settings of a Slurm center are read strictly; a token is renewed before it ends."""

from pathlib import Path
from typing import Any

import pytest

from adapters.errors import Unauthorized
from adapters.secrets import SecretRef
from adapters.slurm import open_center
from adapters.slurm.settings import SlurmSettings
from adapters.slurm.tokens import TokenSource, read_token
from tests.unit.adapters.slurm_fake import CPU, PARTITIONS, make_token

GIVEN: dict[str, Any] = {
    "endpoint": "https://slurm.example:6820/",
    "user": "corridor",
    "token": {"file": "/run/token"},
    "work_dir": "/work/corridor",
    "partitions": PARTITIONS,
}


def test_what_is_not_given_has_its_default() -> None:
    read = SlurmSettings.parse("wuhan-sc", GIVEN)
    assert read.endpoint == "https://slurm.example:6820"
    assert read.account("huangshi") == "huangshi"
    assert not read.requeue
    assert read.partitions[CPU].cpus_per_unit == 1
    booked = SlurmSettings.parse("wuhan-sc", {**GIVEN, "accounts": {"wuhan": "wh01"}})
    assert booked.account("wuhan") == "wh01"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"endpoint": "slurm:6820"}, "endpoint"),
        ({"endpoint": "http://u:p@slurm"}, "endpoint"),
        ({"endpoint": "http://slurm/slurm/v0.0.38"}, "endpoint"),
        ({"user": "a b"}, "user"),
        ({"user": None}, "user"),
        ({"token": "eyJhbGciOi"}, "token"),
        ({"work_dir": "work"}, "work_dir"),
        ({"output": "all.out"}, "output"),
        ({"output": "%j-%u"}, "output"),
        ({"image_command": ["apptainer", "exec"]}, "image_command"),
        ({"notice_signal": "SIGKILL"}, "notice_signal"),
        ({"notice_signal": "15"}, "notice_signal"),
        ({"answer_s": 9}, "answer_s"),
        ({"provisional_s": 5}, "provisional_s"),
        ({"settle_s": 5}, "settle_s"),
        ({"partitions": {}}, "partitions"),
        ({"partition": {}}, "partition"),
        ({"partitions": {CPU: {**PARTITIONS[CPU], "units": 1}}}, "units"),
        ({"partitions": {CPU: {**PARTITIONS[CPU], "gres": "gpu"}}}, "gres"),
        ({"partitions": {CPU: {**PARTITIONS[CPU], "unit": "gres"}}}, "gres"),
        ({"partitions": {CPU: {**PARTITIONS[CPU], "architecture": "riscv"}}}, "architecture"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SlurmSettings.parse("wuhan-sc", {**GIVEN, **changes})


def test_a_real_center_needs_a_real_clock() -> None:
    with pytest.raises(ValueError, match="clock speed 1"):
        open_center("wuhan-sc", GIVEN, lambda: 0, lambda ms: ms / 60_000)


class Source:
    """A token in a file, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.file, self.now_s = folder / "token", 1_000.0
        self.tokens = TokenSource(SecretRef("file", (str(self.file),)), lambda: self.now_s)

    def write(self, **claims: Any) -> str:
        token = make_token(sun="corridor", **claims)
        self.file.write_text(f"SLURM_JWT={token}\n")
        return token


async def test_a_token_is_renewed_before_it_ends(tmp_path: Path) -> None:
    source = Source(tmp_path)
    first = source.write(iat=1_000, exp=4_600)
    assert (await source.tokens.current()).text == first
    second = source.write(iat=4_000, exp=7_600)
    source.now_s = 4_400.0  # 200 s before the first ends
    assert (await source.tokens.current()).text == second


async def test_an_ended_token_is_never_given_out(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.write(iat=0, exp=990)
    with pytest.raises(Unauthorized, match="ended 10 s ago"):
        await source.tokens.current()
    token = source.write(iat=0, exp=2_000)
    assert (await source.tokens.current()).text == token
    source.now_s = 1_996.0  # within the margin for clocks that differ
    with pytest.raises(Unauthorized, match="ended"):
        await source.tokens.current()


async def test_a_token_that_lasts_is_kept_while_its_file_is_broken(tmp_path: Path) -> None:
    source = Source(tmp_path)
    token = source.write(iat=0, exp=9_000)
    await source.tokens.current()
    source.file.write_text("nonsense")
    source.now_s += 100.0
    assert (await source.tokens.current()).text == token
    source.file.unlink()
    source.now_s += 100.0
    assert (await source.tokens.current()).text == token


async def test_an_older_token_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    source = Source(tmp_path)
    newer = source.write(iat=0, exp=9_000)
    await source.tokens.current()
    source.write(iat=0, exp=5_000)
    source.now_s += 100.0
    assert (await source.tokens.current()).text == newer


@pytest.mark.parametrize("text", ["", "abc", "a.b", "a.!!.c", "a.W10.c", "a.eyJleHAiOiJ4In0.c"])
def test_what_is_no_token_is_told_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it|^its") as caught:
        read_token(text)
    assert text not in str(caught.value) or not text


def test_a_token_without_an_end_never_ends() -> None:
    token = read_token(make_token(sun="corridor"))
    assert (token.user, token.expires_s, token.renew_s()) == ("corridor", 0.0, 0.0)
