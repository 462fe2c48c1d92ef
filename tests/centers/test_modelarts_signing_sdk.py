"""Our signer beside the official SDK's own, on whatever a call may look like."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.modelarts.signing import authorization, encoded_query

pytestmark = pytest.mark.centers

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
SEGMENT = st.text("abcXYZ019-_.~ %/鄂+*'", min_size=1, max_size=8)
HEADER = st.text("abcXYZ019 :;=/.-", min_size=1, max_size=20)


@settings(max_examples=300)
@given(
    method=st.sampled_from(("GET", "POST", "PUT", "DELETE")),
    path=st.lists(SEGMENT, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts)),
    query=st.lists(st.tuples(st.text(min_size=1, max_size=6).filter(str.isprintable), TEXT),
                   max_size=4),
    agent=HEADER,
    body=TEXT,
    keys=st.tuples(st.text("ABC123", min_size=4, max_size=8), st.text("abc+/=", min_size=4)),
)  # fmt: skip
def test_signatures_are_equal(
    method: str,
    path: str,
    query: list[tuple[str, str]],
    agent: str,
    body: str,
    keys: tuple[str, str],
) -> None:
    signer = import_module("huaweicloudsdkcore.signer.signer").Signer
    headers = {
        "Host": "modelarts.example",
        "User-Agent": agent,
        "Content-Type": "application/json;charset=utf-8",
        "X-Project-Id": "p0",
        "X-Sdk-Date": "20261123T034642Z",
    }
    theirs = SimpleNamespace(
        method=method, resource_path=path, query_params=list(query), header_params=dict(headers),
        body=body, host="modelarts.example", uri="",
    )  # fmt: skip
    signer(SimpleNamespace(ak=keys[0], sk=keys[1])).sign(theirs)
    ours = authorization(method, path, query, headers, body.encode(), *keys)
    assert ours == theirs.header_params["Authorization"]
    assert theirs.uri == (f"{path}?{encoded_query(query)}" if query else path)
