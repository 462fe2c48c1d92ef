"""Every call of the center, made by the official SDK: it signs, is let in, and can read the answer.

The SDK reads leniently, so each answer is also held against the types that the SDK declares.
"""

from typing import Any

import pytest

from tests.centers.modelarts_center.official_sdk import Rig, problems
from tests.modelarts_center.settings import POOL

pytestmark = pytest.mark.centers

#: What the center says more than the SDK knows, on purpose or because it echoes what it was given.
EXTRA = {
    ".spec.auto_stop: unknown",
    ".spec.resource.pool_info: unknown",
    ".status.hand_over_version: unknown",
    ".metadata.x_reserved: unknown",
    ".algorithm.environments: no list",
}


def read(rig: Rig, name: str, kind: str, **fields: Any) -> Any:
    """Make a call and hold its answer against the SDK's types."""
    answer = rig.call(name, f"{kind}Request", **fields)
    found = problems(rig.sdk, answer.to_json_object() or {}, f"{kind}Response")
    assert {each.replace(".items[]", "") for each in found} <= EXTRA
    return answer


def test_a_job_from_its_name_to_its_deletion(rig: Rig) -> None:
    models = rig.sdk.models
    free = read(rig, "validate_training_job_name", "ValidateTrainingJobName", job_name="cor-1-a1")
    assert free.is_duplicate is False
    hours = models.AutoStop(time_unit="HOURS", duration=2)
    policy = models.SchedulePolicy(priority=1, preemptible=False)
    job = rig.job("cor-1-a1", "sleep 60", nodes=2, auto_stop=hours, schedule_policy=policy)
    made = read(rig, "create_training_job", "CreateTrainingJob", body=job)
    assert (made.status_code, made.status.phase) == (201, "Creating")
    assert (made.status.tasks, made.metadata.name) == (["worker-0", "worker-1"], "cor-1-a1")
    taken = read(rig, "validate_training_job_name", "ValidateTrainingJobName", job_name="cor-1-a1")
    assert taken.is_duplicate is True

    rig.control.until("cor-1-a1", "Running")
    job_id = made.metadata.id
    shown = read(rig, "show_training_job_details", "ShowTrainingJobDetails", training_job_id=job_id)
    assert shown.status.phase == "Running"
    assert shown.status.start_time >= made.metadata.create_time  # both milliseconds
    assert shown.status.running_records[0].start_at == shown.status.start_time // 1000
    assert shown.metadata.description == "鄂州"

    body = models.JobUpdateRequestBody(description="changed")
    rig.call(
        "change_training_job_description",
        "ChangeTrainingJobDescriptionRequest",
        training_job_id=job_id,
        body=body,
    )
    assert rig.show(job_id).metadata.description == "changed"

    stopped = rig.stop(job_id)
    assert (stopped.status_code, stopped.status.phase) == (202, "Terminating")
    rig.control.until("cor-1-a1", "Terminated")
    ended = rig.show(job_id)
    assert {each.exit_code for each in ended.status.task_statuses} == {128 + 15}
    assert ended.status.running_records[0].end_at >= ended.status.running_records[0].start_at

    deleted = rig.call("delete_training_job", "DeleteTrainingJobRequest", training_job_id=job_id)
    assert deleted.status_code == 202
    with pytest.raises(rig.sdk.exceptions.ClientRequestException) as gone:
        rig.show(job_id)
    assert (gone.value.status_code, gone.value.error_code) == (404, "ModelArts.0102")


def test_searches_filter_sort_and_count(rig: Rig) -> None:
    for number in range(5):
        rig.create(f"cor-{number}", "sleep 60")
        rig.control.until(f"cor-{number}", "Running", "Pending")
    whole = read(
        rig,
        "list_training_jobs",
        "ListTrainingJobs",
        body=rig.sdk.models.JobSearches(offset=0, limit=50, order="asc"),
    )
    assert [job.metadata.name for job in whole.items] == [f"cor-{n}" for n in range(5)]

    def names(*filters: tuple[str, str, list[str]], **more: Any) -> list[str]:
        return [job.metadata.name for job in rig.search(*filters, **more).items]

    assert names(("name", "in", ["cor-1", "cor-3"])) == ["cor-3", "cor-1"]
    assert names(("name", "like", ["r-2"])) == ["cor-2"]
    assert names(("phase", "not", ["Running"])) == ["cor-4"]
    assert names(("phase", "in", ["Pending"]), ("name", "in", ["cor-1"])) == []
    instants = [str(job.metadata.create_time) for job in whole.items]
    assert names(("create_time", "between", instants[1:3]), order="asc")[:1] == ["cor-1"]
    few = rig.search(("phase", "in", ["Running"]), limit=2, order="asc")
    assert (few.total, few.count, len(few.items)) == (5, 4, 2)
    for limit in (0, 51):
        with pytest.raises(rig.sdk.exceptions.ClientRequestException) as refused:
            rig.search(limit=limit)
        assert refused.value.status_code == 400


def test_the_course_of_a_job(rig: Rig) -> None:
    job_id = rig.create("cor-1", "for i in 1 2 3; do echo line $i of $CORRIDOR_RUN; done; exit 3")
    rig.control.until("cor-1", "Failed")
    shown = rig.show(job_id)
    assert [each.exit_code for each in shown.status.task_statuses] == [3]
    told = read(
        rig,
        "list_training_job_events",
        "ListTrainingJobEvents",
        training_job_id=job_id,
        limit=100,
        order="asc",
        x_language="zh-cn",
    )
    assert told.total == len(told.events) == 4
    assert [told.events[0].level, told.events[-1].level] == ["Info", "Error"]
    only = rig.call(
        "list_training_job_events",
        "ListTrainingJobEventsRequest",
        training_job_id=job_id,
        level="Error",
        pattern="failed",
    )
    assert [each.message for each in only.events] == ["Training job is failed."]
    stages = read(rig, "list_training_job_stages", "ListTrainingJobStages", training_job_id=job_id)
    names = [each.name for each in stages.running_records[0].stages]
    assert names == ["scheduling", "preparing", "running", "end"]
    tasks = rig.call(
        "list_training_job_tasks", "ListTrainingJobTasksRequest", training_job_id=job_id
    )
    assert [(each.task, each.schedule_count) for each in tasks.body] == [("worker-0", 1)]
    which = {"training_job_id": job_id, "task_id": "worker-0"}
    log = read(rig, "show_training_job_logs_preview", "ShowTrainingJobLogsPreview", **which)
    assert log.content == "line 1 of cor-1\nline 2 of cor-1\nline 3 of cor-1\n"
    assert log.current_size == log.full_size == len(log.content)
    used = read(rig, "show_training_job_metrics", "ShowTrainingJobMetrics", **which)
    assert "npuUtil" in {each.metric for each in used.metrics}


def test_lines_of_a_log_page_both_ways(rig: Rig) -> None:
    job_id = rig.create("cor-1", "seq 1 7")
    rig.control.until("cor-1", "Completed")
    which = {"training_job_id": job_id, "task_id": "worker-0"}

    def lines(**more: Any) -> tuple[str, str, list[str]]:
        told = read(
            rig, "show_training_job_logs_from_aom", "ShowTrainingJobLogsFromAom", **which, **more
        )
        return told.start_line, told.end_line, told.content.split()

    assert lines(lines=3) == ("5", "7", ["7", "6", "5"])
    assert lines(lines=3, base_line="5") == ("2", "4", ["4", "3", "2"])
    assert lines(lines=3, order="asc") == ("1", "3", ["1", "2", "3"])
    assert lines(lines=5, order="asc", base_line="3") == ("4", "7", ["4", "5", "6", "7"])


def test_pools_nodes_and_queues(rig: Rig) -> None:
    broken = rig.control.set_node(3, broken=True)
    rig.create("cor-run", "sleep 60", nodes=2)
    rig.control.until("cor-run", "Running")
    rig.create("cor-wait", nodes=2)
    rig.control.until("cor-wait", "Pending")
    shown = rig.call("list_pools", "ListPoolsRequest", status="created")
    raw = shown.to_json_object()
    # The SDK declares one object where the recorded answers hold a list, and reads Nones from it.
    found = set(problems(rig.sdk, raw, "ListPoolsResponse"))
    assert {each.rpartition(".")[2] for each in found} <= {
        "available: no object",
        "abnormal: no object",
    }
    counts = raw["items"][0]["status"]["resources"]
    assert (counts["available"][0]["count"], counts["abnormal"][0]["count"]) == (3, 1)
    one = rig.call("show_pool", "ShowPoolRequest", pool_name=POOL)
    assert one.metadata.name == POOL
    nodes = read(rig, "list_pool_nodes", "ListPoolNodes", pool_name=POOL, limit=3)
    assert (len(nodes.items), nodes.metadata.remaining_item_count) == (3, 1)
    rest = rig.call(
        "list_pool_nodes",
        "ListPoolNodesRequest",
        pool_name=POOL,
        _continue=nodes.metadata._continue,
    )
    assert [(each.metadata.name, each.status.phase) for each in rest.items] == [
        (broken, "Abnormal")
    ]
    works = read(
        rig,
        "list_workloads",
        "ListWorkloads",
        pool_name=POOL,
        type="train",
        sort="create_time",
        ascend=True,
        limit=500,
    )
    assert [(each.job_name, each.status, each.pending_position) for each in works.items] == [
        ("cor-run", "Running", 0),
        ("cor-wait", "Queue", 1),
    ]
    assert works.items[0].resource_requirement.huawei_com_ascend_1980 == "16"
    assert len(works.items[0].nodes) == 2
    queued = rig.call("list_workloads", "ListWorkloadsRequest", pool_name=POOL, status="Queue")
    assert [each.job_name for each in queued.items] == ["cor-wait"]
    stats = read(
        rig, "show_workload_statistics", "ShowWorkloadStatistics", pool_name=POOL
    ).statistics
    assert (stats.total, stats.items[0].status.running, stats.items[0].status.queue) == (2, 1, 1)
    pools = read(rig, "show_pool_statistics", "ShowPoolStatistics")
    assert pools.statistics.status.created == 1
    metrics = read(rig, "show_pool_runtime_metrics", "ShowPoolRuntimeMetrics")
    assert metrics.items[0].table.workload.queue.train == 1


def test_what_jobs_may_ask_for(rig: Rig) -> None:
    flavors = read(rig, "show_training_job_flavors", "ShowTrainingJobFlavors", flavor_type="Ascend")
    cards = [each.flavor_info.npu.unit_num for each in flavors.flavors]
    assert cards == ["1", "2", "4", "8"]
    engines = read(rig, "show_training_job_engines", "ShowTrainingJobEngines")
    assert engines.total == len(engines.items) == 2
    rig.create("cor-1", "sleep 60", flavor="modelarts.pool.visual.4xlarge")
    rig.control.until("cor-1", "Running")
    most = read(
        rig,
        "show_training_flavor_max_available_resource",
        "ShowTrainingFlavorMaxAvailableResource",
        flavor_id="modelarts.pool.visual.xlarge",
        pool_id=POOL,
    )
    assert most.cpu_core_num == 192
    quotas = read(rig, "show_training_quotas", "ShowTrainingQuotas", resource="job-num")
    assert [(each.quota, each.used) for each in quotas.quotas] == [(500, 1)]
    models = rig.sdk.models
    item = models.ModifyTrainingQuotaItem(resource="job-num", quota=1)
    read(
        rig,
        "modify_training_quotas",
        "ModifyTrainingQuotas",
        body=models.ModifyTrainingQuotaRequest(user_id="u0", quotas=[item]),
    )
    with pytest.raises(rig.sdk.exceptions.ClientRequestException) as full:
        rig.create("cor-2")
    assert full.value.error_code == "ModelArts.0118"


def test_tags(rig: Rig) -> None:
    models = rig.sdk.models
    job_ids = [rig.create(name) for name in ("cor-1", "cor-2")]
    for job_id, city in zip(job_ids, ("鄂州", "黄石"), strict=True):
        tags = [models.TmsTag(key="city", value=city), models.TmsTag(key="corridor", value="1")]
        made = read(
            rig,
            "create_train_job_tags",
            "CreateTrainJobTags",
            training_job_id=job_id,
            body=models.CreateTmsTagsRequest(tags=tags),
        )
        assert [each.value for each in made.tags] == [city, "1"]
    both = [models.MutiValueTag(key="city", values=["鄂州", "黄石"])]
    found = read(
        rig,
        "list_training_jobs_by_tags",
        "ListTrainingJobsByTags",
        limit=10,
        offset=0,
        body=models.ResourceInstancesFilterReq(
            tags=both, matches=[models.Match(key="resource_name", value="r-2")]
        ),
    )
    assert [each.resource_name for each in found.resources] == ["cor-2"]
    one = [models.CountResourceInstancesReqTags(key="city", values=["鄂州"])]
    count = read(
        rig,
        "count_training_jobs_by_tags",
        "CountTrainingJobsByTags",
        limit=10,
        offset=0,
        body=models.CountResourceInstancesReq(tags=one),
    )
    assert count.total_count == 1
    known = read(rig, "list_training_job_tags", "ListTrainingJobTags")
    assert {each.key: sorted(each.values) for each in known.tags}["corridor"] == ["1"]
    gone = rig.call(
        "delete_train_job_tags",
        "DeleteTrainJobTagsRequest",
        training_job_id=job_ids[0],
        body=models.DeleteTmsTagsRequest(tags=[models.TmsTag(key="city")]),
    )
    assert gone.status_code == 204
    left = read(rig, "show_train_job_tags", "ShowTrainJobTags", training_job_id=job_ids[0])
    assert [each.key for each in left.tags] == ["corridor"]
    tagged = models.ListTagFilter(key="city", values=["黄石"])
    assert [job.metadata.name for job in rig.search(tags=[tagged]).items] == ["cor-2"]


def test_batches_and_workspaces(rig: Rig) -> None:
    models = rig.sdk.models
    jobs = []
    for number in range(2):
        job_id = rig.create(f"cor-{number}")
        rig.control.until(f"cor-{number}", "Completed")
        jobs.append(
            models.BatchDeleteJobItem(kind="job", metadata=models.BatchDeleteJobMetadata(id=job_id))
        )
    body = models.BatchDeleteJobsReq(jobs=jobs)
    rig.call("batch_delete_training_job", "BatchDeleteTrainingJobRequest", body=body)
    assert rig.search().total == 0
    spaces = read(rig, "list_workspace", "ListWorkspace")
    assert [each.id for each in spaces.workspaces] == ["0"]
    quotas = read(rig, "show_workspace_quotas", "ShowWorkspaceQuotas", workspace_id="0")
    assert quotas.quotas[0].used_quota == 0
