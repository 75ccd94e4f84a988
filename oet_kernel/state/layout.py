"""Paths in a state folder."""

from pathlib import Path

from msgspec import Struct

LOCK = "lock"
KERNELS = "kernels"
RECORDS = "records"
ACTIVITIES = "activities"
REPOSITORIES = "repositories"
ENVIRONMENTS = "environments"
CHECKOUTS = "checkouts"
SET_ASIDE = "set-aside"
_OWNER = "lock.pid"
_RUNTIME = "runtime"
_NEW_RUNTIME = "runtime.new"
DATABASE = "oet.sqlite"
_COOKIE_SECRET = "cookie_secret"

FILES = (LOCK, _OWNER, _RUNTIME, _NEW_RUNTIME, DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
"""Names of regular files."""
FOLDERS = (KERNELS, RECORDS, ACTIVITIES, REPOSITORIES, ENVIRONMENTS, CHECKOUTS, SET_ASIDE)
"""Names of folders."""


class Layout(Struct, frozen=True):
    """Paths in one state folder, existing or not."""

    folder: Path

    @property
    def lock(self) -> Path:
        """File that a running service keeps locked."""
        return self.folder / LOCK

    @property
    def owner(self) -> Path:
        """File with the process id of the service that has the lock, or had it last."""
        return self.folder / _OWNER

    @property
    def runtime(self) -> Path:
        """File with the path of the folder of sockets."""
        return self.folder / _RUNTIME

    @property
    def new_runtime(self) -> Path:
        """Temporary name of that file while it is written."""
        return self.folder / _NEW_RUNTIME

    @property
    def database(self) -> Path:
        """File of SQLite; its ``-wal`` and ``-shm`` files are beside it."""
        return self.folder / DATABASE

    @property
    def cookie_secret(self) -> Path:
        """File with the key for signing login cookies."""
        return self.folder / _COOKIE_SECRET

    @property
    def kernels(self) -> Path:
        """Folder with a folder for each kernel; `oet_kernel.protocol` has the names in it."""
        return self.folder / KERNELS

    @property
    def records(self) -> Path:
        """Folder with a notebook for each procedure."""
        return self.folder / RECORDS

    @property
    def activities(self) -> Path:
        """Folder with the scheduling blocks of activities."""
        return self.folder / ACTIVITIES

    @property
    def repositories(self) -> Path:
        """Folder with a copy of each git repository."""
        return self.folder / REPOSITORIES

    @property
    def environments(self) -> Path:
        """Folder with an environment for each set of dependencies."""
        return self.folder / ENVIRONMENTS

    @property
    def checkouts(self) -> Path:
        """Folder with the checkouts of procedures, each named by its id."""
        return self.folder / CHECKOUTS

    @property
    def set_aside(self) -> Path:
        """Folder with data that could not be handled."""
        return self.folder / SET_ASIDE
