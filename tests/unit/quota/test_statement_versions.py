"""Versions of statements' files: what each says of itself, and that none ever changes."""

import hashlib
import io
import zipfile
from functools import partial

import pytest

from quota.statement_files import Format, facts_of, summary
from quota.statements import FORMAT_VERSION, StatementKind
from tests.unit.quota.statement_samples import maker, subsidised
from tests.unit.quota.test_statement_files import CHARGES, made

#: Of each version of the files, the digest of all parts of all of them.
EARLIER = {
    1: "b25ea98ced821cb558b0cc2158c82de23f67c5ce654c324a5e9838aceea4c2b7",
    2: "2e2cdd260e1c63baf4d626f1ff3099272046924638f3c787e86de46e6bd63279",
}


@pytest.mark.parametrize("version", EARLIER)
def test_files_are_the_same_bytes_as_in_earlier_releases(version: int) -> None:
    """Of statements that were issued, whatever the version is now."""
    parts = hashlib.sha256()
    for kind in sorted(StatementKind):
        for charges in (CHARGES, [subsidised(9)]):
            file = partial(made, kind=kind, charges=charges, version=version)
            parts.update(file(Format.CSV) + file(Format.FOCUS))
            with zipfile.ZipFile(io.BytesIO(file(Format.XLSX))) as book:
                for name in book.namelist():  # how they are packed is zlib's affair
                    parts.update(name.encode() + book.read(name))
    assert parts.hexdigest() == EARLIER[version]


def test_files_say_their_version_since_there_is_more_than_one() -> None:
    assert max(EARLIER) == FORMAT_VERSION, "a new version has a digest here"
    said = "文件格式版本 Format version"
    for version in EARLIER:
        facts = summary(maker(version=version))
        assert [value for what, value, _ in facts if what == said] == ["2"] * (version == 2)
        told = facts_of(maker(version=version))
        assert told.get("format_version") == (version if version > 1 else None)
