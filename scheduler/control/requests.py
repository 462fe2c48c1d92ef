"""From a stored run and its job's spec to what a center is asked to run."""

from collections.abc import Mapping

from adapters.contract import RunRequest
from scheduler.domain import arrays
from scheduler.domain.ids import center_name, job_id, run_id
from scheduler.domain.spec import JobSpec
from scheduler.store.runs import ToSend


def request_of(run: ToSend, spec: JobSpec, epoch: int) -> RunRequest:
    """Return the request for one attempt; equal for every sending of the same run but the epoch."""
    text = run_id(run.uid, run.attempt)
    option = spec.options[run.option_index]
    return RunRequest(
        run_id=text,
        name=center_name(text),
        epoch=epoch,
        city=run.city,
        enterprise=run.enterprise,
        flavor=run.flavor,
        units_per_node=option.units_per_node,
        nodes=run.nodes,
        wall_limit_s=run.wall_limit_s,
        memory_mib_per_node=option.memory_mib_per_node,
        image=spec.image,
        command=spec.command,
        script=spec.script,
        environment=_environment(run, spec),
        inputs=spec.inputs,
        outputs=spec.outputs,
        labels=spec.labels,
        fresh=run.fresh,
    )


def _environment(run: ToSend, spec: JobSpec) -> Mapping[str, str]:
    """The job's variables; an element's program also finds which one of how many it is."""
    if run.array_uid is None:
        return spec.environment
    return {
        **spec.environment,
        arrays.ID_VARIABLE: job_id(run.array_uid),
        arrays.INDEX_VARIABLE: str(run.array_index),
        arrays.SIZE_VARIABLE: str(run.array_size),
    }
