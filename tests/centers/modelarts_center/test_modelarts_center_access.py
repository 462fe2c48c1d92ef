"""Who is let in: signatures, clocks, tokens, projects and paths."""

import hashlib
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.centers.modelarts_center.conftest import StartRig
from tests.centers.modelarts_center.official_sdk import Reply, Rig, send
from tests.modelarts_center.settings import (
    ACCESS_KEY,
    DOMAIN,
    PASSWORD,
    PROJECT,
    REGION,
    SECRET_KEY,
    USER,
)

pytestmark = pytest.mark.centers

QUOTAS = f"/v2/{PROJECT}/training-quotas"


def refusal(rig: Rig, **keys: str) -> tuple[int, str]:
    """Status and code with which a client of other keys is refused."""
    client = rig.sdk.client(rig.center.url, **keys)
    try:
        with pytest.raises(rig.sdk.exceptions.ClientRequestException) as refused:
            client.show_training_quotas(rig.sdk.models.ShowTrainingQuotasRequest())
    finally:
        client.close()
    return refused.value.status_code, refused.value.error_code


def host(rig: Rig) -> str:
    return rig.center.url.removeprefix("http://")


def test_other_keys_are_refused(rig: Rig) -> None:
    assert refusal(rig, sk="another") == (401, "APIGW.0301")
    assert refusal(rig, ak="AKNOBODY") == (401, "APIGW.0301")
    reply = send(host(rig), "GET", QUOTAS, b"", {})
    assert (reply.status, reply.json["error_code"]) == (401, "APIGW.0301")
    assert reply.headers["X-Request-Id"] == reply.json["request_id"]


@pytest.mark.parametrize("skew_min", [-14, 14])
def test_a_clock_may_be_wrong_by_some_minutes(rig: Rig, skew_min: int) -> None:
    rig.control.skew(skew_min * 60)
    rig.call("show_training_quotas", "ShowTrainingQuotasRequest")


@pytest.mark.parametrize("skew_min", [-16, 16])
def test_a_clock_that_is_wrong_by_more_is_refused(rig: Rig, skew_min: int) -> None:
    rig.control.skew(skew_min * 60)
    assert refusal(rig) == (401, "APIGW.0303")
    # Who corrects his clock by the Date header is let in.
    reply = send(host(rig), "GET", QUOTAS, b"", {})
    told = parsedate_to_datetime(reply.headers["Date"])
    assert abs(told.timestamp() - time.time() - skew_min * 60) < 60
    stamp = {"X-Sdk-Date": told.strftime("%Y%m%dT%H%M%SZ")}
    assert rig.raw("GET", QUOTAS, headers=stamp).status == 200


def test_what_is_signed_may_not_change(rig: Rig) -> None:
    signed: dict[str, str] = {}

    def resend(target: str, body: bytes = b"", agent: str = "a") -> int:
        return send(host(rig), "GET", target, body, {**signed, "User-Agent": agent}).status

    request = rig.sdk.requests.SdkRequest(
        method="GET",
        schema="http",
        host=host(rig),
        resource_path=QUOTAS,
        uri="",
        query_params=[("resource", "job-num")],
        header_params={"Content-Type": "application/json", "User-Agent": "a"},
        body=None,
    )
    credentials = rig.sdk.credentials.BasicCredentials(ACCESS_KEY, SECRET_KEY, PROJECT)
    signed.update(rig.sdk.signer.Signer(credentials).sign(request).header_params)
    assert resend(f"{QUOTAS}?resource=job-num") == 200
    assert resend(QUOTAS) == 401
    assert resend(f"{QUOTAS}?resource=job-num&user_id=1") == 401
    assert resend(f"{QUOTAS}?resource=job-num", b"{}") == 401
    assert resend(f"{QUOTAS}?resource=job-num", agent="b") == 401


def test_a_digest_in_a_header_must_be_the_bodys(rig: Rig) -> None:
    path = f"/v2/{PROJECT}/training-job-searches"
    for told in ("UNSIGNED-PAYLOAD", "0" * 64):
        reply = rig.raw("POST", path, {"limit": 1}, headers={"X-Sdk-Content-Sha256": told})
        assert (reply.status, reply.json["error_code"]) == (401, "APIGW.0301")
    digest = hashlib.sha256(b'{"limit": 1}').hexdigest()
    headers = {"X-Sdk-Content-Sha256": digest}
    assert rig.raw("POST", path, {"limit": 1}, headers=headers).status == 200
    # What is no JSON the signer leaves unsigned, and says so in the header.
    plain = {"Content-Type": "text/plain"}
    assert rig.raw("POST", path, {"limit": 1}, headers=plain).status == 200


def test_paths_queries_and_bodies_of_all_letters_are_signed_alike(rig: Rig) -> None:
    found = rig.raw("GET", f"/v2/{PROJECT}/training-jobs/鄂 州~'*", query={"a b": "~+/é"})
    assert (found.status, found.json["error_code"]) == (404, "ModelArts.0102")


def test_what_the_gateway_does_not_know(rig: Rig) -> None:
    for method, path in (
        ("GET", f"/v2/{PROJECT}/no-such-thing"),
        ("GET", f"/v2/{'f' * 32}/training-quotas"),
        ("PATCH", QUOTAS),
    ):
        reply = rig.raw(method, path)
        assert (reply.status, reply.json["error_code"]) == (404, "APIGW.0101")


def test_an_older_installation_lacks_newer_calls(start: StartRig) -> None:
    rig = start(absent=frozenset({"workloads", "tags", "names"}))
    for path in ("training-job-names", "modelarts-training-job/tags", "pools/p/workloads"):
        reply = rig.raw("GET", f"/v2/{PROJECT}/{path}")
        assert (reply.status, reply.json["error_code"]) == (404, "APIGW.0101")
    rig.call("show_training_quotas", "ShowTrainingQuotasRequest")


def ask_token(rig: Rig, password: str = PASSWORD, project: str = REGION) -> Reply:
    """POST /v3/auth/tokens."""
    user = {"name": USER, "password": password, "domain": {"name": DOMAIN}}
    identity = {"methods": ["password"], "password": {"user": user}}
    asked = {"auth": {"identity": identity, "scope": {"project": {"name": project}}}}
    return rig.raw("POST", "/v3/auth/tokens", asked)


def token_credentials(rig: Rig, token: str) -> Any:
    """Credentials that send a token; the SDK asks for a class of just this name."""

    def sign_request(credentials: object, request: Any) -> Any:
        request.header_params["X-Auth-Token"] = token
        rig.sdk.signer.Signer.process_request_uri(request)
        return request

    own = {"sign_request": sign_request, "process_sts": lambda credentials, http_client: None}
    base = rig.sdk.credentials.BasicCredentials
    return type("BasicCredentials", (base,), own)("", "", PROJECT)


def test_a_token_serves_until_it_expires(start: StartRig) -> None:
    rig = start(token_life_s=3600.0)
    given = ask_token(rig)
    assert given.status == 201
    assert given.json["token"]["project"]["id"] == PROJECT
    credentials = token_credentials(rig, given.headers["X-Subject-Token"])
    client = rig.sdk.client(rig.center.url, credentials=credentials)
    request = rig.sdk.models.ShowTrainingQuotasRequest()
    try:
        assert client.show_training_quotas(request).quotas[0].resource == "job-num"
        rig.control.skew(3601)
        with pytest.raises(rig.sdk.exceptions.ClientRequestException) as expired:
            client.show_training_quotas(request)
    finally:
        client.close()
    assert (expired.value.status_code, expired.value.error_code) == (401, "APIGW.0301")


def test_a_token_outlives_the_center_that_gave_it(rig: Rig) -> None:
    token = ask_token(rig).headers["X-Subject-Token"]
    rig.center.kill()
    rig.center.start_again()
    assert send(host(rig), "GET", QUOTAS, b"", {"X-Auth-Token": token}).status == 200
    assert send(host(rig), "GET", QUOTAS, b"", {"X-Auth-Token": token + "x"}).status == 401


def test_tokens_are_given_for_the_right_password_and_project(rig: Rig) -> None:
    assert ask_token(rig, password="wrong").status == 401
    assert ask_token(rig, project="cn-north-1").status == 401
    assert rig.raw("POST", "/v3/auth/tokens", {"auth": 1}).status == 400


def test_more_calls_than_the_gateway_takes(start: StartRig) -> None:
    rig = start(rate_per_s=2.0)
    replies = [rig.raw("GET", QUOTAS) for _ in range(30)]
    throttled = [reply for reply in replies if reply.status == 429]
    assert {reply.json["error_code"] for reply in throttled} == {"APIGW.0308"}
    assert {reply.headers["Retry-After"] for reply in throttled} == {"1"}
    assert rig.control.calls()["quotas"] == 30
