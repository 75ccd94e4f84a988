"""Checks of the folder of records: the notebooks of procedures."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from oet_kernel.maintenance.disk import remove, size_of
from oet_kernel.maintenance.findings import Checks, Observation, Site
from oet_kernel.records.files import path_of, records_in
from oet_kernel.store.base import Store

RECORDS = Checks[[Site, Store]]()


@RECORDS.add
def kept_no_more(site: Site, store: Store) -> Iterator[Observation]:
    """Find records of procedures that were removed from this database.

    A record with an id that this database has never assigned belongs to another database, and is kept.
    """
    left = _kept_no_more(site, store)
    if left:
        yield Observation(
            "leftovers",
            f"{len(left)} records of procedures that were removed ({size_of(left)})",
            "'oet doctor --fix' removes them, while no service is using the folder",
            partial(remove, left),
        )


@RECORDS.add
def unfinished(site: Site, store: Store) -> Iterator[Observation]:
    """Find unfinished records."""
    if site.served:
        return
    folder, others = site.paths.records, set(_kept_no_more(site, store))
    left = [path for path, pid in records_in(folder).items() if path != path_of(folder, pid) and path not in others]
    if left:
        yield Observation(
            "leftovers",
            f"{len(left)} unfinished records ({size_of(left)})",
            "'oet doctor --fix' removes them",
            partial(remove, left),
        )


def _kept_no_more(site: Site, store: Store) -> list[Path]:
    newest, known = store.counter("procedure"), store.ids()
    found = records_in(site.paths.records)
    return [path for path, pid in found.items() if pid <= newest and pid not in known and path.exists()]
