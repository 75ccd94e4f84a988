"""Events as JSON: what each type becomes, what is refused and how that is said, and that nothing else can happen."""

import dataclasses
import enum
import json
import math
import pathlib
import subprocess
import sys
import threading
import types
import uuid
from collections import OrderedDict, deque, namedtuple
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.kernel.encoding import EventEncodingError, encode, encode_event


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Stamp(datetime):
    pass


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    OPAQUE = object()


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Dish:
    name: str
    where: object = None
    late: object = dataclasses.field(init=False, repr=False)


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError


Point = namedtuple("Point", "x y")

TYPES = [
    (Text("x"), "x"),
    (Number(1), 1),
    (Real(1.5), 1.5),
    (2**70, 2**70),
    (math.nan, None),
    (-math.inf, None),
    (1 + 2j, [1.0, 2.0]),
    (Decimal("1.10"), "1.10"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (b"\xff", "/w=="),
    (bytearray(b"a"), "YQ=="),
    (memoryview(b"a"), "YQ=="),
    (pathlib.PurePosixPath("/x/y"), "/x/y"),
    (pathlib.PurePosixPath("/\udcff"), "/?"),
    (datetime(2020, 1, 2, 3, 4, 5), "2020-01-02T03:04:05"),
    (datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02T00:00:00Z"),
    (Stamp(2020, 1, 2), "2020-01-02T00:00:00"),
    (date(2020, 1, 2), "2020-01-02"),
    (time(1, 2), "01:02:00"),
    (timedelta(seconds=1.5), "PT1.5S"),
    (Colour.RED, "red"),
    (Colour.PAIR, [1, 2]),
    (Colour.OPAQUE, "OPAQUE"),
    (Level.LOW, 1),
    (Dish("a", {2, 1}), {"name": "a", "where": [1, 2]}),
    (Point(1, 2), [1, 2]),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (deque([1, 2]), [1, 2]),
    (range(3), [0, 1, 2]),
    ({3, 1, 2}, [1, 2, 3]),
    ({"SKA036", "SKA001", "MKT000"}, ["MKT000", "SKA001", "SKA036"]),
    (frozenset({"b", "a"}), ["a", "b"]),
    (ValueError("x"), "ValueError: x"),
    (KeyboardInterrupt(), "KeyboardInterrupt"),
    (Unspeakable(), "Unspeakable: <its text cannot be shown>"),
    (ValueError("\udcff"), "ValueError: ?"),
    ({1: "a", 1.5: "b"}, {"1": "a", "1.5": "b"}),
    ({False: 1}, {"false": 1}),
    ({Colour.RED: 1, Colour.OPAQUE: 2, Level.LOW: 3}, {"red": 1, "OPAQUE": 2, "1": 3}),
    ({date(2020, 1, 2): 1}, {"2020-01-02": 1}),
    ({Stamp(2020, 1, 2): 1}, {"2020-01-02T00:00:00": 1}),
    ({np.int64(1): 1, np.str_("k"): 2}, {"1": 1, "k": 2}),
    (np.float64(1.5), 1.5),
    (np.float32(0.5), 0.5),
    (np.longdouble(1.5), 1.5),
    (np.clongdouble(1j), [0.0, 1.0]),
    (np.int64(-3), -3),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (np.bool_(True), True),
    (np.str_("s"), "s"),
    (np.bytes_(b"a"), "YQ=="),
    (np.array(3), 3),
    (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    (np.array([1.5, np.nan]), [1.5, None]),
    (np.array([np.longdouble(1)]), [1.0]),
    (np.array([1 + 2j]), [[1.0, 2.0]]),
    (np.array(["a"]), ["a"]),
    (np.array([], dtype=float), []),
    (np.array([{"a": {1}}, None, Level.LOW], dtype=object), [{"a": [1]}, None, 1]),
    (np.array([(1, 2.5)], dtype="i4,f8"), [[1, 2.5]]),
    (np.ma.array([1, 2], mask=[False, True]), [1, None]),
    (np.datetime64("2020-01-02T03:04:05.123456789"), "2020-01-02T03:04:05.123456789"),
    (np.datetime64("NaT"), None),
    (np.array(["2020-01-02", "NaT"], dtype="M8[D]"), ["2020-01-02", None]),
    (np.timedelta64(1500, "ms"), "PT1.5S"),
    (np.timedelta64(3), 3),
    (np.timedelta64("NaT"), None),
    (np.array([1, 2], dtype="m8[s]"), ["PT1S", "PT2S"]),
]


@pytest.mark.parametrize(("value", "plain"), TYPES, ids=lambda value: type(value).__name__)
def test_each_type_has_its_form_wherever_it_stands(value, plain):
    assert json.loads(encode_event("a.b", "1", {"v": value}))["v"] == plain
    if not isinstance(value, (set, frozenset)):  # deep inside, a set has no order of its own
        assert json.loads(encode({"deep": [{"in": [value]}]})) == {"deep": [{"in": [plain]}]}


def test_set_that_cannot_be_sorted_is_a_list_all_the_same():
    assert sorted(map(str, json.loads(encode({1, "a", None})))) == ["1", "None", "a"]


def generator():
    yield


cycle: list = []
cycle.append({"again": cycle})
deep: list = []
for _ in range(50_000):
    deep = [deep]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"items": [1, 2, 3, generator()]}, "field msg.items[3] is a generator, which has no JSON form; pass str(),"),
        (threading.Lock(), "field msg is a lock, which"),
        (lambda: 0, "field msg is a function, which"),
        (int, "field msg is a type, which"),
        (Dish, "field msg is a type, which"),
        (..., "field msg is an ellipsis, which"),
        (Dish("a", [generator()]), "field msg.where[0] is a generator"),
        (Point(1, generator()), "field msg[1] is a generator"),
        ({"two words": generator()}, "field msg['two words'] is a generator"),
        (np.array([1, generator()], dtype=object), "field msg[1] is a generator"),
        ({(1, 2): 3}, "field msg has a key of type tuple, which is not text; pass str() of it"),
        ({"in": [{None: 3}]}, "field msg.in[0] has a key of type NoneType"),
        (10**5000, "field msg is an integer of more than 4096 bits"),
        (cycle, "field msg[0].again contains itself"),
        (np.array([cycle, 1], dtype=object), "contains itself"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_json_form_is_refused_by_its_path(value, said):
    with pytest.raises(EventEncodingError) as caught:
        encode_event("user.script.announce", "1", {"fine": 1, "msg": value})
    assert str(caught.value).startswith("Event user.script.announce: field ")
    assert said in str(caught.value)


def test_wide_value_is_not_deep():
    wide = [[n, [n]] for n in range(2000)]
    assert json.loads(encode({"v": wide, "text": "[" * 2000})) == {"v": wide, "text": "[" * 2000}


def test_same_object_twice_is_no_cycle():
    shared = [{1}]
    assert json.loads(encode([shared, shared, {"a": shared}])) == [[[1]], [[1]], {"a": [[1]]}]


def test_failing_code_of_the_scripts_own_is_reported_as_the_cause():
    class Outer(deque):
        def __iter__(self):
            raise OSError("disk")

    with pytest.raises(EventEncodingError, match="OSError: disk") as caught:
        encode_event("a.b", "1", {"v": Outer([1])})
    assert isinstance(caught.value.__cause__, OSError)


def test_source_and_topic_are_always_the_kernels():
    event = encode_event("a.b", "7", {"msg_src": "me", "n": 1, "topic": "t"})
    assert event == b'{"msg_src":"7","topic":"a.b","n":1}'


def test_numpy_is_not_imported_for_it():
    code = "from oet_kernel.kernel.encoding import encode; encode({'a': {1}})"
    code += "; import sys; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inside: st.lists(inside) | st.dictionaries(texts, inside),
    max_leaves=20,
)


@given(st.dictionaries(texts.filter(lambda name: name not in {"topic", "msg_src"}), json_values))
def test_json_values_come_back_as_they_were_on_one_line(fields):
    event = encode_event("a.b", "7", fields)
    assert b"\n" not in event
    assert json.loads(event) == {**fields, "msg_src": "7", "topic": "a.b"}


anything = st.recursive(
    st.integers(0, len(TYPES) - 1).map(lambda number: TYPES[number][0])
    | st.just(object())
    | st.just("\udcff")
    | st.binary(),
    lambda inside: st.lists(inside) | st.dictionaries(st.one_of(texts, st.integers(), st.none()), inside),
    max_leaves=10,
)


@given(anything)
def test_anything_is_encoded_on_one_line_or_refused(value):
    try:
        event = encode_event("a.b", "7", {"v": value})
    except EventEncodingError:
        return
    assert b"\n" not in event
    assert set(json.loads(event)) == {"v", "msg_src", "topic"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("caf\udce9", "caf?"),
        ("high \ud800", "high ?"),
        ({"\udcff": 1}, {"?": 1}),
        ([{"deep": ("\udcff",)}], [{"deep": ["?"]}]),
        (Dish("\udce9", []), {"name": "?", "where": []}),
        (ValueError("\udce9"), "ValueError: ?"),
        ({"\udce9"}, ["?"]),
    ],
    ids=lambda value: ascii(value),
)
def test_lone_surrogates_are_replaced(value, told):
    assert json.loads(encode(value)) == told
