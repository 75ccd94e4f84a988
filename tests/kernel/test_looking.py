"""Guests without control see what is stored, and no code of a script runs for it."""

import importlib.util
import sys
from types import ModuleType

import pytest

from oet_kernel.kernel.looking import complete, inspect, names_of, shown, without

TRAPS = """
ran = []
def _trap(name):
    def method(*args, **kwargs):
        ran.append(name)
        if name == "__dir__":
            return ["a"]
        if name == "__hash__":
            return 1
        if name in ("__repr__", "__str__", "__format__", "__getattr__"):
            return "trapped"
        if name in ("__eq__", "__instancecheck__", "__subclasscheck__"):
            return True
        return object()
    return method
_NAMES = '''
__getattr__ __getattribute__ __dir__ __repr__ __str__ __format__ __eq__ __hash__ __len__ __iter__
__getitem__ __contains__ __bool__ __call__ __get__ __del__ __length_hint__ _repr_html_
_ipython_display_ _repr_mimebundle_ _ipython_key_completions_
'''.split()
class Meta(type):
    pass
class Trap(metaclass=Meta):
    def __init__(self):
        object.__setattr__(self, "__dict__", {"inner": 1}) if False else None
class Plain:
    "About plain things."
    shared = 5
    __slots__ = ("slot", "__dict__")
    @property
    def lazy(self):
        ran.append("property")
    def method(self, one, /, two, *rest, three=None, **more):
        "About the method."
class Shadowed:
    @property
    def __dict__(self):
        ran.append("__dict__")
        return {"never": 1}
    @property
    def __class__(self):
        ran.append("__class__")
        return int
    @property
    def __doc__(self):
        ran.append("__doc__")
class Text(str):
    pass
plain, trap, shadowed = Plain(), Trap(), Shadowed()
plain.slot, plain.own, plain.deep = 3, 7, trap
inside = {"trap": trap, "list": [trap, Text("x")]}
text = Text("name")
for _one in _NAMES:
    for _class in (Trap, Meta, Text):
        if (_class, _one) != (Text, "__hash__"):
            setattr(_class, _one, _trap(_one))
Meta.__instancecheck__ = Meta.__subclasscheck__ = _trap("__instancecheck__")
def function(): pass
function.__doc__ = text
ran.clear()
"""
_MORE = """
plain plain. plain.own plain.slot plain.lazy plain.lazy. plain.method plain.deep plain.deep.x trap trap.
trap.a Trap Trap. Trap.a.b Meta. shadowed shadowed. shadowed.never inside inside. text text. Text. function
function. ran _trap print type. int.real. nobody.x
"""
PATHS = ["", "import plain.", *_MORE.split()]


@pytest.fixture
def script():
    module = ModuleType("script")
    exec(TRAPS, vars(module))
    return module


def look(script, code, omitted=()):
    spaces = [names_of(script), {"script": script}]
    return complete(code, len(code), spaces), inspect(code, len(code), list(omitted), spaces)


@pytest.mark.parametrize("path", [*PATHS, *(f"script.{path}" for path in PATHS)])
def test_nothing_of_the_script_runs(script, path):
    for reply in look(script, path):
        assert reply["status"] == "ok"
    assert script.ran == []


def test_a_module_that_loads_itself_when_it_is_looked_at_is_not_loaded(tmp_path, monkeypatch):
    (tmp_path / "lazily.py").write_text("raise AssertionError('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.find_spec("lazily")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    space = {"lazily": module}
    assert complete("lazily.", 7, [space])["status"] == "ok"
    assert inspect("lazily", 6, [], [space])["found"]
    assert complete("import lazily.", 14, [{}])["matches"] == []
    assert "lazily" not in sys.modules


@pytest.mark.parametrize(
    ("code", "matches"),
    [
        ("pla", ["plain"]),
        ("x = plain.o", ["own"]),
        ("plain.s", ["shared", "slot"]),
        ("plain.la", ["lazy"]),
        ("script.plain.ow", ["own"]),
        ("Plain.sh", ["shared"]),
        ("plain.lazy.", []),
        ("f(x).re", []),
        ("whil", ["while"]),
        ("isinst", ["isinstance"]),
        ("nobody.", []),
    ],
)
def test_names_are_completed(script, code, matches):
    reply, _ = look(script, code)
    assert reply["matches"] == matches
    begun = len(code) - code.rindex(".") - 1 if "." in code else len(code.split()[-1])
    assert (reply["cursor_start"], reply["cursor_end"]) == (len(code) - begun, len(code))


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("plain.own", ["Type:        int", "String form: 7"]),
        ("plain.slot", ["Type:        int", "String form: 3"]),
        ("plain.method", ["Type:        function", "String form: <function method>",
                          "Signature:   method(self, one, two, *rest, three, **more)",
                          "Docstring:   About the method."]),
        ("Plain", ["Type:        type", "String form: <class script.Plain>", "Docstring:   About plain things."]),
        ("plain", ["Type:        script.Plain", "String form: <script.Plain object>",
                   "Docstring:   About plain things."]),
        ("inside", ["Type:        dict",
                    "String form: {'trap': <script.Trap object>, "
                    "'list': [<script.Trap object>, <script.Text object>]}"]),
        ("shadowed", ["Type:        script.Shadowed", "String form: <script.Shadowed object>"]),
    ],
)  # fmt: skip
def test_what_has_a_name_is_described(script, code, lines):
    _, reply = look(script, code)
    assert reply["data"]["text/plain"].splitlines()[: len(lines)] == lines


def test_documentation_is_left_out_where_it_is_not_asked_for(script):
    assert "Docstring" not in look(script, "Plain", ["docstring"])[1]["data"]["text/plain"]


@pytest.mark.parametrize("code", ["nobody", "plain.nobody", "plain.lazy", "1 + ", ""])
def test_what_only_code_could_tell_is_not_found(script, code):
    assert look(script, code)[1] == {"status": "ok", "found": False, "data": {}, "metadata": {}}


@pytest.mark.parametrize(
    ("code", "cursor"), [(None, 0), ("a", None), ("a", -1), ("a", 2), ("a", True), (["a"], 1), ("a", 1.0), ({}, "x")]
)
def test_a_request_that_makes_no_sense_gets_an_answer(code, cursor):
    assert complete(code, cursor, [{}])["status"] == "ok"
    assert inspect(code, cursor, 3, [{}])["found"] is False


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"), (True, "True"), (None, "None"), ("a\x1b", r"'a\x1b'"), (b"x", "b'x'"),
        (1 << 5000, "<int of 5001 bits>"),
        ({"a": [1, (2,)]}, "{'a': [1, (2,)]}"), ({1}, "{1}"), (frozenset({1}), "frozenset({1})"), (int, "<class int>"),
        ("x" * 3000, f"'{'x' * 2000}'... (3000 in all)"), (len, "<function len>"), ([[[[[1]]]]], "[[[[[...]]]]]"),
    ],
)  # fmt: skip
def test_values_of_pythons_own_types_are_shown(value, text):
    assert shown(value) == text


def test_large_and_endless_values_are_cut():
    endless = []
    endless.append(endless)
    for value in (list(range(10**6)), dict.fromkeys(range(1000), "x" * 1000), endless, [["x" * 5000] * 100] * 100):
        assert len(shown(value)) < 200_000


def test_names_of_the_shell_are_hidden():
    assert without({"a": 1, "exit": len, "In": 3}, {"exit": len, "In": 4}) == {"a": 1, "In": 3}
