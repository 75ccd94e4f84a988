"""Messages of one kernel: each becomes a fact about the procedure or an event, or is set aside."""

import time
import traceback
from collections.abc import Callable

import msgspec

from oet_kernel import procedure as lifecycle
from oet_kernel import topics
from oet_kernel.bounds import NAME_CHARACTERS, TOPICS, OutOfBounds, check_json, check_text, encodable
from oet_kernel.events.mapping import Announcement, announce, interpret, marked
from oet_kernel.kernel_manager.session import KernelSession
from oet_kernel.models import ProcedureState
from oet_kernel.procedure import Fact
from oet_kernel.protocol import UNREADABLE, ControlReport, Idle, PauseReport, Record, Subscription
from oet_kernel.service.kernel_link import KernelLink
from oet_kernel.service.stored_procedure import StoredProcedure
from oet_kernel.store.journal import Journal

_AT_WORK = {
    "prepare": (ProcedureState.IDLE, ProcedureState.LOADING, ProcedureState.INITIALISING),
    "run": (ProcedureState.READY, ProcedureState.RUNNING),
}
"""States that the procedure leaves when the kernel's request ends."""
_LATEST = 4_102_444_800.0
"""Unix seconds of the year 2100; a message with a later time, or one before 1970, gets the current time."""


class KernelMessages:
    """Handle the messages of one kernel, and its end.

    Parameters
    ----------
    stored
        Procedure that the kernel is for.
    link
        Link to the kernel.
    journal
        Stores each batch of messages with the offset behind it, and sets aside those that cannot be handled.
    on_kernel_end
        Called when the kernel has ended.
    """

    def __init__(
        self, stored: StoredProcedure, link: KernelLink, journal: Journal, on_kernel_end: Callable[[], None]
    ) -> None:
        self.quiet = False
        """True if the script failed by an exception of its own and left no threads or processes at work."""
        self._catching_up = False
        """True until the messages that the kernel wrote while no service ran are handled."""
        self._stored = stored
        self._link = link
        self._journal = journal
        self._on_kernel_end = on_kernel_end

    @property
    def interests(self) -> list[str]:
        """Topics of other sources that the script listens to."""
        return self._stored.row.interests

    def end_interests(self) -> None:
        """Send the script no more events of other sources."""
        if self.interests:
            self._stored.update(interests=[])

    def attach(self, kernel: KernelSession) -> None:
        """Handle the messages of a kernel from now on."""
        kernel.attach(self._handle, self._ended, self._lost)

    async def catch_up(self, kernel: KernelSession) -> None:
        """Wait until the messages that an adopted kernel wrote while no service ran are handled."""
        self._catching_up = True  # an answer to the previous service is not a forgery
        await kernel.caught_up()
        self._catching_up = False

    async def _handle(self, records: list[Record], offset: int) -> None:
        """Handle messages of the kernel, and store them and the journal's offset in one transaction."""
        for record in records:
            try:
                self._handle_one(record)
            except Exception as error:  # only this record is lost, not those behind it
                self._set_aside(record, error)
        self._link.offset = offset
        self._link.save()
        await self._journal.written()

    def _lost(self, error: Exception) -> None:
        """Fail the procedure because its kernel's messages cannot be read any more."""
        trace = "".join(traceback.format_exception(error))
        self._stored.learn(lifecycle.Failed(time.time(), f"What the kernel says cannot be read any more.\n{trace}"))

    def _ended(self, description: str) -> None:
        """Handle the end of the kernel's process, after its last message."""
        kernel = self._link.session
        assert kernel is not None
        self.end_interests()
        at = kernel.ended_at or time.time()
        self._link.ended(at)
        self._stored.learn(lifecycle.KernelExited(at, description, kernel.exit_status))
        self._on_kernel_end()

    def _set_aside(self, record: Record, error: Exception) -> None:
        """Set aside a message of the kernel that cannot be handled, and publish a notice in its place."""
        why = f"a message of type {record.type[:NAME_CHARACTERS]!r} cannot be processed: {error!r:.500}"
        self._journal.set_aside.put("records", f"procedure {self._stored.id}", bytes(record.content), why)
        text = f"[a message of type {record.type:.40} could not be processed and is left out: {error!s:.500}]\n"
        told = {"call": (record.call or "")[:NAME_CHARACTERS] or None, "name": "stderr", "text": encodable(text)}
        self._stored.publish(announce(topics.OUTPUT_STREAM, str(self._stored.id), **told))

    def _handle_one(self, record: Record) -> None:
        """Handle one message of the kernel."""
        if record.type == UNREADABLE:  # a process that ends on a full disk leaves such lines; no event
            why = "a line of the kernel's journal is not a valid record, or is too long"
            self._journal.set_aside.put("records", f"procedure {self._stored.id}", bytes(record.content), why)
            return
        check_text(record.call or "", "a name of a call", NAME_CHARACTERS)
        if not 0 <= record.t <= _LATEST:
            record = msgspec.structs.replace(record, t=time.time())
        match meaning := interpret(record, self._stored.id):
            case None:
                pass
            case Announcement():
                self._publish(meaning, record.t)
            case Subscription():
                self._subscribe(meaning.topic)
            case Idle():
                self._hear_idle(meaning, record.t)
            case ControlReport():
                self._link.control.hear(meaning, record.t, earlier=self._catching_up)
            case PauseReport():
                self._link.pausing.hear(meaning, record.t, earlier=self._catching_up)
            case _:
                self._hear_fact(meaning)

    def _publish(self, announcement: Announcement, at: float) -> None:
        if announcement.topic == topics.CONSOLE_INPUT and self._link.control.holder is None:  # no user can type
            announcement = marked(announcement.topic, msgspec.json.decode(announcement.data), self._stored.id)
        check_json(announcement.data)
        self._stored.publish(announcement, at)

    def _subscribe(self, topic: str) -> None:
        if topic not in self.interests and len(self.interests) >= TOPICS:
            raise OutOfBounds(f"the script listens to {TOPICS} topics already")
        self._stored.update(interests=sorted({*self.interests, topic}))

    def _hear_idle(self, idle: Idle, at: float) -> None:
        """Fail the procedure if its kernel has finished a request and no message tells the result."""
        procedure = self._stored.procedure
        asked = idle.request == "prepare" or "main" in procedure.calls
        if procedure.state in _AT_WORK.get(idle.request, ()) and asked and not procedure.stopping:
            why = f"The kernel is idle, but the procedure is {procedure.state.name}: the end of a step is unknown."
            self._stored.learn(lifecycle.Failed(at, why))

    def _hear_fact(self, fact: Fact) -> None:
        if not isinstance(fact, lifecycle.KernelReady):
            self._link.begun()
        if isinstance(fact, lifecycle.LoadFinished):
            self._stored.update(source_sha256=fact.source_sha256)
        if isinstance(fact, lifecycle.Failed):
            self.quiet = fact.quiet
        self._stored.learn(fact)
