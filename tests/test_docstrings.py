"""Docstrings open with a verb of the field (`docs/contributing/style.md`), never with one that says nothing."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "oet_kernel"
EMPTY = frozenset(
    ["Tell", "Say", "Give", "Have", "Let", "Take", "Be", "Tells", "Says", "Gives", "Has", "Lets", "Takes"]
)
"""Opening verbs that leave open what is returned or done."""


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstring_opens_with_a_verb_that_says_what_is_done(path):
    documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [
        f"{node.lineno} {node.name}: {text.splitlines()[0]}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, documented) and (text := ast.get_docstring(node))
        if text.split()[0].strip(".,:;") in EMPTY
    ]
    assert not found, "\n".join(found)
