"""Console: what guests type into a kernel: what they see of the script, what is told of it, how it is interrupted."""

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
"""The call that what is typed belongs to."""
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
        """Who has taken control; None while guests may only look."""
        self._publish = publish
        self._shown: dict[str, Any] = {}
        self._at_work: dict[int, str] = {}
        """Messages that are being carried out, by the thread that does."""
        self._lock = threading.Lock()

    @contextmanager
    def typed(self, code: str, message: dict[str, Any]) -> Iterator[None]:
        """Publish typed code, and attribute its output to the console while it runs.

        Parameters
        ----------
        code
            The text; where it is blank, nothing is told.
        message
            The request that it came by.
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
                with self._lock:  # an interrupt is on its way, or finds nothing any more
                    self._at_work.pop(thread, None)
            finally:  # one that was on its way may be raised here
                self._at_work.pop(thread, None)
                CALL.reset(token)

    def answered(self, prompt: str, value: str, secret: bool) -> None:
        """Publish an answer typed at a prompt, for example a debugger's; no-op where no console code asks.

        Parameters
        ----------
        prompt
            What stood in front of it.
        value
            The line.
        secret
            True for a password, which is told to nobody.
        """
        msg_id = self._at_work.get(threading.get_ident())
        if msg_id is not None:
            code = "" if secret else value
            fields = {"who": self.controller, "code": code, "msg_id": msg_id, "prompt": prompt}
            self._publish(topics.CONSOLE_INPUT, fields)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in whatever was typed and is carried out now; never in the script."""
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

        A name that was bound in the console stays the console's; ``script.name = ...`` binds one of the script's.

        Parameters
        ----------
        module
            The script, which becomes `script`; None while it is not loaded.
        names
            The console's own.
        """
        if module is None:
            return
        names["script"] = module
        now = {name: value for name, value in vars(module).copy().items() if not name.startswith("__")}
        for name, value in now.items():
            if name not in names or names[name] is self._shown.get(name, _NOTHING):
                names[name] = self._shown[name] = value
