"""The doctor finds what is wrong with a state folder, tells what to do, and mends it where nobody can be harmed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from oet_kernel.maintenance.doctor import Doctor
from oet_kernel.state.folder import StateFolder
from oet_kernel.state.layout import DATABASE
from tests.maintenance.examining import found, problems


def test_sound_folder_has_no_problem_and_nothing_is_changed(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != "lock"}
    assert problems(folder) == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_folder_that_is_not_there_is_no_problem(tmp_path):
    assert problems(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_service_at_work_is_named_and_nothing_is_mended_meanwhile(folder):
    state = StateFolder(folder)
    try:
        folder.chmod(0o755)
        assert str(os.getpid()) in found(folder, "lock")[0].text
        assert [one.mended for one in found(folder, "folder", fix=True)] == [False]
        assert problems(folder, fix=True)
    finally:
        state.close()


def test_repair_that_fails_leaves_the_problem_and_tells_why(folder, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(1, "Operation not permitted", str(path))

    folder.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    (one,) = problems(folder, fix=True)
    assert not one.mended
    assert one.remedy.startswith(f"chmod 0700 {folder} (the repair failed: ")


def test_later_check_sees_what_an_earlier_one_has_mended(folder):
    (folder / DATABASE).unlink()
    (folder / DATABASE).mkdir()
    found_in_order = [(one.about, one.mended) for one in Doctor(folder, fix=True).examine() if one.remedy]
    assert found_in_order == [("folder", True)], "what was moved aside is private by then, and no database"


# --- the command


def test_command_prints_a_line_for_each_finding_and_says_by_its_status_whether_all_is_well(folder):
    argv = [sys.executable, "-m", "oet_kernel.cli", "doctor", f"--state-dir={folder}"]
    sound = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "ok       database: " in sound.stdout
    folder.chmod(0o755)
    ill = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ill.returncode == 1
    assert f"PROBLEM  folder: {folder} is accessible" in ill.stdout
    assert f"-> chmod 0700 {folder}" in ill.stdout
    as_json = subprocess.run([*argv, "--json"], capture_output=True, text=True, check=False)
    assert [one["about"] for one in json.loads(as_json.stdout) if one["problem"]] == ["folder"]
    mended = subprocess.run([*argv, "--fix"], capture_output=True, text=True, check=False)
    assert mended.returncode == 0
    assert "mended   folder: " in mended.stdout


def test_other_commands_load_nothing_of_the_doctor_or_the_service():
    code = (
        "import sys, oet_kernel.cli\n"
        "heavy = ('oet_kernel.maintenance.doctor', 'oet_kernel.state.folder', 'sqlalchemy', 'zmq')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
