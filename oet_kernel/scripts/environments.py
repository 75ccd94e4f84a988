"""Environments for scripts: a virtual environment for each commit, with what its repository declares."""

import asyncio
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from oet_kernel.scripts.git import Checkout, ScriptSourceError
from oet_kernel.scripts.sharing import Log, Shared

_BUILT = "oet-environment-is-complete"
_LAST_LINES = 20


class Environment(Struct, frozen=True):
    """Where a script runs."""

    folder: Path
    python: Path
    """Its interpreter."""


class Environments:
    """Virtual environments in a folder, each built once.

    Parameters
    ----------
    folder
        Where they are kept.
    deadline
        Seconds that the building of one may take.
    """

    def __init__(self, folder: Path, deadline: float) -> None:
        self.folder = folder
        self._deadline = deadline
        self._shared: Shared[Environment] = Shared()

    async def build(self, checkout: Checkout, log: Log) -> Environment:
        """Get the environment of a commit, building it where there is none yet.

        It holds the project itself where the repository has a ``pyproject.toml`` or ``setup.py``, else what its
        ``requirements.txt`` lists, else nothing.

        Parameters
        ----------
        checkout
            The commit's files.
        log
            Takes the lines of whatever builds it, as they come.

        Raises
        ------
        ScriptSourceError
            When it cannot be built; with the last lines of the tool that failed.
        """
        name = checkout.folder.name
        return await self._shared.get(name, lambda tell: self._build(name, checkout, tell), log)

    async def _build(self, name: str, checkout: Checkout, log: Log) -> Environment:
        place = self.folder / name
        environment = Environment(place, place / "bin" / "python")
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (place / _BUILT).exists():
            await asyncio.to_thread(shutil.rmtree, place, True)
            try:
                async with asyncio.timeout(self._deadline):
                    await self._install(environment, checkout, log)
                (place / _BUILT).touch()
            except TimeoutError:
                raise ScriptSourceError(
                    f"The environment of commit {checkout.commit[:12]} was not built within {self._deadline:g} s"
                ) from None
            finally:
                if not (place / _BUILT).exists():
                    await asyncio.to_thread(shutil.rmtree, place, True)
        os.utime(place)
        return environment

    async def _install(self, environment: Environment, checkout: Checkout, log: Log) -> None:
        log(f"Building an environment for commit {checkout.commit[:12]}")
        await _run([sys.executable, "-m", "venv", "--without-pip", str(environment.folder)], log)
        pip = [sys.executable, "-m", "pip", "--python", str(environment.python), "install", "--no-input"]
        if any((checkout.folder / file).exists() for file in ("pyproject.toml", "setup.py")):
            await _run([*pip, str(checkout.folder)], log)
        elif (checkout.folder / "requirements.txt").exists():
            await _run([*pip, "-r", "requirements.txt"], log, checkout.folder)


async def _run(command: Sequence[str], log: Log, folder: Path | None = None) -> None:
    """Run a tool and pass its lines on; cancellation ends it with all its children."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=1 << 20,
    )
    last: deque[str] = deque(maxlen=_LAST_LINES)
    assert process.stdout is not None
    try:
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            last.append(line)
            log(line)
        status = await process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if status != 0:
        tool = "pip" if "pip" in command else "venv"
        raise ScriptSourceError("\n".join([f"{tool} failed with exit code {status}:", *last]))
