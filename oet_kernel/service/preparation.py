"""Preparation of one procedure, from CREATING to READY: environment, kernel, script."""

import asyncio
import time
import traceback
from collections.abc import Coroutine
from pathlib import Path

from oet_kernel import procedure as lifecycle
from oet_kernel import topics
from oet_kernel.errors import MalformedRequest
from oet_kernel.events.mapping import announce
from oet_kernel.kernel_manager.session import KernelSession
from oet_kernel.models import GitScript, ProcedureState
from oet_kernel.protocol import PrepareRequest
from oet_kernel.scripts.catalogue import check_fetched
from oet_kernel.scripts.sources import Fetched
from oet_kernel.service.components import Components
from oet_kernel.service.kernel_link import KernelLink
from oet_kernel.service.kernel_messages import KernelMessages
from oet_kernel.service.stored_procedure import StoredProcedure
from oet_kernel.system.supervision import supervise
from oet_kernel.system.threads import SCRIPTS


class Preparation:
    """Preparation of one procedure; an error makes the procedure FAILED.

    Parameters
    ----------
    stored
        Procedure to prepare.
    link
        Receives the kernel.
    messages
        Handles the kernel's messages.
    components
        Sources of scripts and kernels.
    """

    def __init__(
        self, stored: StoredProcedure, link: KernelLink, messages: KernelMessages, components: Components
    ) -> None:
        self.planned = stored.row.main if stored.row.autostart else None
        """Arguments that its start is going to call ``main`` with; None if unknown."""
        self._stored = stored
        self._link = link
        self._messages = messages
        self._journal = components.journal
        self._sources = components.sources
        self._kernels = components.kernels
        self._kernel_deadline = components.limits.kernel_deadline
        self._exit_deadline = components.limits.exit_deadline
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to prepare the procedure."""
        self._begin(self._bring_up())

    def go_on(self, kernel: KernelSession) -> None:
        """Go on with the preparation that an earlier service began.

        Parameters
        ----------
        kernel
            Adopted kernel of the procedure.
        """
        self._begin(self._hand_over_script(kernel))

    async def cancel(self) -> None:
        """Cancel the preparation, and wait until it has ended."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._task = supervise(f"preparing procedure {self._stored.id}", self._guarded(work))

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:
            self._stored.learn(lifecycle.Failed(time.time(), "".join(traceback.format_exception(error))))

    async def _bring_up(self) -> None:
        script = self._stored.procedure.script
        python: Path | None = None
        if isinstance(script, GitScript) and script.create_env:
            self._stored.learn(lifecycle.EnvironmentStarted(time.time()))
            python = (await self._fetch()).python
            self._stored.learn(lifecycle.EnvironmentFinished(time.time()))
        self._link.session = kernel = self._kernels.get(python)
        self._link.save()  # the address is stored before a process runs there, so that it is always found again
        if not kernel.alive:
            await self._journal.written()
        self._messages.attach(kernel)
        if not await self._kernels.start(kernel):
            return
        self._link.save()
        await self._hand_over_script(kernel)

    async def _hand_over_script(self, kernel: KernelSession) -> None:
        """Fetch the script, and send the kernel the request to prepare it."""
        stored, script = self._stored, self._stored.procedure.script
        if not await kernel.ready(self._kernel_deadline):
            return
        begun = stored.state is ProcedureState.LOADING  # an earlier service has received it; it is not sent again
        stored.learn(lifecycle.KernelReady(time.time()))  # a warm kernel has reported it before
        if isinstance(script, GitScript):
            stored.learn(lifecycle.LoadStarted(time.time()))
        path = Path(stored.row.path) if stored.row.path else (await self._fetch()).path
        if self.planned is not None and isinstance(script, GitScript):  # other scripts were checked at the request
            try:
                await SCRIPTS.run(check_fetched, path, self.planned)
            except MalformedRequest as error:
                why = f"{error.type}: {error.message}; init was not called"
                stored.learn(lifecycle.Failed(time.time(), why))
                return
        await self._journal.written()  # from here on the script acts: a running procedure must be stored
        pause = stored.procedure.pause
        if pause is not None and pause.pending == "pause":  # accepted while no kernel could be told
            await self._link.pausing.pause(kernel, pause.at, pause.who)
        request = PrepareRequest(
            stored.id,
            str(path),
            stored.procedure.calls["init"],
            exit_seconds=self._exit_deadline,
            kernel=script.kernel,
            own_folder=script.own_folder,
            working_folder=script.working_folder,
        )
        self._link.begin("load", request, again=begun)

    async def _fetch(self) -> Fetched:
        script, repository = self._stored.procedure.script, self._stored.row.repository
        fetched = await self._sources.fetch(self._stored.id, script, repository, self._report)
        self._stored.update(path=str(fetched.path), commit=fetched.commit)
        return fetched

    def _report(self, line: str) -> None:
        self._stored.publish(announce(topics.ENVIRONMENT_LOG, str(self._stored.id), text=line))
