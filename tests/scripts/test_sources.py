"""Scripts from repositories end to end: in their own environment, in a kernel, with their log as events."""

import os

import pytest

from oet_kernel.models import (
    GitArgs,
    GitScript,
    PrepareProcessCommand,
    ProcedureInput,
    ProcedureState,
    StopProcessCommand,
)
from oet_kernel.server.assembly import script_sources
from tests.conftest import settings

pytestmark = pytest.mark.anyio

SCRIPT = """
import sys
from pubsub import pub
import helper
def main(): pub.sendMessage("user.script.announce", msg=[sys.prefix, helper.x])
"""


def script(repository, create_env=False, **version):
    args = GitArgs(git_repo=str(repository.folder), **version)
    return GitScript(script_uri="git://observe.py", git_args=args, create_env=create_env)


async def states(bench, pid):
    summary = await bench.until(pid, ProcedureState.READY)
    return [state.name for state, _ in summary.history.process_states]


async def test_script_from_git_runs_beside_its_siblings(bench, repository):
    repository.commit(observe_py=SCRIPT, helper_py="x = 3")
    pid = (await bench.service.prepare(PrepareProcessCommand(script(repository)))).id
    assert await states(bench, pid) == ["CREATING", "IDLE", "LOADING", "IDLE", "READY"]
    await bench.start(pid)
    assert (await bench.until(pid)).state is ProcedureState.COMPLETE
    assert bench.said("user.script.announce", pid)[0]["msg"][1] == 3
    assert "Fetching" in bench.said("procedure.environment.log", pid)[0]["text"]


async def test_script_runs_in_its_own_environment_which_need_not_have_this_package(bench, repository):
    repository.commit(observe_py=SCRIPT, helper_py="x = 4")
    pid = (await bench.service.prepare(PrepareProcessCommand(script(repository, create_env=True)))).id
    assert await states(bench, pid) == ["CREATING", "IDLE", "PREP_ENV", "IDLE", "LOADING", "IDLE", "READY"]
    await bench.start(pid)
    summary = await bench.until(pid)
    assert summary.state is ProcedureState.COMPLETE, summary.history.stacktrace
    prefix, x = bench.said("user.script.announce", pid)[0]["msg"]
    assert x == 4
    assert str(bench.state.path / "environments") in prefix
    log = [event["text"] for event in bench.said("procedure.environment.log", pid)]
    assert any("Building an environment" in line for line in log)


INIT = "def init(**k): print('INIT RAN')\ndef main(seconds: float = 1): ...\n"


@pytest.mark.parametrize("create_env", [False, True])
async def test_arguments_of_main_that_do_not_fit_are_found_before_init_is_called(bench, repository, create_env):
    repository.commit(observe_py=INIT)
    wanted, planned = PrepareProcessCommand(script(repository, create_env)), ProcedureInput([], {"secnds": 4})
    pid = (await bench.service.prepare(wanted, planned=planned)).id
    summary = await bench.until(pid, ProcedureState.READY)
    says = "Malformed Request: $.script_args.main.kwargs.secnds: unexpected, main takes seconds; init was not called"
    assert (summary.state, summary.history.stacktrace) == (ProcedureState.FAILED, says)
    assert bench.output(pid) == ""


async def test_arguments_of_an_activity_that_do_not_fit_are_found_before_init_is_called(bench, repository):
    repository.commit(observe_py=INIT)
    main = ProcedureInput([], {"secnds": 4})
    pid = (await bench.service.prepare(PrepareProcessCommand(script(repository)), main, autostart=True)).id
    summary = await bench.until(pid)
    assert summary.state is ProcedureState.FAILED
    assert summary.history.stacktrace.endswith("init was not called")


async def test_arguments_of_main_that_fit_are_given_by_the_start_alone(bench, repository):
    repository.commit(observe_py="def main(seconds: float = 1): print(seconds)\n")
    wanted = PrepareProcessCommand(script(repository))
    pid = (await bench.service.prepare(wanted, planned=ProcedureInput([], {"seconds": 4}))).id
    assert (await bench.until(pid, ProcedureState.READY)).state is ProcedureState.READY
    await bench.start(pid)
    await bench.until(pid)
    assert bench.output(pid) == "1\n"


async def test_failed_fetch_is_failed_with_gits_message(bench, repository):
    wanted = PrepareProcessCommand(script(repository, git_branch="nowhere"))
    summary = await bench.until((await bench.service.prepare(wanted)).id)
    assert [state.name for state, _ in summary.history.process_states] == ["CREATING", "IDLE", "LOADING", "FAILED"]
    assert "has no branch or tag 'nowhere'" in summary.history.stacktrace


async def test_failed_environment_is_failed_with_pips_message(bench, repository):
    repository.commit(requirements_txt="/nowhere/nothing-1.0-py3-none-any.whl\n")
    summary = await bench.until((await bench.service.prepare(PrepareProcessCommand(script(repository, True)))).id)
    assert [state.name for state, _ in summary.history.process_states] == ["CREATING", "IDLE", "PREP_ENV", "FAILED"]
    assert "failed with exit code" in summary.history.stacktrace


async def test_stop_works_while_an_environment_is_built(bench, repository):
    pid = (await bench.service.prepare(PrepareProcessCommand(script(repository, True)))).id
    await bench.until(pid, ProcedureState.PREP_ENV)
    assert (await bench.service.stop(StopProcessCommand(pid))).stopped
    assert bench.service.summarise([pid])[0].state is ProcedureState.STOPPED


async def test_script_runs_in_its_environment_as_in_an_activated_one(bench, repository, monkeypatch):
    """Its programs are found first, and of the service's packages those alone that the kernel needs."""
    monkeypatch.setenv("VIRTUAL_ENV", "/service")
    monkeypatch.setenv("PATH", f"/service/bin{os.pathsep}{os.environ['PATH']}")
    repository.commit(
        observe_py="""
import importlib.util, os, subprocess, sys
from pub_sub_of_the_environment import here
PYTHON = ["python", "-c", "import sys; print(sys.prefix)"]
SERVICES = "sqlalchemy", "jupyter_server", "alembic", "pip", "pytest", "nbconvert", "httpx"
KERNELS = "oet_kernel.api", "pubsub", "IPython", "ipykernel"
def main():
    print(os.environ["VIRTUAL_ENV"] == sys.prefix, "/service/bin" in os.environ["PATH"], "PYTHONHOME" in os.environ)
    print(subprocess.run(PYTHON, capture_output=True, text=True).stdout.strip() == sys.prefix)
    print(*(name for name in SERVICES if importlib.util.find_spec(name)))
    print(*(name for name in KERNELS if not importlib.util.find_spec(name)))
    here()
""",
    )
    (repository.folder / "pub_sub_of_the_environment.py").write_text("def here(): print('here')\n")
    repository.commit()
    pid = (await bench.service.prepare(PrepareProcessCommand(script(repository, create_env=True)))).id
    assert (await states(bench, pid))[-1] == "READY", bench.service.summarise([pid])[0].history.stacktrace
    await bench.start(pid)
    summary = await bench.until(pid)
    assert summary.state is ProcedureState.COMPLETE, summary.history.stacktrace
    assert bench.output(pid).splitlines() == ["True False False", "True", "", "", "here"]


async def test_record_of_a_commit_was_made_by_that_commit(bench, repository):
    """A script that changes its own file, and one that leaves files beside itself, change no other run."""
    text = "import pathlib\ndef main():\n    here = pathlib.Path(__file__).parent\n"
    text += "    print(sorted(path.name for path in here.glob('[!.]*.*')))\n"
    text += "    pathlib.Path(__file__).write_text('broken')\n    pathlib.Path(__file__).with_name('o.csv').touch()\n"
    head = repository.commit(observe_py=text)
    for _ in range(2):
        pid = (await bench.service.prepare(PrepareProcessCommand(script(repository, git_commit=head)))).id
        assert (await states(bench, pid))[-1] == "READY"
        await bench.start(pid)
        await bench.until(pid)
        assert bench.output(pid) == "['observe.py']\n"
        assert [one["commit"] for one in bench.said("procedure.script.loaded", pid)] == [head]


async def test_credentials_are_in_no_event_and_no_summary_and_are_kept_until_they_were_used(bench, repository):
    asked = GitScript(
        script_uri="git://observe.py", git_args=GitArgs(git_repo="http://bot:s3cr3t@127.0.0.1:1/r.git", git_branch="x")
    )
    created = await bench.service.prepare(PrepareProcessCommand(asked))
    assert created.script.git_args.git_repo == "http://***@127.0.0.1:1/r.git"
    assert created.script.git_args.git_branch == "x"
    summary = await bench.until(created.id)
    assert summary.state is ProcedureState.FAILED
    assert "s3cr3t" not in str(summary)
    await bench.journal.settled()
    assert not any(b"s3cr3t" in event.data for event in bench.events)
    (row,) = bench.journal.store.procedures([created.id]).values()
    assert row.repository is None


async def test_checkouts_that_were_used_longest_ago_are_removed_with_what_only_they_need(tmp_path):
    sources = script_sources(settings(tmp_path, keep_checkouts=1))
    for age, (pid, use) in enumerate([(9, "d"), (8, "c"), (7, "b"), (6, "a")]):
        for folder in (f"checkouts/{pid}", f"environments/{use}-1", f"repositories/{use}"):
            (tmp_path / folder).mkdir(parents=True)
            os.utime(tmp_path / folder, (1000 - age, 1000 - age))
        (tmp_path / "checkouts" / str(pid) / "uses").write_text(f"repositories/{use}\nenvironments/{use}-1\n")
        os.utime(tmp_path / "checkouts" / str(pid), (1000 - age, 1000 - age))
    await sources.retain([6])
    left = {kind: sorted(path.name for path in (tmp_path / kind).iterdir()) for kind in os.listdir(tmp_path)}
    # besides what 6 and 9 need, one of each is kept: the newest of those that nothing needs
    assert left == {
        "checkouts": ["6", "9"],
        "environments": ["a-1", "c-1", "d-1"],
        "repositories": ["a", "c", "d"],
    }
    assert sources.python_of(6) == tmp_path / "environments" / "a-1" / "bin" / "python"
    assert sources.python_of(5) is None
