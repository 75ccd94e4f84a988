"""The bounds of values: the same whoever checks, exact at the edge, linear beyond it."""

import json
import os
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.bounds import (
    DEPTH,
    EVENT_BYTES,
    ITEMS,
    OutOfBounds,
    check_json,
    check_topic,
    read_end,
    read_file,
    read_json,
)
from oet_kernel.kernel.encoding import encode_event


def depth_of(value):
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}"\\,é\n'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='[]{}"\\,x'), inner),
    max_leaves=20,
)


@given(JSON, st.integers(0, 6))
def test_depth_is_that_of_the_value_whatever_its_texts_look_like(value, depth):
    data = json.dumps(value, ensure_ascii=False).encode()
    if depth_of(value) <= depth:
        check_json(data, depth=depth)
        assert read_json(data, depth=depth) == value
    else:
        with pytest.raises(OutOfBounds, match=f"nests more than {depth} levels deep"):
            check_json(data, depth=depth)


@given(st.binary())
def test_bytes_of_any_kind_are_read_or_refused(data):
    try:
        value = read_json(data)
    except (OutOfBounds, msgspec.DecodeError):
        return
    assert value == json.loads(data) or value != value


HARD = {
    "brackets": b"[" * (EVENT_BYTES - 1),
    "pairs": b"[]" * (EVENT_BYTES // 2),
    "open text": b'"' + b'\\"' * (EVENT_BYTES // 2 - 1) + b"[" * 2,
    "open text behind brackets": b"[" * 200 + b'"' + b'\\"' * (EVENT_BYTES // 2 - 200),
    "quotes": b'"' * EVENT_BYTES,
    "backslashes": b"[" * 200 + b"\\" * (EVENT_BYTES - 200),
    "digits": b"1" * EVENT_BYTES,
    "commas": b"," * EVENT_BYTES,
    "alternating": b"[{" * (EVENT_BYTES // 2),
}


@pytest.mark.parametrize("name", HARD)
def test_sixteen_megabytes_of_anything_are_refused_in_the_time_that_reading_takes(name):
    # quadratic work on 16 MB would take days: the limit of this test's time is what shows it
    with pytest.raises((OutOfBounds, msgspec.DecodeError)):
        read_json(HARD[name])


def nested(levels, kind):
    value = 1
    for _ in range(levels):
        value = [value] if kind is list else {"x": value}
    return value


@pytest.mark.parametrize("kind", [list, dict])
@pytest.mark.parametrize("levels", [DEPTH, DEPTH + 1, 500, 985, 5000, 100_000])
@pytest.mark.parametrize("in_thread", [False, True])
def test_kernel_refuses_what_the_service_would(kind, levels, in_thread):
    caught = []

    def work():
        try:
            encode_event("user.deep", "1", {"x": nested(levels, kind)})
        except Exception as error:
            caught.append(error)

    if in_thread:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    else:
        work()
    assert [type(error) for error in caught] == [OutOfBounds]
    assert str(caught[0]).startswith("Event user.deep nests more than 100 levels deep")


VALUES = {
    "as deep as can be": nested(DEPTH - 1, list),
    "many": [0] * (ITEMS - 10),
    "commas in text": "," * (ITEMS + 10),
    "brackets in text": "[{" * 1000,
    "integer": -(2**4095),
    "large": "x" * (EVENT_BYTES - 200),
}


@pytest.mark.parametrize("name", VALUES)
def test_what_the_kernel_sends_at_the_edge_is_what_the_service_reads(name):
    assert read_json(encode_event("user.x", "1", {"v": VALUES[name]}))["v"] == VALUES[name]


BEYOND = {
    "many": ([0] * (ITEMS + 1), "values and 1,000,000 are allowed"),
    "many keys": (dict.fromkeys(map(str, range(ITEMS + 1)), 0), "values and 1,000,000 are allowed"),
    "large": ("x" * EVENT_BYTES, "16,777,216 are allowed"),
    "large once escaped": ("\x00" * (EVENT_BYTES // 5), "16,777,216 are allowed"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_event_that_is_too_large_is_refused_with_a_sentence(name):
    value, said = BEYOND[name]
    with pytest.raises(OutOfBounds, match=said):
        encode_event("user.x", "1", {"v": value})


@pytest.mark.parametrize(
    "topic", ["", " ", "user x", "user.\n", "user.\x1b[31m", "user.\x85", "x" * 201, "\ud800", "\t"]
)
def test_topic_that_no_client_could_filter_by_is_refused(topic):
    with pytest.raises(OutOfBounds):
        check_topic(topic)
    with pytest.raises(OutOfBounds):
        encode_event(topic, "1", {})


@pytest.mark.parametrize("topic", ["x", "user.script.announce", "x" * 200, "größe.naïve", "a-b_c.1"])
def test_topic_of_words_is_taken(topic):
    assert check_topic(topic) == topic


def test_file_that_is_none_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 5 << 30)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "script").write_bytes(b"x" * 10)
    for name in ("pipe", "folder", "loop", "missing"):
        with pytest.raises(OSError, match=name):
            read_file(tmp_path / name, 10)
    with pytest.raises(OSError, match="/dev/zero is not a regular file"):
        read_file(Path("/dev/zero"), 10)
    for name in ("large", "script"):
        with pytest.raises(OutOfBounds, match="are allowed"):
            read_file(tmp_path / name, 9)
    assert read_file(tmp_path / "script", 10) == b"x" * 10
    for name in ("pipe", "folder", "loop", "missing"):
        with pytest.raises(OSError, match=name):
            read_end(tmp_path / name, 10)
    assert read_end(tmp_path / "script", 4) == b"xxxx"
    assert read_end(tmp_path / "script", 11) == b"x" * 10


def test_reading_is_not_changed_by_a_script_that_lowers_the_recursion_limit():
    before = sys.getrecursionlimit()
    data = json.dumps(nested(DEPTH, list)).encode()
    try:
        sys.setrecursionlimit(300)
        assert read_json(data) == nested(DEPTH, list)
    finally:
        sys.setrecursionlimit(before)
