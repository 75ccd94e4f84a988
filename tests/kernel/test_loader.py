"""A script is loaded as its author expects, and fails in the words of plain Python."""

import inspect
import linecache
import os
import pickle
import sys

import pytest

from oet_kernel.kernel.loader import format_failure, load


@pytest.fixture(autouse=True)
def _own_modules():
    """Leave the interpreter as it was."""
    modules, path, argv = set(sys.modules), list(sys.path), list(sys.argv)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:], sys.argv[:] = path, argv


def write(folder, text, name="observe.py"):
    path = folder / name
    path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
    return path


def test_module_knows_its_file_and_name_and_is_not_main(tmp_path):
    path = write(tmp_path, "name, file = __name__, __file__\nmain = False\nif __name__ == '__main__': main = True\n")
    module = load(path)
    assert (module.name, module.file, module.main) == ("observe", str(path), False)
    assert sys.argv == [str(path)]


def test_siblings_can_be_imported(tmp_path):
    write(tmp_path, "x = 5", "sibling_of_observe.py")
    assert load(write(tmp_path, "from sibling_of_observe import x")).x == 5
    assert sys.path[0] == str(tmp_path)


def test_dataclasses_pickle_hints_and_source_work_on_what_it_defines(tmp_path):
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport typing\n"
        "@dataclass\nclass Point:\n    x: typing.ClassVar[int] = 1\n    y: int = 2\ndef main(p: Point): pass\n"
    )
    module = load(write(tmp_path, text))
    point = module.Point(3)
    assert pickle.loads(pickle.dumps(point)) == point
    assert inspect.getsource(module.main) == "def main(p: Point): pass\n"
    assert inspect.get_annotations(module.main, eval_str=True) == {"p": module.Point}


@pytest.mark.parametrize("name", ["json.py", "my-script.py", "a.b.py", "random.py", "sys.py"])
def test_any_file_name_is_loaded_and_clobbers_no_module(tmp_path, name):
    import json

    module = load(write(tmp_path, "class A: pass\ndef main(): return 1\n", name))
    assert module.main() == 1
    assert sys.modules["json"] is json
    assert type(pickle.loads(pickle.dumps(module.A()))) is module.A


def test_source_of_now_is_what_runs_whatever_was_compiled_before(tmp_path):
    path = write(tmp_path, "x = 1\n")
    assert load(path).x == 1
    stat = path.stat()
    write(tmp_path, "x = 2\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert load(path).x == 2
    assert not (tmp_path / "__pycache__").exists()


def test_declared_encoding_is_honoured(tmp_path):
    assert load(write(tmp_path, "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"))).x == "é"


def test_traceback_shows_the_lines_that_ran_although_the_file_was_edited(tmp_path):
    path = write(tmp_path, "def main():\n    raise ValueError('old')\n")
    module = load(path)
    write(tmp_path, "def main():\n    something_else()\n")
    linecache.checkcache()
    assert "raise ValueError('old')" in failure_of(module.main)


@pytest.mark.parametrize("text", ["def main(:\n", "raise ValueError('x')\n", "import no_such_module_anywhere\n"])
def test_failed_import_leaves_no_module_behind(tmp_path, text):
    with pytest.raises((SyntaxError, ValueError, ImportError)):
        load(write(tmp_path, text))
    assert "observe" not in sys.modules


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*nothing\.py'"):
        load(tmp_path / "nothing.py")


def failure_of(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return format_failure(error)
    raise AssertionError("did not fail")


def test_failure_begins_in_the_script(tmp_path):
    path = write(tmp_path, "def inner(): 1/0\ninner()\n")
    text = failure_of(load, path)
    assert text.splitlines()[:2] == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 2, in <module>',
    ]
    assert "oet_kernel" not in text
    assert text.endswith("ZeroDivisionError: division by zero\n")


def test_syntax_error_shows_its_place(tmp_path):
    text = failure_of(load, write(tmp_path, "def main(:\n    pass\n"))
    assert 'observe.py", line 1' in text
    assert "def main(:" in text
    assert "SyntaxError" in text
    assert "oet_kernel" not in text


def test_causes_groups_and_notes_are_kept(tmp_path):
    text = (
        "def main():\n    try:\n        1/0\n    except ZeroDivisionError as error:\n"
        "        new = ExceptionGroup('several', [ValueError('one')])\n        new.add_note('a note')\n"
        "        raise new from error\n"
    )
    said = failure_of(load(write(tmp_path, text)).main)
    for part in ("ZeroDivisionError", "direct cause", "several", "ValueError: one", "a note"):
        assert part in said


@pytest.mark.parametrize(
    ("text", "end"), [("raise SystemExit(0)", "SystemExit: 0"), ("raise KeyboardInterrupt", "KeyboardInterrupt")]
)
def test_exits_and_interrupts_have_their_traceback(tmp_path, text, end):
    assert failure_of(load, write(tmp_path, text)).rstrip().endswith(end)


def test_exception_that_cannot_be_shown_is_still_named():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

        __repr__ = __str__

    assert "Broken" in format_failure(Broken())
