"""A reader of a record sees a whole one, whenever it looks."""

import html
import os
import re
import threading

import pytest

from oet_kernel.record import About, build
from oet_kernel.record.files import to_html, write_whole
from oet_kernel.record.parts import encode
from tests.record.conftest import summary_in


def test_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "records" / "1.ipynb"
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
    path = tmp_path / "records" / "1.ipynb"
    write_whole(path, b"x")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.listdir(path.parent) == ["1.ipynb"]


def test_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "1.ipynb"
    write_whole(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["1.ipynb"]


@pytest.mark.parametrize("line", ["\x1b[31mred\x1b[0m\n", "\x1b[31mred\x1b[39m\n", "plain \x1b[1;31mred\x1b[m \n"])
def test_much_coloured_text_has_all_its_colours_on_the_page(script, line):
    script.write(line * 20_000)
    page = to_html(encode(build(summary_in("COMPLETE"), script.events, About())), "Procedure 3").decode()
    assert len(re.findall(r'class="ansi-red-[^"]*">red</span>', page)) == 20_000


@pytest.mark.parametrize("text", ["x" * 30_000, "\x1b[31m" + "red" * 10_000, "a\r\n" * 10_000, "<&>\x1b[0m" * 5000])
def test_text_of_any_length_is_whole_on_the_page(script, text):
    script.write(text)
    page = to_html(encode(build(summary_in("COMPLETE"), script.events, About())), "Procedure 3").decode()
    shown = re.search(r'data-mime-type="text/plain"[^>]*>\s*<pre>(.*?)</pre>', page, re.DOTALL)[1]
    plain = html.unescape(re.sub(r"<[^>]*>", "", shown))
    assert plain.replace("\r", "").strip() == re.sub(r"\x1b\[\d*m", "", text).replace("\r", "").strip()
