"""The files that start hajimi elsewhere are what their programs understand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from hajimi_site.backups import END_SECONDS
from hajimi_site.environment import VARIABLES
from hajimi_site.supervisor import FAREWELL_SECONDS

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = sorted(path.name for path in ROOT.glob("compose*.yaml"))
# From SIGTERM to the end, with the drain that is the default, when everything takes as long as it may.
[DRAIN] = [variable.default for variable in VARIABLES if variable.name == "DRAIN_SECONDS"]
LONGEST_END = DRAIN + FAREWELL_SECONDS + END_SECONDS
KNOWN = {variable.name for variable in VARIABLES}


def compose(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", COMPOSE)
def test_a_compose_file_follows_the_specification(name: str) -> None:
    parsed = PyCompose.from_yaml((ROOT / name).read_text(encoding="utf-8"))

    parsed.validate()
    assert "hajimi" in parsed.service_names()
    # What the specification does not know would be dropped in silence.
    said = compose(name)["services"]
    understood = parsed.to_dict()["services"]
    assert {key: sorted(value) for key, value in said.items()} == {
        key: sorted(set(value)) for key, value in understood.items()
    }


@pytest.mark.parametrize("name", COMPOSE)
def test_a_compose_file_sets_variables_that_exist(name: str) -> None:
    environment = compose(name)["services"]["hajimi"]["environment"]

    assert set(environment) <= KNOWN


@pytest.mark.parametrize("name", COMPOSE)
def test_a_container_gets_time_to_drain_and_no_rights_it_does_not_need(name: str) -> None:
    service = compose(name)["services"]["hajimi"]

    assert int(re.sub(r"\D", "", service["stop_grace_period"])) > LONGEST_END
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_the_scaled_compose_file_shares_everything_over_postgresql_and_redis() -> None:
    services = compose("compose.yaml")["services"]

    hajimi = services["hajimi"]
    assert hajimi["environment"]["DATABASE_URL"].startswith("postgres://")
    assert hajimi["environment"]["REDIS_URL"].startswith("redis://")
    assert hajimi["deploy"]["replicas"] > 1
    assert set(hajimi["depends_on"]) == {"postgres", "redis"}
    # Only the proxy is reached from outside; the others keep what they know.
    assert [name for name, service in services.items() if "ports" in service] == ["caddy"]
    assert {name for name, service in services.items() if service.get("volumes")} == set(services)
    for name, service in services.items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert "healthcheck" in service or "build" in service, f"{name} (the image of hajimi brings its own)"
    assert "noeviction" in services["redis"]["command"]


def test_the_small_compose_file_needs_one_container() -> None:
    whole = compose("compose.small.yaml")

    assert list(whole["services"]) == ["hajimi"]
    assert list(whole["volumes"]) == ["data"]


# Kubernetes.


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text(encoding="utf-8")))


def kind(name: str) -> dict[str, Any]:
    [found] = [manifest for manifest in manifests() if manifest["kind"] == name]
    return found


def test_the_kubernetes_manifest_follows_the_schemas() -> None:
    # Its schemas are large, so it belongs to the slow checks' libraries.
    validate = pytest.importorskip("kubernetes_validate", reason="requirements-slow.txt is not installed")

    for manifest in manifests():
        validate.validate(manifest, "1.31", strict=True)


def test_the_pods_are_what_the_image_needs_and_what_finds_them_finds_them() -> None:
    pod = kind("Deployment")["spec"]["template"]
    [container] = pod["spec"]["containers"]

    assert kind("Deployment")["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert kind("Service")["spec"]["selector"] == pod["metadata"]["labels"]
    assert kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert container["ports"] == [{"name": "http", "containerPort": 7860}]
    assert container["envFrom"] == [{"secretRef": {"name": kind("Secret")["metadata"]["name"]}}]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/hajimi/data", "/tmp"}
    assert pod["spec"]["securityContext"]["runAsUser"] == 1000
    # It still listens while the Service and the ingress forget it.
    [_, seconds] = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["spec"]["terminationGracePeriodSeconds"] > LONGEST_END + int(seconds) > LONGEST_END


def test_a_pod_stays_in_the_service_when_no_key_is_usable() -> None:
    pod = kind("Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}

    # /readyz is 503 without a usable key: then all pods would leave, and the admin with them.
    assert all(probe == {"path": "/healthz", "port": "http"} for probe in probes.values())


def test_it_sets_variables_that_exist_and_those_that_several_pods_must_share() -> None:
    given = kind("Secret")["stringData"]
    [container] = kind("Deployment")["spec"]["template"]["spec"]["containers"]

    assert set(given) | {variable["name"] for variable in container["env"]} <= KNOWN
    assert {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"} <= set(given)


# systemd.


def test_the_unit_is_one_that_systemd_accepts(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    # It looks whether the program is there.
    text = (ROOT / "deploy/hajimi.service").read_text(encoding="utf-8")
    text = text.replace("/opt/hajimi/.venv/bin/python", sys.executable)
    (tmp_path / "hajimi.service").write_text(text)

    run = subprocess.run(
        [program, "verify", "--man=no", str(tmp_path / "hajimi.service")], capture_output=True, text=True, check=False
    )

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_unit_starts_what_make_install_makes_and_lets_answers_finish() -> None:
    text = (ROOT / "deploy/hajimi.service").read_text(encoding="utf-8")
    lines = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))

    assert lines["ExecStart"] == "/opt/hajimi/.venv/bin/python manage.py serve"
    assert lines["WorkingDirectory"] == "/opt/hajimi"
    assert int(lines["TimeoutStopSec"]) > LONGEST_END
    # SIGTERM goes to the main process, which drains; its children follow it.
    assert lines["KillMode"] == "mixed"
