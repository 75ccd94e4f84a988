"""Kernelspec and command lines of kernels: with this package's interpreter, or with that of a script's environment."""

import sys
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

from oet_kernel.system.threads import SCRIPTS

NAME = "oet-provisioner"
"""Name of the provisioner's entry point."""
_START = "import sys; sys.path.insert(0, {first!r}); sys.path.append({last!r}); from {module} import main; main()"


def kernel_spec(python: Path | None = None) -> KernelSpec:
    """Return the kernelspec of this project's kernel.

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
    """Return the beginning of a command line that calls the ``main`` of a module of this package.

    Parameters
    ----------
    module
        Dotted name.
    python
        Interpreter of another environment; None for this one. The environment may lack this package: missing packages
        come from the folders that `packages.provide` has created.
    """
    start = ["-m", module]
    if python is not None:
        from oet_kernel.system.packages import paths_for  # few scripts have an environment

        paths = paths_for(python)
        start = ["-c", _START.format(first=str(paths.first), last=str(paths.last), module=module)]
    # -P: scripts must not import from the service's working folder
    return [str(python or sys.executable), "-P", *start]


async def provide_packages(python: Path | None) -> None:
    """Create folders with the packages that kernels need and an environment lacks.

    Parameters
    ----------
    python
        Interpreter of the environment; None for this one, which has them all.
    """
    if python is not None:
        from oet_kernel.system.packages import provide  # few scripts have an environment

        await SCRIPTS.run(provide, python)


class OneSpec(KernelSpecManager):
    """Kernelspec manager with one kernelspec, returned for any name; nothing need be installed."""

    def __init__(self, spec: KernelSpec) -> None:
        super().__init__()
        self._spec = spec

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the one kernelspec, whatever the name."""
        return self._spec
