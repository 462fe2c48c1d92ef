"""Signatures equal those that the official SDK 3.1.219 made of the same calls."""

import pytest

from adapters.modelarts.names import native_name, run_id_of
from adapters.modelarts.signing import authorization, encoded_query, sdk_date

ACCESS_KEY, SECRET_KEY = "AKTESTLOOPBACK000001", "sk-of-the-center-on-loopback-0000000001"
PROJECT = "/v2/0a1b2c3d4e5f60718293a4b5c6d7e8f9"
HEADERS = {
    "Host": "modelarts.cn-central-221.ovaijisuan.com",
    "User-Agent": "corridor",
    "Content-Type": "application/json;charset=utf-8",
    "X-Project-Id": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "X-Sdk-Date": "20261123T034642Z",
}
JOB = '{"kind": "job", "metadata": {"name": "cor-1", "description": "鄂州"}}'
ODD = [
    ("order", "desc"),
    ("limit", "50"),
    ("pattern", "a b/c*~é"),
    ("offset", "0"),
    ("limit", "10"),
]
SIGNED = [
    ("GET", "/training-quotas", [("resource", "job-num")], "",
     "b4521f9cedbc0b1063c015c94bbb3cc312bcab971ab187653b6f3f0726ec342a"),
    ("GET", "/training-jobs/6693cf1b-b824-4131-925f-dc3fcb418e15/", [], "",
     "993b075132182beeda20fe992f52d067623622cd86b42bf787dfdb7de45badef"),
    ("POST", "/training-jobs", [], JOB,
     "f100db3206fe900d89d1a8dc6f0db79c36a1d72f874e592f0e9069b3cd5358be"),
    ("GET", "/training-jobs/a b~c%2Fd/events", ODD, "",
     "beaafcd9f3468015951be84bddcb1e61535efe26926e1b1ebdc3aa9aaa3e3195"),
    ("GET", "/pools/p/workloads", [("ascend", "true"), ("sort", "create_time")], "",
     "45f73082a3b10135406373890381ab3fbc56b248e24c43a357385ef07c50ff86"),
    ("DELETE", "/training-jobs/x", [], "",
     "ab91681027dcd849d60e4db96b2494764b323ef92d80c4332c02ca2640621e17"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "query", "body", "signature"), SIGNED)
def test_a_signature_is_the_official_one(
    method: str, path: str, query: list[tuple[str, str]], body: str, signature: str
) -> None:
    made = authorization(
        method, PROJECT + path, query, HEADERS, body.encode(), ACCESS_KEY, SECRET_KEY
    )
    assert made == (
        f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders=content-type;host;user-agent;"
        f"x-project-id;x-sdk-date, Signature={signature}"
    )


def test_a_query_is_sent_as_it_is_signed() -> None:
    wanted = "limit=10&limit=50&offset=0&order=desc&pattern=a%20b%2Fc%2A~%C3%A9"
    assert encoded_query(ODD) == wanted


def test_a_date_has_no_parts_of_seconds() -> None:
    assert sdk_date(1_795_405_602_999) == "20261123T034642Z"


@pytest.mark.parametrize("run_id", ["j0123456789abc.1", "j-1.12"])
def test_names_are_mapped_there_and_back(run_id: str) -> None:
    native = native_name(f"corridor-{run_id}")
    assert set(native) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    assert run_id_of(native) == run_id


@pytest.mark.parametrize(
    "name", ["corridor-a_b", "corridor-a b", "other-j1.1", "corridor-" + "x" * 60]
)
def test_what_could_not_be_mapped_back_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a job"):
        native_name(name)


def test_a_strangers_name_is_no_run() -> None:
    assert run_id_of("somebody-elses") is None
