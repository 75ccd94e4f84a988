"""Scripts come from allowed folders only, whatever the URI tries."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.errors import MalformedRequest, OetError, ScriptNotAllowed
from oet_kernel.scripts.filesystem import check_folder, resolve


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b.py", "/a/b.py"),
        ("file://localhost/a/b.py", "/a/b.py"),
        ("file:///a%20b.py", "/a b.py"),
        ("file:///a/../b.py", "/b.py"),
        ("FILE:///a.py", "/a.py"),
    ],
)
def test_uri_becomes_an_absolute_path(uri, path):
    assert str(resolve(uri, [])) == path


@pytest.mark.parametrize(
    "uri", ["/x.py", "x.py", "http:///x.py", "file:x.py", "file://host/x.py", "file://[", "git://x.py", ""]
)
def test_other_uris_are_refused_in_the_words_of_the_original(uri):
    with pytest.raises(MalformedRequest, match=r"^Incorrect prefix for FileSystemScript: "):
        resolve(uri, [])


@pytest.mark.parametrize("uri", ["file:///x%00.py", "file:///x.py?a=1", "file:///x.py#a"])
def test_uri_with_more_than_a_path_is_refused(uri):
    with pytest.raises(MalformedRequest, match=r"Cannot use script"):
        resolve(uri, [])


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "rootbeer").mkdir()
    (tmp_path / "outside.py").touch()
    (tmp_path / "root" / "link.py").symlink_to(tmp_path / "outside.py")
    (tmp_path / "root" / "folder").symlink_to(tmp_path)
    (tmp_path / "root" / "inside.py").touch()
    (tmp_path / "root" / "good.py").symlink_to(tmp_path / "root" / "inside.py")
    (tmp_path / "alias").symlink_to(tmp_path / "root")
    return tmp_path / "root"


@pytest.mark.parametrize("name", ["inside.py", "good.py", "nothing.py", "a/../inside.py", "../alias/inside.py"])
def test_script_inside_an_allowed_folder_is_allowed(root, name):
    assert resolve(f"file://{root}/{name}", [root]).is_relative_to(root)


@pytest.mark.parametrize(
    "name", ["../outside.py", "link.py", "folder/outside.py", "../rootbeer/x.py", "%2e%2e/outside.py"]
)
def test_script_outside_is_refused_naming_the_folders(root, name):
    with pytest.raises(ScriptNotAllowed, match=f"not in an allowed folder; move the script to one of: {root}"):
        resolve(f"file://{root}/{name}", [root])


def test_loop_of_links_is_no_error(root):
    (root / "loop.py").symlink_to(root / "loop.py")
    assert resolve(f"file://{root}/loop.py", [root]) == root / "loop.py"


def test_allowed_folder_may_be_a_link(root):
    assert resolve(f"file://{root}/inside.py", [root.parent / "alias"]) == root / "inside.py"


@given(st.text())
def test_any_text_is_resolved_or_refused(text):
    for uri in (text, f"file://{text}", f"file:///{text}"):
        try:
            assert resolve(uri, []).is_absolute()
        except OetError as error:
            assert error.status == 400  # noqa: PT017


@given(st.lists(st.sampled_from(["..", ".", "root", "folder", "link.py", "a", "%2e%2e", ""]), max_size=8))
def test_no_path_leads_out(tmp_path_factory, parts):
    base = tmp_path_factory.mktemp("x")
    root = base / "root"
    root.mkdir()
    (root / "folder").symlink_to(base)
    (root / "link.py").symlink_to("/etc/passwd")
    try:
        found = resolve(f"file://{root}/{'/'.join(parts)}", [root])
    except OetError:
        return
    assert found.is_relative_to(root)
    assert found == found.resolve()


@pytest.mark.parametrize(
    ("folder", "own", "says"),
    [
        ("data", False, "'data' is not an absolute path; begin it with /"),
        ("", False, "'' is not an absolute path"),
        ("~/data", False, "is not an absolute path"),
        (
            "/nowhere/at/all",
            False,
            "'/nowhere/at/all' is not a folder on the service's machine; name an existing folder",
        ),
        ("/etc/passwd", False, "'/etc/passwd' is not a folder"),
        ("/\0", False, "is not a folder"),
        ("/" + "a" * 5000, False, "is not a folder"),
        ("/", True, "working_folder and own_folder contradict each other; give one of them"),
    ],
)
def test_working_folder_that_no_script_can_run_in_is_refused_by_name(folder, own, says):
    with pytest.raises(MalformedRequest) as refused:
        check_folder(folder, own)
    assert refused.value.message.startswith("$.script.working_folder: ")
    assert says in refused.value.message


def test_working_folder_that_the_service_may_not_enter_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(MalformedRequest, match="the service may not enter"):
        check_folder(str(tmp_path), False)


def test_working_folder_that_is_there_is_taken(tmp_path):
    check_folder(str(tmp_path), False)
