"""Free arguments reach a script as its author would have written them."""

import json
from contextlib import suppress

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from oet_kernel.formatting.literals import read_arguments, read_call, read_value, readings
from oet_kernel.models import ProcedureInput, Typed, to_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("hello", "hello"),
        ("'hello'", "hello"),
        ("", ""),
        ("2", 2),
        ("-2.5", -2.5),
        ("1e3", 1000.0),
        ("true", True),
        ("True", True),
        ("false", False),
        ("null", None),
        ("None", None),
        ("[1, 'a']", [1, "a"]),
        ("(1, 2)", [1, 2]),
        ('{"a": [true, null]}', {"a": [True, None]}),
        ("{'a': 1}", {"a": 1}),
        ("{'a': true}", {"a": True}),
        ('["true", true]', ["true", True]),
        ('{"note": "null result"}', {"note": "null result"}),
        ('"a\\/b"', "a/b"),
        (r"'\d'", r"\d"),
        (r"'\ud800'", r"'\ud800'"),
        ("[1, Infinity]", "[1, Infinity]"),
        ("NaN", "NaN"),
        ("file:///x.py", "file:///x.py"),
        ("2026-11-24", "2026-11-24"),
        ("007", "007"),
        ("{1, 2}", "{1, 2}"),
        ("b'x'", "b'x'"),
        ("1e999", "1e999"),
        ("{1: 2}", "{1: 2}"),
        ("__import__('os')", "__import__('os')"),
    ],
)
def test_value_is_a_literal_where_it_is_one(text, value):
    read = read_value(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("words", "args", "kwargs"),
    [
        (["hello", "--subarray_id=2", "--verbose=true"], ["hello"], {"subarray_id": 2, "verbose": True}),
        (["--name", "value", "x"], ["x"], {"name": "value"}),
        (["--flag"], [], {"flag": True}),
        (["--flag", "--other=1"], [], {"flag": True, "other": 1}),
        (["--dashed-name=1"], [], {"dashed_name": 1}),
        (["-5", "-.5"], [-5, -0.5], {}),
        (["--x", "-5"], [], {"x": -5}),
        (["--x=a=b"], [], {"x": "a=b"}),
        (["--x="], [], {"x": ""}),
        ([], [], {}),
    ],
)
def test_arguments_are_told_apart(words, args, kwargs):
    read = read_arguments(words)
    assert (read.args, read.kwargs) == (args, kwargs)


@pytest.mark.parametrize(
    ("words", "script", "call"),
    [
        (["x.py"], "x.py", ProcedureInput()),
        (["x.py", "a", "--b=1"], "x.py", ProcedureInput(["a"], {"b": 1}, Typed([None], {"b": "1"}))),
        (["--b=1", "x.py", "a"], "x.py", ProcedureInput(["a"], {"b": 1}, Typed([None], {"b": "1"}))),
        (["--b", "1", "x.py"], "x.py", ProcedureInput([], {"b": 1}, Typed([], {"b": "1"}))),
        (["1"], "1", ProcedureInput()),
        (["--flag"], None, ProcedureInput([], {"flag": True})),
        ([], None, ProcedureInput()),
    ],
)
def test_script_is_the_first_positional_argument_wherever_options_stand(words, script, call):
    assert read_call(words) == (script, call)


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["hello", "--name=word", "--flag"], UNSET),
        (["hello", "20260101_0001", "'x'"], Typed([None, "20260101_0001", "'x'"], {})),
        (["--a=1e5", "--b=007", "--c=None", "--d=[1]"], Typed([], {"a": "1e5", "c": "None", "d": "[1]"})),
        (["--a=5"], Typed([], {"a": "5"})),
    ],
)
def test_the_text_goes_along_where_it_reads_as_something_else(words, typed):
    assert read_arguments(words).typed == typed


@pytest.mark.parametrize(
    ("words", "decided", "said"),
    [
        (
            ["--a=20260101_0001"],
            ProcedureInput([], {"a": 202601010001}),
            ["a: 20260101_0001 is read as the number 2026"],
        ),
        (["--a=1e5"], ProcedureInput([], {"a": 100000.0}), ["a: 1e5 is read as the number 100000.0"]),
        (["0x10"], ProcedureInput([16]), ["argument 1: 0x10 is read as the number 16"]),
        (["1.50", "x"], ProcedureInput([1.5, "x"]), ["argument 1: 1.50 is read as the number 1.5"]),
        (["--a=20260101_0001"], ProcedureInput([], {"a": "20260101_0001"}), []),
        (["--a=5", "--b=true", "--c=[1]", "--d=None", "--e=0.5", "-5"], None, []),
        (["--a=5", "--b=true", "--c=[1]", "--d=None", "--e=0.5", "-5"], ..., []),
    ],
)
def test_a_number_that_may_be_a_name_is_said(words, decided, said):
    given = read_arguments(words)
    told = readings(given, given if decided is ... else decided)
    assert len(told) == len(said)
    assert all(one.startswith(begin) for one, begin in zip(told, said, strict=True))


@pytest.mark.parametrize("word", ["--=5", "-=x"])
def test_value_without_a_name_is_refused(word):
    with pytest.raises(click.UsageError, match="without a name"):
        read_arguments([word])


@given(st.text())
def test_any_text_is_a_json_value(text):
    to_json(read_value(text))


WORDS = st.text() | st.sampled_from(["true", "is null", "None", "1", "'", '"'])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON)
def test_json_is_read_as_it_was_written(value):
    assert read_value(json.dumps(value)) == value
    assert read_value(repr(value)) == value


@given(st.lists(st.text()))
def test_any_words_are_read_or_refused(words):
    with suppress(click.UsageError):
        to_json(read_arguments(words))
