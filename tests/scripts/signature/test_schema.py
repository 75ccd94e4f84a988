"""What init and main take is read from a script's text: certain, or open with a reason."""

import functools
import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from oet_kernel.scripts.signature.bindings import ScriptUnreadable
from oet_kernel.scripts.signature.schema import DIALECT, read_script
from oet_kernel.scripts.signature.validation import faults

PROCEDURES = Path(__file__).parents[2] / "notebooks" / "procedures"
PARTIAL = "import functools\nfrom functools import partial\n"


def main_of(source):
    return read_script(source).main


def takes(function):
    """Write the parameters as in a signature."""
    marks = {"var-positional": "*", "var-keyword": "**"}
    return [
        f"{marks.get(one.kind, '')}{one.name}{'' if one.required or one.kind in marks else '='}"
        for one in function.parameters
    ]


def test_schema_of_a_function_is_that_of_its_arguments_by_name():
    source = '''"""Observe."""
def init(subarray_id: int, speed: float = 60, /, *scans: str, dry=False, **others: int):
    """Prepare.

    Slowly.

    Parameters
    ----------
    subarray_id : ignored
        Which subarray.
    speed
        How fast [m/s].
    *scans
        Names of scans.
    dry : bool
        Whether nothing moves.
    **others
        Limits (deg).
    """
'''
    reading = read_script(source)
    assert (reading.docstring, reading.main) == ("Observe.", None)
    schema = reading.init.schema
    Draft202012Validator.check_schema(schema)
    assert schema == {
        "$schema": DIALECT,
        "title": "init",
        "description": "Prepare.\n\nSlowly.",
        "type": "object",
        "properties": {
            "subarray_id": {
                "type": "integer",
                "description": "Which subarray.",
                "x-type": "int",
                "x-kind": "positional-only",
            },
            "speed": {
                "type": "number",
                "default": 60,
                "description": "How fast [m/s].",
                "x-type": "float",
                "x-unit": "m/s",
                "x-kind": "positional-only",
            },
            "scans": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Names of scans.",
                "x-type": "str",
                "x-kind": "var-positional",
            },
            "dry": {
                "default": False,
                "description": "Whether nothing moves.",
                "x-type": "bool",
                "x-kind": "keyword-only",
            },
        },
        "required": ["subarray_id"],
        "additionalProperties": {
            "type": "integer",
            "description": "Limits (deg).",
            "x-type": "int",
            "x-unit": "deg",
        },
        "x-positional": ["subarray_id", "speed"],
    }


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("1", {"default": 1}),
        ("-1.5", {"default": -1.5}),
        ("'x'", {"default": "x"}),
        ("None", {"default": None}),
        ("(1, [2])", {"default": [1, [2]]}),
        ("{'a': None}", {"default": {"a": None}}),
        ("LIMIT", {"default": 7}),
        ("LIST", {"x-default": "LIST"}),
        ("LATER", {"x-default": "LATER"}),
        ("Path('x')", {"x-default": "Path('x')"}),
        ("float('inf')", {"x-default": "float('inf')"}),
        ("1e999", {"x-default": "1e309"}),
    ],
)
def test_default_is_a_json_value_where_it_has_one_and_else_text(default, expected):
    source = f"LIMIT = 7\nLIST = [1]\nLATER = 1\nLATER = 2\ndef main(x={default}): pass\n"
    (parameter,) = main_of(source).parameters
    assert parameter.schema == expected
    assert not parameter.required


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        ("int", "None", {"type": ["integer", "null"], "default": None}),
        ("Literal['a']", "None", {"enum": ["a", None], "default": None}),
        ("int", "0.5", {"default": 0.5}),
        ("Literal['a']", "'b'", {"default": "b"}),
        ("float", "1", {"type": "number", "default": 1}),
    ],
)
def test_default_that_does_not_fit_its_annotation_says_that_more_is_meant(annotation, default, expected):
    source = f"from typing import Literal\ndef main(x: {annotation} = {default}): pass\n"
    (parameter,) = main_of(source).parameters
    assert {key: value for key, value in parameter.schema.items() if key != "x-type"} == expected


@pytest.mark.parametrize(
    ("description", "unit"),
    [
        ("Duration [s].", "s"),
        ("Frequency (GHz)", "GHz"),
        ("Rate in [deg/s] or so", "deg/s"),
        ("Speed (fast)", None),
        ("Nothing", None),
        ("Words (see main)", None),
    ],
)
def test_unit_is_taken_from_the_description(description, unit):
    source = (
        f'def main(x):\n    """Do.\n\n    Parameters\n    ----------\n    x : float\n        {description}\n    """\n'
    )
    (parameter,) = main_of(source).parameters
    assert parameter.schema.get("x-unit") == unit
    assert parameter.schema["description"] == description


@pytest.mark.parametrize(
    "docstring",
    ["Parameters\n----------\n", "Parameters\n---", "Do.\n\nParameters\n----------\n:\n : \n", "\\ud800"],
)
def test_docstring_that_is_no_numpydoc_does_no_harm(docstring):
    function = main_of(f'def main(x):\n    """{docstring}"""\n')
    assert takes(function) == ["x"]
    json.dumps(function.schema).encode()


# --- which function it is


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def main(a, b=1): pass", ["a", "b="]),
        ("async def main(a): pass", ["a"]),
        ("def main(a): pass\ndef main(b): pass", ["b"]),
        ("if True:\n    def main(a): pass", ["a"]),
        ("main = lambda a, *b: None", ["a", "*b"]),
        ("def observe(a): pass\nmain = observe", ["a"]),
        (PARTIAL + "def observe(a, b): pass\nmain = partial(observe, 1)", ["b"]),
        ("def main(a): pass\nif __name__ == '__main__':\n    main(1)", ["a"]),
        ("class A:\n    def main(self, x): pass\ndef main(a): pass", ["a"]),
        ("def f():\n    def main(x): pass\ndef main(a): pass", ["a"]),
        ("from x import *\ndef main(a): pass", ["a"]),
    ],
)
def test_function_that_is_certain(source, expected):
    assert takes(main_of(source)) == expected


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("from common import main", "imported (common.main)"),
        ("from . import main", "imported"),
        ("@decorate(1)\ndef main(a): pass", "decorated with decorate(1)"),
        ("main = make()", "value of an expression"),
        ("main = A.b", "value of an expression"),
        ("main, x = f, g", "not a plain function"),
        ("class main: pass", "not a plain function"),
        ("def main(a): pass\nmain = wrap(main)", "value of an expression"),
        ("def main(a): pass\nfrom x import *", "not a plain function"),
        ("def main(a): pass\ndel main", "not a plain function"),
        ("def main(a): pass\nmain: int", "not a plain function"),
        ("def main(a): pass\nif x:\n    main = y", "several places"),
        ("if x:\n    def main(a): pass\nelse:\n    def main(b): pass", "several places"),
        ("try:\n    from x import main\nexcept ImportError:\n    def main(): pass", "several places"),
        ("def main(a): pass\ndef setup():\n    global main\n    main = f\nsetup()", "inside a function"),
        ("def main(a): pass\nclass A:\n    global main\n    main = f", "inside a function"),
        (
            "class A:\n    def init(self):\n        global main\n        main = f\ndef main(a): pass",
            "inside a function",
        ),
        ("def main(a): pass\nglobals()['main'] = f", "binds names at run time"),
        ("def main(a): pass\nexec(text)", "binds names at run time"),
        ("import sys\ndef main(a): pass\nsys.modules[__name__] = x", "binds names at run time"),
        ("def __getattr__(name): return f", "__getattr__"),
        (PARTIAL + "main = partial(observe, 1)", "value of an expression"),
        (PARTIAL + "def f(a): pass\nmain = partial(f, 1, 2)", "value of an expression"),
        (PARTIAL + "def f(a): pass\nmain = partial(f, *x)", "value of an expression"),
        (PARTIAL + "def f(a): pass\nmain = partial(f, **x)", "value of an expression"),
        (PARTIAL + "@deco\ndef f(a): pass\nmain = partial(f)", "value of an expression"),
        ("def partial(f, x): return g\ndef f(a): pass\nmain = partial(f, 1)", "value of an expression"),
    ],
)
def test_function_that_is_not_certain_is_open_and_says_why(source, why):
    function = main_of(source)
    assert why in function.unknown
    Draft202012Validator.check_schema(function.schema)
    assert function.schema["additionalProperties"] is True
    assert function.schema["x-open"] == function.unknown
    assert faults(function, [1] * 9, {"any": 1}, "$") == []


def test_function_that_is_not_there():
    reading = read_script("x = 1\nclass A:\n    def init(self): pass\n    def main(self): pass\n")
    assert (reading.init, reading.main, reading.docstring) == (None, None, None)


# --- main as init leaves it


REBIND = PARTIAL + "def _main(subarray_id, scan: int, *, dry=False): pass\ndef main(): pass\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("global main; main = functools.partial(_main, subarray_id)", ["scan", "dry="]),
        ("print(1)\n    global main\n    main = partial(_main, subarray_id, 3)", ["dry="]),
        ("global main; main = partial(_main, subarray_id=subarray_id)", ["subarray_id=", "scan", "dry="]),
        ("global main; main = partial(_main, dry=True)", ["subarray_id", "scan", "dry="]),
        ("global main; main = _main", ["subarray_id", "scan", "dry="]),
        ("global main; main = lambda x: _main(subarray_id, x)", ["x"]),
        ("global main\n    def main(x, y): pass", ["x", "y"]),
        ("global main", []),
        ("main = 3", []),
    ],
)
def test_main_that_init_binds_anew(body, expected):
    assert takes(main_of(f"{REBIND}def init(subarray_id):\n    {body}\n")) == expected


def test_what_partial_has_bound_by_name_can_only_be_given_by_name():
    init = "def init(s):\n    global main\n    main = partial(_main, scan=2)\n"
    kinds = {one.name: (one.kind, one.required, one.schema.get("default")) for one in main_of(REBIND + init).parameters}
    assert kinds["subarray_id"] == ("positional-or-keyword", True, None)
    assert kinds["scan"] == ("keyword-only", False, 2)


@pytest.mark.parametrize(
    "init",
    [
        "def init(s):\n    global main\n    if s: main = partial(_main, s)",
        "def init(s):\n    global main\n    if s: return\n    main = partial(_main, s)",
        "def init(s):\n    global main\n    yield\n    main = partial(_main, s)",
        "def init(s):\n    global main\n    main = partial(_main, s)\n    main = other(main)",
        "def init(s):\n    global main\n    for main in x: pass",
        "def init(s):\n    global main\n    from x import main",
        "def init(s):\n    global main\n    main = make(_main, s)",
        "def init(_main):\n    global main\n    main = partial(_main, 1)",
        "def init(s):\n    global main\n    _main = f\n    main = partial(_main, 1)",
        "def init(s):\n    global main\n    from x import partial\n    main = partial(_main, 1)",
        "@deco\ndef init(s):\n    global main\n    main = partial(_main, s)",
        "def init(s):\n    def inner():\n        global main\n        main = f\n    inner()",
        "def init(s):\n    global main\n    main = partial(_main, s)\ndef other():\n    global main\n    main = f",
        "def init(s):\n    global main\n    main = partial(_main, s)\ndef init2(): pass\ninit = init2",
        "def init(s):\n    global main, _main\n    _main = f\n    main = partial(_main, s)",
    ],
)
def test_main_that_init_may_bind_anew_is_open(init):
    assert main_of(f"{REBIND}{init}\n").unknown is not None


def test_types_inside_init_that_it_has_bound_for_itself_are_open():
    function = main_of("def init(int):\n    global main\n    def main(x: int, y: str): pass\n")
    assert [one.schema.get("type") for one in function.parameters] == [None, "string"]


# --- what is no script


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("def main(:\n", 1),
        ("x = 1\n\nif:\n", 3),
        ("\0", None),
        (b"\xff\xfe", None),
        ("(" * 300, 1),
        (b"# coding: nope\n", None),
    ],
)
def test_what_is_not_python_says_where(source, line):
    with pytest.raises(ScriptUnreadable) as caught:
        read_script(source)
    assert line in (caught.value.line, None)


def test_reading_warns_of_nothing_and_runs_nothing(recwarn, tmp_path):
    read_script(f"x = '\\d'\nx is 1\nopen({str(tmp_path / 'made')!r}, 'w')\ndef main(): '\\d'\n")
    assert not recwarn.list
    assert not (tmp_path / "made").exists()


@given(st.text() | st.binary())
def test_any_text_is_read_or_is_said_not_to_be_python(source):
    with suppress(ScriptUnreadable):
        read_script(source)


SOURCES = "\n".join(path.read_text() for path in sorted(PROCEDURES.glob("*.py")))
PIECES = re.findall(r"\w+|\s+|[^\w\s]", SOURCES + REBIND + "def init(): global main; main = partial(_main, *x)\n")


@given(st.lists(st.sampled_from(sorted(set(PIECES))), max_size=30).map("".join))
def test_any_pieces_of_scripts_are_read_or_are_said_not_to_be_python(source):
    try:
        reading = read_script(source)
    except ScriptUnreadable:
        return
    for function in filter(None, (reading.init, reading.main)):
        Draft202012Validator.check_schema(function.schema)


@pytest.mark.parametrize("path", sorted(PROCEDURES.glob("*.py")), ids=lambda path: path.name)
def test_every_argument_of_the_examples_has_a_type_and_a_description(path):
    reading = read_script(path.read_bytes())
    assert reading.docstring
    for function in (reading.init, reading.main):
        assert function.description
        for one in function.schema["properties"].values():
            assert one["description"]
            assert one["x-type"]
            assert "type" in one or "enum" in one


# --- what Python itself says


NAMES = ["a", "b", "c", "d"]


@st.composite
def signatures(draw):
    """Write the parameters of a function."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, 4))]
    cuts = sorted(draw(st.tuples(*[st.integers(0, len(names))] * 2)))
    first_default = draw(st.integers(0, len(names)))
    words = [f"{name}=0" if n >= first_default and n < cuts[1] else name for n, name in enumerate(names)]
    only, either, keyword = words[: cuts[0]], words[cuts[0] : cuts[1]], words[cuts[1] :]
    keyword = [f"{name}=0" if draw(st.booleans()) else name for name in keyword]
    star = ["*args"] if draw(st.booleans()) else ["*"] if keyword else []
    rest = ["**kwargs"] if draw(st.booleans()) else []
    return ", ".join([*only, *(["/"] if only else []), *either, *star, *keyword, *rest])


CALLS = st.tuples(
    st.lists(st.integers(), max_size=5),
    st.dictionaries(st.sampled_from([*NAMES, "x", "args"]), st.integers(), max_size=4),
)


def fails(function, args, kwargs):
    try:
        function(*args, **kwargs)
    except TypeError:
        return True
    return False


@given(signatures(), CALLS)
def test_arguments_are_refused_if_and_only_if_python_refuses_them(signature, call):
    source = f"def main({signature}): pass\n"
    space = {}
    exec(source, space)
    assert bool(faults(main_of(source), *call, "$")) == fails(space["main"], *call)


@given(signatures(), CALLS, CALLS)
def test_arguments_of_what_partial_has_bound_are_refused_only_if_python_refuses_them(signature, bound, call):
    args, kwargs = bound
    words = ", ".join(["_main", *map(str, args), *(f"{name}={value}" for name, value in kwargs.items())])
    source = f"from functools import partial\ndef _main({signature}): pass\nmain = partial({words})\n"
    space = {}
    exec(source, space)
    if faults(main_of(source), *call, "$"):
        assert fails(space["main"], *call)
    assert isinstance(space["main"], functools.partial)
