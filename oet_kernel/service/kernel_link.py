"""Link between a procedure and its kernel: session, stored row, control, pauses, and the deadline of each step."""

import time

from oet_kernel import procedure as lifecycle
from oet_kernel.kernel_manager.session import KernelIdentity, KernelSession
from oet_kernel.protocol import Request
from oet_kernel.service.lease import KernelControl
from oet_kernel.service.pause_requests import KernelPause
from oet_kernel.service.steps import StepDeadline
from oet_kernel.service.stored_procedure import StoredProcedure
from oet_kernel.store.journal import Journal
from oet_kernel.store.rows import KernelRow


def identity_of(row: KernelRow) -> KernelIdentity:
    """Return the identity of a stored kernel."""
    return KernelIdentity(row.kind, row.address, row.process)


class KernelLink:
    """Link between a procedure and its kernel.

    Parameters
    ----------
    stored
        Procedure that the kernel is for.
    journal
        Stores the kernel's row.
    step_deadline
        Seconds within which the kernel must begin a requested step.
    """

    def __init__(self, stored: StoredProcedure, journal: Journal, step_deadline: float) -> None:
        self.session: KernelSession | None = None
        """Session of the kernel; None while the procedure has none."""
        self.offset = 0
        """Number of bytes of the kernel's journal that have been handled."""
        self.control = KernelControl(stored)
        """Control of the kernel."""
        self.pausing = KernelPause(stored)
        """Pause requests to the kernel."""
        self._stored = stored
        self._journal = journal
        self._step = StepDeadline(step_deadline, self.overdue)

    @property
    def alive(self) -> bool:
        """True while the kernel's process may be running."""
        return self.session is not None and self.session.alive

    @property
    def taking_requests(self) -> KernelSession | None:
        """Session of the kernel once it takes requests; None before."""
        return self.session if self.session is not None and self.session.takes_requests else None

    def save(self) -> None:
        """Store the kernel with the offset in its journal, for the next service to adopt it."""
        assert self.session is not None
        known = self.session.identity
        self._journal.put(
            KernelRow(
                procedure=self._stored.id,
                kind=known.kind,
                address=known.address,
                process=known.process,
                offset=self.offset,
            )
        )

    def begin(self, step: str, request: Request, *, again: bool = False) -> None:
        """Send the request for a step, and start its deadline.

        Parameters
        ----------
        step
            ``load`` or ``main``.
        request
            Request to send.
        again
            True if the kernel may have begun the step already: then there is no deadline.
        """
        assert self.session is not None
        self.session.ask(request)
        if not again:
            self._step.expect(step)

    def begun(self) -> None:
        """Cancel the deadline of the step: it has begun, or never will."""
        self._step.met()

    def overdue(self, step: str) -> bool:
        """Fail the procedure if its kernel does not begin a step; return True to wait on while a user has control."""
        if self.session is None or self._stored.state.inactive or self._stored.procedure.stopping:
            return False
        if self.control.holder is not None:
            return True
        late = self.session.silent(f"did not begin the requested step {step} within {self._step.seconds:g} s")
        self._stored.learn(lifecycle.Failed(time.time(), f"{late.type}: {late}"))
        return False

    def ended(self, at: float) -> None:
        """End the control, the pause requests and the deadline of a kernel that has ended.

        Parameters
        ----------
        at
            Time of its end in Unix seconds.
        """
        self.begun()
        self.control.ended(at)
        self.pausing.ended()
