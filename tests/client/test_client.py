"""The Python clients, against a real service: typed results, clear errors, no event missed."""

import inspect
import json

import pytest
from msgspec.structs import replace

from oet_kernel import discovery
from oet_kernel.client import ApiError, AsyncClient, Client, ConnectionFailed, _wire
from oet_kernel.client._address import DEFAULT_URL, Address, find_address, find_again
from oet_kernel.client._wire import error_of, script_of
from oet_kernel.models import FileSystemScript, GitArgs, GitScript, ProcedureInput, ProcedureState

pytestmark = pytest.mark.anyio


@pytest.fixture
def client(server):
    with Client(server.url, server.token) as made:
        yield made


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "hello.py"
    path.write_text(
        "from oet_kernel.api import publish\ndef init(x): pass\ndef main(y): publish('user.script.announce', msg=y)\n"
    )
    return path


def until(events, pid, state):
    for event in events:
        if event.msg_src == str(pid) and event.fields.get("new_state") == state:
            return
    raise AssertionError


def test_procedure_is_created_started_and_listened_to(client, script):
    with client.events() as events:
        created = client.create(script, ProcedureInput(["x"]))
        assert created.state is ProcedureState.CREATING
        until(events, created.id, "READY")
        started = client.start(created.id, ProcedureInput(kwargs={"y": 3}))
        assert started.script_args["main"] == ProcedureInput([], {"y": 3})
        announced = next(event for event in events if event.topic == "user.script.announce")
        assert (announced.msg_src, announced.fields) == (str(created.id), {"msg": 3})
        until(events, created.id, "COMPLETE")
    assert client.procedure(created.id).state is ProcedureState.COMPLETE
    assert created.id in [one.id for one in client.procedures()]
    assert client.stop(created.id) == f"Cannot stop script with ID {created.id}: Script is not running"


def test_scripts_and_what_they_take_are_asked_for(client, script):
    assert "--scripts-root" in client.scripts().message
    found = client.schema(script)
    assert found == client.schema(str(script)) == client.schema(script.as_uri())
    assert (found.uri, found.init["required"], found.main["required"]) == (script.as_uri(), ["x"], ["y"])
    with pytest.raises(ApiError, match="There is no script"):
        client.schema(script.with_name("a b&c=ü.py"))


async def test_async_client_asks_the_same(server, client, script):
    async with AsyncClient(server.url, server.token) as other:
        assert await other.scripts() == client.scripts()
        assert await other.schema(script) == client.schema(script)


async def test_record_is_a_file_in_either_form(client, server, script):
    pid = client.create(script, ProcedureInput(["x"])).id
    server.until(pid, "READY")
    assert client.record(pid).startswith(b"{")
    async with AsyncClient(server.url, server.token) as other:
        assert (await other.record(pid, "html")).startswith(b"<!DOCTYPE html>")
    with pytest.raises(ApiError, match="expected one of ipynb, html"):
        client.record(pid, "pdf")
    client.stop(pid)


async def test_async_client_does_the_same(server, script):
    async with AsyncClient(server.url, server.token) as client:
        async with client.events(topics=("procedure.lifecycle.statechange",)) as events:
            created = await client.create(script, ProcedureInput(["x"]))
            async for event in events:
                if event.msg_src == str(created.id) and event.fields["new_state"] == "READY":
                    break
        assert (await client.procedure(created.id)).state is ProcedureState.READY
        message = await client.stop(created.id)
        assert message == f"Successfully stopped script with ID {created.id}"
        assert (await client.health())["status"] == "ok"
        assert created.id in [one.id for one in await client.procedures()]


def test_both_clients_offer_the_same():
    def surface(kind):
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in vars(kind).items()
            if inspect.isfunction(method) and not name.startswith("_")
        }

    assert surface(Client) == surface(AsyncClient)


def test_refusal_is_an_error_with_status_type_and_message(client):
    with pytest.raises(ApiError) as caught:
        client.procedure(10**6)
    assert caught.value.status == "404 Not Found"
    assert caught.value.type == "ResourceNotFound"
    assert str(caught.value) == "No information available for PID=1000000"


def test_wrong_token_is_refused(server):
    with Client(server.url, "wrong") as client:
        with pytest.raises(ApiError, match="valid token"):
            client.procedures()
        with pytest.raises(ApiError, match="valid token"), client.events():
            pass


def test_absent_service_is_said_with_what_to_do():
    with Client("http://127.0.0.1:9/api/v1.0") as client:
        for call in (client.procedures, client.events().__enter__):
            with pytest.raises(ConnectionFailed, match=r"No service answers at http://127\.0\.0\.1:9.*oet serve"):
                call()


@pytest.mark.parametrize(
    ("environment", "url", "token", "address"),
    [
        ({}, None, None, Address(DEFAULT_URL, None, "me")),
        ({"OET_URL": "http://a/b/"}, None, None, Address("http://a/b", None, "me")),
        ({"OET_REST_URI": "http://a/api/v1.0/procedures"}, None, None, Address("http://a/api/v1.0", None, "me")),
        ({"OET_URL": "http://a", "OET_REST_URI": "http://b/procedures"}, None, None, Address("http://a", None, "me")),
        ({"OET_URL": "http://a", "OET_TOKEN": "t"}, "http://c", None, Address("http://c", "t", "me")),
        ({"OET_TOKEN": "t"}, "http://c", "u", Address("http://c", "u", "me")),
    ],
)
def test_address_comes_from_arguments_then_environment(monkeypatch, environment, url, token, address):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_address(url, token, "me") == address


def test_service_on_this_machine_is_found_with_its_token():
    path = discovery.announce("http://localhost:5007/api/v1.0", "secret", "/state")
    found = find_address(None, None)
    assert (found.url, found.token) == ("http://localhost:5007/api/v1.0", "secret")
    assert find_address("http://127.0.0.1:5007/api/v1.0/", None).token == "secret"
    assert find_address("http://127.0.0.1:5008/api/v1.0", None).token is None
    discovery.withdraw(path)


@pytest.mark.parametrize(
    ("url", "token", "then"),
    [
        (None, None, ("http://localhost:5008/api/v1.0", "fresh")),
        (None, "mine", ("http://localhost:5008/api/v1.0", "mine")),
        ("http://127.0.0.1:5007/api/v1.0", None, ("http://127.0.0.1:5007/api/v1.0", "fresh")),
        ("http://127.0.0.1:5007/api/v1.0", "mine", ("http://127.0.0.1:5007/api/v1.0", "mine")),
    ],
)
def test_what_was_found_is_found_again_and_what_was_named_stays(url, token, then):
    """A service on the same state folder may have another port and token after a restart; another is not taken."""
    path = discovery.announce("http://localhost:5007/api/v1.0", "secret", "/state")
    address = find_address(url, token)
    discovery.withdraw(path)
    assert find_again(address) == address
    discovery.announce("http://localhost:5009/api/v1.0", "other", "/other")
    assert find_again(address) == address
    path = discovery.announce("http://localhost:5008/api/v1.0", "fresh", "/state")
    now = find_again(address)
    assert (now.url, now.token) == then
    discovery.withdraw(path)


def test_script_may_be_a_path_or_a_uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = FileSystemScript(script_uri=f"file://{tmp_path}/x.py")
    assert script_of("x.py") == script_of(tmp_path / "x.py") == script_of(f"file://{tmp_path}/x.py") == wanted


HERE = Address("http://localhost:5000/api/v1.0", None, "u", state_dir="/state")
AWAY = Address("http://telescope:5000/api/v1.0", "t", "u")
FILE = FileSystemScript(script_uri="file:///x.py")
GIT = GitScript(script_uri="git://x.py", git_args=GitArgs(git_repo="r"))


def created(script, address, main=None):
    return json.loads(_wire.create(script, None, main, address).body)


@pytest.mark.parametrize("script", [FILE, GIT, "x.py", "file:///x.py"])
def test_script_runs_in_the_folder_of_its_caller_where_the_service_is_on_this_machine(tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    assert created(script, HERE)["script"]["working_folder"] == str(tmp_path)
    assert "working_folder" not in created(script, AWAY)["script"]


@pytest.mark.parametrize(
    ("script", "folder"),
    [
        (replace(FILE, own_folder=True), None),
        (replace(GIT, own_folder=True), None),
        (replace(FILE, working_folder="/d"), "/d"),
    ],
)
def test_folder_that_the_script_names_is_left(script, folder):
    assert created(script, HERE)["script"].get("working_folder") == folder


@pytest.mark.parametrize("name", ["gone", "\udcff"])
def test_working_folder_that_cannot_be_named_is_left_out(tmp_path, monkeypatch, name):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    if name == "gone":
        folder.rmdir()
    assert "working_folder" not in created(FILE, HERE)["script"]
    monkeypatch.chdir(tmp_path)


def test_our_clients_have_a_script_that_is_not_there_refused(client, tmp_path):
    before = len(client.procedures())
    with pytest.raises(ApiError, match=r"There is no script .*/nowhere\.py on the service's machine") as caught:
        client.create(tmp_path / "nowhere.py")
    assert caught.value.type == "ResourceNotFound"
    assert len(client.procedures()) == before


def test_arguments_of_main_that_are_known_are_checked_before_init_is_called(client, script):
    before = len(client.procedures())
    with pytest.raises(ApiError, match=r"script_args\.main\.kwargs\.z: unexpected"):
        client.create(script, ProcedureInput(["x"]), ProcedureInput(kwargs={"y": 1, "z": 2}))
    with pytest.raises(ApiError, match=r"script_args\.main\.kwargs\.y: required"):
        client.create(script, ProcedureInput(["x"]), ProcedureInput())
    assert len(client.procedures()) == before
    assert "main" not in created(script, AWAY)["script_args"]


def test_error_of_another_program_is_still_an_error():
    assert error_of(502, "Bad Gateway", b"<html>").type == "Bad Gateway"


def test_procedure_of_the_original_service_is_understood():
    """Its replies have no id, which then is the end of the URI."""
    body = (
        b'{"procedure":{"history":{"process_states":[["CREATING",1.5]],"stacktrace":null},'
        b'"script":{"script_type":"filesystem","script_uri":"file:///x.py"},'
        b'"script_args":{"init":{"args":[],"kwargs":{}}},"state":"CREATING","uri":"http://h/api/v1.0/procedures/12"}}'
    )
    assert _wire.read_procedure(body).id == 12
