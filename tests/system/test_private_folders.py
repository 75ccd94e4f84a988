"""A private folder is private from its first moment, with the parents that were made for it, or it is refused."""

import os
import stat

import pytest

from oet_kernel.errors import StoreUnusable
from oet_kernel.state.folder import StateFolder
from oet_kernel.system.private_folders import private_folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_folder_and_the_parents_that_are_made_for_it_are_private(tmp_path, umask):
    before = os.umask(umask)
    try:
        private_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3


@pytest.mark.parametrize("was", [0o755, 0o750, 0o711, 0o705])
def test_folder_that_others_can_read_is_made_private(tmp_path, was):
    (tmp_path / "x").mkdir()
    (tmp_path / "x").chmod(was)
    private_folder(tmp_path / "x")
    assert mode(tmp_path / "x") == 0o700


@pytest.mark.parametrize("was", [0o777, 0o1777, 0o770, 0o722, 0o702])
def test_folder_that_others_can_write_to_is_refused_and_left_as_it_is(tmp_path, was):
    (tmp_path / "x").mkdir()
    (tmp_path / "x").chmod(was)
    with pytest.raises(StoreUnusable, match="not private"):
        StateFolder(tmp_path / "x")
    assert mode(tmp_path / "x") == was
    assert list((tmp_path / "x").iterdir()) == []


@pytest.mark.parametrize("make", [lambda path: path.touch(), lambda path: path.symlink_to("nowhere")])
def test_what_is_no_folder_is_refused(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(OSError, match="x"):
        private_folder(tmp_path / "x")


def test_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    with pytest.raises(PermissionError, match="belongs to user"):
        private_folder(tmp_path)
