"""Pauses and resumes procedures.

A pause holds when the kernel confirms it in its journal, so that the next service knows of it too.
"""

import time
from contextlib import suppress

from oet_kernel import topics
from oet_kernel.bounds import PATTERN_CHARACTERS, OutOfBounds, check_text
from oet_kernel.errors import MalformedRequest, NotPaused, PauseRefused, StoreUnusable
from oet_kernel.models import PauseProcessCommand, ProcedureSummary, ResumeProcessCommand
from oet_kernel.procedure import PausePending, ResumePending
from oet_kernel.protocol import PauseReport
from oet_kernel.service.publisher import EventPublisher
from oet_kernel.service.registry import Registry
from oet_kernel.store.journal import Journal


class Pauses:
    """Pause and resume procedures on request.

    Parameters
    ----------
    registry
        Procedures by id.
    publisher
        Publishes the requests.
    journal
        Stores the answers of kernels.
    """

    def __init__(self, registry: Registry, publisher: EventPublisher, journal: Journal) -> None:
        self._registry = registry
        self._publisher = publisher
        self._journal = journal

    async def pause(self, command: PauseProcessCommand, who: str | None = None) -> ProcedureSummary:
        """Pause a procedure at a checkpoint; a paused one stays paused.

        A new request replaces an earlier one while no checkpoint is reached. A request that the kernel cannot take yet,
        since it has not started or is busy below Python, is accepted as pending.

        Parameters
        ----------
        command
            Procedure, and pattern of the checkpoint.
        who
            Name of the requester.

        Returns
        -------
        ProcedureSummary
            Summary with the pause requested or pending; the checkpoint is reached later.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure, or it is no longer listed.
        MalformedRequest
            When the pattern is too long.
        PauseRefused
            When the procedure has ended, or its kernel cannot pause.
        StoreUnusable
            When the store cannot be written.
        """
        pid = command.process_uid
        execution = self._registry.find(pid)
        _check(command.at)
        if execution.state.inactive or execution.stopping:
            state = execution.state.name if execution.state.inactive else "being stopped"
            raise PauseRefused(f"Cannot pause PID {pid}: the procedure is {state}")
        self._take_command()
        request = self._publisher.request_id()
        self._publisher.request(topics.REQUEST_PAUSE, request, pid, cmd=command)
        kernel = execution.link.taking_requests
        report = None if kernel is None else await execution.link.pausing.pause(kernel, command.at, who)
        if report is None:
            execution.stored.learn(PausePending(time.time(), command.at, who))
        elif report.phase == "refused":
            raise PauseRefused(f"Cannot pause PID {pid}: {report.why}")
        return await self._told(pid)

    async def resume(self, command: ResumeProcessCommand, who: str | None = None) -> ProcedureSummary:
        """Resume a procedure; one that has not reached its checkpoint will not wait there.

        A request that the kernel cannot take yet is accepted as pending.

        Parameters
        ----------
        command
            Procedure to resume.
        who
            Name of the requester.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure, or it is no longer listed.
        NotPaused
            When no pause is requested.
        StoreUnusable
            When the store cannot be written.
        """
        pid = command.process_uid
        execution = self._registry.find(pid)
        if execution.procedure.pause is None or execution.stopping:
            state = "being stopped" if execution.stopping and not execution.state.inactive else execution.state.name
            raise NotPaused(f"Cannot resume PID {pid}: the procedure is {state}, and not paused")
        self._take_command()
        request = self._publisher.request_id()
        self._publisher.request(topics.REQUEST_RESUME, request, pid, cmd=command)
        kernel = execution.link.taking_requests
        if kernel is None:
            execution.link.pausing.hear(PauseReport("resumed", who=who), time.time())
            return await self._told(pid)
        report = await execution.link.pausing.resume(kernel, who)
        if report is None:
            execution.stored.learn(ResumePending(time.time()))
        elif report.phase == "refused":
            raise NotPaused(f"Cannot resume PID {pid}: {report.why}")
        return await self._told(pid)

    def _take_command(self) -> None:
        """Refuse a command that cannot be confirmed, as on a full disk."""
        if self._journal.trouble is not None:
            raise self._journal.trouble

    async def _told(self, pid: int) -> ProcedureSummary:
        with suppress(StoreUnusable):  # the pause holds, and is stored as soon as the store can be written
            await self._journal.settled()
        return self._publisher.summary(self._registry.find(pid).procedure)


def _check(at: str | None) -> None:
    if at is None:
        return
    try:
        check_text(at, "a pattern", PATTERN_CHARACTERS)
    except OutOfBounds as error:
        raise MalformedRequest(f"$.at: {error}") from None
