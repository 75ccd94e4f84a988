"""Run observing scripts remotely, each in a Jupyter kernel of its own.

This module holds only the version and the hooks for Jupyter and IPython; each hook imports its modules when it is
called, so that importing this package is fast.
"""

from oet_kernel._version import __version__ as __version__


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Return the application of this extension for Jupyter Server."""
    from oet_kernel.server.app import OetApp

    return [{"module": "oet_kernel.server.app", "app": OetApp}]


def load_ipython_extension(shell: object) -> None:
    """Register the magics: ``%load_ext oet_kernel``."""
    from oet_kernel.magics import load

    load(shell)


def unload_ipython_extension(shell: object) -> None:
    """Remove the magics: ``%unload_ext oet_kernel``."""
    from oet_kernel.magics import unload

    unload(shell)
