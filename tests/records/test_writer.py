"""Records are written while procedures run, seldom, whole, and without a gap."""

import asyncio
import platform

import nbformat
import pytest

from oet_kernel.errors import ResourceNotFound
from oet_kernel.events.bus import EventBus
from oet_kernel.events.event import Event
from oet_kernel.models import ProcedureState, StopProcessCommand
from oet_kernel.records import About
from oet_kernel.records import writer as keeper_module
from oet_kernel.records.writer import INTERVAL, RecordWriter
from oet_kernel.server.assembly import stored_runs
from tests.records.conftest import Script, summary_in

pytestmark = pytest.mark.anyio


class Clock:
    """Calls functions when the test says that it is time."""

    def __init__(self):
        self.now = 0.0
        self.timers = []

    def later(self, delay, function):
        timer = Timer(self.now + delay, function)
        self.timers.append(timer)
        return timer

    def pass_time(self, seconds):
        self.now += seconds
        due = [one for one in self.timers if one.due <= self.now and not one.cancelled]
        self.timers = [one for one in self.timers if one.due > self.now]
        for one in due:
            one.function()


class Timer:
    def __init__(self, due, function):
        self.due, self.function, self.cancelled = due, function, False

    def cancel(self):
        self.cancelled = True


class Runs:
    """A store of events, as a service before this one has left it."""

    def __init__(self):
        self.script = Script()
        self.state = ("CREATING", "RUNNING")
        self.known = True
        self.asked = []

    async def events(self, procedure, after, limit):
        self.asked.append(after)
        return [event for event in self.script.events if event.seq > after][:limit]

    async def summary(self, procedure):
        if procedure != 3 or not self.known:
            raise ResourceNotFound.procedure(procedure)
        return summary_in(*self.state)


class Desk:
    """A keeper, its clock, and what it writes."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.clock, self.runs = folder, Clock(), Runs()
        self.script = self.runs.script
        self.writes = 0
        self.fails = False
        monkeypatch.setattr(keeper_module, "write_whole", self._write)
        self.again()

    def again(self):
        self.keeper = RecordWriter(
            self.folder, self.runs, lambda summary: About(), later=self.clock.later, now=lambda: self.clock.now
        )

    def _write(self, path, data, *, durable):
        self.writes += 1
        if self.fails:
            raise OSError(28, "No space left on device")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    def say(self, text):
        self.script.write(text)
        self.keeper.heard(self.script.events[-1])

    async def pass_time(self, seconds):
        self.clock.pass_time(seconds)
        while tasks := [page.task for page in self.keeper._pages.values() if page.task is not None]:
            await asyncio.wait(tasks)

    @property
    def written(self):
        return text_of((self.folder / "3.ipynb").read_bytes())


def text_of(data):
    notebook = nbformat.reads(data.decode(), as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    return "".join(output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    return Desk(tmp_path / "records", monkeypatch)


async def test_many_events_within_a_second_are_one_write(desk):
    for number in range(500):
        desk.say(f"{number}\n")
        await asyncio.sleep(0)
    assert desk.writes == 0
    await desk.pass_time(INTERVAL)
    assert desk.writes == 1
    assert desk.written.count("\n") == 500


async def test_a_record_grows_and_is_written_once_a_second_at_most(desk):
    for tenth in range(100):
        desk.say(f"{tenth}\n")
        await desk.pass_time(0.1)
    assert 8 <= desk.writes <= 10


async def test_nothing_new_is_no_write(desk):
    desk.say("x\n")
    await desk.pass_time(INTERVAL)
    await desk.pass_time(100)
    assert desk.writes == 1
    assert desk.clock.timers == []


async def test_what_is_said_while_it_is_being_written_is_written_next(desk):
    desk.say("first\n")
    desk.clock.pass_time(INTERVAL)
    desk.say("second\n")
    await desk.pass_time(0)
    await desk.pass_time(1000)
    assert desk.written == "first\nsecond\n"


async def test_events_are_read_once_from_where_the_record_has_got_to(desk):
    desk.say("first\n")
    await desk.pass_time(INTERVAL)
    desk.say("second\n")
    await desk.pass_time(INTERVAL)
    assert sorted(set(desk.runs.asked)) == [0, 1, 2]


async def test_thousands_of_events_are_read_in_pieces(desk):
    for number in range(2500):
        desk.script.write(f"{number}\n")
    assert text_of(await desk.keeper.notebook(3)).count("\n") == 2500
    assert desk.runs.asked == [0, 1000, 2000, 2500]


async def test_whoever_asks_gets_it_as_it_is_now_although_the_file_is_older(desk):
    desk.say("first\n")
    await desk.pass_time(INTERVAL)
    desk.say("second\n")
    assert text_of(await desk.keeper.notebook(3)) == "first\nsecond\n"
    assert desk.written == "first\n"


async def test_asking_at_once_from_many_sides_gives_all_the_same(desk):
    for _ in range(100):
        desk.say("x\n")
    desk.clock.pass_time(INTERVAL)
    replies = await asyncio.gather(*(desk.keeper.notebook(3) for _ in range(10)))
    assert {text_of(reply) for reply in replies} == {"x\n" * 100}


async def test_record_of_a_procedure_that_has_ended_takes_no_memory(desk):
    desk.say("x\n")
    desk.runs.state = ("CREATING", "COMPLETE")
    await desk.pass_time(INTERVAL)
    assert desk.keeper._pages == {}


async def test_what_comes_after_the_end_joins_the_whole_record(desk):
    desk.say("before\n")
    desk.runs.state = ("CREATING", "COMPLETE")
    await desk.pass_time(INTERVAL)
    desk.say("after\n")
    await desk.pass_time(INTERVAL)
    assert desk.written == "before\nafter\n"


async def test_record_is_completed_from_what_is_kept_after_a_crash(desk):
    desk.say("before\n")
    await desk.pass_time(INTERVAL)
    desk.script.write("unheard\n")
    desk.runs.state = ("CREATING", "STOPPED")
    desk.again()
    desk.keeper.revisit([3])
    await desk.pass_time(INTERVAL)
    assert desk.written == "before\nunheard\n"


async def test_end_of_the_service_writes_what_is_not_written(desk):
    desk.say("last\n")
    await desk.keeper.close()
    assert desk.written == "last\n"
    await desk.keeper.close()
    assert desk.writes == 1


async def test_record_outlives_what_is_known_of_the_procedure(desk):
    desk.say("x\n")
    await desk.pass_time(INTERVAL)
    desk.runs.known = False
    desk.again()
    assert text_of(await desk.keeper.notebook(3)) == "x\n"


async def test_what_never_was_is_not_found_and_leaves_nothing(desk):
    with pytest.raises(ResourceNotFound, match="PID=4"):
        await desk.keeper.notebook(4)
    with pytest.raises(ResourceNotFound, match="PID=4"):
        await desk.keeper.html(4)
    desk.keeper.revisit([4])
    await desk.pass_time(INTERVAL)
    assert desk.keeper._pages == {}
    assert not desk.folder.exists()


async def test_disk_that_is_full_is_told_and_the_next_write_makes_good(desk, caplog):
    desk.fails = True
    desk.say("lost?\n")
    await desk.pass_time(INTERVAL)
    assert "record of procedure 3 could not be written" in caplog.text
    desk.fails = False
    desk.say("no\n")
    await desk.pass_time(INTERVAL)
    assert desk.written == "lost?\nno\n"


async def test_events_about_no_procedure_are_no_ones_record(desk):
    bus = EventBus()
    bus.tap(desk.keeper.heard)
    bus.deliver([Event(1, "procedure.pool.list", None, b"{}")])
    assert desk.clock.timers == []


# --- with a service and real kernels


async def test_run_leaves_its_record_without_being_asked(bench, tmp_path):
    kept = RecordWriter(tmp_path / "records", stored_runs(bench.core), lambda summary: About())
    bench.bus.tap(kept.heard)
    summary = await bench.run("print('loading')\ndef main():\n    print('running')\n    1 / 0\n")
    await bench.journal.settled()
    await kept.close()
    notebook = nbformat.read(tmp_path / "records" / f"{summary.id}.ipynb", as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    load, main = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert load.source.startswith("print('loading')")
    assert [one.text for one in load.outputs] == ["loading\n"]
    assert [one.get("text") or one.ename for one in main.outputs] == ["running\n", "ZeroDivisionError"]
    assert f"Python</td><td><code>{platform.python_version()}" in notebook.cells[0].source
    assert notebook.metadata.oet.procedure.state == "FAILED"


PLOT = """
import sys
import numpy
import matplotlib.pyplot as plt
from IPython.display import clear_output, display
from oet_kernel.api import publish

async def main():
    print("dropped")
    clear_output()
    shown = display("old", display_id=True)
    print("é ✓", file=sys.stderr)
    plt.plot(numpy.arange(3))
    plt.show()
    shown.update("new")
    publish("user.script.announce", msg="done")
"""


async def test_plots_updates_and_cleared_output_are_as_in_a_notebook(bench):
    kept = RecordWriter(bench.folder / "records", stored_runs(bench.core), lambda summary: About())
    summary = await bench.run(PLOT)
    assert summary.state is ProcedureState.COMPLETE, summary.history.stacktrace
    notebook = nbformat.reads((await kept.notebook(summary.id)).decode(), as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    main = next(cell for cell in notebook.cells if cell.id == "main")
    assert main.source == "await main()"
    updated, error, figure = main.outputs
    assert updated.data["text/plain"] == "'new'"
    assert (error.name, error.text) == ("stderr", "é ✓\n")
    assert figure.data["image/png"].startswith("iVBOR")
    heading, events = notebook.cells[0].source, notebook.cells[-2].source
    assert "numpy 2" in heading or "numpy 1" in heading
    assert "done" in events
    page = (await kept.html(summary.id)).decode()
    assert figure.data["image/png"][:100] in page.replace("\n", "")


async def test_stopped_run_has_what_it_said_and_that_it_was_stopped(bench):
    kept = RecordWriter(bench.folder / "records", stored_runs(bench.core), lambda summary: About())
    pid = await bench.ready("import time\ndef main():\n    print('working', flush=True)\n    time.sleep(1000)\n")
    await bench.start(pid)
    await bench.until(pid, ProcedureState.RUNNING)
    await bench.service.stop(StopProcessCommand(pid))
    notebook = nbformat.reads((await kept.notebook(pid)).decode(), as_version=nbformat.NO_CONVERT)
    assert "STOPPED" in notebook.cells[0].source
    main = next(cell for cell in notebook.cells if cell.id == "main")
    assert "Stopped" in [one.get("ename") for one in main.outputs]
