"""Import of a script as a module of its own, and tracebacks of its failures in the form of plain Python."""

import importlib.util
import io
import linecache
import os
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from oet_kernel.bounds import SCRIPT_BYTES, read_file

TRACE_LIMIT = 200_000
"""Characters of a stack trace that are kept, half from its beginning and half from its end."""
_OURS = f"{Path(__file__).parents[1]}{os.sep}"
_ASYNCIO = f"{Path(os.__file__).parent / 'asyncio'}{os.sep}"
_FROZEN = ("<frozen importlib", "<frozen runpy")


class ScriptLoader(SourceFileLoader):
    """Loader that reads the source once: no bytecode is read or written, and the file may change meanwhile."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name, path)
        self.source = read_file(Path(path), SCRIPT_BYTES)

    def get_data(self, path: str) -> bytes:
        """Return the source that was read; for any other path, the file's content."""
        return self.source if path == self.path else super().get_data(path)

    def get_code(self, fullname: str) -> CodeType:
        """Compile the source that was read."""
        code: CodeType = self.source_to_code(self.source, self.path)
        text = importlib.util.decode_source(self.source)
        # an entry without a time is never checked against the file: tracebacks show the lines that ran.
        # readlines() splits lines as the compiler does; splitlines() would also split them at a form feed
        lines = io.StringIO(text).readlines()
        linecache.cache[self.path] = (len(self.source), None, lines, self.path)
        return code


def open_script(path: Path) -> ScriptLoader:
    """Read a script, and prepare the process for it.

    The script's real folder comes first on ``sys.path``, and ``sys.argv`` is the path alone.

    Parameters
    ----------
    path
        Path of the script.

    Raises
    ------
    OSError
        When there is no such file, or not a regular one; the process is unchanged then.
    OutOfBounds
        When the file exceeds `SCRIPT_BYTES`.
    """
    file = os.path.abspath(path)  # stays right when the script changes its working folder
    loader = ScriptLoader(module_name(path), file)
    sys.path.insert(0, str(path.resolve().parent))
    sys.argv = [file]
    return loader


def load(loader: ScriptLoader) -> ModuleType:
    """Import a script as a fresh module.

    The module is in ``sys.modules`` under its name, the file's stem, so that ``pickle``, ``dataclasses`` and
    ``inspect`` work on its definitions; ``__name__`` is not ``__main__``.

    Parameters
    ----------
    loader
        Loader that has read the script.

    Raises
    ------
    BaseException
        Any exception of the script during its import; the module is removed from ``sys.modules``.
    """
    spec = importlib.util.spec_from_file_location(loader.name, loader.path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    try:
        loader.exec_module(module)
        return sys.modules[loader.name]  # a module may replace itself there
    except BaseException:
        sys.modules.pop(loader.name, None)
        raise


def module_name(path: Path) -> str:
    """Return the name of a script's module: the file's stem, extended where it would hide another module."""
    name = path.stem.replace(".", "_")
    while name in sys.modules or name in sys.stdlib_module_names:
        name += "_script"
    return name


def format_failure(error: BaseException) -> str:
    """Return the traceback that Python would print, from the script's own frames on.

    The exception keeps its traceback, for later inspection. Never raises.

    Parameters
    ----------
    error
        Exception of the script.

    Returns
    -------
    str
        With causes, contexts, groups and notes; of at most `TRACE_LIMIT` characters and a line about the part that was
        left out; without lone surrogates, so that it can be sent.
    """
    try:
        told = traceback.TracebackException.from_exception(error, compact=True)
        _trim(told)
        text = "".join(told.format())
    except (
        BaseException
    ):  # an exception may be stranger than `traceback` expects: notes that raise, a false line number
        text = _format_plainly(error)
    if len(text) > TRACE_LIMIT:
        half = TRACE_LIMIT // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()


def leave_to_debugger(error: BaseException) -> None:
    """Store an exception for ``%debug`` and ``pdb.pm``, its traceback beginning in the script.

    Parameters
    ----------
    error
        Exception of the script.
    """
    trace = error.__traceback__
    while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    if trace is not None:
        error.__traceback__ = trace
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    if sys.version_info >= (3, 12):
        sys.last_exc = error


def _format_plainly(error: BaseException) -> str:
    """Return the frames and the class of an exception, without calling code of its own."""
    frames = traceback.extract_tb(error.__traceback__)
    while frames and _is_machinery(frames[0].filename):
        del frames[0]
    head = ["Traceback (most recent call last):\n", *frames.format()] if frames else []
    return "".join([*head, f"{type(error).__qualname__}: <its text cannot be shown>\n"])


def _trim(told: traceback.TracebackException) -> None:
    """Remove the frames above the script's own from an exception, its causes, contexts and group members."""
    pending = [told]
    while pending:
        one = pending.pop()
        while one.stack and _is_machinery(one.stack[0].filename):
            del one.stack[0]
        if not one.stack:
            one.stack = None  # type: ignore[assignment]  # no traceback, and so no header
        pending += [other for other in (one.__cause__, one.__context__, *(one.exceptions or ())) if other is not None]


def _is_machinery(file: str) -> bool:
    return file.startswith((_OURS, _ASYNCIO, *_FROZEN))
