"""Text keeps its beginning and its end, and of a line that rewrites itself what one sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat.v4 import new_code_cell, new_output

from oet_kernel.formatting.terminal_text import StreamText, Text, rewritten


def notice(size):
    return f"[{size}]"


def written(*pieces):
    stream = StreamText()
    for piece in pieces:
        stream.write(piece)
    return stream.shown(notice)


@pytest.mark.parametrize(
    "text",
    [
        "plain\nlines\n",
        "windows\r\nlines\r\n",
        "\r 10%\r 50%\r100%\n",
        " 10%\r 50%\r100%\r\nnext\n",
        "\x1b[K\r\x1b[32m5/5\x1b[0m\nnext",
        "one\rtwo\nthree\rfour\nfive",
        "\r\r\rlast\n",
        "waits\r",
        "100%|#####| 5/5\r\n\r          \rdone\n",
    ],
)
def test_carriage_returns_are_read_as_nbconvert_reads_them(text):
    cell = new_code_cell(outputs=[new_output("stream", text=text)])
    read, _ = CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, 0)
    assert written(text) == read.outputs[0].text
    assert written(*text) == read.outputs[0].text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("10%\b\b\b50%\n", "50%\n"),
        ("abcd\b\b\bX\n", "aXcd\n"),
        ("spin |\b/\b-\bdone\n", "spin done\n"),
        ("\b\bx\n", "x\n"),
        ("stays\b\b\n", "stays\n"),
        ("\b" * 20 + "\r 1/3\b\b\b\b\r 3/3\n", " 3/3\n"),
        ("line\r\r\nnext\n", "line\r\nnext\n"),
    ],
)
def test_backspaces_go_back_as_on_a_terminal(text, seen):
    assert written(text) == rewritten(text) == written(*text) == seen


@given(st.lists(st.text("ab\r\n\b", max_size=8), max_size=8))
def test_pieces_make_no_difference(pieces):
    assert written(*pieces) == written("".join(pieces))


@given(st.lists(st.text("ab\r\b", min_size=500, max_size=1500), max_size=4))
def test_long_lines_are_read_as_short_ones(pieces):
    assert written(*pieces) == written("".join(pieces))


@given(st.lists(st.tuples(st.text("ab\n", max_size=40), st.integers(0, 60)), max_size=12))
def test_what_is_kept_begins_and_ends_as_the_whole(pieces):
    text, whole = Text(), ""
    for piece, size in pieces:
        text.write(piece)
        whole += piece
        text.cut(size)
        assert len(text) <= size
        assert len(text) + text.left_out == len(whole)
        head, _, tail = text.shown(lambda size: "|").partition("|")
        assert whole.startswith(head)
        assert whole.endswith(tail)


def test_text_is_cut_at_ends_of_lines():
    text = Text("".join(f"line {number}\n" for number in range(1000)))
    text.cut(200)
    lines = text.shown(lambda size: "left out\n").splitlines()
    assert len(lines) > 15
    assert all(line.startswith("line ") or line == "left out" for line in lines)


def test_line_without_end_keeps_its_beginning_and_its_end():
    stream = StreamText()
    for _ in range(1000):
        stream.write("x" * 99 + "y")
    stream.cut(1000)
    stream.write("end")
    assert len(stream) == 1003
    assert stream.shown(notice).endswith("xyend")
    assert "[99000]" in stream.shown(notice)


def test_bar_goes_on_rewriting_its_line_after_a_cut():
    stream = StreamText()
    stream.write("log\n" * 1000 + "\r 50%")
    stream.cut(100)
    stream.write("\r100%\n")
    assert stream.shown(notice).endswith("log\n100%\n")
    assert "50%" not in stream.shown(notice)
