"""Errors are sentences whose subject is a thing, in plain words (`docs/contributing/style.md`, "Language")."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "oet_kernel"
WITHOUT_A_SUBJECT = re.compile(r"^(It|There|What|Who|Whoever|Those|Which)\b")
"""Beginnings of sentences that name no thing."""
RIDDLES = re.compile(
    r"\b(is no (?!t\b)[a-z]+|no more of it|are there|that are there|is there even|takes it by|nobody knows"
    r"|gives it longer|name one that is there|stands? behind|not what it should be)\b"
)
"""Phrases that leave the thing, the fault or the remedy open."""
KEPT = ("this is no notebook: ",)
"""Texts that `tests/parity` holds to the letter."""
RAISED = re.compile(r"^(click\.)?[A-Z]\w*$")


def texts(call):
    """List the texts of a raised error, as they are written, with ``{}`` for what is put in."""
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value
        elif isinstance(argument, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in argument.values)


def raised(path):
    """List the texts of all errors that a module raises, each with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Raise)
            and isinstance(call := node.exc, ast.Call)
            and RAISED.match(ast.unparse(call.func))
        ):
            yield from ((node.lineno, text) for text in texts(call) if not text.startswith(KEPT))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_error_names_a_thing_and_speaks_plainly(path):
    found = [f"{line}: {text}" for line, text in raised(path) if WITHOUT_A_SUBJECT.search(text) or RIDDLES.search(text)]
    assert not found, "\n".join(found)
