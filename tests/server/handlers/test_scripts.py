"""``/scripts`` over HTTP, and arguments that are refused at the request."""

import json

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.conftest import serve

SCRIPT = '''"""Observe a block."""
import functools
from typing import Literal

def init(subarray_id: int, band: Literal["low", "mid"] = "low"):
    """Allocate."""
    global main
    main = functools.partial(_main, subarray_id)

def main(): pass

def _main(subarray_id, scans: list[int], dry: bool = False):
    print("scans", scans)
'''


@pytest.fixture(scope="module")
def rooted(tmp_path_factory):
    """A service that takes scripts from one folder."""
    folder = tmp_path_factory.mktemp("rooted")
    root = folder / "scripts"
    root.mkdir()
    (root / "observe.py").write_text(SCRIPT)
    (root / "broken.py").write_text("def main(:\n")
    (folder / "outside.py").write_text(SCRIPT)
    with serve(folder, f"--scripts-root={root}") as server:
        server.root = root
        yield server


def refused(reply, status, kind):
    assert reply.status_code == status, reply.text
    assert reply.json()["type"] == kind
    return reply.json()["Message"]


def create(server, path, *args, **kwargs):
    body = {
        "script": {"script_type": "filesystem", "script_uri": path.as_uri()},
        "script_args": {"init": {"args": args, "kwargs": kwargs}},
    }
    return server.http.post("/procedures", json=body)


def schema(server, uri):
    return server.http.get("/scripts/schema", params={"uri": uri})


def test_scripts_in_the_folders_are_listed(rooted):
    reply = rooted.http.get("/scripts")
    assert reply.status_code == 200
    assert reply.json() == {
        "scripts": [
            {"uri": (rooted.root / "broken.py").as_uri(), "docstring": None},
            {"uri": (rooted.root / "observe.py").as_uri(), "docstring": "Observe a block."},
        ],
        "message": None,
    }


def test_without_folders_the_list_is_empty_and_says_how_to_configure_one(server):
    body = server.http.get("/scripts/").json()
    assert body["scripts"] == []
    assert "--scripts-root" in body["message"]


def test_schema_of_a_script_is_answered(rooted):
    uri = (rooted.root / "observe.py").as_uri()
    body = schema(rooted, uri).json()
    assert (body["uri"], body["docstring"]) == (uri, "Observe a block.")
    for function in ("init", "main"):
        Draft202012Validator.check_schema(body[function])
    assert Draft202012Validator(body["init"]).is_valid({"subarray_id": 1, "band": "mid"})
    assert not Draft202012Validator(body["init"]).is_valid({"subarray_id": 1, "band": "high"})
    assert list(body["main"]["properties"]) == ["scans", "dry"], "what init has bound is given already"


def test_schema_that_cannot_be_given_is_an_error_as_everywhere(rooted):
    assert "$.uri: required" in refused(rooted.http.get("/scripts/schema"), 400, "Malformed Request")
    refused(schema(rooted, "nonsense"), 400, "Malformed Request")
    assert "line 1" in refused(schema(rooted, (rooted.root / "broken.py").as_uri()), 400, "Malformed Request")
    refused(schema(rooted, (rooted.root.parent / "outside.py").as_uri()), 403, "ScriptNotAllowed")
    refused(schema(rooted, (rooted.root / "gone.py").as_uri()), 404, "ResourceNotFound")
    refused(rooted.http.post("/scripts"), 405, "MethodNotAllowed")
    for path in ("/scripts", "/scripts/schema"):
        refused(httpx.get(f"{rooted.url}{path}"), 403, "Forbidden")


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ([], {"subarray_id": "x"}, '$.script_args.init.kwargs.subarray_id: expected integer, got string "x"'),
        ([], {}, "$.script_args.init.kwargs.subarray_id: required"),
        ([1, "low", 3], {}, "$.script_args.init.args[2]: unexpected, init takes 2 arguments by position"),
        ([1], {"subarray_id": 1}, "$.script_args.init.kwargs.subarray_id: given twice, by position too"),
        ([1], {"verbose": True}, "$.script_args.init.kwargs.verbose: unexpected, init takes subarray_id, band"),
        (
            ["x", "high"],
            {},
            '$.script_args.init.args[0]: expected integer, got string "x"; '
            '$.script_args.init.args[1]: expected one of "low", "mid", got string "high"',
        ),
    ],
)
def test_creation_with_arguments_that_do_not_fit_is_refused_by_path_and_makes_nothing(rooted, args, kwargs, message):
    before = rooted.http.get("/procedures").json()
    reply = create(rooted, rooted.root / "observe.py", *args, **kwargs)
    assert refused(reply, 400, "Malformed Request") == message
    assert rooted.http.get("/procedures").json() == before


def test_subarray_that_an_init_does_not_take_is_refused_with_what_it_takes(rooted):
    path = rooted.root / "bare.py"
    path.write_text("def init(): pass\ndef main(): pass\n")
    message = refused(create(rooted, path, subarray_id=1), 400, "Malformed Request")
    assert message == (
        "$.script_args.init.kwargs.subarray_id: unexpected, init takes no arguments by name "
        "(clients pass subarray_id to every init: let it take subarray_id, or **kwargs)"
    )


@pytest.mark.parametrize("name", ["main", "run"])
def test_start_with_arguments_that_do_not_fit_is_refused_and_leaves_the_procedure_ready(rooted, name):
    pid = create(rooted, rooted.root / "observe.py", 5).json()["procedure"]["id"]
    rooted.until(pid, "READY")
    url = f"/procedures/{pid}"

    def start(call):
        return rooted.http.put(url, json={"state": "RUNNING", "script_args": {name: call}})

    message = refused(start({"args": [[1, "x"]]}), 400, "Malformed Request")
    assert message == f'$.script_args.{name}.args[0][1]: expected integer, got string "x"'
    assert refused(start({}), 400, "Malformed Request") == f"$.script_args.{name}.kwargs.scans: required"
    assert rooted.http.get(url).json()["procedure"]["state"] == "READY"
    assert start({"args": [[1, 2]], "kwargs": {"dry": True}}).status_code == 200
    assert rooted.until(pid)["state"] == "COMPLETE"
    assert start({"args": ["wrong"]}).status_code == 200, "one that is not READY is left as it is"


def test_script_that_cannot_be_read_is_no_refusal_but_a_failed_procedure(rooted):
    for path, says in ((rooted.root / "gone.py", "FileNotFoundError"), (rooted.root / "broken.py", "SyntaxError")):
        reply = create(rooted, path, any=1)
        assert reply.status_code == 201
        one = rooted.until(reply.json()["procedure"]["id"])
        assert one["state"] == "FAILED"
        assert says in one["history"]["stacktrace"]


def test_script_that_is_required_and_cannot_be_read_is_refused(rooted):
    before = rooted.http.get("/procedures").json()
    for path, status, kind in (
        (rooted.root / "gone.py", 404, "ResourceNotFound"),
        (rooted.root, 404, "ResourceNotFound"),
    ):
        script = {"script_type": "filesystem", "script_uri": path.as_uri()}
        refused(rooted.http.post("/procedures", json={"script": script, "require_script": True}), status, kind)
    assert rooted.http.get("/procedures").json() == before


def test_arguments_of_main_that_come_with_the_creation_are_checked_with_it(rooted):
    before = rooted.http.get("/procedures").json()
    body = {
        "script": {"script_type": "filesystem", "script_uri": (rooted.root / "observe.py").as_uri()},
        "script_args": {"init": {"args": [5]}, "run": {"kwargs": {"scan": [1]}}},
    }
    message = refused(rooted.http.post("/procedures", json=body), 400, "Malformed Request")
    assert message.startswith("$.script_args.run.kwargs.scan: unexpected")
    assert rooted.http.get("/procedures").json() == before


def test_working_folder_that_is_not_there_is_refused_by_name(rooted):
    script = {"script_type": "filesystem", "script_uri": (rooted.root / "observe.py").as_uri()}
    for extra, says in (
        ({"working_folder": "/nowhere/at/all"}, "'/nowhere/at/all' is not a folder on the service's machine"),
        ({"working_folder": "data"}, "'data' is not an absolute path"),
        ({"working_folder": "/", "own_folder": True}, "own_folder contradict each other"),
    ):
        body = {"script": {**script, **extra}, "script_args": {"init": {"args": [5]}}}
        assert says in refused(rooted.http.post("/procedures", json=body), 400, "Malformed Request")


def test_wrong_arguments_that_are_not_certain_are_for_the_script_to_refuse(rooted):
    path = rooted.root / "decorated.py"
    path.write_text("def keep(f): return f\n@keep\ndef init(x): pass\ndef main(): pass\n")
    reply = create(rooted, path)
    assert reply.status_code == 201
    one = rooted.until(reply.json()["procedure"]["id"])
    assert "TypeError: init() missing 1 required" in one["history"]["stacktrace"]


def test_activity_whose_main_gets_its_block_later_can_be_started_without_arguments(tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    script = tmp_path / "observe.py"
    script.write_text("def init(**k): pass\ndef main(sb_json: str, sbi_id: str): pass\n")
    activity = {"kind": "filesystem", "path": str(script)}
    (archive / "sbd-1.json").write_text(json.dumps({"sbd_id": "sbd-1", "activities": {"observe": activity}}))
    with serve(tmp_path / "server", f"--archive={archive}") as server:
        body = {"sbd_id": "sbd-1", "activity_name": "observe", "prepare_only": True}
        pid = server.http.post("/activities", json=body).json()["activity"]["procedure_id"]
        server.until(pid, "READY")
        assert server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"}).status_code == 200
        assert server.until(pid)["state"] == "COMPLETE"
