"""The client for programs that wait; generated from ``_async.py`` by ``scripts/generate-client``."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from oet_kernel.client import _failures, _replies, _requests
from oet_kernel.client._address import find_address
from oet_kernel.client._event import Event
from oet_kernel.client._listening import RESUME, Listening
from oet_kernel.client._requests import Request
from oet_kernel.client._sync_io import find_again, preceded, sleep
from oet_kernel.client._trust import Trust
from oet_kernel.client.errors import ApiError, ConnectionFailed
from oet_kernel.client.tracking import has_reached
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


# Long because it is a facade: one method for each command, most of them a line between `_requests` and `_replies`.
class Client:
    """Client of a service.

    Parameters
    ----------
    url
        API root; without it ``OET_URL``, or the service of this user on this machine, of which there must be one.
    token
        Token of the service; without it ``OET_TOKEN``, or that in the discovery file of the service on this machine.
    timeout
        Timeout of a reply in seconds; a stop with abort waits for the abort script to become ready.
    user
        Name of the requester, for a service that does not know its users by name; None for the system's user and host.
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
        """Create a procedure from a script, without waiting until it is READY.

        The script runs in the working folder of this process if the service was found on this machine and the script
        names no other folder.

        Parameters
        ----------
        script
            Script, its URI, or the path of a file.
        init
            Arguments of its ``init``; None for no arguments.
        main
            Arguments of its ``main``, if known: invalid ones are refused before ``init`` is called. They must be given
            again with the start.

        Raises
        ------
        ApiError, ConnectionFailed
            When the service refuses the request, or is not reached; as for every method.
        """
        return _replies.read_procedure(self._send(_requests.create(script, init, main, self.address)))

    def start(self, pid: int, main: ProcedureInput | None = None) -> ProcedureSummary:
        """Start ``main`` of a procedure that is READY."""
        return _replies.read_procedure(self._send(_requests.start(pid, main)))

    def stop(self, pid: int, *, abort: bool = True) -> str:
        """Stop a procedure, and run the abort script on its subarray unless `abort` is False; return the message."""
        return _replies.read_stopped(self._send(_requests.stop(pid, abort)))

    def pause(self, pid: int, at: str | None = None) -> ProcedureSummary:
        """Pause a procedure at a checkpoint, without waiting until it gets there.

        Parameters
        ----------
        pid
            Id of the procedure.
        at
            Pattern of the checkpoint's whole name, as for file names: ``scan *``; None for the next checkpoint.
        """
        return _replies.read_procedure(self._send(_requests.pause(pid, at)))

    def resume(self, pid: int) -> ProcedureSummary:
        """Resume a procedure that is paused, or withdraw a requested pause."""
        return _replies.read_procedure(self._send(Request("POST", f"/procedures/{pid}/resume")))

    def procedure(self, pid: int) -> ProcedureSummary:
        """Return the summary of a procedure."""
        return _replies.read_procedure(self._send(Request("GET", f"/procedures/{pid}")))

    def procedures(self) -> list[ProcedureSummary]:
        """Return the summaries of procedures, in order of creation."""
        return _replies.read_procedures(self._send(Request("GET", "/procedures")))

    def scripts(self) -> ScriptList:
        """Return the scripts in the folders of the service."""
        return _replies.read_scripts(self._send(Request("GET", "/scripts")))

    def schema(self, script: str | Path) -> ScriptSchema:
        """Return the schemas of a script's arguments, given its URI or the path of a file."""
        return _replies.read_schema(self._send(_requests.schema(script)))

    def record(self, pid: int, format: str = "ipynb") -> bytes:  # noqa: A002 - the API's own name
        """Return the present record of a procedure as the content of a file: ``ipynb`` or ``html``."""
        return self._send(_requests.record(pid, format))

    def kernel(self, pid: int) -> KernelInfo:
        """Return the connection by which a Jupyter client attaches to the kernel of a procedure."""
        return _replies.read_kernel(self._send(Request("GET", f"/procedures/{pid}/kernel")))

    def control(self, pid: int, taken: bool = True) -> KernelInfo:
        """Acquire control of the kernel of a procedure, so that attached clients may type, or release it.

        Parameters
        ----------
        pid
            Id of the procedure.
        taken
            True to acquire control; False to release it.
        """
        return _replies.read_kernel(self._send(_requests.control(pid, taken)))

    def run_activity(self, command: ActivityCommand) -> ActivitySummary:
        """Run an activity of a scheduling block."""
        return _replies.read_activity(self._send(_requests.run_activity(command)))

    def activity(self, number: int) -> ActivitySummary:
        """Return the summary of an activity."""
        return _replies.read_activity(self._send(Request("GET", f"/activities/{number}")))

    def activities(self) -> list[ActivitySummary]:
        """Return the summaries of activities, in order of creation."""
        return _replies.read_activities(self._send(Request("GET", "/activities")))

    def health(self) -> dict[str, Any]:
        """Return the health of the service."""
        return _replies.read_health(self._send(Request("GET", "/health")))

    def archive(
        self,
        states: Sequence[ProcedureState] = (),
        script: str | None = None,
        subarray: int | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int | None = None,
    ) -> Iterator[ProcedureSummary]:
        """Iterate over all procedures that ever were, the newest first, except those that retention has removed.

        Parameters
        ----------
        states
            States to include; empty for all.
        script
            Text in the URI of the script; None for all.
        subarray
            Id of the subarray; None for all.
        since, until
            Bounds of the time of creation in Unix seconds: `since` included, `until` excluded; None for no bound.
        limit
            Maximum number of procedures, from 1; None for all.
        """
        before: int | None = None
        left = limit
        while True:
            size = _requests.PAGE if left is None else min(left, _requests.PAGE)
            request = _requests.archive(states, script, subarray, since, until, before, size)
            page, before = _replies.read_archive(self._send(request))
            for one in page:
                yield one
            left = None if left is None else left - len(page)
            if before is None or left == 0:
                return

    def find(self, pid: int) -> ProcedureSummary:
        """Return the summary of a procedure, from the archive if it is not listed any more."""
        try:
            return self.procedure(pid)
        except ApiError as error:
            if error.type != "ResourceNotFound":
                raise
            try:
                page = self._send(_requests.archive((), None, None, None, None, pid + 1, 1))
            except ApiError:  # a service of the original has no archive
                raise error from None
            if (found := _replies.read_found(page, pid)) is None:
                raise
            return found

    def wait(self, pid: int, *states: ProcedureState) -> ProcedureSummary:
        """Wait until a procedure is in one of these states, or has passed through one; without states, until its end.

        Parameters
        ----------
        pid
            Id of the procedure.
        states
            States to wait for; none for the end.

        Raises
        ------
        ProcedureEnded
            When the procedure has ended in none of these states; the message holds the script's own error.
        StreamEnded
            When the connection to the service broke and was not restored in time.
        """
        with self.events((STATECHANGE,), procedure=pid, notices=True) as events:
            summary = self.find(pid)
            known = len(summary.history.process_states) - 1
            while not has_reached(summary, states, known):
                next(events)
                summary = self.find(pid)
        return summary

    def procedure_events(
        self, pid: int, after: int = 0, topics: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Iterator[Event]:
        """Iterate over the past events of a procedure, with their times; the procedure need not be listed any more.

        Parameters
        ----------
        pid
            Id of the procedure.
        after
            Id of the event after which to begin.
        topics, exclude
            Topics or beginnings of topics to include, and to exclude.
        """
        begin: int | None = after
        while begin is not None:
            page, begin = _replies.read_events(self._send(_requests.procedure_events(pid, begin, topics, exclude)))
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
        """Subscribe to events; once the context is entered, no event is missed.

        When the stream breaks, because of a restart of the service, a network failure, or a slow listener, it is
        resumed where it stopped: each event is delivered once, and in order.

        Parameters
        ----------
        topics, exclude
            Topics or beginnings of topics to include, and to exclude.
        procedure
            Id of the only procedure whose events are wanted; None for all events.
        after
            Id of the event after which to begin; 0 for all stored events, None for new events only.
        resume
            Seconds to wait for a service that cannot be reached; 0 to end at the first break.
        notices
            Whether to yield notices about the connection among the events, whatever the topics: `AWAY` when the service
            cannot be reached, `BACK` when it can again, `LOST` when missed events are not available. A notice is an
            event without id.

        Raises
        ------
        ConnectionFailed
            When the service is not reached.
        StreamEnded
            While iterating: when the stream breaks and cannot be resumed in time.
        EventsLost
            While iterating, without `notices`: when missed events are not available, because the service has removed
            them, has another state folder now, or is a service of the original, which keeps no events.
        """
        listening = Listening(_requests.stream_query(topics, exclude, procedure), after, resume, notices)
        with ExitStack() as connection:
            yield self._hear(listening, connection, self._listen(listening, connection))

    def _listen(self, listening: Listening, connection: ExitStack) -> Iterator[bytes]:
        """Connect to the stream; the service has registered this listener when this returns."""
        timeout = httpx.Timeout(10.0, read=_requests.SILENCE)
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
                raise _failures.error_of(reply.status_code, reply.reason_phrase, reply.read(), self.address.url)
            chunks = reply.iter_bytes()
            return preceded(next(chunks, b""), chunks)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise _failures.not_reached(self.address, error) from None

    def _hear(self, listening: Listening, connection: ExitStack, chunks: Iterator[bytes]) -> Iterator[Event]:
        while True:
            try:
                for chunk in chunks:
                    for event in listening.feed(chunk):
                        yield event
                why = "the service closed the stream"
            except httpx.TransportError as error:
                why = _failures.reason(error)
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
            self.address = found  # the service has restarted
            reply = self._ask(request)
        return _replies.read(reply, request, self.address)

    def _ask(self, request: Request) -> httpx.Response:
        self._trust.prepare(self.address.url)
        try:
            return self._http.request(request.method, **_requests.arguments(self.address, request))
        except httpx.ConnectError as error:
            if (found := find_again(self.address)) == self.address:
                raise _failures.not_reached(self.address, error) from None
            self.address = found
            return self._ask(request)  # the request has not reached a service yet
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise _failures.not_reached(self.address, error) from None
