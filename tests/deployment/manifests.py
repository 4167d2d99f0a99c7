"""What `kustomize build` makes of an overlay, for the few of its features that k8s/ uses; others are refused."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(__file__).with_name("schemas")
OVERLAYS = sorted(path.name for path in (ROOT / "k8s" / "overlays").iterdir())
UNDERSTOOD = {"apiVersion", "kind", "namespace", "resources", "patches", "images"}
CLUSTER_WIDE = {"Namespace"}

Manifest = dict[str, Any]


class KustomizationError(Exception):
    """A kustomization asks for something that nothing here understands."""


def documents(path: Path) -> list[Manifest]:
    """The documents of a YAML file."""
    return copy.deepcopy(_parsed(path))


@cache
def _parsed(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document is not None]


def build(folder: Path) -> list[Manifest]:
    """The manifests of a folder with a kustomization."""
    (kustomization,) = documents(folder / "kustomization.yaml")
    if odd := set(kustomization) - UNDERSTOOD:
        raise KustomizationError(f"{folder}: {sorted(odd)}")
    manifests = [manifest for name in kustomization.get("resources", []) for manifest in _resource(folder / name)]
    for patch in kustomization.get("patches", []):
        if set(patch) != {"path"}:
            raise KustomizationError(f"{folder}: {patch}")
        for change in documents(folder / patch["path"]):
            _patch(manifests, change)
    for manifest in manifests:
        if manifest["kind"] not in CLUSTER_WIDE and "namespace" in kustomization:
            manifest["metadata"]["namespace"] = kustomization["namespace"]
        for container in containers(manifest):
            _rename(container, kustomization.get("images", []))
    return manifests


def overlay(name: str) -> list[Manifest]:
    return build(ROOT / "k8s" / "overlays" / name)


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def the(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one manifest of that kind and name."""
    (found,) = (manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name)
    return found


def containers(manifest: Manifest) -> list[Manifest]:
    """The containers of a workload; none in other manifests."""
    pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
    return [*pod.get("initContainers", []), *pod.get("containers", [])]


def faults(manifest: Manifest, schema: str) -> list[str]:
    """Where a document breaks one of the schemas beside this file."""
    (rules,) = documents(SCHEMAS / f"{schema}.yaml")
    validator = jsonschema_rs.Draft202012Validator(rules)
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(manifest)]


def settings(component: Manifest) -> dict[str, Any]:
    """The metadata of a component by name: a value, or where the secret is."""
    return {item["name"]: item.get("value", item.get("secretKeyRef")) for item in component["spec"]["metadata"]}


def values(manifest: object) -> Iterator[Any]:
    """Every value in a manifest, however deep."""
    if isinstance(manifest, dict):
        manifest = list(manifest.values())
    if isinstance(manifest, list):
        for item in manifest:
            yield from values(item)
    else:
        yield manifest


def _resource(path: Path) -> list[Manifest]:
    return build(path) if path.is_dir() else documents(path)


def _patch(manifests: list[Manifest], change: Manifest) -> None:
    target = the(manifests, change["kind"], change["metadata"]["name"])
    target.update(_merged(target, change))


def _merged(old: Any, new: Any) -> Any:  # noqa: ANN401 - any part of a manifest
    """Merge as kubectl does: mappings key by key, lists of named things by name, all else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and all("name" in item for item in new):
        by_name = {item["name"]: item for item in old}
        by_name |= {item["name"]: _merged(by_name.get(item["name"]), item) for item in new}
        return list(by_name.values())
    return copy.deepcopy(new)


def _rename(container: Manifest, images: list[Manifest]) -> None:
    for image in images:
        if container["image"] == image["name"]:
            container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
