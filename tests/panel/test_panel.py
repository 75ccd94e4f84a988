"""The panel without a browser: buttons are clicked, and what widgets show is awaited; the service is a real one."""

import asyncio
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from itertools import count

import pytest

from oet_kernel.panel import ControlPanel
from oet_kernel.panel.log import MOST_ENTRIES, MOST_TEXT
from tests.conftest import DEADLINE, serve
from tests.ipynb import notebook

subarrays = count(8200)
FOREVER = "import time\ndef init(subarray_id): pass\ndef main(): time.sleep(1000)\n"
TALKS = '''
"""Says what it is told."""
import time
from typing import Literal
from oet_kernel.api import publish

def init(subarray_id: int, band: Literal["low", "mid"] = "low", gains: list[float] = []):
    """Prepare."""
    print("band", band, gains)

def main(word: str, times: int = 1):
    for _ in range(times):
        publish("user.script.announce", msg=word)
    print("said", word)
'''
FAILS = "def init(subarray_id): pass\ndef main(): raise ValueError('no sky today')\n"


async def until(widget, trait, holds):
    """Wait until a trait of a widget is as it should be; gives it."""
    came = asyncio.Event()

    def look(_=None):
        if holds(getattr(widget, trait)):
            came.set()

    widget.observe(look, trait)
    look()
    try:
        async with asyncio.timeout(DEADLINE):
            await came.wait()
    except TimeoutError:
        raise AssertionError(f"still {getattr(widget, trait)!r}") from None
    finally:
        widget.unobserve(look, trait)
    return getattr(widget, trait)


async def shows(widget, *words):
    """Wait until a widget shows all of these."""
    return await until(widget, "value", lambda html: all(word in html for word in words))


def at_work():
    """List the tasks that are not those of the test's runner."""
    return {task for task in asyncio.all_tasks() if "TestRunner" not in getattr(task.get_coro(), "__qualname__", "")}


@asynccontextmanager
async def opened(server=None):
    """Open a panel; in the end nothing of it is at work."""
    before = at_work()
    panel = ControlPanel(server.url, server.token) if server else ControlPanel()
    try:
        await shows(panel.connection, ">connected<")
        yield panel
    finally:
        panel.close()
        await asyncio.sleep(0)  # the end is scheduled, as from any thread
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*at_work() - before, return_exceptions=True)


@pytest.fixture
async def panel(server):
    async with opened(server) as made:
        yield made


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "script.py"
        path.write_text(text)
        return str(path)

    return write


async def create(panel, path, **values):
    """Fill in the form and click Create; gives the id of the procedure."""
    panel.create.path.value = path
    await until(panel.create.arguments, "children", len)
    for name, value in {"subarray_id": next(subarrays), **values}.items():
        widget = panel.create.arguments.inputs[name]
        widget.value = str(value) if isinstance(widget.value, str) else value
    panel.create.create.click()
    said = await shows(panel.doing.message, "was created")
    pid = int(said.partition("Procedure ")[2].partition(" ")[0])
    await until(panel.details.stop, "description", lambda text: text == f"Stop {pid}")
    return pid


def state(panel, pid):
    return panel.procedures.rows[pid].state


@pytest.mark.anyio
async def test_a_procedure_is_created_started_and_seen_to_its_end(panel, script):
    pid = await create(panel, script(TALKS), band=1, gains="[1, 2.5]")
    await shows(panel.details.about, f"Procedure {pid}", "READY", "band=&#x27;mid&#x27;", "[1, 2.5]")
    await until(panel.details.arguments, "children", len)
    panel.details.arguments.inputs["word"].value = "hello there"
    panel.details.start.click()
    await shows(panel.details.about, "COMPLETE", "main(word=&#x27;hello there&#x27;, times=1)")
    await shows(panel.logview.box, "band mid [1.0, 2.5]", "Script message: hello there", "said hello there")
    await shows(state(panel, pid), "COMPLETE")
    await shows(panel.procedures.rows[pid].about, "script.py", "hello there")
    assert (panel.details.start.disabled, panel.details.stop.disabled, panel.details.stop_only.disabled) == (
        True,
        True,
        True,
    )


@pytest.mark.anyio
async def test_the_form_is_made_from_the_script_and_says_what_is_wrong_where_it_is(panel, script):
    panel.create.path.value = script(TALKS)
    await until(panel.create.arguments, "children", len)
    inputs = panel.create.arguments.inputs
    kinds = {name: type(widget).__name__ for name, widget in inputs.items()}
    assert kinds == {"subarray_id": "Text", "band": "Dropdown", "gains": "Textarea"}
    assert inputs["subarray_id"].get_state()["description"] == "subarray_id *"
    assert "Says what it is told." in panel.create.note.value
    inputs["gains"].value = "[1, "
    panel.create.create.click()
    await shows(panel.doing.message, "Some arguments are wrong")
    complaints = [row.children[-1].value for row in panel.create.arguments.children]
    assert "required" in complaints[0]
    assert complaints[1] == ""
    assert "the text is not JSON" in complaints[2]


@pytest.mark.anyio
async def test_numbers_are_typed_and_an_integer_is_shown_as_it_is_sent(panel, script):
    panel.create.path.value = script("def init(subarray_id: int = 1, speed: float = 1.5): pass\ndef main(): pass\n")
    await until(panel.create.arguments, "children", len)
    inputs = panel.create.arguments.inputs
    assert {name: (type(one).__name__, one.value) for name, one in inputs.items()} == {
        "subarray_id": ("Text", "1"),
        "speed": ("Text", "1.5"),
    }
    assert not inputs["subarray_id"].continuous_update, "a number is read when it is whole"
    inputs["subarray_id"].value = "2.7"
    assert inputs["subarray_id"].value == "2"
    assert "2.7 is not an integer: 2 is sent" in panel.create.arguments.children[0].children[-1].value


@pytest.mark.anyio
async def test_the_tab_key_stops_at_one_procedure_of_the_list(panel, script):
    path = script(FOREVER)
    first, second = await create(panel, path), await create(panel, path)
    rows = panel.procedures.rows

    def reached():
        return [pid for pid, row in rows.items() if row.select.tabbable]

    await until(rows[second].select, "tabbable", bool)
    assert reached() == [second]
    rows[first].select.click()
    await until(rows[first].select, "tabbable", bool)
    assert reached() == [first]
    assert all(row.select.tabbable is not None for row in rows.values())


@pytest.mark.anyio
async def test_notebook_is_run_in_another_kernel_and_its_own_folder(panel, tmp_path):
    assert panel.create.kernel.layout.display == "none"
    path = tmp_path / "scan.ipynb"
    text = "import os\nprint(os.path.basename(os.getcwd()))"
    path.write_text(notebook(("parameters", "subarray_id = 1"), ("", text), kernel="nowhere"))
    panel.create.path.value = str(path)
    await until(panel.create.kernel.layout, "display", lambda display: display is None)
    panel.create.kernel.value = " python3 "
    panel.create.own_folder.value = True
    pid = await create(panel, str(path))
    await until(panel.details.start, "disabled", lambda disabled: not disabled)
    panel.details.start.click()
    await shows(panel.details.about, f"Procedure {pid}", "COMPLETE")
    await shows(panel.logview.box, tmp_path.name)


@pytest.mark.anyio
async def test_arguments_that_do_not_fit_are_said_where_they_are(panel, script):
    panel.create.path.value = script("def init(subarray_id: int | list[int]): pass\ndef main(): pass\n")
    await until(panel.create.arguments, "children", len)
    panel.create.arguments.inputs["subarray_id"].value = '["x"]'
    panel.create.create.click()
    await shows(panel.doing.message, "Some arguments are wrong")
    (row,) = panel.create.arguments.children
    assert "expected" in row.children[-1].value
    assert not panel.create.create.disabled


@pytest.mark.anyio
async def test_a_procedure_is_stopped(panel, script):
    pid = await create(panel, script(FOREVER))
    await until(panel.details.start, "disabled", lambda disabled: not disabled)
    panel.details.start.click()
    await shows(state(panel, pid), "RUNNING")
    await until(panel.details.stop, "disabled", lambda disabled: not disabled)
    panel.details.stop.click()
    await shows(panel.doing.message, f"Successfully stopped script with ID {pid}")
    await shows(state(panel, pid), "STOPPED")


@pytest.mark.anyio
async def test_a_failure_is_shown_with_its_stack_trace(panel, script):
    await create(panel, script(FAILS))
    await until(panel.details.start, "disabled", lambda disabled: not disabled)
    panel.details.start.click()
    await shows(panel.details.about, "FAILED", "ValueError: no sky today", "Traceback", "script.py")


@pytest.mark.anyio
async def test_several_panels_agree_and_one_that_comes_later_too(server, panel, script):
    async with opened(server) as other:
        pid = await create(panel, script(FOREVER))
        await until(other.procedures.box, "children", lambda _: pid in other.procedures.rows)
        other.procedures.rows[pid].select.click()
        await shows(other.details.about, f"Procedure {pid}", "READY")
        await until(other.details.start, "disabled", lambda disabled: not disabled)
        other.details.start.click()
        await shows(state(panel, pid), "RUNNING")
        await shows(panel.details.about, f"Procedure {pid}", "RUNNING")
        async with opened(server) as late:
            await until(late.procedures.box, "children", lambda _: pid in late.procedures.rows)
            await shows(state(late, pid), "RUNNING")
            late.procedures.rows[pid].select.click()
            await shows(late.logview.box, f"Procedure {pid} is INITIALISING")
            await until(panel.details.stop_only, "disabled", lambda disabled: not disabled)
            panel.details.stop.click()
            for one in (panel, other, late):
                await shows(state(one, pid), "STOPPED")


@pytest.mark.anyio
async def test_a_click_may_come_from_another_thread(panel, script):
    pid = await create(panel, script(FOREVER))
    await until(panel.details.stop, "disabled", lambda disabled: not disabled)
    thread = threading.Thread(target=panel.details.stop.click)
    thread.start()
    await asyncio.to_thread(thread.join)
    await shows(state(panel, pid), "STOPPED")


@pytest.mark.anyio
async def test_the_log_is_filtered_by_topic_and_procedure_and_can_be_held(panel, script):
    pid = await create(panel, script(TALKS))
    await shows(panel.logview.box, f"Procedure {pid} is READY", "band low")
    panel.logview.topics.value = "procedure.output, user"
    shown = await until(panel.logview.box, "value", lambda html: "is READY" not in html)
    assert "band low" in shown
    panel.logview.which.value = False
    await shows(panel.logview.box, f"#{pid}", "band low")
    panel.logview.hold.value = True
    held = panel.logview.box.value
    panel.details.stop.click()
    await shows(state(panel, pid), "STOPPED")
    assert panel.logview.box.value == held
    panel.logview.topics.value = ""
    panel.logview.hold.value = False
    await shows(panel.logview.box, f"Procedure {pid} is STOPPED")


@pytest.mark.anyio
async def test_the_archive_is_searched_and_what_is_found_can_be_looked_at(panel, script):
    pid = await create(panel, script(FAILS.replace("no sky", "a cloud")))
    await until(panel.details.stop, "disabled", lambda disabled: not disabled)
    panel.details.stop.click()
    await shows(state(panel, pid), "STOPPED")
    panel.history.state.value = "STOPPED"
    panel.history.script.value = "script.py"
    panel.history.look.click()
    await until(panel.history.rows, "children", len)
    first = panel.history.rows.children[0]
    assert (first.children[0].description, "STOPPED" in first.children[1].value) == (f"#{pid}", True)
    panel.history.state.value = "UNKNOWN"
    panel.history.look.click()
    await until(panel.history.rows, "children", lambda rows: not rows)
    first.children[0].click()


@pytest.mark.anyio
async def test_scripts_of_the_service_are_offered_by_the_path_below_their_folder(tmp_path):
    folder = tmp_path / "scripts" / "calibration"
    folder.mkdir(parents=True)
    (folder / "point.py").write_text(TALKS)
    (folder.parent / "observe.py").write_text(TALKS)
    with serve(tmp_path / "service", f"--scripts-root={folder.parent}") as server:
        async with opened(server) as panel:
            options = await until(panel.create.script, "options", lambda options: len(options) > 1)
            assert [name for name, _ in options] == ["(choose a script)", "observe.py", "calibration/point.py"]
            panel.create.script.value = options[1][1]
            await until(panel.create.arguments, "children", len)
            panel.create.path.value = "/nowhere.py"
            await shows(panel.create.note, "nowhere")
            assert panel.create.script.value == ""


@pytest.mark.anyio
async def test_the_panel_outlives_the_service_and_says_so_while_it_is_away(tmp_path, script, monkeypatch):
    monkeypatch.setenv("OET_RUNTIME_DIR", str(tmp_path / "service" / "runtime"))  # where the next one is found
    path = script(FOREVER)
    with serve(tmp_path / "service") as server:
        async with opened() as panel:
            pid = await create(panel, path)
            await until(panel.details.stop, "disabled", lambda disabled: not disabled)
            server.process.kill()
            await shows(panel.connection, "the service does not answer")
            await until(panel.details.start, "disabled", bool)
            assert not panel.details.stop.disabled, "a stop is worth the try"
            assert pid in panel.procedures.rows, "what was known stays in sight"
            with serve(tmp_path / "service") as again:
                await shows(panel.connection, ">connected<", again.url)
                await until(panel.details.start, "disabled", lambda disabled: not disabled)
                panel.details.start.click()
                await shows(state(panel, pid), "RUNNING")
                panel.details.stop.click()
                await shows(state(panel, pid), "STOPPED")
                panel.logview.which.value = False
                await shows(
                    panel.logview.box,
                    "The service does not answer",
                    "The service answers again",
                    f"Procedure {pid} is STOPPED",
                )


@pytest.mark.anyio
async def test_without_a_service_the_panel_says_what_to_do_and_can_try_again(server, monkeypatch):
    monkeypatch.setenv("OET_URL", "http://127.0.0.1:9/api/v1.0")
    panel = ControlPanel()
    await shows(panel.connection, "not connected", "oet serve")
    assert panel.reconnect.layout.display is None
    monkeypatch.setenv("OET_URL", server.url)
    monkeypatch.setenv("OET_TOKEN", server.token)
    panel.reconnect.click()
    await shows(panel.connection, ">connected<", server.url)
    assert panel.reconnect.layout.display == "none"
    panel.close()


def test_only_who_opens_a_panel_imports_widgets():
    code = "import sys, oet_kernel.cli, oet_kernel.client, oet_kernel.magics; print('ipywidgets' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=DEADLINE)
    assert said.stdout == "False\n"


def test_without_an_event_loop_it_says_where_it_can_be_made():
    with pytest.raises(RuntimeError, match="in a notebook cell or in a coroutine"):
        ControlPanel("http://127.0.0.1:9/api/v1.0", "x")


@pytest.mark.anyio
async def test_a_flood_of_output_is_shown_to_its_last_line(panel, script):
    await create(
        panel, script("def init(subarray_id):\n    for n in range(20_000): print('line', n)\ndef main(): pass\n")
    )
    await shows(panel.logview.box, "line 19999", "is READY")
    model = panel.session.model
    assert max(len(model.live.entries), len(model.past.entries)) <= MOST_ENTRIES
    assert max(model.live.size, model.past.size) <= MOST_TEXT


@pytest.mark.anyio
async def test_closing_a_panel_leaves_no_widget_and_no_task(server):
    from ipywidgets.widgets.widget import _instances

    before = set(_instances)
    tasks = at_work()
    async with opened(server) as panel:
        await until(panel.details.about, "value", bool)
    assert at_work() == tasks
    left = {type(_instances[one]).__name__ for one in set(_instances) - before}
    assert all(name.endswith(("Layout", "Style")) for name in left), left


WAITS = """
from oet_kernel.api import checkpoint
def init(subarray_id): pass
def main():
    checkpoint("scan 1")
"""


@pytest.mark.anyio
async def test_a_procedure_is_paused_and_resumed(server, panel, script):
    pid = await create(panel, script(WAITS))
    details = panel.details
    assert (details.pause.description, details.resume.description) == (f"Pause {pid}", f"Resume {pid}")
    await until(details.pause, "disabled", lambda disabled: not disabled)
    assert details.resume.disabled
    details.pause.click()
    await shows(panel.doing.message, f"Procedure {pid} will pause at its next checkpoint")
    await shows(details.about, "READY", ">pausing<")
    async with opened(server) as other:
        details.start.click()
        await shows(details.about, "RUNNING", ">paused at scan 1<")
        await shows(panel.procedures.rows[pid].about, ">paused at scan 1<")
        await shows(panel.logview.box, f"Procedure {pid} is paused at scan 1")
        await until(other.procedures.box, "children", lambda _: pid in other.procedures.rows)
        await shows(other.procedures.rows[pid].about, ">paused at scan 1<")
        assert details.pause.disabled
        await until(details.resume, "disabled", lambda disabled: not disabled)
        details.resume.click()
        await shows(state(panel, pid), "COMPLETE")
        await shows(state(other, pid), "COMPLETE")
    await until(details.resume, "disabled", lambda disabled: disabled)
    assert details.pause.disabled
    assert ">paused at" not in details.about.value


@pytest.mark.anyio
async def test_a_paused_procedure_is_stopped(panel, script):
    pid = await create(panel, script(WAITS))
    await until(panel.details.pause, "disabled", lambda disabled: not disabled)
    panel.details.pause.click()
    await shows(panel.details.about, ">pausing<")
    panel.details.start.click()
    await shows(panel.details.about, ">paused at scan 1<")
    panel.details.stop.click()
    await shows(panel.doing.message, f"Successfully stopped script with ID {pid}")
    await shows(state(panel, pid), "STOPPED")
    await until(panel.procedures.rows[pid].about, "value", lambda html: ">paused at" not in html)


@pytest.mark.anyio
@pytest.mark.parametrize(("button", "abort"), [("stop", True), ("stop_only", False)])
async def test_stop_aborts_unless_its_button_says_otherwise(panel, script, monkeypatch, button, abort):
    asked = []

    async def stop(pid, *, abort):
        asked.append((pid, abort))
        return "Successfully stopped"

    pid = await create(panel, script(FOREVER))
    await until(panel.details.stop, "disabled", lambda disabled: not disabled)
    monkeypatch.setattr(panel.details._session, "stop", stop)
    getattr(panel.details, button).click()
    await shows(panel.doing.message, "Successfully stopped")
    assert asked == [(pid, abort)]
