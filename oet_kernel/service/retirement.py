"""Retirement of procedures: what they held is released when they have ended, and the oldest of them are forgotten."""

from oet_kernel.kernel_manager.session import KernelSession
from oet_kernel.models import GitScript
from oet_kernel.scripts.sources import ScriptSources
from oet_kernel.service.background import Background
from oet_kernel.service.execution import Execution
from oet_kernel.service.post_mortem import KeptKernels
from oet_kernel.service.registry import Registry
from oet_kernel.service.resources import Subarrays


class Retirement:
    """Release what procedures held that have ended: subarray, kernel, fetched sources, and a place in the registry.

    Parameters
    ----------
    sources
        Source of scripts.
    registry
        Procedures by id.
    kept
        Kernels of failed procedures.
    subarrays
        Holder of each subarray.
    background
        Runs what nobody awaits.
    kernels
        Maximum number of active procedures together with the kept kernels.
    """

    def __init__(
        self,
        sources: ScriptSources,
        registry: Registry,
        kept: KeptKernels,
        subarrays: Subarrays,
        background: Background,
        kernels: int,
    ) -> None:
        self._sources = sources
        self._registry = registry
        self._kept = kept
        self._subarrays = subarrays
        self._background = background
        self._kernels = kernels

    def retire(self, execution: Execution) -> None:
        """Release the subarray and the kernel of a procedure that has ended, and forget the oldest ended procedures."""
        self._subarrays.release(execution)
        if not self._kept.keep(execution, self._kernels - len(self._registry.active)):
            execution.ending.dismiss()
        if isinstance(execution.procedure.script, GitScript):
            self._background.do(self._retain_sources())
        for forgotten in self._registry.retire(execution):
            self._kept.let_go(forgotten)
            if forgotten.kernel is not None:
                self._background.do(self._forget(forgotten, forgotten.kernel))

    def kernel_ended(self, execution: Execution) -> None:
        """Release the subarray and the kept kernel of a procedure whose kernel has ended."""
        self._kept.let_go(execution)
        self._subarrays.release(execution)

    async def _forget(self, execution: Execution, kernel: KernelSession) -> None:
        await execution.ending.complete()
        await kernel.forget()

    async def _retain_sources(self) -> None:
        """Remove fetched sources that no procedure needs."""
        used = [one.id for one in self._registry if not one.state.inactive or one.link.alive]
        await self._sources.retain(used)
