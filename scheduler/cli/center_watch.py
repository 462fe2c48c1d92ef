"""A center that is drained, watched until it is empty."""

import sys
import time
from typing import Any, Final

from corridor.v1 import center_service_pb2 as pb
from corridor.v1.identity_service_pb2 import WhoAmIRequest

from scheduler.cli import exits
from scheduler.cli.center_views import runs_text
from scheduler.cli.message_json import enum_word, instant, print_json_line, to_json
from scheduler.cli.session import Session

#: Pause between looks, in seconds.
PAUSE_S: Final = 1.0
_STATE: Final = pb.Center.DESCRIPTOR.fields_by_name["state"]


def until_empty(session: Session, center: pb.Center) -> int:
    """Tell of each change until nothing is left at a center; returns the exit code."""
    shown: tuple[Any, ...] | None = None
    request = pb.GetCenterRequest(center=center.center)
    while True:
        now = (center.state, center.active_runs, to_json(center.runs), center.reachable)
        if now != shown:
            _show(session, center)
            shown = now
        if center.state != pb.CENTER_STATE_DRAINING:
            return _ended(session, "center.not_drained", center, exits.ERROR)
        if not center.active_runs:
            return _ended(session, "center.empty", center, exits.OK)
        time.sleep(PAUSE_S)
        center = session.client.centers.GetCenter(request).center


def _show(session: Session, center: pb.Center) -> None:
    if session.as_json:
        deadline = instant(center.drain_deadline) if center.HasField("drain_deadline") else None
        print_json_line(
            {
                "center": center.center,
                "state": enum_word(_STATE, center.state),
                "reachable": center.reachable,
                "drain_deadline": deadline,
                "active_runs": center.active_runs,
                "runs": to_json(center.runs),
            }
        )
    else:
        out = session.out
        words = session.t("center.left", center=center.center, runs=runs_text(session, center))
        if center.HasField("drain_deadline"):
            now = session.client.identity.WhoAmI(WhoAmIRequest()).now  # its time may be scaled
            left_s = center.drain_deadline.seconds - now.seconds
            if left_s > 0:
                words += session.t("center.time_left", span=out.span(left_s))
        if not center.reachable:
            key = "center.unknown" if center.health_unknown else "center.unreachable"
            words += f"; {session.t(key)}"
        out.line(words)
    sys.stdout.flush()


def _ended(session: Session, key: str, center: pb.Center, code: int) -> int:
    if not session.as_json:
        session.out.line(session.t(key, center=center.center), "green" if code == 0 else "red")
    return code
