"""What scripts publish is encoded; what cannot be is refused at the call, naming the field."""

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import threading
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.kernel.encoding import EventEncodingError, encode_event


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    ODD = object()


class Number(enum.IntEnum):
    THREE = 3


@dataclasses.dataclass
class Point:
    x: float
    y: object = None


Pair = collections.namedtuple("Pair", "a b")


def sent(value):
    return json.loads(encode_event("t", "1", {"f": value}))["f"]


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(1.5), 1.5),
        (np.float64("nan"), None),
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.arange(3), [0, 1, 2]),
        (np.array(5), 5),
        (np.array([[1.5, np.nan]]), [[1.5, None]]),
        (np.array([1, "x"], dtype=object), [1, "x"]),
        (np.array([1 + 2j]), [[1.0, 2.0]]),
        (np.datetime64("2020-01-01"), "2020-01-01"),
        (np.array(["2020-01-01"], dtype="M8[D]"), ["2020-01-01"]),
        ({"deep": [np.int32(1), {"er": np.arange(2)}]}, {"deep": [1, {"er": [0, 1]}]}),
        (Colour.RED, "red"),
        (Colour.PAIR, [1, 2]),
        (Number.THREE, 3),
        (Point(1.0, np.arange(2)), {"x": 1.0, "y": [0, 1]}),
        (Pair(1, 2), [1, 2]),
        (datetime.datetime(2020, 1, 2, 3, 4, 5), "2020-01-02T03:04:05"),
        (datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC), "2020-01-02T00:00:00Z"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (datetime.timedelta(seconds=2), "PT2S"),
        (pathlib.PurePosixPath("/x/y"), "/x/y"),
        (decimal.Decimal("1.5"), "1.5"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({1}, [1]),
        (frozenset("a"), ["a"]),
        (collections.deque([1]), [1]),
        (range(3), [0, 1, 2]),
        (b"x", "eA=="),
        (1 + 2j, [1.0, 2.0]),
        (ValueError("bad"), "ValueError: bad"),
        (float("nan"), None),
        (float("inf"), None),
        ({1: 2, Number.THREE: 4, Colour.RED: 5}, {"1": 2, "3": 4, "red": 5}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.ChainMap({"a": 1}), {"a": 1}),
        (2**100, 2**100),
        ("ünï\n", "ünï\n"),
    ],
)
def test_value_is_encoded(value, wire):
    assert sent(value) == wire


CYCLE: list = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"msg": threading.Lock()}, "field msg is a lock"),
        ({"msg": (x for x in [])}, "field msg is a generator"),
        ({"ok": 1, "msg": lambda: 1}, "field msg is a function"),
        ({"items": [1, 2, {"b": object()}]}, "field items[2].b is an object"),
        ({"msg": Point(1, object())}, "field msg.y is an object"),
        ({"msg": np.array([object()], dtype=object)}, "field msg[0] is an object"),
        ({"msg": CYCLE}, "field msg[0] contains itself"),
        ({"msg": {(1, 2): 3}}, "field msg has a key of type tuple"),
        ({"msg": "\ud800"}, "field msg is a text with a lone surrogate"),
    ],
)
def test_what_has_no_json_form_is_refused_naming_the_field(fields, says):
    with pytest.raises(TypeError) as caught:
        encode_event("user.script.announce", "1", fields)
    assert isinstance(caught.value, EventEncodingError)
    assert str(caught.value).startswith("Event user.script.announce: ")
    assert says in str(caught.value)


def test_source_and_topic_cannot_be_forged():
    event = json.loads(encode_event("a.b", "7", {"msg_src": "x", "topic": "y", "msg": 1}))
    assert event == {"msg_src": "7", "topic": "a.b", "msg": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), JSON))
def test_json_values_come_through_unchanged_on_one_line(fields):
    fields = {name: value for name, value in fields.items() if name not in ("msg_src", "topic")}
    encoded = encode_event("t", "1", fields)
    assert b"\n" not in encoded
    assert json.loads(encoded) == {"msg_src": "1", "topic": "t", **fields}
