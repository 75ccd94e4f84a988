"""Checks and repairs of ``oet doctor`` in a state folder, with or without a running service.

The database is opened read-only. Repairs are made only while the folder's lock is held, so that no service works there
meanwhile; anything that a service repairs at its start is reported, but not as a problem.

What is examined is in `oet_kernel.maintenance.checks`, a module for each subject.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from oet_kernel.errors import StoreUnusable
from oet_kernel.maintenance.checks.database import DATABASE, open_database
from oet_kernel.maintenance.checks.files import FILES
from oet_kernel.maintenance.checks.kernels import KERNELS
from oet_kernel.maintenance.checks.records import RECORDS
from oet_kernel.maintenance.checks.runtime import RUNTIME
from oet_kernel.maintenance.checks.scripts import SCRIPTS
from oet_kernel.maintenance.disk import note_in
from oet_kernel.maintenance.findings import RECOVER, Finding, Observation, Site, problem
from oet_kernel.state.layout import Layout


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
        self._site = Site(Layout(folder))
        self._fix = fix
        self._findings: list[Finding] = []

    def examine(self) -> list[Finding]:
        """Run all checks; return the findings in their order."""
        site = self._site
        if not site.folder.is_dir():
            self._add(Observation("folder", f"There is no state folder {site.folder}; the first service makes it"))
            return self._findings
        with self._lock():
            self._take(FILES.run(site))
            self._examine_database()
            self._take(RUNTIME.run(site))
            self._take(SCRIPTS.run(site))
        return self._findings

    def _examine_database(self) -> None:
        store, observation = open_database(self._site)
        self._add(observation)
        if store is None:
            return
        try:
            for checks in (DATABASE, KERNELS, RECORDS):
                self._take(checks.run(self._site, store))
        except StoreUnusable as error:
            self._add(problem("database", error.message, RECOVER))
        finally:
            store.close()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Check whether a service is running, and hold the lock so that none can start during repairs."""
        site = self._site
        path = site.paths.lock
        if not path.exists():
            self._add(Observation("lock", "No service has used this folder yet"))
            yield
            return
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            site.served = True
            self._add(Observation("lock", f"Service process {note_in(site.paths.owner)} is using this folder"))
            yield
            return
        except OSError as error:
            self._add(problem("lock", f"{path} cannot be used: {error}", RECOVER))
            site.served = True  # it is unknown
            yield
            return
        try:
            self._add(Observation("lock", "No service is using this folder"))
            yield
        finally:
            lock.release()

    def _take(self, observations: Iterator[Observation]) -> None:
        for observation in observations:
            self._add(observation)

    def _add(self, observation: Observation) -> None:
        """Add a finding, after its repair if that is requested and possible."""
        remedy, mended = observation.remedy, False
        if observation.mend is not None and self._fix and not self._site.served:
            try:
                observation.mend()
            except OSError as error:
                remedy = f"{remedy} (the repair failed: {error})"
            else:
                mended = True
        self._findings.append(
            Finding(
                about=observation.about,
                text=observation.text,
                problem=observation.problem and not mended,
                remedy=remedy,
                mended=mended,
            )
        )
