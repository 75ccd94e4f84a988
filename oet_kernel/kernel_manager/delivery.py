"""Delivery of a kernel's records, from its journal to the service."""

import asyncio
import logging
from pathlib import Path

from oet_kernel.kernel_manager.journal_reader import JournalReader
from oet_kernel.kernel_manager.kernel_state import CaughtUp, Life, fact_of
from oet_kernel.kernel_manager.last_words import LastWords
from oet_kernel.kernel_manager.life import KernelLife
from oet_kernel.kernel_manager.session import OnExit, OnFault, OnRecords
from oet_kernel.protocol import Record
from oet_kernel.system.supervision import report_fault

log = logging.getLogger(__name__)

_MEMORY_SECONDS = 0.5
"""Seconds until a read that lacked memory is tried again."""


class RecordDelivery:
    """Delivers the records of one kernel in order, and notes what they tell about the kernel.

    Parameters
    ----------
    folder
        The kernel's private folder.
    reader
        Reader of its journal.
    life
        State of the kernel.
    last_words
        Keeps the end of its output.
    """

    def __init__(self, folder: Path, reader: JournalReader, life: KernelLife, last_words: LastWords) -> None:
        self.on_exit: OnExit = lambda description: None
        """Receives the description of the kernel's end."""
        self.reader = reader
        """Reader of the journal."""
        self.last_words = last_words
        """End of the output."""
        self._on_records: OnRecords = _nobody_hears
        self._on_fault: OnFault = lambda error: None
        self._folder = folder
        self._life = life

    def attach(self, on_records: OnRecords, on_exit: OnExit, on_fault: OnFault) -> None:
        """Register the callbacks of the service, see `KernelSession.attach`."""
        self._on_records, self.on_exit, self._on_fault = on_records, on_exit, on_fault

    async def run(self) -> None:
        """Deliver the kernel's records, to the last one."""
        try:
            while True:
                written = self._life.state.life >= Life.WRITTEN  # before reading: then the journal is complete
                while (records := await self._read()) or self.reader.behind:
                    await self._deliver(records)
                    await asyncio.sleep(0)  # lets the tasks of other kernels run
                self._life.learn(CaughtUp())
                if written:
                    return
                await self.reader.rung()
        except Exception as error:
            report_fault(f"hearing the kernel in {self._folder}", error)
            self._on_fault(error)
        finally:
            self._life.learn(CaughtUp())  # in any case: waiters must not wait for ever

    async def _read(self) -> list[Record]:
        """Read the next records; retry while there is too little memory, without loss."""
        while True:
            try:
                return self.reader.read()
            except MemoryError:
                log.error("Too little memory to read the journal of the kernel in %s; trying again", self._folder)
                await asyncio.sleep(_MEMORY_SECONDS)

    async def _deliver(self, records: list[Record]) -> None:
        for record in records:
            if record.type == "stream":
                self.last_words.keep(bytes(record.content))
            elif (fact := fact_of(record)) is not None:
                self._life.learn(fact)
        try:
            await self._on_records(records, self.reader.offset)
        except Exception as error:
            report_fault(f"taking what the kernel in {self._folder} says", error)


async def _nobody_hears(records: list[Record], offset: int) -> None:
    """No-op handler until a service attaches: the records of a warm kernel are not needed."""
