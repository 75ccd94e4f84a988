"""How a script is run: a notebook in a kernel of another name, either in the folder that its file is in."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from oet_kernel.errors import MalformedRequest
from oet_kernel.models import FileSystemScript, GitArgs, GitScript, PrepareProcessCommand, ProcedureState
from tests.ipynb import notebook

pytestmark = pytest.mark.anyio
S = ProcedureState
NAME = "observe.ipynb"
CWD = "import os\nprint(os.getcwd())\nprint(open('beside.txt').read())"
MAIN = "import os\ndef main():\n    print(os.getcwd())\n    print(open('beside.txt').read())\n"


async def run(bench, script):
    pid = (await bench.service.prepare(PrepareProcessCommand(script))).id
    summary = await bench.until(pid, S.READY)
    if summary.state is S.READY:
        await bench.start(pid)
        summary = await bench.until(pid)
    return summary


KERNELS = {
    "this environment": (notebook(("", "print('ran')"), kernel="nowhere"), "python3"),
    "our own name": (notebook(("", "print('ran')"), kernel="nowhere"), "oet"),
    "functions": (notebook(("", "def main(): print('ran')"), kernel="nowhere"), "python3"),
    "no kernelspec": (notebook(("", "print('ran')")).replace('"kernelspec"', '"none"'), "python3"),
    "another language": (notebook(("", "echo ran"), kernel="nowhere", language="bash"), "bash"),
    "another than it names": (notebook(("", "echo ran"), kernel="python3", language="bash"), "bash"),
}


@pytest.mark.parametrize("name", KERNELS)
async def test_notebook_is_run_in_the_kernel_that_is_asked_for(bench, kernelspecs, monkeypatch, name):
    monkeypatch.setenv("JUPYTER_PATH", str(kernelspecs))
    text, kernel = KERNELS[name]
    script = replace(bench.script(text, NAME), kernel=kernel)
    summary = await run(bench, script)
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert summary.script == script
    assert bench.output(summary.id) == "ran\n"


@pytest.mark.parametrize("asked", [None, "elsewhere"])
async def test_missing_kernel_is_told_with_those_there_are_and_how_to_ask_for_one(bench, asked):
    script = replace(bench.script(notebook(("", "1"), kernel="nowhere"), NAME), kernel=asked)
    summary = await run(bench, script)
    assert summary.state is S.FAILED
    told = summary.history.stacktrace
    assert f"the kernel {asked or 'nowhere'}, which is not installed; installed kernels: " in told
    assert "python3" in told
    assert "--kernel NAME" in told


async def test_script_that_is_no_notebook_is_refused_a_kernel(bench):
    script = replace(bench.script("def main(): pass"), kernel="python3")
    with pytest.raises(MalformedRequest, match="is not a notebook"):
        await run(bench, script)


def written(tmp_path, text, name):
    """Write a script and what lies beside it; give its path."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "beside.txt").write_text("read")
    path = folder / name
    path.write_text(text)
    return path


FILES = {
    "a script": ("script.py", MAIN),
    "a script that reads when it is loaded": ("script.py", f"{CWD}\ndef main(): pass\n"),
    "a plain file": ("script.py", CWD),
    "a notebook": (NAME, notebook(("", CWD))),
    "a notebook with functions": (NAME, notebook(("", MAIN))),
    "a notebook of another kernel": (NAME, notebook(("", "pwd; cat beside.txt; echo"), kernel="bash", language="bash")),
}


@pytest.mark.parametrize("name", FILES)
async def test_script_runs_in_its_own_folder(bench, kernelspecs, monkeypatch, tmp_path, name):
    monkeypatch.setenv("JUPYTER_PATH", str(kernelspecs))
    file, text = FILES[name]
    path = written(tmp_path, text, file)
    summary = await run(bench, FileSystemScript(script_uri=path.as_uri(), own_folder=True))
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert bench.output(summary.id) == f"{path.parent}\nread\n"


@pytest.mark.parametrize("name", FILES)
async def test_script_runs_in_the_folder_that_is_named(bench, kernelspecs, monkeypatch, tmp_path, name):
    monkeypatch.setenv("JUPYTER_PATH", str(kernelspecs))
    file, text = FILES[name]
    folder = written(tmp_path, text, file).parent
    path = tmp_path / file
    (folder / file).rename(path)
    summary = await run(bench, FileSystemScript(script_uri=path.as_uri(), working_folder=str(folder)))
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert bench.output(summary.id) == f"{folder}\nread\n"


async def test_script_whose_working_folder_has_gone_fails_with_its_name(bench, tmp_path):
    script = replace(bench.script("print('ran')\n"), working_folder=str(tmp_path / "gone"))
    summary = await run(bench, script)
    assert summary.state is S.FAILED
    assert f"No such file or directory: '{tmp_path / 'gone'}'" in summary.history.stacktrace


async def test_script_in_its_own_folder_does_what_python_does_there(bench, tmp_path):
    text = "import os, subprocess, sys\nopen('made.txt', 'w').write('x')\n"
    text += "subprocess.run([sys.executable, '-c', 'import os; print(os.getcwd())'], check=True)\nprint(os.listdir())\n"
    path = written(tmp_path, text, "script.py")
    argv = [sys.executable, path.name]
    done = await asyncio.to_thread(subprocess.run, argv, cwd=path.parent, capture_output=True, text=True, check=True)
    (path.parent / "made.txt").unlink()
    summary = await run(bench, FileSystemScript(script_uri=path.as_uri(), own_folder=True))
    assert bench.output(summary.id) == done.stdout


async def test_without_it_a_script_runs_where_the_service_does(bench):
    summary = await run(bench, bench.script("import os\nprint(os.getcwd())\n"))
    assert bench.output(summary.id) == f"{os.getcwd()}\n"


async def test_script_that_is_not_there_is_told_by_its_path(bench, tmp_path):
    path = tmp_path / "none" / "script.py"
    summary = await run(bench, FileSystemScript(script_uri=path.as_uri(), own_folder=True))
    assert summary.state is S.FAILED
    assert f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'" in summary.history.stacktrace


async def test_script_of_a_repository_runs_in_the_folder_of_its_own_checkout(bench, tmp_path):
    repository = tmp_path / "repository"
    (repository / "deep").mkdir(parents=True)
    (repository / "deep" / "script.py").write_text(MAIN)
    (repository / "deep" / "beside.txt").write_text("read")
    who = ["-c", "user.email=test@example.org", "-c", "user.name=Test"]
    for words in (["init", "--quiet"], ["add", "-A"], [*who, "commit", "--quiet", "-m", "x"]):
        await asyncio.to_thread(subprocess.run, ["git", *words], cwd=repository, check=True, capture_output=True)
    git_args = GitArgs(git_repo=repository.as_uri())
    summary = await run(bench, GitScript(script_uri="git://deep/script.py", git_args=git_args, own_folder=True))
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    folder, read = bench.output(summary.id).splitlines()
    assert read == "read"
    assert Path(folder).name == "deep"
    assert Path(folder).is_relative_to(bench.folder / "state" / "checkouts" / str(summary.id))
