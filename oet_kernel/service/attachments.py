"""Attachments of clients to the kernels of procedures."""

from contextlib import suppress

from oet_kernel.errors import NoKernel, StoreUnusable
from oet_kernel.models import KernelInfo
from oet_kernel.service.post_mortem import KeptKernels
from oet_kernel.service.registry import Registry
from oet_kernel.store.journal import Journal


class Attachments:
    """Return the connections of procedures' kernels, and transfer control of kernels.

    Parameters
    ----------
    registry
        Procedures by id.
    kept
        Kernels of failed procedures.
    journal
        Stores who has control.
    """

    def __init__(self, registry: Registry, kept: KeptKernels, journal: Journal) -> None:
        self._registry = registry
        self._kept = kept
        self._journal = journal

    def kernel(self, pid: int) -> KernelInfo:
        """Return the connection by which a client attaches to the kernel of a procedure.

        Parameters
        ----------
        pid
            Id of the procedure.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure, or it is no longer listed.
        NoKernel
            When the procedure has no kernel that takes requests.
        """
        execution = self._registry.find(pid)
        kernel = None if execution.ending.begun else execution.kernel
        connection = None if kernel is None else kernel.connection
        if kernel is None or connection is None:
            raise NoKernel(
                f"Cannot attach to procedure {pid}: it is {execution.state.name} and has no kernel that answers"
            )
        location = kernel.location
        return KernelInfo(
            procedure=pid,
            state=execution.state,
            id=location.id,
            host=location.host,
            pid=location.pid,
            control=execution.link.control.holder,
            kept_until=self._kept.until(pid),
            connection=connection,
        )

    async def control(self, pid: int, who: str, taken: bool) -> KernelInfo:
        """Acquire control of the kernel of a procedure, so that attached clients may type, or release it.

        Parameters
        ----------
        pid
            Id of the procedure.
        who
            Name of the requester.
        taken
            True to acquire control; False to release it.

        Raises
        ------
        ResourceNotFound, NoKernel
            As for `kernel`.
        ControlTaken
            When another user has control.
        DeadlineExceeded
            When the kernel does not answer.
        """
        self.kernel(pid)
        link = self._registry.find(pid).link
        if link.session is not None:
            await link.control.hand_over(link.session, who, taken)
        with suppress(StoreUnusable):
            await self._journal.settled()
        return self.kernel(pid)
