"""Watch over one started kernel: delivers its records, and reports its end after the last one."""

import asyncio
import logging
from pathlib import Path

from oet_kernel.kernel_manager.channel import KernelChannel
from oet_kernel.kernel_manager.delivery import RecordDelivery
from oet_kernel.kernel_manager.kernel_state import Detached, Life, Reached
from oet_kernel.kernel_manager.last_words import describe_end
from oet_kernel.kernel_manager.life import KernelLife
from oet_kernel.kernel_manager.process import KernelProcess
from oet_kernel.protocol import CONNECTION_FILE
from oet_kernel.system.supervision import report_fault, supervise

log = logging.getLogger(__name__)

_COLLECTOR_SECONDS = 5.0
"""Seconds within which a collector must journal the rest of an ended kernel's output."""


class KernelWatch:
    """Watches one kernel from the start of its process, or its adoption, to its last record.

    Parameters
    ----------
    folder
        The kernel's private folder.
    process
        Its process.
    channel
        Channels to it, closed at its end.
    delivery
        Delivers its records.
    life
        State of the kernel.
    """

    def __init__(
        self, folder: Path, process: KernelProcess, channel: KernelChannel, delivery: RecordDelivery, life: KernelLife
    ) -> None:
        self.process = process
        """Process of the kernel."""
        self.channel = channel
        """Channels to the kernel."""
        self._folder = folder
        self._delivery = delivery
        self._life = life
        self._reading = supervise(f"hearing the kernel in {folder}", delivery.run())
        self._watching = supervise(f"watching the kernel in {folder}", self._watch())

    async def detach(self) -> None:
        """Leave the kernel to the next service; no-op once all its records were delivered."""
        if not self._life.state.attached:
            return
        self._life.learn(Detached())
        for task in (self._reading, self._watching):
            task.cancel()
        await asyncio.wait([self._reading, self._watching])
        self.process.leave()
        self._close()

    async def _watch(self) -> None:
        """Wait for the end of the process, and report it once all records were delivered."""
        try:
            description = await self._see_off()
        except Exception as error:
            report_fault(f"watching the kernel in {self._folder}", error)
            await self.process.give_up()
            description = f"The service could not see how the kernel process ended: {error!r}"
            self._life.learn(Reached(Life.HEARD))
        self._delivery.on_exit(description)

    async def _see_off(self) -> str:
        process, reader = self.process, self._delivery.reader
        await process.ended()
        if not await reader.collected(_COLLECTOR_SECONDS):
            log.warning("The output of the kernel in %s may be incomplete: its collector has not ended", self._folder)
        self._life.learn(Reached(Life.WRITTEN))
        reader.ring()
        await self._reading
        if process.unwatched and process.ending is None:
            process.ended_at = reader.last_written()
        self._life.learn(Reached(Life.HEARD))
        self.channel.remove()
        (self._folder / CONNECTION_FILE).unlink(missing_ok=True)
        self._close()
        end = describe_end(process.ending, process.ended_at, unwatched=process.unwatched)
        return "\n".join([end, *self._delivery.last_words.lines()])

    def _close(self) -> None:
        self.channel.close()
        self._delivery.reader.close()
