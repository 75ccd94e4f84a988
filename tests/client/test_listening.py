"""What a listener knows of its stream, without any: back-off, deadlines, positions, notices."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.client import AWAY, BACK, LOST, ApiError, EventsLost, StreamEnded
from oet_kernel.client._address import Address
from oet_kernel.client._listening import Listening, pauses
from oet_kernel.events.sse import frame, position

ADDRESS = Address("http://h/api/v1.0", None, "me")


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


def make(after=None, resume=300.0, notices=True, clock=None):
    return Listening({}, after, resume, notices, clock or Clock(), lambda: 0.0)


def event(number, event_id=None):
    data = json.dumps({"topic": "user.count", "msg_src": "1", "number": number}).encode()
    return frame(data, number if event_id is None else event_id)


def told(events):
    return [one.fields.get("number", one.topic) for one in events]


@given(st.lists(st.floats(0, 1), min_size=30, max_size=30))
def test_pauses_begin_at_once_double_and_stay_within_bounds(dice):
    rolls = iter(dice)
    made = pauses(lambda: next(rolls))
    assert next(made) == 0
    for number in range(30):
        longest = min(5.0, 0.1 * 2**number)
        assert longest / 2 <= next(made) <= longest


def test_listener_comes_back_behind_the_newest_event_that_was_whole():
    stream = make()
    assert stream.headers == {}
    assert told(stream.feed(b"\n" + position(4) + event(5) + event(6) + event(7)[:-1])) == [5, 6]
    stream.broke(ADDRESS, "cut")
    assert stream.headers == {"Last-Event-ID": "6"}
    assert told(stream.connected()) == []
    assert told(stream.feed(b"\n" + event(7))) == [7]


def test_listener_that_has_heard_nothing_comes_back_where_its_stream_began():
    stream = make()
    assert stream.query == {"position": "true"}
    assert told(stream.feed(b"\n" + position(4))) == []
    stream.broke(ADDRESS, "cut")
    assert stream.headers == {"Last-Event-ID": "4"}


def test_listener_that_named_its_beginning_comes_back_there():
    stream = make(after=9)
    assert stream.query == {"after": "9"}
    assert stream.headers == {}
    stream.broke(ADDRESS, "cut")
    assert stream.headers == {"Last-Event-ID": "9"}


def test_short_break_is_not_told_and_a_long_one_once():
    stream = make(after=0)
    assert stream.broke(ADDRESS, "cut") == (0.0, [])
    pause, (notice,) = stream.broke(ADDRESS, "refused")
    assert (pause, notice.topic, notice.fields, notice.is_notice) == (0.1, AWAY, {"why": "refused"}, True)
    assert stream.broke(ADDRESS, "refused") == (0.2, [])
    assert told(stream.connected()) == [BACK]


def test_pauses_go_on_growing_while_connections_bring_nothing():
    stream = make(after=0)
    waited = []
    for _ in range(4):
        waited.append(stream.broke(ADDRESS, "cut")[0])
        list(stream.connected())
        list(stream.feed(b"\n"))
    assert waited == [0.0, 0.1, 0.2, 0.4]
    list(stream.feed(b":keep-alive\n"))
    assert stream.broke(ADDRESS, "cut")[0] == 0.0


def test_service_that_does_not_come_back_in_time_ends_the_stream():
    clock = Clock()
    stream = make(after=0, resume=10.0, clock=clock)
    stream.broke(ADDRESS, "cut")
    clock.now += 9.95
    assert stream.broke(ADDRESS, "refused")[0] == pytest.approx(0.05)
    clock.now += 0.05
    with pytest.raises(StreamEnded, match="refused"):
        stream.broke(ADDRESS, "refused")


@pytest.mark.parametrize("resume", [0, False])
def test_listener_that_does_not_want_to_come_back_is_told_of_the_end(resume):
    stream = make(resume=resume)
    list(stream.feed(frame(b'{"last_id":3}', event="overflow")))
    with pytest.raises(StreamEnded, match=r"disconnected this listener \(overflow"):
        stream.broke(ADDRESS, "the service closed the stream")


def test_what_retention_has_removed_is_told_in_its_place():
    stream = make(after=5)
    gone = frame(b'{"after":5,"removed_through":8}', event="removed")
    before, after = stream.feed(gone + event(9))
    assert (before.topic, before.fields["after"], after.fields) == (LOST, 8, {"number": 9})
    assert "removed old events, up to 8" in before.fields["why"]


def test_who_wants_all_that_there_is_misses_nothing_that_there_is_not():
    stream = make(after=0, notices=False)
    gone = frame(b'{"after":0,"removed_through":8}', event="removed")
    assert told(stream.feed(gone + event(9))) == [9]


def test_state_folder_that_is_another_is_told_and_the_listener_goes_on_in_it():
    stream = make(after=50)
    assert told(stream.feed(frame(b'{"after":50,"last_id":7}', event="unknown-id"))) == [LOST]
    stream.broke(ADDRESS, "cut")
    assert stream.headers == {"Last-Event-ID": "7"}


def test_loss_is_an_error_for_who_has_not_asked_for_notices_behind_what_was_heard():
    stream = make(after=5, notices=False)
    events = stream.feed(event(6) + frame(b'{"after":5,"removed_through":8}', event="removed") + event(9))
    assert told([next(events)]) == [6]
    with pytest.raises(EventsLost, match="removed old events, up to 8") as caught:
        next(events)
    assert caught.value.after == 8


@pytest.mark.parametrize("ids", [[], [1601463545.5], [1601463545.5, 1601463546.25]])
def test_original_service_is_listened_to_anew_and_what_may_be_missing_is_said(ids):
    """Its ids are times."""
    stream = make()
    list(stream.feed(b"\n" + b"".join(event(1).replace(b"id:1\n", b"id:%r\n" % one) for one in ids)))
    for _ in range(2):
        stream.broke(ADDRESS, "cut")
        assert stream.headers == {}
        *_, notice = stream.connected()
        assert (notice.topic, notice.fields["after"]) == (LOST, None)
        list(stream.feed(b"\n"))


@pytest.mark.parametrize(
    ("status", "token_may_change", "tries_again"),
    [
        ("503 Service Unavailable", False, True),
        ("502 Bad Gateway", False, True),
        ("403 Forbidden", True, True),
        ("403 Forbidden", False, False),
        ("404 Not Found", True, False),
    ],
)
def test_only_an_answer_that_may_change_is_waited_for(status, token_may_change, tries_again):
    error = ApiError(status, "x", "y")
    if tries_again:
        assert make().refused(error, token_may_change) == f"{status}: y"
    else:
        with pytest.raises(ApiError):
            make().refused(error, token_may_change)


@pytest.mark.parametrize("name", ["removed", "unknown-id"])
def test_frame_that_is_not_understood_ends_the_stream(name):
    with pytest.raises(StreamEnded, match="is not valid"):
        list(make().feed(frame(b"{}", event=name)))
