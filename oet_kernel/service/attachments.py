"""Inside: the kernels of procedures, for whoever wants to look into them."""

import socket
from contextlib import suppress

from oet_kernel.errors import NoKernel, StoreUnusable
from oet_kernel.models import KernelInfo
from oet_kernel.service.post_mortem import KeptKernels
from oet_kernel.service.registry import Registry
from oet_kernel.store.journal import Journal


class Attachments:
    """Tells how kernels are reached, and lets control of them change hands.

    Parameters
    ----------
    registry
        The procedures.
    kept
        The kernels of those that have failed.
    journal
        Where it is written down who has control.
    """

    def __init__(self, registry: Registry, kept: KeptKernels, journal: Journal) -> None:
        self._registry = registry
        self._kept = kept
        self._journal = journal

    def kernel(self, pid: int) -> KernelInfo:
        """Tell how a client attaches to the kernel of a procedure.

        Parameters
        ----------
        pid
            Its id.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure, or it is no longer listed.
        NoKernel
            When it has no kernel that takes requests.
        """
        execution = self._registry.find(pid)
        kernel = None if execution.dismissed else execution.kernel
        connection = None if kernel is None else kernel.connection
        if kernel is None or connection is None:
            raise NoKernel(
                f"Cannot look into procedure {pid}: it is {execution.state.name} and has no kernel that answers"
            )
        return KernelInfo(
            procedure=pid,
            state=execution.state,
            id=kernel.folder.name,
            host=socket.gethostname(),
            pid=kernel.pid,
            control=execution.control.holder,
            kept_until=self._kept.until(pid),
            connection=connection,
        )

    async def control(self, pid: int, who: str, taken: bool) -> KernelInfo:
        """Take control of the kernel of a procedure, so that attached clients may type, or give it back.

        Parameters
        ----------
        pid
            Id of the procedure.
        who
            Who asks for it.
        taken
            False to give it back.

        Raises
        ------
        ResourceNotFound, NoKernel
            As for `kernel`.
        ControlTaken
            When somebody else has it.
        DeadlineExceeded
            When the kernel does not answer.
        """
        self.kernel(pid)
        await self._registry.find(pid).hand_over(who, taken)
        with suppress(StoreUnusable):
            await self._journal.settled()
        return self.kernel(pid)
