"""A handler that a script sets for a signal is called: by its own signal, and by a stop, which ends it all the same."""

import pytest

from tests.parity.both import as_procedure, compare, events_of, write

HEAD = "import asyncio, os, signal, sys, threading, time\n"
HANDLER = "def handle(number, frame): print('handled', signal.Signals(number).name, flush=True)\n"

KILLS = {
    "SIGTERM, set at import": "signal.signal(signal.SIGTERM, handle)\ndef main(): os.kill(os.getpid(), signal.SIGTERM)",
    "SIGINT, set at import": "signal.signal(signal.SIGINT, handle)\ndef main(): os.kill(os.getpid(), signal.SIGINT)",
    "SIGINT, set in init": (
        "def init(): signal.signal(signal.SIGINT, handle)\ndef main(): signal.raise_signal(signal.SIGINT)"
    ),
    "SIGINT, set in main": (
        "def main():\n    signal.signal(signal.SIGINT, handle)\n    os.kill(os.getpid(), signal.SIGINT)"
    ),
    "SIGINT, ignored in init": (
        "def init(): signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "def main(): os.kill(os.getpid(), signal.SIGINT); print('goes on')"
    ),
    "SIGINT, without a handler": (
        "def main():\n    try: os.kill(os.getpid(), signal.SIGINT); time.sleep(5)\n"
        "    except KeyboardInterrupt: print('interrupted')"
    ),
    "SIGINT, in an exit handler": (
        "import atexit\nsignal.signal(signal.SIGINT, handle)\n"
        "def main(): atexit.register(os.kill, os.getpid(), signal.SIGINT)"
    ),
    "SIGTERM, without a handler": "def main(): os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)",
    "SIGUSR1, from a thread": (
        "signal.signal(signal.SIGUSR1, handle)\ndef main():\n"
        "    thread = threading.Thread(target=os.kill, args=[os.getpid(), signal.SIGUSR1])\n"
        "    thread.start(); thread.join()"
    ),
    "SIGALRM, of a timer": (
        "signal.signal(signal.SIGALRM, handle)\ndef main():\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause()"
    ),
    "handlers as they are found": (
        "def init(): print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "def main(): print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, "
        "signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    ),
    "a handler that exits": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "def main(): os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)"
    ),
}


@pytest.mark.parametrize("what", KILLS)
def test_signal_that_a_script_sends_itself(side, tmp_path, what):
    compare(side, tmp_path, HANDLER + KILLS[what], head=HEAD)


WAIT = "    print('waits', flush=True)\n    threading.Event().wait()\n"
STOPS = {
    "SIGTERM": (f"signal.signal(signal.SIGTERM, handle)\ndef main():\n{WAIT}", "handled SIGTERM"),
    "SIGTERM, set in main": (f"def main():\n    signal.signal(signal.SIGTERM, handle)\n{WAIT}", "handled SIGTERM"),
    "SIGTERM, that exits": (
        f"def leave(*_): print('parked'); sys.exit(0)\nsignal.signal(signal.SIGTERM, leave)\ndef main():\n{WAIT}",
        "parked",
    ),
    "SIGTERM, of an event loop": (
        "async def main():\n    done = asyncio.Event()\n"
        "    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)\n"
        "    print('waits', flush=True)\n    await done.wait()\n    print('parked')",
        "parked",
    ),
    "SIGINT": (f"signal.signal(signal.SIGINT, handle)\ndef main():\n{WAIT}", "handled SIGINT"),
    "SIGINT, set in init": (f"def init(): signal.signal(signal.SIGINT, handle)\ndef main():\n{WAIT}", "handled SIGINT"),
    "both": (
        f"for one in (signal.SIGINT, signal.SIGTERM): signal.signal(one, handle)\ndef main():\n{WAIT}",
        "handled SIGTERM",
    ),
    "none": (
        "def main():\n    print('waits', flush=True)\n"
        "    try: threading.Event().wait()\n    finally: print('cleaned up')",
        "cleaned up",
    ),
}


@pytest.mark.parametrize("what", STOPS)
def test_handler_is_called_at_a_stop_which_ends_the_script(side, tmp_path, what):
    text, said = STOPS[what]
    path = write(tmp_path, text, head=HEAD + HANDLER)
    body = {"script": {"script_type": "filesystem", "script_uri": path.as_uri()}}
    pid = int(side.http.post("/procedures", json=body).json()["procedure"]["id"])
    assert side.until(pid, "READY")["state"] == "READY"
    with side.http.stream("GET", "/stream", params={"topic": "procedure.output", "procedure": pid}) as stream:
        lines = stream.iter_lines()
        next(lines)
        side.http.put(f"/procedures/{pid}", json={"state": "RUNNING"}).raise_for_status()
        while "waits" not in next(lines):
            pass
    side.http.put(f"/procedures/{pid}", json={"state": "STOPPED", "abort": False}).raise_for_status()
    assert side.until(pid)["state"] == "STOPPED"
    streams = [event["data"] for event in events_of(side, pid) if event["topic"] == "procedure.output.stream"]
    assert said in "".join(one["text"] for one in streams)


def test_handler_is_not_there_for_the_next_script(side, tmp_path):
    text = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef main(): pass"
    assert as_procedure(side, tmp_path / "a", text, head=HEAD).state == "COMPLETE"
    text = "def main(): print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    assert as_procedure(side, tmp_path / "b", text, head=HEAD).ran.stdout == "True\n"
