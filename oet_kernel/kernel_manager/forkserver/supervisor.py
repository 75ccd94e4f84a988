"""The service's side of the fork server: taken over or started with the service, restarted when it dies."""

import asyncio
import hashlib
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec

from oet_kernel._version import __version__
from oet_kernel.kernel_manager.exit_status import ExitStatuses
from oet_kernel.kernel_manager.forkserver.client import END_DEADLINE, Forked, ForkServerConnection, ForkServerDown
from oet_kernel.kernel_manager.specs import provide_packages, python_command
from oet_kernel.system.children import inherited
from oet_kernel.system.process_context import Bounds, activated, at_start, different_at_start
from oet_kernel.system.supervision import supervise
from oet_kernel.system.threads import PROCESSES

log = logging.getLogger(__name__)

START_DEADLINE = 60.0
"""Seconds within which a fork server must start, its imports and those of the operator included."""
_PACKAGE = Path(__file__).parents[2]


class ForkServerSupervisor:
    """Keeps a fork server running, in a session of its own: the fork server and its kernels outlive the service.

    Parameters
    ----------
    folder
        A private folder for socket and log; the next service uses the same folder, and takes the fork server over.
    preload
        Modules that the fork server imports besides those that every kernel needs.
    python
        Interpreter of the environment of the kernels; None for the service's own.
    orphan_seconds
        Seconds without a service and without a kernel after which the fork server ends itself; 0 for no limit.
    exit_statuses
        Receives the exit statuses of kernels; None to create one.
    """

    def __init__(
        self,
        folder: Path,
        preload: Sequence[str] = (),
        python: Path | None = None,
        orphan_seconds: float = 0,
        exit_statuses: ExitStatuses | None = None,
    ) -> None:
        self.exit_statuses = exit_statuses or ExitStatuses()
        self._python = python
        self._folder = folder
        self._preload = preload
        self._orphan_seconds = orphan_seconds
        self._environment = activated(inherited(), python)
        self._bounds = Bounds.now()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: ForkServerConnection | None = None
        self._looked = asyncio.Event()
        self._ready = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self.socket = folder / f"fork-{self._key()}.sock"
        """Path of the socket, with a hash of all settings of the fork server: one with other settings is never used."""

    def _key(self) -> str:
        newest = max(path.stat().st_mtime_ns for path in _PACKAGE.rglob("*.py"))
        start = {name: self._environment[name] for name in sorted(at_start(self._environment))}
        python = str(self._python or sys.executable)
        parts = [__version__, newest, python, self._preload, self._orphan_seconds, start, self._bounds]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:12]

    def sibling(self, python: Path) -> Self:
        """Create a supervisor for another environment.

        Parameters
        ----------
        python
            Interpreter of the environment. `preload` does not apply there, since its modules may be missing.
        """
        return type(self)(self._folder, (), python, self._orphan_seconds, self.exit_statuses)

    @property
    def busy(self) -> bool:
        """True while the fork server has kernels."""
        return self._connection is not None and self._connection.busy

    @property
    def running(self) -> bool:
        """True when the fork server accepts requests for kernels."""
        return self._ready.is_set()

    def start(self) -> None:
        """Start to take over or launch the fork server; kernels are started plainly until it is ready."""
        if self._life is None:
            self._life = supervise("the fork server", self._run())

    async def looked(self) -> None:
        """Wait until the fork server of an earlier service, if there is one, has listed its kernels."""
        await self._looked.wait()

    async def ready(self) -> None:
        """Wait until the fork server is ready, or its start has failed."""
        if self._life is not None:
            waits = [asyncio.ensure_future(self._ready.wait()), self._life]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            waits[0].cancel()

    def obstacle(self, environment: dict[str, str]) -> str | None:
        """Return why a kernel with these environment variables, and this process's bounds, cannot be forked.

        Parameters
        ----------
        environment
            All of its environment variables.

        Returns
        -------
        str or None
            The reason; None when the kernel can be forked.
        """
        if not self.running:
            return "the fork server is not running"
        if changed := different_at_start(self._environment, environment):
            return f"{', '.join(changed)} changed since the fork server was started, which reads it only at its start"
        if Bounds.now() != self._bounds:
            return "umask, niceness or resource limits changed since the fork server was started"
        return None

    async def fork(self, argv: Sequence[str], folder: str, environment: dict[str, str], stdio: str) -> Forked:
        """Fork a kernel.

        Parameters
        ----------
        argv
            The kernel's command line, with the paths of its connection file and journal folder.
        folder
            Working folder of the kernel.
        environment
            All environment variables of the kernel.
        stdio
            File for the output of the process outside the journal, which is appended.

        Raises
        ------
        ForkServerDown
            When the fork server is not running, or dies meanwhile.
        """
        if self._connection is None or not self.running:
            raise ForkServerDown("the fork server is not running")
        return await self._connection.fork(argv, folder, environment, stdio)

    async def close(self, deadline: float = END_DEADLINE) -> None:
        """End the fork server and all its kernels.

        Parameters
        ----------
        deadline
            Seconds until a fork server that does not end is killed.
        """
        await self._let_go()
        if self._connection is not None:
            await self._connection.end(deadline)
        elif self._process is not None and self._process.returncode is None:
            self._process.kill()  # not yet ready, so without kernels
        if self._process is not None:
            await PROCESSES.run(self._process.wait)

    async def detach(self) -> None:
        """Leave the fork server and its kernels to the next service; end a fork server without kernels."""
        if self._connection is None or not self._connection.busy:
            await self.close()
            return
        await self._let_go()
        self._connection.close()
        if self._process is not None:
            self._process.returncode = self._process.poll() or 0  # avoids the ResourceWarning about a running process

    async def _let_go(self) -> None:
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait([self._life])
        self._ready.clear()

    async def _run(self) -> None:
        """Connect to the fork server or start it, and restart it whenever it dies; give up when it does not come up."""
        try:
            if self.socket.exists():
                self._connection = await ForkServerConnection.connect(self.socket, self.exit_statuses)
        except ForkServerDown as error:
            log.info("A new fork server is started: %s", error)
        finally:
            self._looked.set()
        while True:
            if self._connection is None:
                try:
                    async with asyncio.timeout(START_DEADLINE):
                        self._connection = await self._launch()
                except Exception as error:  # any failure, even of starting a thread: kernels start without it
                    why = "no answer in time" if isinstance(error, TimeoutError) else error
                    log.warning("Kernels are started without the fork server, which takes longer: %s", why)
                    if self._process is not None:
                        self._process.kill()
                        await PROCESSES.run(self._process.wait)
                    return
            self._ready.set()
            await self._connection.closed.wait()
            self._ready.clear()
            self._connection = None
            if self._process is not None:
                await PROCESSES.run(self._process.wait)
            log.warning("The fork server has ended, and is restarted")

    async def _launch(self) -> ForkServerConnection:
        await provide_packages(self._python)
        argv = python_command("oet_kernel.kernel_manager.forkserver.server", self._python)
        argv += ["--socket", str(self.socket), "--preload", ",".join(self._preload)]
        argv += ["--orphan-seconds", f"{self._orphan_seconds:g}"]
        log_file = self.socket.with_suffix(".log")
        with open(log_file, "wb") as stderr:  # noqa: ASYNC230 - a new file in our own folder
            self._process = subprocess.Popen(  # noqa: ASYNC220 - does not wait
                argv,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            if not await PROCESSES.run(stdout.readline):
                said = log_file.read_text(errors="replace").strip().splitlines()
                raise ForkServerDown(f"the fork server did not start: {said[-1] if said else 'no output'}")
        return await ForkServerConnection.connect(self.socket, self.exit_statuses)
