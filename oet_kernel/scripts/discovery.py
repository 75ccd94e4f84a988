"""Discovery of scripts in folders, and the first line of each script's description."""

import ast
import io
import os
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

from oet_kernel.scripts.signature.annotations import readable
from oet_kernel.scripts.signature.bindings import ScriptUnreadable, parse

SUFFIXES = (".py", ".ipynb")
"""File suffixes of scripts."""
_CACHES = frozenset({"__pycache__", "node_modules", "site-packages"})


def first_line(source: bytes) -> str | None:
    """Return the first line of a module's docstring, without reading further; None where there is none."""
    parts: list[str] = []
    try:
        for token in tokenize.tokenize(io.BytesIO(source).readline):
            if token.type == tokenize.STRING:
                parts.append(token.string)
            elif token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                break
            elif token.type not in (tokenize.ENCODING, tokenize.COMMENT, tokenize.NL):
                return None
        text = ast.get_docstring(parse(" ".join(parts)))
    except (SyntaxError, tokenize.TokenError, ScriptUnreadable):
        return None
    lines = (text or "").strip().splitlines()
    return readable(lines[0].strip()) if lines else None


def walk(roots: Sequence[Path]) -> Iterator[Path | None]:
    """Yield the scripts in folders, in order, and None for each other file and each folder."""
    for root in roots:
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not _hidden(folder, name))
            for name in sorted(files):
                path = Path(folder, name)
                yield path if _is_script(path, roots) else None
            yield None


def _hidden(folder: str, name: str) -> bool:
    return name.startswith(".") or name in _CACHES or os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))


def _is_script(path: Path, roots: Sequence[Path]) -> bool:
    if path.suffix not in SUFFIXES or path.name.startswith("."):
        return False
    real = Path(os.path.realpath(path))
    return real.is_file() and any(real.is_relative_to(root) for root in roots)
