"""Runs one script both ways: by ``python script.py``, and as a procedure of a service; what it did is compared.

A script has a ``main`` and is told nothing of where it runs. Under plain Python it gets a last line that calls ``init``
and ``main``; as a procedure it is the same file. Either run has a folder of its own, and the script's ``HERE`` is it.
"""

import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import DEADLINE, Server

PRELUDE = "import pathlib; HERE = pathlib.Path(__file__).resolve().parent\n"
CALLS = "\n\nif __name__ == '__main__':\n    'init' in globals() and init()\n    main()\n"
ASYNCIO = """
import asyncio
async def give(value):
    await asyncio.sleep(0)
    return value
"""
"""Beginning of scripts that await."""
_HERE = "<its folder>"
"""Stands in output for the folder of the run, which is another one either way."""
ENDED = ("COMPLETE", "FAILED", "STOPPED", "UNKNOWN")


class Ran(NamedTuple):
    """What a script did."""

    succeeded: bool
    """Exit status 0, or COMPLETE."""
    stdout: str
    stderr: str
    files: dict[str, bytes]
    """What it wrote in its folder."""


class Procedure(NamedTuple):
    """What became of a script that was run as a procedure."""

    ran: Ran
    id: int
    state: str
    stacktrace: str
    summary: dict[str, Any]
    events: list[dict[str, Any]]


def write(
    folder: Path, text: str, name: str = "script.py", files: Mapping[str, str] | None = None, head: str = ""
) -> Path:
    """Write a script, what stands at the head of it first, and the files that lie beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for beside, content in (files or {}).items():
        (folder / beside).write_text(content)
    path = folder / name
    path.write_text(PRELUDE + head + textwrap.dedent(text) + CALLS)
    return path


def written(folder: Path, before: frozenset[str]) -> dict[str, bytes]:
    """Read what was written in a folder, bytecode aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and str(path.relative_to(folder)) not in before
    }


def names(folder: Path) -> frozenset[str]:
    """Name the files of a folder."""
    return frozenset(str(path.relative_to(folder)) for path in folder.rglob("*"))


def plainly(folder: Path, text: str, **options: Any) -> Ran:
    """Run a script by ``python -u script.py``, whose output comes as it is written."""
    path = write(folder, text, **options)
    before = names(folder)
    done = subprocess.run(
        [sys.executable, "-u", str(path)], cwd=folder, capture_output=True, timeout=DEADLINE, stdin=subprocess.DEVNULL
    )
    stdout, stderr = (
        stream.decode(errors="replace").replace(str(folder), _HERE) for stream in (done.stdout, done.stderr)
    )
    return Ran(done.returncode == 0, stdout, stderr, written(folder, before))


def as_procedure(server: Server, folder: Path, text: str, **options: Any) -> Procedure:
    """Run a script as a procedure: create, wait until it is READY, start, wait for its end."""
    path = write(folder, text, **options)
    before = names(folder)
    body = {"script": {"script_type": "filesystem", "script_uri": path.as_uri()}}
    reply = server.http.post("/procedures", json=body)
    assert reply.status_code == 201, reply.text
    pid = int(reply.json()["procedure"]["id"])
    summary = server.until(pid, "READY")
    if summary["state"] == "READY":
        assert server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"}).status_code == 200
        summary = server.until(pid)
    return ended(server, pid, summary, folder, before)


def ended(server: Server, pid: int, summary: dict[str, Any], folder: Path, before: frozenset[str]) -> Procedure:
    """Gather what a procedure that has ended did."""
    events = events_of(server, pid)
    streams = [event["data"] for event in events if event["topic"] == "procedure.output.stream"]
    stdout, stderr = ("".join(e["text"] for e in streams if e["name"] == name) for name in ("stdout", "stderr"))
    stdout, stderr = (text.replace(str(folder), _HERE) for text in (stdout, stderr))
    ran = Ran(summary["state"] == "COMPLETE", stdout, stderr, written(folder, before))
    return Procedure(ran, pid, summary["state"], summary["history"]["stacktrace"] or "", summary, events)


def events_of(server: Server, pid: int) -> list[dict[str, Any]]:
    """Ask for all events of a procedure."""
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = server.http.get(f"/procedures/{pid}/events", params={"after": after}).json()
        found += page["events"]
        after = page["next"]
    return found


def without_pids(text: str) -> str:
    """Take out of a text what Python says of a process: its id is another one in each run."""
    return re.sub(r"\(pid=\d+\)", "(pid=N)", text)


def compare(server: Server, folder: Path, text: str, *, stderr: bool = True, **options: Any) -> tuple[Ran, Procedure]:
    """Run a script both ways, and compare: how it ended, what it printed, what it wrote.

    The traceback of a script that fails is the plain run's standard error and the procedure's stack trace; so standard
    error is compared of scripts that succeed alone, and not where `stderr` says that it holds a child's traceback.
    """
    plain = plainly(folder / "plain", text, **options)
    here = as_procedure(server, folder / "here", text, **options)
    assert here.state in ENDED, f"{here.state}: it does not end"
    assert here.ran.succeeded == plain.succeeded, here.stacktrace or plain.stderr
    assert here.ran.stdout == plain.stdout
    if plain.succeeded and stderr:
        assert without_pids(here.ran.stderr) == without_pids(plain.stderr)
    assert here.ran.files == plain.files
    return plain, here
