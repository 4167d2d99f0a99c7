"""The security checklist of an application beside Dapr on Kubernetes: one test for each of its lines.

Two lines are turned round on purpose. App health checks are off: with bulk subscriptions Dapr 1.18 stops delivering
for good once the service was killed with a batch in flight. Subscriptions have no dead-letter topic: the service's own
records are the truth, with a reason. And conversation is among the allowed APIs, for activities that ask a model.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from app.durations import parse_duration
from app.service import CLOSE_SECONDS
from app.sidecar.probe import PROBE_TOPIC
from holdfast import executors
from tests.deployment.dockerfile import read
from tests.deployment.manifests import (
    OVERLAYS,
    ROOT,
    Manifest,
    containers,
    documents,
    of_kind,
    overlay,
    settings,
    the,
    values,
)
from tests.service.kit import application, start

NOT_ASSERTABLE = {
    "image digest": "no registry can be asked here; the overlay says where it goes",
    "image signature": "no image is built here",
    "SBOM": "no image is built here",
    "mTLS of the control plane": "a setting of Dapr's installation, not of an application",
    "patch level of the sidecar": "a setting of Dapr's installation; what is tested with is asserted",
    "subject of a request": "there is one token, and no user behind it",
}
"""What of the checklist no test of this repository can see; the how-to on Kubernetes says how to see to it."""

QUANTITY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return overlay(str(request.param))


@pytest.fixture
def pod(manifests: list[Manifest]) -> Manifest:
    found: Manifest = the(manifests, "Deployment", "holdfast")["spec"]["template"]
    return found


@pytest.fixture
def dapr(pod: Manifest) -> dict[str, str]:
    return {name.removeprefix("dapr.io/"): value for name, value in pod["metadata"]["annotations"].items()}


@pytest.fixture
def environment(pod: Manifest) -> dict[str, str]:
    (container,) = pod["spec"]["containers"]
    return {item["name"]: item["value"] for item in container["env"]}


@pytest.fixture
def configuration(manifests: list[Manifest]) -> Manifest:
    found: Manifest = the(manifests, "Configuration", "holdfast")["spec"]
    return found


def seconds(duration: str) -> float:
    match = re.fullmatch(r"(\d+)s?", duration)
    assert match
    return float(match[1])


def quantity(text: str) -> int:
    match = re.fullmatch(r"(\d+)(Ki|Mi|Gi)", text)
    assert match
    return int(match[1]) * QUANTITY[match[2]]


def test_both_tokens_are_set_and_read_from_files_so_that_they_can_be_renewed(
    pod: Manifest, dapr: dict[str, str], environment: dict[str, str]
) -> None:
    sources = next(volume for volume in pod["spec"]["volumes"] if volume["name"] == "tokens")["projected"]["sources"]
    files = {
        f"/run/secrets/holdfast/{source['secret']['items'][0]['path']}": source["secret"]["name"] for source in sources
    }

    assert files[environment["APP_API_TOKEN_FILE"]] == dapr["app-token-secret"]
    assert files[environment["DAPR_API_TOKEN_FILE"]] == dapr["api-token-secret"]
    assert len(set(files.values())) == 3
    assert not [name for name in environment if name.endswith("TOKEN")]


def test_nobody_invokes_the_service_through_its_sidecar_unless_a_policy_names_them(configuration: Manifest) -> None:
    assert configuration["accessControl"] == {"defaultAction": "deny", "trustDomain": "public"}
    assert "mTLS of the control plane" in NOT_ASSERTABLE


def test_a_policy_says_who_may_start_dapr_workflows_once_the_dapr_executor_is_there(manifests: list[Manifest]) -> None:
    assert "dapr" not in executors.names() or of_kind(manifests, "WorkflowAccessPolicy")


def test_components_are_of_this_application_only_and_hold_no_secret(manifests: list[Manifest]) -> None:
    components = of_kind(manifests, "Component")

    assert {component["metadata"]["name"] for component in components} == {"statestore", "pubsub"}
    for component in components:
        assert component["scopes"] == ["holdfast"]
        assert set(settings(component)["redisPassword"]) == {"name", "key"}


def test_the_topics_that_signals_come_from_are_scoped(manifests: list[Manifest]) -> None:
    found = settings(the(manifests, "Component", "pubsub"))

    assert found["subscriptionScopes"] == f"holdfast=workflow-signals,workflow-resume,{PROBE_TOPIC}"


def test_in_production_nothing_is_published_to_a_topic_that_is_not_named() -> None:
    found = settings(the(overlay("production"), "Component", "pubsub"))

    assert found["publishingScopes"] == f"holdfast={PROBE_TOPIC}"


def test_secrets_are_denied_to_the_application(configuration: Manifest, dapr: dict[str, str]) -> None:
    assert {scope["storeName"]: scope["defaultAccess"] for scope in configuration["secrets"]["scopes"]} == {
        "kubernetes": "deny",
        "secretstore": "deny",
    }
    assert dapr["disable-builtin-k8s-secret-store"] == "true"


def test_the_sidecar_does_for_the_service_what_it_needs_and_nothing_else(configuration: Manifest) -> None:
    allowed = {(api["name"], api["protocol"]) for api in configuration["api"]["allowed"]}

    needed = {(name, way) for name in ("state", "publish", "metadata", "conversation") for way in ("http", "grpc")}
    assert allowed == needed | {("healthz", "http")}


def test_the_sidecar_listens_on_the_pod_itself(dapr: dict[str, str]) -> None:
    assert dapr["sidecar-listen-addresses"] == "127.0.0.1"


def test_the_network_is_closed_but_for_what_is_named(manifests: list[Manifest]) -> None:
    policies = of_kind(manifests, "NetworkPolicy")
    default = the(manifests, "NetworkPolicy", "default-deny")["spec"]

    assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    rules = [rule for policy in policies for way in ("ingress", "egress") for rule in policy["spec"].get(way, [])]
    assert all(rule.get("from") or rule.get("to") for rule in rules)  # from or to somebody in particular
    assert all(rule["ports"] for rule in rules)


def test_the_api_is_open_to_the_ingress_the_numbers_to_prometheus_and_the_sidecar_to_nobody(
    manifests: list[Manifest],
) -> None:
    ingress = the(manifests, "NetworkPolicy", "holdfast")["spec"]["ingress"]

    by_peer = {
        rule["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]: [
            port["port"] for port in rule["ports"]
        ]
        for rule in ingress
    }
    assert by_peer == {"ingress-nginx": [8000], "monitoring": [8000, 9090]}


def test_the_way_out_leads_to_names_the_control_plane_and_the_store(manifests: list[Manifest]) -> None:
    mine = [
        policy for policy in of_kind(manifests, "NetworkPolicy") if policy["metadata"]["name"].startswith("holdfast")
    ]
    ports = {port["port"] for policy in mine for rule in policy["spec"].get("egress", []) for port in rule["ports"]}
    host = settings(the(manifests, "Component", "statestore"))["redisHost"]

    assert ports == {53, 50001, 6500, 50005, 50006, int(host.rpartition(":")[2])}


def test_pods_keep_to_the_restricted_standard(manifests: list[Manifest]) -> None:
    for kind in ("Deployment", "StatefulSet"):
        for workload in of_kind(manifests, kind):
            spec = workload["spec"]["template"]["spec"]
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["runAsUser"] > 0
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
            assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume]
            for container in containers(workload):
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }
    (namespace,) = of_kind(manifests, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/warn"] == "restricted"


def test_production_refuses_pods_that_do_not_keep_to_it() -> None:
    (namespace,) = of_kind(overlay("production"), "Namespace")

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_service_is_the_user_of_the_image_and_can_write_to_tmp_only(pod: Manifest) -> None:
    (container,) = pod["spec"]["containers"]
    context = pod["spec"]["securityContext"]
    user = read(ROOT / "Dockerfile")[-1].last("USER")

    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    writable = [mount for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert [(mount["mountPath"], "emptyDir" in volumes[mount["name"]]) for mount in writable] == [("/tmp", True)]  # noqa: S108 - its mount


def test_the_sidecar_has_the_seccomp_profile_too(dapr: dict[str, str]) -> None:
    assert dapr["sidecar-seccomp-profile-type"] == "RuntimeDefault"


def test_no_pod_has_a_token_of_kubernetes_and_the_account_may_do_nothing(
    manifests: list[Manifest], pod: Manifest
) -> None:
    account = the(manifests, "ServiceAccount", pod["spec"]["serviceAccountName"])

    assert account["automountServiceAccountToken"] is False
    for kind in ("Deployment", "StatefulSet"):
        for workload in of_kind(manifests, kind):
            assert workload["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert [manifest for manifest in manifests if "Role" in manifest["kind"]] == []


def test_everything_has_requests_and_limits(manifests: list[Manifest], dapr: dict[str, str]) -> None:
    for kind in ("Deployment", "StatefulSet"):
        for workload in of_kind(manifests, kind):
            for container in containers(workload):
                assert (
                    set(container["resources"]["requests"])
                    == set(container["resources"]["limits"])
                    == {"cpu", "memory"}
                )
    for what in ("cpu", "memory"):
        assert dapr[f"sidecar-{what}-request"]
        assert dapr[f"sidecar-{what}-limit"]


def test_a_budget_lets_a_node_be_drained_and_pods_are_spread(manifests: list[Manifest], pod: Manifest) -> None:
    assert the(manifests, "PodDisruptionBudget", "holdfast")["spec"]["maxUnavailable"] == 1
    assert pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == pod["metadata"]["labels"]


def test_the_sidecar_outlives_the_drain_and_the_pod_outlives_both(
    pod: Manifest, dapr: dict[str, str], environment: dict[str, str]
) -> None:
    service = parse_duration(environment["HOLDFAST_DRAIN"]).total_seconds() + CLOSE_SECONDS
    blocked = seconds(dapr["block-shutdown-duration"])
    sidecar = blocked + seconds(dapr["graceful-shutdown-seconds"])

    assert blocked > service
    assert pod["spec"]["terminationGracePeriodSeconds"] >= service + sidecar + 5


def test_app_health_checks_are_off_on_purpose(dapr: dict[str, str]) -> None:
    assert dapr["enable-app-health-check"] == "false"


def test_only_readiness_looks_at_the_store_and_the_sidecar(pod: Manifest) -> None:
    (container,) = pod["spec"]["containers"]

    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}


def test_the_sidecar_and_the_service_take_bodies_of_one_size(dapr: dict[str, str], environment: dict[str, str]) -> None:
    assert quantity(dapr["max-body-size"]) == int(environment["HOLDFAST_MAX_BODY_BYTES"])


def test_there_are_policies_for_the_state_and_for_messages_that_come_in(manifests: list[Manifest]) -> None:
    targets = the(manifests, "Resiliency", "holdfast")["spec"]["targets"]["components"]

    assert set(targets["statestore"]["outbound"]) == {"timeout", "circuitBreaker"}  # retries are the engine's
    assert set(targets["pubsub"]["inbound"]) == {"retry"}


def test_the_service_keeps_dead_letters_itself() -> None:
    subscriptions = [each for path in (ROOT / "dapr" / "subscriptions").glob("*.yaml") for each in documents(path)]

    assert subscriptions
    assert [each for each in subscriptions if "deadLetterTopic" in each["spec"]] == []


def test_the_image_is_slim_and_holds_no_build_tools() -> None:
    stages = read(ROOT / "Dockerfile")

    assert "-slim-" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert stages[-1].all("RUN") == ["python -m pip uninstall --yes pip"]
    assert {"image digest", "image signature", "SBOM"} <= set(NOT_ASSERTABLE)


def test_the_sidecar_that_is_tested_with_has_the_fix_of_path_traversal() -> None:
    text = (ROOT / "tools" / "dapr-runtime" / "go.mod").read_text(encoding="utf-8")
    match = re.search(r"github\.com/dapr/dapr v(\d+)\.(\d+)\.(\d+)", text)

    assert match
    assert tuple(map(int, match.groups())) >= (1, 17, 5)


def test_production_reaches_redis_by_tls_as_a_user_of_its_own() -> None:
    for component in of_kind(overlay("production"), "Component"):
        found = settings(component)
        assert found["enableTLS"] == "true"
        assert found["redisUsername"] == "holdfast"
        assert set(found["redisPassword"]) == {"name", "key"}


def test_the_redis_of_the_dev_overlay_has_every_write_on_the_disk_and_wants_a_password() -> None:
    (redis,) = containers(the(overlay("dev"), "StatefulSet", "redis"))

    words = redis["args"]
    assert words[words.index("--appendonly") + 1] == "yes"
    assert words[words.index("--appendfsync") + 1] == "always"
    assert words[words.index("--requirepass") + 1] == "$(REDIS_PASSWORD)"
    policy: dict[str, Any] = the(overlay("dev"), "NetworkPolicy", "redis")["spec"]
    assert policy["ingress"][0]["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "holdfast"}}}]
    assert "egress" not in policy


def test_logs_are_json(environment: dict[str, str], dapr: dict[str, str]) -> None:
    assert environment["HOLDFAST_LOG_FORMAT"] == "json"
    assert dapr["log-as-json"] == "true"


def test_no_manifest_holds_anything_that_looks_like_a_token(manifests: list[Manifest]) -> None:
    texts = [value for manifest in manifests for value in values(manifest) if isinstance(value, str)]

    assert [text for text in texts if re.fullmatch(r"[0-9a-f]{32,}|[A-Za-z0-9+/]{40,}={0,2}", text)] == []


def test_the_history_says_why_a_run_was_ended_and_the_log_who_asked_but_no_payload(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with application() as app, caplog.at_level(logging.INFO):
        client = app.test_client()
        start(client, "echo", "echo-1", {"card": "4111-canary"})
        start(client, "order", "order-1", {"sku": "4111-canary", "quantity": 1})

        client.post("/v1/runs/order-1/terminate", json={"reason": "asked by the customer"})

        assert "asked by the customer" in client.get("/v1/runs/order-1/history").text
    requests = [record for record in caplog.records if record.name == "holdfast.http"]
    assert len(requests) == 4
    assert all(vars(record)["remote"] == "127.0.0.1" for record in requests)
    assert not [record for record in caplog.records if "canary" in str(vars(record))]


def test_what_cannot_be_asserted_is_named_where_it_is_seen_to() -> None:
    page = (ROOT / "docs" / "how-to" / "deploy-on-kubernetes.md").read_text(encoding="utf-8")

    assert [name for name in NOT_ASSERTABLE if f"**{name}**" not in page] == []
