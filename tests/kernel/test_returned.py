"""What main returns is kept as JSON or as text, and never spoils the end of a procedure."""

import dataclasses
import datetime
from pathlib import Path

import msgspec
import pytest

from oet_kernel.kernel.returned import JSON_LIMIT, TEXT_LIMIT, describe
from oet_kernel.models import Returned


@dataclasses.dataclass
class Scan:
    """Something with a JSON form of its own."""

    id: int
    path: Path


class Strange:
    """Something that cannot be shown."""

    def __repr__(self) -> str:
        raise ValueError("on purpose")


class Surrogate:
    """Something whose text cannot be sent."""

    def __repr__(self) -> str:
        return "caf\udce9"


@pytest.mark.parametrize(
    ("value", "type_", "kept"),
    [
        (5, "int", 5),
        (0, "int", 0),
        (False, "bool", False),
        ("", "str", ""),
        ("text", "str", "text"),
        ("caf\udce9", "str", "caf?"),
        ([1, (2, None)], "list", [1, [2, None]]),
        ({"a": {1, 2}}, "dict", {"a": [1, 2]}),
        (float("nan"), "float", None),
        (datetime.timedelta(seconds=1.5), "datetime.timedelta", "PT1.5S"),
        (Scan(3, Path("/x")), f"{__name__}.Scan", {"id": 3, "path": "/x"}),
        (ValueError("no"), "ValueError", "ValueError: no"),
    ],
)
def test_what_has_a_json_form_is_kept_as_json(value, type_, kept):
    assert describe(value) == Returned(type=type_, value=kept)


def test_none_is_nothing():
    assert describe(None) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (print, "<built-in function print>"),
        (object, "<class 'object'>"),
        (Strange(), "<its text cannot be shown: ValueError>"),
        (Surrogate(), "caf\\udce9"),
        ({"f": len}, "{'f': <built-in function len>}"),
        pytest.param(2**20_000, "<its text cannot be shown: ValueError>", id="integer"),
    ],
)
def test_what_has_no_json_form_is_kept_as_text(value, text):
    found = describe(value)
    assert found is not None
    assert found.value is None
    assert found.text == text
    msgspec.json.encode(found)


def test_numpy_is_kept_as_json_and_named():
    numpy = pytest.importorskip("numpy")
    assert describe(numpy.arange(3)) == Returned(type="numpy.ndarray", value=[0, 1, 2])
    assert describe(numpy.float32(0.5)) == Returned(type="numpy.float32", value=0.5)


def test_what_is_too_long_is_cut_in_its_middle():
    found = describe(list(range(JSON_LIMIT)))
    assert found is not None
    assert found.value is None
    assert found.text is not None
    assert found.text.startswith("[0,1,2")
    assert found.text.endswith(f"{JSON_LIMIT - 1}]")
    assert "characters left out" in found.text
    assert len(found.text) < TEXT_LIMIT + 100


@pytest.mark.parametrize("levels", [49, 60, 400, 100_000])
def test_what_nests_too_deeply_is_kept_as_text(levels):
    value: list = []
    for _ in range(levels):
        value = [value]
    found = describe(value)
    assert found is not None
    assert (found.text is None) is (levels < 50)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Returned) == found
