"""Kubernetes' files: each overlay builds, fits its schemas, is closed in, and names what exists."""

import importlib.util
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from scheduler.settings import Settings
from tests.deploying import DEPLOY, PORTS, check_corridor, check_ray, pinned, settings_of

FILES = DEPLOY / "kubernetes"
#: The oldest and the newest version that the files are held against.
VERSIONS = ("1.30", "1.37")
OVERLAYS = ("overlays/production", "overlays/trial", "migrate")
CUSTOM: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[1] / "data/kubernetes/custom.yaml").read_text("utf-8")
)
Object = dict[str, Any]


@cache
def built(overlay: str) -> tuple[Object, ...]:
    """The objects of an overlay."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; a package source of Kubernetes has it")
    ran = subprocess.run(
        ["kubectl", "kustomize", str(FILES / overlay)], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return tuple(yaml.safe_load_all(ran.stdout))


def named(overlay: str, kind: str, name: str) -> Object:
    """One object of an overlay."""
    (found,) = [
        one for one in built(overlay) if (one["kind"], one["metadata"]["name"]) == (kind, name)
    ]
    return found


def judge(one: Object) -> None:
    """Raise if an object does not fit its schema."""
    custom = CUSTOM["kinds"].get(one["kind"])
    if custom is None:
        for version in VERSIONS:
            kubernetes_validate.validate(one, version, strict=True)
        return
    assert one["apiVersion"] == custom["apiVersion"]
    schema = {"$defs": CUSTOM["$defs"], **custom["spec"]}
    jsonschema.Draft202012Validator(schema).validate(one["spec"])


def templates(objects: tuple[Object, ...]) -> Iterator[tuple[str, Object]]:
    """The templates of pods, with the name of what has them."""
    for one in objects:
        spec, name = one.get("spec", {}), one["metadata"]["name"]
        if one["kind"] == "RayCluster":
            for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
                yield name, group["template"]
        elif "template" in spec:
            yield name, spec["template"]


def containers(objects: tuple[Object, ...]) -> Iterator[tuple[Object, Object]]:
    """Each container with the specification of its pod."""
    for _, template in templates(objects):
        pod = template["spec"]
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield pod, container


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> tuple[Object, ...]:
    """The objects of each overlay."""
    return built(request.param)


def test_objects_fit_their_schemas(objects: tuple[Object, ...]) -> None:
    for one in objects:
        judge(one)
    for name, template in templates(objects):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
        judge({**pod, "spec": template["spec"]})


def test_what_does_not_fit_is_found() -> None:
    deployment = named("overlays/production", "Deployment", "corridor")
    with pytest.raises(kubernetes_validate.ValidationError):
        judge({**deployment, "spec": {**deployment["spec"], "stratgy": {}}})
    cluster = named("overlays/production", "RayCluster", "corridor-ray")
    with pytest.raises(jsonschema.ValidationError):
        judge({**cluster, "spec": {**cluster["spec"], "authOptions": {"mode": "tokn"}}})


def test_pods_fit_the_restricted_standard(objects: tuple[Object, ...]) -> None:
    for pod, container in containers(objects):
        around, own = pod["securityContext"], container["securityContext"]
        assert around["runAsNonRoot"] is True
        assert around["runAsUser"] > 0
        assert around["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
        assert "memory" in container["resources"]["limits"]


def test_images_are_pinned(objects: tuple[Object, ...]) -> None:
    assert pinned(container["image"] for _, container in containers(objects))


def test_secrets_are_only_referred_to(objects: tuple[Object, ...]) -> None:
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "Secret"] == []


def test_commands_exist(objects: tuple[Object, ...]) -> None:
    for _, container in containers(objects):
        if "corridor" not in container["image"]:
            continue
        if "args" in container:
            check_corridor(container["args"])
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            program, *words = container.get(kind, {}).get("exec", {}).get("command", ["none"])
            if program != "none":
                {"corridor": check_corridor, "ray": check_ray}[program](words)


def test_options_of_ray_exist(objects: tuple[Object, ...]) -> None:
    for one in objects:
        if one["kind"] == "RayCluster":
            for group in (one["spec"]["headGroupSpec"], *one["spec"]["workerGroupSpecs"]):
                check_ray(["start", *(f"--{k}={v}" for k, v in group["rayStartParams"].items()
                                      if v != "true")])  # fmt: skip


def effective(overlay: str) -> Settings:
    """The settings of the pods of an overlay."""
    pod = named(overlay, "Deployment", "corridor")["spec"]["template"]["spec"]
    variables = {
        one["name"]: one.get("value", "postgresql://corridor_app@db.example/corridor")
        for one in pod["containers"][0]["env"]
        if one["name"].startswith("CORRIDOR_")
    }
    return settings_of(variables, FILES / "base/corridor.toml")


@pytest.mark.parametrize("overlay", OVERLAYS[:2])
def test_settings_exist_and_their_files_are_mounted(overlay: str) -> None:
    settings = effective(overlay)
    pod = named(overlay, "Deployment", "corridor")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = tuple(one["mountPath"] for one in container["volumeMounts"])
    files = tomllib.loads((FILES / "base/corridor.toml").read_text("utf-8"))
    named_files = [v for part in files.values() for v in part.values() if str(v).startswith("/")]
    assert len(named_files) >= 8
    assert all(one.startswith(mounts) for one in named_files)
    assert pod["terminationGracePeriodSeconds"] >= settings.server.drain_s + 5 + 15
    assert settings.store.url.startswith("postgresql://")


@pytest.mark.parametrize("overlay", OVERLAYS[:2])
def test_ports_agree(overlay: str) -> None:
    settings = effective(overlay)
    listens = {
        "grpc": settings.server.listen,
        "agents": settings.server.agents_listen,
        "metrics": settings.metrics.listen,
    }
    service = named(overlay, "Service", "corridor")["spec"]
    pod = named(overlay, "Deployment", "corridor")["spec"]["template"]["spec"]
    offered = {one["name"]: one["containerPort"] for one in pod["containers"][0]["ports"]}
    for name, listen in listens.items():
        assert int(listen.rpartition(":")[2]) == PORTS[name] == offered[name]
    assert {one["name"]: one["port"] for one in service["ports"]} == offered
    assert service["clusterIP"] == "None"
    cluster = named(overlay, "RayCluster", "corridor-ray")
    head, port = settings.planner.ray_address.split(":")
    assert (head, int(port)) == (f"{cluster['metadata']['name']}-head-svc", PORTS["gcs-server"])


@pytest.mark.parametrize("overlay", OVERLAYS[:2])
def test_nothing_goes_in_or_out_unnamed(overlay: str) -> None:
    policies = {o["metadata"]["name"]: o["spec"] for o in built(overlay)
                if o["kind"] == "NetworkPolicy"}  # fmt: skip
    assert policies.pop("nothing-by-default") == {
        "podSelector": {}, "policyTypes": ["Ingress", "Egress"]
    }  # fmt: skip
    for policy in policies.values():
        for way in (*policy.get("ingress", ()), *policy.get("egress", ())):
            assert way["ports"], "each way names its ports"
        for way in policy.get("egress", ()):
            assert way["to"], "nothing of ours may go everywhere"


@pytest.mark.parametrize("overlay", OVERLAYS[:2])
def test_the_token_of_ray_is_one_for_all(overlay: str) -> None:
    cluster = named(overlay, "RayCluster", "corridor-ray")["spec"]
    pod = named(overlay, "Deployment", "corridor")["spec"]["template"]["spec"]
    secrets = {
        one["name"]: one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one
    }
    assert cluster["authOptions"] == {"mode": "token", "secretName": secrets["ray-token"]}
    assert effective(overlay).planner.ray_token_file.endswith("/auth_token")


@pytest.mark.parametrize("overlay", OVERLAYS[:2])
def test_selectors_find_the_pods(overlay: str) -> None:
    labels = named(overlay, "Deployment", "corridor")["spec"]["template"]["metadata"]["labels"]
    for kind in ("Service", "PodDisruptionBudget", "ServiceMonitor"):
        found = named(overlay, kind, "corridor")
        spec = found["spec"]["selector"]
        wanted = spec.get("matchLabels", spec)
        there = found["metadata"]["labels"] if kind == "ServiceMonitor" else labels
        assert wanted.items() <= there.items()


def rules() -> ModuleType:
    """The program that writes the rules."""
    spec = importlib.util.spec_from_file_location("rules", FILES / "rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rules_are_those_of_prometheus() -> None:
    assert rules().main(["--check"]) == 0
