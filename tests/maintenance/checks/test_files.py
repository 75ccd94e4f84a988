"""What lies in the state folder is private, and its disk has space."""

import stat

import pytest

from oet_kernel.state.layout import DATABASE
from tests.maintenance.examining import found, problems


@pytest.mark.parametrize("name", [".", DATABASE])
def test_what_others_can_reach_is_made_private(folder, name):
    path = folder / name
    path.chmod(path.stat().st_mode | 0o044)
    (one,) = problems(folder)
    assert one.about == "folder"
    assert str(path) in one.text
    assert one.remedy.startswith("chmod 0")
    assert all(one.mended for one in found(folder, "folder", fix=True))
    assert not stat.S_IMODE(path.stat().st_mode) & 0o077
    assert problems(folder) == []


def test_little_space_is_told(folder, monkeypatch):
    monkeypatch.setattr("oet_kernel.maintenance.checks.files._ENOUGH_BYTES", 1 << 60)
    (one,) = problems(folder)
    assert one.about == "disk"
