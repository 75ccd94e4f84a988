"""Routes of the API: every path, with its handler."""

from oet_kernel.server.handlers import (
    about,
    activities,
    archive,
    kernels,
    pausing,
    procedures,
    records,
    scripts,
    stream,
)
from oet_kernel.server.handlers.base import OetHandler

_RESOURCES = (procedures, pausing, kernels, records, archive, activities, scripts, stream, about)


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """Return paths and handlers of all resources under an API root, given as a pattern with one group."""
    return [route for resource in _RESOURCES for route in resource.routes(root)]
