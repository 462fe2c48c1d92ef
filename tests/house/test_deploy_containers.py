"""The Containerfile and the compose file: they parse, are closed in, and name what exists."""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml

from scheduler.store.seed_centers import read_file
from tests.deploying import DEPLOY, PORTS, check_corridor, check_ray, pinned, settings_of

CONTAINERFILE = DEPLOY / "container/Containerfile"
FOLDER = DEPLOY / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, one in SERVICES.items() if one["image"].startswith("corridor:")]
REPLICAS = ("corridor-1", "corridor-2")
RAY = ("ray-head", "ray-worker")


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Containerfile with their words."""
    text = re.sub(r"^#.*\n", "", CONTAINERFILE.read_text("utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def last_stage() -> list[tuple[str, str]]:
    """What makes the image itself."""
    found = instructions()
    starts = [number for number, (name, _) in enumerate(found) if name == "FROM"]
    return found[starts[-1] :]


def test_hadolint_is_content() -> None:
    program = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run([program, str(CONTAINERFILE)], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_the_base_is_pinned_and_the_same_in_all_stages() -> None:
    bases = [words.split()[0] for name, words in instructions() if name == "FROM"]
    given = dict(words.split("=", 1) for name, words in instructions() if name == "ARG")
    assert set(bases) == {"${PYTHON_IMAGE}"}
    assert pinned([given["PYTHON_IMAGE"]])


def test_packages_are_those_of_the_lock_by_their_hashes() -> None:
    installs = [words for name, words in instructions() if name == "RUN" and "pip install" in words]
    assert len(installs) == 2
    assert "--require-hashes -r requirements.lock" in installs[0]
    assert "--no-index" in installs[1]


def test_the_image_runs_as_nobody_special_and_has_no_secrets_and_no_tools() -> None:
    stage = last_stage()
    assert ("USER", "10001:10001") in stage
    names = [name for name, _ in stage]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "ADD" not in [name for name, _ in instructions()]
    for name, words in instructions():
        if name in ("ARG", "ENV"):
            assert not re.search("password|secret|token", words, re.IGNORECASE)
        assert not (name == "RUN" and re.search(r"\b(apt|apk|curl|wget)\b", words))
    copies = [words for name, words in stage if name == "COPY"]
    assert copies == ["--from=build /opt/corridor /opt/corridor"]


def test_what_the_image_copies_is_there_and_is_let_in() -> None:
    kept = (CONTAINERFILE.parent / "Containerfile.dockerignore").read_text("utf-8").split()
    for name, words in instructions():
        if name == "COPY" and "--from" not in words:
            for source in words.split()[:-1]:
                assert (DEPLOY.parent / source).exists()
                assert f"!{source}" in kept


def test_the_images_own_settings_and_commands_exist() -> None:
    stage = dict(last_stage())
    variables = dict(re.findall(r"(CORRIDOR_\w+)=(\S+)", stage["ENV"]))
    assert settings_of(variables).store.data_dir == "/var/lib/corridor"
    probe = re.findall(r'"([^"]+)"', stage["HEALTHCHECK"])
    assert probe[0] == "corridor"
    check_corridor(probe[1:])
    ports = {str(PORTS[name]) for name in ("grpc", "agents", "metrics")}
    assert set(stage["EXPOSE"].split()) == ports


def specification(document: dict[str, Any]) -> None:
    """Raise ``ValueError`` unless a compose file is one, and refers to what it has."""
    plain = {key: value for key, value in document.items() if not key.startswith("x-")}
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(plain)).validate()


def test_compose_fits_its_specification() -> None:
    specification(COMPOSE)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("read_only: true", "readonly: true"),
        ("condition: service_healthy", "condition: healthy"),
        ("secrets: [ray-token]", "secrets: [ray-tokn]"),
        ("networks: [database]", "networks: [databas]"),
    ],
)
def test_a_mistake_would_be_found(right: str, wrong: str) -> None:
    text = (FOLDER / "compose.yaml").read_text("utf-8")
    assert right in text
    with pytest.raises(ValueError, match=r"."):
        specification(yaml.safe_load(text.replace(right, wrong)))


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_closed_in(name: str) -> None:
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert int(one["user"].split(":")[0]) > 0
    assert "mem_limit" in one
    assert pinned([one["image"]])
    for port in one.get("ports", ()):
        assert port.startswith("127.0.0.1:")
    for variable, value in (one.get("environment") or {}).items():
        if re.search("password|secret|token|_key", variable, re.IGNORECASE):
            assert value.startswith("/run/secrets/"), variable


def test_every_container_that_stays_has_a_health_check() -> None:
    staying = {name for name, one in SERVICES.items() if one["restart"] != "no"}
    agents = {"agent-wuhan-sc", "agent-wuhan-ai"}  # their state is a metric of the service
    assert {name for name in staying if "test" in SERVICES[name]["healthcheck"]} == staying - agents


@pytest.mark.parametrize("name", OURS)
def test_commands_and_settings_exist(name: str) -> None:
    one = SERVICES[name]
    check = check_ray if one.get("entrypoint") == ["ray"] else check_corridor
    check(one["command"])
    for program, *words in [one.get("healthcheck", {}).get("test", ["CMD", ""])[1:]]:
        if program:
            {"corridor": check_corridor, "ray": check_ray}[program](words)
    variables = one.get("environment") or {}
    settings_of({key: value for key, value in variables.items() if key.startswith("CORRIDOR_")})


@pytest.mark.parametrize("name", OURS)
def test_secrets_that_are_read_are_given(name: str) -> None:
    text = yaml.safe_dump([SERVICES[name].get(key) for key in ("command", "environment")])
    read = set(re.findall(r"/run/secrets/([\w.-]+)", text))
    assert read <= set(SERVICES[name].get("secrets", ()))


def test_replicas_are_alike_and_know_ways_to_each_other() -> None:
    first, second = (settings_of(SERVICES[name]["environment"]) for name in REPLICAS)
    for found in (first, second):
        assert found.server.advertise == f"{found.server.name}:{PORTS['grpc']}"
        assert found.server.name in REPLICAS
        assert found.metrics.listen.endswith(str(PORTS["metrics"]))
        assert found.planner.ray_address == f"ray-head:{PORTS['gcs-server']}"
    for same in ("ledger", "store", "planner", "centers"):
        assert getattr(first, same) == getattr(second, same)
    assert all("corridor" in SERVICES[name]["networks"]["inside"]["aliases"] for name in REPLICAS)


def test_ray_shows_its_token_everywhere() -> None:
    for name in RAY:
        given = SERVICES[name]["environment"]
        assert given["RAY_AUTH_MODE"] == "token"
        assert given["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray-token"


def test_prometheus_looks_at_each_replica_and_knows_all_rules() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    (scraped,) = config["scrape_configs"]
    (targets,) = scraped["static_configs"]
    assert targets["targets"] == [f"{name}:{PORTS['metrics']}" for name in REPLICAS]
    assert config["rule_files"] == ["rules/*.rules.yml"]
    assert "../prometheus:/etc/prometheus/rules:ro" in SERVICES["prometheus"]["volumes"]


def test_agents_work_at_the_centers_that_the_service_reaches_through_agents() -> None:
    served = {one.center: one for one in read_file(FOLDER / "centers.yaml")}
    worked = {one.center: one for one in read_file(FOLDER / "centers-of-agents.yaml")}
    assert {one.kind for one in served.values()} == {"agent"}
    assert served.keys() == worked.keys()
    for center, one in served.items():
        assert one.flavors == worked[center].flavors
        assert f"agent-{center}" in SERVICES


def test_preparing_makes_every_secret_and_a_certificate_of_all_names(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    shutil.copy(FOLDER / "prepare.sh", tmp_path)
    subprocess.run([tmp_path / "prepare.sh"], check=True, capture_output=True)
    made = tmp_path / "secrets"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    for one in COMPOSE["secrets"].values():
        assert (tmp_path / one["file"]).exists()
    before = {one.name: one.read_bytes() for one in made.iterdir()}
    subprocess.run([tmp_path / "prepare.sh"], check=True, capture_output=True)
    assert {one.name: one.read_bytes() for one in made.iterdir()} == before
    ca, cert = str(made / "tls-ca.pem"), str(made / "tls-cert.pem")
    for name in ("corridor", *REPLICAS, "localhost"):
        verify = ["openssl", "verify", "-CAfile", ca, "-verify_hostname", name, cert]
        subprocess.run(verify, check=True, capture_output=True)
