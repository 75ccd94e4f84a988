"""Bad input is refused with the original's words where it has some, and with the path of the fault."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.errors import OetError
from oet_kernel.models import FileSystemScript, GitArgs, GitScript, ProcedureInput, ProcedureState
from oet_kernel.server.handlers.decoding import prepare_request, procedure_update, say_where

SCRIPT = {"script_type": "filesystem", "script_uri": "file:///x.py"}
GIT = {"script_type": "git", "script_uri": "git://a/b.py", "git_args": {"git_repo": "https://example.org/r.git"}}
NOT_UNDERSTOOD = "The browser (or proxy) sent a request that this server could not understand."


def refusal(decode, body) -> OetError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(OetError) as caught:
        decode(raw)
    return caught.value


@pytest.mark.parametrize(
    ("body", "message", "detail"),
    [
        (b"", NOT_UNDERSTOOD, "$: not JSON"),
        (b"{", NOT_UNDERSTOOD, "$: not JSON"),
        (b"\xff\xfe", NOT_UNDERSTOOD, "$: not JSON"),
        (b"[" * 100_000, "$: the body nests more than 90 levels deep", None),
        ([], "$: expected object, got array", None),
        (None, "$: expected object, got null", None),
        ({}, "Script missing", "$.script: required"),
        ({"script": None}, "Malformed script in request", "$.script: expected object, got null"),
        ({"script": {}}, "Malformed script in request", "$.script.script_type: required"),
        ({"script": {"script_type": "git"}}, "Malformed script in request", "$.script.script_uri: required"),
        (
            {"script": {"script_type": 3, "script_uri": "x"}},
            "Malformed script in request",
            "$.script.script_type: expected string, got number",
        ),
        (
            {"script": {"script_type": "ftp", "script_uri": "x"}},
            "Script type ftp not supported",
            "$.script.script_type: expected one of filesystem, git",
        ),
        ({"script": SCRIPT, "script_args": 3}, "Malformed script_args in request", "$.script_args: expected object"),
        (
            {"script": SCRIPT, "script_args": {"init": {"kwargs": "x"}}},
            "$.script_args.init.kwargs: expected object, got str",
            None,
        ),
        (
            {"script": SCRIPT, "script_args": {"init": {"args": "ab"}}},
            "$.script_args.init.args: expected array, got str",
            None,
        ),
        ({"script": SCRIPT, "script_args": {"init": []}}, "$.script_args.init: expected object, got array", None),
        ({"script": {**GIT, "git_args": {}}}, "$.script.git_args.git_repo: required", None),
        ({"script": {**GIT, "create_env": "yes"}}, "$.script.create_env: expected bool, got str", None),
    ],
)
def test_bad_prepare_request_is_refused_naming_the_fault(body, message, detail):
    error = refusal(prepare_request, body)
    assert error.message == message
    assert (error.detail or "").startswith(detail or "")
    assert error.status == 400
    assert error.type == "Malformed Request"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"", "Empty Response", "No JSON available in response"),
        (b"no json", "Empty Response", "No JSON available in response"),
        ([1], "Malformed Request", "$: expected object, got array"),
        ({"script_args": "x"}, "Malformed Response", "Malformed script_args in response"),
        (
            {"state": "RUNNING", "script_args": {"main": {"kwargs": 1}}},
            "Malformed Request",
            "$.script_args.main.kwargs: expected object, got int",
        ),
        ({"state": "STOPPED", "abort": "yes"}, "Malformed Request", "$.abort: expected bool, got str"),
        ({"state": 7}, "Malformed Request", "$.state: expected str | null, got int"),
    ],
)
def test_bad_update_is_refused_naming_the_fault(body, kind, message):
    error = refusal(procedure_update, body)
    assert (error.type, error.message, error.status) == (kind, message, 400)


def test_unknown_state_is_refused_with_the_states_there_are():
    error = refusal(procedure_update, {"state": "PAUSING"})
    assert error.message.startswith("$.state: 'PAUSING' is not a valid state; expected one of CREATING, IDLE")


def test_git_script_is_read_with_all_its_arguments():
    request = prepare_request(json.dumps({"script": {**GIT, "create_env": True}}).encode())
    assert request.script == GitScript(
        script_uri="git://a/b.py", git_args=GitArgs(git_repo="https://example.org/r.git"), create_env=True
    )


def test_init_arguments_are_read():
    body = {"script": SCRIPT, "script_args": {"init": {"args": [1], "kwargs": {"subarray_id": 2}}}}
    request = prepare_request(json.dumps(body).encode())
    assert request.script == FileSystemScript(script_uri="file:///x.py")
    assert request.script_args.init_args == ProcedureInput([1], {"subarray_id": 2})


@pytest.mark.parametrize("name", ["main", "run"])
def test_main_arguments_are_read_under_their_new_and_their_older_name(name):
    update = procedure_update(json.dumps({"state": "RUNNING", "script_args": {name: {"args": ["x"]}}}).encode())
    assert update.state is ProcedureState.RUNNING
    assert update.script_args.main_args == ProcedureInput(["x"], {})


def test_update_without_state_asks_for_nothing():
    assert procedure_update(b"{}").state is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_json_value_is_more_than_refused(value):
    """Whatever JSON comes, it is decoded or refused with a 400; nothing else is raised."""
    for decode in (prepare_request, procedure_update):
        try:
            decode(json.dumps(value).encode())
        except OetError as error:
            assert error.status == 400  # noqa: PT017


@given(st.binary())
def test_no_bytes_are_more_than_refused(body):
    for decode in (prepare_request, procedure_update):
        try:
            decode(body)
        except OetError as error:
            assert error.status == 400  # noqa: PT017


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Expected `object`, got `str` - at `$.a.b`", "$.a.b: expected object, got str"),
        ("Object missing required field `script`", "$.script: required"),
        ("Object missing required field `git_repo` - at `$.script`", "$.script.git_repo: required"),
        ("Expected `object`, got `str`", "$: expected object, got str"),
    ],
)
def test_path_comes_first(said, meant):
    assert say_where(said) == meant
