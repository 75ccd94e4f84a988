"""The log stays readable, and small, whatever happens however often."""

import logging

import pytest

from oet_kernel.server.logs import BURST, LINE_CHARACTERS, Moderator
from tests.conftest import serve


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(clock):
    """A logger whose lines are kept in a list."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))
    handler.addFilter(Moderator(clock))
    logger = logging.Logger("moderated")
    logger.addHandler(handler)
    logger.lines = lines
    return logger


def test_place_that_writes_too_often_is_cut_and_the_next_line_says_how_often(log, clock):
    def write():
        log.warning("404 GET /%s", len(log.lines))

    for _ in range(BURST + 30):
        write()
    assert len(log.lines) == BURST
    log.warning("another place is not kept from writing")
    clock.now += 1
    write()
    write()
    assert log.lines[BURST:] == [
        "another place is not kept from writing",
        f"404 GET /{BURST + 1} (and 30 more of this kind, which were left out)",
    ]
    clock.now += 10 * BURST
    for _ in range(2 * BURST):
        write()
    assert len(log.lines) == 2 * BURST + 2


def test_what_is_critical_is_always_written(log):
    for _ in range(BURST + 30):
        log.critical("The service cannot start")
    assert len(log.lines) == BURST + 30


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("404 GET /\x1b]0;owned\x07", "404 GET /\\x1b]0;owned\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("gnp\u202eexe", "gnp\\u202eexe"),
        ("100 % of %s", "100 % of %s"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_control_characters_of_others_are_escaped(log, text, written):
    log.warning("%s", text)
    log.warning(text)
    assert log.lines == [written, written]


def test_long_message_keeps_its_beginning_and_its_end(log):
    log.warning("%s", "a" * 10_000 + "z")
    (line,) = log.lines
    assert line.startswith("aaa")
    assert line.endswith("z")
    assert len(line) < LINE_CHARACTERS + 100


def test_traceback_stays(log):
    try:
        raise KeyError("x")
    except KeyError as error:
        log.error("Unexpected failure", exc_info=error)
    assert "Traceback" in log.lines[0]


def test_service_moderates_its_own_messages_and_those_of_its_server(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state/kernels").write_bytes(b"no folder")
    with serve(tmp_path) as server:
        for _ in range(BURST + 30):
            server.http.get("/nothing" + "x" * 2000)
    lines = (tmp_path / "server.log").read_text().splitlines()
    told = [line for line in lines if "404 GET" in line]
    assert len(told) <= BURST + 5
    assert all(len(line) < LINE_CHARACTERS + 200 for line in lines)
    (odd,) = [line for line in lines if "is not of the expected type" in line]
    assert odd.startswith("[W ")
