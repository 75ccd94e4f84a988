"""Scripts are listed and read from disk as they are now, whatever lies there."""

import json
import os
import time

import pytest
from msgspec.structs import replace

from oet_kernel.errors import MalformedRequest, ResourceNotFound, ScriptNotAllowed
from oet_kernel.models import FileSystemScript, GitArgs, GitScript, ProcedureInput, ScriptArgs
from oet_kernel.scripts import catalogue as module
from oet_kernel.scripts.catalogue import Checked, ScriptCatalogue

pytestmark = pytest.mark.anyio

INIT = "def init(a: int): pass\ndef main(b: int): pass\n"


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "root"
    made.mkdir()
    return made


def write(path, text=INIT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def script(path):
    return FileSystemScript(script_uri=path.as_uri())


async def check(catalogue, script, init, **main):
    return await catalogue.check_creation(script, ScriptArgs(init=init, **main))


async def listed(catalogue, root):
    found = await catalogue.scripts()
    return [one.uri.removeprefix(root.as_uri() + "/") for one in found.scripts]


# --- listing


async def test_scripts_and_notebooks_are_listed_by_folder_and_name(root):
    for name in ("b.py", "a.py", "sub/deep/c.py", "note.ipynb", "data.json", "README"):
        write(root / name)
    assert await listed(ScriptCatalogue([root]), root) == ["a.py", "b.py", "note.ipynb", "sub/deep/c.py"]


async def test_hidden_and_cache_folders_and_environments_are_left_out(root):
    for name in (".git/a.py", ".a.py", "__pycache__/a.py", ".ipynb_checkpoints/x.ipynb", "node_modules/a.py"):
        write(root / name)
    write(root / "venv" / "lib" / "a.py")
    write(root / "venv" / "pyvenv.cfg")
    assert await listed(ScriptCatalogue([root]), root) == []


async def test_links_out_of_the_folders_are_left_out_and_links_in_a_circle_end(root, tmp_path):
    outside = write(tmp_path / "outside.py")
    inside = write(root / "inside.py")
    (root / "out.py").symlink_to(outside)
    (root / "in.py").symlink_to(inside)
    (root / "gone.py").symlink_to(root / "nowhere.py")
    (root / "self.py").symlink_to(root / "self.py")
    (root / "circle").symlink_to(root)
    os.mkfifo(root / "pipe.py")
    (root / "folder.py").mkdir()
    assert await listed(ScriptCatalogue([root]), root) == ["in.py", "inside.py"]


async def test_a_script_in_two_folders_that_hold_each_other_is_listed_once(root):
    write(root / "sub" / "a.py")
    assert await listed(ScriptCatalogue([root, root / "sub"]), root) == ["sub/a.py"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('"""Observe.\n\nMore."""\n', "Observe."),
        ("# coding: utf-8\n# a comment\n\n'''\n   Observe. \n'''\n", "Observe."),
        ("r'\\d' ' joined'\n", "\\d joined"),
        ('"""Observe."""\nthis is no python (\n', "Observe."),
        ("'\\d'\n", "\\d"),
        ("x = 1\n'no docstring'\n", None),
        ("'a' + 'b'\n", None),
        ("f'{x}'\n", None),
        ("b'x'\n", None),
        ("", None),
        ('""" """', None),
        ('"""never closed', None),
        ("import x; 'no'\n", None),
        ("'\\ud800'\n", "?"),
        ('"""' + "x\n" * 100_000 + '"""\n', None),
    ],
)
async def test_first_line_of_the_docstring_is_listed(root, text, line):
    write(root / "a.py", text)
    (one,) = (await ScriptCatalogue([root]).scripts()).scripts
    assert one.docstring == line


async def test_text_that_is_no_utf_8_is_listed_all_the_same(root):
    (root / "a.py").write_bytes(b"'\xff'\n")
    (root / "b.py").write_bytes(b"# coding: latin-1\n'\xe4'\n")
    assert [one.docstring for one in (await ScriptCatalogue([root]).scripts()).scripts] == [None, "ä"]


async def test_without_folders_it_says_how_to_configure_one():
    found = await ScriptCatalogue([]).scripts()
    assert found.scripts == []
    assert "--scripts-root" in found.message


async def test_listing_is_cut_at_its_limit_and_says_so(root, monkeypatch):
    for n in range(5):
        write(root / f"{n}.py")
    assert (await ScriptCatalogue([root], 5).scripts()).message is None
    cut = await ScriptCatalogue([root], 4).scripts()
    assert len(cut.scripts) == 4
    assert "Only 4 scripts are listed" in cut.message
    monkeypatch.setattr(module, "_VISITED", 3)
    assert "Only 3 scripts" in (await ScriptCatalogue([root]).scripts()).message


async def test_a_script_that_changes_is_listed_and_read_anew(root):
    path = write(root / "a.py", '"""One."""\ndef main(a): pass\n')
    catalogue = ScriptCatalogue([root])
    for name in ("One", "Two"):
        write(path, f'"""{name}."""\ndef main({name}): pass\n')
        os.utime(path, (1, 1) if name == "One" else (2, 2))
        assert [one.docstring for one in (await catalogue.scripts()).scripts] == [f"{name}."]
        assert list((await catalogue.schema(path.as_uri())).main["properties"]) == [name]


async def test_an_unchanged_script_is_read_once(root, monkeypatch):
    path = write(root / "a.py")
    catalogue = ScriptCatalogue([root])
    first = await catalogue.schema(path.as_uri())
    monkeypatch.setattr(module, "_load", None)
    assert await catalogue.schema(path.as_uri()) == first


async def test_what_is_remembered_is_bounded(root, monkeypatch):
    monkeypatch.setattr(module, "_KEPT", 3)
    monkeypatch.setattr(module, "_FOLLOWED", 3)
    catalogue = ScriptCatalogue([root])
    for n in range(6):
        path = write(root / f"{n}.py")
        catalogue.follow(n, (await check(catalogue, script(path), ProcedureInput([1]))).seen)
    assert len(catalogue._readings._made) == 3
    assert list(catalogue._seen) == [3, 4, 5]


# --- schemas


async def test_schema_of_a_script(root):
    path = write(root / "a.py", '"""Observe."""\n' + INIT)
    found = await ScriptCatalogue([root]).schema(path.as_uri())
    assert (found.uri, found.docstring) == (path.as_uri(), "Observe.")
    assert found.init["required"] == ["a"]
    assert found.main["required"] == ["b"]


async def test_schema_of_a_notebook_is_read_from_its_cells(root):
    cells = [
        {"cell_type": "markdown", "source": "# Scan\n\nback and forth"},
        {"cell_type": "code", "source": "count: int = 3", "metadata": {"tags": ["parameters"]}},
    ]
    path = write(root / "a.ipynb", json.dumps({"nbformat": 4, "cells": cells}))
    catalogue = ScriptCatalogue([root])
    found = await catalogue.schema(path.as_uri())
    assert found.docstring == "Scan"
    assert found.init["properties"]["count"]["default"] == 3
    assert found.main["properties"]["count"]["type"] == "integer"
    assert [one.docstring for one in (await catalogue.scripts()).scripts] == ["Scan"]
    with pytest.raises(MalformedRequest, match=r"init\.kwargs\.counts: unexpected, init takes count, subarray_id"):
        await check(catalogue, script(path), ProcedureInput([], {"counts": 3}))


async def test_what_is_no_notebook_has_no_schema(root):
    path = write(root / "a.ipynb", "{}")
    with pytest.raises(MalformedRequest, match="no notebook"):
        await ScriptCatalogue([root]).schema(path.as_uri())


async def test_schema_of_a_script_that_is_too_large_is_open(root, monkeypatch):
    monkeypatch.setattr(module, "_LARGEST", 100)
    path = write(root / "a.py", INIT + "#" * 100)
    assert "bytes" in (await ScriptCatalogue([root]).schema(path.as_uri())).main["x-open"]


@pytest.mark.parametrize("name", ["gone.py", "folder", "pipe", "gone/a.py", "a.py/b"])
async def test_what_is_no_file_is_not_found_and_never_waited_for(root, name):
    write(root / "a.py")
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    with pytest.raises(ResourceNotFound, match=name):
        await ScriptCatalogue([root]).schema((root / name).as_uri())


async def test_script_outside_of_the_folders_is_not_looked_at(root, tmp_path):
    write(tmp_path / "a.py")
    (root / "link.py").symlink_to(tmp_path / "a.py")
    for uri in ((tmp_path / "a.py").as_uri(), (root / "link.py").as_uri(), f"{root.as_uri()}/../a.py"):
        with pytest.raises(ScriptNotAllowed):
            await ScriptCatalogue([root]).schema(uri)


@pytest.mark.parametrize("uri", ["x", "git://a.py", "file://host/a.py", "file:///a.py?b", "http://x/y.py"])
async def test_what_is_no_file_uri_is_malformed_and_says_where(uri):
    with pytest.raises(MalformedRequest) as caught:
        await ScriptCatalogue([]).schema(uri)
    assert caught.value.detail.startswith("$.uri: ")


async def test_syntax_error_is_told_with_its_line(root):
    path = write(root / "a.py", "x = 1\ndef main(:\n")
    for _ in range(2):  # as read, and as remembered
        with pytest.raises(MalformedRequest, match=r"a\.py, line 2: SyntaxError"):
            await ScriptCatalogue([root]).schema(path.as_uri())


# --- checks


async def test_arguments_of_init_that_do_not_fit_are_refused(root):
    path = write(root / "a.py")
    with pytest.raises(MalformedRequest, match=r"^\$\.script_args\.init\.args\[0\]: expected integer"):
        await check(ScriptCatalogue([root]), script(path), ProcedureInput(["x"]))


@pytest.mark.parametrize("text", [None, "def init(:", "def main(): pass\n", "from common import init\n", "\0"])
async def test_arguments_for_what_cannot_be_read_or_is_not_there_are_not_refused(root, text):
    path = root / "a.py"
    if text is not None:
        write(path, text)
    await check(ScriptCatalogue([root]), script(path), ProcedureInput(["x"], {"subarray_id": 1}))


async def test_git_scripts_are_not_checked(root):
    git = GitScript(script_uri="git://a.py", git_args=GitArgs(git_repo="x"))
    assert await check(ScriptCatalogue([root]), git, ProcedureInput(["x"])) == Checked(
        ProcedureInput(["x"]), ProcedureInput()
    )


async def test_arguments_of_main_are_checked_against_the_script_as_it_was_loaded(root):
    path = write(root / "a.py")
    catalogue = ScriptCatalogue([root])
    catalogue.follow(1, (await check(catalogue, script(path), ProcedureInput([1]))).seen)
    with pytest.raises(MalformedRequest, match=r"^\$\.script_args\.run\.args\[0\]: expected integer"):
        await catalogue.check_main(1, ProcedureInput(["x"]), "run")
    await catalogue.check_main(1, ProcedureInput([1]))
    await catalogue.check_main(2, ProcedureInput(["x"]))  # a procedure that did not come by this way
    write(path, INIT.replace("b: int", "b: str, c: str"))
    os.utime(path, (1, 1))
    await catalogue.check_main(1, ProcedureInput([1]))
    path.unlink()
    await catalogue.check_main(1, ProcedureInput(["x"]))


async def test_a_slow_disk_does_not_keep_others_waiting(root, monkeypatch):
    path = write(root / "a.py")
    loads = []

    def slow(path, most):
        loads.append(time.sleep(0.2))
        return b"", module.Version.of(os.stat(path))

    monkeypatch.setattr(module, "_load", slow)
    import asyncio

    reading = asyncio.create_task(ScriptCatalogue([root]).schema(path.as_uri()))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert loads == [None]
    assert turns > 10, "the event loop went on"


@pytest.mark.parametrize("name", ["main", "run"])
async def test_arguments_of_main_are_checked_with_the_creation_where_they_are_given(root, name):
    catalogue, one = ScriptCatalogue([root]), script(write(root / "a.py"))
    with pytest.raises(MalformedRequest, match=rf"^\$\.script_args\.{name}\.kwargs\.c: unexpected"):
        await check(catalogue, one, ProcedureInput([1]), **{name: ProcedureInput([1], {"c": 2})})
    with pytest.raises(MalformedRequest, match=rf"^\$\.script_args\.{name}\.kwargs\.b: required"):
        await check(catalogue, one, ProcedureInput([1]), **{name: ProcedureInput()})
    assert (await check(catalogue, one, ProcedureInput([1]), **{name: ProcedureInput([3])})).main.args == [3]
    await check(catalogue, one, ProcedureInput([1]))  # they may come with the start


def _remove(path):
    path.unlink()


def _hide(path):
    path.unlink()
    path.mkdir()


def _break(path):
    path.unlink()
    path.symlink_to(path.with_name("nowhere.py"))


def _circle(path):
    path.unlink()
    path.symlink_to(path)


def _pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_remove, r"^Script .*/a\.py does not exist on the service's machine; give the path of an existing file$"),
        (_break, r"^Script .*/nowhere\.py does not exist on the service's machine"),
        (_hide, r"/a\.py is a folder, not a script; name a file in it$"),
        (_circle, r"/a\.py cannot be read as a script: Too many levels of symbolic links"),
        (_pipe, r"/a\.py cannot be read as a script: the file is a pipe, a socket or a device"),
    ],
)
async def test_script_that_cannot_be_read_is_refused_where_it_is_required(root, spoil, says):
    catalogue, path = ScriptCatalogue([root]), write(root / "a.py")
    one = script(path)
    spoil(path)
    with pytest.raises(ResourceNotFound, match=says):
        await catalogue.check_creation(one, ScriptArgs(), required=True)
    with pytest.raises(ResourceNotFound, match=says):
        await catalogue.schema(one.script_uri)
    assert await catalogue.check_creation(one, ScriptArgs()) == Checked(ProcedureInput(), ProcedureInput())


@pytest.mark.parametrize("path", ["/", "ROOT", "ROOT/a.py/b.py", f"/{'a' * 300}.py"])
async def test_path_that_names_no_file_is_refused_where_it_is_required(root, path):
    write(root / "a.py")
    asked = FileSystemScript(script_uri=f"file://{path.replace('ROOT', str(root))}")
    with pytest.raises(ResourceNotFound):
        await ScriptCatalogue([]).check_creation(asked, ScriptArgs(), required=True)


async def test_script_that_the_service_may_not_read_is_refused_where_it_is_required(root, monkeypatch):
    one = script(write(root / "a.py"))

    def denied(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "_load", denied)
    with pytest.raises(
        ScriptNotAllowed, match=r"The service may not read .*/a\.py; give the service's user the right to read the file"
    ):
        await ScriptCatalogue([root]).check_creation(one, ScriptArgs(), required=True)


async def test_script_that_is_no_python_is_not_refused_but_fails_with_its_traceback(root):
    one = script(write(root / "a.py", "def main(:"))
    await ScriptCatalogue([root]).check_creation(one, ScriptArgs(), required=True)


@pytest.mark.parametrize("kind", ["file", "git"])
async def test_working_folder_is_checked_for_every_script(root, kind):
    path = write(root / "a.py", "def main(): pass\n")
    git = GitScript(script_uri="git://a.py", git_args=GitArgs(git_repo="x"))
    one = replace(git if kind == "git" else script(path), working_folder=str(path))
    with pytest.raises(MalformedRequest, match=r"^\$\.script\.working_folder: .* is not a folder on the service's"):
        await ScriptCatalogue([root]).check_creation(one, ScriptArgs())
    await ScriptCatalogue([root]).check_creation(replace(one, working_folder="/"), ScriptArgs())  # no script is there
