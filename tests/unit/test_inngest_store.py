"""The store over HTTP: which calls it makes, in which order, over which connections, and what opening it means."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from holdfast.core.errors import StoreError, StoreUnavailableError, UnsupportedOperationError
from holdfast.ports import ABSENT, ANY, Capabilities, Write, Written
from holdfast.stores import WorkflowFilter, WorkflowState, WorkflowStore
from holdfast.stores.inngest import InngestStore
from holdfast.testing.inngest_server import create_app
from holdfast.testing.keep_alive_server import serving
from tests.unit.inngest_kit import KEY, Answer, Environ, Server, answers, hangs, only, server, store_of, threads, writes

PATH = "/v1/workflows/"


async def test_a_document_is_put_got_and_deleted_as_it_is(tmp_path: Path) -> None:
    with server(tmp_path) as found:
        store = store_of(found)
        await store.open()
        found.calls.clear()
        value = b' { "b" : 1.0 ,\n"a":"\xc3\xbc" } '

        assert await store.write([Write("run:a-1_.x", value, ABSENT)]) == [Written("")]
        assert (await store.read(["run:a-1_.x", "absent"])) == {"run:a-1_.x": (value, "")}
        assert await store.write([Write("run:a-1_.x", None, ANY), Write("absent", None, ANY)]) == [Written("")] * 2
        assert await store.read(["run:a-1_.x"]) == {}
        await store.close()

    put, *others = found.calls
    assert (put.method, put.path, put.body) == ("PUT", f"{PATH}run:a-1_.x", value)
    assert put.content_type == "application/json"
    assert {call.key for call in found.calls} == {f"Bearer {KEY}"}
    assert sorted((call.method, call.path) for call in others) == [
        ("DELETE", f"{PATH}absent"),
        ("DELETE", f"{PATH}run:a-1_.x"),
        ("GET", f"{PATH}absent"),
        ("GET", f"{PATH}run:a-1_.x"),
        ("GET", f"{PATH}run:a-1_.x"),
    ]


async def test_the_first_document_is_written_alone_the_others_at_once_and_deletions_last(tmp_path: Path) -> None:
    together = {"PUT": threading.Barrier(3), "DELETE": threading.Barrier(2)}

    def meets(found: Server, environ: Environ) -> Answer | None:
        """Let none of those that are to go at the same time through before all of them are there."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.endswith("first"):
            assert found.under_way == 1
        elif method in together:
            together[method].wait(30)
        return None

    with server(tmp_path, fault=meets) as found:
        store = store_of(found)
        await store.open()
        await store.write([Write("x", None, ANY), *writes("first", "a"), Write("y", None, ANY), *writes("b", "c")])
        await store.close()

    order = [(call.method, call.path.removeprefix(PATH)) for call in found.calls[1:]]
    assert order[0] == ("PUT", "first")
    assert sorted(order[1:4]) == [("PUT", "a"), ("PUT", "b"), ("PUT", "c")]
    assert sorted(order[4:]) == [("DELETE", "x"), ("DELETE", "y")]


async def test_nothing_else_is_written_until_the_first_document_is(tmp_path: Path) -> None:
    with server(tmp_path, fault=only(answers(503), "PUT", path="first")) as found:
        store = store_of(found)
        await store.open()
        with pytest.raises(StoreUnavailableError):
            await store.write([*writes("first", "second"), Write("third", None, ANY)])
        await store.close()

    assert found.called("PUT") == ["first"]
    assert found.called("DELETE") == []


async def test_calls_share_a_few_connections_and_threads(tmp_path: Path) -> None:
    with server(tmp_path) as found:
        store = store_of(found, max_connections=3)
        await store.open()
        keys = [f"k{number}" for number in range(40)]
        for _ in range(3):
            await store.write(writes(*keys))
            assert len(await store.read(keys)) == 40
        assert 1 < len(threads()) <= 3
        await store.close()

    assert len(found.calls) == 1 + 3 * 80
    assert found.most_under_way <= 3
    assert len({call.connection for call in found.calls}) <= 3


async def test_the_base_url_may_have_a_path_and_a_slash_at_its_end(tmp_path: Path) -> None:
    app = create_app(tmp_path / "documents.db")
    with serving(DispatcherMiddleware(answers_404, {"/state/inngest": app})) as url:
        for base_url in (f"{url}/state/inngest", f"{url}/state/inngest/"):
            store = InngestStore(base_url)
            await store.open()
            await store.write(writes("a"))
            assert list(await store.read(["a"])) == ["a"]
            await store.close()
    app.extensions["holdfast-documents"].close()


def answers_404(_environ: Environ, start_response: object) -> Sequence[bytes]:
    raise AssertionError("a call went past the path")


async def test_a_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with server(tmp_path) as found:
        monkeypatch.setenv("http_proxy", found.url)
        store = InngestStore("http://store.invalid:99/state", event_key=KEY)
        await store.open()
        await store.close()
        assert [call.path for call in found.calls] == [f"http://store.invalid:99/state{PATH}holdfast:open"]

        monkeypatch.setenv("http_proxy", "http://")
        store = InngestStore("http://store.invalid:99")
        with pytest.raises(StoreError, match=r"there is no way to http://store\.invalid:99"):
            await store.open()


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "localhost:8288",
        "ftp://localhost",
        "file:///etc/passwd",
        "http://",
        "http://localhost:port",
        "http://localhost:0",
        "http://localhost:99999",
        "http://[::1",
        "http://localhost/?a=b",
        "http://localhost/#a",
        "http://local host",
        "http://localhost/\r\nX: y",
        "http://me:hunter2@localhost",
        "http://me:hunter2@localhost:port",
        "http://hunter2@localhost",
    ],
)
def test_a_url_that_is_none_of_a_server_is_refused_and_no_password_told(base_url: str) -> None:
    with pytest.raises(StoreError, match="URL") as caught:
        InngestStore(base_url)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", [".", "..", "", "a/b", "../a", "a?b", "a#b", "a%2Fb", "ü", "a\n"])
async def test_a_key_that_cannot_be_part_of_a_url_is_refused_before_anything_is_written(
    tmp_path: Path, key: str
) -> None:
    with server(tmp_path) as found:
        store = store_of(found)
        await store.open()
        found.calls.clear()

        with pytest.raises(StoreError, match="cannot be the key of a document") as caught:
            await store.write([*writes("first"), Write(key, b"1", ANY)])
        assert not isinstance(caught.value, StoreUnavailableError)
        assert found.calls == []
        assert await store.read([key]) == {}  # so it cannot be there
        assert await store.write([Write(key, None, ANY)]) == [Written("")]
        assert found.calls == []
        await store.close()


async def test_the_event_key_is_the_one_given_else_that_of_the_environment_else_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("INNGEST_EVENT_KEY", "of-the-environment\n")
    with server(tmp_path, key=None) as found:
        for given in ("given", None):
            store = InngestStore(found.url, event_key=given)
            await store.open()
            await store.close()
        monkeypatch.delenv("INNGEST_EVENT_KEY")
        store = InngestStore(found.url)
        await store.open()
        await store.close()

    assert [call.key for call in found.calls] == ["Bearer given", "Bearer of-the-environment", None]


@pytest.mark.parametrize("event_key", ["two words", "line\nbreak", "schlüssel"])
def test_an_event_key_that_cannot_be_sent_is_refused_and_not_told(event_key: str) -> None:
    with pytest.raises(StoreError, match="event key") as caught:
        InngestStore(event_key=event_key)

    assert event_key not in str(caught.value)
    assert event_key not in repr(caught.value)


def test_what_it_can_do_and_its_limits() -> None:
    assert InngestStore().capabilities == Capabilities(
        durable=True,
        guard="none",
        atomic_batch=False,
        list_keys=False,
        exclusive=False,
        max_value_bytes=1024 * 1024,
        max_batch=100,
        max_batch_bytes=8 * 1024 * 1024,
    )
    assert InngestStore(max_value_bytes=10).capabilities.max_value_bytes == 10
    assert KEY not in repr(InngestStore(event_key=KEY).__dict__)
    with pytest.raises(StoreError, match="max_connections"):
        InngestStore(max_connections=0)
    with pytest.raises(ValueError, match="timeout"):
        InngestStore(timeout=-1)


async def test_keys_cannot_be_listed() -> None:
    with pytest.raises(UnsupportedOperationError, match="cannot list"):
        [key async for key in InngestStore().keys("run:")]


async def test_whole_states_are_kept_under_their_ids_and_listed_after_a_restart(tmp_path: Path) -> None:
    with server(tmp_path) as found:
        async with WorkflowStore(store_of(found)) as store:
            for number in range(5):
                await store.save(WorkflowState(f"wf.{number}", status="failed" if number % 2 else "running"))
            await store.delete("wf.0")
            await store.delete("wf.0")
            assert await store.load("wf.0") is None
        assert "wf.3" in found.called("PUT")
        async with WorkflowStore(store_of(found)) as store:
            assert await store.load("wf.3") == WorkflowState("wf.3", status="failed")
            listed = await store.list()
            assert [state.workflow_id for state in listed] == ["wf.1", "wf.2", "wf.3", "wf.4"]
            assert await store.list(WorkflowFilter(status="failed", limit=1)) == [listed[0]]


async def test_errors_of_whole_states_say_who_was_doing_what(tmp_path: Path) -> None:
    with server(tmp_path) as found:
        async with WorkflowStore(store_of(found)) as store:
            await store.save(WorkflowState("a"))
            found.fault = answers(503, Retry_After="7")
            with pytest.raises(
                StoreUnavailableError, match=r"^inngest/save: write: the server failed writing 'a'"
            ) as e:
                await store.save(WorkflowState("a"))
            assert e.value.retry_after == 7
            with pytest.raises(StoreError, match=r"^inngest/load: read: the server failed reading 'a'"):
                await store.load("a")
            found.fault = None
            with pytest.raises(StoreError, match=r"^inngest/save: write: '\.\.' cannot be the key"):
                await store.save(WorkflowState(".."))
            assert await store.list() == [WorkflowState("a")]  # as before, in spite of the index
    with pytest.raises(StoreError, match=r"^inngest/list: open: no answer"):
        await WorkflowStore(store_of(found, connect_timeout=0)).list()


async def test_a_call_that_hangs_ends_after_the_time_out_and_the_connection_is_not_used_again(tmp_path: Path) -> None:
    with server(tmp_path) as found:
        store = store_of(found, timeout=timedelta(milliseconds=200))
        await store.open()
        found.fault = only(hangs, "PUT")
        with pytest.raises(StoreUnavailableError, match=r"no answer writing 'a' .*timed out"):
            await store.write(writes("a"))
        found.fault = None
        await store.write(writes("a"))
        await store.close()

    hung, again = [call.connection for call in found.calls if call.method == "PUT"]
    assert hung != again
