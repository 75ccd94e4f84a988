"""A kernel that cannot have what it needs to start ends at once, with the system's words, and stops nobody else."""

import subprocess
import sys
import textwrap

import pytest

from oet_kernel.models import ProcedureState
from tests.conftest import DEADLINE, Bench
from tests.kernel_manager.conftest import forking

pytestmark = pytest.mark.anyio

REFUSING = """
import os, threading
name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"  # from 3.13 on
real, left, here = getattr(threading, name), [THREADS], os.getpid()
def start(*args, **kwargs):
    if os.getpid() != here or HERE:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
    return real(*args, **kwargs)
setattr(threading, name, start)
"""


@pytest.mark.parametrize("threads", range(4))
def test_a_kernel_that_is_started_plainly_ends_where_it_can_have_no_more_threads(tmp_path, threads):
    code = REFUSING.replace("THREADS", str(threads)).replace("HERE", "True")
    code += "import sys\nfrom oet_kernel.kernel.__main__ import main\nmain()\n"
    argv = ["-c", code, "-f", str(tmp_path / "kernel.json"), "--journal", str(tmp_path), "--transport=ipc"]
    argv.append(f"--ip={tmp_path}/s")
    ended = subprocess.run([sys.executable, *argv], capture_output=True, timeout=DEADLINE, check=False)
    said = ended.stderr + (tmp_path / "stdio.log").read_bytes() if (tmp_path / "stdio.log").exists() else ended.stderr
    assert b"can't start new thread" in said
    assert ended.returncode == 70


@pytest.mark.parametrize("threads", [0, 1, 2, 3])
async def test_a_procedure_whose_forked_kernel_can_have_no_more_threads_is_failed(tmp_path, monkeypatch, threads):
    library = tmp_path / "library"
    library.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(library))
    (library / "oet_test_refusing.py").write_text(REFUSING.replace("THREADS", str(threads)).replace("HERE", "False"))
    async with forking("oet_test_refusing") as server:
        bench = Bench(tmp_path, fork_server=server)
        try:
            pid = await bench.create("def main(): pass\n")
            summary = await bench.until(pid)
            assert summary.state is ProcedureState.FAILED
            assert "can't start new thread" in summary.history.stacktrace
            assert server.running
        finally:
            await bench.close()


@pytest.mark.parametrize("call", ["fork", "pidfd_open"])
async def test_a_fork_server_that_cannot_fork_says_so_and_lives_on(tmp_path, monkeypatch, caplog, call):
    library = tmp_path / "library"
    library.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(library))
    (library / "oet_test_no_fork.py").write_text(
        textwrap.dedent(f"""
        import errno, os
        real, here, gate = os.{call}, os.getpid(), {str(tmp_path / "gate")!r}
        def refused(*args):
            if os.getpid() == here and os.path.exists(gate):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return real(*args)
        os.{call} = refused
    """)
    )
    async with forking("oet_test_no_fork") as server:
        bench = Bench(tmp_path, fork_server=server)
        first = await bench.ready("def main(): pass\n")
        (tmp_path / "gate").touch()
        pid = await bench.ready("def main(): pass\n")
        assert "without the fork server: the fork server cannot fork: Resource temporarily unavailable" in caplog.text
        assert server.running
        (tmp_path / "gate").unlink()
        await bench.start(first)
        assert (await bench.until(first)).state is ProcedureState.COMPLETE, "those that it has go on"
        await bench.start(pid)
        assert (await bench.until(pid)).state is ProcedureState.COMPLETE
        await bench.close()
