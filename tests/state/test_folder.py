"""The state folder: one service at a time, and the same place for sockets after a restart."""

import os
import socket
import stat
from pathlib import Path

import pytest

from oet_kernel.errors import StateFolderInUse
from oet_kernel.state.folder import StateFolder
from oet_kernel.store.sqlite import SqliteStore


def listen(path):
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    return made


def test_second_service_is_refused_and_told_the_first(tmp_path):
    state = StateFolder(tmp_path / "state")
    with pytest.raises(StateFolderInUse, match=str(os.getpid())):
        StateFolder(tmp_path / "state")
    state.close()


def test_sockets_are_found_where_they_were_after_a_restart(tmp_path):
    state = StateFolder(tmp_path / "state")
    runtime = state.runtime
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    with listen(runtime / "kernel-1"):
        state.close(keep_runtime=True)
        again = StateFolder(tmp_path / "state")
        assert again.runtime == runtime
        assert (runtime / "kernel-1").is_socket()
    again.close()
    assert not runtime.exists()


@pytest.mark.parametrize("spoil", ["gone", "open to others", "a link", "a file"])
def test_folder_for_sockets_that_is_not_private_is_not_used(tmp_path, spoil):
    state = StateFolder(tmp_path / "state")
    runtime = state.runtime
    state.close()
    if spoil == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        runtime.symlink_to(tmp_path / "elsewhere")
    elif spoil == "a file":
        runtime.touch(0o700)
    elif spoil == "open to others":
        runtime.mkdir()
        runtime.chmod(0o770)
    again = StateFolder(tmp_path / "state")
    assert again.runtime != runtime
    again.close()
    if spoil == "open to others":
        runtime.rmdir()
    elif spoil != "gone":
        runtime.unlink()


def test_sockets_of_a_kernel_go_with_its_folder(tmp_path):
    state = StateFolder(tmp_path / "state")
    folder, other = state.kernel_folder(), state.kernel_folder()
    with listen(f"{state.sockets(folder.name)}-1"), listen(f"{state.sockets(other.name)}-1"):
        state.forget(folder)
    assert [path.name for path in state.runtime.iterdir()] == [f"{other.name}-1"]
    assert state.kernel_folders() == [other]
    state.forget(other)
    state.close()


def pipe(path):
    os.mkfifo(path)


def broken_link(path):
    path.symlink_to("nowhere")


def loop(path):
    path.symlink_to(path.name)


def folder(path):
    path.mkdir()
    (path / "inside").touch()


def file(path):
    path.write_bytes(b"\xff\x00")


ODD = [
    *[
        (name, put)
        for name in ("lock", "lock.pid", "runtime", "oet.sqlite")
        for put in (pipe, loop, broken_link, folder)
    ],
    *[(name, put) for name in ("kernels", "records", "set-aside") for put in (pipe, loop, broken_link, file)],
    ("lock.pid", file),
    ("runtime", file),
]


@pytest.mark.parametrize(("name", "put"), ODD, ids=lambda one: getattr(one, "__name__", one))
def test_odd_thing_in_the_place_of_a_file_is_moved_and_the_service_starts(tmp_path, name, put):
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    put(path / name)
    state = StateFolder(path)
    made = state.kernel_folder()
    assert state.kernel_folders() == [made]
    SqliteStore(path / "oet.sqlite").close()
    state.close()
    StateFolder(path).close()
    is_moved = (name, put) not in [
        ("lock.pid", file),
        ("runtime", file),
        ("lock", broken_link),
        ("oet.sqlite", broken_link),
    ]
    assert bool(state.moved) or not is_moved
    assert all(os.path.lexists(one) for one in state.moved)


@pytest.mark.parametrize("folder", ["/", "/etc", "{state}", "{state}/kernels", "{state}/kernels/..", "{tmp}/other"])
def test_nothing_but_a_kernels_folder_is_ever_removed(tmp_path, folder):
    state = StateFolder(tmp_path / "state")
    own = state.kernel_folder()
    path = Path(folder.format(state=state.path, tmp=tmp_path))
    if not path.exists():
        path.mkdir()
    assert not state.owns(path)
    state.forget(path)
    assert path.is_dir()
    assert state.owns(own)
    state.forget(own)
    assert not own.exists()
    state.close()
