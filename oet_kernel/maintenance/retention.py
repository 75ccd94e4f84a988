"""Retention: removes procedures that ended long ago, slice by slice, while the service works."""

import asyncio
import logging
import time

from oet_kernel.errors import StoreUnusable
from oet_kernel.records.writer import RecordWriter
from oet_kernel.store.journal import Journal
from oet_kernel.system.supervision import report_fault, supervise

log = logging.getLogger(__name__)

_EVERY = 3600.0
"""Seconds between two runs."""
_DAY = 86400.0


class Retention:
    """Remove ended procedures, with their events and records, by age and by the size of the database.

    Parameters
    ----------
    journal
        Journal whose store is trimmed.
    records
        Writer of the procedures' records.
    days
        Age in days; procedures that ended earlier are removed.
    most_bytes
        Size in bytes; the procedures that ended first are removed until the database is not larger.
    """

    def __init__(self, journal: Journal, records: RecordWriter, days: float, most_bytes: int) -> None:
        self._journal = journal
        self._records = records
        self._days = days
        self._most_bytes = most_bytes
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start retention: trim now, and every hour."""
        self._task = supervise("retention", self._run())

    async def stop(self) -> None:
        """Stop retention."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def trim(self) -> None:
        """Remove expired procedures; other writes happen between two slices.

        Raises
        ------
        StoreUnusable
            When the database cannot be written.
        """
        before = time.time() - self._days * _DAY
        while await self._slice(before):
            pass

    async def _slice(self, before: float) -> bool:
        # a record that is written while its procedure is removed would reappear
        async with self._records.writing:
            return await self._journal.run(
                lambda: self._journal.store.trim(before, self._most_bytes, self._records.remove)
            )

    async def _run(self) -> None:
        while True:
            try:
                await self.trim()
            except StoreUnusable as error:
                log.warning("Removal by age or size failed: %s", error)
            except Exception as error:  # retried in the next hour
                report_fault("retention", error)
            await asyncio.sleep(_EVERY)
