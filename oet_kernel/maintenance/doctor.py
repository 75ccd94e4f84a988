"""Checks and repairs of ``oet doctor`` in a state folder, with or without a running service.

The database is opened read-only. Repairs are made only while the folder's lock is held, so that no service works there
meanwhile; anything that a service repairs at its start is reported, but not as a problem.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout
from msgspec import Struct

from oet_kernel.errors import StoreUnusable
from oet_kernel.kernel_manager.record import find_record
from oet_kernel.models import ProcedureState
from oet_kernel.protocol import COLLECTOR_NAME
from oet_kernel.records.files import path_of, records_in
from oet_kernel.scripts.environments import BUILT
from oet_kernel.state.folder import find_odd, move_odd, read_note
from oet_kernel.state.layout import DATABASE, Layout
from oet_kernel.store import tables
from oet_kernel.store.base import Store
from oet_kernel.store.rows import KernelRow, ProcedureRow, Unit
from oet_kernel.store.set_aside import SetAside
from oet_kernel.store.sqlite import SqliteStore
from oet_kernel.system.process_identity import start_of
from oet_kernel.system.process_tree import kill_tree
from oet_kernel.system.processes import fork_servers, kill_leftovers, marked

_ENOUGH_BYTES = 100 << 20
"""Free space on the disk in bytes below which a problem is reported."""
_RECOVER = "see docs/how-to/recover.md"
_WITHOUT_KERNEL = frozenset({ProcedureState.CREATING, ProcedureState.PREP_ENV})
"""States in which a procedure may have no kernel yet."""


class Finding(Struct, frozen=True, kw_only=True):
    """Result of one check."""

    about: str
    """Subject of the check: folder, lock, disk, database, kernels, procedures, fork servers, leftovers."""
    text: str
    """Description of the finding."""
    problem: bool = False
    remedy: str | None = None
    """Action to take; None if none is needed."""
    mended: bool = False


class Doctor:
    """Check one state folder.

    Parameters
    ----------
    folder
        Path of the state folder.
    fix
        Whether to make repairs that are safe.
    """

    def __init__(self, folder: Path, *, fix: bool = False) -> None:
        self._folder = folder
        self._paths = Layout(folder)
        self._fix = fix
        self._served = False
        """True if a service, or another doctor, holds the lock."""
        self._findings: list[Finding] = []

    def examine(self) -> list[Finding]:
        """Run all checks; return the findings in their order."""
        if not self._folder.is_dir():
            self._note("folder", f"There is no state folder {self._folder}; the first service makes it")
            return self._findings
        with self._lock():
            self._set_aside()  # before any other data are set aside
            self._odd()
            self._permissions()
            self._space()
            store = self._database()
            if store is not None:
                try:
                    self._unreadable(store)
                    self._work(store)
                    self._records(store)
                except StoreUnusable as error:
                    self._problem("database", error.message, _RECOVER)
                finally:
                    store.close()
            self._fork_servers()
            self._leftovers()
        return self._findings

    # --- findings

    def _note(self, about: str, text: str, remedy: str | None = None) -> None:
        self._findings.append(Finding(about=about, text=text, remedy=remedy))

    def _problem(self, about: str, text: str, remedy: str, mend: Callable[[], None] | None = None) -> None:
        self._tell(about, text, remedy, mend, problem=True)

    def _tell(
        self, about: str, text: str, remedy: str, mend: Callable[[], None] | None = None, *, problem: bool = False
    ) -> None:
        """Add a finding, and repair it if that is requested and possible."""
        mended = False
        if mend is not None and self._fix and not self._served:
            try:
                mend()
            except OSError as error:
                remedy = f"{remedy} (it could not be mended: {error})"
            else:
                mended = True
        self._findings.append(
            Finding(about=about, text=text, problem=problem and not mended, remedy=remedy, mended=mended)
        )

    # --- checks

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Check whether a service is running, and hold the lock so that none can start during repairs."""
        path = self._paths.lock
        if not path.exists():
            self._note("lock", "No service has worked here yet")
            yield
            return
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._served = True
            self._note("lock", f"The service with process id {_read(self._paths.owner)} works here")
            yield
            return
        except OSError as error:
            self._problem("lock", f"{path} cannot be used: {error}", _RECOVER)
            self._served = True  # it is unknown
            yield
            return
        try:
            self._note("lock", "No service works here")
            yield
        finally:
            lock.release()

    def _odd(self) -> None:
        """Find entries of the wrong type in the place of the service's files and folders."""
        for path in find_odd(self._folder):
            self._problem(
                "folder",
                f"{path} is not what a service has there (a pipe, a broken link, a file for a folder)",
                "start a service, or 'oet doctor --fix': either moves it to 'set-aside'",
                lambda path=path: _move(path),  # type: ignore[misc]
            )

    def _set_aside(self) -> None:
        """Find data that services have set aside."""
        folder = self._paths.set_aside
        kept = sorted(folder.iterdir()) if folder.is_dir() else []
        if kept:
            self._tell(
                "set aside",
                f"{len(kept)} things that a service could not take ({_megabytes(_size(kept))}), the newest "
                f"{max(kept, key=lambda one: one.lstat().st_mtime).name}",
                f"look at {folder}; 'oet doctor --fix' removes them, while no service works here",
                lambda: _remove(kept),
            )

    def _unreadable(self, store: Store) -> None:
        """Find procedures whose records cannot be read."""
        rows = store.find_unreadable()
        if rows:
            self._problem(
                "database",
                f"The records of {len(rows)} procedures cannot be read: {', '.join(str(row.id) for row in rows[:20])}",
                "'oet doctor --fix' sets them aside, and lists the procedures as FAILED",
                lambda: self._restore(rows, dict(store.unreadable)),
            )

    def _restore(self, rows: list[ProcedureRow], records: dict[int, bytes]) -> None:
        aside, store = SetAside(self._paths.set_aside), SqliteStore(self._paths.database)
        try:
            for row in rows:
                aside.put("rows", f"procedure {row.id}", records[row.id], str(row.procedure.history.stacktrace))
            store.write(Unit(procedures={row.id: row for row in rows}))
        finally:
            store.close()
            aside.close()

    def _permissions(self) -> None:
        """Check that other users cannot read scripts' output, or the keys of their kernels."""
        open_to_others = [path for path in self._private() if _mode(path) & 0o077]
        if not open_to_others:
            self._note("folder", f"{self._folder} is private")
        for path in open_to_others:
            right = 0o700 if path.is_dir() else 0o600
            self._problem(
                "folder",
                f"{path} can be reached by other users (mode {_mode(path):04o})",
                f"chmod {right:04o} {path}",
                lambda path=path, right=right: path.chmod(right),  # type: ignore[misc]
            )
        if self._folder.stat().st_uid != os.getuid():
            self._problem("folder", f"{self._folder} belongs to another user", "run the service as its owner")

    def _private(self) -> list[Path]:
        kernels = self._paths.kernels
        found = [self._folder, *self._folder.glob(f"{DATABASE}*"), *kernels.glob("*/")]
        found += [path for name in ("kernel.json", "iopub.jsonl") for path in kernels.glob(f"*/{name}")]
        return [*found, kernels] if kernels.is_dir() else found

    def _space(self) -> None:
        free = shutil.disk_usage(self._folder).free
        text = f"{_megabytes(free)} are free on the disk of {self._folder}"
        if free < _ENOUGH_BYTES:
            self._problem("disk", text, f"make room: a service that cannot write begins nothing new; {_RECOVER}")
        elif not os.access(self._folder, os.W_OK):
            self._problem("disk", f"{self._folder} cannot be written", f"make it writable; {_RECOVER}")
        else:
            self._note("disk", text)

    def _database(self) -> Store | None:
        """Open the database; return None if there is none, or it cannot be read."""
        path = self._paths.database
        if not path.exists():
            self._note("database", "There is no database; the first service makes it")
            return None
        store = SqliteStore(path, read_only=True)
        try:
            revision = store.revision()
            complaints = store.check()
        except StoreUnusable as error:
            self._problem("database", f"{path} cannot be read: {error.why}", _RECOVER)
            store.close()
            return None
        size = _megabytes(path.stat().st_size)
        if complaints:
            self._problem("database", f"{path} ({size}) is damaged: {complaints[0]}", _RECOVER)
        elif revision != tables.REVISION:
            self._note(
                "database", f"{path} has schema {revision}; this version has {tables.REVISION}, and brings it up"
            )
        else:
            self._note("database", f"{path} is sound: schema {revision}, {size}")
            return store
        store.close()
        return None

    def _work(self, store: Store) -> None:
        """Compare the active procedures in the store with the existing kernels."""
        active = store.active()
        kernels = store.kernels([row.id for row in active])
        wanted = {Path(kernel.address) for kernel in kernels.values()}
        for row in active:
            self._procedure(row, kernels.get(row.id))
        if not active:
            self._note("procedures", "No procedure is active")
        if self._served:
            return  # folders without a row are those of its warm kernels
        ended = []
        for folder in sorted(self._paths.kernels.glob("*/")):
            if folder in wanted:
                continue
            record = find_record(folder)
            if record is not None and start_of(record.pid) == record.started:
                self._problem(
                    "kernels",
                    f"The kernel process {record.pid} ({folder.name}) belongs to no active procedure",
                    "start a service, or 'oet doctor --fix': either ends it",
                    lambda folder=folder, pid=record.pid: _end_kernel(folder, pid),  # type: ignore[misc]
                )
            else:
                ended.append(folder)
        for name, pids in marked(f"{self._paths.kernels}/").items():
            if not Path(name).exists():
                self._problem(
                    "kernels",
                    f"Processes {', '.join(map(str, pids))} were left behind by a kernel that is gone",
                    "start a service, or 'oet doctor --fix': either ends them",
                    lambda pids=pids: _kill(pids),  # type: ignore[misc]
                )
        if ended:
            self._tell(
                "leftovers",
                f"{len(ended)} folders of kernels that have ended ({_megabytes(_size(ended))})",
                "nothing: the next service removes them, as does 'oet doctor --fix'",
                lambda: _remove(ended),
            )

    def _procedure(self, row: ProcedureRow, kernel: KernelRow | None) -> None:
        """Report whether the kernel of an active procedure is running."""
        name = f"Procedure {row.id} is {row.procedure.state.name}"
        record = None if kernel is None else find_record(Path(kernel.address))
        if record is not None and start_of(record.pid) == record.started:
            text = f"{name}, in the kernel process {record.pid}"
            if self._served:
                self._note("procedures", text)
            else:
                self._note("procedures", f"{text}, without a service", "start one: it takes the procedure up")
        elif row.procedure.state in _WITHOUT_KERNEL:
            self._note("procedures", f"{name}, and has no kernel yet")
        elif record is not None and not self._served:
            self._note("procedures", f"{name}, and its kernel has ended", "start a service: it records how that came")
        else:
            remedy = "stop it" if self._served else "start a service: it records the procedure as FAILED"
            self._problem("procedures", f"{name}, and its kernel is not to be found", remedy)

    def _records(self, store: Store) -> None:
        """Find records of procedures that were removed from this database, and records whose writing was not finished.

        A record with an id that this database has never assigned belongs to another database, and is kept.
        """
        folder = self._paths.records
        found = records_in(folder)
        newest, known = store.counter("procedure"), store.ids()
        left = [path for path, pid in found.items() if pid <= newest and pid not in known and path.exists()]
        if left:
            self._tell(
                "leftovers",
                f"{len(left)} records of procedures that are kept no more ({_megabytes(_size(left))})",
                "'oet doctor --fix' removes them, while no service works here",
                lambda: _remove(left),
            )
        unfinished = [path for path, pid in found.items() if path != path_of(folder, pid) and path not in left]
        if unfinished and not self._served:
            self._tell(
                "leftovers",
                f"{len(unfinished)} records whose writing was begun and not finished ({_megabytes(_size(unfinished))})",
                "'oet doctor --fix' removes what was begun",
                lambda: _remove(unfinished),
            )

    def _fork_servers(self) -> None:
        runtime = _read(self._paths.runtime)
        if self._served or not Path(runtime).is_dir():
            return
        for pid in fork_servers(runtime):
            children = _kernels_of(pid)
            if children:
                text = f"The fork server {pid} waits for the end of {len(children)} kernels"
                self._note("fork servers", text, "start a service: it takes it over")
            else:
                self._problem(
                    "fork servers",
                    f"The fork server {pid} has no service and no kernel",
                    "start a service, which takes it over, or 'oet doctor --fix', which ends it",
                    lambda pid=pid: kill_tree(pid),  # type: ignore[misc]
                )

    def _leftovers(self) -> None:
        """Find unfinished copies of repositories, and unfinished environments."""
        if self._served:
            return
        left = [path for end in ("new", "old") for path in sorted(self._paths.repositories.glob(f"*.{end}"))]
        left += [path for path in sorted(self._paths.environments.glob("*/")) if not (path / BUILT).exists()]
        if left:
            self._tell(
                "leftovers",
                f"{len(left)} repositories or environments that were begun and not finished "
                f"({_megabytes(_size(left))})",
                "'oet doctor --fix' removes them",
                lambda: _remove(left),
            )


def _move(path: Path) -> None:
    move_odd(path.parent, [path.name])


def _end_kernel(folder: Path, pid: int) -> None:
    kill_tree(pid)
    kill_leftovers(pid, str(folder))
    shutil.rmtree(folder)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        kill_tree(pid)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _kernels_of(server: int) -> list[int]:
    """Return the children of a fork server, without the collector of their output."""
    with suppress(psutil.NoSuchProcess):
        return [one.pid for one in psutil.Process(server).children() if one.name() != COLLECTOR_NAME]
    return []


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0  # removed meanwhile


def _read(path: Path) -> str:
    return read_note(path) or "unknown"


def _size(paths: list[Path]) -> int:
    total = 0
    for one in paths:
        for path in (one, *one.rglob("*")):
            with suppress(OSError):
                total += path.lstat().st_blocks * 512
    return total


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
