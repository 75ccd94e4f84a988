"""Provenance of a script at its loading, and its environment: the facts for the heading of its record.

All facts are gathered in the kernel, since the file, the repository and the environment may change afterwards.
"""

import ast
import importlib.metadata
import importlib.util
import os
import platform
import pwd
import re
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from oet_kernel.scripts.python_source import parse_python

SOURCE_LIMIT = 1 << 18
"""Largest script in bytes whose source is published; of a longer one, only the hash is."""
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_ALWAYS = ("ipykernel", "IPython")
"""Packages that every kernel runs on, whatever its script imports."""


def script_facts(path: Path, source: bytes) -> dict[str, Any]:
    """Describe the script that is about to run.

    Parameters
    ----------
    path
        Path of the script.
    source
        The file's bytes, which are about to be compiled.

    Returns
    -------
    dict
        The fields of `oet_kernel.topics.SCRIPT_LOADED`; `source` is None for a script that is too long.
    """
    return {
        "path": str(path),
        "sha256": sha256(source).hexdigest(),
        "commit": commit_of(path),
        "source": source_text(source) if len(source) <= SOURCE_LIMIT else None,
    }


def environment_facts(source: str) -> dict[str, Any]:
    """Describe the environment that a script runs in.

    Parameters
    ----------
    source
        The script's source, whose imports are the packages that are listed.

    Returns
    -------
    dict
        The fields of `oet_kernel.topics.ENVIRONMENT_DESCRIBED`; a package without a known version has None.
    """
    names = [*_ALWAYS, *sorted(imported(source) - set(_ALWAYS))]
    return {
        "host": platform.node(),
        "user": _user(),
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in names},
    }


def source_text(source: bytes) -> str:
    """Decode a script as Python does; where that fails, as UTF-8 with replacement characters."""
    try:
        return importlib.util.decode_source(source)
    except (SyntaxError, UnicodeDecodeError):
        return source.decode("utf-8", "replace")


def imported(source: str) -> set[str]:
    """Return the top-level modules that a source imports anywhere, without those of the standard library."""
    try:
        tree = parse_python(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names


def version_of(name: str) -> str | None:
    """Return the version of a module, or of the distribution that has its name; None where neither is known.

    The module's ``__version__`` comes first: it belongs to the imported code, and costs nothing. Its ``__getattr__`` is
    not called.
    """
    version = vars(sys.modules[name]).get("__version__") if sys.modules.get(name) is not None else None
    if isinstance(version, str):
        return version
    try:
        return importlib.metadata.version(name)
    except Exception:  # not installed under this name, or metadata are broken
        return None


def commit_of(path: Path) -> str | None:
    """Return the commit checked out in the git working tree around a file; None where there is none."""
    with suppress(OSError, UnicodeDecodeError):
        for folder in path.resolve().parents:
            git = folder / ".git"
            if git.is_file():  # a linked working tree
                git = folder / git.read_text().removeprefix("gitdir:").strip()
            if (git / "HEAD").is_file():
                return _resolve(git, (git / "HEAD").read_text().strip())
    return None


def _resolve(git: Path, head: str) -> str | None:
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else None
    ref = head.removeprefix("ref:").strip()
    common = git / (git / "commondir").read_text().strip() if (git / "commondir").is_file() else git
    if (common / ref).is_file():
        commit = (common / ref).read_text().strip()
        return commit if _COMMIT.fullmatch(commit) else None
    packed = common / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {ref}")), None)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
