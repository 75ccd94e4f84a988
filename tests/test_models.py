"""The vocabulary on the wire: each record has the form of the contract, and survives the way there and back."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.models import (
    FileSystemScript,
    GitArgs,
    GitScript,
    PrepareProcessCommand,
    PrepareRequest,
    ProcedureHistory,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    ProcedureUpdate,
    StartProcessCommand,
    StopProcessCommand,
    to_json,
)

FILE = FileSystemScript(script_uri="file:///path/observe.py")
GIT = GitScript(
    script_uri="git://path/in/repo.py", git_args=GitArgs(git_repo="URL", git_branch="NAME"), create_env=True
)


def wire(record):
    return json.loads(to_json(record))


def test_procedure_has_the_form_of_the_contract():
    summary = ProcedureSummary(
        id=3,
        script=FILE,
        script_args={"init": ProcedureInput([], {"subarray_id": 1}), "main": ProcedureInput()},
        history=ProcedureHistory([(ProcedureState.CREATING, 1601463545.57), (ProcedureState.IDLE, 1601463546.0)]),
        state=ProcedureState.IDLE,
        uri="http://HOST/api/v1.0/procedures/3",
    )
    assert wire(summary) == {
        "id": 3,
        "uri": "http://HOST/api/v1.0/procedures/3",
        "script": {"script_type": "filesystem", "script_uri": "file:///path/observe.py"},
        "script_args": {"init": {"args": [], "kwargs": {"subarray_id": 1}}, "main": {"args": [], "kwargs": {}}},
        "history": {"process_states": [["CREATING", 1601463545.57], ["IDLE", 1601463546.0]], "stacktrace": None},
        "state": "IDLE",
        "requested_by": {},
        "pause": None,
        "returned": None,
    }


def test_git_script_has_the_form_of_the_contract():
    assert wire(GIT) == {
        "script_type": "git",
        "script_uri": "git://path/in/repo.py",
        "git_args": {"git_repo": "URL", "git_branch": "NAME"},
        "create_env": True,
    }


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (PrepareProcessCommand(FILE), {"script", "init_args"}),
        (StartProcessCommand(1), {"process_uid", "fn_name", "run_args", "force_start"}),
        (StopProcessCommand(1), {"process_uid", "run_abort"}),
    ],
)
def test_commands_have_the_fields_of_the_contract(command, fields):
    assert set(wire(command)) == fields


def test_states_are_their_names():
    assert [wire(state) for state in ProcedureState] == [
        "CREATING", "IDLE", "PREP_ENV", "LOADING", "INITIALISING", "READY", "RUNNING", "COMPLETE", "FAILED", "STOPPED",
        "UNKNOWN",
    ]  # fmt: skip


def test_main_may_be_called_run_and_main_wins():
    update = msgspec.json.decode(b'{"script_args": {"run": {"args": [1]}}}', type=ProcedureUpdate)
    assert update.script_args.main_args == ProcedureInput([1])
    both = b'{"script_args": {"run": {"args": [1]}, "main": {"args": [2]}}}'
    assert msgspec.json.decode(both, type=ProcedureUpdate).script_args.main_args == ProcedureInput([2])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
INPUTS = st.builds(ProcedureInput, st.lists(JSON, max_size=3), st.dictionaries(st.text(), JSON, max_size=3))
HOW = {"kernel": st.none() | st.text(), "own_folder": st.booleans(), "working_folder": st.none() | st.text()}
SCRIPTS = st.builds(FileSystemScript, script_uri=st.text(), **HOW) | st.builds(
    GitScript,
    script_uri=st.text(),
    git_args=st.builds(GitArgs, git_repo=st.text(), git_branch=st.none() | st.text(), git_commit=st.none() | st.text()),
    create_env=st.booleans(),
    **HOW,
)
SUMMARIES = st.builds(
    ProcedureSummary,
    id=st.integers(1, 2**53),
    script=SCRIPTS,
    script_args=st.dictionaries(st.sampled_from(["init", "main"]), INPUTS),
    history=st.builds(
        ProcedureHistory,
        st.lists(st.tuples(st.sampled_from(ProcedureState), st.floats(0, 2e9)), max_size=5),
        st.none() | st.text(),
    ),
    state=st.sampled_from(ProcedureState),
    uri=st.text(),
)


@given(SUMMARIES)
def test_summary_survives_the_wire(summary):
    assert msgspec.json.decode(to_json(summary), type=ProcedureSummary) == summary


@given(SCRIPTS, INPUTS)
def test_prepare_request_survives_the_wire(script, arguments):
    body = to_json({"script": script, "script_args": {"init": arguments}})
    request = msgspec.json.decode(body, type=PrepareRequest)
    assert (request.script, request.script_args.init_args) == (script, arguments)
