"""What waits at a checkpoint is what was asked to, and what is told of it is so."""

import asyncio
import fcntl
import fnmatch
import os
import re
import signal
import threading
import warnings

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oet_kernel.kernel.checkpoints import Checkpoints, _MainGate
from oet_kernel.kernel.journal import CALL
from oet_kernel.models import FileSystemScript, ProcedureInput
from oet_kernel.procedure import PauseAsked, Paused, PauseEnded, apply, create
from oet_kernel.protocol import PauseReport, PauseRequest
from tests.growth import assert_linear


class Told(list):
    """What was announced, in order."""

    def __call__(self, report, insist):
        self.append(report)

    @property
    def phases(self):
        return [report.phase for report in self]


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def checkpoints(told):
    return Checkpoints(told)


def ask(checkpoints, action="pause", at=None):
    checkpoints.take(PauseRequest("r", action, at))


def believed(reports):
    """Give the pause that the service takes from what it was told."""
    procedure = create(1, FileSystemScript(script_uri="file:///x.py"), ProcedureInput(), 0.0)
    for at, report in enumerate(reports):
        match report.phase:
            case "pausing":
                procedure = apply(procedure, PauseAsked(at, report.at))
            case "paused":
                procedure = apply(procedure, Paused(at, report.checkpoint))
            case "resumed" | "missed":
                procedure = apply(procedure, PauseEnded(at))
    return procedure.pause


NAMES = st.sampled_from(["a", "b", "ab", "scan 1"])
STEPS = st.one_of(
    st.tuples(st.just("pause"), st.sampled_from([None, "a", "a*", "scan [0-9]", "nothing"])),
    st.tuples(st.just("resume"), st.none()),
    st.tuples(st.just("reach"), NAMES),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_what_waits_and_what_the_service_believes_follow_from_what_was_done(steps):
    async def check():
        told = Told()
        checkpoints = Checkpoints(told)
        pattern, asked, waiting = None, False, {}
        for step, value in steps:
            match step:
                case "pause":
                    ask(checkpoints, at=value)
                    if not waiting:
                        pattern, asked = value, True
                case "resume":
                    ask(checkpoints, "resume")
                    assert (told[-1].phase == "refused") is not asked
                    for one in waiting:
                        await one
                    asked, waiting = False, {}
                case "reach":
                    one = asyncio.ensure_future(checkpoints.wait_async(value))
                    await asyncio.sleep(0)
                    if asked and (pattern is None or fnmatch.fnmatchcase(value, pattern)):
                        waiting[one] = value
                    else:
                        assert one.done()
                case "cancel" if value < len(waiting):
                    one = list(waiting)[value]
                    one.cancel()
                    await asyncio.wait([one])
                    del waiting[one]
            assert not any(one.done() for one in waiting)
            pause = believed(told)
            assert (pause is not None) is asked
            if pause is not None:
                assert pause.checkpoint == next(iter(waiting.values()), None)
                assert pause.at == pattern
        for one in waiting:
            one.cancel()
            await asyncio.wait([one])

    asyncio.run(check())


def test_a_thread_waits_until_it_is_resumed(checkpoints, told):
    ask(checkpoints)
    paused = threading.Event()
    checkpoints._say = lambda report, insist: (told.append(report), report.phase == "paused" and paused.set())
    thread = threading.Thread(target=checkpoints.wait, args=["here"])
    thread.start()
    assert paused.wait(20)
    assert thread.is_alive()
    ask(checkpoints, "resume")
    thread.join(20)
    assert told == [
        PauseReport("pausing", answers="r"),
        PauseReport("paused", checkpoint="here"),
        PauseReport("resumed", checkpoint="here", answers="r"),
    ]


@pytest.mark.parametrize("end", [lambda one: ask(one, "stop"), lambda one: one.close("main has ended")])
def test_a_thread_that_waits_at_the_end_is_interrupted(checkpoints, told, end):
    ask(checkpoints)
    raised = []

    def work():
        try:
            checkpoints.wait("here")
        except KeyboardInterrupt as error:
            raised.append(str(error))

    paused = threading.Event()
    checkpoints._say = lambda report, insist: (told.append(report), report.phase == "paused" and paused.set())
    thread = threading.Thread(target=work)
    thread.start()
    assert paused.wait(20)
    end(checkpoints)
    thread.join(20)
    assert raised == ["the procedure ended during its pause at here"]


def test_after_the_end_nothing_waits_and_no_pause_is_taken(checkpoints, told):
    ask(checkpoints)
    checkpoints.close("main has ended")
    checkpoints.wait("here")
    ask(checkpoints)
    ask(checkpoints, "resume")
    checkpoints.close("load has ended")
    assert told == [
        PauseReport("pausing", answers="r"),
        PauseReport("missed", why="main has ended"),
        PauseReport("refused", why="main has ended", answers="r"),
        PauseReport("refused", why="the procedure is not paused", answers="r"),
    ]


def test_a_pattern_that_is_too_long_is_refused_and_keeps_the_pause_that_there_is(checkpoints, told):
    ask(checkpoints, at="a" * 500)
    ask(checkpoints, at="a|" * 251)
    assert told.phases == ["pausing", "refused"]
    assert told[-1].why == "a pattern of 502 characters is too long; 500 are allowed"
    assert believed(told).at == "a" * 500


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("scan *", ["scan ", "scan 4", "scan 4 of 5"], ["scan", "a scan 4", "Scan 4"]),
        ("scan ?", ["scan 4"], ["scan ", "scan 44"]),
        ("scan [2-9]", ["scan 2", "scan 9"], ["scan 1", "scan 22"]),
        ("scan [!2-9]", ["scan 1"], ["scan 2"]),
        ("*4*", ["4", "scan 4 of 5"], ["scan 5"]),
        ("(a+)+$", ["(a+)+$"], ["aaaa"]),
        ("a.c", ["a.c"], ["abc"]),
        ("[[a--b&&c||d~~e]", ["[", "&", "~"], ["x", "[["]),
        ("[a", ["[a"], ["a"]),
        ("[b-a]", [], ["a", "b", "[b-a]"]),
        ("", [], ["a"]),
        ("é*", ["été", "é"], ["e"]),
    ],
)
def test_names_are_matched_as_those_of_files(checkpoints, told, pattern, names, others):
    re.purge()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as a script may have it
        ask(checkpoints, at=pattern)
    assert [checkpoints._pause.concerns(name) for name in (*names, *others)] == [True] * len(names) + [False] * len(
        others
    )
    assert told[-1] == PauseReport("pausing", at=pattern, answers="r")


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "*a" * 166 + "*b",
        "*" * 499 + "b",
        "*" + "a" * 400 + "b",
        "?*" * 200 + "b",
        "[!b]*" * 99 + "b",
        "*a?" * 160 + "b",
    ],
)
def test_no_pattern_takes_more_than_time_linear_in_a_name(checkpoints, pattern):
    ask(checkpoints, at=pattern)
    assert_linear(checkpoints._pause.concerns, lambda size: "a" * size + "!")


def test_a_request_that_cannot_be_told_changes_nothing(checkpoints):
    def full(report, insist):
        raise OSError(28, "No space left on device")

    checkpoints._say = full
    with pytest.raises(OSError, match="No space"):
        ask(checkpoints)
    checkpoints.wait("here")


def test_what_is_typed_in_a_console_does_not_wait(checkpoints, told):
    ask(checkpoints)
    token = CALL.set("console")
    try:
        checkpoints.wait("here")
    finally:
        CALL.reset(token)
    assert told.phases == ["pausing"]


def test_reports_are_one_line_of_json():
    assert (
        msgspec.json.encode(PauseReport("paused", checkpoint="scan 1")) == b'{"phase":"paused","checkpoint":"scan 1"}'
    )


@pytest.fixture
def heeded():
    """Have SIGUSR1 heeded, and nothing come of it."""
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("heeded")
def test_a_signal_while_the_main_thread_is_held_goes_on_to_who_listened_before():
    end, bell = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(bell)
    try:
        with _MainGate() as gate:
            signal.raise_signal(signal.SIGUSR1)
            threading.Thread(target=gate.open).start()
            gate.pass_through()
        assert os.read(end, 100) == bytes([signal.SIGUSR1])
        assert signal.set_wakeup_fd(-1) == bell
    finally:
        signal.set_wakeup_fd(-1)
        os.close(end)
        os.close(bell)


@pytest.mark.usefixtures("heeded")
def test_a_signal_while_the_gate_is_being_opened_does_not_let_the_main_thread_leave_first(monkeypatch):
    read, write, main, woken = os.read, os.write, threading.main_thread().ident, threading.Semaphore(0)

    def read_and_tell(fd, size):
        data = read(fd, size)
        woken.release()
        return data

    def write_late(fd, data):
        for _ in range(3):  # it looks each time, and leaves only for what is written
            signal.pthread_kill(main, signal.SIGUSR1)
            assert woken.acquire(timeout=60)
        late.append(write(fd, data))

    late = []
    monkeypatch.setattr(os, "read", read_and_tell)
    monkeypatch.setattr(os, "write", write_late)
    with _MainGate() as gate:
        opening = threading.Thread(target=gate.open)
        opening.start()
        gate.pass_through()
    opening.join(20)
    assert late == [1]


def test_what_comes_late_to_one_gate_does_not_open_the_next_nor_reach_another_file(monkeypatch):
    monkeypatch.setattr(_MainGate, "_pipes", [])
    with _MainGate() as late:
        late.open()
        late.pass_through()
    late.open()
    opened = os.pipe2(os.O_NONBLOCK)
    with _MainGate() as gate:
        assert not gate._rung
        threading.Thread(target=gate.open).start()
        gate.pass_through()
    assert len(_MainGate._pipes) == 1
    with pytest.raises(BlockingIOError):
        os.read(opened[0], 1)
    for fd in (*opened, *_MainGate._pipes[0]):
        os.close(fd)


def test_signals_that_the_listener_has_no_room_for_are_no_failure():
    end, bell = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        fcntl.fcntl(bell, fcntl.F_SETPIPE_SZ, 4096)
        os.write(bell, bytes(4096))
        with _MainGate() as gate:
            signal.raise_signal(signal.SIGUSR1)
            gate.open()
            gate.pass_through()
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.set_wakeup_fd(-1)
        os.close(end)
        os.close(bell)


def test_an_interrupt_leaves_the_main_thread_as_it_was(checkpoints, told):
    def interrupt(report, insist):
        told.append(report)
        if report.phase == "paused":
            signal.raise_signal(signal.SIGINT)

    ask(checkpoints)
    checkpoints._say = interrupt
    before = signal.signal(signal.SIGINT, lambda *_: None)  # as asyncio's, which does not raise
    try:
        with pytest.raises(KeyboardInterrupt):
            checkpoints.wait("here")
        assert signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, before)
    finally:
        signal.signal(signal.SIGINT, before)
    assert told.phases == ["pausing", "paused", "pausing"], "the pause holds for the next checkpoint"
