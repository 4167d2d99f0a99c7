"""The command line, through real HTTP: what it says, and what it exits with."""

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.program import program
from tests.service.cli_kit import Command, data, said
from tests.service.kit import ROOT, Process, process, until


def test_a_run_is_started_looked_at_signalled_and_watched_to_its_end(holdfast: Command, id: str) -> None:
    started = said(holdfast("workflow", "start", "order", "--id", id, "--input", '{"sku": "A1"}'))
    assert re.search(rf"id +{id}\nrun +\S+\nstatus +running", started)
    until(lambda: "signal 'approval'" in said(holdfast("workflow", "show", id)))

    assert "signal 'approval'" in said(holdfast("workflow", "query", id, "stack"))
    assert said(holdfast("workflow", "query", id, "times", "--input", "3")) == "3\n"
    assert said(holdfast("workflow", "update", id, "quantity", "--input", "7")) == "7\n"
    said(holdfast("workflow", "signal", id, "approval", "--input", '{"by": "ann"}'))
    watched = said(holdfast("workflow", "watch", id))

    assert [line.split()[3] for line in watched.splitlines()[:3]] == [
        "workflow_started",
        "attributes_set",
        "activity_started",
    ]
    assert watched.splitlines()[-1] == f"{id} is completed"
    history = said(holdfast("workflow", "history", id))
    assert "signal_received" in history
    shown = said(holdfast("workflow", "show", id))
    assert re.search(r"result +\{\"cents\": 100, \"approval\": \{\"by\": \"ann\"\}\}", shown)


def test_every_answer_can_be_had_as_json(holdfast: Command, id: str) -> None:
    started = data(holdfast("workflow", "start", "order", "--id", id, "-i", '{"sku": "A1"}', "-o", "json"))
    listed = data(holdfast("workflow", "list", "-q", id, "-o", "json"))
    shown = data(holdfast("workflow", "show", id, "-o", "json"))
    history = data(holdfast("workflow", "history", id, "-o", "json"))
    query = data(holdfast("workflow", "query", id, "status", "-o", "json"))
    signal = data(holdfast("workflow", "signal", id, "approval", "-o", "json"))
    definitions = data(holdfast("definition", "list", "-o", "json"))

    assert started["id"] == listed["items"][0]["id"] == shown["id"] == history["id"] == signal["id"] == id
    assert query == {"result": "running"}
    assert "order" in {one["name"] for one in definitions["items"]}


def test_control_of_a_run(holdfast: Command, id: str) -> None:
    said(holdfast("workflow", "start", "order", "--id", id, "-i", '{"sku": "A1"}'))

    assert said(holdfast("workflow", "pause", id, "--reason", "lunch")) == f"{id} is paused\n"
    assert said(holdfast("workflow", "resume", id)) == f"{id} is running\n"
    assert said(holdfast("workflow", "cancel", id)).startswith(f"{id} is ")
    until(lambda: "canceled" in said(holdfast("workflow", "show", id)))
    said(holdfast("workflow", "rerun", id, "--from-event", "1", "--reason", "again"))
    assert said(holdfast("workflow", "terminate", id)) == f"{id} is terminated\n"
    assert holdfast("workflow", "purge", id, input="n\n").exit_code == 1
    assert said(holdfast("workflow", "purge", id, "--yes")) == f"{id} is purged\n"
    assert holdfast("workflow", "show", id).exit_code == 3


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("workflow show nobody", 3, "there is no workflow 'nobody'"),
        ("workflow signal nobody go", 3, "there is no workflow 'nobody'"),
        ("workflow watch nobody", 3, "there is no workflow 'nobody'"),
        ("workflow start nothing", 3, "no workflow 'nothing' is registered"),
        ("definition show nothing", 3, "no workflow 'nothing' is loaded"),
        ("workflow show a.b", 2, "is not valid"),
        ("workflow start order", 2, "input of workflow 'order'"),
        ("workflow start order --input {", 2, "the input is not JSON"),
        ("workflow start order --input text", 2, "a text has quotes of its own"),
        ("workflow start order --input-file /nowhere", 2, "cannot be read"),
        ("workflow start order --input 1 --input-file x", 2, "not both"),
        ("workflow start quick --on-conflict hope", 2, "on_conflict"),
        ("workflow start quick --run-timeout soon", 2, "timeout"),
        ("workflow start quick --timeout soon", 2, "is not a duration"),
        ("workflow list --status odd", 2, "status"),
        ("workflow list --limit 0", 2, "limit"),
        ("workflow start", 2, "NAME"),
        ("workflow nothing", 2, "nothing"),
        ("workflow show x --output xml", 2, "xml"),
        ("workflow replay /nowhere --workflow tests.service.flows:order", 2, "cannot be replayed"),
        ("workflow replay x --workflow tests.service.flows", 2, "is not module:function"),
        ("workflow replay x --workflow nowhere:order", 2, "cannot be loaded"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_why(
    holdfast: Command, command: str, status: int, words: str
) -> None:
    result = holdfast(*command.split())

    assert result.exit_code == status, result.output
    assert words in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_a_conflict_exits_with_4(holdfast: Command, id: str) -> None:
    start = ("workflow", "start", "order", "--id", id, "-i", '{"sku": "A1"}')
    said(holdfast(*start))

    assert "already started" in holdfast(*start).stderr
    assert holdfast(*start).exit_code == 4
    assert said(holdfast(*start, "--on-conflict", "use_existing"))
    assert holdfast("workflow", "rerun", id).exit_code == 4


@pytest.mark.parametrize("address", ["127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1/"])
def test_a_service_that_is_not_there_exits_with_5(address: str) -> None:
    for command in (["workflow", "list"], ["workflow", "signal", "a", "b"], ["doctor"]):
        result = CliRunner().invoke(program, [*command, "--address", address])

        assert result.exit_code == 5
        assert "cannot reach http://127.0.0.1:1" in result.output
        assert "holdfast serve" in result.output


@pytest.mark.parametrize("address", ["http://", "ftp://127.0.0.1:1", "127.0.0.1:port", "http://[bad"])
def test_an_address_that_is_none_exits_with_2(address: str) -> None:
    result = CliRunner().invoke(program, ["workflow", "list", "--address", address])

    assert result.exit_code == 2
    assert "is not an address" in result.stderr


def test_the_same_key_starts_one_run(holdfast: Command) -> None:
    key = uuid.uuid4().hex

    first, second = (data(holdfast("workflow", "start", "quick", "--key", key, "-o", "json")) for _ in range(2))

    assert first["run_id"] == second["run_id"]


def test_input_comes_from_a_file_or_from_standard_input(holdfast: Command, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"from": "a file"}', encoding="utf-8")

    from_file = holdfast("workflow", "start", "echo", "--input-file", str(tmp_path / "input.json"), "--wait")
    from_pipe = holdfast("workflow", "start", "echo", "--input-file", "-", "--wait", input='"a pipe"')

    assert '{"from": "a file"}' in said(from_file)
    assert "a pipe" in said(from_pipe)


def test_lists_are_tables_with_a_way_to_the_next_page(holdfast: Command, id: str) -> None:
    for number in range(3):
        said(holdfast("workflow", "start", "order", "--id", f"{id}-{number}", "-i", f'{{"sku": "{id}"}}'))

    listed = said(holdfast("workflow", "list", "-q", f"sku={id}", "--limit", "2"))

    heading, *rows, more = listed.splitlines()
    assert heading.split() == ["ID", "WORKFLOW", "STATUS", "CREATED", "ATTRIBUTES"]
    assert [row.split()[0] for row in rows] == [f"{id}-2", f"{id}-1"]
    assert len({row.index("order") for row in rows}) == 1
    cursor = more.split()[-1]
    rest = said(holdfast("workflow", "list", "-q", f"sku={id}", "--limit", "2", "--cursor", cursor))
    assert f"{id}-0" in rest
    assert said(holdfast("workflow", "list", "-q", "nobody-has-this")) == "no runs\n"


def test_what_runs_say_cannot_steer_the_terminal(holdfast: Command, id: str) -> None:
    evil = "\x1b[2J\r\nx\x07"
    said(holdfast("workflow", "start", "order", "--id", id, "-i", json.dumps({"sku": evil})))
    said(holdfast("workflow", "signal", id, "approval", "--input", json.dumps(evil)))
    until(lambda: "completed" in said(holdfast("workflow", "show", id)))

    for command in ("show", "history", "watch"):
        text = said(holdfast("workflow", command, id))
        assert all(line.isprintable() for line in text.splitlines())
    assert all(line.isprintable() for line in said(holdfast("workflow", "list", "-q", id)).splitlines())


def test_a_history_is_exported_and_replayed(holdfast: Command, id: str, tmp_path: Path) -> None:
    said(holdfast("workflow", "start", "order", "--id", id, "-i", '{"sku": "A1"}'))
    said(holdfast("workflow", "signal", id, "approval"))
    until(lambda: "completed" in said(holdfast("workflow", "show", id)))
    file = tmp_path / "history.json"

    said(holdfast("workflow", "export", id, str(file)))

    assert json.loads(said(holdfast("workflow", "export", id, "-"))) == json.loads(file.read_text(encoding="utf-8"))
    fits = holdfast("workflow", "replay", str(file), "--workflow", "tests.service.flows:order")
    assert said(fits) == "the code fits all 6 events; at their end the run is completed\n"
    differs = holdfast("workflow", "replay", str(file), "--workflow", "tests.service.flows:naps")
    assert differs.exit_code == 1
    assert "expected" in differs.stderr
    file.write_text('{"events": [1]}', encoding="utf-8")
    assert holdfast("workflow", "replay", str(file), "--workflow", "tests.service.flows:order").exit_code == 2


def test_definitions_are_listed_and_shown(holdfast: Command) -> None:
    assert "Price an order, and wait for its approval." in said(holdfast("definition", "list"))
    assert '"sku"' in said(holdfast("definition", "show", "order"))
    assert re.search(r"input +none", said(holdfast("definition", "show", "quick")))
    assert re.search(r"outputs +workflow-signals", said(holdfast("definition", "show", "tells")))


def test_the_doctor_finds_a_well_service_well(holdfast: Command) -> None:
    lines = said(holdfast("doctor")).splitlines()

    assert [line.split()[1] for line in lines[1:6]] == ["ok"] * 5
    findings = data(holdfast("doctor", "-o", "json"))["items"]
    assert {finding["verdict"] for finding in findings} == {"ok"}


def test_the_doctor_says_what_to_do_about_what_is_wrong(tmp_path: Path) -> None:
    with process(tmp_path, store="memory:", workflows="", token="a-token") as running:
        running.ready()

        def doctor(*words: str) -> Result:
            return CliRunner().invoke(program, ["doctor", "--address", running.url, *words])

        without = doctor()
        within = doctor("--token", "a-token")

    assert without.exit_code == 1
    assert "set HOLDFAST_TOKEN to the service's own" in without.stdout
    assert within.exit_code == 0
    assert "set HOLDFAST_STORE=sqlite:///" in within.stdout
    assert "HOLDFAST_WORKFLOWS=module,module" in within.stdout


def test_a_service_that_wants_a_token_is_told_by_option_or_environment(tmp_path: Path) -> None:
    with process(tmp_path, token="a-token") as running:
        running.ready()

        def listed(*words: str, **environment: str) -> Result:
            command = ["workflow", "list", "--address", running.url, *words]
            return CliRunner().invoke(program, command, env=environment)

        assert listed().exit_code == 2
        assert "give it by --token or HOLDFAST_TOKEN" in listed().stderr
        assert listed("--token", "a-token").exit_code == 0
        assert listed(HOLDFAST_TOKEN="a-token").exit_code == 0


def test_the_bench_measures_and_refuses_to_measure_failures(holdfast: Command) -> None:
    figures = data(holdfast("bench", "quick", "--runs", "20", "--at-a-time", "4", "-o", "json"))

    assert figures["runs"] == 20
    assert figures["runs_per_s"] > 0
    assert figures["p50_ms"] <= figures["p99_ms"]
    assert holdfast("bench", "fails", "--runs", "1").exit_code == 1


def test_the_version_is_shown(holdfast: Command) -> None:
    assert re.fullmatch(r"holdfast \d+\.\d+\.\d+\n", said(holdfast("--version")))


@pytest.mark.parametrize("group", [[], ["workflow"], ["definition"]])
def test_every_command_helps(holdfast: Command, group: list[str]) -> None:
    text = said(holdfast(*group, "--help"))
    names = re.findall(r"^  ([a-z]+)  ", text.partition("Commands:")[2], re.MULTILINE)

    assert names
    for name in names:
        assert "Usage:" in said(holdfast(*group, name, "--help"))


def test_an_answer_into_a_closed_pipe_is_no_error(running: Process) -> None:
    command = f"{sys.executable} -c 'from app.cli import main; main()' workflow list | true"
    environment = {**os.environ, "HOLDFAST_ADDRESS": running.url, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_messages_without_a_run_are_listed_shown_replayed_and_dropped(tmp_path: Path) -> None:
    with process(tmp_path) as running:
        running.ready()

        def holdfast(*words: str) -> Result:
            return CliRunner().invoke(program, list(words), env={"HOLDFAST_ADDRESS": running.url})

        assert said(holdfast("dead-letter", "list")) == "no message is without a run\n"
        assert said(holdfast("held")) == "no message waits\n"
        running.request("POST", "/dapr/pubsub/workflow-signals", json={"signal": "x"})
        running.request("POST", "/dapr/pubsub/payments", json={"id": 7})
        running.request("POST", "/dapr/pubsub/workflow-signals", json={"workflow_id": "later", "signal": "x"})

        assert re.search(r"\n2 .* payments .*not mapped", said(holdfast("dead-letter", "list")))
        assert '"id": 7' in said(holdfast("dead-letter", "show", "2"))
        assert holdfast("dead-letter", "replay", "2").exit_code == 2
        assert said(holdfast("dead-letter", "drop", "2")) == "dead letter 2 is dropped\n"
        assert holdfast("dead-letter", "show", "2").exit_code == 3
        assert re.search(r"later +x .*there is no workflow", said(holdfast("held")))
        assert "dead letters" in said(holdfast("doctor"))
