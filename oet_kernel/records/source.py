"""StoredRuns: events and summaries of procedures for their records, read from the store."""

import asyncio
from collections.abc import Callable, Sequence

from oet_kernel.errors import ResourceNotFound
from oet_kernel.events.event import Event, Filter
from oet_kernel.models import ProcedureSummary
from oet_kernel.procedure import summary_of
from oet_kernel.store.base import Store
from oet_kernel.system.threads import STATE


class StoredRuns:
    """The procedures of a store, and their events.

    Parameters
    ----------
    store
        Store of the procedures.
    base_url
        Returns the API root for the URIs of procedures.
    """

    def __init__(self, store: Store, base_url: Callable[[], str]) -> None:
        self._store = store
        self._base_url = base_url

    async def events(self, procedure: int, after: int, limit: int) -> Sequence[Event]:
        """Return a procedure's events with numbers above `after`, in order, `limit` at most; empty after the last."""
        page = await STATE.run(self._store.events, after, Filter(procedure=procedure), limit)
        return page.rows

    async def summary(self, procedure: int) -> ProcedureSummary:
        """Return the summary of a procedure; raise `ResourceNotFound` for an unknown one."""
        found = await STATE.run(self._store.procedures, [procedure])
        if procedure not in found:
            raise ResourceNotFound.procedure(procedure)
        return summary_of(found[procedure].procedure, self._base_url())

    async def newest(self, ended: int) -> list[int]:
        """Return the ids of all active procedures, and of the `ended` newest inactive ones."""
        active, inactive = await asyncio.gather(
            STATE.run(self._store.active), STATE.run(self._store.newest_inactive, ended)
        )
        return [row.id for row in (*active, *inactive)]
