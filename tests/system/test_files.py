"""A reader of a file sees a whole one, whenever it looks."""

import os
import threading

import pytest

from oet_kernel.system.files import write_whole


def test_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "made" / "file"
    write_whole(path, b"0" * 100_000)
    done, seen = threading.Event(), set()

    def read():
        while not done.is_set():
            data = path.read_bytes()
            seen.add((len(data), len(set(data))))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        write_whole(path, str(number % 10).encode() * (100_000 + number % 2))
    done.set()
    reader.join()
    assert seen <= {(100_000, 1), (100_001, 1)}


def test_file_is_for_its_owner_alone_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "made" / "file"
    write_whole(path, b"x")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.listdir(path.parent) == ["file"]


def test_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new", durable=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
