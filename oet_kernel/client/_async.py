"""The client for asyncio programs; the same as the other, with ``await``."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from oet_kernel.client import _wire
from oet_kernel.client._wire import Event, Request
from oet_kernel.events.sse import Decoder, Message
from oet_kernel.models import (
    ActivityCommand,
    ActivitySummary,
    ProcedureInput,
    ProcedureSummary,
    Script,
    ScriptList,
    ScriptSchema,
)


class AsyncClient:
    """Talks to a service.

    Parameters
    ----------
    url
        API root; without it ``OET_URL``, or the newest service of this user on this machine.
    token
        Its token; without it ``OET_TOKEN``, or what the service on this machine has left for its user.
    timeout
        Seconds that a reply may take; a stop with abort waits for the abort script to get ready.
    """

    def __init__(self, url: str | None = None, token: str | None = None, timeout: float = 90.0) -> None:
        self.address = _wire.find_address(url, token)
        self._http = httpx.AsyncClient(headers=self.address.headers, timeout=timeout, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def create(self, script: Script | str | Path, init: ProcedureInput | None = None) -> ProcedureSummary:
        """Prepare a script; does not wait until it is READY.

        Parameters
        ----------
        script
            A script, its URI, or the path of a file.
        init
            What its ``init`` is called with.

        Raises
        ------
        ApiError, ConnectionFailed
            When the service refuses, or is not there; as for every method.
        """
        return _wire.read_procedure(await self._send(_wire.create(script, init)))

    async def start(self, pid: int, main: ProcedureInput | None = None) -> ProcedureSummary:
        """Run ``main`` of a procedure that is READY."""
        return _wire.read_procedure(await self._send(_wire.start(pid, main)))

    async def stop(self, pid: int, *, abort: bool = False) -> str:
        """End a procedure, and run the abort script if asked to; gives the service's message."""
        return _wire.read_stopped(await self._send(_wire.stop(pid, abort)))

    async def procedure(self, pid: int) -> ProcedureSummary:
        """Describe a procedure."""
        return _wire.read_procedure(await self._send(Request("GET", f"/procedures/{pid}")))

    async def procedures(self) -> list[ProcedureSummary]:
        """List procedures, in order of creation."""
        return _wire.read_procedures(await self._send(Request("GET", "/procedures")))

    async def scripts(self) -> ScriptList:
        """List the scripts in the folders of the service."""
        return _wire.read_scripts(await self._send(Request("GET", "/scripts")))

    async def schema(self, script: str | Path) -> ScriptSchema:
        """Say what a script takes, given its URI or the path of a file."""
        return _wire.read_schema(await self._send(_wire.schema(script)))

    async def record(self, pid: int, format: str = "ipynb") -> bytes:  # noqa: A002 - the API's own name
        """Get the record of a procedure as it is now, as a file: ``ipynb`` or ``html``."""
        return await self._send(_wire.record(pid, format))

    async def run_activity(self, command: ActivityCommand) -> ActivitySummary:
        """Do what a scheduling block says."""
        return _wire.read_activity(await self._send(_wire.run_activity(command)))

    async def activity(self, number: int) -> ActivitySummary:
        """Describe an activity."""
        return _wire.read_activity(await self._send(Request("GET", f"/activities/{number}")))

    async def activities(self) -> list[ActivitySummary]:
        """List activities, in order of creation."""
        return _wire.read_activities(await self._send(Request("GET", "/activities")))

    async def health(self) -> dict[str, Any]:
        """Ask whether the service is well."""
        return _wire.read_health(await self._send(Request("GET", "/health")))

    @asynccontextmanager
    async def events(
        self, topics: tuple[str, ...] = (), exclude: tuple[str, ...] = (), procedure: int | None = None
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """Listen; when the context is entered, the service knows it, and no event from then on is missed.

        Parameters
        ----------
        topics, exclude
            Topics or beginnings of topics that are wanted, and that are not.
        procedure
            Only events about this procedure.

        Raises
        ------
        ConnectionFailed
            When there is no service.
        StreamEnded
            While iterating: when the service goes away, or has cut this listener off since it was too slow.
        """
        timeout = httpx.Timeout(10.0, read=_wire.SILENCE)
        query = _wire.stream_query(topics, exclude, procedure)
        async with AsyncExitStack() as stack:
            try:
                reply = await stack.enter_async_context(
                    self._http.stream("GET", f"{self.address.url}/stream", params=query, timeout=timeout)
                )
                if reply.status_code != 200:
                    raise _wire.error_of(reply.status_code, reply.reason_phrase, await reply.aread())
                chunks = reply.aiter_bytes()
                first = await anext(chunks, b"")
            except (httpx.TransportError, httpx.InvalidURL) as error:
                raise _wire.unreachable(self.address, str(error)) from None
            yield self._events(first, chunks)

    async def _events(self, first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[Event]:
        decoder = Decoder()
        messages: list[Message] = decoder.feed(first)
        while True:
            for message in messages:
                if (event := _wire.event_of(message)) is not None:
                    yield event
            try:
                chunk = await anext(chunks, None)
            except httpx.ReadTimeout:
                raise _wire.broken_off(self.address, f"not a byte for {_wire.SILENCE:g} s") from None
            except httpx.TransportError as error:
                raise _wire.broken_off(self.address, str(error)) from None
            if chunk is None:
                raise _wire.broken_off(self.address, "the service closed it")
            messages = decoder.feed(chunk)

    async def _send(self, request: Request) -> bytes:
        url = f"{self.address.url}{request.path}"
        headers = {"Content-Type": "application/json"} if request.body else {}
        try:
            reply = await self._http.request(request.method, url, content=request.body, headers=headers)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise _wire.unreachable(self.address, str(error)) from None
        if not reply.is_success:
            raise _wire.error_of(reply.status_code, reply.reason_phrase, reply.content)
        return reply.content
