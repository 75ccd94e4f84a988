"""How a kernel is started: with this package's interpreter, or with that of a script's environment."""

import sys
import sysconfig
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

NAME = "oet-provisioner"
"""The provisioner's entry point."""
_START = "import sys; sys.path.extend({paths!r}); from {module} import main; main()"


def kernel_spec(python: Path | None = None) -> KernelSpec:
    """Describe the start of our kernel.

    Parameters
    ----------
    python
        Interpreter of another environment; None for this one.
    """
    return KernelSpec(
        argv=[*python_command("oet_kernel.kernel.__main__", python), "-f", "{connection_file}"],
        display_name="OET procedure",
        language="python",
        metadata={
            "supported_encryption": ["curve"],
            "kernel_provisioner": {"provisioner_name": NAME},
        },
    )


def python_command(module: str, python: Path | None = None) -> list[str]:
    """Give the beginning of a command line that calls the ``main`` of a module of this package.

    Parameters
    ----------
    module
        Its name.
    python
        Interpreter of another environment; None for this one. That environment need not have this package: what it
        lacks is taken from where this package and its dependencies are installed, behind everything of its own.
    """
    start = ["-m", module] if python is None else ["-c", _START.format(paths=_own_paths(), module=module)]
    # -P: the folder that the service happens to be in is no place for a script to import from
    return [str(python or sys.executable), "-P", *start]


def _own_paths() -> list[str]:
    package = Path(__file__).parents[2]
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([str(package), paths["purelib"], paths["platlib"]]))


class OneSpec(KernelSpecManager):
    """Gives a kernel manager one kernelspec, whatever name it asks for; nothing need be installed."""

    def __init__(self, spec: KernelSpec) -> None:
        super().__init__()
        self._spec = spec

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Give the one there is."""
        return self._spec
