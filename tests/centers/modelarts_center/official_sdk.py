"""The official SDK of ModelArts as a test's client, and what it thinks of our answers.

The SDK is imported only when a test asks for it: it takes most of a second, leaves files in the
home directory and is installed by `make test-centers` alone.
"""

import http.client
import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

from tests.modelarts_center.child import CenterProcess
from tests.modelarts_center.settings import ACCESS_KEY, POOL, PROJECT, SECRET_KEY
from tests.modelarts_center.wire import Json

NATIVE: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
}


@dataclass(frozen=True, slots=True)
class Sdk:
    """The modules of the SDK; ``models`` holds the client and all requests and answers."""

    models: ModuleType
    credentials: ModuleType
    exceptions: ModuleType
    signer: ModuleType
    requests: ModuleType

    def client(
        self,
        url: str,
        ak: str = ACCESS_KEY,
        sk: str = SECRET_KEY,
        credentials: Any = None,
        handler: Any = None,
    ) -> Any:
        """A client of one center; ``with_endpoint`` and a project id keep it from asking IAM."""
        given = credentials or self.credentials.BasicCredentials(ak, sk, PROJECT)
        builder = self.models.ModelArtsClient.new_builder()
        if handler is not None:
            builder = builder.with_http_handler(handler)
        return builder.with_credentials(given).with_endpoint(url).build()


def load(home: Path) -> Sdk:
    """Import the SDK with another home directory; raises ImportError where it is missing."""
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(home)
    try:
        return Sdk(
            importlib.import_module("huaweicloudsdkmodelarts.v1"),
            importlib.import_module("huaweicloudsdkcore.auth.credentials"),
            importlib.import_module("huaweicloudsdkcore.exceptions.exceptions"),
            importlib.import_module("huaweicloudsdkcore.signer.signer"),
            importlib.import_module("huaweicloudsdkcore.sdk_request"),
        )
    finally:
        if before is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = before


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)


class Rig:
    """A center in a process of its own and an SDK client for it."""

    def __init__(self, sdk: Sdk, center: CenterProcess) -> None:
        self.sdk = sdk
        self.center = center
        self.control = center.control
        self.client = sdk.client(center.url)

    def call(self, name: str, request: str, **fields: Any) -> Any:
        """One call of the SDK: its method, its class of requests, and the request's fields."""
        return getattr(self.client, name)(getattr(self.sdk.models, request)(**fields))

    def create(self, name: str, command: str = "true", **more: Any) -> str:
        """Create a job by the SDK; returns its id."""
        answer = self.call(
            "create_training_job", "CreateTrainingJobRequest", body=self.job(name, command, **more)
        )
        return str(answer.metadata.id)

    def job(
        self,
        name: str,
        command: str = "true",
        *,
        nodes: int = 1,
        flavor: str = "modelarts.pool.visual.8xlarge",
        image: str = "corridor/mindformers:1.3.2",
        annotations: dict[str, str] | None = None,
        **spec: Any,
    ) -> Any:
        """A job of the SDK for the first pool."""
        models = self.sdk.models
        return models.Job(
            kind="job",
            metadata=models.JobMetadata(
                name=name, workspace_id="0", description="鄂州", annotations=annotations or {}
            ),
            algorithm=models.JobAlgorithm(
                command=command,
                engine=models.JobEngine(image_url=image),
                environments={"CORRIDOR_RUN": name},
            ),
            spec=models.Spec(
                resource=models.SpecResource(flavor_id=flavor, node_count=nodes, pool_id=POOL),
                **spec,
            ),
        )

    def show(self, job_id: str) -> Any:
        """A job by the SDK."""
        return self.call(
            "show_training_job_details", "ShowTrainingJobDetailsRequest", training_job_id=job_id
        )

    def stop(self, job_id: str) -> Any:
        """Stop a job by the SDK."""
        body = self.sdk.models.JobActionType(action_type="terminate")
        return self.call(
            "stop_training_job", "StopTrainingJobRequest", training_job_id=job_id, body=body
        )

    def search(self, *filters: tuple[str, str, list[str]], **more: Any) -> Any:
        """Search by the SDK with filters of (key, operator, values)."""
        models = self.sdk.models
        given = [models.Filter(key=key, operator=how, value=value) for key, how, value in filters]
        body = models.JobSearches(**{"offset": 0, "limit": 50, **more, "filters": given})
        return self.call("list_training_jobs", "ListTrainingJobsRequest", body=body)

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        secret: str = SECRET_KEY,
    ) -> Reply:
        """A request of one's own that the SDK's signer signs; a body of bytes is sent as it is.

        ``path`` is plain text; the signer encodes it for the signature, we for the wire.
        """
        host = self.center.url.removeprefix("http://")
        data = b"" if body is None else body
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        request = self.sdk.requests.SdkRequest(
            method=method,
            schema="http",
            host=host,
            resource_path=path,
            uri="",
            query_params=list((query or {}).items()),
            header_params={"Content-Type": "application/json", **(headers or {})},
            body=data or None,
        )
        credentials = self.sdk.credentials.BasicCredentials(ACCESS_KEY, secret, PROJECT)
        signed = self.sdk.signer.Signer(credentials).sign(request)
        return send(host, method, quote(path) + signed.uri[len(path) :], data, signed.header_params)


def send(host: str, method: str, target: str, body: bytes, headers: dict[str, str]) -> Reply:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request(method, target, body or None, headers)
        answer = connection.getresponse()
        return Reply(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def unfit(sdk: Sdk, value: Any, kind: str, place: str = "") -> Iterator[str]:
    """Where a parsed answer is not of the SDK's declared type, or has what the SDK lacks.

    The SDK itself is lenient: it drops unknown fields and turns wrong types into objects of Nones.
    """
    if value is None:
        return
    if inner := re.fullmatch(r"list\[(.*)\]", kind):
        if not isinstance(value, list):
            yield f"{place}: no list"
            return
        for each in value:
            yield from unfit(sdk, each, inner[1], f"{place}[]")
    elif inner := re.fullmatch(r"dict\(str, (.*)\)", kind):
        if not isinstance(value, dict):
            yield f"{place}: no object"
            return
        for each in value.values():
            yield from unfit(sdk, each, inner[1], f"{place}.*")
    elif kind in NATIVE:
        if not isinstance(value, NATIVE[kind]) or (isinstance(value, bool) and kind != "bool"):
            yield f"{place}: no {kind}"
    elif kind != "object":
        yield from _unfit_model(sdk, value, kind, place)


def _unfit_model(sdk: Sdk, value: Any, kind: str, place: str) -> Iterator[str]:
    model = getattr(sdk.models, kind)
    if not model.openapi_types:  # an enumeration
        if not isinstance(value, str) or value not in vars(model).values():
            yield f"{place}: not of {kind}"
        return
    if not isinstance(value, dict):
        yield f"{place}: no object"
        return
    known = {shown: model.openapi_types[name] for name, shown in model.attribute_map.items()}
    for key, each in value.items():
        if key not in known:
            yield f"{place}.{key}: unknown"
        else:
            yield from unfit(sdk, each, known[key], f"{place}.{key}")


def shape(value: Any) -> Any:
    """A JSON value with its scalars replaced by the names of their types."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value).__name__


def missing(wanted: Any, got: Any, place: str = "") -> Iterator[str]:
    """What a recorded answer has and ours lacks or has of another type; more is no matter."""
    if isinstance(wanted, dict):
        if not isinstance(got, dict):
            yield f"{place}: {shape(got)} is no object"
            return
        for key, each in wanted.items():
            if key not in got:
                yield f"{place}.{key}: missing"
            else:
                yield from missing(each, got[key], f"{place}.{key}")
    elif isinstance(wanted, list):
        if not isinstance(got, list) or (wanted and not got):
            yield f"{place}: {shape(got)} is no list, or an empty one"
            return
        for each, ours in zip(wanted, got, strict=False):
            yield from missing(each, ours, f"{place}[]")
    elif wanted is not None and _scalar(wanted) != _scalar(got):
        yield f"{place}: {type(got).__name__} instead of {type(wanted).__name__}"


def _scalar(value: Any) -> str:
    """The kind of a scalar; whole numbers stand for others in recorded lists of numbers."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if number else type(value).__name__


def problems(sdk: Sdk, value: Json, kind: str) -> list[str]:
    """``unfit`` as a list without repetitions."""
    return list(dict.fromkeys(unfit(sdk, value, kind)))
