"""A service for the life of one command, for machines where none runs."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oet_kernel.children import inherited
from oet_kernel.client.errors import ClientError
from oet_kernel.serve import NEEDS_LINUX

_READY = "OET API at "
_START_DEADLINE = 60.0
_END_DEADLINE = 15.0


@contextmanager
def embedded_service() -> Iterator[tuple[str, str]]:
    """Start a service that nobody else finds, and end it, and what it runs, afterwards.

    It ends with this process too, however that ends: it watches the pipe that is its standard input.

    Yields
    ------
    tuple of str
        API root and token.

    Raises
    ------
    ClientError
        When it does not start; with what it said.
    """
    if sys.platform != "linux":
        raise ClientError(NEEDS_LINUX)
    token = secrets.token_hex(24)
    with tempfile.TemporaryDirectory(prefix="oet-run-", ignore_cleanup_errors=True) as folder:
        argv = [sys.executable, "-P", "-m", "oet_kernel.serve", "--port=0", f"--state-dir={folder}/state"]
        env = {**inherited(), "OET_TOKEN": token, "OET_RUNTIME_DIR": f"{folder}/runtime"}
        with open(Path(folder, "server.log"), "w+") as log:
            process = subprocess.Popen(
                [*argv, "--ip=127.0.0.1", "--OetApp.until_stdin_closes=True"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=env,
                text=True,
                start_new_session=True,  # Ctrl-C is for this process, which then stops the procedure
            )
            assert process.stdin is not None
            assert process.stdout is not None
            deadline = threading.Timer(_START_DEADLINE, process.kill)
            deadline.start()
            try:
                line = next((line for line in process.stdout if line.startswith(_READY)), None)
                deadline.cancel()
                if line is None:
                    log.seek(0)
                    said = log.read().strip() or f"it was silent for {_START_DEADLINE:g} s"
                    raise ClientError(f"The embedded service did not start:\n{said}")
                yield line.removeprefix(_READY).strip().rstrip("/"), token
            finally:
                deadline.cancel()
                process.stdin.close()
                process.stdout.close()
                try:
                    process.wait(_END_DEADLINE)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
