"""Settings: what is taken, what is refused, and that no refusal repeats what was set."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import StartupError
from app.settings import Address, load_settings, misspelt


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(f"HOLDFAST_{name}", value)
    with pytest.raises(StartupError) as caught:
        load_settings()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_defaults_serve_this_machine_from_a_file() -> None:
    settings = load_settings()

    assert settings.store == "sqlite:///holdfast.db"
    assert settings.address == Address("127.0.0.1", 8000)
    assert settings.address.is_loopback
    assert settings.token is None
    assert settings.workflows == ()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_WORKFLOWS", "one, two ,,three.four")
    monkeypatch.setenv("HOLDFAST_ADDRESS", "[::1]:0")
    monkeypatch.setenv("HOLDFAST_DRAIN", "1m30s")
    monkeypatch.setenv("HOLDFAST_DEV_REPLAY", "1")
    monkeypatch.setenv("HOLDFAST_TOKEN", "s3cret")

    settings = load_settings()

    assert settings.workflows == ("one", "two", "three.four")
    assert settings.address == Address("::1", 0)
    assert settings.address.is_loopback
    assert settings.drain == timedelta(seconds=90)
    assert settings.dev_replay is True
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize("address", ["0.0.0.0:8000", "[::]:8000", "10.0.0.7:80", "example.org:80"])
def test_an_address_that_others_can_reach_needs_a_token(
    monkeypatch: pytest.MonkeyPatch, address: str, tmp_path: Path
) -> None:
    assert "token is needed" in refusal(monkeypatch, ADDRESS=address)

    (tmp_path / "token").write_text("a-token\n", encoding="utf-8")
    monkeypatch.setenv("HOLDFAST_TOKEN_FILE", str(tmp_path / "token"))
    token = load_settings().token
    assert token is not None
    assert token.get_secret_value() == "a-token"


@pytest.mark.parametrize(
    "address", ["8000", "127.0.0.1", "127.0.0.1:", ":8000", "127.0.0.1:99999", "a b:1", "http://a:1"]
)
def test_a_bad_address_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    assert refusal(monkeypatch, ADDRESS=address).startswith("HOLDFAST_ADDRESS: write host:port")


@pytest.mark.parametrize("token", ["", "two words", "grün", "x" * 513, "line\nbreak"])
def test_a_token_no_header_can_hold_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    text = refusal(monkeypatch, TOKEN=token)

    assert "the token must be" in text
    assert not token or token not in text


def test_a_token_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = refusal(monkeypatch, TOKEN_FILE=str(tmp_path / "nowhere"))

    assert "HOLDFAST_TOKEN_FILE" in text
    assert "No such file" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THREADS", "1"),
        ("THREADS", "many"),
        ("DRAIN", "soon"),
        ("DRAIN", "-1"),
        ("MAX_BODY_BYTES", "10"),
        ("LOG_FORMAT", "xml"),
        ("DEV_REPLAY", "maybe"),
        ("INSTANCE", ""),
    ],
)
def test_a_value_that_does_not_fit_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert refusal(monkeypatch, **{name: value}).startswith(f"HOLDFAST_{name}: ")


@pytest.mark.parametrize(
    ("topics", "words"),
    [
        ('{"topic": "x"}', 'write a JSON list, such as [{"topic": "payments", '),
        ('"x"', "write a JSON list"),
        ("[7]", "entry 1: it is no object; write a JSON list"),
        ('[{"topic": "x"}, {"topic": "y", "topik": "x"}]', "entry 2: there is no field 'topik': did you mean 'topic'?"),
        ('[{"topic": "x", "colour": 1}]', "entry 1: there is no field 'colour': there are topic, pubsub, workflow_id"),
        ('[{"pubsub": "x"}]', "entry 1: field 'topic' is missing"),
        ('[{"topic": 5}]', "entry 1: field 'topic' must be a text"),
        ('[{"topic": ""}]', "entry 1: field 'topic' must not be empty"),
        ('[{"topic": "x", "signal": "s"}]', "entry 1: the mapping of topic 'x' needs both"),
        ('[{"topic": "x"}, {"topic": "x"}]', "topic 'x' is mapped twice"),
    ],
)
def test_a_mapping_that_does_not_fit_says_where_and_how_it_is_right(
    monkeypatch: pytest.MonkeyPatch, topics: str, words: str
) -> None:
    assert refusal(monkeypatch, TOPICS=topics).startswith(f"HOLDFAST_TOPICS: {words}")


def test_a_variable_that_is_misspelt_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_WORKFLOW", "a")
    monkeypatch.setenv("HOLDFAST_ADRESS", "a")
    monkeypatch.setenv("HOLDFAST_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("HOLDFAST_PORT_8000_TCP_ADDR", "10.0.0.1")

    assert misspelt() == {"HOLDFAST_WORKFLOW": "HOLDFAST_WORKFLOWS", "HOLDFAST_ADRESS": "HOLDFAST_ADDRESS"}
