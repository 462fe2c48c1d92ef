"""Enterprises and tokens over the real server."""

from typing import Any

import grpc
import pytest
from corridor.v1 import identity_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.auth import tokens
from scheduler.domain.principal import Role
from scheduler.domain.uscc import check_character
from scheduler.services.identity import bootstrap_operator

DAY_MS = 86_400_000


def _enterprise(corridor: Any, metadata: Any, **changes: Any) -> Any:
    values: dict[str, Any] = {"enterprise": "e001", "city": "ezhou", "display_name": "一号"}
    request = pb.CreateEnterpriseRequest(enterprise=pb.Enterprise(**{**values, **changes}))
    return corridor.identity.CreateEnterprise(request, metadata=metadata)


def _token(corridor: Any, metadata: Any, role: Any, days: float = 30, **scope: Any) -> Any:
    expire = Timestamp()
    expire.FromMilliseconds(int(corridor.clock.ms + days * DAY_MS))
    token = pb.Token(subject="new", role=role, expire_time=expire, **scope)
    return corridor.identity.CreateToken(pb.CreateTokenRequest(token=token), metadata=metadata)


async def test_an_enterprise_gets_its_city_and_wallet(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    uscc = "91420100MA05AMP03" + check_character("91420100MA05AMP03")
    answer = await _enterprise(corridor, operator, credit_limit_fen=5_000, startup=True, uscc=uscc)
    made = answer.enterprise
    assert (made.city, made.size_class, made.startup) == ("ezhou", "SMALL", True)
    assert (made.credit_limit_fen, made.credit_used_fen) == (5_000, 0)
    assert corridor.rows(
        "SELECT city, valid_to_ms FROM enterprise_city WHERE enterprise = 'e001'"
    ) == [("ezhou", None)]
    assert corridor.rows("SELECT city FROM event WHERE kind = 'ENTERPRISE_CHANGED'") == [("ezhou",)]
    found = await refusal(_enterprise(corridor, operator))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    found = await refusal(_enterprise(corridor, operator, enterprise="e002", uscc=made.uscc))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "USCC_TAKEN")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"enterprise": "E001"}, "enterprise.enterprise"),
        ({"enterprise": ""}, "enterprise.enterprise"),
        ({"enterprise": "a:b"}, "enterprise.enterprise"),
        ({"city": ""}, "enterprise.city"),
        ({"display_name": " "}, "enterprise.display_name"),
        ({"uscc": "123"}, "enterprise.uscc"),
        ({"size_class": "HUGE"}, "enterprise.size_class"),
        ({"credit_limit_fen": -1}, "enterprise.credit_limit_fen"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_stored(
    corridor: Any, refusal: Any, changes: dict[str, Any], field: str
) -> None:
    before = corridor.rows("SELECT count(*) FROM enterprise")
    found = await refusal(_enterprise(corridor, corridor.operator(), **changes))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))
    assert corridor.rows("SELECT count(*) FROM enterprise") == before


async def test_a_city_admin_adds_to_the_own_city_without_credit(
    corridor: Any, refusal: Any
) -> None:
    ezhou = corridor.city_admin("ezhou")
    await _enterprise(corridor, ezhou)
    found = await refusal(_enterprise(corridor, ezhou, enterprise="e002", city="wuhan"))
    assert found.code == grpc.StatusCode.NOT_FOUND
    found = await refusal(_enterprise(corridor, ezhou, enterprise="e003", credit_limit_fen=1))
    assert found.reason == "CREDIT_BY_OPERATOR_ONLY"
    found = await refusal(_enterprise(corridor, corridor.operator(), city="paris"))
    assert found.code == grpc.StatusCode.NOT_FOUND


async def test_each_sees_the_enterprises_of_the_own_scope(corridor: Any) -> None:
    async def seen(metadata: Any, **filters: Any) -> list[str]:
        request = pb.ListEnterprisesRequest(**filters)
        answer = await corridor.identity.ListEnterprises(request, metadata=metadata)
        return [one.enterprise for one in answer.enterprises]

    operator = corridor.operator()
    assert len(await seen(operator)) == 10
    assert await seen(operator, city="ezhou") == ["sample-ezhou-1", "sample-ezhou-2"]
    ezhou = corridor.city_admin("ezhou")
    assert await seen(ezhou) == ["sample-ezhou-1", "sample-ezhou-2"]
    assert await seen(ezhou, city="wuhan") == []
    member = corridor.token(Role.ENTERPRISE_MEMBER, enterprise="sample-ezhou-2")
    assert await seen(member) == ["sample-ezhou-2"]
    first = await corridor.identity.ListEnterprises(
        pb.ListEnterprisesRequest(page_size=7), metadata=operator
    )
    rest = await seen(operator, page_size=7, page_token=first.next_page_token)
    assert [one.enterprise for one in first.enterprises] + rest == await seen(operator)


async def test_cities_are_known_to_all(corridor: Any) -> None:
    agent = corridor.token(Role.AGENT, center="wuhan-ai")
    answer = await corridor.identity.ListCities(pb.ListCitiesRequest(), metadata=agent)
    assert [(one.city, one.weight) for one in answer.cities] == [
        ("ezhou", 10794), ("huanggang", 58827), ("huangshi", 24691), ("wuhan", 123265),
        ("xianning", 26583),
    ]  # fmt: skip


async def test_a_token_works_is_listed_without_its_secret_and_ends(
    corridor: Any, refusal: Any
) -> None:
    admin = corridor.token(Role.ENTERPRISE_ADMIN, enterprise="sample-ezhou-1")
    answer = await _token(corridor, admin, pb.ROLE_ENTERPRISE_MEMBER, enterprise="sample-ezhou-1")
    mine = (("authorization", f"Bearer {answer.secret}"),)
    who = await corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=mine)
    assert (who.subject, who.enterprise) == ("new", "sample-ezhou-1")
    stored = corridor.rows(f"SELECT * FROM token WHERE token_id = '{answer.token.token_id}'")
    assert tokens.fingerprint(answer.secret) in stored[0]
    everything = f"{corridor.rows('SELECT * FROM audit_event')}{stored}"
    assert answer.secret not in everything
    listed = await corridor.identity.ListTokens(pb.ListTokensRequest(), metadata=admin)
    assert answer.token in listed.tokens
    assert answer.secret not in str(listed)
    for _ in range(2):
        ended = await corridor.identity.RevokeToken(
            pb.RevokeTokenRequest(token_id=answer.token.token_id), metadata=admin
        )
        assert ended.token.revoke_time.ToMilliseconds() == corridor.clock.ms
    found = await refusal(corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=mine))
    assert found.reason == "TOKEN_REVOKED"
    actions = [row[0] for row in corridor.rows("SELECT action FROM audit_event ORDER BY seq")]
    assert actions[-2:] == ["TOKEN_CREATED", "TOKEN_REVOKED"]


@pytest.mark.parametrize(
    ("role", "scope", "code"),
    [
        (pb.ROLE_OPERATOR, {}, "PERMISSION_DENIED"),
        (pb.ROLE_AUDITOR, {}, "PERMISSION_DENIED"),
        (pb.ROLE_AGENT, {"center": "wuhan-ai"}, "PERMISSION_DENIED"),
        (pb.ROLE_CITY_ADMIN, {"city": "wuhan"}, "NOT_FOUND"),
        (pb.ROLE_ENTERPRISE_MEMBER, {"enterprise": "sample-wuhan-1"}, "NOT_FOUND"),
    ],
)
async def test_a_city_admin_gives_nothing_beyond_the_own_scope(
    corridor: Any, refusal: Any, role: Any, scope: dict[str, Any], code: str
) -> None:
    ezhou = corridor.city_admin("ezhou")
    before = corridor.rows("SELECT count(*) FROM token")
    found = await refusal(_token(corridor, ezhou, role, **scope))
    assert found.code.name == code
    assert corridor.rows("SELECT count(*) FROM token") == before


async def test_an_enterprise_admin_makes_no_city_admin(corridor: Any, refusal: Any) -> None:
    admin = corridor.token(Role.ENTERPRISE_ADMIN, enterprise="sample-ezhou-1")
    found = await refusal(_token(corridor, admin, pb.ROLE_CITY_ADMIN, city="ezhou"))
    assert found.reason == "ROLE_TOO_HIGH"
    found = await refusal(
        _token(corridor, admin, pb.ROLE_ENTERPRISE_MEMBER, enterprise="sample-ezhou-2")
    )
    assert found.code == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("role", "days", "scope", "field"),
    [
        (pb.ROLE_UNSPECIFIED, 1, {}, "token.role"),
        (pb.ROLE_OPERATOR, 401, {}, "token.expire_time"),
        (pb.ROLE_OPERATOR, -1, {}, "token.expire_time"),
        (pb.ROLE_CITY_ADMIN, 1, {}, "token.city"),
        (pb.ROLE_ENTERPRISE_MEMBER, 1, {}, "token.enterprise"),
        (pb.ROLE_AGENT, 1, {}, "token.center"),
        (pb.ROLE_OPERATOR, 1, {"city": "wuhan"}, "token.city"),
    ],
)
async def test_a_wrong_token_is_named(
    corridor: Any, refusal: Any, role: Any, days: int, scope: dict[str, Any], field: str
) -> None:
    found = await refusal(_token(corridor, corridor.operator(), role, days, **scope))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))


async def test_one_city_neither_lists_nor_ends_tokens_of_another(
    corridor: Any, refusal: Any
) -> None:
    corridor.city_admin("wuhan")
    corridor.token(Role.ENTERPRISE_MEMBER, enterprise="sample-wuhan-1", subject="stranger")
    ezhou = corridor.city_admin("ezhou")
    corridor.token(Role.ENTERPRISE_MEMBER, enterprise="sample-ezhou-1", subject="ours")
    answer = await corridor.identity.ListTokens(pb.ListTokensRequest(), metadata=ezhou)
    assert {one.subject for one in answer.tokens} == {"admin of ezhou", "ours"}
    ((stranger,),) = corridor.rows("SELECT token_id FROM token WHERE subject = 'stranger'")
    found = await refusal(
        corridor.identity.RevokeToken(pb.RevokeTokenRequest(token_id=stranger), metadata=ezhou)
    )
    assert found.code == grpc.StatusCode.NOT_FOUND
    assert corridor.rows("SELECT count(*) FROM token WHERE revoked_ms IS NOT NULL") == [(0,)]


async def test_the_first_operator_is_made_without_one(corridor: Any) -> None:
    row, secret = bootstrap_operator(corridor.db, "root", wall_ms=corridor.clock.ms)
    assert row.expire_ms == corridor.clock.ms + 400 * DAY_MS
    who = await corridor.identity.WhoAmI(
        pb.WhoAmIRequest(), metadata=(("authorization", f"Bearer {secret}"),)
    )
    assert who.role == pb.ROLE_OPERATOR
