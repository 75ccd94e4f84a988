"""A file is one thing and not long; a long class says at its head why it is one (`docs/contributing/style.md`)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = 400
CLASS_LINES = 250
GENERATED = {"oet_kernel/client/_sync.py"}
"""By ``scripts/generate-client``; as long as what it is made of."""


def names(path):
    return str(path.relative_to(ROOT))


def long_classes(text):
    """List the classes past the limit that have no comment above them."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.end_lineno - node.lineno >= CLASS_LINES:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if not lines[first - 2].lstrip().startswith("# "):
                yield node.name


PATHS = sorted((ROOT / "oet_kernel").rglob("*.py"))


@pytest.mark.parametrize("path", PATHS, ids=names)
def test_file_is_not_long(path):
    length = len(path.read_text().splitlines())
    assert length <= LINES or names(path) in GENERATED, f"{length} lines; part it by the things that it holds"


@pytest.mark.parametrize("path", PATHS, ids=names)
def test_long_class_says_why_it_is_one(path):
    found = list(long_classes(path.read_text()))
    assert not found, f"write in a comment above the class why it has more than {CLASS_LINES} lines: {found}"


def test_files_that_are_generated_are_there():
    assert {names(path) for path in PATHS} >= GENERATED


def test_only_a_comment_above_a_long_class_is_a_reason():
    body = "    pass\n" * CLASS_LINES
    assert list(long_classes(f"import a\n\n\nclass Long:\n{body}")) == ["Long"]
    assert list(long_classes(f"import a\n\n\n@a.b\nclass Long:\n{body}")) == ["Long"]
    assert list(long_classes(f"import a\n\n\n# Long because ...\n@a.b\nclass Long:\n{body}")) == []
    assert list(long_classes(f"class Short:\n{body[9:]}")) == []
