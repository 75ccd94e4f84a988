"""Runner of a script inside the kernel: loads it, calls its functions, delivers events to it."""

import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from oet_kernel import api, topics
from oet_kernel.kernel.calls import call
from oet_kernel.kernel.checkpoints import Checkpoints
from oet_kernel.kernel.deprecations import show_as_main
from oet_kernel.kernel.encoding import encode_event
from oet_kernel.kernel.exit_work import drop_modules
from oet_kernel.kernel.iopub import Publisher
from oet_kernel.kernel.loader import load, open_script
from oet_kernel.kernel.plain import PlainProgram
from oet_kernel.kernel.program import Program, ScriptProgram
from oet_kernel.kernel.provenance import environment_facts, script_facts, source_text
from oet_kernel.kernel.pubsub_bridge import PubSubBridge
from oet_kernel.kernel.returned import describe
from oet_kernel.kernel.script_loop import ScriptLoop
from oet_kernel.kernel.steps import Steps
from oet_kernel.models import ProcedureInput
from oet_kernel.protocol import (
    EVENT,
    KERNEL_EVENT,
    Changes,
    EventRequest,
    Idle,
    PauseReport,
    PrepareRequest,
    RunRequest,
    Subscription,
)
from oet_kernel.scripts.notebook import SUFFIX
from oet_kernel.scripts.signature.plain import is_plain


class Opening(NamedTuple):
    """Path, arguments and callbacks for opening a notebook."""

    path: Path
    kernel: str | None
    """Kernelspec for the cells; None for the one that the notebook names."""
    init: ProcedureInput
    """Arguments of ``init``."""
    call: Callable[[Callable[..., Any], ProcedureInput], Any]
    """Calls a function, and returns its result."""
    await_: Callable[[Coroutine[Any, Any, Any]], Any]
    """Runs a coroutine."""
    publish: Callable[[str, Mapping[str, Any]], None]
    """Publishes an event of the script."""
    tell: Callable[[str, Mapping[str, Any]], None]
    """Publishes an event of the kernel's own."""
    loading: Callable[[str, dict[str, Any]], None]
    """Called with the Python source and the facts, before any cell runs."""
    checkpoint: Callable[[str], None]
    """Called at a checkpoint; waits there while a pause is requested."""


class Runner:
    """One script in one kernel, from its loading to the end of its ``main``.

    After a restart the service repeats requests that may not have arrived: a second request to prepare, or to run, is a
    repetition of the first, and has no effect.

    Parameters
    ----------
    publisher
        Publishes the script's events and the outcome of each call.
    after_call
        Called after each function of the script, in the main thread: shows figures that are still open.
    open_notebook
        Creates a program from a notebook, and runs the cells that belong to its loading.
    """

    def __init__(
        self, publisher: Publisher, after_call: Callable[[], None], open_notebook: "Callable[[Opening], Program]"
    ) -> None:
        self._publisher = publisher
        self._open_notebook = open_notebook
        self._program: Program | None = None
        self._name = ""
        self._source = self._sha256 = ""
        self._loop = ScriptLoop()
        self._bridge = PubSubBridge(self.publish, self._subscribed)
        self._deliveries: queue.SimpleQueue[EventRequest] | None = None
        self._asked: set[str] = set()
        self.checkpoints = Checkpoints(self._say_pause)
        """Checkpoints of the script, where it waits while a pause is requested."""
        self._steps = Steps(
            publisher, self._loop, self.checkpoints, after_call, lambda: self.module, self._describe_environment
        )
        self.idle = threading.Event()
        """Set while no function of the script runs."""
        self.idle.set()

    @property
    def name(self) -> str:
        """Id of the procedure, as text; empty before its script is prepared."""
        return self._name

    @property
    def module(self) -> ModuleType | None:
        """The script's module; None before it is loaded, and for a notebook, whose names are the shell's own."""
        return self._program.module if isinstance(self._program, ScriptProgram | PlainProgram) else None

    def publish(self, topic: str, fields: Mapping[str, Any]) -> None:
        """Publish an event of the script.

        Parameters
        ----------
        topic
            Dotted words.
        fields
            The event's own fields.

        Raises
        ------
        TypeError
            When a field has no JSON form; the message names it.
        OutOfBounds
            When the topic or the event exceeds a bound.
        """
        self._publisher.send(EVENT, encode_event(topic, self._name, fields))

    def tell(self, topic: str, fields: Mapping[str, Any]) -> None:
        """Publish an event of the kernel's own, under a topic that scripts cannot publish on.

        Parameters
        ----------
        topic
            One of `oet_kernel.topics.KERNEL`.
        fields
            The event's own fields.
        """
        self._publisher.send(KERNEL_EVENT, encode_event(topic, self._name, fields))

    def prepare(self, request: PrepareRequest) -> None:
        """Load the script and call its ``init``, if it has one."""
        if self._first("prepare"):
            with self._busy("prepare"):
                self._prepare(request)

    def _prepare(self, request: PrepareRequest) -> None:
        self._name = str(request.procedure)
        self._steps.expect(request.exit_seconds)
        threading.main_thread().name = self._name
        api.connect(self.publish, self.checkpoints)
        self._bridge.install(self._name)
        if self._steps.run("load", lambda: self._load(Path(request.path), request)):
            program = self._loaded()
            if program.has_init:
                self._steps.run("init", lambda: program.init(request.init))
        if not self._steps.over:
            self._describe_environment()  # slow, so only after READY

    def _describe_environment(self) -> None:
        self.tell(topics.ENVIRONMENT_DESCRIBED, environment_facts(self._source))

    def run(self, request: RunRequest) -> None:
        """Call ``main``."""
        if self._first("run"):
            with self._busy("run"):
                self._steps.run("main", lambda: self._main(request.main))

    def _loaded(self) -> Program:
        if self._program is None:
            raise RuntimeError("no script is loaded")
        return self._program

    def _first(self, request: str) -> bool:
        first = request not in self._asked
        self._asked.add(request)
        return first

    @contextmanager
    def _busy(self, request: str) -> Iterator[None]:
        self.idle.clear()
        try:
            yield
        finally:
            self.idle.set()
            with suppress(OSError):  # the outcome was reported already
                self._publisher.say(Idle(request))

    def deliver(self, request: EventRequest) -> None:
        """Deliver an event of another component to the script's own listeners, in a separate thread."""
        if self._deliveries is None:
            self._deliveries = queue.SimpleQueue()
            threading.Thread(target=self._deliver_all, name="oet-events", daemon=True).start()
        self._deliveries.put(request)

    def _deliver_all(self) -> None:
        assert self._deliveries is not None
        while True:
            event = self._deliveries.get()
            if self._steps.over:
                return  # the script's names may be gone
            self._bridge.deliver(event.topic, event.fields)

    def _subscribed(self, topic: str) -> None:
        self._publisher.say(Subscription(topic))

    def _load(self, path: Path, request: PrepareRequest) -> dict[str, Any]:
        _follow(request.changes)
        if request.own_folder:
            with suppress(FileNotFoundError):  # then the script is missing too, which is reported
                os.chdir(path.parent)
        elif request.working_folder is not None:
            os.chdir(request.working_folder)
        if path.suffix == SUFFIX:
            opening = Opening(
                path,
                request.kernel,
                request.init,
                self.call,
                self._loop.run,
                self.publish,
                self.tell,
                self._loading,
                self.checkpoints.wait,
            )
            self._program = self._open_notebook(opening)
        else:
            loader = open_script(path)
            plain = is_plain(loader.source)
            show_as_main("__main__" if plain else loader.name, lambda: not self._steps.has_threads)
            self._loading(source_text(loader.source), {**script_facts(path, loader.source), "plain": plain})
            self._program = PlainProgram(loader, request.init) if plain else ScriptProgram(load(loader), self.call)
        if self._program.unpausable:  # before a client learns that it is loaded, and requests a pause
            self.checkpoints.close(self._program.unpausable)
        return {"has_init": self._program.has_init, "source_sha256": self._sha256}

    def _loading(self, source: str, facts: dict[str, Any]) -> None:
        """Publish the facts about the script that is about to run."""
        self._source, self._sha256 = source, facts["sha256"]
        self.tell(topics.SCRIPT_LOADED, facts)

    def call(self, function: Callable[..., Any], arguments: ProcedureInput) -> Any:
        """Call ``init`` or ``main``, and return its result."""
        return call(self._publisher.call or "main", function, arguments, self._loop.run)

    def _main(self, arguments: ProcedureInput) -> dict[str, Any]:
        returned = describe(self._loaded().main(arguments))
        return {} if returned is None else {"returned": returned}

    def leave(self) -> None:
        """Run the exit work of a script that has not ended, since the process ends."""
        self._steps.leave()

    def drop_modules(self, before: Collection[str]) -> None:
        """Drop the names of the modules that the script has imported, unless a thread of it still runs.

        Parameters
        ----------
        before
            Names of the modules that were imported before the script.
        """
        if not self._steps.has_threads:
            drop_modules(before)

    def _say_pause(self, report: PauseReport, insist: bool) -> None:
        self._publisher.say(report, insist=insist)


def _follow(changes: Changes) -> None:
    for name, value in changes.environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    time.tzset()
    if changes.folder is not None:
        os.chdir(changes.folder)
