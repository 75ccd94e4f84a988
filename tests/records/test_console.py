"""What was typed by hand stands beside the calls, with its own outputs."""

import nbformat

from oet_kernel import topics
from oet_kernel.records import About, build
from oet_kernel.records.console import CONSOLE_CELLS
from tests.records.conftest import outputs_of, summary_in

ABOUT = About(service="oet-kernel 1", events="http://test/procedures/3/events")


def record(said):
    notebook = build(summary_in("CREATING", "COMPLETE"), said.events, ABOUT)
    nbformat.validate(notebook)
    return notebook


def typed(said, code, **fields):
    said.say(topics.CONSOLE_INPUT, who="alice", code=code, msg_id="m", **fields)


def test_what_was_typed_stands_behind_the_calls_with_who_and_its_own_outputs(script):
    script.load()
    script.write("before\n")
    typed(script, "counter")
    script.write("beside\n", call="console")
    script.write("after\n")
    typed(script, "1 / 0")
    script.say(topics.OUTPUT_ERROR, call="console", ename="ZeroDivisionError", evalue="division", traceback="a\nb")
    notebook = record(script)
    names = [one.id for one in notebook.cells]
    assert names[names.index("main") + 1 : names.index("events")] == [
        "console", "console-1-by", "console-1", "console-2-by", "console-2",
    ]  # fmt: skip
    by_name = {one.id: one for one in notebook.cells}
    assert "alice" in by_name["console-1-by"].source
    assert by_name["console-1"].source == "counter"
    assert [one.text for one in outputs_of(notebook, "main")] == ["before\nafter\n"]
    assert [one.text for one in outputs_of(notebook, "console-1")] == ["beside\n"]
    assert [one.ename for one in outputs_of(notebook, "console-2")] == ["ZeroDivisionError"]


def test_answers_to_a_debugger_stand_among_its_output(script):
    typed(script, "%debug")
    script.write("> observe.py(3)\n", call="console")
    typed(script, "p x", prompt="ipdb> ")
    script.write("42\n", call="console")
    (output,) = outputs_of(record(script), "console-1")
    assert output.text == "> observe.py(3)\nipdb> p x\n42\n"


def test_cells_without_end_are_counted(script):
    for number in range(CONSOLE_CELLS + 3):
        typed(script, str(number))
    cells = {one.id: one for one in record(script).cells}
    assert f"console-{CONSOLE_CELLS}" in cells
    assert cells["console-more"].source.startswith("3 more cells")
