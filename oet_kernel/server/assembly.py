"""The service with all that it stands on: made from its settings, started, and ended, whatever of it is there."""

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
    """What the service can be told; the options of `OetApp` of the same names, which describe each."""

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
        """Refuse what names something that is not there.

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
        """The state folder."""
        return Path(self.state_dir).expanduser()

    @property
    def roots(self) -> list[Path]:
        """The folders that scripts may come from."""
        return [Path(root).expanduser() for root in self.scripts_roots]

    @property
    def abort_path(self) -> Path | None:
        """The abort script; None without one."""
        return Path(self.abort_script).expanduser() if self.abort_script else None

    @property
    def archive_path(self) -> Path | None:
        """The folder of scheduling block definitions; None without one."""
        return Path(self.archive).expanduser() if self.archive else None

    @property
    def limits(self) -> Limits:
        """What the use cases have to keep to."""
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
        """How long each rung of a stop may take."""
        return Ladder(self.interrupt_seconds, self.terminate_seconds)


class Assembly:
    """The service, and what it stands on; from when it has the state folder until it is closed.

    Parameters
    ----------
    settings
        What it was told.

    Raises
    ------
    BadConfiguration, StateFolderInUse, StoreTooNew, StoreUnusable, OSError
        When it cannot work; nothing is held then.
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
        """What handlers work with."""

    async def start(self, url: str) -> None:
        """Take up what an earlier service has left, and begin to work.

        Parameters
        ----------
        url
            API root.
        """
        self.service.base_url = url
        self._kernels.open()
        await self._activities.resume()
        await self.service.resume()
        self._records.revisit(await self._runs.newest(self._history))
        self._retention.start()
        self._metrics.register()

    async def close(self, *, leave: bool) -> None:
        """End every stream and leave the state folder to the next service; each step is tried, whichever has failed.

        Parameters
        ----------
        leave
            Whether procedures are left at work, for the next service to take up.
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
        with suppress(StoreUnusable):  # what cannot be written is told by the journal, when it closes
            await self.journal.settled()


class SharedService:
    """One service for all requests, which is made when it is first asked for, or before; and once.

    Parameters
    ----------
    settings
        What it is told.
    url
        Gives the API root, when the server knows its port.
    on_started
        Called when the service works.
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
        """What handlers work with, where the service was made."""
        return None if self._assembly is None else self._assembly.context

    def make(self) -> None:
        """Make the service, and take its state folder; raises what `Assembly` does."""
        if self._closing:
            raise ShuttingDown("The server is shutting down and takes no new procedures")
        if self._assembly is None:
            self._assembly = Assembly(self._settings)

    async def open(self) -> HandlerContext:
        """Give what handlers work with; make and start the service where nobody has yet.

        Raises
        ------
        OetError
            As `Assembly` has it, and when the server is shutting down.
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
        """End the service, as far as it was made; as `Assembly.close` has it."""
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
    """Say what the record of a procedure tells besides what the procedure has said."""
    return About(service=f"oet-kernel {__version__}", events=f"{summary.uri}/events")
