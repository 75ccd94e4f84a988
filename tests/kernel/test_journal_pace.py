"""A kernel whose reader is far behind is slowed, so that a stop need not wait for what it has written."""

import json

import pytest

from oet_kernel.kernel import journal as journal_module
from oet_kernel.kernel.journal import MOST_UNREAD, PACE_BYTES, Journal
from oet_kernel.kernel_manager.journal_reader import JournalReader
from oet_kernel.protocol import JOURNAL, READ_OFFSET


@pytest.fixture
def paces(monkeypatch):
    """The seconds that each write was delayed for, instead of the delay."""
    told = []
    monkeypatch.setattr(journal_module.time, "sleep", told.append)
    return told


RECORD = json.dumps({"text": "x" * 1000}).encode()
FLOOD = 3 * MOST_UNREAD // len(RECORD)


def test_kernel_is_slowed_while_its_reader_is_far_behind_and_only_then(tmp_path, tail, paces):
    journal = Journal(tmp_path)
    for _ in range(FLOOD // 4):
        journal.append("stream", RECORD)
    assert paces == [], "a reader may be behind so far"
    for _ in range(FLOOD):
        journal.append("stream", RECORD)
    slowed = len(paces)
    assert slowed > FLOOD * len(RECORD) / PACE_BYTES / 2
    while tail.read():
        pass
    for _ in range(100):
        journal.append("stream", RECORD)
    assert len(paces) == slowed, "the reader has caught up"


def test_report_of_the_end_of_a_call_is_never_slowed(tmp_path, tail, paces):
    journal = Journal(tmp_path)
    for _ in range(FLOOD):
        journal.insist("oet_call", RECORD)
    assert paces == []


def test_kernel_is_not_slowed_while_no_service_runs(tmp_path, tail, paces):
    journal = Journal(tmp_path)
    tail.close()
    for _ in range(FLOOD):
        journal.append("stream", RECORD)
    assert paces == []
    again = JournalReader(tmp_path, (tmp_path / JOURNAL).stat().st_size)
    for _ in range(100):
        journal.append("stream", RECORD)
    assert paces == [], "the next service begins where the journal ends"
    again.close()


@pytest.mark.parametrize("note", [None, b"", b"\0" * 3], ids=["none", "empty", "short"])
def test_service_that_notes_no_offset_slows_no_kernel_for_good(tmp_path, tail, paces, note):
    (tmp_path / READ_OFFSET).unlink()
    if note is not None:
        (tmp_path / READ_OFFSET).write_bytes(note)
    journal = Journal(tmp_path)
    for _ in range(FLOOD):
        journal.append("stream", RECORD)
    assert (paces == []) == (note is None), "a service of an older version notes none"
