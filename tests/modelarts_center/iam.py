"""Tokens of IAM: given for a password, good for one project and for some time."""

import json
import secrets
from datetime import UTC, datetime

from tests.modelarts_center.settings import CenterSettings
from tests.modelarts_center.signing import Refused
from tests.modelarts_center.store import Store
from tests.modelarts_center.wire import Request, Response, json_response

PATH = "/v3/auth/tokens"


def give_token(request: Request, settings: CenterSettings, store: Store, now_s: float) -> Response:
    """POST /v3/auth/tokens: 201, the token in X-Subject-Token."""
    try:
        auth = json.loads(request.body)["auth"]
        user = auth["identity"]["password"]["user"]
        name, password = user["name"], user["password"]
        domain, project = user["domain"]["name"], auth["scope"]["project"]
    except (ValueError, KeyError, TypeError):
        return _error(400, "Bad Request", "Request body is invalid.")
    if settings.users.get(name) != password or domain != settings.domain:
        return _error(401, "Unauthorized", "The username or password is wrong.")
    if project.get("name") != settings.region and project.get("id") != settings.project_id:
        return _error(401, "Unauthorized", "The project does not exist.")
    token, ends_s = secrets.token_urlsafe(96), now_s + settings.token_life_s
    store.add_token(token, name, ends_s)
    domain_told = {"name": domain, "id": "d0"}
    response = json_response(
        {
            "token": {
                "methods": ["password"],
                "issued_at": _stamp(now_s),
                "expires_at": _stamp(ends_s),
                "project": {
                    "id": settings.project_id,
                    "name": settings.region,
                    "domain": domain_told,
                },
                "user": {"name": name, "id": "u0", "domain": domain_told},
                "roles": [{"id": "0", "name": "te_admin"}],
                "catalog": [],
            }
        },
        201,
    )
    response.headers["X-Subject-Token"] = token
    return response


def check_token(token: str, store: Store, now_s: float) -> str:
    """The user of a token; raises ``signing.Refused``."""
    known = store.token(token)
    if known is None:
        raise Refused("APIGW.0301", "Incorrect IAM authentication information: decrypt token fail")
    user, ends_s = known
    if now_s >= ends_s:
        text = (
            f"Incorrect IAM authentication information: token expires, expires_at:{_stamp(ends_s)}"
        )
        raise Refused("APIGW.0301", text)
    return user


def _stamp(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _error(status: int, title: str, text: str) -> Response:
    return json_response({"error": {"code": status, "message": text, "title": title}}, status)
