"""Components that all executions of a service share."""

from msgspec import Struct

from oet_kernel.kernel_manager.session import KernelSource
from oet_kernel.scripts.sources import ScriptSources
from oet_kernel.service.publisher import EventPublisher
from oet_kernel.settings import Limits
from oet_kernel.store.journal import Journal


class Components(Struct, frozen=True):
    """Components that all executions of a service share."""

    journal: Journal
    publisher: EventPublisher
    sources: ScriptSources
    kernels: KernelSource
    limits: Limits
    """Limits configured by the operator."""
