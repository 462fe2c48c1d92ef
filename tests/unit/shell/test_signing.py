"""The key that signs digests: made once, its owner's alone, checked by others without Corridor."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from scheduler.signing import BadKey, Signer, is_signed, key_id

TEXT = "corridor ledger digest 1\n摘要\n"


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    made = Signer.of_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Signer.of_file(path).public_pem == made.public_pem
    assert [one.name for one in tmp_path.iterdir()] == ["key.pem"]
    assert made.key_id == key_id(made.public_pem)


def test_a_key_that_is_there_is_read_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    Signer.of_file(path)
    os.utime(tmp_path, ns=(0, 0))  # a secret that is mounted: its folder may not be written to
    Signer.of_file(path)
    assert tmp_path.stat().st_mtime_ns == 0


def test_what_was_changed_or_signed_by_another_is_not_signed() -> None:
    mine, other = Signer.new(), Signer.new()
    signature = mine.sign(TEXT)
    assert is_signed(mine.public_pem, TEXT, signature)
    assert not is_signed(mine.public_pem, TEXT + " ", signature)
    assert not is_signed(other.public_pem, TEXT, signature)
    assert not is_signed(mine.public_pem, TEXT, signature[:-1])


def test_openssl_checks_it(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    signer = Signer.new()
    files = {
        "key.pub.pem": signer.public_pem,
        "text": TEXT.encode(),
        "text.sig": signer.sign(TEXT),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    check = [
        openssl, "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub.pem", "-rawin", "-in", "text",
        "-sigfile", "text.sig",
    ]  # fmt: skip
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 0
    (tmp_path / "text").write_text(TEXT + "x", encoding="utf-8")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode != 0


def test_what_is_no_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("no key", encoding="utf-8")
    with pytest.raises(BadKey, match=r"key\.pem is no private key in PEM"):
        Signer.of_file(path)
    with pytest.raises(BadKey, match="cannot write"):
        Signer.of_file(tmp_path / "nowhere" / "key.pem")
    with pytest.raises(BadKey, match="no public key"):
        is_signed(b"no key", TEXT, bytes(64))
