"""Uses the client half against a service, in a process from which all is taken that Windows or macOS has not.

Run as ``python -m tests.elsewhere SYSTEM SURFACE FOLDER``, with the service in ``OET_URL`` and ``OET_TOKEN``. Libraries
are imported before, since those installed here are the ones for Linux; what is ours is imported after.
"""

import asyncio
import io
import json
import os
import select
import signal
import socket
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import click
import httpcore  # noqa: F401 - httpx imports it late
import httpx  # noqa: F401
import ipywidgets  # noqa: F401
import jupyter_client  # noqa: F401
import msgspec  # noqa: F401
import platformdirs  # noqa: F401
import tabulate  # noqa: F401
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

AGAIN = """
import time
from oet_kernel.api import checkpoint, publish
def init(**kwargs): pass
def main(**kwargs):
    while True:
        checkpoint("again")
        publish("user.script.announce", msg="once more")
        time.sleep(0.05)
"""
ONCE = "def init(**kwargs): pass\ndef main(*args, **kwargs): print('was here')\n"
WINDOWS = {
    os: "getuid geteuid getgid fork setsid killpg getpgid mkfifo pipe2 pidfd_open uname getpriority PRIO_PROCESS "
    "O_NONBLOCK O_CLOEXEC sched_getaffinity posix_fallocate statvfs register_at_fork getloadavg",
    signal: "SIGKILL SIGHUP SIGWINCH SIGTSTP SIGCONT SIGUSR1 SIGUSR2 SIGCHLD SIGQUIT SIGPIPE pthread_sigmask "
    "pthread_kill pidfd_send_signal",
    select: "poll epoll",
    socket: "AF_UNIX",
}  # fmt: skip
MACOS = {os: "pidfd_open pipe2 sched_getaffinity posix_fallocate", signal: "pidfd_send_signal", select: "epoll"}
MODULES = ("fcntl", "termios", "pwd", "grp", "resource", "pty", "tty", "syslog", "readline")


def take_away(system: str) -> None:
    """Remove what a system has not: modules, functions, signals."""
    pair, unix = socket.socketpair, socket.AF_UNIX
    if hasattr(os, "process_cpu_count"):
        os.process_cpu_count = os.cpu_count  # as it is defined where sched_getaffinity is not
    asyncio.new_event_loop().close()  # Python 3.14 imports what the system needs for it at the first
    for module, names in (WINDOWS if system == "win32" else MACOS).items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    if system == "win32":
        for name in MODULES:
            sys.modules[name] = None
        os.environ["USERNAME"] = "ann"
        # Windows has one of its own, which asyncio wakes itself with
        socket.socketpair = lambda *_: pair(unix)
    sys.platform = system


class Printed(io.BytesIO):
    """Output of a command; ends it, as Ctrl-C does, once it holds a word.

    Parameters
    ----------
    until
        The word; None for a command that ends by itself.
    """

    def __init__(self, until: bytes | None = None) -> None:
        super().__init__()
        self._until = until

    def write(self, data: Any) -> int:
        """Take what is printed."""
        if self._until is not None and self._until in bytes(data):
            self._until = None
            raise KeyboardInterrupt
        return super().write(data)


def oet(*words: str, status: int = 0, until: bytes | None = None) -> str:
    """Run a command line, and check its exit status; what it printed."""
    from oet_kernel.cli.main import main

    printed, ended = Printed(until), 0
    text = io.TextIOWrapper(printed, "utf-8", write_through=True)
    with redirect_stdout(text), redirect_stderr(text):
        try:
            main(words)
        except SystemExit as end:
            ended = int(end.code or 0)
    said = printed.getvalue().decode()
    assert ended == status, (words, ended, said)
    return said


def until(pid: int, name: str) -> None:
    """Wait for a state of a procedure."""
    from oet_kernel.client import Client

    with Client() as client, client.events(["procedure.lifecycle.statechange", "procedure.pause"]) as events:
        if client.procedure(pid).state.name == name:
            return
        next(event for event in events if client.procedure(pid).state.name == name)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """List all commands below a group by their paths."""
    found = set()
    for name, one in group.commands.items():
        found |= commands(one, (*path, name)) if isinstance(one, click.Group) else {(*path, name)}
    return found


def cli(folder: Path) -> None:
    """Use every command."""
    from oet_kernel.cli.main import cli as group

    used = set()

    def use(*words: str, status: int = 0, until: bytes | None = None) -> str:
        used.add(words[: 2 if words[0] in ("procedure", "activity") else 1])
        return oet(*words, status=status, until=until)

    again, once = str(folder / "again.py"), str(folder / "once.py")
    for path in ((), ("procedure",)):
        pid = json.loads(use(*path, "create", again, "--json"))["id"]
        until(pid, "READY")
        assert f"{pid}" in use(*path, "list")
        assert json.loads(use(*path, "start", f"--pid={pid}", "--listen=false", "--json"))["id"] == pid
        use("listen", "--topics=user", status=130, until=b"once more")
        use(*path, "pause", f"--pid={pid}")
        use(*path, "resume", f"--pid={pid}")
        assert "again.py" in use(*path, "describe", f"--pid={pid}")
        assert "To open a console" in use("attach", str(pid))
        assert "stopped" in use(*path, "stop", f"--pid={pid}", "--run_abort=false")
        assert "once more" in use("events", str(pid))
    assert "was here" in use("run", once)
    assert "was here" in use("activity", "run", "observe", "sbd-1")
    assert "observe" in use("activity", "list")
    assert "sbd-1" in use("activity", "describe")
    assert "once.py" in use("history")
    use("record", "-o", str(folder / "record.ipynb"))
    assert "was here" in (folder / "record.ipynb").read_text()
    assert "needs Linux" in use("serve", "--port=0", status=1)
    assert "which needs Linux" in use("doctor", status=1)
    assert commands(group) == used


def client(folder: Path) -> None:
    """Use the client for programs that wait, and its events."""
    from oet_kernel.client import Client

    with Client() as made, made.events() as events:
        pid = made.create(folder / "once.py").id
        until(pid, "READY")
        made.start(pid)
        next(event for event in events if made.procedure(pid).state.name == "COMPLETE")
        assert any("was here" in str(event) for event in made.procedure_events(pid))
        assert b"was here" in made.record(pid, "html")


def async_client(folder: Path) -> None:
    """Use the client for programs that do not wait."""
    from oet_kernel.client import AsyncClient

    async def use() -> None:
        async with AsyncClient() as made, made.events() as events:
            pid = (await made.create(folder / "once.py")).id
            await until_state(made, events, pid, "READY")
            await made.start(pid)
            await until_state(made, events, pid, "COMPLETE")
            assert b"was here" in await made.record(pid)

    asyncio.run(use())


async def until_state(made, events, pid, name):
    """Wait for a state of a procedure, on a stream that is open."""
    while (await made.procedure(pid)).state.name != name:
        await anext(events)


def magics(folder: Path) -> None:
    """Use the magics in an IPython."""
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    shell.run_line_magic("load_ext", "oet_kernel")
    shell.run_cell(f"run = %oet run {(folder / 'once.py').as_uri()}").raise_error()
    assert shell.user_ns["run"].wait(30).state.name == "COMPLETE"
    shell.run_cell("%oet list\n%oet history\n%oet describe").raise_error()
    shell.run_line_magic("unload_ext", "oet_kernel")


def panel(folder: Path) -> None:
    """Use the control panel."""
    from oet_kernel.client import AsyncClient
    from oet_kernel.models import FileSystemScript, ProcedureInput
    from oet_kernel.panel import ControlPanel

    async def use() -> None:
        made = ControlPanel()
        script = FileSystemScript(script_uri=(folder / "once.py").as_uri())
        async with AsyncClient() as listener, listener.events() as events:
            pid = (await made.session.create(script, ProcedureInput())).id
            await until_state(listener, events, pid, "READY")
            await made.session.start(pid, ProcedureInput())
            await until_state(listener, events, pid, "COMPLETE")
        made.close()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    asyncio.run(use())


SURFACES = {"cli": cli, "client": client, "async client": async_client, "magics": magics, "panel": panel}

if __name__ == "__main__":
    where = Path(sys.argv[3])
    (where / "again.py").write_text(AGAIN)
    (where / "once.py").write_text(ONCE)
    take_away(sys.argv[1])
    SURFACES[sys.argv[2]](where)
