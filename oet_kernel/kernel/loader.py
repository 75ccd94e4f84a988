"""Loads a script as a module of its own, and says how it failed in the words of plain Python."""

import importlib.util
import linecache
import os
import sys
import traceback
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

_OURS = f"{Path(__file__).parents[1]}{os.sep}"


class _ScriptLoader:
    """Compiles the source that is there now: nothing is read from, or written to, a cache."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.get_code(module.__name__), module.__dict__)

    def get_code(self, name: str) -> CodeType:
        source = self._path.read_bytes()
        self.text = importlib.util.decode_source(source)
        # an entry without a time is never checked against the file: tracebacks show the lines that ran
        lines = self.text.splitlines(keepends=True)
        linecache.cache[str(self._path)] = (len(source), None, lines, str(self._path))
        return compile(source, str(self._path), "exec", dont_inherit=True)

    def get_source(self, name: str) -> str:
        return self.text


def load(path: Path) -> ModuleType:
    """Import a script as a fresh module.

    It is found by its name, the file's stem, as other modules are, so that ``pickle``, ``dataclasses`` and ``inspect``
    work on what it defines; ``__name__`` is not ``__main__``; the script's folder comes first on ``sys.path``.

    Parameters
    ----------
    path
        Where the script is.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    BaseException
        Whatever the script raises while it is imported.
    """
    if not path.exists():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    sys.path.insert(0, str(path.resolve().parent))
    sys.argv = [str(path)]
    name = _module_name(path)
    loader = _ScriptLoader(path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)  # type: ignore[arg-type]
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _module_name(path: Path) -> str:
    """Take the file's stem, unless a module of that name is there already, or could not be found any more."""
    name = path.stem.replace(".", "_")
    while name in sys.modules or name in sys.stdlib_module_names:
        name += "_script"
    return name


def format_failure(error: BaseException) -> str:
    """Give the traceback that Python would print, from the script's own frames on.

    Parameters
    ----------
    error
        What was raised.

    Returns
    -------
    str
        With causes, contexts, groups and notes; never raises.
    """
    _trim(error, set())
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        return f"Traceback (most recent call last):\n{type(error).__name__}: (its text cannot be shown)\n"


def _trim(error: BaseException | None, seen: set[int]) -> None:
    """Cut the frames above the script's own off an exception and whatever hangs on it."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    error.__traceback__ = _below_ours(error.__traceback__)
    _trim(error.__cause__, seen)
    _trim(error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            _trim(one, seen)


def _below_ours(trace: TracebackType | None) -> TracebackType | None:
    """Find the frame that ours, and those of what they call scripts with, have called; all frames if none is ours."""
    ours = trace
    while ours is not None and not _is_machinery(ours):
        ours = ours.tb_next
    if ours is None:
        return trace
    while ours is not None and _is_machinery(ours):
        ours = ours.tb_next
    return ours


def _is_machinery(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    return file.startswith((_OURS, "<frozen importlib")) or "/asyncio/" in file
