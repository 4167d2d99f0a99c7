"""The resources of the sidecar: Dapr understands each, and those of Kubernetes say what those of a laptop say."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deployment.manifests import OVERLAYS, ROOT, Manifest, documents, faults, of_kind, overlay, settings, the

COMPONENTS = sorted((ROOT / "components").rglob("*.yaml"))
SUBSCRIPTIONS = sorted((ROOT / "dapr" / "subscriptions").glob("*.yaml"))
POLICIES = {"configuration": ROOT / "dapr" / "config.yaml", "resiliency": ROOT / "dapr" / "resiliency.yaml"}
FILES = [
    *((path, "component") for path in COMPONENTS),
    *((path, "subscription") for path in SUBSCRIPTIONS),
    *((path, schema) for schema, path in POLICIES.items()),
]
ONLY_ON_KUBERNETES = {"redisUsername", "enableTLS", "subscriptionScopes", "publishingScopes"}


def name_of(path: object) -> str:
    return str(path.relative_to(ROOT)) if isinstance(path, Path) else ""


def only(path: Path) -> Manifest:
    (document,) = documents(path)
    return document


@pytest.mark.parametrize(("path", "schema"), FILES, ids=name_of)
def test_every_file_is_one_resource_that_dapr_understands(path: Path, schema: str) -> None:
    assert faults(only(path), schema) == []


@pytest.mark.parametrize("overlay_name", OVERLAYS)
@pytest.mark.parametrize("kind", ["Component", "Configuration", "Resiliency"])
def test_what_kubernetes_gets_is_what_dapr_understands(overlay_name: str, kind: str) -> None:
    found = of_kind(overlay(overlay_name), kind)

    assert found
    assert [fault for manifest in found for fault in faults(manifest, kind.lower())] == []


def set_misspelt(component: Manifest) -> None:
    component["spec"]["metadata"][0]["name"] = "redishost"


def set_other_app(component: Manifest) -> None:
    component["scopes"] = ["holdfast", "other"]


def set_unit(component: Manifest) -> None:
    next(item for item in component["spec"]["metadata"] if item["name"] == "redeliverInterval")["value"] = "2000ms"


def set_secret(component: Manifest) -> None:
    item = next(item for item in component["spec"]["metadata"] if item["name"] == "redisPassword")
    item.update(value="hunter2")
    del item["secretKeyRef"]


@pytest.mark.parametrize("spoil", [set_misspelt, set_other_app, set_unit, set_secret])
def test_a_component_that_dapr_would_misread_is_found(spoil: Callable[[Manifest], None]) -> None:
    component = copy.deepcopy(only(ROOT / "components" / "pubsub" / "redis" / "pubsub.yaml"))

    spoil(component)

    assert faults(component, "component")


def test_every_folder_of_components_has_one_so_that_folders_can_be_combined() -> None:
    folders = [path.parent for path in COMPONENTS]
    names = {"state": "statestore", "pubsub": "pubsub", "secrets": "secretstore"}

    assert len(folders) == len(set(folders))
    assert {path: only(path)["metadata"]["name"] for path in COMPONENTS} == {
        path: names[path.parent.parent.name] for path in COMPONENTS
    }


def test_there_is_a_component_of_every_kind_that_is_supported() -> None:
    assert {only(path)["spec"]["type"] for path in COMPONENTS} == {
        "state.redis",
        "state.sqlite",
        "state.postgresql",
        "state.in-memory",
        "pubsub.redis",
        "pubsub.in-memory",
        "pubsub.kafka",
        "secretstores.local.env",
    }


def test_redis_takes_batches_and_gives_back_what_a_killed_sidecar_had_taken() -> None:
    found = settings(only(ROOT / "components" / "pubsub" / "redis" / "pubsub.yaml"))
    batch = only(SUBSCRIPTIONS[0])["spec"]["bulkSubscribe"]["maxMessagesCount"]

    wanted = {"queueDepth": "1000", "processingTimeout": "10000", "redeliverInterval": "2000", "concurrency": "200"}
    assert {name: found[name] for name in wanted} == wanted
    assert int(found["concurrency"]) >= len(SUBSCRIPTIONS) * batch


def test_every_policy_that_a_target_names_exists_and_every_target_is_a_component() -> None:
    spec = only(POLICIES["resiliency"])["spec"]
    names = {"timeout": "timeouts", "retry": "retries", "circuitBreaker": "circuitBreakers"}
    used = [
        (names[kind], name)
        for component in spec["targets"]["components"].values()
        for direction in component.values()
        for kind, name in direction.items()
    ]

    assert all(name in spec["policies"][kind] for kind, name in used)
    assert set(spec["targets"]["components"]) <= {only(path)["metadata"]["name"] for path in COMPONENTS}


def test_the_sidecar_delivers_again_for_ever_what_the_service_cannot_take() -> None:
    spec = only(POLICIES["resiliency"])["spec"]

    inbound = spec["targets"]["components"]["pubsub"]["inbound"]

    assert set(inbound) == {"retry"}
    assert spec["policies"]["retries"][inbound["retry"]] == {
        "policy": "constant",
        "duration": "200ms",
        "maxRetries": -1,
    }


def test_the_sidecar_never_repeats_a_write_by_itself() -> None:
    outbound = only(POLICIES["resiliency"])["spec"]["targets"]["components"]["statestore"]["outbound"]

    assert set(outbound) == {"timeout", "circuitBreaker"}


def test_the_subscriptions_are_of_the_topics_of_workflows() -> None:
    found = {only(path)["spec"]["topic"]: only(path)["spec"] for path in SUBSCRIPTIONS}

    assert set(found) == {"workflow-signals", "workflow-resume"}
    for topic, spec in found.items():
        assert spec["routes"] == {"default": f"/dapr/pubsub/{topic}"}
        assert spec["bulkSubscribe"] == {"enabled": True, "maxMessagesCount": 100, "maxAwaitDurationMs": 10}


def test_subscriptions_lie_where_no_sidecar_looks_by_itself() -> None:
    (app,) = only(ROOT / "dapr.yaml")["apps"]
    paths = [*only(ROOT / "dapr.yaml")["common"]["resourcesPaths"], *app.get("resourcesPaths", [])]

    assert "dapr/subscriptions" not in paths
    assert "subscriptions" not in str(only(ROOT / "dapr" / "kustomization.yaml")["resources"])


def test_the_folder_of_resources_is_no_package_that_would_hide_the_sdk() -> None:
    assert list((ROOT / "dapr").rglob("*.py")) == []


@pytest.mark.parametrize("overlay_name", OVERLAYS)
@pytest.mark.parametrize("path", [*POLICIES.values()], ids=name_of)
def test_kubernetes_and_a_laptop_have_the_same_policies(overlay_name: str, path: Path) -> None:
    wanted = only(path)

    found = the(overlay(overlay_name), wanted["kind"], "holdfast")

    assert {**found, "metadata": {"name": found["metadata"]["name"]}} == wanted


@pytest.mark.parametrize("overlay_name", OVERLAYS)
@pytest.mark.parametrize("block", ["state", "pubsub"])
def test_kubernetes_and_a_laptop_have_the_same_components_but_for_where_redis_is(overlay_name: str, block: str) -> None:
    (path,) = (ROOT / "components" / block / "redis").glob("*.yaml")
    wanted = only(path)

    found = the(overlay(overlay_name), "Component", wanted["metadata"]["name"])

    assert (found["spec"]["type"], found["spec"]["version"]) == (wanted["spec"]["type"], wanted["spec"]["version"])
    same, other = settings(wanted), settings(found)
    assert set(other) - set(same) <= ONLY_ON_KUBERNETES
    for place in ("redisHost", "redisPassword"):
        assert same.pop(place) != other.pop(place)
    assert {name: value for name, value in other.items() if name not in ONLY_ON_KUBERNETES} == same
