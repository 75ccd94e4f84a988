"""Session: state shared by the magics of one notebook: service, background thread, folder for cells."""

import atexit
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from itertools import takewhile
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell

from oet_kernel.cli.embedded import embedded_service
from oet_kernel.cli.options import explain
from oet_kernel.cli.printing import Printer, print_json, say
from oet_kernel.cli.results import Answer, Attaching, Following, Listening, Result, Said
from oet_kernel.cli.terminal import NO_SERVICE, listen, show, tell
from oet_kernel.client import Client, ClientError, Event
from oet_kernel.magics.background import Background
from oet_kernel.magics.cells import default_folder
from oet_kernel.magics.handle import ProcedureHandle
from oet_kernel.magics.listener import EventListener
from oet_kernel.magics.printer import NotebookPrinter
from oet_kernel.magics.shown import Shown, Told

_NAMED_BY = ("OET_URL", "OET_TOKEN", "OET_CA", "OET_REST_URI")


class Interrupted(Exception):
    """An interrupt has ended a wait; the following cells must not run."""


class Session:
    """Session of one notebook with a service.

    The service is named in the environment of the kernel (``OET_URL``, ``OET_TOKEN``), where the clients and the
    ``oet`` of a shell escape find it too.

    Parameters
    ----------
    shell
        Shell in which results are shown.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._background: Background | None = None
        self._embedded = ExitStack()
        self._own: tuple[str, str] | None = None
        """API root and token of the embedded service; None before its start."""
        self._before: dict[str, str | None] | None = None
        """Environment variables before this session named a service; None while it names none."""
        self.cells: Path = default_folder()
        atexit.register(self.close)

    def connect(self, url: str | None, token: str | None, ca: str | None = None) -> str:
        """Use this service from now on, or without `url` the one that the command line finds; return its API root.

        Raises
        ------
        ClientError
            When the service does not answer; then no service is named any more.
        """
        self._disconnect()
        return self._name(url, token, ca)

    def embed(self) -> str:
        """Use an embedded service, which ends with this kernel; start it at the first call, and return its API root."""
        self._disconnect()
        if self._own is not None:
            with suppress(ClientError):
                return self._name(*self._own)
            self._embedded.close()  # the service has ended by itself
        self._own = self._embedded.enter_context(embedded_service())
        return self._name(*self._own)

    def present(self, result: Result, wait: bool) -> Shown | None:
        """Show a result in the cell; lasting work goes on in the background.

        Parameters
        ----------
        result
            Result of a command.
        wait
            Whether the cell waits for the end, and shows events as a terminal does.
        """
        match result:
            case None:
                return None
            case Attaching():  # a console in a notebook would wait for input
                return self.present(result.answer, wait)
            case Answer(as_json=True):
                show(result)
                return None
            case Answer():
                told = Told(self._shell, result)
                told.show()
                return told
            case Following():
                return self._follow(result, wait)
            case Said():
                tell(result)
                return None
            case Listening() if wait:
                try:
                    listen(result)
                except KeyboardInterrupt:
                    raise Interrupted("Listening was interrupted") from None
                return None
            case Listening():
                listener = EventListener(self._shell, result)
                listener.begin(self._hearing().start)
                listener.show()
                return listener

    def close(self) -> None:
        """Stop following, and end an embedded service."""
        atexit.unregister(self.close)
        if self._background is not None:
            self._background.close()
            self._background = None
        self._disconnect()
        self._embedded.close()

    def _follow(self, following: Following, wait: bool) -> ProcedureHandle | None:
        if following.embedded:
            say(NO_SERVICE.format("that ends with this kernel"), err=True)
            self.embed()
        handle = ProcedureHandle(self._shell, following, pictures=not wait)
        events = handle.hear() if wait else None
        handle.begin(self._hearing().start)
        if not following.as_json:
            handle.show()
        if events is not None:
            heard = takewhile(handle.lasts, iter(events.get, None))
            if handle.changes:  # otherwise the terminal shows lines that rewrite themselves
                with closing(NotebookPrinter(self._shell, following.as_json)) as printer:
                    self._stay(handle, heard, printer, following.run_abort)
            else:
                self._stay(handle, heard, Printer(following.as_json), following.run_abort)
        if following.as_json:
            print_json(handle.summary)
            return None
        return handle

    def _stay(self, handle: ProcedureHandle, events: Iterator[Event], printer: Printer, run_abort: bool) -> None:
        """Print events until the end; an interrupt stops the procedure, a second one ends the wait."""
        try:
            _print(events, printer)
        except KeyboardInterrupt:
            printer.line(f"[stopping procedure {handle.id}; interrupt again to leave it]", err=True)
            try:
                try:
                    printer.line(handle.stop(run_abort), err=True)
                except ClientError as error:
                    printer.line(explain(error), err=True)
                _print(events, printer)
            except KeyboardInterrupt:
                raise Interrupted(f"Procedure {handle.id} was left as it is: {handle.state.name}") from None
            told = f"The wait for procedure {handle.id} was interrupted; it is {handle.state.name}"
            raise Interrupted(told) from None
        if not (handle.changes or printer.as_json):
            printer.line(repr(handle))

    def _hearing(self) -> Background:
        if self._background is None:
            self._background = Background()
        return self._background

    def _name(self, url: str | None, token: str | None, ca: str | None = None) -> str:
        """Name the service in the environment, if it answers; return its API root."""
        with Client(url, token, ca=ca) as client:
            client.procedures()  # unlike a health check, this tests the token too
            address = client.address
        self._before = {name: os.environ.get(name) for name in _NAMED_BY}
        os.environ["OET_URL"] = address.url
        for name, value in (("OET_TOKEN", address.token), ("OET_CA", address.ca)):
            os.environ.pop(name, None)
            if value:
                os.environ[name] = value
        return address.url

    def _disconnect(self) -> None:
        for name, value in (self._before or {}).items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        self._before = None


def _print(events: Iterator[Event], printer: Printer) -> None:
    for event in events:
        printer.event(event)
