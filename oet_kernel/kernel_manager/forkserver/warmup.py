"""Warm-up of a fork server before it serves: import of the modules that its kernels will need."""

import asyncio
import contextlib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

TRAINING = """
import asyncio, dataclasses, enum, functools, json, logging, pathlib, subprocess, threading, time
from pubsub import pub
from oet_kernel.api import publish
def init(subarray_id=1):
    print("x"); publish("user.script.announce", msg=1)
async def main():
    pub.sendMessage("user.script.announce", msg_src="0", msg=1)
    await asyncio.sleep(0)
    raise ValueError("x")
"""
"""Script of a throw-away kernel, which shows the modules that kernels import later; they are imported before forks."""


def preload(modules: Iterable[str]) -> None:
    """Import modules, and refuse those that start threads: a fork drops a thread, but not the locks it holds.

    Parameters
    ----------
    modules
        Names of modules, as configured by the operator.

    Raises
    ------
    ImportError
        With the name of the module, and the reason.
    """
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as error:
            raise ImportError(f"Cannot preload {name}: {type(error).__name__}: {error}") from error
        if threads := _threads_of_modules():
            raise ImportError(f"Cannot preload {name}: its {threads} thread(s) do not survive a fork")


def _threads_of_modules() -> int:
    """Return the number of other threads that remain after a fork, before which OpenBLAS (numpy) ends its own."""
    if len(os.listdir("/proc/self/task")) > 1:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return len(os.listdir("/proc/self/task")) - 1


def train() -> None:
    """Fork a kernel that runs a script, and import the modules that it has imported."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        with contextlib.suppress(BaseException):
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.write(write, json.dumps(_modules_of_a_kernel()).encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    for name in json.loads(answer or b"[]"):
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _modules_of_a_kernel() -> list[str]:
    from oet_kernel.kernel.app import OetKernelApp
    from oet_kernel.protocol import PrepareRequest, RunRequest

    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "oet_training_script.py")
        script.write_text(TRAINING)
        app = OetKernelApp.instance()
        app.initialize(["-f", f"{folder}/kernel.json", "--journal", folder, "--HistoryManager.enabled=False"])
        names: list[str] = []

        async def work() -> None:
            app.kernel.runner.prepare(PrepareRequest(0, str(script)))
            app.kernel.runner.run(RunRequest())
            for name, module in list(sys.modules.items()):
                file = getattr(module, "__file__", None) or ""
                if not file.startswith(folder) and name != "__main__":
                    names.append(name)

        asyncio.run(work())
    return names
