"""The manifests: Kubernetes understands each, and what they name is there.

`manifests.build` stands for `kustomize build`: it understands the few features that are used and refuses others. To
compile kustomize itself would cost a minute of every run, for what thirty lines say.
"""

from __future__ import annotations

import base64
import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import SecretStr

from app.durations import parse_duration
from app.settings import Settings
from tests.deployment.manifests import (
    OVERLAYS,
    ROOT,
    KustomizationError,
    Manifest,
    build,
    containers,
    of_kind,
    overlay,
    settings,
    the,
)

KUBERNETES = "1.37"
DAPR_KINDS = {"Component", "Configuration", "Resiliency"}
on_every_overlay = pytest.mark.parametrize("name", OVERLAYS)


def pod_of(manifest: Manifest) -> Manifest:
    pod: Manifest = manifest["spec"]["template"]
    return pod


def workloads(manifests: list[Manifest]) -> list[Manifest]:
    return [*of_kind(manifests, "Deployment"), *of_kind(manifests, "StatefulSet")]


@on_every_overlay
def test_kubernetes_understands_every_manifest(name: str) -> None:
    core = [manifest for manifest in overlay(name) if manifest["kind"] not in DAPR_KINDS]

    assert {manifest["kind"] for manifest in core} >= {
        "Deployment",
        "Namespace",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    }
    for manifest in core:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def misspell(deployment: Manifest) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}


def set_number_for_text(deployment: Manifest) -> None:
    deployment["spec"]["template"]["metadata"]["annotations"]["dapr.io/app-port"] = 8000


@pytest.mark.parametrize("spoil", [misspell, set_number_for_text])
def test_a_manifest_that_kubernetes_would_refuse_is_found(spoil: Callable[[Manifest], None]) -> None:
    deployment = copy.deepcopy(the(overlay("dev"), "Deployment", "holdfast"))

    spoil(deployment)

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


def test_a_kustomization_with_anything_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("namePrefix: x-\nresources: []\n", encoding="utf-8")

    with pytest.raises(KustomizationError, match="namePrefix"):
        build(tmp_path)


@on_every_overlay
def test_no_two_manifests_are_one_and_the_same(name: str) -> None:
    keys = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in overlay(name)]

    assert len(keys) == len(set(keys))


@on_every_overlay
def test_everything_is_in_the_namespace_of_the_overlay(name: str) -> None:
    manifests = overlay(name)
    (namespace,) = of_kind(manifests, "Namespace")

    others = {manifest["metadata"].get("namespace") for manifest in manifests if manifest is not namespace}

    assert others == {namespace["metadata"]["name"]}


def named_secrets(manifests: list[Manifest]) -> set[tuple[str, str]]:
    """Every secret that the manifests name, and the key in it."""
    found = set()
    for component in of_kind(manifests, "Component"):
        references = [value for value in settings(component).values() if isinstance(value, dict)]
        found |= {(reference["name"], reference["key"]) for reference in references}
    for workload in workloads(manifests):
        annotations = pod_of(workload)["metadata"].get("annotations", {})
        found |= {(value, "token") for key, value in annotations.items() if key.endswith("-token-secret")}
        for container in containers(workload):
            references = [item["valueFrom"]["secretKeyRef"] for item in container.get("env", []) if "valueFrom" in item]
            found |= {(reference["name"], reference["key"]) for reference in references}
        for volume in pod_of(workload)["spec"].get("volumes", []):
            sources = [source["secret"] for source in volume.get("projected", {}).get("sources", [])]
            found |= {(source["name"], item["key"]) for source in sources for item in source["items"]}
    return found


@on_every_overlay
def test_every_secret_that_is_named_is_one_that_the_script_makes(name: str) -> None:
    made = subprocess.run([ROOT / "k8s" / "make-secrets", "holdfast"], check=True, capture_output=True, text=True)
    secrets = list(yaml.safe_load_all(made.stdout))
    for secret in secrets:
        kubernetes_validate.validate(secret, KUBERNETES, strict=True)

    assert named_secrets(overlay(name)) == {(secret["metadata"]["name"], *secret["data"]) for secret in secrets}
    values = [base64.b64decode(value).decode() for secret in secrets for value in secret["data"].values()]
    assert len(set(values)) == len(values)
    assert all(len(value) == 64 for value in values)
    assert all(Settings(token=SecretStr(value)).token for value in values)


def test_the_script_makes_other_secrets_each_time_and_takes_a_password_that_is_there() -> None:
    command = [str(ROOT / "k8s" / "make-secrets"), "holdfast"]
    environment = {"PATH": "/usr/bin:/bin", "REDIS_PASSWORD": "of the server"}

    once, twice = (subprocess.run(command, check=True, capture_output=True, env=environment).stdout for _ in "12")

    first, second = (
        {made["metadata"]["name"]: made["data"] for made in yaml.safe_load_all(out)} for out in (once, twice)
    )
    password = {"password": base64.b64encode(b"of the server").decode()}
    assert first.pop("holdfast-redis") == second.pop("holdfast-redis") == password
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)


def test_no_secret_is_in_the_repository() -> None:
    assert [name for name in OVERLAYS if of_kind(overlay(name), "Secret")] == []


@on_every_overlay
def test_services_budgets_and_policies_find_their_pods(name: str) -> None:
    manifests = overlay(name)
    labels = [pod_of(workload)["metadata"]["labels"] for workload in workloads(manifests)]
    selectors = [
        *(manifest["spec"]["selector"] for manifest in of_kind(manifests, "Service")),
        *(manifest["spec"]["selector"]["matchLabels"] for manifest in of_kind(manifests, "PodDisruptionBudget")),
        *(manifest["spec"]["podSelector"].get("matchLabels", {}) for manifest in of_kind(manifests, "NetworkPolicy")),
        *(workload["spec"]["selector"]["matchLabels"] for workload in workloads(manifests)),
    ]

    assert all(any(selector.items() <= each.items() for each in labels) for selector in selectors)


@on_every_overlay
def test_ports_that_are_named_are_there(name: str) -> None:
    manifests = overlay(name)
    ports = {
        port["name"]: port["containerPort"]
        for workload in workloads(manifests)
        for container in containers(workload)
        for port in container["ports"]
    }
    asked = [port["targetPort"] for service in of_kind(manifests, "Service") for port in service["spec"]["ports"]]
    for workload in workloads(manifests):
        for container in containers(workload):
            probes = [probe for key, probe in container.items() if key.endswith("Probe") and "exec" not in probe]
            asked += [(probe.get("httpGet") or probe["tcpSocket"])["port"] for probe in probes]

    assert asked
    assert set(asked) <= set(ports)
    deployment = the(manifests, "Deployment", "holdfast")
    assert pod_of(deployment)["metadata"]["annotations"]["dapr.io/app-port"] == str(ports["http"])


@on_every_overlay
def test_the_service_understands_its_environment(name: str) -> None:
    (container,) = containers(the(overlay(name), "Deployment", "holdfast"))
    given: dict[str, Any] = {
        item["name"].removeprefix("HOLDFAST_").lower(): item["value"]
        for item in container["env"]
        if item["name"].startswith("HOLDFAST_") and "EXAMPLES" not in item["name"]
    }
    assert given.pop("token_file") == "/run/secrets/holdfast/token"

    understood = Settings(**given, token=SecretStr("in-the-file"))

    assert str(understood.address) == "0.0.0.0:8000"
    assert understood.store == "dapr:statestore"
    assert understood.publisher == "dapr:pubsub"
    assert understood.workflows


@on_every_overlay
def test_there_is_one_process_and_it_is_gone_before_the_next_one_starts(name: str) -> None:
    spec = the(overlay(name), "Deployment", "holdfast")["spec"]

    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    assert spec["template"]["spec"]["restartPolicy"] == "Always"  # after exit code 75 too


@on_every_overlay
def test_the_process_may_take_as_long_to_open_its_port_as_it_waits_for_the_store(name: str) -> None:
    (container,) = containers(the(overlay(name), "Deployment", "holdfast"))
    (wait,) = (item["value"] for item in container["env"] if item["name"] == "HOLDFAST_STORE_WAIT")
    probe = container["startupProbe"]

    patience = probe["periodSeconds"] * probe["failureThreshold"]

    assert probe["httpGet"]["path"] == "/livez"
    assert patience > parse_duration(wait).total_seconds()


@on_every_overlay
def test_the_sidecar_runs_with_the_configuration_that_is_there(name: str) -> None:
    manifests = overlay(name)
    annotations = pod_of(the(manifests, "Deployment", "holdfast"))["metadata"]["annotations"]

    assert the(manifests, "Configuration", annotations["dapr.io/config"])
    scopes = [manifest["scopes"] for kind in ("Component", "Resiliency") for manifest in of_kind(manifests, kind)]
    assert all(scope == [annotations["dapr.io/app-id"]] for scope in scopes)


def test_the_dev_overlay_has_the_image_as_it_was_built_here_and_production_one_of_a_registry() -> None:
    images = {name: containers(the(overlay(name), "Deployment", "holdfast"))[0]["image"] for name in OVERLAYS}

    assert images["dev"] == "holdfast"
    assert images["production"].startswith("registry.example.com/holdfast:")
    assert not images["production"].endswith(":latest")
