"""Magics for notebooks: ``%load_ext oet_kernel``."""

from IPython.core.interactiveshell import InteractiveShell

from oet_kernel.magics.completion import matcher
from oet_kernel.magics.magic import OetMagics

_MATCHER = "oet_matcher"


def load(shell: InteractiveShell) -> None:
    """Register the magics and their completion.

    Parameters
    ----------
    shell
        Shell of a notebook's kernel, or of a terminal.
    """
    unload(shell)
    magics = OetMagics(shell)
    shell.register_magics(magics)
    shell.Completer.custom_matchers.append(matcher(magics.session))


def unload(shell: InteractiveShell) -> None:
    """Remove the magics, and stop their background work; procedures go on.

    Parameters
    ----------
    shell
        As for `load`.
    """
    magics = shell.magics_manager.registry.pop(OetMagics.__name__, None)
    if magics is None:
        return
    magics.session.close()
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [one for one in matchers if getattr(one, "__name__", "") != _MATCHER]
