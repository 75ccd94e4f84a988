"""What is told of a kernel that has ended: the end of what it wrote, whatever is in its folder by then."""

import os

import pytest

from oet_kernel.kernel_manager.journal_reader import JournalReader
from oet_kernel.kernel_manager.last_words import LastWords
from oet_kernel.protocol import OUTPUT_FILE, READ_OFFSET


def test_end_of_the_process_output_is_told(tmp_path):
    (tmp_path / OUTPUT_FILE).write_text("".join(f"line {n}\n" for n in range(100_000)))
    said = LastWords(tmp_path).lines()
    assert said[0] == "Last words of the process:"
    assert said[-1].endswith("line 99999")


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)], ids=["pipe", "folder", "loop"]
)
def test_output_that_is_no_file_is_passed_over(tmp_path, make):
    make(tmp_path / OUTPUT_FILE)
    assert LastWords(tmp_path).lines() == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_reader_notes_no_offset_in_what_is_no_file(tmp_path, make):
    make(tmp_path / READ_OFFSET)
    JournalReader(tmp_path).close()
