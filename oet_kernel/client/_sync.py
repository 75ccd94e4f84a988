"""The client for programs that wait; generated from ``_async.py`` by ``scripts/generate-client``."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from oet_kernel.client import _wire
from oet_kernel.client._address import find_address
from oet_kernel.client._listening import RESUME, Listening
from oet_kernel.client._sync_io import find_again, preceded, sleep
from oet_kernel.client._trust import Trust
from oet_kernel.client._wire import Event, Request
from oet_kernel.client.errors import ApiError, ConnectionFailed
from oet_kernel.models import (
    ActivityCommand,
    ActivitySummary,
    KernelInfo,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    Script,
    ScriptList,
    ScriptSchema,
)
from oet_kernel.topics import STATECHANGE


class Client:
    """Talks to a service.

    Parameters
    ----------
    url
        API root; without it ``OET_URL``, or the service of this user on this machine, of which there must be one.
    token
        Its token; without it ``OET_TOKEN``, or what the service on this machine has left for its user.
    timeout
        Seconds that a reply may take; a stop with abort waits for the abort script to get ready.
    user
        Who asks, for a service that does not know its users by name; the system's user and host when None.
    ca
        PEM file of the authority that has issued the service's certificate; without it ``OET_CA``, ``SSL_CERT_FILE``,
        ``SSL_CERT_DIR``, or the authorities that this machine trusts.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        timeout: float = 90.0,
        *,
        user: str | None = None,
        ca: str | Path | None = None,
    ) -> None:
        self.address = find_address(url, token, user, ca)
        self._trust = Trust(self.address.ca)
        self._http = httpx.Client(timeout=timeout, trust_env=False, verify=self._trust.context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create(
        self, script: Script | str | Path, init: ProcedureInput | None = None, main: ProcedureInput | None = None
    ) -> ProcedureSummary:
        """Prepare a script; does not wait until it is READY.

        It runs in the working folder of this process where the service was found on this machine, and the script names
        no other.

        Parameters
        ----------
        script
            A script, its URI, or the path of a file.
        init
            What its ``init`` is called with.
        main
            What its ``main`` is to be called with, where that is known: refused before ``init`` is called where it
            cannot fit. It is given again with the start.

        Raises
        ------
        ApiError, ConnectionFailed
            When the service refuses, or is not there; as for every method.
        """
        return _wire.read_procedure(self._send(_wire.create(script, init, main, self.address)))

    def start(self, pid: int, main: ProcedureInput | None = None) -> ProcedureSummary:
        """Run ``main`` of a procedure that is READY."""
        return _wire.read_procedure(self._send(_wire.start(pid, main)))

    def stop(self, pid: int, *, abort: bool = True) -> str:
        """End a procedure, and run the abort script on its subarray unless told not to; gives the service's message."""
        return _wire.read_stopped(self._send(_wire.stop(pid, abort)))

    def pause(self, pid: int, at: str | None = None) -> ProcedureSummary:
        """Have a procedure wait at a checkpoint; does not wait until it is there.

        Parameters
        ----------
        pid
            Id of the procedure.
        at
            Pattern of the checkpoint's whole name, as of file names: ``scan *``; None for the next one.
        """
        return _wire.read_procedure(self._send(_wire.pause(pid, at)))

    def resume(self, pid: int) -> ProcedureSummary:
        """Let a procedure go on that is paused, or is to be."""
        return _wire.read_procedure(self._send(Request("POST", f"/procedures/{pid}/resume")))

    def procedure(self, pid: int) -> ProcedureSummary:
        """Describe a procedure."""
        return _wire.read_procedure(self._send(Request("GET", f"/procedures/{pid}")))

    def procedures(self) -> list[ProcedureSummary]:
        """List procedures, in order of creation."""
        return _wire.read_procedures(self._send(Request("GET", "/procedures")))

    def scripts(self) -> ScriptList:
        """List the scripts in the folders of the service."""
        return _wire.read_scripts(self._send(Request("GET", "/scripts")))

    def schema(self, script: str | Path) -> ScriptSchema:
        """Say what a script takes, given its URI or the path of a file."""
        return _wire.read_schema(self._send(_wire.schema(script)))

    def record(self, pid: int, format: str = "ipynb") -> bytes:  # noqa: A002 - the API's own name
        """Get the record of a procedure as it is now, as a file: ``ipynb`` or ``html``."""
        return self._send(_wire.record(pid, format))

    def kernel(self, pid: int) -> KernelInfo:
        """Ask how a Jupyter client attaches to the kernel of a procedure."""
        return _wire.read_kernel(self._send(Request("GET", f"/procedures/{pid}/kernel")))

    def control(self, pid: int, taken: bool = True) -> KernelInfo:
        """Take control of the kernel of a procedure, so that attached clients may type, or give it back.

        Parameters
        ----------
        pid
            Id of the procedure.
        taken
            False to give it back.
        """
        return _wire.read_kernel(self._send(_wire.control(pid, taken)))

    def run_activity(self, command: ActivityCommand) -> ActivitySummary:
        """Do what a scheduling block says."""
        return _wire.read_activity(self._send(_wire.run_activity(command)))

    def activity(self, number: int) -> ActivitySummary:
        """Describe an activity."""
        return _wire.read_activity(self._send(Request("GET", f"/activities/{number}")))

    def activities(self) -> list[ActivitySummary]:
        """List activities, in order of creation."""
        return _wire.read_activities(self._send(Request("GET", "/activities")))

    def health(self) -> dict[str, Any]:
        """Ask whether the service is well."""
        return _wire.read_health(self._send(Request("GET", "/health")))

    def archive(
        self,
        states: Sequence[ProcedureState] = (),
        script: str | None = None,
        subarray: int | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int | None = None,
    ) -> Iterator[ProcedureSummary]:
        """Give all procedures that ever were, the newest first, but for those that retention has removed.

        Parameters
        ----------
        states
            In any of these states; in any at all when empty.
        script
            With this in the URI of the script.
        subarray
            On this subarray.
        since, until
            Created at this time or later, and before this time, Unix seconds.
        limit
            How many at most, from 1; None for all.
        """
        before: int | None = None
        left = limit
        while True:
            size = _wire.PAGE if left is None else min(left, _wire.PAGE)
            request = _wire.archive(states, script, subarray, since, until, before, size)
            page, before = _wire.read_archive(self._send(request))
            for one in page:
                yield one
            left = None if left is None else left - len(page)
            if before is None or left == 0:
                return

    def find(self, pid: int) -> ProcedureSummary:
        """Describe a procedure, from the archive where it is not listed any more."""
        try:
            return self.procedure(pid)
        except ApiError as error:
            if error.type != "ResourceNotFound":
                raise
            try:
                page = self._send(_wire.archive((), None, None, None, None, pid + 1, 1))
            except ApiError:  # an original service has no archive
                raise error from None
            if (found := _wire.read_found(page, pid)) is None:
                raise
            return found

    def wait(self, pid: int, *states: ProcedureState) -> ProcedureSummary:
        """Wait until a procedure is, or was meanwhile, in one of these states; without any, for its end.

        Parameters
        ----------
        pid
            Id of the procedure.
        states
            What to wait for.

        Raises
        ------
        ProcedureEnded
            When it has ended in none of these states; the message holds the script's own error.
        StreamEnded
            When the service went away, and has not come back.
        """
        with self.events((STATECHANGE,), procedure=pid, notices=True) as events:
            summary = self.find(pid)
            known = len(summary.history.process_states) - 1
            while not _wire.has_reached(summary, states, known):
                next(events)
                summary = self.find(pid)
        return summary

    def procedure_events(
        self, pid: int, after: int = 0, topics: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Iterator[Event]:
        """Give the events of a procedure up to now, with their times; also of one that is not listed any more.

        Parameters
        ----------
        pid
            Id of the procedure.
        after
            Id of the event behind which to begin.
        topics, exclude
            Topics or beginnings of topics that are wanted, and that are not.
        """
        begin: int | None = after
        while begin is not None:
            page, begin = _wire.read_events(self._send(_wire.procedure_events(pid, begin, topics, exclude)))
            for one in page:
                yield one

    @contextmanager
    def events(
        self,
        topics: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        procedure: int | None = None,
        *,
        after: int | None = None,
        resume: float = RESUME,
        notices: bool = False,
    ) -> Iterator[Iterator[Event]]:
        """Listen; when the context is entered, the service knows it, and no event from then on is missed.

        When the stream breaks, since the service was started anew, the network failed, or this listener was too slow,
        it is taken up again where it stopped: each event is given once, and in order.

        Parameters
        ----------
        topics, exclude
            Topics or beginnings of topics that are wanted, and that are not.
        procedure
            Only events about this procedure.
        after
            Id of the event behind which to begin, 0 for all that the service has; without it with what happens next.
        resume
            Seconds for which a service that went away is waited for; 0 to end with the first break.
        notices
            Whether to give, among the events and whichever topics are wanted, what becomes of the connection: `AWAY`
            and `BACK` when the service cannot be reached and when it can again, `LOST` when what was missed cannot be
            had. A notice is an event without id.

        Raises
        ------
        ConnectionFailed
            When there is no service.
        StreamEnded
            While iterating: when the stream breaks, and cannot be taken up in time.
        EventsLost
            While iterating, without `notices`: when what was missed cannot be had, since the service has removed it,
            has another state folder now, or is an original one, which keeps no events.
        """
        listening = Listening(_wire.stream_query(topics, exclude, procedure), after, resume, notices)
        with ExitStack() as connection:
            yield self._hear(listening, connection, self._listen(listening, connection))

    def _listen(self, listening: Listening, connection: ExitStack) -> Iterator[bytes]:
        """Connect; the service has this listener when this returns."""
        timeout = httpx.Timeout(10.0, read=_wire.SILENCE)
        self._trust.prepare(self.address.url)
        try:
            reply = connection.enter_context(
                self._http.stream(
                    "GET",
                    f"{self.address.url}/stream",
                    params=listening.query,
                    headers={**self.address.headers, **listening.headers},
                    timeout=timeout,
                )
            )
            if reply.status_code != 200:
                raise _wire.error_of(reply.status_code, reply.reason_phrase, reply.read(), self.address.url)
            chunks = reply.iter_bytes()
            return preceded(next(chunks, b""), chunks)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise _wire.not_reached(self.address, error) from None

    def _hear(self, listening: Listening, connection: ExitStack, chunks: Iterator[bytes]) -> Iterator[Event]:
        while True:
            try:
                for chunk in chunks:
                    for event in listening.feed(chunk):
                        yield event
                why = "the service closed it"
            except httpx.TransportError as error:
                why = _wire.reason(error)
            connected = False
            while not connected:
                connection.close()
                pause, notices = listening.broke(self.address, why)
                for notice in notices:
                    yield notice
                sleep(pause)
                self.address = find_again(self.address)
                try:
                    chunks = self._listen(listening, connection)
                    connected = True
                except ConnectionFailed as error:
                    why = str(error)
                except ApiError as error:
                    why = listening.refused(error, self.address.found_token)
            for notice in listening.connected():
                yield notice

    def _send(self, request: Request) -> bytes:
        reply = self._ask(request)
        if reply.status_code == 403 and (found := find_again(self.address)) != self.address:
            self.address = found  # the service was started anew
            reply = self._ask(request)
        return _wire.read(reply, request, self.address)

    def _ask(self, request: Request) -> httpx.Response:
        self._trust.prepare(self.address.url)
        try:
            return self._http.request(request.method, **_wire.arguments(self.address, request))
        except httpx.ConnectError as error:
            if (found := find_again(self.address)) == self.address:
                raise _wire.not_reached(self.address, error) from None
            self.address = found
            return self._ask(request)  # which has not reached anybody yet
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise _wire.not_reached(self.address, error) from None
