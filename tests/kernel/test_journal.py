"""The journal: what was appended is read, once and in order, whatever else happens."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.bounds import EVENT_BYTES, RECORD_BYTES, OutOfBounds, check_json
from oet_kernel.kernel.journal import Journal
from oet_kernel.kernel_manager.journal_reader import JournalReader
from oet_kernel.protocol import JOURNAL, UNREADABLE


def contents(records):
    return [json.loads(bytes(record.content)) for record in records]


def test_records_are_read_once_and_in_order(tmp_path, tail):
    journal = Journal(tmp_path)
    journal.call = "main"
    journal.append("stream", b'{"text":"a"}')
    first = tail.read()
    journal.call = None
    journal.append("oet_event", b'{"topic":"b"}')
    second = tail.read()
    assert [(r.n, r.type, r.call, json.loads(bytes(r.content))) for r in first + second] == [
        (1, "stream", "main", {"text": "a"}),
        (2, "oet_event", None, {"topic": "b"}),
    ]
    assert first[0].t <= second[0].t
    assert tail.read() == []


def test_bell_rings_for_a_record_and_is_silent_after_it_was_hushed(tmp_path, tail):
    import select

    journal = Journal(tmp_path)
    assert select.select([tail.bell], [], [], 0)[0] == []
    for _ in range(3):
        journal.append("x", b"{}")
    assert select.select([tail.bell], [], [], 0)[0] == [tail.bell]
    tail.hush()
    assert select.select([tail.bell], [], [], 0)[0] == []


def test_bell_rings_for_the_listener_that_comes_after_another(tmp_path, tail):
    import select

    journal = Journal(tmp_path)
    journal.append("x", b'{"n":1}')
    assert contents(tail.read()) == [{"n": 1}]
    offset = tail.offset
    tail.close()
    journal.append("x", b'{"n":2}')
    other = JournalReader(tmp_path, offset)
    other.hush()
    assert contents(other.read()) == [{"n": 2}]
    journal.append("x", b'{"n":3}')
    assert select.select([other.bell], [], [], 0)[0] == [other.bell]
    assert contents(other.read()) == [{"n": 3}]
    other.close()


@pytest.mark.parametrize("handler", ["SIG_DFL", "SIG_IGN"])
def test_ring_that_nobody_hears_harms_no_script_whatever_it_makes_of_broken_pipes(tmp_path, tail, handler):
    code = (
        "import signal, sys\nfrom pathlib import Path\nfrom oet_kernel.kernel.journal import Journal\n"
        f"signal.signal(signal.SIGPIPE, signal.{handler})\njournal = Journal(Path(sys.argv[1]))\n"
        "input()\njournal.append('x', b'{}')\nprint('alive')\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        tail.close()
        assert process.communicate("\n")[0] == "alive\n"


def test_every_offset_behind_a_batch_is_a_place_to_begin(tmp_path, tail):
    journal = Journal(tmp_path)
    for n in range(50):
        journal.append("x", json.dumps({"n": n}).encode())
    seen = 0
    while records := tail.read(200):
        seen += len(records)
        other = JournalReader(tmp_path, tail.offset)
        assert [entry["n"] for entry in contents(other.read())] == list(range(seen, 50))
        other.close()


def read_all(tail, most=1 << 20):
    """Read to the end; return the contents of what are records."""
    found = []
    while (records := tail.read(most)) or tail.behind:
        found += [record for record in records if record.type != UNREADABLE]
    return contents(found)


def test_line_that_is_too_long_is_passed_over_in_pieces(tmp_path, tail):
    journal = Journal(tmp_path)
    journal.append("x", b'{"n":1}')
    for size in (RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES + 1, 3 * RECORD_BYTES):
        with open(tmp_path / JOURNAL, "ab") as file:
            file.write(b"x" * size + b"\n")
        journal.append("x", b'{"n":2}')
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(b"y" * RECORD_BYTES)  # its end has not come
    assert read_all(tail) == [{"n": 1}, *[{"n": 2}] * 4]
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(b"y\n")
    journal.append("x", b'{"n":3}')
    assert read_all(tail) == [{"n": 3}]


LINES = {
    "again and again": b'{"n":1,"x":' * 50_000,
    "binary": bytes(range(1, 10)) + bytes(range(11, 256)),
    "no record": b'{"n":"1"}',
    "number": b'{"n":1e999,"t":1,"type":"x","call":null,"content":{}}',
}


@pytest.mark.parametrize("name", LINES)
def test_line_that_is_no_record_costs_that_line_only(tmp_path, tail, name):
    journal = Journal(tmp_path)
    journal.append("x", b'{"n":1}')
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(LINES[name] + b"\n")
    journal.append("x", b'{"n":2}')
    read = tail.read()
    assert [record.type for record in read] == ["x", UNREADABLE, "x"]
    assert bytes(read[1].content) == LINES[name]


def test_line_that_nests_deep_is_no_record_or_its_content_is_out_of_bounds(tmp_path, tail):
    """Whose stack is deep enough, as Python 3.14's, takes it for a record."""
    journal = Journal(tmp_path)
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(b'{"n":1,"t":1,"type":"x","call":null,"content":%s%s}\n' % (b"[" * 5000, b"]" * 5000))
    journal.append("x", b'{"n":2}')
    deep, behind = tail.read()
    assert bytes(behind.content) == b'{"n":2}'
    if deep.type != UNREADABLE:
        with pytest.raises(OutOfBounds, match="nests more than"):
            check_json(bytes(deep.content))


def test_torn_records_longer_than_a_read_are_not_taken_for_the_end(tmp_path, tail):
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(b"torn\n" * 100)
    Journal(tmp_path).append("x", b'{"n":1}')
    assert read_all(tail, 50) == [{"n": 1}]


def test_writer_never_waits_for_a_reader(tmp_path, tail):
    journal = Journal(tmp_path)
    for _ in range(70_000):  # more rings than a pipe holds
        journal.append("x", b"{}")
    tail.hush()
    seen = 0
    while records := tail.read():
        seen += len(records)
    assert seen == 70_000


def test_threads_and_forked_children_write_whole_records(tmp_path, tail):
    journal = Journal(tmp_path)

    def write(name):
        for n in range(500):
            journal.append("x", json.dumps({"who": name, "n": n, "pad": "y" * 300}).encode())

    child = multiprocessing.get_context("fork").Process(target=write, args=("child",))
    threads = [threading.Thread(target=write, args=(f"thread {n}",)) for n in range(3)]
    child.start()
    for thread in threads:
        thread.start()
    for worker in [*threads, child]:
        worker.join()
    records = []
    while more := tail.read():
        records += more
    by_writer = {}
    for entry in contents(records):
        by_writer.setdefault(entry["who"], []).append(entry["n"])
    assert by_writer == {name: list(range(500)) for name in ("child", "thread 0", "thread 1", "thread 2")}
    numbers = [record.n for record in records if record.n]
    assert sorted(numbers) == list(range(1, 1501)), "a child's records have no number of the parent's"


def test_torn_record_is_left_out_and_those_around_it_are_read(tmp_path, tail):
    journal = Journal(tmp_path)
    journal.append("x", b'{"n":1}')
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(b'{"n":2,"t":1,"type":"x","call":null,"cont\n')
    journal.append("x", b'{"n":3}')
    assert read_all(tail) == [{"n": 1}, {"n": 3}]


def test_record_under_way_is_not_read_before_its_end(tmp_path, tail):
    line = b'{"n":1,"t":1,"type":"x","call":null,"content":{}}\n'
    with open(tmp_path / JOURNAL, "ab", buffering=0) as file:
        file.write(line[:20])
        assert tail.read() == []
        file.write(line[20:])
    assert len(tail.read()) == 1


def test_record_longer_than_a_read_is_read(tmp_path, tail):
    journal = Journal(tmp_path)
    journal.append("x", json.dumps({"text": "x" * 100_000}).encode())
    journal.append("x", b"{}")
    assert len(tail.read(1000)) + len(tail.read(1000)) == 2


def test_disk_gets_back_what_was_read(tmp_path, tail):
    journal = Journal(tmp_path)
    chunk = json.dumps({"text": "x" * 1_000_000}).encode()
    for _ in range(40):
        journal.append("x", chunk)
        tail.read(2_000_000)
    stat = os.stat(tmp_path / JOURNAL)
    assert stat.st_size > 40_000_000
    assert stat.st_blocks * 512 < 30_000_000


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers()), max_size=20), st.integers(1, 200))
def test_any_records_are_read_whole_however_little_is_read_at_once(tmp_path_factory, entries, most):
    folder = tmp_path_factory.mktemp("journal")
    tail = JournalReader(folder)
    journal = Journal(folder)
    for entry in entries:
        journal.append("x", json.dumps(entry).encode())
    read = []
    while records := tail.read(most):
        read += contents(records)
    tail.close()
    assert read == entries


def test_record_that_is_insisted_on_is_written_once_there_is_space(tmp_path, tail, monkeypatch):
    monkeypatch.setattr("oet_kernel.kernel.journal.RETRY_SECONDS", 0.001)
    journal = Journal(tmp_path)
    write, full = os.write, iter([True, True, True])

    def refuse(file, data):
        if data != b"!" and next(full, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data)

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(OSError, match="No space"):
        journal.append("x", b"1")
    journal.insist("x", b"2")
    assert contents(tail.read()) == [2]


def test_error_that_space_does_not_mend_is_raised_at_once(tmp_path):
    journal = Journal(tmp_path)
    os.close(journal._file)
    with pytest.raises(OSError, match="Bad file descriptor"):
        journal.insist("x", b"1")


def write_in_part(monkeypatch, first):
    """Have the system write only a part of the first record, and call something then."""
    write, begun = os.write, []

    def cut(file, data):
        if data != b"!" and not begun:
            begun.append(True)
            written = write(file, data[: len(data) // 2])
            first()
            return written
        return write(file, data)

    monkeypatch.setattr(os, "write", cut)


@pytest.mark.parametrize("content", [b'{"n":1,"t":2}', b'{"a":[{"n":7}]}'], ids=["like a record", "nested"])
def test_append_amid_a_record_that_was_written_in_part_tears_neither(tmp_path, tail, monkeypatch, content):
    journal = Journal(tmp_path)
    write_in_part(monkeypatch, lambda: journal.append("inner", content))
    journal.append("outer", content)
    journal.append("last", content)
    read = tail.read()
    assert sorted(record.type for record in read) == ["inner", "last", "outer"]
    assert {bytes(record.content) for record in read} == {content}


def test_record_that_was_begun_on_a_full_disk_spoils_none_behind_it(tmp_path, tail, monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space")

    journal = Journal(tmp_path)
    write_in_part(monkeypatch, full)
    with pytest.raises(OSError, match="No space"):
        journal.append("x", b'{"n":1}')
    journal.append("x", b'{"n":2}')
    assert contents(tail.read()) == [{"n": 2}]


def test_handlers_finalisers_and_tracers_append_amid_appends(tmp_path, tail):
    code = """
import gc, itertools, json, os, signal, sys, threading
from pathlib import Path
from oet_kernel.kernel.journal import Journal
journal = Journal(Path(sys.argv[1]))
counts = dict.fromkeys(("main", "tick", "gone", "thread", "trace"), 0)
def say(who):
    counts[who] += 1
    journal.append(who, json.dumps({"number": counts[who], "pad": "y" * 300}).encode())
class Gone:
    def __init__(self): self.itself = self
    def __del__(self): say("gone")
def trace(frame, event, argument):
    if frame.f_code.co_name == "_write" and event == "call" and counts["trace"] < 300: say("trace")
    return None
def thread():
    os.read(wait, 1)
    for _ in range(3000): say("thread")
wait, go = os.pipe()
other = threading.Thread(target=thread)
other.start()
ticks = itertools.count(1)
def tick(*_):  # one tick may come amid another
    number = next(ticks)
    say("tick")
    if number == 5: os.write(go, b"!")
    if number == 10:
        os.write(go, b"!")
        other.join()
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
gc.set_threshold(50)
sys.settrace(trace)
while counts["tick"] < 50:
    say("main"); Gone()
signal.setitimer(signal.ITIMER_REAL, 0)
sys.settrace(None)
gc.disable()
print(json.dumps(counts), flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    by_who = {}
    while records := tail.read():
        for record in records:
            by_who.setdefault(record.type, []).append(json.loads(bytes(record.content))["number"])
    expected = json.loads(done.stdout)
    assert expected["gone"]
    assert {who: len(numbers) for who, numbers in by_who.items()} == expected
    assert {who: sorted(numbers) for who, numbers in by_who.items()} == {
        who: list(range(1, count + 1)) for who, count in expected.items()
    }
    assert by_who["thread"] == sorted(by_who["thread"])


@given(st.binary())
def test_what_is_no_utf8_is_replaced_where_it_enters(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("journal")
    tail, journal = JournalReader(folder), Journal(folder)
    quoted = text.translate(None, b'"\\' + bytes(range(32)))
    journal.append("x", b'{"text":"' + quoted + b'"}')
    journal.append('a "b" \udcff', b"{}")
    read = tail.read()
    tail.close()
    assert [record.type for record in read] == ["x", 'a "b" ?']
    assert contents(read)[0] == {"text": quoted.decode("utf-8", "replace")}


def test_record_that_no_reader_takes_is_refused(tmp_path):
    with pytest.raises(OutOfBounds, match="too large; 16,777,216 are allowed"):
        Journal(tmp_path).append("x", b'"' + b"y" * EVENT_BYTES + b'"')
    assert not (tmp_path / "iopub.jsonl").read_bytes()
