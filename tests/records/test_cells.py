"""The record of a notebook is that notebook, with the outputs of each cell, and what was injected."""

import json

import nbformat
import pytest

from oet_kernel import topics
from oet_kernel.records import About, build
from tests.ipynb import TEXT, notebook
from tests.records.conftest import outputs_of, summary_in

RUNNING = ("CREATING", "IDLE", "LOADING", "IDLE", "READY", "RUNNING")
TRACE = 'Traceback (most recent call last):\n  File "observe.ipynb, cell 2", line 1\nValueError: bad\n'


class Run:
    """Says things as a procedure of a notebook does."""

    def __init__(self, script, text, by_cell=True):
        self.script = script
        script.enter("CREATING", "IDLE", "LOADING")
        about = {"path": "/scripts/observe.ipynb", "sha256": "ab" * 32, "commit": None, "by_cell": by_cell}
        script.say(topics.SCRIPT_LOADED, **about, source=text)

    def cell(self, number, *lines, call="main", failed=None, source=None, expected=False):
        about = {"call": call, "id": "any", "number": number, "count": 3, "tags": []}
        self.script.say(topics.CELL_STARTED, **about, source=source)
        for line in lines:
            self.script.write(line, call=call)
        if failed:
            self.script.say(topics.CELL_FAILED, **about, stacktrace=failed, expected=expected)
        else:
            self.script.say(topics.CELL_FINISHED, **about)

    def record(self, *states, **given):
        made = build(summary_in(*(states or (*RUNNING, "READY", "COMPLETE")), **given), self.script.events, About())
        nbformat.validate(made)
        return made


@pytest.fixture
def run(script):
    return Run(script, notebook((TEXT, "# Scan"), ("parameters", "n = 1"), ("init", "i"), ("", "work"), ("", "more")))


def shown(record):
    return [(cell.id, cell.get("execution_count")) for cell in record.cells]


def test_cells_stand_in_the_notebooks_order_with_what_was_injected_and_how_they_were_run(run):
    run.script.enter("IDLE", "INITIALISING")
    run.cell(1, call="init")
    run.cell(1, call="init", source="n = 2")
    run.cell(2, "prepared\n", call="init")
    run.script.enter("READY", "RUNNING")
    run.cell(1, source="n = 3")
    run.cell(3, "one\n", "two\n")
    run.script.enter("READY", "COMPLETE")
    record = run.record()
    assert shown(record) == [
        ("heading", None), ("a", None), ("b", 1), ("injected-parameters-1", 2), ("injected-parameters-2", 4), ("c", 3),
        ("d", 5), ("e", None), ("events", None), ("states", None),
    ]  # fmt: skip
    assert [cell.source for cell in record.cells[3:5]] == ["n = 2", "n = 3"]
    assert record.cells[3].metadata.tags == ["injected-parameters"]
    assert [one.text for one in outputs_of(record, "d")] == ["one\ntwo\n"]
    assert [one.text for one in outputs_of(record, "c")] == ["prepared\n"]
    assert set(record.cells[6].metadata.execution) == {"iopub.execute_input", "shell.execute_reply"}
    assert record.metadata.kernelspec.name == "python3"
    assert record.metadata.oet.procedure.id == 3


def test_output_that_comes_behind_a_cell_stands_in_it(run):
    run.cell(3, "one\n")
    run.script.write("late\n")
    assert [one.text for one in outputs_of(run.record(), "d")] == ["one\nlate\n"]


def test_error_stands_once_in_the_cell_that_raised_it_though_finally_cells_follow(run):
    run.script.enter("IDLE", "READY", "RUNNING")
    run.cell(3, "one\n", failed=TRACE)
    run.cell(4, "bye\n")
    run.script.enter("FAILED")
    run.script.say(topics.STACKTRACE, stacktrace=TRACE)
    record = run.record(*RUNNING, "FAILED", stacktrace=TRACE)
    assert [one.output_type for one in outputs_of(record, "d")] == ["stream", "error"]
    assert outputs_of(record, "d")[1].evalue == "bad"
    assert [one.output_type for one in outputs_of(record, "e")] == ["stream"]


def test_cell_that_was_interrupted_by_a_stop_says_so_and_no_other(run):
    run.script.enter("IDLE", "READY", "RUNNING")
    run.cell(3, failed="Traceback (most recent call last):\nKeyboardInterrupt\n")
    run.cell(4, "bye\n")
    run.script.enter("STOPPED")
    record = run.record(*RUNNING, "STOPPED")
    assert [one.ename for one in outputs_of(record, "d")] == ["KeyboardInterrupt"]
    assert [one.output_type for one in outputs_of(record, "e")] == ["stream"]


def test_failure_before_any_cell_is_shown_in_front(run):
    run.script.enter("FAILED")
    run.script.say(topics.STACKTRACE, stacktrace="NoKernel: there is none\n")
    record = run.record("CREATING", "IDLE", "LOADING", "FAILED", stacktrace="NoKernel: there is none\n")
    assert [one.ename for one in outputs_of(record, "load")] == ["NoKernel"]
    assert shown(record)[1:3] == [("load", None), ("a", None)]


def test_functions_of_a_notebook_have_cells_for_their_calls_behind_its_own(script):
    run = Run(script, notebook(("", "async def main(n): ..."), ("finally", "bye")), by_cell=False)
    run.cell(1, "loaded\n", call="load")
    script.enter("IDLE", "READY", "RUNNING")
    script.write("called\n")
    run.cell(2, "bye\n")
    record = run.record()
    assert [cell.id for cell in record.cells] == ["heading", "a", "b", "main", "events", "states"]
    assert record.cells[3].source == "await main(2)"
    for cell, text in (("a", "loaded\n"), ("main", "called\n"), ("b", "bye\n")):
        assert [one.text for one in outputs_of(record, cell)] == [text]


def test_cells_that_the_notebook_does_not_have_are_left_out(run):
    for number in range(50):
        run.cell(number + 5, "x\n")
        run.cell(1, source="n = 1")
    run.script.say(topics.CELL_FAILED, call=None, id=[], stacktrace=5)
    run.script.say(topics.CELL_STARTED)
    # two that were injected, and a cell for what belongs to none
    assert len(run.record().cells) == 5 + 2 + 1 + 3


@pytest.mark.parametrize("source", [None, "no notebook", "[]", '{"cells": [1, {"cell_type": "x"}]}'])
def test_notebook_that_was_not_told_has_a_record_all_the_same(script, source):
    run = Run(script, source)
    run.cell(3, "one\n")
    record = run.record()
    assert any(one.text == "one\n" for cell in record.cells for one in cell.get("outputs", ()))


def test_ids_that_a_record_has_itself_are_no_trouble(script):
    text = json.loads(notebook(("", "1"), ("", "2")))
    text["cells"][0]["id"], text["cells"][1]["id"] = "main", "heading"
    run = Run(script, json.dumps(text))
    run.cell(1, "one\n")
    record = run.record()
    assert [one.text for one in outputs_of(record, "main-cell")] == ["one\n"]


@pytest.mark.parametrize("tags", [["injected-parameters"], ["x", "injected-parameters", 3], "injected-parameters"])
def test_what_an_earlier_run_has_injected_is_left_out_and_counts_as_a_cell(script, tags):
    text = json.loads(notebook(("", "1"), ("", "2"), ("", "3")))
    text["cells"][1]["metadata"]["tags"] = tags
    run = Run(script, json.dumps(text))
    run.cell(3, "three\n")
    record = run.record()
    assert [cell.id for cell in record.cells] == ["heading", "a", "c", "events", "states"]
    assert [one.text for one in outputs_of(record, "c")] == ["three\n"]


@pytest.mark.parametrize(
    ("behind", "ids"),
    [
        (0, ["injected-parameters-1", "a", "b"]),
        (2, ["a", "b", "injected-parameters-1"]),
        (9, ["injected-parameters-1", "a", "b"]),
    ],
)
def test_arguments_stand_behind_the_cell_that_the_kernel_tells(script, behind, ids):
    run = Run(script, notebook(("", "1"), ("", "2")))
    run.cell(behind, source="n = 2")
    assert [cell.id for cell in run.record().cells[1:-2]] == ids


def test_times_of_an_earlier_run_are_left_out(script):
    text = json.loads(notebook(("", "1"), ("", "2")))
    for cell in text["cells"]:
        cell["metadata"]["execution"] = {"iopub.execute_input": "2001-01-01T00:00:00Z"}
    run = Run(script, json.dumps(text))
    run.cell(1)
    first, second = run.record().cells[1:3]
    assert first.metadata.execution["iopub.execute_input"].startswith("2020")
    assert "execution" not in second.metadata
