"""Scripts from repositories end to end: in their own environment, in a kernel, with their log as events."""

import os

import pytest

from oet_kernel.models import GitArgs, GitScript, PrepareProcessCommand, ProcedureState, StopProcessCommand
from oet_kernel.scripts.sources import ScriptSources

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


async def test_failed_fetch_is_failed_with_gits_message(bench, repository):
    wanted = PrepareProcessCommand(script(repository, git_branch="nowhere"))
    summary = await bench.until((await bench.service.prepare(wanted)).id)
    assert [state.name for state, _ in summary.history.process_states] == ["CREATING", "IDLE", "LOADING", "FAILED"]
    assert "has no branch 'nowhere'" in summary.history.stacktrace


async def test_failed_environment_is_failed_with_pips_message(bench, repository):
    repository.commit(requirements_txt="/nowhere/nothing-1.0-py3-none-any.whl\n")
    summary = await bench.until((await bench.service.prepare(PrepareProcessCommand(script(repository, True)))).id)
    assert [state.name for state, _ in summary.history.process_states] == ["CREATING", "IDLE", "PREP_ENV", "FAILED"]
    assert "pip failed with exit code 1" in summary.history.stacktrace


async def test_stop_works_while_an_environment_is_built(bench, repository):
    pid = (await bench.service.prepare(PrepareProcessCommand(script(repository, True)))).id
    await bench.until(pid, ProcedureState.PREP_ENV)
    assert (await bench.service.stop(StopProcessCommand(pid))).stopped
    assert bench.service.summarise([pid])[0].state is ProcedureState.STOPPED


async def test_old_checkouts_and_environments_are_removed_but_those_in_use(tmp_path):
    sources = ScriptSources(tmp_path, [], 10, 10, keep=1)
    for folder in ("checkouts", "environments"):
        for age, name in enumerate(["newest", "old", "oldest", "used"]):
            (tmp_path / folder / name).mkdir(parents=True)
            os.utime(tmp_path / folder / name, (1000 - age, 1000 - age))
    await sources.retain([tmp_path / "checkouts" / "used" / "observe.py"])
    for folder in ("checkouts", "environments"):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == ["newest", "used"]
