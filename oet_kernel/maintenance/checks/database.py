"""Checks of the database: that it can be read, is of this version, and holds no broken rows."""

from collections.abc import Iterator
from functools import partial

from oet_kernel.errors import StoreUnusable
from oet_kernel.maintenance.disk import megabytes
from oet_kernel.maintenance.findings import RECOVER, Checks, Observation, Site, problem
from oet_kernel.store import tables
from oet_kernel.store.base import Store
from oet_kernel.store.rows import ProcedureRow, Unit
from oet_kernel.store.set_aside import SetAside
from oet_kernel.store.sqlite import SqliteStore

DATABASE = Checks[[Site, Store]]()


def open_database(site: Site) -> tuple[Store | None, Observation]:
    """Open the database read-only; the store is None if there is none, or it cannot be examined further."""
    path = site.paths.database
    if not path.exists():
        return None, Observation("database", "No database exists yet; the first service creates it")
    store = SqliteStore(path, read_only=True)
    try:
        revision = store.revision()
        complaints = store.check()
    except StoreUnusable as error:
        store.close()
        return None, problem("database", f"{path} cannot be read: {error.why}", RECOVER)
    size = megabytes(path.stat().st_size)
    if not complaints and revision == tables.REVISION:
        return store, Observation("database", f"{path} is sound: schema {revision}, {size}")
    store.close()
    if complaints:
        return None, problem("database", f"{path} ({size}) is damaged: {complaints[0]}", RECOVER)
    text = f"{path} has schema {revision}; this version has {tables.REVISION}, and upgrades it"
    return None, Observation("database", text)


@DATABASE.add
def unreadable(site: Site, store: Store) -> Iterator[Observation]:
    """Find procedures whose records cannot be read."""
    rows = store.find_unreadable()
    if rows:
        yield problem(
            "database",
            f"The records of {len(rows)} procedures cannot be read: {', '.join(str(row.id) for row in rows[:20])}",
            "'oet doctor --fix' sets them aside, and lists the procedures as FAILED",
            partial(_restore, site, rows, dict(store.unreadable)),
        )


def _restore(site: Site, rows: list[ProcedureRow], records: dict[int, bytes]) -> None:
    aside, store = SetAside(site.paths.set_aside), SqliteStore(site.paths.database)
    try:
        for row in rows:
            aside.put("rows", f"procedure {row.id}", records[row.id], str(row.procedure.history.stacktrace))
        store.write(Unit(procedures={row.id: row for row in rows}))
    finally:
        store.close()
        aside.close()
