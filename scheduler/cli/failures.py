"""How a command fails: one line on stderr that says what is wrong and what to do, and a code."""

import json
from typing import Any, Final

import grpc

from scheduler.cli import exits
from scheduler.cli.flaws import BadFile, Flaw
from scheduler.cli.lines import complain, one_line
from scheduler.cli.message_json import problem_json
from scheduler.cli.texts import CATALOG, text
from scheduler.problem import Problem, problem_of

_EXITS: Final = {
    "INVALID_ARGUMENT": exits.USAGE,
    "UNAUTHENTICATED": exits.AUTH,
    "PERMISSION_DENIED": exits.AUTH,
    "UNAVAILABLE": exits.UNAVAILABLE,
    "DEADLINE_EXCEEDED": exits.UNAVAILABLE,
}
#: What gRPC says of a certificate that nobody known signed, or that is of another name.
_OF_TRUST: Final = ("certificate", "hostname verification")


class Failed(Exception):
    """A command cannot go on; ``key`` and ``values`` make the line."""

    def __init__(self, key: str, code: int = exits.ERROR, **values: Any) -> None:
        super().__init__(f"{key} {values}")
        self.key, self.code, self.values = key, code, values


class FailedCall(Exception):
    """A call failed; ``after`` is said after its own words, in the language of the command."""

    def __init__(self, problem: Problem, after: str = "") -> None:
        super().__init__(problem.message)
        self.problem, self.after = problem, after


def exit_code(problem: Problem) -> int:
    """Return the exit code of a failed call."""
    if problem.reason == "RATE_LIMITED":
        return exits.UNAVAILABLE  # it works again by itself
    if problem.code == "RESOURCE_EXHAUSTED" and problem.reason:
        return exits.REFUSED
    return _EXITS.get(problem.code, exits.ERROR)


def flaw_line(lang: str, flaw: Flaw) -> str:
    """Return ``job.yaml:7: wall_limt: unknown field; ...``."""
    line = f":{flaw.line}" if flaw.line else ""
    path = f" {flaw.path}:" if flaw.path else ""
    return one_line(f"{flaw.file}{line}:{path} {text(lang, flaw.key, **flaw.values)}")


class Reporter:
    """Says what went wrong, for one run of a command."""

    def __init__(
        self, command: str, lang: str, as_json: bool, verbose: bool, server: str, timeout_s: float
    ) -> None:
        self._command, self._lang = command, lang
        self._as_json, self._verbose = as_json, verbose
        self._server, self._timeout_s = server, timeout_s

    def report(self, error: Exception) -> int:
        """Print the line, or the JSON, of an error; returns the exit code."""
        match error:
            case BadFile():
                return self._bad_file(error)
            case Failed():
                line = text(self._lang, error.key, **error.values)
                return self._say(line, error.code, {})
            case FailedCall():
                return self._call(error.problem, error.after)
            case grpc.RpcError():
                return self._call(problem_of(error), "")
        what = f"{type(error).__name__}: {error}"
        return self._say(text(self._lang, "call.defect", what=what), exits.ERROR, {})

    def words(self, problem: Problem) -> str:
        """Return what a failed call says, in one line."""
        if problem.reason:
            return one_line(self._refusal(problem))
        why = problem.message.rpartition(": ")[2]
        values = {"server": self._server, "why": why, "seconds": f"{self._timeout_s:g}"}
        match problem.code:
            case "UNAVAILABLE" if any(one in problem.message.lower() for one in _OF_TRUST):
                return one_line(text(self._lang, "call.untrusted", **values))
            case "UNAVAILABLE":
                return one_line(text(self._lang, "call.unreachable", **values))
            case "DEADLINE_EXCEEDED":
                return text(self._lang, "call.slow", **values)
        advice = f"; {problem.advice}" if problem.advice else ""
        return one_line(f"{problem.message} ({problem.code}){advice}")

    def _refusal(self, problem: Problem) -> str:
        """Return the service's words, which are English, after ours if we have any."""
        key = f"reason.{problem.reason}"
        if self._lang == "en" or key not in CATALOG:
            return problem.message
        return f"{text(self._lang, key, server=self._server)}（{problem.message}）"

    def _call(self, problem: Problem, after: str) -> int:
        line = self.words(problem) + after
        return self._say(line, exit_code(problem), problem_json(problem))

    def _bad_file(self, error: BadFile) -> int:
        lines = [flaw_line(self._lang, flaw) for flaw in error.flaws]
        if self._as_json:
            flaws = [
                {"file": one.file, "line": one.line, "field": one.path, "message": line}
                for one, line in zip(error.flaws, lines, strict=True)
            ]
            self._print_json({"message": lines[0], "flaws": flaws}, exits.USAGE)
        elif self._verbose:
            complain("\n".join(lines))
        else:
            more = text(self._lang, "file.more", n=len(lines) - 1) if lines[1:] else ""
            complain(lines[0] + more)
        return exits.USAGE

    def _say(self, line: str, code: int, more: dict[str, Any]) -> int:
        if self._as_json:
            self._print_json({**more, "message": line}, code)
        else:
            complain(f"corridor {self._command}: {one_line(line)}")
        return code

    def _print_json(self, error: dict[str, Any], code: int) -> None:
        found = {"error": {"command": self._command, **error, "exit_code": code}}
        complain(json.dumps(found, ensure_ascii=False))
