"""Notebooks of another language: their own kernel runs the cells, and all it says goes through the procedure's."""

import asyncio
import json
import os
import signal
import sys

import psutil
import pytest
from jupyter_client.kernelspec import find_kernel_specs

from oet_kernel import topics
from oet_kernel.errors import PauseRefused
from oet_kernel.models import PauseProcessCommand, ProcedureState, ResumeProcessCommand, StopProcessCommand
from tests.conftest import DEADLINE, gone
from tests.ipynb import notebook
from tests.kernel_manager.test_notebooks import cells, run, running

pytestmark = pytest.mark.anyio
S = ProcedureState
NAME = "observe.ipynb"
BYE = ("finally", "echo bye")
needs_r = pytest.mark.skipif("ir" not in find_kernel_specs(), reason="no kernel of R is installed")


def bash(*cells, **metadata):
    return notebook(*cells, kernel="bash", language="bash", **metadata)


@pytest.fixture(autouse=True)
def _see_kernelspecs(kernelspecs, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", str(kernelspecs))


def child_of(bench, pid):
    """Find the process of the kernel that runs the cells."""
    (child,) = psutil.Process(bench.registry.find(pid).kernel.pid).children()
    return child


async def test_cells_are_run_in_order_with_the_arguments_in_their_language(bench):
    text = bash(("parameters", "n=1\nname=x"), ("init", "echo init $n"),
                ("", 'for i in $(seq $n); do echo "$name $i"; done'), BYE)  # fmt: skip
    summary = await run(bench, text, {"n": 2}, {"name": "a 'quoted' $HOME"})
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert bench.output(1) == "init 2\na 'quoted' $HOME 1\na 'quoted' $HOME 2\nbye\n"
    assert bench.output(1, "stderr") == ""
    injected = "injected-parameters"
    assert cells(bench)["finished"] == ["a", injected, "b", injected, "c", "d"]
    (log,) = bench.said("procedure.environment.log")
    assert "kernel bash (Bash)" in log["text"]
    assert "keeps no journal" in log["text"]


async def test_arguments_without_a_form_in_the_language_are_refused(bench):
    summary = await run(bench, bash(("", "true")), None, {"n": {"a": 1}})
    assert summary.state is S.FAILED
    assert "Arguments cannot be written in bash" in summary.history.stacktrace


async def test_failing_cell_is_named_and_the_finally_cells_are_run(bench):
    summary = await run(bench, bash(("", "true"), ("", "exit_with() { return $1; }; exit_with 3"), BYE))
    assert summary.state is S.FAILED
    assert "observe.ipynb, cell 2 has failed: 3" in summary.history.stacktrace
    assert cells(bench)["failed"] == ["b"]
    assert bench.output(1) == "bye\n"


async def test_displays_and_lines_arrive_whole(bench):
    text = bash(("", "seq 500"), ("", "echo '<b>bold</b>' | displayHTML"))
    summary = await run(bench, text)
    assert summary.state is S.COMPLETE
    assert bench.output(1).splitlines()[:500] == [str(n) for n in range(1, 501)]
    assert [one["data"] for one in bench.said("procedure.output.display")] == [{"text/html": "<b>bold</b>\n"}]


async def test_stop_interrupts_the_cell_runs_the_finally_cells_and_leaves_no_process(bench):
    pid = await running(bench, bash(("", "(echo asleep; exec sleep 1000)"), ("", "echo not reached"), BYE), "asleep")
    child = child_of(bench, pid)
    family = [child, *child.children(recursive=True)]
    assert len(family) > 2
    await bench.service.stop(StopProcessCommand(pid))
    assert (await bench.until(pid)).state is S.STOPPED
    assert [line for line in bench.output(pid).splitlines() if line.strip("^C")] == ["asleep", "bye"]
    for one in family:
        assert await gone(one.pid)


async def test_death_of_the_kernel_fails_the_procedure_with_how_it_came(bench):
    pid = await running(bench, bash(("", "echo asleep; sleep 1000")), "asleep")
    os.kill(child_of(bench, pid).pid, signal.SIGKILL)
    summary = await bench.until(pid)
    assert summary.state is S.FAILED
    assert "The kernel bash ended with SIGKILL while it ran observe.ipynb, cell 1" in summary.history.stacktrace


async def test_kill_of_the_procedures_kernel_takes_the_other_with_it(bench):
    pid = await running(bench, bash(("", "echo asleep; sleep 1000")), "asleep")
    child = child_of(bench, pid)
    family = [child, *child.children(recursive=True)]
    os.kill(bench.registry.find(pid).kernel.pid, signal.SIGKILL)
    assert (await bench.until(pid)).state is S.FAILED
    for one in family:
        assert await gone(one.pid)


def R(*cells):  # noqa: N802 - the language's name
    return notebook(*cells, kernel="ir", language="R")


@needs_r
async def test_r_runs_the_cells_with_its_arguments_and_shows_its_plots(bench):
    text = R(("parameters", "n <- 1\nname <- 'x'"), ("init", "cat('init', n, '\\n')"),
             ("", "for (i in 1:n) cat(name, i, '\\n')\nplot(1:n)"), ("finally", "cat('bye\\n')"))  # fmt: skip
    summary = await run(bench, text, {"n": 2}, {"name": "a 'quoted' $HOME"})
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert bench.output(1) == "init 2 \na 'quoted' $HOME 1 \na 'quoted' $HOME 2 \nbye\n"
    (shown,) = bench.said("procedure.output.display")
    assert "image/png" in shown["data"]


@needs_r
@pytest.mark.parametrize("name", ["if", "TRUE", "function", "NULL", "next", "NA_complex_"])
async def test_argument_that_is_a_keyword_of_r_is_refused_by_name(bench, name):
    summary = await run(bench, R(("", "1")), None, {name: 1})
    assert summary.state is S.FAILED
    assert f"{name!r} is not a valid argument of a notebook: {name} is a keyword of R" in summary.history.stacktrace


@needs_r
async def test_failing_cell_of_r_is_named_with_its_own_words(bench):
    summary = await run(bench, R(("", "1 + 1"), ("", "stop('no flux')"), ("finally", "cat('bye\\n')")))
    assert summary.state is S.FAILED
    assert "observe.ipynb, cell 2 has failed:" in summary.history.stacktrace
    assert summary.history.stacktrace.splitlines()[-1].endswith("no flux")
    assert bench.output(1).endswith("bye\n")


@needs_r
async def test_stop_interrupts_a_cell_of_r(bench):
    pid = await running(bench, R(("", "cat('asleep\\n')\nSys.sleep(1000)"), ("finally", "cat('bye\\n')")), "asleep")
    child = child_of(bench, pid)
    await bench.service.stop(StopProcessCommand(pid))
    assert (await bench.until(pid)).state is S.STOPPED
    assert bench.output(pid) == "asleep\nbye\n"
    assert await gone(child.pid)


@pytest.fixture
def install_other(tmp_path, monkeypatch):
    """Install a kernelspec named ``other``: a Python that is not this environment's."""

    def install(*argv):
        spec = tmp_path / "other" / "kernels" / "other"
        spec.mkdir(parents=True)
        launcher = tmp_path / "other" / "python"
        launcher.symlink_to(sys.executable)
        content = {"argv": [str(launcher), *argv], "display_name": "Other", "language": "python"}
        content["env"] = {"PYTHONPATH": os.pathsep.join(one for one in sys.path if one.endswith("site-packages"))}
        (spec / "kernel.json").write_text(json.dumps(content))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "other"))

    return install


@pytest.fixture
def other(install_other):
    """A kernel of another environment."""
    install_other("-m", "ipykernel_launcher", "-f", "{connection_file}")


async def test_python_of_another_environment_runs_in_its_own_kernel(bench, other):
    text = notebook(
        ("", "import os\nasync def main(n):\n    print('main', n, os.getppid() == here)"),
        ("", "def init(here_=0):\n    global here\n    here = here_"),
        kernel="other",
    )
    pid = await bench.ready(text, name=NAME)
    await bench.start(pid, n=2)
    summary = await bench.until(pid)
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert bench.output(pid) == "main 2 False\n"


ERRORS = {
    "a result that cannot be shown": ("class A:\n    def __repr__(self): raise ValueError('no')\nA()", S.FAILED, []),
    "two that cannot": (
        "class A:\n    def _repr_html_(self): raise KeyError('no')\n"
        "    def _repr_png_(self): raise ValueError('no')\nA()",
        S.FAILED,
        ["KeyError"],
    ),
    "a display that cannot be shown": (
        "class A:\n    def __repr__(self): raise ValueError('no')\ndisplay(A())",
        S.COMPLETE,
        ["ValueError"],
    ),
    "what is shown, and then raised": (
        "try:\n    {}[1]\nexcept KeyError:\n    get_ipython().showtraceback()\nraise ValueError('no')",
        S.FAILED,
        ["KeyError"],
    ),
    "a cell within the cell": ("get_ipython().run_cell('{}[1]')\nraise ValueError('no')", S.FAILED, ["KeyError"]),
    "an exit that fails": ("raise SystemExit(3)", S.FAILED, []),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_each_error_of_another_kernel_is_told_once(bench, other, name):
    source, state, shown = ERRORS[name]
    summary = await run(bench, notebook(("", source), ("finally", "print('bye')"), kernel="other"))
    assert summary.state is state
    assert [one["ename"] for one in bench.said("procedure.output.error")] == shown
    assert len(bench.said("procedure.cell.failed")) == (state is S.FAILED)
    if state is S.FAILED:
        assert "no" in summary.history.stacktrace or "SystemExit: 3" in summary.history.stacktrace
    assert bench.output(1).endswith("bye\n")


@pytest.mark.parametrize("end", ["exit()", "quit", "import sys\nsys.exit()", "raise SystemExit(0)"])
async def test_exit_of_another_kernel_ends_the_run_with_success(bench, other, end):
    late = ("finally", "import time\ntime.sleep(0.3)")  # an ipykernel that was asked to end does so after 0.1 s
    text = notebook(
        ("", "print('one')"), ("", end), ("", "1/0"), late, late, ("finally", "print('bye')"), kernel="other"
    )
    summary = await run(bench, text)
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert bench.output(1) == "one\nbye\n"
    assert bench.said("procedure.output.error") == []


@needs_r
async def test_quit_of_r_ends_the_run_with_success(bench):
    summary = await run(bench, R(("", "cat('one\\n')"), ("", "quit()"), ("", "stop('no')")))
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert bench.output(1) == "one\n"


async def test_event_of_any_language_is_a_display_of_its_own_type(bench, other):
    data = {"application/vnd.oet.event+json": {"topic": "user.seen", "n": 1}}
    text = notebook(("", f"from IPython.display import display\ndisplay({data}, raw=True)"), kernel="other")
    summary = await run(bench, text)
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert [one["n"] for one in bench.said("user.seen")] == [1]
    assert bench.said("procedure.output.display") == []


async def test_widgets_of_another_kernel_are_told_with_their_binary_values(bench, other):
    summary = await run(bench, notebook(("", "import ipywidgets\nipywidgets.Image(value=b'abc')"), kernel="other"))
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    layout, image = bench.said("procedure.output.widget")
    assert image["state"]["_model_name"] == "ImageModel"
    assert image["buffers"] == [{"path": ["value"], "data": "YWJj"}]
    assert layout["state"]["_model_name"] == "LayoutModel"


async def test_kernel_that_ends_before_it_is_ready_is_told(bench, install_other):
    install_other("-c", "raise SystemExit(3)")
    summary = await run(bench, notebook(("", "1"), kernel="other"))
    assert summary.state is S.FAILED
    assert "The kernel other ended with exit code 3 before it took requests" in summary.history.stacktrace


async def test_stop_while_the_kernel_starts_ends_both(bench, tmp_path, install_other):
    install_other("-c", "import time; time.sleep(1000)")
    pid = await bench.create(notebook(("", "1"), kernel="other"), name=NAME)
    with bench.bus.subscribe(["procedure.script"], procedure=pid) as events:
        async with asyncio.timeout(60):
            if not bench.said("procedure.script.loaded"):
                await events.batch()
    await bench.service.stop(StopProcessCommand(pid))
    assert (await bench.until(pid)).state is S.STOPPED
    left = [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path / "other") in str(one.info["cmdline"])]
    for one in left:
        assert await gone(one.pid)


async def test_functions_in_another_kernel_cannot_be_paused_and_that_is_said(bench, other):
    text = notebook(("", "import time\ndef main():\n    time.sleep(1000)"), kernel="other")
    pid = await bench.ready(text, name=NAME)
    with pytest.raises(PauseRefused, match="its functions run in the kernel other, which has no checkpoints"):
        await bench.pauses.pause(PauseProcessCommand(pid))
    assert bench.service.summarise([pid])[0].pause is None


async def test_the_cells_of_another_kernel_are_checkpoints(bench):
    text = bash(("", "echo one"), ("", "echo two"))
    pid = await bench.ready(text, name=NAME)
    await bench.pauses.pause(PauseProcessCommand(pid, "cell 2"))
    with bench.bus.subscribe([topics.PAUSED], procedure=pid) as events:
        await bench.start(pid)
        async with asyncio.timeout(DEADLINE):
            await events.batch()
    assert bench.output(pid) == "one\n"
    await bench.pauses.resume(ResumeProcessCommand(pid))
    assert (await bench.until(pid)).state is S.COMPLETE
    assert bench.output(pid) == "one\ntwo\n"
