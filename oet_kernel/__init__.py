"""Run observing scripts remotely, each in a Jupyter kernel of its own.

Only the version and the hooks that Jupyter and IPython look for live here; each imports what it needs when it is
called, so that importing this package costs nothing.
"""

from oet_kernel._version import __version__ as __version__


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Tell Jupyter Server which application serves this extension."""
    from oet_kernel.server.app import OetApp

    return [{"module": "oet_kernel.server.app", "app": OetApp}]


def load_ipython_extension(shell: object) -> None:
    """Bring the magics to a notebook: ``%load_ext oet_kernel``."""
    from oet_kernel.magics import load

    load(shell)


def unload_ipython_extension(shell: object) -> None:
    """Take the magics away again: ``%unload_ext oet_kernel``."""
    from oet_kernel.magics import unload

    unload(shell)
