"""Console: code that guests type into a kernel: its namespace, its events, its interruption."""

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from oet_kernel import topics
from oet_kernel.kernel.journal import CALL

CONSOLE = "console"
"""Name of the call that typed code belongs to."""
_NOTHING = object()


class Console:
    """The guests' part of a kernel.

    Parameters
    ----------
    publish
        Publishes an event: its topic and its fields.
    """

    def __init__(self, publish: Callable[[str, dict[str, Any]], None]) -> None:
        self.controller: str | None = None
        """Name of the guest who has control; None while guests may only look."""
        self._publish = publish
        self._shown: dict[str, Any] = {}
        self._at_work: dict[int, str] = {}
        """Ids of the messages that are being executed, by thread."""
        self._lock = threading.Lock()

    @contextmanager
    def typed(self, code: str, message: dict[str, Any]) -> Iterator[None]:
        """Publish typed code, and attribute its output to the console while it runs.

        Parameters
        ----------
        code
            Typed code; nothing is published where it is blank.
        message
            Request that contains the code.
        """
        thread, msg_id = threading.get_ident(), str(message["header"]["msg_id"])
        if code.strip():
            self._publish(topics.CONSOLE_INPUT, {"who": self.controller, "code": code, "msg_id": msg_id})
        token = CALL.set(CONSOLE)
        self._at_work[thread] = msg_id
        try:
            yield
        finally:
            try:
                with self._lock:  # afterwards no further interrupt is sent
                    self._at_work.pop(thread, None)
            finally:  # an interrupt that was sent before may be raised here
                self._at_work.pop(thread, None)
                CALL.reset(token)

    def answered(self, prompt: str, value: str, secret: bool) -> None:
        """Publish an answer typed at a prompt, for example a debugger's; no-op where no console code asks.

        Parameters
        ----------
        prompt
            Text of the prompt.
        value
            Typed line.
        secret
            True for a password, which is not published.
        """
        msg_id = self._at_work.get(threading.get_ident())
        if msg_id is not None:
            code = "" if secret else value
            fields = {"who": self.controller, "code": code, "msg_id": msg_id, "prompt": prompt}
            self._publish(topics.CONSOLE_INPUT, fields)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in typed code that is being executed; never in the script."""
        with self._lock:
            for thread in self._at_work:
                if thread == threading.main_thread().ident:
                    os.kill(os.getpid(), signal.SIGINT)
                else:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt)
                    )

    def show(self, module: ModuleType | None, names: MutableMapping[str, Any]) -> None:
        """Update the console's namespace with the script's current names.

        A name that was bound in the console keeps its value there; ``script.name = ...`` binds a name of the script.

        Parameters
        ----------
        module
            The script's module, which is bound to `script`; None while it is not loaded.
        names
            The console's namespace, which is updated.
        """
        if module is None:
            return
        names["script"] = module
        now = {name: value for name, value in vars(module).copy().items() if not name.startswith("__")}
        for name, value in now.items():
            if name not in names or names[name] is self._shown.get(name, _NOTHING):
                names[name] = self._shown[name] = value
