"""The kernel's start in two halves: the expensive steps once in a fork server, the rest in each forked kernel.

ipykernel's `IPKernelApp.initialize` is one method; here its steps are the same and in the same order, but split before
the first socket, thread or session, since none of these survives a fork.
"""

import sys
from collections.abc import Callable
from typing import Any

from ipykernel.compiler import XCachingCompiler
from IPython.core.application import BaseIPythonApplication

from oet_kernel.kernel.app import OetKernelApp
from oet_kernel.kernel.launch import Launch
from oet_kernel.kernel.shell import OetShell
from oet_kernel.kernel.streams import flush_streams


class ForkedKernelApp(OetKernelApp):
    """A kernel application that is prepared in one process and finished in its children."""

    def prepare(self) -> None:
        """Run the steps that all kernels share: configuration, and the interactive shell."""
        BaseIPythonApplication.initialize(self, ["--HistoryManager.enabled=False"])
        self.init_pdb()
        ours = sys.modules["__main__"]
        self._shell = OetShell.instance(
            parent=self,
            profile_dir=self.profile_dir,
            user_module=None,
            user_ns=None,
            kernel=None,
            compiler_class=XCachingCompiler,
        )
        self._kernel_main = sys.modules["__main__"]
        sys.modules["__main__"] = ours
        self._modules = set(sys.modules)
        if self._trait_values.get("session") is not None:
            raise RuntimeError(
                "A Jupyter session was created before the fork; such a session cannot send messages in the children"
            )

    @property
    def exit_handler(self) -> Callable[[], None]:
        """Exit handler of the shell, to be called at the end of the process."""
        return self._shell.atexit_operations  # type: ignore[no-any-return]

    def finish(self, launch: Launch) -> None:
        """Run the steps that belong to one kernel: sockets, threads, streams.

        Parameters
        ----------
        launch
            The kernel's command line.
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

    def start(self) -> None:
        """Serve; then drop the modules' names, as finalisation does in a process that is not forked."""
        modules = frozenset(sys.modules)
        super().start()
        self.kernel.runner.drop_modules(modules)
        self.kernel._publisher.synchronise()

    def init_code(self) -> None:
        """Run the code of the user's configuration; the shell's list of modules was made before, in `prepare`."""
        self._run_startup_files()
        self._run_exec_lines()
        self._run_exec_files()
        if self.hide_initial_ns:
            self._shell.user_ns_hidden.update(self._shell.user_ns)
        self._run_cmd_line_code()
        self._run_module()
        flush_streams()
        self._shell._sys_modules_keys = self._modules

    def _adopt_shell(self) -> None:
        """Connect the kernel and the shell, which was created before it, without a kernel."""
        shell: Any = self._shell
        shell.parent = shell.kernel = self.kernel
        for part in (shell.displayhook, shell.display_pub):
            part.parent = shell
        self.kernel.user_ns = shell.user_ns
