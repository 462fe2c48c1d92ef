"""Calls that carry a request id: repeated with the same one, they do nothing twice."""

import uuid
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

import grpc
import typer

from scheduler.cli.failures import FailedCall
from scheduler.cli.lines import complain
from scheduler.cli.session import Session
from scheduler.problem import problem_of

Answer = TypeVar("Answer")

RequestId = Annotated[
    str | None,
    typer.Option("--request-id", help="Key of this call; repeating it does nothing twice."),
]
#: The answer may have been lost, with the change made.
_UNSURE: Final = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def call(
    session: Session, method: Callable[[Any], Answer], request: Any, given: str | None
) -> Answer:
    """Make a call under the id that was given, or a new one, and return its answer.

    Sets ``request_id`` of the request. If the answer is lost, the error says under which id to ask
    again.
    """
    request.request_id = given or f"cli-{uuid.uuid4()}"
    if session.verbose:
        complain(session.t("call.request_id", request_id=request.request_id))
    try:
        return method(request)
    except grpc.RpcError as error:
        problem = problem_of(error)
        if problem.code in _UNSURE:
            after = session.t("call.answer_lost", request_id=request.request_id)
            raise FailedCall(problem, after) from error
        raise
