"""Kernels on another machine, in memory: they run the scripts of tests, outlive the service, and can be cut off.

A script runs in the event loop of the test: its `init` and `main` become coroutines that wait where the script sleeps
or comes to a checkpoint. It may print, publish, raise, sleep, and end its process; whatever else the script of a test
does needs a real kernel.
"""

import ast
import asyncio
import fnmatch
import hashlib
import itertools
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec

from oet_kernel.protocol import (
    ABILITIES,
    EVENT,
    CallReport,
    ControlReport,
    ControlRequest,
    Hello,
    Idle,
    PauseReport,
    PauseRequest,
    PrepareRequest,
    Record,
    Request,
    RunRequest,
)

_KILLED: list[Any] = []
"""Coroutines of killed scripts, which must not go on, not even to clean up."""


class _Died(BaseException):
    """The script ends its process."""


class _Wait:
    """Where a script waits."""

    def __init__(self, seconds: float = 0, checkpoint: str | None = None) -> None:
        self.seconds = seconds
        self.checkpoint = checkpoint

    def __await__(self):
        return (yield self)


class _Waiting(ast.NodeTransformer):
    """Makes coroutines of a script's functions."""

    def visit_FunctionDef(self, node):
        if node.name not in ("init", "main"):
            return node
        return self.generic_visit(ast.AsyncFunctionDef(**{name: getattr(node, name) for name in node._fields}))

    def visit_ImportFrom(self, node):
        return ast.Pass() if node.module == "oet_kernel.api" else node

    def visit_Call(self, node):
        called = ast.unparse(node.func)
        if called == "os._exit":
            return ast.Call(ast.Name("_exit", ast.Load()), node.args, [])
        if called in ("time.sleep", "checkpoint"):
            return ast.Await(ast.Call(ast.Name(called.replace(".", "_"), ast.Load()), node.args, []))
        return self.generic_visit(node)


class FarKernel:
    """Process of a kernel on another machine, with its journal."""

    def __init__(self, abilities: tuple[str, ...]) -> None:
        self.journal: list[Record] = []
        self.status: int | None = None
        """Exit code, or minus the number of a signal; None while it runs."""
        self.ended_at: float | None = None
        self.ended = asyncio.Event()
        self.at_rest = asyncio.Event()
        """Set once main has ended."""
        self.bells: list[asyncio.Event] = []
        """Rung by each record, and at the end."""
        self.asked: list[Request] = []
        """Requests that arrived."""
        self._numbers = itertools.count(1)
        self._namespace: dict[str, Any] = {}
        self._procedure = 0
        self._done: set[str] = set()
        self._steps: list[tuple[str, Any]] = []
        self._request = ""
        self._call: str | None = None
        self._coroutine: Any = None
        self._wait: _Wait | None = None
        self._pause: PauseRequest | None = None
        self._closed = ""
        self._message("oet_kernel", Hello(protocol=1, can=abilities))

    # --- what it is asked for

    def take(self, request: Request) -> None:
        """Handle a request."""
        self.asked.append(request)
        if self.status is not None:
            return
        match request:
            case PrepareRequest() if "prepare" not in self._done:
                self._done.add("prepare")
                self._procedure = request.procedure
                self._soon(self._prepare, request)
            case RunRequest() if "run" not in self._done:
                self._done.add("run")
                self._soon(self._begin, "run", [("main", request.main)])
            case ControlRequest():
                self._message("oet_control", ControlReport(request.who, request.taken))
            case PauseRequest():
                self._take_pause(request)

    def interrupt(self) -> None:
        """Interrupt the script where it waits, as SIGINT does."""
        if self._wait is not None:
            self._step(KeyboardInterrupt())

    def shut_down(self) -> None:
        """End the process by itself."""
        self.end(0)

    def end(self, status: int) -> None:
        """End the process whatever it does."""
        if self.status is None:
            _KILLED.append(self._coroutine)
            self._coroutine = self._wait = None
            self.status, self.ended_at = status, time.time()
            self.ended.set()
            self.ring()

    # --- what it says

    def say(self, kind: str, content: bytes) -> None:
        """Write a record to the journal."""
        record = Record(next(self._numbers), time.time(), kind, self._call, msgspec.Raw(content))
        self.journal.append(record)
        self.ring()

    def ring(self) -> None:
        """Wake the readers of the journal."""
        for bell in self.bells:
            bell.set()

    def _message(self, kind: str, message: Any) -> None:
        self.say(kind, msgspec.json.encode(message))

    def _report(self, call: str, phase: str, **fields: Any) -> None:
        self._message("oet_call", CallReport(call, phase, **fields))

    def _print(self, *values: Any, end: str = "\n", **_: Any) -> None:
        self._message("stream", {"name": "stdout", "text": " ".join(map(str, values)) + end})

    def _publish(self, topic: str, **fields: Any) -> None:
        self._message(EVENT, {"msg_src": str(self._procedure), "topic": topic, **fields})

    # --- what it does

    def _soon(self, work: Any, *args: Any) -> None:
        asyncio.get_running_loop().call_soon(lambda: self.status is None and work(*args))

    def _prepare(self, request: PrepareRequest) -> None:
        self._call = "load"
        self._report("load", "started")
        try:
            source = Path(request.path).read_text()
            tree = ast.fix_missing_locations(_Waiting().visit(ast.parse(source, request.path)))
            self._namespace = {
                "__name__": "script", "print": self._print, "publish": self._publish, "_exit": self._die,
                "time_sleep": _Wait, "checkpoint": lambda name: _Wait(checkpoint=name),
            }  # fmt: skip
            exec(compile(tree, request.path, "exec"), self._namespace)
            has_init = "init" in self._namespace
            if not has_init:
                self._has_main(request.path)
        except Exception:
            self._report("load", "failed", stacktrace=traceback.format_exc(), quiet=True)
            self._message("oet_idle", Idle("prepare"))
            return
        sha256 = hashlib.sha256(source.encode()).hexdigest()
        self._report("load", "finished", has_init=has_init, source_sha256=sha256)
        self._path = request.path
        self._begin("prepare", [("init", request.init)] if has_init else [])

    def _has_main(self, path: str) -> None:
        if "main" not in self._namespace:
            raise AttributeError(f"{path} has no function main()")

    def _die(self, status: int) -> None:
        raise _Died(status)

    def _begin(self, request: str, steps: list[tuple[str, Any]]) -> None:
        self._request, self._steps = request, steps
        if not steps:
            self._message("oet_idle", Idle(request))
            return
        self._call, arguments = steps.pop()
        self._report(self._call, "started")
        try:
            self._coroutine = self._namespace[self._call](*arguments.args, **arguments.kwargs)
        except Exception:
            self._failed()
        else:
            self._step()

    def _step(self, error: BaseException | None = None) -> None:
        """Run the script to its next wait."""
        self._wait = None
        coroutine = self._coroutine
        try:
            wait = coroutine.send(None) if error is None else coroutine.throw(error)
            while wait.checkpoint is not None and not self._pauses_at(wait.checkpoint):
                wait = coroutine.send(None)
        except StopIteration:
            self._finished()
        except _Died as died:
            self.end(died.args[0])
        except BaseException:
            self._failed()
        else:
            self._wait = wait
            if wait.checkpoint is None and wait.seconds < 100:
                self._soon(lambda: self._wait is wait and self._step())

    def _finished(self) -> None:
        call = self._call or ""
        try:
            self._has_main(self._path)
        except AttributeError:
            self._failed()
            return
        if call == "main":
            self._miss("main has ended")
        self._report(call, "finished")
        self._rest()

    def _failed(self) -> None:
        self._miss(f"{self._call} has ended")
        self._report(self._call or "", "failed", stacktrace=traceback.format_exc(), quiet=True)
        self._rest()

    def _rest(self) -> None:
        self._message("oet_idle", Idle(self._request))
        if self._request == "run":
            self.at_rest.set()

    # --- pauses

    def _take_pause(self, request: PauseRequest) -> None:
        waits = self._wait is not None and self._wait.checkpoint
        match request.action:
            case "pause" if self._closed:
                self._pause_report("refused", why=self._closed, answers=request.id)
            case "pause" if waits:
                self._pause_report("paused", checkpoint=waits, answers=request.id)
            case "pause":
                self._pause = request
                self._pause_report("pausing", at=request.at, who=request.who, answers=request.id)
            case "resume" if self._pause is None:
                self._pause_report("refused", why="the procedure is not paused", answers=request.id)
            case "resume":
                self._pause = None
                self._pause_report("resumed", checkpoint=waits or None, who=request.who, answers=request.id)
                if waits:
                    self._soon(self._step)
            case "stop":
                self._pause, self._closed = None, "it is being stopped"
                self._pause_report("stopping", answers=request.id)

    def _pauses_at(self, checkpoint: str) -> bool:
        if self._pause is None or not fnmatch.fnmatchcase(checkpoint, self._pause.at or "*"):
            return False
        self._pause_report("paused", checkpoint=checkpoint)
        return True

    def _miss(self, why: str) -> None:
        if self._pause is not None:
            self._pause_report("missed", why=why)
        self._pause, self._closed = None, self._closed or why

    def _pause_report(self, phase: Any, **fields: Any) -> None:
        self._message("oet_pause", PauseReport(phase, **fields))


class FarHost:
    """Another machine: its kernels by address, and the way to it, which can be cut."""

    name = "far.example"

    def __init__(self) -> None:
        self.kernels: dict[str, FarKernel] = {}
        self.abilities = ABILITIES
        """Abilities of the kernels that are started from now on."""
        self.stuck = False
        """True if its kernels outlive SIGKILL."""
        self._addresses = itertools.count(1)
        self._reachable = asyncio.Event()
        self._reachable.set()
        self._held: list[tuple[str, Request]] = []

    def address(self) -> str:
        """Give an address that no kernel has had."""
        return f"kernel-{next(self._addresses)}"

    def start(self, address: str) -> FarKernel:
        """Start a kernel."""
        made = self.kernels[address] = FarKernel(self.abilities)
        return made

    @property
    def cut(self) -> bool:
        """True while the machine cannot be reached."""
        return not self._reachable.is_set()

    def cut_off(self) -> None:
        """Cut the way to the machine; its kernels go on."""
        self._reachable.clear()

    def restore(self) -> None:
        """Mend the way to the machine; requests that were held arrive."""
        self._reachable.set()
        held, self._held = self._held, []
        for address, request in held:
            self.send(address, request)

    async def reachable(self) -> None:
        """Wait until the machine can be reached."""
        await self._reachable.wait()

    def send(self, address: str, request: Request) -> None:
        """Send a request, or hold it until the machine can be reached."""
        if self.cut:
            self._held.append((address, request))
        elif address in self.kernels:
            self.kernels[address].take(request)
