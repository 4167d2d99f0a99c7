"""What the service finds wrong with itself and with its sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app

from app.api import models
from app.api.operations import Api, json_response, service
from app.diagnosis.inside import check_inside, check_tokens, gather
from app.diagnosis.sidecar import check_redelivery, check_sidecar, needs_sidecar
from app.errors import NotReadyError
from app.finding import Finding
from app.sidecar.client import SidecarClient
from app.sidecar.probe import Redelivery, RetryProbe
from holdfast import HoldfastError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Response

    from app.sidecar.access import Refusals

__all__ = ["api"]

api = Api("diagnosis")


@api.operation("GET", "/v1/diagnosis", answers={200: models.Diagnosis})
def diagnose() -> Response:
    """Look for what is usually wrong, and say for each what to do; `holdfast doctor` shows it."""
    return json_response({"findings": list(_findings())})


def _findings() -> Iterator[Finding]:
    settings = service().settings
    probe: RetryProbe = current_app.extensions["holdfast.probe"]
    refusals: Refusals = current_app.extensions["holdfast.refusals"]
    try:
        facts = service().call(gather)
    except (NotReadyError, HoldfastError) as error:
        yield Finding("engine", "wrong", str(error), "see the log of the service; the store may be away")
    else:
        yield from check_inside(facts, settings.store_kind)
    yield from check_tokens(settings, refusals.count)
    if needs_sidecar(settings) or _has_called(probe.found):
        yield from check_sidecar(settings, serves=True)
    if needs_sidecar(settings) or SidecarClient.is_expected() or set(probe.found.values()) != {Redelivery.UNKNOWN}:
        yield from check_redelivery(probe.found)


def _has_called(known: dict[str, Redelivery]) -> bool:
    """Whether a sidecar has brought a probe: then there is one, whatever the store is."""
    return any(found in {Redelivery.KEPT, Redelivery.LOST} for found in known.values())
