"""What a notebook takes is read from its cells."""

import pytest

from oet_kernel.scripts.notebook_schema import read_notebook_schema, title_of
from oet_kernel.scripts.signature.bindings import ScriptUnreadable
from oet_kernel.scripts.signature.validation import faults
from tests.ipynb import TEXT, notebook


def read(*cells, **metadata):
    return read_notebook_schema(notebook(*cells, **metadata).encode())


def properties(parameters, *cells):
    return read(*cells, ("parameters", parameters)).main.schema["properties"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("n = 3", {"default": 3}),
        ("n: int = 3", {"default": 3, "type": "integer", "x-type": "int"}),
        ("n = 3  # type: float", {"default": 3, "type": "number", "x-type": "float"}),
        ("n = 3  # type: float # how far [m]", {"default": 3, "type": "number", "x-type": "float",
                                                 "description": "how far [m]", "x-unit": "m"}),
        ("n = 3  # how many", {"default": 3, "description": "how many"}),
        ("n = [1,\n     2]  # two", {"default": [1, 2], "description": "two"}),
        ("n = 3  # type: not a type", {"default": 3}),
        ("n = 3  # type: " + "a." * 50_000 + "a", {"default": 3}),
        ("n = now()", {"x-default": "now()"}),
        ("n = 1\nn = 2", {"default": 2}),
        ("%matplotlib inline\nn = 3", {"default": 3}),
        ("n: Band = 'low'", {"default": "low", "enum": ["low", "mid"], "x-type": "Band"}),
    ],
)  # fmt: skip
def test_parameter_has_default_type_and_description(line, told):
    cells = [("", "from enum import Enum\nclass Band(Enum):\n    low = 'low'\n    mid = 'mid'")]
    found = properties(line, *cells)["n"]
    found.pop("x-members", None)
    assert found == {**told, "x-kind": "keyword-only"}


def test_init_and_main_take_the_parameters_and_the_subarray_that_clients_pass():
    found = read(("parameters", "n = 1"))
    for function in (found.init, found.main):
        assert list(function.schema["properties"]) == ["n", "subarray_id"]
        assert function.schema["additionalProperties"] is False
        assert faults(function, [], {"n": 1, "subarray_id": 2}, "$") == []
        assert faults(function, [], {"m": 1}, "$") == [f"$.kwargs.m: unexpected, {function.name} takes n, subarray_id"]
        assert faults(function, [1], {}, "$") == [
            f"$.args[0]: unexpected, {function.name} takes no arguments by position"
        ]


@pytest.mark.parametrize("kernel", [{}, {"kernel": "bash", "language": "bash"}])
def test_without_known_parameters_any_name_is_taken_and_no_position(kernel):
    tags = "parameters" if kernel else ""
    found = read((tags, "n=1"), **kernel).main
    assert faults(found, [], {"anything": 1}, "$") == []
    assert len(faults(found, [1], {}, "$")) == 1


def test_notebook_with_functions_takes_what_they_take():
    found = read((TEXT, "# Scan"), ("", "%time 1"), ("", "def main(n: int, *, far=False): pass"))
    assert (found.docstring, found.init) == ("Scan", None)
    assert found.main.schema["required"] == ["n"]
    assert list(found.main.schema["properties"]) == ["n", "far"]


@pytest.mark.parametrize("source", ["n = ", "def f(:", "for n in x: pass", "", "a, b = 1, 2", "class = 3"])
def test_parameters_cell_of_any_kind_is_read(source):
    read(("parameters", source), ("", "1"))


def test_what_is_no_notebook_is_unreadable_and_has_no_title():
    with pytest.raises(ScriptUnreadable, match="no notebook"):
        read_notebook_schema(b"{}")
    assert title_of(b"{}") is None
    assert title_of(notebook((TEXT, "\n## Scan it \nmore")).encode()) == "Scan it"
