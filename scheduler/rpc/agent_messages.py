"""The words of agents and scheduler (``adapters.agent.words``) as messages and back.

Both ends use this module. What cannot be read is an error (``ValueError``) that ends the session.
"""

from corridor.v1 import adapter_service_pb2 as pb

from adapters.agent import words
from adapters.contract import Accepted, LogChunk, RunRequest
from adapters.errors import AdapterError
from scheduler.rpc import run_messages as runs


def from_agent(said: words.FromAgent) -> pb.ConnectRequest:
    """Return the message of a word of the agent."""
    match said:
        case words.Hello():
            return pb.ConnectRequest(
                hello=pb.AgentHello(
                    protocol=said.protocol,
                    center=said.center,
                    agent_version=said.agent_version,
                    journal_id=said.journal_id,
                    epoch_seen=said.epoch_seen,
                )
            )
        case words.Told():
            return pb.ConnectRequest(told=_from_told(said))
        case words.Standing():
            standing = pb.CenterStanding(clock_ms=runs.milliseconds_before(said.clock_s))
            if said.error is not None:
                standing.error.CopyFrom(runs.from_error(said.error))
            if said.swept_age_s is not None:
                standing.swept_age_ms = runs.milliseconds_of(said.swept_age_s)
            return pb.ConnectRequest(standing=standing)
        case words.Inventory():
            page = [_from_report(one) for one in said.runs]
            inventory = pb.RunInventory(runs=page, first=said.first, last=said.last)
            return pb.ConnectRequest(inventory=inventory)
        case words.Reports():
            reports = pb.RunReports(runs=[_from_report(one) for one in said.runs])
            return pb.ConnectRequest(reports=reports)
        case words.Answer():
            return pb.ConnectRequest(answer=_from_answer(said))


def to_word(center: str, said: pb.ConnectRequest) -> words.FromAgent:
    """Return what the agent of a center said. Raises ``ValueError`` if it makes no sense."""
    match said.WhichOneof("said"):
        case "hello":
            one = said.hello
            return words.Hello(
                one.protocol, one.center, one.agent_version, one.journal_id, one.epoch_seen
            )
        case "told":
            return words.Told(
                runs.to_description(center, said.told),
                said.told.settle_ms / 1000,
                said.told.provisional_ms / 1000,
            )
        case "standing":
            standing = said.standing
            return words.Standing(
                runs.to_error(standing.error) if standing.HasField("error") else None,
                standing.swept_age_ms / 1000 if standing.HasField("swept_age_ms") else None,
                standing.clock_ms / 1000,
            )
        case "inventory":
            page = tuple(_to_report(one) for one in said.inventory.runs)
            return words.Inventory(page, said.inventory.first, said.inventory.last)
        case "reports":
            return words.Reports(tuple(_to_report(one) for one in said.reports.runs))
        case "answer":
            return _to_answer(said.answer)
    raise ValueError("the agent said nothing that this version knows")


def from_scheduler(said: words.ToAgent) -> pb.ConnectResponse:
    """Return the message of a word of the scheduler."""
    match said:
        case words.Welcome():
            welcome = pb.AgentWelcome(
                protocol=said.protocol,
                epoch=said.epoch,
                heartbeat_ms=runs.milliseconds_of(said.heartbeat_s),
            )
            return pb.ConnectResponse(welcome=welcome)
        case words.Heartbeat():
            return pb.ConnectResponse(heartbeat=pb.SchedulerHeartbeat())
        case words.Ack():
            return pb.ConnectResponse(ack=pb.ReportAck(sequence=said.sequence))
        case words.Reconciled():
            wanted = [runs.from_ref(one) for one in said.wanted]
            reconciled = pb.RunsReconciled(settled=said.settled, wanted=wanted)
            return pb.ConnectResponse(reconciled=reconciled)
        case words.Command():
            return pb.ConnectResponse(command=_from_command(said))


def to_agent(said: pb.ConnectResponse) -> words.ToAgent:
    """Return what the scheduler said. Raises ``ValueError`` if it makes no sense."""
    match said.WhichOneof("said"):
        case "welcome":
            one = said.welcome
            return words.Welcome(one.protocol, one.epoch, one.heartbeat_ms / 1000)
        case "heartbeat":
            return words.Heartbeat()
        case "ack":
            return words.Ack(said.ack.sequence)
        case "reconciled":
            wanted = tuple(runs.to_ref(ref) for ref in said.reconciled.wanted)
            return words.Reconciled(tuple(said.reconciled.settled), wanted)
        case "command":
            return words.Command(said.command.id, said.command.epoch, _to_body(said.command))
    raise ValueError("the scheduler said nothing that this version knows")


# --- parts ----------------------------------------------------------------------------------------


def _from_told(told: words.Told) -> pb.CenterTold:
    one = told.description
    return pb.CenterTold(
        kind=one.kind,
        api_version=one.api_version,
        simulated=one.simulated,
        flavors=runs.from_description(one),
        settle_ms=runs.milliseconds_of(told.settle_s),
        provisional_ms=runs.milliseconds_of(told.provisional_s),
    )


def _from_report(report: words.RunReport) -> pb.RunReport:
    return pb.RunReport(
        sequence=report.sequence,
        run=runs.from_ref(report.ref),
        observed=runs.from_observation(report.observation),
        use=None if report.usage is None else runs.from_usage(report.usage),
        gone=report.gone,
    )


def _to_report(said: pb.RunReport) -> words.RunReport:
    return words.RunReport(
        said.sequence,
        runs.to_ref(said.run),
        runs.to_observation(said.observed),
        runs.to_usage(said.use) if said.HasField("use") else None,
        said.gone,
    )


def _from_command(command: words.Command) -> pb.AgentCommand:
    said = pb.AgentCommand(id=command.id, epoch=command.epoch)
    match command.body:
        case RunRequest():
            said.submit.CopyFrom(runs.from_request(command.body))
        case words.Find():
            said.find.CopyFrom(pb.FindRuns(runs=map(runs.from_ref, command.body.runs)))
        case words.Cancel():
            said.cancel.run.CopyFrom(runs.from_ref(command.body.run))
        case words.Notify():
            said.notify.run.CopyFrom(runs.from_ref(command.body.run))
            said.notify.grace_s = command.body.grace_s
        case words.ReadLogs():
            said.read_log.run.CopyFrom(runs.from_ref(command.body.run))
            said.read_log.offset, said.read_log.limit = command.body.offset, command.body.limit
        case words.ReadUsage():
            said.meter.CopyFrom(pb.MeterRuns(runs=map(runs.from_ref, command.body.runs)))
    return said


def _to_body(said: pb.AgentCommand) -> words.Body:
    match said.WhichOneof("body"):
        case "submit":
            return runs.to_request(said.submit)
        case "find":
            return words.Find(tuple(runs.to_ref(ref) for ref in said.find.runs))
        case "cancel":
            return words.Cancel(runs.to_ref(said.cancel.run))
        case "notify":
            return words.Notify(runs.to_ref(said.notify.run), said.notify.grace_s)
        case "read_log":
            piece = said.read_log
            return words.ReadLogs(runs.to_ref(piece.run), piece.offset, piece.limit)
        case "meter":
            return words.ReadUsage(tuple(runs.to_ref(ref) for ref in said.meter.runs))
    raise ValueError("the scheduler commands nothing that this version knows")


def _from_answer(answer: words.Answer) -> pb.CommandAnswer:
    said, value = pb.CommandAnswer(id=answer.command), answer.value
    match value:
        case Accepted():
            said.accepted.CopyFrom(runs.from_accepted(value))
        case words.Found():
            said.found.CopyFrom(pb.RunsFound(runs=map(runs.from_observation, value.runs.values())))
        case words.Measured():
            said.metered.SetInParent()
            for run_id, used in value.runs.items():
                said.metered.runs[run_id].CopyFrom(runs.from_usage(used))
        case LogChunk():
            said.log.CopyFrom(runs.from_log(value))
        case AdapterError():
            said.error.CopyFrom(runs.from_error(value))
        case None:
            said.done.SetInParent()
    return said


def _to_answer(said: pb.CommandAnswer) -> words.Answer:
    value: words.AnswerValue
    match said.WhichOneof("outcome"):
        case "accepted":
            value = runs.to_accepted(said.accepted)
        case "found":
            seen = map(runs.to_observation, said.found.runs)
            value = words.Found({one.run_id: one for one in seen})
        case "metered":
            value = words.Measured(
                {run_id: runs.to_usage(use) for run_id, use in said.metered.runs.items()}
            )
        case "log":
            value = runs.to_log(said.log)
        case "error":
            value = runs.to_error(said.error)
        case "done":
            value = None
        case _:
            raise ValueError("the agent answered nothing that this version knows")
    return words.Answer(said.id, value)
