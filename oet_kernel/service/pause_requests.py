"""Pause requests to one kernel, its reports, and the facts and events that follow from them."""

import asyncio
from collections import deque
from uuid import uuid4

from oet_kernel import topics
from oet_kernel.bounds import OutOfBounds
from oet_kernel.events.mapping import Announcement, announce
from oet_kernel.kernel_manager.session import KernelSession
from oet_kernel.models import Pause
from oet_kernel.procedure import Fact, PauseAsked, Paused, PauseEnded
from oet_kernel.protocol import PauseReport, PauseRequest
from oet_kernel.service.stored_procedure import StoredProcedure

_SECONDS = 5.0
"""Seconds for a kernel to answer on its control channel, which it does while the script runs."""
_SECONDS_OF_STOP = 0.5
"""The same before a stop, which goes on with or without an answer."""
_ENDED = "its kernel has ended"
_TOO_OLD = (
    "its kernel was started by an older version of the service and does not support pauses; stop the procedure, or "
    "wait for its end"
)


class KernelPause:
    """Pause requests to one kernel, and its answers.

    Parameters
    ----------
    stored
        Procedure of the kernel, whose pause the reports change.
    """

    def __init__(self, stored: StoredProcedure) -> None:
        self._stored = stored
        self._asked: deque[str] = deque(maxlen=100)
        self._answers: dict[str, asyncio.Future[PauseReport]] = {}

    async def pause(self, kernel: KernelSession, at: str | None, who: str | None) -> PauseReport | None:
        """Send the request to wait at a checkpoint.

        Parameters
        ----------
        kernel
            Kernel of the script.
        at
            Pattern of the checkpoint's name; None for any.
        who
            Name of the requester.

        Returns
        -------
        PauseReport | None
            Answer of the kernel; None if it has not answered in time: it has the request, and answers when it can.
        """
        return await self._ask(kernel, PauseRequest(self._new_request(), "pause", at, who))

    async def resume(self, kernel: KernelSession, who: str | None) -> PauseReport | None:
        """Send the request to go on; otherwise as `pause`."""
        return await self._ask(kernel, PauseRequest(self._new_request(), "resume", who=who))

    def ask_again(self, kernel: KernelSession, pause: Pause) -> None:
        """Send again a request of another service that the kernel has not confirmed; handle its answer as any other.

        Parameters
        ----------
        kernel
            Adopted kernel of the procedure.
        pause
            Pause whose request is pending.
        """
        resumes = pause.pending == "resume"
        kernel.ask(
            PauseRequest(
                self._new_request(), "resume" if resumes else "pause", None if resumes else pause.at, pause.who
            )
        )

    async def stop(self, kernel: KernelSession) -> None:
        """Send the request to wait at no checkpoint, before the interrupt; no-op if the kernel does not answer."""
        await self._ask(kernel, PauseRequest(self._new_request(), "stop"), _SECONDS_OF_STOP)

    @property
    def asked(self) -> bool:
        """True while the kernel has a request that it has not answered."""
        return bool(self._answers)

    def hear(self, report: PauseReport, at: float, *, earlier: bool = False) -> None:
        """Handle a report of the kernel, or a change that needs no kernel, and publish it.

        Parameters
        ----------
        report
            Report of the kernel.
        at
            Time of the report in Unix seconds.
        earlier
            Whether the report may answer a request of an earlier service.

        Raises
        ------
        OutOfBounds
            When the report is of a pause that nobody has requested: the script forged it.
        """
        before, answers = self._stored.procedure, report.answers in self._asked  # in time or late
        if report.phase == "pausing" and before.pause is None and not (earlier or answers):
            raise OutOfBounds("no user has requested that; a script cannot pause itself")
        pending = before.pause is not None and before.pause.pending is not None and answers
        if (fact := fact_of(report, at, pending)) is not None:
            self._stored.learn(fact)
        changed = self._stored.procedure is not before
        if changed and (announcement := event_of(report, self._stored.id)) is not None:
            self._stored.publish(announcement, at)
        self._answer(report)

    def ended(self) -> None:
        """Answer all requests with a refusal, because the kernel has ended."""
        for request in self._answers:
            self._answer(PauseReport("refused", why=_ENDED, answers=request))

    def _answer(self, report: PauseReport) -> None:
        answer = self._answers.get(report.answers or "")
        if answer is not None and not answer.done():
            answer.set_result(report)

    def _new_request(self) -> str:
        request = uuid4().hex
        self._asked.append(request)
        return request

    async def _ask(
        self, kernel: KernelSession, request: PauseRequest, seconds: float | None = None
    ) -> PauseReport | None:
        if not kernel.alive:
            return PauseReport("refused", why=_ENDED)
        if not kernel.can(request.needs):
            return PauseReport("refused", why=_TOO_OLD)
        answer = self._answers[request.id] = asyncio.get_running_loop().create_future()
        try:
            kernel.ask(request)
            await asyncio.wait([answer], timeout=_SECONDS if seconds is None else seconds)
            return answer.result() if answer.done() else None
        finally:
            del self._answers[request.id]


def fact_of(report: PauseReport, at: float, pending: bool) -> Fact | None:
    """Convert a kernel's report to a fact of the procedure; None for a mere answer.

    Parameters
    ----------
    report
        Report of the kernel.
    at
        Time of the report in Unix seconds.
    pending
        Whether an accepted request was not confirmed by the kernel.
    """
    match report.phase:
        case "refused" if pending:
            return PauseEnded(at)
        case "pausing":
            return PauseAsked(at, report.at, report.who)
        case "paused":
            return Paused(at, report.checkpoint or "")
        case "resumed" | "missed":
            return PauseEnded(at)
        case _:
            return None


def event_of(report: PauseReport, procedure: int) -> Announcement | None:
    """Return the event that announces the change in a kernel's report; None for a mere answer.

    Parameters
    ----------
    report
        Report of the kernel.
    procedure
        Id of the procedure.
    """
    source = str(procedure)
    match report.phase:
        case "pausing":
            return announce(topics.PAUSING, source, at=report.at, who=report.who)
        case "paused":
            return announce(topics.PAUSED, source, checkpoint=report.checkpoint)
        case "resumed":
            return announce(topics.RESUMED, source, checkpoint=report.checkpoint, who=report.who)
        case "missed" | "refused":
            return announce(topics.UNPAUSED, source, why=report.why)
        case _:
            return None
