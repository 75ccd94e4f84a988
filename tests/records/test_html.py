"""Calls are written as Python, values as what they are."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.formatting.python_call import call
from oet_kernel.models import ProcedureInput
from oet_kernel.records.html import code, table


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (ProcedureInput(), "main()"),
        (ProcedureInput([1, "a'b", None], {"x": [1.5, True]}), 'main(1, "a\'b", None, x=[1.5, True])'),
        (ProcedureInput([], {"a-b": 1, "class": 2, "ok": 3}), "main(ok=3, **{'a-b': 1, 'class': 2})"),
        (ProcedureInput([], {"__debug__": 1}), "main(**{'__debug__': 1})"),
        (ProcedureInput(["x" * 60], {"y": "y" * 60}), f"main(\n    '{'x' * 60}',\n    y='{'y' * 60}',\n)"),
    ],
)
def test_call_is_written_as_python(arguments, text):
    assert call("main", arguments) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.lists(JSON), st.dictionaries(st.text(), JSON))
def test_call_means_its_arguments_whatever_they_are(args, kwargs):
    seen = []

    def main(*a, **k):
        seen.append((list(a), k))

    eval(compile(ast.parse(call("main", ProcedureInput(args, kwargs)), mode="eval"), "call", "eval"), {"main": main})
    assert seen == [(args, kwargs)]


@given(st.text())
def test_quoted_text_ends_no_element_and_no_table(text):
    inside = code(text).removeprefix("<code>").removesuffix("</code>")
    assert not set(inside.replace("<br>", "")) & {"<", ">", "\n"}


def test_long_text_is_cut_and_says_how_long_it_was():
    assert code("x" * 1000, 3) == "<code>xxx… (1000 characters)</code>"


def test_table_has_no_blank_line():
    assert "\n\n" not in table(("a", "b"), [(code("x\n\ny"), "")])
