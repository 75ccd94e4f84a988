"""The kernel's start in two halves: what costs most in a fork server, once; the rest in each kernel that it forks.

ipykernel's `IPKernelApp.initialize` is one method; here its steps are the same and in the same order, but cut where the
first socket, thread or session would be made, since none of these survives a fork.
"""

import sys
from collections.abc import Callable
from typing import Any

from ipykernel.compiler import XCachingCompiler
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.application import BaseIPythonApplication

from oet_kernel.kernel.app import OetKernelApp
from oet_kernel.kernel.launch import Launch


class ForkedKernelApp(OetKernelApp):
    """A kernel application that is prepared in one process and finished in its children."""

    def prepare(self) -> None:
        """Do what every kernel does alike: configuration, and the interactive shell."""
        BaseIPythonApplication.initialize(self, ["--HistoryManager.enabled=False"])
        self.init_pdb()
        ours = sys.modules["__main__"]
        self._shell = ZMQInteractiveShell.instance(
            parent=self,
            profile_dir=self.profile_dir,
            user_module=None,
            user_ns=None,
            kernel=None,
            compiler_class=XCachingCompiler,
        )
        self._kernel_main = sys.modules["__main__"]
        sys.modules["__main__"] = ours
        if self._trait_values.get("session") is not None:
            raise RuntimeError("A Jupyter session was made before the fork: it would refuse to send in the children")

    @property
    def exit_handler(self) -> Callable[[], None]:
        """What the shell does at the end of the process."""
        return self._shell.atexit_operations  # type: ignore[no-any-return]

    def init_environment(self) -> None:
        """Set the environment variables that the shell sets when it is made: in one kernel, after its own are set."""
        self._shell.init_environment()

    def finish(self, launch: Launch) -> None:
        """Do what belongs to one kernel: sockets, threads, streams.

        Parameters
        ----------
        launch
            What it was asked for.
        """
        sys.modules["__main__"] = self._kernel_main
        self.connection_file = launch.connection_file
        self.journal_folder = launch.journal_folder
        self.orphan_seconds = launch.orphan_seconds
        self.parent_handle = 0
        self.init_blackhole()
        self.init_connection_file()
        self.init_sockets()
        self.init_heartbeat()
        self.write_connection_file()
        self.init_io()
        self.init_signal()
        self.init_kernel()
        self._adopt_shell()
        self.init_path()
        self.init_shell()
        self.init_gui_pylab()
        self.init_extensions()
        self.init_code()
        self.begin()

    def _adopt_shell(self) -> None:
        """Give the shell, which was made without a kernel, the kernel that was made with it."""
        shell: Any = self._shell
        shell.parent = shell.kernel = self.kernel
        for part in (shell.displayhook, shell.display_pub):
            part.parent = shell
        self.kernel.user_ns = shell.user_ns
