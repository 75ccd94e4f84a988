"""Assembly of the service and its components: created from settings, started, and closed even if incomplete."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, suppress

from oet_kernel._version import __version__
from oet_kernel.errors import ShuttingDown, StoreUnusable
from oet_kernel.events.bus import EventBus
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.kernel_manager.pool import KernelPool
from oet_kernel.kernel_manager.session import KernelSource
from oet_kernel.maintenance.retention import Retention
from oet_kernel.models import ProcedureSummary
from oet_kernel.oda.base import NoArchive
from oet_kernel.oda.folder import FolderArchive
from oet_kernel.records import About
from oet_kernel.records.source import StoredRuns
from oet_kernel.records.writer import RecordWriter
from oet_kernel.scripts.catalogue import ScriptCatalogue
from oet_kernel.scripts.sources import ScriptSources
from oet_kernel.server.configuration import Settings
from oet_kernel.server.handlers.base import HandlerContext
from oet_kernel.server.metrics import Metrics
from oet_kernel.service.activities import ActivityService
from oet_kernel.service.attachments import Attachments
from oet_kernel.service.pauses import Pauses
from oet_kernel.service.post_mortem import KeptKernels
from oet_kernel.service.procedures import ScriptExecutionService
from oet_kernel.service.publisher import EventPublisher
from oet_kernel.service.registry import Registry
from oet_kernel.state.folder import StateFolder
from oet_kernel.store.base import Store
from oet_kernel.store.journal import Journal
from oet_kernel.store.set_aside import SetAside
from oet_kernel.store.sqlite import SqliteStore
from oet_kernel.system import threads


class Core:
    """What runs procedures: state folder, store, bus, kernels, and the service over them.

    Parameters
    ----------
    settings
        Settings of the service.
    fork_server
        Fork server of the kernels; None for one of its own, if the settings have one.
    kernels
        Source of kernels; None for those on this machine.

    Raises
    ------
    StateFolderInUse, StoreTooNew, StoreUnusable, OSError
        When it cannot be created; nothing is held then.
    """

    def __init__(
        self,
        settings: Settings,
        fork_server: ForkServerSupervisor | None = None,
        kernels: KernelSource | None = None,
    ) -> None:
        threads.start_all()
        with ExitStack() as held:  # released where what follows cannot be created
            self.state = StateFolder(settings.state_path)
            """State folder, held until `release`."""
            held.callback(self.state.close)
            self.store: Store = SqliteStore(self.state.layout.database, power_safe=settings.power_safe)
            """Store of events and procedures; the journal writes to it."""
            held.callback(self.store.close)
            self.bus = EventBus(self.store.last_seq())
            """Bus of the stored events."""
            self.journal = Journal(self.store, SetAside(self.state.layout.set_aside), self.bus.deliver)
            """Journal of events and states."""
            self.kernels = kernels or kernel_pool(settings, self.state, fork_server)
            """Source of kernels."""
            held.pop_all()
        limits, sources = settings.limits, script_sources(settings)
        self.publisher = EventPublisher(self.journal)
        """Publisher of requests, states and results, whose base URL is still to be set."""
        self.registry = Registry(limits.history)
        """Procedures by id."""
        self.kept = KeptKernels(limits.keep_failed)
        """Kernels of failed procedures."""
        self.service = ScriptExecutionService(
            self.state, self.journal, sources, self.kernels, self.bus, self.publisher, self.registry, self.kept, limits
        )
        """Service that executes scripts."""
        self.attachments = Attachments(self.registry, self.kept, self.journal)
        """Attachments of clients to kernels."""
        self.pauses = Pauses(self.registry, self.publisher, self.journal)
        """Pauses and resumes procedures."""

    async def stop(self, *, leave: bool) -> None:
        """End the service; its procedures go on if `leave` is True, for the next service to restore."""
        await (self.service.detach() if leave else self.service.close())

    async def release(self, *, leave: bool) -> None:
        """Write what is still to be written, close every stream, and release the state folder; after `stop`."""
        async with AsyncExitStack() as steps:  # the last first
            steps.callback(lambda: self.state.close(keep_runtime=leave and bool(self.state.kernel_folders())))
            steps.callback(self.bus.close)
            steps.push_async_callback(self.journal.close)


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
        self._core = core = Core(settings)
        catalogue = ScriptCatalogue(settings.roots, settings.max_scripts)
        self._activities = activity_service(settings, core, catalogue)
        self._runs = stored_runs(core)
        self._records = RecordWriter(core.state.layout.records, self._runs, _about, settings.record_bytes)
        core.bus.tap(self._records.heard)
        self._retention = Retention(core.journal, self._records, settings.keep_days, settings.keep_bytes)
        self._history = settings.history
        self._metrics = Metrics(core.registry, core.bus, core.journal)
        self.context = HandlerContext(
            service=core.service,
            activities=self._activities,
            attachments=core.attachments,
            pauses=core.pauses,
            journal=core.journal,
            catalogue=catalogue,
            bus=core.bus,
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
        self._core.publisher.base_url = url
        self._core.kernels.open()
        await self._activities.resume()
        await self._core.service.resume()
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
            steps.push_async_callback(self._core.release, leave=leave)
            steps.push_async_callback(self._records.close)
            steps.push_async_callback(self._settle)
            steps.push_async_callback(self._retention.stop)
            steps.push_async_callback(self._core.stop, leave=leave)
            steps.callback(self._metrics.unregister)

    async def _settle(self) -> None:
        with suppress(StoreUnusable):  # the journal reports at its close what cannot be written
            await self._core.journal.settled()


def kernel_pool(settings: Settings, state: StateFolder, fork_server: ForkServerSupervisor | None = None) -> KernelPool:
    """Create the source of kernels.

    Parameters
    ----------
    settings
        Settings of the service.
    state
        State folder, in which each kernel has a folder.
    fork_server
        Fork server of the kernels; None for one of its own, if the settings have one.
    """
    if fork_server is None and settings.fork:
        preload = [name.strip() for names in settings.preload for name in names.split(",") if name.strip()]
        fork_server = ForkServerSupervisor(state.runtime, preload, orphan_seconds=settings.orphan_seconds)
    return KernelPool(
        state,
        warm=settings.warm_kernels,
        starting=settings.starting_kernels,
        ladder=settings.ladder,
        start_deadline=settings.kernel_seconds,
        fork_server=fork_server,
        orphan_seconds=settings.orphan_seconds,
    )


def script_sources(settings: Settings) -> ScriptSources:
    """Create the source of scripts."""
    return ScriptSources(
        settings.state_path,
        settings.roots,
        settings.git_seconds,
        settings.environment_seconds,
        settings.keep_checkouts,
        uv=settings.uv,
        repositories=settings.repositories,
    )


def activity_service(settings: Settings, core: Core, catalogue: ScriptCatalogue) -> ActivityService:
    """Create the service of activities; without an archive in the settings, it refuses them."""
    definitions = FolderArchive(settings.archive_path) if settings.archive_path else NoArchive()
    return ActivityService(
        core.service,
        core.publisher,
        definitions,
        settings.state_path,
        core.journal,
        core.bus,
        catalogue,
        announce_lists=settings.announce_lists,
    )


def stored_runs(core: Core) -> StoredRuns:
    """Create the source of runs for their records."""
    return StoredRuns(core.store, lambda: core.publisher.base_url)


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


def _about(summary: ProcedureSummary) -> About:
    """Return the details that a procedure's record adds: the service's version, and the address of the events."""
    return About(service=f"oet-kernel {__version__}", events=f"{summary.uri}/events")
