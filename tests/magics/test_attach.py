"""``%oet attach`` tells a notebook how to attach, and never waits for somebody to type."""

from itertools import count

from tests.magics.conftest import NOTHING

subarrays = count(8500)


def test_attach_shows_how_to_connect_and_gives_the_connection(notebook):
    notebook(f"run = %oet create {notebook.script(NOTHING)} --subarray_id={next(subarrays)} --wait")
    ran = notebook("told = %oet attach {run.id}")
    assert ran.error is None
    (text,) = ran.shown
    assert "jupyter console --existing" in text
    assert notebook("told.value.connection.transport").value == "ipc"
    notebook("run.stop()")


def test_control_is_taken_and_given_back_by_the_user(notebook):
    notebook(f"run = %oet create {notebook.script(NOTHING)} --subarray_id={next(subarrays)} --wait")
    assert "has control" in notebook("%oet attach {run.id} --control").shown[0]
    assert "is free" in notebook("%oet attach {run.id} --release").shown[0]
    notebook("run.stop()")
