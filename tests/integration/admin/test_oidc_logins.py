"""People with tokens of an OpenID Connect issuer: whom they are here, and what is refused."""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from corridor.v1 import identity_service_pb2 as pb
from corridor.v1 import quota_service_pb2 as quotas
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scheduler.auth import issuer_http
from scheduler.auth.issuer_keys import IssuerKeys
from scheduler.auth.oidc import OidcRules, algorithms_of, roles_of
from scheduler.config import BadConfig, load_settings
from scheduler.doors import open_doors
from scheduler.metrics import Metrics
from scheduler.rpc.guarding import Guard
from tests.issuer import AUDIENCE, Issuer, Key, by_hand

NOW_S = 1_790_000_000
ROLES = (
    "ops=operator, audit=auditor, city=city_admin, boss=enterprise_admin, staff=enterprise_member"
)


@dataclass
class Gate:
    """A service that takes logins, its issuer, and the clock by which keys grow old."""

    corridor: Any
    issuer: Issuer
    real_s: list[float]

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Claims of an operator that are in order; None takes one out."""
        claims = {
            "iss": self.issuer.url, "aud": AUDIENCE, "sub": "li", "iat": NOW_S, "nbf": NOW_S,
            "exp": NOW_S + 3_600, "groups": ["everybody", "ops"], **changed,
        }  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    async def who(self, token: str) -> pb.WhoAmIResponse:
        """Ask who a token says one is."""
        metadata = (("authorization", f"Bearer {token}"),)
        who: pb.WhoAmIResponse = await self.corridor.identity.WhoAmI(
            pb.WhoAmIRequest(), metadata=metadata
        )
        return who


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as made:
        yield made


@pytest.fixture
async def gate(start_corridor: Any, issuer: Issuer) -> Gate:
    real_s = [1_000.0]
    keys = IssuerKeys(
        issuer_http.fetcher(issuer.url, "", True), refresh_s=600, real_s=lambda: real_s[0]
    )
    rules = OidcRules(
        issuer.url, AUDIENCE, roles_of(ROLES), algorithms_of("RS256,ES256"), role_claim="groups",
        city_claim="org.city", enterprise_claim="org.enterprise",
    )  # fmt: skip
    return Gate(await start_corridor(guard=Guard((rules, keys))), issuer, real_s)


async def test_an_operator_is_known_by_the_login(gate: Gate) -> None:
    who = await gate.who(gate.issuer.token(gate.claims()))
    assert (who.subject, who.role, who.issuer) == ("li", pb.ROLE_OPERATOR, gate.issuer.url)
    assert who.expire_time.seconds == NOW_S + 3_600 + 30, "the leeway is given"


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_both_kinds_of_keys_count_also_without_their_id(gate: Gate, algorithm: str) -> None:
    key = next(one for one in gate.issuer.keys if one.algorithm == algorithm)
    assert (await gate.who(gate.issuer.token(gate.claims(), key))).subject == "li"
    nameless = gate.issuer.token(gate.claims(sub="wang"), key, {"kid": None})
    assert (await gate.who(nameless)).subject == "wang"


@pytest.mark.parametrize(
    ("groups", "org", "role", "city", "enterprise"),
    [
        ("audit", {}, pb.ROLE_AUDITOR, "", ""),
        ("city", {"city": "ezhou"}, pb.ROLE_CITY_ADMIN, "ezhou", ""),
        (
            "boss",
            {"enterprise": "sample-wuhan-1"},
            pb.ROLE_ENTERPRISE_ADMIN,
            "wuhan",
            "sample-wuhan-1",
        ),
        (
            "staff",
            {"enterprise": "sample-wuhan-1"},
            pb.ROLE_ENTERPRISE_MEMBER,
            "wuhan",
            "sample-wuhan-1",
        ),
        # The first of the settings counts, and what a role is not bound to is left out.
        (
            ["staff", "audit"],
            {"city": "ezhou", "enterprise": "sample-wuhan-1"},
            pb.ROLE_AUDITOR,
            "",
            "",
        ),
    ],
)
async def test_role_and_scope_come_from_claims_and_the_store(
    gate: Gate, groups: Any, org: Any, role: int, city: str, enterprise: str
) -> None:
    who = await gate.who(gate.issuer.token(gate.claims(groups=groups, org=org)))
    assert (who.role, who.city, who.enterprise) == (role, city, enterprise)


async def test_a_login_sees_and_changes_what_a_token_of_its_role_may(
    gate: Gate, refusal: Any
) -> None:
    admin = gate.claims(groups="city", org={"city": "ezhou"}, sub="li of ezhou")
    metadata = (("authorization", f"Bearer {gate.issuer.token(admin)}"),)
    corridor = gate.corridor
    request = quotas.GetCityQuotaRequest(city="wuhan", flavor="wuhan-sc/kunpeng-920")
    theirs = await refusal(
        corridor.quotas.GetCityQuota(request, metadata=corridor.city_admin("ezhou"))
    )
    mine = await refusal(corridor.quotas.GetCityQuota(request, metadata=metadata))
    assert (mine.code, mine.message) == (theirs.code, theirs.message)
    new = pb.Enterprise(enterprise="e900", city="ezhou", display_name="九百")
    await corridor.identity.CreateEnterprise(
        pb.CreateEnterpriseRequest(enterprise=new), metadata=metadata
    )
    events = await corridor.identity.ListAuditEvents(
        pb.ListAuditEventsRequest(target="enterprises/e900"), metadata=corridor.operator()
    )
    assert [(one.actor, one.issuer) for one in events.events] == [("li of ezhou", gate.issuer.url)]


def none(gate: Gate) -> str:
    return by_hand({"alg": "none", "kid": "first"}, gate.claims())


def public_key_as_secret(gate: Gate) -> str:
    key = gate.issuer.keys[1]
    pem = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = by_hand({"alg": "HS256", "kid": key.key_id}, gate.claims()).rstrip(".")
    signature = hmac.new(pem, unsigned.encode(), hashlib.sha256).digest()
    return by_hand({"alg": "HS256", "kid": key.key_id}, gate.claims(), signature)


def not_allowed(gate: Gate) -> str:
    return gate.issuer.token(gate.claims(), Key("first", "ES384"))


def anothers_key(gate: Gate) -> str:
    return gate.issuer.token(gate.claims(), Key("first", "ES256"))


def changed_claims(gate: Gate) -> str:
    header, _, signature = gate.issuer.token(gate.claims(groups="staff")).split(".")
    _, claims, _ = by_hand({}, gate.claims()).split(".")
    return f"{header}.{claims}.{signature}"


def key_of_another_kind(gate: Gate) -> str:
    return gate.issuer.token(gate.claims(), gate.issuer.keys[1], {"kid": "first"})


def key_in_the_token(gate: Gate) -> str:
    stranger = Key("mine", "ES256")
    return gate.issuer.token(gate.claims(), stranger, {"jwk": stranger.public, "jku": "http://x/"})


def with_claims(**changed: Any) -> Callable[[Gate], str]:
    return lambda gate: gate.issuer.token(gate.claims(**changed))


NOBODY, NO_RIGHT = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("make", "code", "reason"),
    [
        (none, NOBODY, "TOKEN_ALGORITHM"),
        (public_key_as_secret, NOBODY, "TOKEN_ALGORITHM"),
        (not_allowed, NOBODY, "TOKEN_ALGORITHM"),
        (anothers_key, NOBODY, "TOKEN_SIGNATURE"),
        (changed_claims, NOBODY, "TOKEN_SIGNATURE"),
        (key_of_another_kind, NOBODY, "TOKEN_KEY_UNKNOWN"),
        (key_in_the_token, NOBODY, "TOKEN_KEY_UNKNOWN"),
        (with_claims(aud="billing"), NOBODY, "TOKEN_AUDIENCE"),
        (with_claims(aud=None), NOBODY, "TOKEN_CLAIM_MISSING"),
        (with_claims(iss="https://evil.example"), NOBODY, "TOKEN_ISSUER"),
        (with_claims(iss=None), NOBODY, "TOKEN_CLAIM_MISSING"),
        (with_claims(exp=NOW_S - 30), NOBODY, "TOKEN_EXPIRED"),
        (with_claims(exp=None), NOBODY, "TOKEN_CLAIM_MISSING"),
        (with_claims(exp=NOW_S + 400 * 86_400), NOBODY, "TOKEN_LIFETIME"),
        (with_claims(exp=True), NOBODY, "TOKEN_CLAIM_MISSING"),
        (with_claims(nbf=NOW_S + 31), NOBODY, "TOKEN_NOT_YET_VALID"),
        (with_claims(iat=NOW_S + 31), NOBODY, "TOKEN_NOT_YET_VALID"),
        (with_claims(sub=None), NOBODY, "TOKEN_CLAIM_MISSING"),
        (with_claims(sub=""), NOBODY, "TOKEN_CLAIM_MISSING"),
        (with_claims(sub="x" * 257), NOBODY, "TOKEN_CLAIM_MISSING"),
        (with_claims(groups=["everybody"]), NO_RIGHT, "ROLE_NOT_MAPPED"),
        (with_claims(groups=None), NO_RIGHT, "ROLE_NOT_MAPPED"),
        (with_claims(groups={"ops": True}), NO_RIGHT, "ROLE_NOT_MAPPED"),
        (with_claims(groups="city"), NO_RIGHT, "TOKEN_CLAIM_MISSING"),
        (with_claims(groups="city", org={"city": "atlantis"}), NO_RIGHT, "HOME_NOT_KNOWN"),
        (with_claims(groups="staff", org={"enterprise": "nobody"}), NO_RIGHT, "HOME_NOT_KNOWN"),
        (with_claims(groups="staff", org={"city": "wuhan"}), NO_RIGHT, "TOKEN_CLAIM_MISSING"),
        (lambda _gate: "a.b.c", NOBODY, "TOKEN_MALFORMED"),
        (lambda _gate: "a.b." + "c" * 8_192, NOBODY, "TOKEN_MALFORMED"),
    ],
)  # fmt: skip
async def test_what_is_not_in_order_is_refused(
    gate: Gate, refusal: Any, make: Callable[[Gate], str], code: Any, reason: str
) -> None:
    token = make(gate)
    found = await refusal(gate.who(token))
    assert (found.code, found.reason) == (code, reason)
    assert token not in json.dumps([found.message, found.info])


async def test_clocks_may_differ_by_the_leeway(gate: Gate) -> None:
    for changed in ({"exp": NOW_S - 29}, {"nbf": NOW_S + 29, "iat": NOW_S + 29}):
        assert (await gate.who(gate.issuer.token(gate.claims(**changed)))).subject == "li"


async def test_a_token_ends_while_it_is_remembered(gate: Gate, refusal: Any) -> None:
    token = gate.issuer.token(gate.claims(exp=NOW_S + 60))
    await gate.who(token)
    gate.corridor.clock.ms += 90_000
    assert (await refusal(gate.who(token))).reason == "TOKEN_EXPIRED"


async def test_the_issuer_is_asked_once_for_many_calls(gate: Gate) -> None:
    for number in range(20):
        await gate.who(gate.issuer.token(gate.claims(sub=f"li{number}")))
    assert gate.issuer.asked == 1


async def test_unknown_keys_do_not_make_us_ask_again_and_again(gate: Gate, refusal: Any) -> None:
    await gate.who(gate.issuer.token(gate.claims()))
    for number in range(20):
        forged = gate.issuer.token(gate.claims(), Key(f"made-up-{number}", "ES256"))
        assert (await refusal(gate.who(forged))).reason == "TOKEN_KEY_UNKNOWN"
    assert gate.issuer.asked == 1, "not before 10 s are over"
    gate.real_s[0] += 10
    for number in range(20):
        forged = gate.issuer.token(gate.claims(), Key(f"made-up-{number}", "ES256"))
        await refusal(gate.who(forged))
    assert gate.issuer.asked == 2


async def test_a_key_that_is_new_is_found_when_a_token_names_it(gate: Gate) -> None:
    await gate.who(gate.issuer.token(gate.claims()))
    new = Key("third", "ES256")
    gate.issuer.keys.append(new)
    gate.real_s[0] += 10
    assert (await gate.who(gate.issuer.token(gate.claims(sub="wang"), new))).subject == "wang"


@pytest.mark.parametrize("same_id", [True, False])
async def test_tokens_of_a_key_that_was_replaced_count_no_more(
    gate: Gate, refusal: Any, same_id: bool
) -> None:
    stolen = gate.issuer.keys[0]
    remembered = gate.issuer.token(gate.claims(), stolen)
    await gate.who(remembered)
    gate.issuer.keys[0] = Key("first" if same_id else "fourth", "ES256")
    gate.issuer.was_asked.clear()
    gate.real_s[0] += 600
    await gate.who(remembered)  # begins to ask, in the background
    async with asyncio.timeout(20):
        assert await asyncio.to_thread(gate.issuer.was_asked.wait, 20)
        while (code := await code_of(gate.who(remembered))) == "OK":
            pass  # until the answer is there
    assert code == "UNAUTHENTICATED"
    found = await refusal(gate.who(remembered))
    assert found.reason == ("TOKEN_SIGNATURE" if same_id else "TOKEN_KEY_UNKNOWN")
    assert (await gate.who(gate.issuer.token(gate.claims()))).subject == "li"


async def code_of(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def test_known_keys_count_on_while_the_issuer_is_away(gate: Gate, refusal: Any) -> None:
    await gate.who(gate.issuer.token(gate.claims()))
    gate.issuer.away = True
    for _ in range(3):
        gate.real_s[0] += 700
        assert (await gate.who(gate.issuer.token(gate.claims(sub="wang")))).subject == "wang"
    gate.real_s[0] += 10
    forged = gate.issuer.token(gate.claims(), Key("new", "ES256"))
    assert (await refusal(gate.who(forged))).code is grpc.StatusCode.UNAVAILABLE
    assert (await gate.who(gate.issuer.token(gate.claims(sub="zhao")))).subject == "zhao"


async def test_without_keys_logins_wait_for_the_issuer_and_our_tokens_do_not(
    gate: Gate, refusal: Any
) -> None:
    gate.issuer.away = True
    token = gate.issuer.token(gate.claims())
    found = await refusal(gate.who(token))
    assert found.code is grpc.StatusCode.UNAVAILABLE
    metadata = gate.corridor.operator()
    await gate.corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=metadata)
    gate.issuer.away = False
    gate.real_s[0] += 10
    assert (await gate.who(token)).subject == "li"


async def test_discovery_of_another_issuer_is_not_believed(gate: Gate, refusal: Any) -> None:
    gate.issuer.named = "https://evil.example"
    found = await refusal(gate.who(gate.issuer.token(gate.claims())))
    assert found.code is grpc.StatusCode.UNAVAILABLE


async def test_a_service_without_an_issuer_takes_no_login(corridor: Any, refusal: Any) -> None:
    metadata = (("authorization", "Bearer " + by_hand({"alg": "none"}, {"sub": "li"})),)
    found = await refusal(corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=metadata))
    assert (found.code, found.reason) == (NOBODY, "TOKEN_MALFORMED")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"oidc.issuer": "https://i"}, "give both oidc.issuer and oidc.audience"),
        ({"oidc.issuer": "https://i", "oidc.audience": "c"}, "oidc.roles must say"),
        ({"oidc.roles": "ops=agent"}, "with a role of: enterprise_member"),
        ({"oidc.roles": "ops"}, "must be VALUE=ROLE"),
        ({"oidc.algorithms": "none"}, "oidc.algorithms: 'none' is none of: RS256"),
        ({"oidc.algorithms": "HS256"}, "oidc.algorithms: 'HS256' is none of: RS256"),
        ({"oidc.algorithms": ","}, "name at least one of"),
        ({"oidc.issuer": "http://idp.example"}, "idp.example is another machine"),
        ({"oidc.jwks_url": "file:///etc/passwd"}, "oidc.jwks_url must be https://HOST"),
        ({"oidc.ca_file": "/none.pem"}, "oidc.ca_file: cannot use /none.pem"),
    ],
)
def test_wrong_settings_are_named(flags: dict[str, object], said: str) -> None:
    whole = {"oidc.issuer": "https://i", "oidc.audience": "c", "oidc.roles": "ops=operator"}
    given = flags if "give both" in said or "must say" in said else {**whole, **flags}
    with pytest.raises(BadConfig, match=re.escape(said)):
        open_doors(load_settings(None, {}, given), Metrics().security)
