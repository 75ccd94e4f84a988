"""Assembly of the service and its components: created from settings, started, and closed even if incomplete."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from msgspec import Struct

from oet_kernel._version import __version__
from oet_kernel.errors import BadConfiguration, ShuttingDown, StoreUnusable
from oet_kernel.events.bus import EventBus
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.kernel_manager.pool import KernelPool
from oet_kernel.maintenance.retention import Retention
from oet_kernel.models import ProcedureSummary
from oet_kernel.oda.base import NoArchive
from oet_kernel.oda.folder import FolderArchive
from oet_kernel.records import About
from oet_kernel.records.source import StoredRuns
from oet_kernel.records.writer import RecordWriter
from oet_kernel.scripts.catalogue import ScriptCatalogue
from oet_kernel.scripts.sources import ScriptSources
from oet_kernel.server.handlers.base import HandlerContext
from oet_kernel.server.metrics import Metrics
from oet_kernel.service.activities import ActivityService
from oet_kernel.service.procedures import ScriptExecutionService
from oet_kernel.settings import Ladder, Limits
from oet_kernel.state.folder import StateFolder
from oet_kernel.store.journal import Journal
from oet_kernel.store.sqlite import Store
from oet_kernel.system import threads


class Settings(Struct, frozen=True, kw_only=True):
    """Settings of the service; described at the options of `OetApp` of the same names."""

    scripts_roots: list[str]
    repositories: list[str]
    max_scripts: int
    abort_script: str
    archive: str
    state_dir: str
    history: int
    max_kernels: int
    keep_failed_seconds: float
    exit_seconds: float
    starting_kernels: int
    fork: bool
    preload: list[str]
    warm_kernels: int
    interrupt_seconds: float
    terminate_seconds: float
    orphan_seconds: float
    exclusive: bool
    kernel_seconds: float
    abort_seconds: float
    announce_lists: bool
    body_limit: int
    heartbeat: float
    listener_bytes: int
    record_bytes: int
    git_seconds: float
    environment_seconds: float
    uv: bool
    keep_checkouts: int
    keep_days: float
    keep_bytes: int
    power_safe: bool

    def check(self) -> None:
        """Check that the configured files and folders exist.

        Raises
        ------
        BadConfiguration
        """
        for root in self.roots:
            if not root.is_dir():
                raise BadConfiguration(f"--scripts-root {root} is not a folder")
        if self.abort_path is not None and not self.abort_path.is_file():
            raise BadConfiguration(f"--abort-script {self.abort_path} is not a file")
        if self.archive_path is not None and not self.archive_path.is_dir():
            raise BadConfiguration(f"--archive {self.archive_path} is not a folder")

    @property
    def state_path(self) -> Path:
        """Path of the state folder."""
        return Path(self.state_dir).expanduser()

    @property
    def roots(self) -> list[Path]:
        """Folders that scripts may come from."""
        return [Path(root).expanduser() for root in self.scripts_roots]

    @property
    def abort_path(self) -> Path | None:
        """Path of the abort script; None without one."""
        return Path(self.abort_script).expanduser() if self.abort_script else None

    @property
    def archive_path(self) -> Path | None:
        """Folder of scheduling block definitions; None without one."""
        return Path(self.archive).expanduser() if self.archive else None

    @property
    def limits(self) -> Limits:
        """Limits for the use cases."""
        return Limits(
            history=self.history,
            kernels=self.max_kernels,
            ladder=self.ladder,
            kernel_deadline=self.kernel_seconds,
            exit_deadline=self.exit_seconds,
            keep_failed=self.keep_failed_seconds,
            exclusive=self.exclusive,
            abort_script=self.abort_path,
            abort_deadline=self.abort_seconds,
            announce_lists=self.announce_lists,
        )

    @property
    def ladder(self) -> Ladder:
        """Duration of each step of a stop."""
        return Ladder(self.interrupt_seconds, self.terminate_seconds)


class Assembly:
    """Service and its components, from taking the state folder until it is closed.

    Parameters
    ----------
    settings
        Settings of the service.

    Raises
    ------
    BadConfiguration, StateFolderInUse, StoreTooNew, StoreUnusable, OSError
        When the service cannot be created; nothing is held then.
    """

    def __init__(self, settings: Settings) -> None:
        settings.check()
        threads.start_all()
        self.state = StateFolder(settings.state_path)
        try:
            store = Store(self.state.layout.database, power_safe=settings.power_safe)
        except BaseException:
            self.state.close()
            raise
        self.bus = EventBus(store.last_seq())
        self.journal = Journal(store, self.bus.deliver)
        self._kernels = _kernels(settings, self.state)
        sources = ScriptSources(
            settings.state_path,
            settings.roots,
            settings.git_seconds,
            settings.environment_seconds,
            settings.keep_checkouts,
            uv=settings.uv,
            repositories=settings.repositories,
        )
        self.service = ScriptExecutionService(
            self.state, self.journal, sources, self._kernels, self.bus, "", settings.limits
        )
        catalogue = ScriptCatalogue(settings.roots, settings.max_scripts)
        definitions = FolderArchive(settings.archive_path) if settings.archive_path else NoArchive()
        self._activities = ActivityService(
            self.service,
            definitions,
            settings.state_path,
            self.journal,
            self.bus,
            catalogue,
            announce_lists=settings.announce_lists,
        )
        self._runs = StoredRuns(store, lambda: self.service.base_url)
        self._records = RecordWriter(self.state.layout.records, self._runs, _about, settings.record_bytes)
        self.bus.tap(self._records.heard)
        self._retention = Retention(self.journal, self._records, settings.keep_days, settings.keep_bytes)
        self._history = settings.history
        self._metrics = Metrics(self.service, self.bus, self.journal)
        self.context = HandlerContext(
            service=self.service,
            activities=self._activities,
            journal=self.journal,
            catalogue=catalogue,
            bus=self.bus,
            records=self._records,
            heartbeat=settings.heartbeat,
            queue_bytes=settings.listener_bytes,
        )
        """Components for request handlers."""

    async def start(self, url: str) -> None:
        """Restore the previous service's activities and procedures, and start background work and metrics.

        Parameters
        ----------
        url
            URL of the API root.
        """
        self.service.base_url = url
        self._kernels.open()
        await self._activities.resume()
        await self.service.resume()
        self._records.revisit(await self._runs.newest(self._history))
        self._retention.start()
        self._metrics.register()

    async def close(self, *, leave: bool) -> None:
        """Close every stream and release the state folder; every step is tried, even after one has failed.

        Parameters
        ----------
        leave
            Whether procedures go on, for the next service to restore.
        """
        async with AsyncExitStack() as steps:  # the last first
            steps.callback(lambda: self.state.close(keep_runtime=leave and bool(self.state.kernel_folders())))
            steps.callback(self.bus.close)
            steps.push_async_callback(self.journal.close)
            steps.push_async_callback(self._records.close)
            steps.push_async_callback(self._settle)
            steps.push_async_callback(self._retention.stop)
            steps.push_async_callback(self.service.detach if leave else self.service.close)
            steps.callback(self._metrics.unregister)

    async def _settle(self) -> None:
        with suppress(StoreUnusable):  # the journal reports at its close what cannot be written
            await self.journal.settled()


class SharedService:
    """Service shared by all requests, created once: at the first request for it, or before.

    Parameters
    ----------
    settings
        Settings of the service.
    url
        Returns the URL of the API root; called when the server knows its port.
    on_started
        Called when the service has started.
    """

    def __init__(self, settings: Settings, url: Callable[[], str], on_started: Callable[[], None]) -> None:
        self._settings = settings
        self._url = url
        self._on_started = on_started
        self._assembly: Assembly | None = None
        self._starting: asyncio.Task[HandlerContext] | None = None
        self._closing = False

    @property
    def opened(self) -> HandlerContext | None:
        """Components for request handlers; None until the service is created."""
        return None if self._assembly is None else self._assembly.context

    def make(self) -> None:
        """Create the service, and take its state folder; raises as `Assembly` does."""
        if self._closing:
            raise ShuttingDown("The server is shutting down and takes no new procedures")
        if self._assembly is None:
            self._assembly = Assembly(self._settings)

    async def open(self) -> HandlerContext:
        """Return the components for request handlers; create and start the service if needed.

        Raises
        ------
        OetError
            As for `Assembly`, and when the server is shutting down.
        """
        if self._starting is None:
            self.make()
            self._starting = asyncio.create_task(self._start())  # noqa: TID251 - its failure is each request's answer
        return await asyncio.shield(self._starting)

    async def _start(self) -> HandlerContext:
        assert self._assembly is not None
        await self._assembly.start(self._url())
        self._on_started()
        return self._assembly.context

    async def close(self, *, leave: bool) -> None:
        """Close the service as far as it was created; see `Assembly.close`."""
        self._closing = True
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        if self._assembly is not None:
            await self._assembly.close(leave=leave)


def _kernels(settings: Settings, state: StateFolder) -> KernelPool:
    preload = [name.strip() for names in settings.preload for name in names.split(",") if name.strip()]
    return KernelPool(
        state,
        warm=settings.warm_kernels,
        starting=settings.starting_kernels,
        ladder=settings.ladder,
        start_deadline=settings.kernel_seconds,
        fork_server=ForkServerSupervisor(state.runtime, preload, orphan_seconds=settings.orphan_seconds)
        if settings.fork
        else None,
        orphan_seconds=settings.orphan_seconds,
    )


def _about(summary: ProcedureSummary) -> About:
    """Return the details that a procedure's record adds: the service's version, and the address of the events."""
    return About(service=f"oet-kernel {__version__}", events=f"{summary.uri}/events")
