"""The publishers that the setting can name."""

import logging
import sys
from pathlib import Path

import pytest

from app.bootstrap import build_engine, make_publisher
from app.errors import StartupError
from app.service import Service
from app.settings import Settings
from holdfast import FencedError
from holdfast.publishers import LocalBus
from holdfast.publishers.dapr import DaprPublisher

PUBLISHING = "tests.unit.engine.publishers"


def ignore(_error: FencedError) -> None:
    """Stand for whoever is told that another process has taken over."""


@pytest.mark.parametrize(("setting", "kind"), [("local", LocalBus), ("dapr:pubsub", DaprPublisher)])
def test_a_publisher_is_named_by_its_kind_and_component(setting: str, kind: type) -> None:
    assert type(make_publisher(Settings(publisher=setting))) is kind


@pytest.mark.parametrize("setting", ["", "dapr:", "dapr", "kafka:9092", "Local"])
def test_what_names_no_publisher_is_refused_with_what_does(setting: str) -> None:
    with pytest.raises(StartupError, match=r"HOLDFAST_PUBLISHER: '.*' is not a publisher: write dapr:component or lo"):
        make_publisher(Settings(publisher=setting))


def test_without_the_extra_the_sidecar_is_refused_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holdfast.publishers.dapr", None)

    with pytest.raises(StartupError, match=r"pip install 'holdfast\[dapr\]'"):
        make_publisher(Settings(publisher="dapr:pubsub"))


@pytest.mark.parametrize(("publisher", "warnings"), [("local", 1), ("dapr:pubsub", 0)])
def test_outputs_that_nobody_can_hear_are_told_of_at_start(
    caplog: pytest.LogCaptureFixture, publisher: str, warnings: int
) -> None:
    with caplog.at_level(logging.WARNING):
        build_engine(Settings(store="memory:", publisher=publisher, workflows=(PUBLISHING,)), ignore)

    told = [record.getMessage() for record in caplog.records]
    assert (
        told
        == ["outputs to numbers, secret go nowhere: set HOLDFAST_PUBLISHER=dapr:component to publish them"] * warnings
    )


def test_a_service_whose_sidecar_does_not_answer_does_not_start_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAPR_GRPC_ENDPOINT", "127.0.0.1:1")
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    settings = Settings.model_validate({"store": store, "publisher": "dapr:pubsub", "store_wait": "300ms"})
    service = Service(settings, build_engine)

    with pytest.raises(StartupError, match=r"the sidecar at 127\.0\.0\.1:1 does not say what it has loaded"):
        service.open()
