"""Sessions of kernels on another machine, for the service's tests: no folder, no process here, records from memory."""

import asyncio
from pathlib import Path

import pytest

from oet_kernel.errors import KernelSilent
from oet_kernel.kernel_manager.delivery import RecordDelivery
from oet_kernel.kernel_manager.exit_status import Ending
from oet_kernel.kernel_manager.kernel_state import Adopted, Asked, Detached, Launched, Life, Reached
from oet_kernel.kernel_manager.last_words import LastWords, describe_end
from oet_kernel.kernel_manager.life import KernelLife
from oet_kernel.kernel_manager.session import KernelIdentity, KernelLocation
from oet_kernel.models import Connection
from oet_kernel.protocol import PrepareRequest, RunRequest
from oet_kernel.settings import KERNEL_DEADLINE
from oet_kernel.system.supervision import supervise
from tests.service.far_kernel import FarHost

REMOTE = "remote"


def anywhere(fixture="bench", places=("local", REMOTE)):
    """Run a test with kernels on this machine, and with kernels on another one."""
    return pytest.mark.parametrize(fixture, places, indirect=True)


class FarJournal:
    """Reader of a far kernel's journal; an offset is a number of records."""

    behind = False

    def __init__(self, host, address, offset):
        self.offset = offset
        self._host, self._address = host, address
        self._bell = asyncio.Event()

    def read(self):
        if self._host.cut or self._address not in self._host.kernels:
            return []
        far = self._host.kernels[self._address]
        if self._bell not in far.bells:
            far.bells.append(self._bell)
        records = far.journal[self.offset :]
        self.offset += len(records)
        return records

    async def rung(self):
        if not self._host.cut:
            await self._bell.wait()
            self._bell.clear()
        await self._host.reachable()


class RemoteKernel:
    """Session of one kernel on another machine."""

    def __init__(self, host: FarHost, address: str, offset: int = 0) -> None:
        self.exit_status: int | None = None
        self.ended_at: float | None = None
        self._host = host
        self._address = address
        self._life = KernelLife()
        self._reader = FarJournal(host, address, offset)
        self._delivery = RecordDelivery(Path(address), self._reader, self._life, LastWords(Path(address)))
        self._tasks: list[asyncio.Task] = []

    @classmethod
    def adopt(cls, host, address, offset, at_work):
        made = cls(host, address, offset)
        far = host.kernels[address]
        made._life.learn(Adopted(far.status is not None, offset > 0, host.abilities, at_work))
        made._begin()
        return made

    @property
    def identity(self):
        return KernelIdentity(REMOTE, self._address, self._host.name.encode() if self.started else None)

    @property
    def location(self):
        return KernelLocation(self._address, self._host.name, None)

    @property
    def started(self):
        return self._life.state.started

    @property
    def alive(self):
        return self._life.state.alive

    @property
    def takes_requests(self):
        return self._life.state.ready

    @property
    def connection(self):
        if not (self.alive and self.takes_requests):
            return None
        return Connection(
            transport="tcp", ip=self._host.name, shell_port=1, iopub_port=2, stdin_port=3, control_port=4, hb_port=5,
            key="guest", signature_scheme="hmac-sha256", kernel_name="oet",
        )  # fmt: skip

    def attach(self, on_records, on_exit, on_fault=lambda error: None):
        self._delivery.attach(on_records, on_exit, on_fault)

    async def start(self):
        await self._host.reachable()
        self._host.start(self._address)
        self._life.learn(Launched())
        self._begin()

    def _begin(self):
        reading = supervise("hearing a far kernel", self._delivery.run())
        self._tasks = [reading, supervise("watching a far kernel", self._watch(reading, not self._life.state.running))]

    async def _watch(self, reading, unwatched):
        far = self._host.kernels[self._address]
        await far.ended.wait()
        await self._host.reachable()
        self.exit_status, self.ended_at = far.status, far.ended_at
        self._life.learn(Reached(Life.GONE))
        self._life.learn(Reached(Life.WRITTEN))
        far.ring()
        await reading
        self._life.learn(Reached(Life.HEARD))
        end = describe_end(Ending(far.status, far.ended_at), far.ended_at, unwatched=unwatched)
        self._delivery.on_exit("\n".join([end, *self._delivery.last_words.lines()]))

    async def ready(self, deadline=KERNEL_DEADLINE):
        if not await self._life.within(deadline, lambda state: state.ready):
            raise self.silent(f"was not ready within {deadline:g} s of its start")
        return self.alive

    def can(self, ability):
        return ability is None or ability in self._life.state.abilities

    def ask(self, request):
        if not self.can(request.needs):
            return
        if isinstance(request, PrepareRequest | RunRequest):
            self._life.learn(Asked("prepare" if isinstance(request, PrepareRequest) else "run"))
        if self._life.state.attached:
            self._host.send(self._address, request)

    def silent(self, what):
        return KernelSilent(f"The kernel {self._address} on {self._host.name} {what}.")

    async def caught_up(self):
        await self._life.until(lambda state: state.caught_up)

    async def heard_out(self):
        if self.started:
            await self._life.until(lambda state: state.heard)

    async def stop(self, ladder):
        ended = await self.end(ladder)
        if ended:
            await self.heard_out()
        return ended

    async def end(self, ladder):
        if not self.alive:
            return True
        life, far = self._life, self._host.kernels[self._address]
        if self._host.cut:
            return False  # nobody can tell
        for seconds in (ladder.interrupt, ladder.terminate):
            if not life.state.idle:
                far.interrupt()
                await life.within(seconds, lambda state: state.idle)
        if self._host.stuck:
            return False
        far.end(0 if life.state.idle else -9)
        return await life.within(ladder.kill, lambda state: state.gone)

    async def detach(self):
        if self._life.state.attached:
            self._life.learn(Detached())
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    async def forget(self):
        self._host.kernels.pop(self._address, None)


class RemoteSource:
    """Source of kernels on another machine."""

    def __init__(self, host: FarHost) -> None:
        self._host = host
        self._given: list[RemoteKernel] = []

    def open(self):
        pass

    def get(self, python):
        return self._give(RemoteKernel(self._host, self._host.address()))

    async def start(self, kernel):
        await kernel.start()
        return await kernel.ready()

    def check(self, identity):
        if identity.kind != REMOTE:
            raise ValueError(f"{identity.address} is of the kind {identity.kind!r}")

    def find(self, identity):
        if identity.address not in self._host.kernels:
            return None
        return KernelIdentity(REMOTE, identity.address, self._host.name.encode())

    def adopt(self, identity, offset, at_work, python=None):
        return self._give(RemoteKernel.adopt(self._host, identity.address, offset, at_work))

    async def sweep(self, known):
        kept = {one.address for one in known}
        for address in [one for one in self._host.kernels if one not in kept]:
            self._host.kernels.pop(address).end(-9)

    async def end(self, identity):
        self._host.kernels[identity.address].end(-9)

    async def close(self):
        pass

    async def detach(self):
        await asyncio.gather(*(kernel.detach() for kernel in self._given))

    def _give(self, kernel):
        self._given.append(kernel)
        return kernel
