"""Tables are the original's, character by character."""

from textwrap import dedent

import click
import pytest
from msgspec.structs import replace

from oet_kernel.formatting.tables import describe_activity, describe_procedure, list_activities, list_procedures
from oet_kernel.models import (
    ActivityState,
    ActivitySummary,
    FileSystemScript,
    GitArgs,
    GitScript,
    Pause,
    ProcedureHistory,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
)

S = ProcedureState
AT = 1795474600.973439


def summary(state=S.READY, states=((S.CREATING, AT),), script=None, stacktrace=None, **calls):
    return ProcedureSummary(
        id=1,
        script=script or FileSystemScript(script_uri="file:///scripts/s_hello.py"),
        script_args=calls or {"init": ProcedureInput(kwargs={"subarray_id": 1})},
        history=ProcedureHistory(list(states), stacktrace),
        state=state,
        uri="http://127.0.0.1:15004/api/v1.0/procedures/1",
    )


ACTIVITY = ActivitySummary(
    id=1,
    uri="http://h/activities/1",
    activity_name="observe",
    sbd_id="sbd-1",
    sbi_id="sbi-1",
    procedure_id=3,
    prepare_only=False,
    script_args={"init": ProcedureInput(kwargs={"subarray_id": 1})},
    activity_states=[(ActivityState.REQUESTED, AT)],
    state=ActivityState.RUNNING,
)


def lines(text):
    return [line.rstrip() for line in click.unstyle(str(text)).splitlines()]


def wanted(text):
    return dedent(text).strip("\n").splitlines()


def test_empty_list_is_the_head_alone():
    assert lines(list_procedures([])) == wanted("""
        ID    Script    Creation Time    State
        ----  --------  ---------------  -------
    """)


def test_list_ends_with_where_there_is_more():
    assert lines(list_procedures([summary()])) == [
        "  ID  Script                      Creation Time        State",
        "----  --------------------------  -------------------  -------",
        "   1  file:///scripts/s_hello.py  2026-11-23 22:56:40  READY",
        " For more details:- oet procedure describe --pid=<id>",
    ]


def test_description_numbers_the_runs_and_lists_the_calls():
    states = [(S.CREATING, AT), (S.RUNNING, AT + 1), (S.READY, AT + 2), (S.RUNNING, AT + 3), (S.COMPLETE, AT + 4)]
    calls = {"init": ProcedureInput(kwargs={"subarray_id": 1}), "main": ProcedureInput([7], {"foo": "bar"})}
    assert lines(describe_procedure(summary(states=states, **calls))) == [
        "  ID  Script                      URI",
        "----  --------------------------  --------------------------------------------",
        "   1  file:///scripts/s_hello.py  http://127.0.0.1:15004/api/v1.0/procedures/1",
        "",
        "Time                        State",
        "--------------------------  ---------",
        "2026-11-23 22:56:40.973439  CREATING",
        "2026-11-23 22:56:41.973439  RUNNING 1",
        "2026-11-23 22:56:42.973439  READY",
        "2026-11-23 22:56:43.973439  RUNNING 2",
        "2026-11-23 22:56:44.973439  COMPLETE",
        "",
        "  Index  Method    Arguments    Keyword Arguments",
        "-------  --------  -----------  -------------------",
        "      1  init      []           {'subarray_id': 1}",
        "      2  main      [7]          {'foo': 'bar'}",
    ]


def test_description_ends_with_the_stack_trace_of_a_failure():
    text = lines(describe_procedure(summary(S.FAILED, stacktrace="Traceback ...\nValueError: x\n")))
    assert text[-4:] == ["Stack Trace:", "------------", "Traceback ...", "ValueError: x"]


def test_description_of_a_git_script_names_repository_and_version():
    script = GitScript(script_uri="git://x.py", git_args=GitArgs(git_repo="https://r", git_branch="b"))
    text = lines(describe_procedure(summary(script=script)))
    assert text[-3:] == ["Repository    Branch    Commit", "------------  --------  --------", "https://r     b"]


@pytest.mark.parametrize("name", ["0012", "1e5", "-1"])
def test_number_in_a_name_stays_as_it_is(name):
    assert f" {name} " in click.unstyle(str(list_procedures([summary(script=FileSystemScript(script_uri=name))])))


def test_activities_are_listed_with_where_there_is_more():
    assert lines(list_activities([ACTIVITY])) == [
        "  ID  Activity    SB ID    Creation Time          Procedure ID  State",
        "----  ----------  -------  -------------------  --------------  -------",
        "   1  observe     sbd-1    2026-11-23 22:56:40               3  RUNNING",
        " For details on activity:- oet activity describe --aid=<ID>",
        " For details on script execution:- oet procedure describe --pid=<Procedure ID>",
    ]


def test_activity_is_described_table_by_table():
    assert lines(describe_activity(ACTIVITY)) == [
        "  ID  Activity    SB ID    SBI ID      Procedure ID  State",
        "----  ----------  -------  --------  --------------  -------",
        "   1  observe     sbd-1    sbi-1                  3  RUNNING",
        "",
        "URI                    Prepare Only",
        "---------------------  --------------",
        "http://h/activities/1  False",
        "",
        "Time                        State",
        "--------------------------  ---------",
        "2026-11-23 22:56:40.973439  REQUESTED",
        "",
        "Script Arguments",
        "-----------------------",
        "",
        "Method    Arguments    Keyword Arguments",
        "--------  -----------  -------------------",
        "init      []           {'subarray_id': 1}",
        "",
        "For details on script execution related to the activity",
        "use `oet procedure` commands with the Procedure ID",
    ]


@pytest.mark.parametrize(
    ("pause", "shown"),
    [
        (None, "RUNNING"),
        (Pause(AT), "RUNNING (pausing)"),
        (Pause(AT, "scan .*"), "RUNNING (pausing at scan .*)"),
        (Pause(AT, None, "alice", "scan 2", AT), "RUNNING (paused at scan 2)"),
    ],
)
def test_a_pause_stands_behind_the_state(pause, shown):
    paused = replace(summary(S.RUNNING), pause=pause)
    row = click.unstyle(str(list_procedures([paused]))).splitlines()[2]
    assert row.endswith(f"  {shown}")
    described = click.unstyle(str(describe_procedure(paused)))
    assert ("Pause: " in described) is (pause is not None)
    if pause is not None:
        assert f"Pause: {pause}, asked for at 2026-11-23 22:56:40.973439" in described
        assert (" by alice" in described) is (pause.who == "alice")
