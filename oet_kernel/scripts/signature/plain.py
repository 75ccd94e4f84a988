"""Detection of plain files, which are run as a whole as ``__main__``, unlike scripts with a ``main``. Pure.

A plain file cannot bind ``main`` when it is imported, and does something when it is run: statements under
``if __name__ == "__main__":``, or at its top level. Nothing is run for the detection.
"""

import ast
from collections.abc import Iterator

from oet_kernel.scripts.signature.bindings import Names, ScriptUnreadable, bindings, own, parse

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)


def is_plain(source: bytes | str) -> bool:
    """Return whether a file is plain; False for a file that is not Python.

    Parameters
    ----------
    source
        Text of the file.
    """
    try:
        return is_plain_module(parse(source))
    except ScriptUnreadable:
        return False


def is_plain_module(module: ast.Module) -> bool:
    """Return whether a file is plain.

    Parameters
    ----------
    module
        Syntax tree of the file.
    """
    if any(isinstance(one, _DEFINITIONS) and one.name == "main" for one in module.body):
        return False  # nearly all scripts, detected first
    imported = ast.Module(list(_imported(module)), [])
    bound, names = bindings(imported), Names(imported)
    if "main" in bound or "__getattr__" in bound or "main" in names.globals_of:
        return False
    if names.dynamic and any(isinstance(one, ast.Constant) and one.value == "main" for one in ast.walk(module)):
        return False
    if any(isinstance(one, ast.If) and _asks_for_main(one.test) for one in own(module)):
        return True
    return "init" not in bound and _acts(module)


def _imported(module: ast.Module) -> Iterator[ast.stmt]:
    """Yield the top-level statements that run when a file is imported."""
    for one in module.body:
        if isinstance(one, ast.If) and _asks_for_main(one.test):
            yield from one.orelse
        else:
            yield one


def _asks_for_main(test: ast.expr) -> bool:
    """Return whether a condition compares ``__name__`` with ``"__main__"``."""
    found = [one for one in ast.walk(test) if isinstance(one, ast.Compare) and not isinstance(one.ops[0], ast.NotEq)]
    return any(
        any(isinstance(one, ast.Name) and one.id == "__name__" for one in ast.walk(compare))
        and any(isinstance(one, ast.Constant) and one.value == "__main__" for one in ast.walk(compare))
        for compare in found
    )


def _acts(module: ast.Module) -> bool:
    """Return whether a file does something when it is run, besides defining names for other files.

    In a file without functions and classes any call counts; else only a call that uses a name of the file's own, since
    files for import make preparing calls (``logging.basicConfig()``, ``sys.path.insert(0, HERE)``) at their top too.
    """
    defines = any(isinstance(one, _DEFINITIONS) for one in module.body)
    of_its_own = {name for name, found in bindings(module).items() if any(one.qualified is None for one in found)}
    for one in module.body:
        if isinstance(one, (*_DEFINITIONS, *_IMPORTS)):
            continue
        within = [one, *own(one)]
        calls = any(isinstance(node, ast.Call | ast.Await | ast.Raise) for node in within)
        used = any(
            isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in of_its_own for node in within
        )
        if calls and (used or not defines):
            return True
    return False
