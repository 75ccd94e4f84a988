"""Procedure as stored: its state machine and its row, written and published at each change."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from msgspec.structs import asdict, replace

from oet_kernel import procedure as lifecycle
from oet_kernel import topics
from oet_kernel.events.mapping import Announcement, announce
from oet_kernel.models import ProcedureState
from oet_kernel.procedure import Fact, Procedure
from oet_kernel.service.publisher import EventPublisher
from oet_kernel.store.journal import Journal
from oet_kernel.store.rows import ProcedureRow

log = logging.getLogger(__name__)

_BEFORE_INIT = frozenset(
    {ProcedureState.CREATING, ProcedureState.PREP_ENV, ProcedureState.IDLE, ProcedureState.LOADING}
)


class StoredProcedure:
    """Procedure as stored, in one transaction with the events of the same turn of the event loop.

    Parameters
    ----------
    row
        Stored procedure, new or as another service left it.
    journal
        Stores the row, and publishes events.
    publisher
        Publishes states.
    on_state
        Called after each new state, which is stored and published.
    """

    def __init__(
        self,
        row: ProcedureRow,
        journal: Journal,
        publisher: EventPublisher,
        on_state: Callable[[ProcedureState], None],
    ) -> None:
        self.row = row
        """Present row; change it by `update` and `learn`."""
        self.committed = row.procedure
        """Procedure as last written to the database, together with its events."""
        self._journal = journal
        self._publisher = publisher
        self._on_state = on_state
        self._changed = asyncio.Event()

    @property
    def id(self) -> int:
        """Id of the procedure."""
        return self.row.id

    @property
    def procedure(self) -> Procedure:
        """Present procedure."""
        return self.row.procedure

    @property
    def state(self) -> ProcedureState:
        """Newest state of the procedure."""
        return self.procedure.state

    @property
    def preparable(self) -> bool:
        """True while preparation can be repeated: a kernel that has received its script does not take it twice."""
        return self.state in _BEFORE_INIT

    def open(self) -> None:
        """Store a new procedure, and publish its first state."""
        self.update()
        self._entered(*self.procedure.history.process_states[0])

    def update(self, **changes: Any) -> None:
        """Change fields of the row, and store it."""
        self.row = replace(self.row, **changes)
        if not self.preparable:
            self.row = replace(self.row, repository=None)  # its secret credentials are not needed any more
        self._journal.put(self.row)

    def learn(self, fact: Fact) -> None:
        """Apply a fact to the state machine, and publish each state that was entered."""
        before = self.procedure
        after = lifecycle.apply(before, fact)
        if after is before:
            return
        self.update(procedure=after)
        if after.returned is not None and before.returned is None:
            self.publish(announce(topics.SCRIPT_RETURNED, str(self.id), **asdict(after.returned)), fact.at)
        for state, at in after.history.process_states[len(before.history.process_states) :]:
            self._entered(state, at)
            self._changed.set()
            self._changed = asyncio.Event()

    def publish(self, announcement: Announcement, at: float | None = None) -> None:
        """Publish an event of the procedure.

        Parameters
        ----------
        announcement
            Topic and fields of the event.
        at
            Time of the event in Unix seconds; None for now.
        """
        self._journal.publish(announcement, self.id, at)

    async def wait(self, *states: ProcedureState) -> None:
        """Wait until the procedure is in one of these states, or has passed through one, or has ended."""
        known = len(self.procedure.history.process_states) - 1
        while not self.state.inactive:
            if any(state in states for state, _ in self.procedure.history.process_states[known:]):
                return
            await self._changed.wait()

    def _entered(self, state: ProcedureState, at: float) -> None:
        log.info("Procedure %d, %s, is %s%s", self.id, self.procedure.script.script_uri, state.name, self._why())
        told = not (state is ProcedureState.STOPPED and self.row.abort)  # published when the abort script runs
        self._publisher.entered(self.procedure, state, at, self.row.request_id, told=told)
        self._on_state(state)

    def _why(self) -> str:
        """Return the reason of a failure for the log; empty if the procedure has not failed."""
        if self.state is not ProcedureState.FAILED:
            return ""
        lines = (self.procedure.history.stacktrace or "").strip().splitlines() or ["the reason is unknown"]
        return f": {lines[-1]}"
