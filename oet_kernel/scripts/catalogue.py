"""ScriptCatalogue: list of scripts, schemas of their functions, check of arguments.

Files are read in threads; results are cached until the file changes.
"""

import errno
import os
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct

from oet_kernel.bounds import read_up_to
from oet_kernel.errors import MalformedRequest, OetError, ResourceNotFound, ScriptNotAllowed
from oet_kernel.models import (
    FileSystemScript,
    ListedScript,
    ProcedureInput,
    Script,
    ScriptArgs,
    ScriptList,
    ScriptSchema,
)
from oet_kernel.scripts.discovery import first_line, walk
from oet_kernel.scripts.filesystem import check_folder, resolve
from oet_kernel.scripts.notebook import SUFFIX
from oet_kernel.scripts.notebook_schema import read_file, title_of
from oet_kernel.scripts.signature import typed
from oet_kernel.scripts.signature.annotations import readable
from oet_kernel.scripts.signature.bindings import ScriptUnreadable
from oet_kernel.scripts.signature.schema import Function, Reading
from oet_kernel.scripts.signature.validation import faults
from oet_kernel.system.threads import SCRIPTS

_LARGEST = 4 << 20
"""Largest script in bytes that is read; schemas of larger ones stay unknown."""
_HEAD = 64 << 10
"""Bytes at the beginning of a script in which its docstring is searched."""
_VISITED = 20_000
"""Largest number of folder entries that are visited for one listing."""
_KEPT = 256
"""Largest number of cached scripts."""
_FOLLOWED = 1000
"""Largest number of procedures whose script versions are remembered."""

T = TypeVar("T")


class Version(Struct, frozen=True):
    """Identity of a file's content: changes whenever the file does."""

    device: int
    inode: int
    size: int
    modified: int
    """Time of modification in Unix nanoseconds; `changed` is the time of the last status change."""
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Version":
        """Create the version from the file's status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Seen(Struct, frozen=True):
    """The version of a script that a procedure was created from."""

    path: Path
    version: Version


class Checked(Struct, frozen=True):
    """Checked arguments of a creation: they fit, as far as is known."""

    init: ProcedureInput
    """Arguments with resolved texts (`typed.resolve`), as are those of `main`."""
    main: ProcedureInput
    seen: Seen | None = None
    """Version for `ScriptCatalogue.follow`; None for a script that was not read."""


class ScriptCatalogue:
    """Scripts in files of this machine.

    Parameters
    ----------
    roots
        Folders that scripts may come from; empty for any, and then none are listed.
    most
        Largest number of scripts that are listed.
    """

    def __init__(self, roots: Sequence[Path], most: int = 1000) -> None:
        self._roots = [root.resolve() for root in roots]
        self._most = most
        self._readings: _Cache[Reading | ScriptUnreadable] = _Cache(_KEPT)
        self._summaries: _Cache[str | None] = _Cache(2 * most)
        self._seen: dict[int, Seen] = {}

    async def scripts(self) -> ScriptList:
        """List the scripts in the folders, by folder and name; hidden and cache folders are left out."""
        if not self._roots:
            return ScriptList(
                [], "No folders are configured to list scripts from: start the service with --scripts-root DIR"
            )
        return await SCRIPTS.run(self._list)

    async def schema(self, uri: str) -> ScriptSchema:
        """Return the schemas of a script's ``init`` and ``main``.

        Parameters
        ----------
        uri
            ``file:///absolute/path.py``.

        Raises
        ------
        MalformedRequest
            When the URI is not valid, or the script is not Python.
        ScriptNotAllowed
            When the script lies outside the folders, or the service may not read it.
        ResourceNotFound
            When there is no such file.
        """
        path = await SCRIPTS.run(resolve, uri, self._roots, "$.uri")
        try:
            reading, _ = await SCRIPTS.run(self._read, path)
        except OSError as error:
            raise _not_read(path, error) from None
        except ScriptUnreadable as error:
            line = f", line {error.line}" if error.line else ""
            raise MalformedRequest(f"{path}{line}: {readable(error.why)}") from None
        return ScriptSchema(uri, reading.docstring, _schema(reading.init), _schema(reading.main))

    async def check_creation(self, script: Script, given: ScriptArgs, *, required: bool = False) -> Checked:
        """Refuse, before the script runs, arguments that its functions certainly do not accept.

        Arguments of ``main`` are checked where they are given. A script that must be fetched first is not checked.

        Parameters
        ----------
        script
            Script of the new procedure.
        given
            Arguments for its functions.
        required
            True to refuse a script whose file cannot be read; otherwise the procedure fails later.

        Raises
        ------
        OetError
            When the script is not allowed or missing, its working folder cannot be used, or the arguments do not fit.
        """
        unread = Checked(given.init_args, given.main_args)
        if script.working_folder is not None:
            await SCRIPTS.run(check_folder, script.working_folder, script.own_folder)
        if not isinstance(script, FileSystemScript):
            return unread
        path = await SCRIPTS.run(resolve, script.script_uri, self._roots)
        try:
            reading, version = await SCRIPTS.run(self._read, path)
        except OSError as error:
            if required:
                raise _not_read(path, error) from None
            return unread
        except ScriptUnreadable:
            return unread
        init = _checked(reading.init, given.init_args, "init")
        main = given.main_args
        if given.has_main:
            main = _checked(reading.main, main, given.main_name)
        return Checked(init, main, Seen(path, version))

    def follow(self, pid: int, seen: Seen | None) -> None:
        """Store the version of the script that a procedure was created from; no-op for None."""
        if seen is not None:
            self._seen[pid] = seen
        while len(self._seen) > _FOLLOWED:
            del self._seen[next(iter(self._seen))]

    async def check_main(self, pid: int, arguments: ProcedureInput, name: str = "main") -> ProcedureInput:
        """Refuse arguments that the ``main`` of a procedure certainly does not accept.

        All arguments are accepted where the file has changed since the procedure was created.

        Parameters
        ----------
        pid
            Id of the procedure.
        arguments
            Arguments for ``main``.
        name
            Name of the arguments in the request's ``script_args``.

        Returns
        -------
        ProcedureInput
            The arguments, with resolved texts as from `check_creation`.

        Raises
        ------
        MalformedRequest
            When the arguments do not fit.
        """
        if (seen := self._seen.get(pid)) is None:
            return arguments
        return await SCRIPTS.run(self._check_main, seen, arguments, name)

    def _check_main(self, seen: Seen, arguments: ProcedureInput, name: str) -> ProcedureInput:
        try:
            reading, version = self._read(seen.path)
        except (OSError, ScriptUnreadable):
            return arguments
        return _checked(reading.main, arguments, name) if version == seen.version else arguments

    def _read(self, path: Path) -> tuple[Reading, Version]:
        status = os.stat(path)
        _need_file(status)
        version = Version.of(status)
        reading = self._readings.get(path, version)
        if reading is None:
            source, version = _load(path, _LARGEST)
            reading = self._readings.put(path, version, _interpret(path, source))
        if isinstance(reading, ScriptUnreadable):
            raise ScriptUnreadable(reading.why, reading.line)
        return reading, version

    def _list(self) -> ScriptList:
        found: dict[Path, None] = {}
        cut = False
        for visited, path in enumerate(walk(self._roots)):
            if cut := visited >= _VISITED or (path is not None and len(found) >= self._most):
                break
            if path is not None:
                found.setdefault(path)
        scripts = []
        for path in found:
            with suppress(OSError):  # removed meanwhile
                scripts.append(ListedScript(path.as_uri(), self._summary(path)))
        text = (
            f"Only {len(scripts)} scripts are listed: the folders hold more files than the service searches"
            if cut
            else None
        )
        return ScriptList(scripts, text)

    def _summary(self, path: Path) -> str | None:
        version = Version.of(os.stat(path))
        if not self._summaries.has(path, version):
            # the text of a notebook may follow a long output
            most, read = (_LARGEST, title_of) if path.suffix == SUFFIX else (_HEAD, first_line)
            try:
                source, version = _load(path, most)
            except PermissionError:
                return None
            return self._summaries.put(path, version, read(source[:most]))
        return self._summaries.get(path, version)


class _Cache(Generic[T]):
    """Cache of values by file, valid until the file changes; thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._made: dict[Path, tuple[Version, T]] = {}

    def has(self, path: Path, version: Version) -> bool:
        """Return whether a value is cached for this version."""
        with self._lock:
            return path in self._made and self._made[path][0] == version

    def get(self, path: Path, version: Version) -> T | None:
        """Return the value cached for this version; None where there is none."""
        with self._lock:
            known, made = self._made.get(path, (None, None))
            return made if known == version else None

    def put(self, path: Path, version: Version, made: T) -> T:
        """Store a value; beyond the limit, the oldest values are dropped."""
        with self._lock:
            self._made.pop(path, None)
            self._made[path] = (version, made)
            while len(self._made) > self._most:
                del self._made[next(iter(self._made))]
        return made


def check_fetched(path: Path, main: ProcedureInput) -> None:
    """Refuse arguments that the ``main`` of a script certainly does not accept; no-op where it cannot be read.

    Parameters
    ----------
    path
        The script's file, in any folder.
    main
        Arguments for ``main``.

    Raises
    ------
    MalformedRequest
        When the arguments do not fit.
    """
    try:
        reading = _interpret(path, _load(path, _LARGEST)[0])
    except OSError:
        return
    if isinstance(reading, Reading):
        _checked(reading.main, main, "main")


def _checked(function: Function | None, arguments: ProcedureInput, name: str) -> ProcedureInput:
    if function is None:
        return arguments
    arguments = typed.resolve(function, arguments)
    found = faults(function, arguments.args, arguments.kwargs, f"$.script_args.{name}")
    if found and function.command_line:
        found.append(
            "the file has no init: it is run as a whole when it is started, and takes its arguments then "
            "(oet run FILE -- ARGUMENTS)"
        )
    if found:
        raise MalformedRequest("; ".join(found))
    return arguments


def _need_file(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "the file is a pipe, a socket or a device")


def _not_read(path: Path, error: OSError) -> OetError:
    """Return the error for a script that cannot be read."""
    match error:
        case PermissionError():
            return ScriptNotAllowed(
                f"The service may not read {path}; give the service's user the right to read the file and to enter "
                "its folders"
            )
        case FileNotFoundError() | NotADirectoryError():
            return ResourceNotFound(
                f"Script {path} does not exist on the service's machine; give the path of an existing file"
            )
        case IsADirectoryError():
            return ResourceNotFound(f"{path} is a folder, not a script; name a file in it")
    why = error.strerror or type(error).__name__
    return ResourceNotFound(f"{path} cannot be read as a script: {why}; name another file")


def _schema(function: Function | None) -> dict[str, object] | None:
    return None if function is None else function.schema


def _load(path: Path, most: int) -> tuple[bytes, Version]:
    """Return the content of a regular file, up to one byte more than `most`, and its version when opened."""
    # must not block on a pipe that has replaced the file meanwhile
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        _need_file(status)
        return read_up_to(file, most + 1), Version.of(status)


def _interpret(path: Path, source: bytes) -> Reading | ScriptUnreadable:
    why = None
    if len(source) > _LARGEST:
        why = f"the script has more than {_LARGEST} bytes and is not analysed"
    if why is not None:
        return Reading(
            init=Function(name="init", description=None, unknown=why),
            main=Function(name="main", description=None, unknown=why),
        )
    try:
        return read_file(path, source)
    except ScriptUnreadable as error:
        return error
