"""The text of a cell is stored by its content, whole, and with its lines where they are in the cell."""

import click
import pytest

from oet_kernel.magics.cells import store


def test_lines_have_the_numbers_that_they_have_in_the_cell(tmp_path):
    path = store(tmp_path, "observe", "def main():\n    pass\n")
    assert path.read_text().splitlines()[1] == "def main():", "the magic itself is line 1"


def test_the_name_says_the_content(tmp_path):
    first, again, other = (store(tmp_path, "observe", text) for text in ("a = 1\n", "a = 1\n", "a = 2\n"))
    assert first == again != other
    assert first.name.startswith("observe-")
    assert first.suffix == ".py"


def test_what_is_stored_already_is_not_written_again(tmp_path):
    before = store(tmp_path, "observe", "a = 1\n").stat()
    after = store(tmp_path, "observe", "a = 1\n").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_file_that_somebody_has_changed_is_mended(tmp_path):
    path = store(tmp_path, "observe", "a = 1\n")
    path.write_text("evil")
    assert store(tmp_path, "observe", "a = 1\n") == path
    assert path.read_text().endswith("a = 1\n")
    assert list(tmp_path.iterdir()) == [path]


def test_any_text_is_kept_as_it_is(tmp_path):
    text = 'x = "ä\u2028\f"\r\n'
    assert store(tmp_path, "observe", text).read_bytes().endswith(text.encode())


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "1a", "-x", "--run", "a.b", "ä", "x\n"])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    with pytest.raises(click.UsageError, match="is not a valid variable name"):
        store(tmp_path, name, "pass\n")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(click.UsageError, match="--cells FOLDER"):
        store(tmp_path / "file" / "folder", "observe", "pass\n")
