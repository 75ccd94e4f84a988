"""Server-sent events: the frames are the original's, and decode to the same however they are cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.events.sse import (
    BEGINNING,
    Decoder,
    Message,
    comment,
    end_of_frame,
    frame,
    one_line,
    whole_characters,
)


@pytest.mark.parametrize(
    ("framed", "wire"),
    [
        (frame(b'{"a": 1}'), b'data:{"a": 1}\n\n'),
        (frame(b'{"a": 1}', 7), b'data:{"a": 1}\nid:7\n\n'),
        (frame(b"{}", 7, "overflow"), b"event:overflow\ndata:{}\nid:7\n\n"),
        (comment("keep-alive"), b":keep-alive\n"),
        (
            frame('{"a":"x\x85\u2028\u2029\x0c é 電"}'.encode(), 1),
            'data:{"a":"x\\u0085\\u2028\\u2029\x0c é 電"}\nid:1\n\n'.encode(),
        ),
    ],
)
def test_frames_are_those_of_the_contract(framed, wire):
    assert framed == wire


@given(st.text(st.sampled_from("ax\x85\u2028\u2029é電😀"), min_size=1), st.integers(4, 9))
def test_an_event_in_pieces_is_the_one_that_is_sent_whole(text, size):
    data, pieces, begin = text.encode(), [BEGINNING], 0
    while piece := whole_characters(data[begin : begin + size]):
        piece.decode()
        begin += len(piece)
        pieces.append(one_line(piece))
    assert b"".join((*pieces, end_of_frame(7))) == frame(data, 7)


@given(st.binary(min_size=1, max_size=9))
def test_what_is_no_text_comes_to_an_end_too(piece):
    assert whole_characters(piece)


def decode(*chunks: bytes | str) -> list[Message]:
    decoder = Decoder()
    return [message for chunk in chunks for message in decoder.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "messages"),
    [
        (b"\n", []),
        (b":comment\n\n", []),
        (b"data:x\n\n", [Message("x")]),
        (b"data: x\n\n", [Message("x")]),
        (b"data:  x\n\n", [Message(" x")]),
        (b"data:x\r\n\r\n", [Message("x")]),
        (b"data:x\r\rdata:y\n\n", [Message("x"), Message("y")]),
        (b"data:x\ndata:y\n\n", [Message("x\ny")]),
        (b"data\n\n", [Message("")]),
        (b"event:e\ndata:x\nid:1\n\ndata:y\n\n", [Message("x", "e", "1"), Message("y", "message", "1")]),
        (b"id:1\n\ndata:x\n\n", [Message("x", "message", "1")]),
        (b"id:a\0b\ndata:x\n\n", [Message("x")]),
        (b"retry:10\nunknown:1\ndata:x\n\n", [Message("x")]),
        (b"\xef\xbb\xbfdata:x\n\n", [Message("x")]),
        (b"data:x\n", []),
        (b"event:e\n\ndata:x\n\n", [Message("x")]),
    ],
)
def test_stream_is_decoded_as_the_standard_says(stream, messages):
    assert decode(stream + b"") == messages


def test_event_that_ends_with_carriage_returns_is_not_held_back():
    """Its line feed may never come."""
    decoder = Decoder()
    assert decoder.feed(b"data:x\r\r") == [Message("x")]
    assert decoder.feed(b"\ndata:y\r\n\r") == [Message("y")]
    assert decoder.feed(b"\n") == []


def test_each_byte_of_a_long_line_is_looked_at_once():
    """A line of megabytes in pieces of a few: what was fed is kept in pieces, not joined and searched again."""
    decoder = Decoder()
    pieces = [b"data:" + b"x" * 100, *[b"x" * 100] * 50_000, b"\n\n"]
    (message,) = [message for piece in pieces for message in decoder.feed(piece)]
    assert len(message.data) == 50_001 * 100


@given(st.text(st.sampled_from("data:idevnt\r\n\ufeffx é")), st.data())
def test_any_text_decodes_to_the_same_in_pieces_of_bytes_or_text(text, data):
    whole = decode(text.encode())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert decode(*pieces) == whole
    assert decode(*(bytes([byte]) for byte in text.encode())) == whole


EVENTS = st.lists(st.tuples(st.dictionaries(st.text(), st.text()), st.none() | st.integers(0, 2**53)), max_size=5)


@given(EVENTS, st.data())
def test_frames_cut_anywhere_decode_to_what_was_framed(events, data):
    stream = b"\n" + b"".join(frame(json.dumps(e, ensure_ascii=False).encode(), i) + comment("x") for e, i in events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    messages = decode(*chunks)
    assert [json.loads(message.data) for message in messages] == [event for event, _ in events]
    ids = [message.id for message in messages]
    assert [i for i, (_, given) in zip(ids, events, strict=True) if given is not None] == [
        str(given) for _, given in events if given is not None
    ]
