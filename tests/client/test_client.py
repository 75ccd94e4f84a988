"""The Python clients, against a real service: typed results, clear errors, no event missed."""

import inspect
import json
import subprocess
from contextlib import ExitStack, nullcontext
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from oet_kernel.client import (
    ApiError,
    AsyncClient,
    Client,
    ClientError,
    ConnectionFailed,
    ProcedureEnded,
    _replies,
    _requests,
)
from oet_kernel.client._address import DEFAULT_URL, Address, find_address, find_again, read_root
from oet_kernel.client._failures import error_of
from oet_kernel.client._requests import script_of
from oet_kernel.models import FileSystemScript, GitArgs, GitScript, ProcedureInput, ProcedureState
from oet_kernel.state import discovery
from oet_kernel.system.process_identity import start_of

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
    with pytest.raises(ApiError, match="does not exist on the service"):
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


def test_wait_ends_in_the_state_that_is_waited_for(client, script):
    pid = client.create(script, ProcedureInput(["x"])).id
    assert client.wait(pid, ProcedureState.READY).state is ProcedureState.READY
    assert client.wait(pid, ProcedureState.RUNNING, ProcedureState.READY).state is ProcedureState.READY
    client.start(pid, ProcedureInput(kwargs={"y": 3}))
    assert client.wait(pid).state is ProcedureState.COMPLETE
    assert client.wait(pid).state is ProcedureState.COMPLETE, "it has ended before"


def test_wait_for_what_never_comes_ends_with_the_error_of_the_script(client, script):
    script.write_text("def init(sb): open(sb)\ndef main(): ...\n")
    pid = client.create(script, ProcedureInput(["/nowhere.json"])).id
    says = rf"^Procedure {pid} is FAILED and cannot become READY: FileNotFoundError: .*'/nowhere.json'$"
    for _ in range(2):  # while it is being prepared, and when it has ended
        with pytest.raises(ProcedureEnded, match=says) as ended:
            client.wait(pid, ProcedureState.READY)
        assert ended.value.summary.history.stacktrace.startswith("Traceback")
    assert client.wait(pid).state is ProcedureState.FAILED


def test_wait_for_a_procedure_that_is_stopped_ends(client, script):
    pid = client.create(script, ProcedureInput(["x"])).id
    client.wait(pid, ProcedureState.READY)
    client.stop(pid, abort=False)
    with pytest.raises(ProcedureEnded, match=rf"^Procedure {pid} is STOPPED and cannot become RUNNING or COMPLETE$"):
        client.wait(pid, ProcedureState.RUNNING, ProcedureState.COMPLETE)
    with pytest.raises(ApiError, match="No information available for PID=1000000"):
        client.wait(10**6)


async def test_async_client_waits_the_same(server, script):
    async with AsyncClient(server.url, server.token) as client:
        pid = (await client.create(script, ProcedureInput(["x"]))).id
        assert (await client.wait(pid, ProcedureState.READY)).state is ProcedureState.READY
        await client.start(pid, ProcedureInput(kwargs={"y": 3}))
        with pytest.raises(ProcedureEnded, match=r"is COMPLETE and cannot become STOPPED$"):
            await client.wait(pid, ProcedureState.STOPPED)


@pytest.mark.parametrize(("init", "says"), [("open(sb)", "COMPLETE"), ("open(sb + '.gone')", "FileNotFoundError")])
def test_example_of_the_readme_ends_whether_init_succeeds_or_not(server, tmp_path, monkeypatch, capsys, init, says):
    text = (Path(__file__).parents[2] / "README.md").read_text()
    example = text.partition("**The Python client**")[2].partition("```python\n")[2].partition("```")[0]
    folder = tmp_path / "notebooks" / "procedures"
    folder.mkdir(parents=True)
    (folder / "observe.py").write_text(f"def init(sb): {init}\ndef main(): ...\n")
    block = folder / "sbd-mid.json"
    block.write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OET_URL", server.url)
    monkeypatch.setenv("OET_TOKEN", server.token)
    # as to a service on another machine
    example = example.replace('"notebooks/procedures/sbd-mid.json"', repr(str(block)))
    with pytest.raises(ProcedureEnded, match=says) if says != "COMPLETE" else nullcontext():
        exec(compile(example, "README.md", "exec"), {})
    assert ("COMPLETE" in capsys.readouterr().out) is (says == "COMPLETE")


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
        (
            {"OET_URL": "http://a/b", "OET_REST_URI": "http://c/procedures"},
            None,
            None,
            Address("http://a/b", None, "me"),
        ),
        ({"OET_URL": "http://a", "OET_TOKEN": "t"}, "http://c/d", None, Address("http://c/d", "t", "me")),
        ({"OET_TOKEN": "t"}, "http://c", "u", Address("http://c/api/v1.0", "u", "me")),
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


HERE_ROOTS = ["http://localhost:5000/api/v1.0", "http://localhost:8888/user/me/oet/api/v1.0"]


@pytest.mark.parametrize(
    ("typed", "root"),
    [
        ("http://telescope:5000", "http://telescope:5000/api/v1.0"),
        ("http://telescope:5000/", "http://telescope:5000/api/v1.0"),
        ("https://telescope", "https://telescope/api/v1.0"),
        ("http://telescope:5000/api/v1.0/", "http://telescope:5000/api/v1.0"),
        ("http://telescope:5000/api/v1", "http://telescope:5000/api/v1"),
        ("http://telescope:5000/api/v1.0/procedures", "http://telescope:5000/api/v1.0"),
        ("http://telescope/behind/a/proxy", "http://telescope/behind/a/proxy"),
        ("http://localhost:5000", "http://localhost:5000/api/v1.0"),
        ("localhost:5000", "http://localhost:5000/api/v1.0"),
        ("127.0.0.1:7/api/v1.0", "http://127.0.0.1:7/api/v1.0"),
        ("[::1]:7", "http://[::1]:7/api/v1.0"),
        ("localhost", "http://localhost/api/v1.0"),
        ("http://127.0.0.1:8888/user/me", "http://127.0.0.1:8888/user/me/oet/api/v1.0"),
        ("http://127.0.0.1:8888/user/me/", "http://127.0.0.1:8888/user/me/oet/api/v1.0"),
        ("http://127.0.0.1:8888/user/you", "http://127.0.0.1:8888/user/you"),
        ("http://127.0.0.1:888", "http://127.0.0.1:888/api/v1.0"),
    ],
)
def test_address_that_users_type_is_that_of_the_api(typed, root):
    assert read_root(typed, HERE_ROOTS) == root
    assert read_root(root, HERE_ROOTS) == root


def test_jupyter_server_of_this_machine_is_known_by_its_address_alone():
    assert read_root("localhost:8888", ["http://localhost:8888/oet/api/v1.0"]) == "http://localhost:8888/oet/api/v1.0"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (
            "telescope:5000",
            "'telescope:5000' .* neither http:// nor https://; write the address as http://host:5000/api/v1.0",
        ),
        ("localhost.example.org", "neither http:// nor https://"),
        (
            "http://localhost:8888/lab?token=secret",
            "'http://localhost:8888/lab' .* a part after \\?.* --token",
        ),
        ("http://localhost:8888/#x", "a part after #"),
    ],
)
def test_address_of_nothing_is_refused_and_no_token_shown(typed, says):
    with pytest.raises(ConnectionFailed, match=says) as refused:
        find_address(typed, None)
    assert "secret" not in str(refused.value)


FORBIDDEN = b'{"error": "403 Forbidden", "type": "Forbidden", "Message": "PATH needs a valid token"}'


@pytest.mark.parametrize(
    ("url", "status", "body", "told"),
    [
        ("http://t:5/lab", 403, FORBIDDEN.replace(b"PATH", b"/lab/procedures"), True),
        ("http://t:5/lab", 404, b"<html>", True),
        ("http://t:5/lab", 302, b"", True),
        ("http://t:5/api/v1.0", 403, FORBIDDEN.replace(b"PATH", b"/api/v1.0/procedures"), False),
        ("http://t:5/api/v1.0", 502, b"<html>", False),
        ("http://proxy/oet", 403, FORBIDDEN.replace(b"PATH", b"/api/v1.0/procedures"), False),
        ("http://proxy/oet", 400, b'{"error": "400 Bad Request", "type": "Malformed Request", "Message": "x"}', False),
    ],
)
def test_wrong_path_is_told_and_never_read_as_a_wrong_token(url, status, body, told):
    error = error_of(status, "Reason", body, url)
    assert ("is not the root of this API, which ends in /api/v1.0: http://t:5/api/v1.0" in str(error)) is told
    assert not (told and "token" in str(error))


def test_login_page_is_no_answer_of_this_api():
    reply = httpx.Response(200, headers={"Content-Type": "text/html; charset=UTF-8"}, content=b"<html>")
    with pytest.raises(ApiError, match="is not the root of this API"):
        _replies.read(reply, _requests.Request("GET", "/procedures"), Address("http://t:5/tree", None, "me"))
    assert _replies.read(reply, _requests.record(1, "html"), Address("http://t:5/proxied", None, "me")) == b"<html>"


def announced(folder, process, url, *, serves=True):
    """Put another process of this machine in the place of the one that has announced a service."""
    path = discovery.announce(url, "secret", f"/state/{process.pid}", serves=serves)
    found = json.loads(path.read_text())
    path.unlink()
    found |= {"pid": process.pid, "started": start_of(process.pid)}
    path.with_name(f"{process.pid}.json").write_text(json.dumps(found))


@pytest.fixture
def processes():
    with ExitStack() as stack:
        started = [stack.enter_context(subprocess.Popen(["sleep", "600"])) for _ in range(2)]
        yield started
        for one in started:
            one.kill()


def test_with_several_services_one_has_to_be_named(tmp_path, processes):
    for port, process in enumerate(processes, 5001):
        announced(tmp_path, process, f"http://localhost:{port}/api/v1.0")
    with pytest.raises(ClientError) as refused:
        find_address(None, None)
    lines = str(refused.value).splitlines()
    assert lines[0] == "2 services run on this machine; name one with --server-url or OET_URL:"
    assert {line.split()[0] for line in lines[1:]} == {f"http://localhost:{port}/api/v1.0" for port in (5001, 5002)}
    named = find_address("localhost:5001", None)
    assert (named.token, named.state_dir, named.is_here) == ("secret", f"/state/{processes[0].pid}", True)


def test_service_that_waits_to_be_asked_is_not_counted(tmp_path, processes):
    announced(tmp_path, processes[0], "http://localhost:5001/api/v1.0")
    announced(tmp_path, processes[1], "http://localhost:8888/oet/api/v1.0", serves=False)
    assert find_address(None, None).url == "http://localhost:5001/api/v1.0"


def test_servers_that_wait_to_be_asked_are_named_where_they_would_not_serve_the_same(tmp_path, processes):
    for port, process in enumerate(processes, 8001):
        announced(tmp_path, process, f"http://localhost:{port}/oet/api/v1.0", serves=False)
    with pytest.raises(ClientError, match="2 services run on this machine"):
        find_address(None, None)
    for path in discovery._folder().glob("*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "state_dir": "/one"}))
    assert find_address(None, None).state_dir == "/one"


def test_service_that_has_ended_is_not_counted(tmp_path, processes):
    for port, process in enumerate(processes, 5001):
        announced(tmp_path, process, f"http://localhost:{port}/api/v1.0")
    processes[1].kill()
    processes[1].wait()
    assert find_address(None, None).url == "http://localhost:5001/api/v1.0"


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
    return json.loads(_requests.create(script, None, main, address).body)


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
    with pytest.raises(ApiError, match=r"Script .*/nowhere\.py does not exist on the service's machine") as caught:
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
    assert _replies.read_procedure(body).id == 12
