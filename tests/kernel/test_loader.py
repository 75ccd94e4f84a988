"""Scripts as modules: what an author expects of names, tracebacks, siblings, pickling; failures in plain Python."""

import asyncio
import dataclasses
import inspect
import os
import pickle
import sys
import traceback
import typing
from textwrap import dedent

import pytest

from oet_kernel.kernel import loader
from oet_kernel.kernel.loader import TRACE_LIMIT, format_failure


@pytest.fixture(autouse=True)
def _own_interpreter_state(monkeypatch):
    """Leave `sys` as it was."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def script(tmp_path):
    """Write a script; its path."""

    def write(source, name="observe_it.py"):
        path = tmp_path / name
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return path

    return write


def load(path):
    """Read a script and import it."""
    return loader.load(loader.open_script(path))


def failure(path, call=None):
    """Load a script, call a function of it, and format what is raised."""
    try:
        module = loader.load(loader.open_script(path))
        if call:
            getattr(module, call)()
    except BaseException as error:
        error.__traceback__ = error.__traceback__.tb_next  # without the frame of this helper, which is no machinery
        return format_failure(error)
    raise AssertionError("nothing was raised")


def test_module_says_what_an_author_expects(script):
    path = script("if __name__ == '__main__': raise SystemExit\nimport sys\nargv = sys.argv\nfirst = sys.path[0]")
    module = load(path)
    assert (module.__name__, module.__file__, module.__spec__.origin) == ("observe_it", str(path), str(path))
    assert module.argv == [str(path)]
    assert module.first == str(path.parent.resolve())
    assert sys.modules["observe_it"] is module


def test_siblings_of_the_real_file_can_be_imported(script, tmp_path):
    script("value = 5", "sibling_of_observe.py")
    link = tmp_path / "links"
    link.symlink_to(script("import sibling_of_observe as s").parent, target_is_directory=True)
    module = load(link / "observe_it.py")
    assert module.s.value == 5
    assert module.__file__ == str(link / "observe_it.py")


def test_relative_path_stays_right_after_a_change_of_folder(script, monkeypatch, tmp_path):
    script("import os\nos.chdir('/')")
    monkeypatch.chdir(tmp_path)
    module = load(tmp_path.__class__("observe_it.py"))
    assert os.path.samefile(module.__file__, tmp_path / "observe_it.py")


def test_what_a_script_defines_can_be_pickled_inspected_and_typed(script):
    source = dedent(
        """\
        from __future__ import annotations
        import dataclasses
        @dataclasses.dataclass
        class P:
            x: P | None = None
        """
    )
    module = load(script(source))
    assert pickle.loads(pickle.dumps(module.P())) == module.P()
    assert inspect.getsource(module.P).startswith("@dataclasses.dataclass\nclass P:")
    assert inspect.getsource(module) == source
    assert typing.get_type_hints(module.P) == {"x": module.P | None}
    assert dataclasses.is_dataclass(module.P)


@pytest.mark.parametrize("name", ["json.py", "random.py", "antigravity.py", "pytest.py", "__main__.py"])
def test_script_named_like_a_module_does_not_take_its_place(script, name):
    before = sys.modules.get(name[:-3])
    module = load(script("here = True", name))
    assert sys.modules.get(name[:-3]) is before
    assert module.here
    assert module.__name__ == f"{name[:-3]}_script"
    assert sys.modules[module.__name__] is module


@pytest.mark.parametrize(("name", "module"), [("my-scan.py", "my-scan"), ("scan.v2.py", "scan_v2"), ("été.py", "été")])
def test_odd_file_names_load(script, name, module):
    assert load(script("", name)).__name__ == module


def test_source_of_now_runs_and_no_bytecode_is_left(script, tmp_path):
    path = script("value = 1")
    stamp = path.stat()
    assert load(path).value == 1
    del sys.modules["observe_it"]
    path.write_text("value = 2")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # same size, same time: cached bytecode would be taken
    assert load(path).value == 2
    assert not (tmp_path / "__pycache__").exists()


def test_declared_encoding_is_honoured(script):
    module = load(
        script("# -*- coding: latin-1 -*-\nvalue = 'é'\ndef f(): raise ValueError('é')  # é\n".encode("latin-1"))
    )
    assert module.value == "é"
    assert "raise ValueError('é')  # é" in inspect.getsource(module.f)


def test_traceback_shows_the_lines_that_ran_though_the_file_was_edited(script):
    path = script("def f():\n    raise ValueError('x')  # as it ran\n")
    module = load(path)
    path.write_text("\n\n\n# edited\n")
    with pytest.raises(ValueError, match="x") as caught:
        module.f()
    assert "raise ValueError('x')  # as it ran" in format_failure(caught.value)


@pytest.mark.parametrize("odd", ["\x0c", "x = '''\x1c\x85\u2028'''", "\r", ""])
def test_traceback_shows_the_right_line_after_characters_that_are_no_line_ends(script, odd):
    path = script(f"{odd}\ndef f():\n    raise ValueError('x')  # this line\n")
    assert "# this line" in failure(path, "f")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def f(:\n", SyntaxError),
        (b"\xff", SyntaxError),
        (b"\0", SyntaxError if sys.version_info >= (3, 11, 4) else ValueError),
        ("import sys; sys.exit(3)", SystemExit),
        ("1/0", ZeroDivisionError),
    ],
)
def test_failed_script_is_forgotten(script, source, error):
    before = set(sys.modules)
    with pytest.raises(error):
        load(script(source))
    assert set(sys.modules) == before


def test_missing_file_is_named_and_changes_nothing(tmp_path):
    path, argv, modules = [*sys.path], sys.argv, set(sys.modules)
    missing = tmp_path / "no.py"
    text = failure(missing)
    assert text == f"FileNotFoundError: [Errno 2] No such file or directory: '{missing}'\n"
    assert (sys.path, sys.argv, set(sys.modules)) == (path, argv, modules)


def test_module_that_replaces_itself_is_what_was_loaded(script):
    assert load(script("import sys, types\nsys.modules[__name__] = types.SimpleNamespace(main=5)")).main == 5


def test_traceback_begins_at_the_script(script):
    path = script("def helper():\n    return 1 / 0\nhelper()\n")
    lines = failure(path).splitlines()
    assert lines[:2] == ["Traceback (most recent call last):", f'  File "{path}", line 3, in <module>']
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_traceback_of_a_coroutine_begins_at_the_script(script):
    module = load(script("async def main():\n    raise ValueError('x')\n"))
    try:
        asyncio.run(module.main())
    except ValueError as error:
        error.__traceback__ = error.__traceback__.tb_next  # the frame of this test is no machinery
        lines = format_failure(error).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "in main" in lines[1]


def test_syntax_error_has_its_caret_and_no_frames(script):
    path = script("x = 1\ndef f(:\n    pass\n")
    assert failure(path) == f'  File "{path}", line 2\n    def f(:\n          ^\nSyntaxError: invalid syntax\n'


def test_system_exit_is_the_last_line(script):
    assert failure(script("import sys\nsys.exit(0)")).rstrip().endswith("SystemExit: 0")


def test_chain_group_and_notes_are_kept(script):
    source = """
    def main():
        try:
            try:
                raise KeyError('first')
            except KeyError as first:
                raise ValueError('second') from first
        except ValueError:
            error = ExceptionGroup('several', [TypeError('one'), OSError('two')])
            error.add_note('mind the gap')
            raise error
    """
    text = failure(script(dedent(source)), "main")
    for part in (
        "KeyError: 'first'",
        "direct cause",
        "ValueError: second",
        "During handling",
        "several (2 sub-exceptions)",
    ):
        assert part in text
    assert "TypeError: one" in text
    assert "OSError: two" in text
    assert "mind the gap" in text
    assert "oet_kernel" not in text


def test_formatting_leaves_the_exception_as_it_was(script):
    with pytest.raises(ZeroDivisionError) as caught:
        load(script("1/0"))
    frames = len(traceback.extract_tb(caught.value.__traceback__))
    format_failure(caught.value)
    assert len(traceback.extract_tb(caught.value.__traceback__)) == frames


ODD = {
    "its text raises": "class E(Exception):\n def __str__(self): raise RuntimeError\nraise E",
    "its text exits": "class E(Exception):\n def __str__(self): raise SystemExit\nraise E",
    "its text is no text": "class E(Exception):\n def __str__(self): return 5\nraise E",
    "its notes raise": "class E(Exception):\n @property\n def __notes__(self): raise KeyboardInterrupt\nraise E",
    "its notes are odd": "e = ValueError('v')\ne.__notes__ = 5\nraise e",
    "a syntax error of odd parts": "raise SyntaxError('x', ('f', 'line', object(), 7))",
    "its cause is itself": "e = ValueError('v')\ne.__cause__ = e\nraise e",
    "it has a lone surrogate": "raise ValueError('\\udcff')",
    "it is long": "raise ValueError('x' * 10**7)",
    "it recurses": "def f(): f()\nf()",
    "its chain is long": "e = None\nfor i in range(3000):\n n = ValueError(i)\n n.__context__ = e\n e = n\nraise e",
    "its groups are deep": "e = ValueError()\nfor i in range(500): e = ExceptionGroup('g', [e])\nraise e",
    "its class is odd": """
class Meta(type):
    @property
    def __module__(cls):
        raise ValueError
class E(Exception, metaclass=Meta):
    pass
raise E
""",
}


@pytest.mark.parametrize("source", ODD.values(), ids=ODD)
def test_failure_of_any_kind_is_formatted_and_can_be_sent(script, source):
    path = script(source)
    text = failure(path)
    assert "Traceback (most recent call last):\n" in text
    assert str(path) in text
    assert len(text) < TRACE_LIMIT + 100
    text.encode()


def test_cause_raised_below_the_api_keeps_the_line_of_the_script(script):
    source = """
    from oet_kernel import api
    def main():
        try:
            api.publish("not a topic", x=1)  # here
        except ValueError as error:
            raise RuntimeError("no news") from error
    """
    text = failure(script(dedent(source)), "main")
    assert text.count("Traceback (most recent call last):") == 2
    assert "# here" in text
