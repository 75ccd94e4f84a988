"""Scripts from git: the right commit, fetched once, and failures in git's own words."""

import asyncio

import pytest

from oet_kernel.errors import MalformedRequest
from oet_kernel.models import GitArgs
from oet_kernel.scripts import git
from oet_kernel.scripts.git import Checkout, GitScripts, ScriptSourceError
from tests.scripts.conftest import Repository

pytestmark = pytest.mark.anyio


@pytest.fixture
def scripts(tmp_path):
    return GitScripts(tmp_path / "checkouts", deadline=30)


def args(repository, branch=None, commit=None):
    return GitArgs(git_repo=str(repository.folder), git_branch=branch, git_commit=commit)


def nothing(line):
    pass


async def test_default_branch_is_taken_and_followed(repository, scripts):
    first = await scripts.checkout(args(repository), nothing)
    assert (first.folder / "observe.py").read_text() == "x = 1\n"
    new = repository.commit(observe_py="x = 5\n")
    second = await scripts.checkout(args(repository), nothing)
    assert second.commit == new
    assert (second.folder / "observe.py").read_text() == "x = 5\n"
    assert (first.folder / "observe.py").read_text() == "x = 1\n", "a checkout does not change under a running script"


async def test_branch_is_taken(repository, scripts):
    repository.git("checkout", "--quiet", "-b", "other")
    wanted = repository.commit(observe_py="x = 7\n")
    repository.git("checkout", "--quiet", "trunk")
    assert (await scripts.checkout(args(repository, "other"), nothing)).commit == wanted


async def test_commit_wins_over_branch_and_may_be_short(repository, scripts):
    old = repository.git("rev-parse", "HEAD")
    repository.commit(observe_py="x = 7\n")
    assert (await scripts.checkout(args(repository, "trunk", old), nothing)).commit == old
    assert (await scripts.checkout(args(repository, None, old[:8].upper()), nothing)).commit == old


async def test_many_at_once_clone_once(repository, scripts):
    lines = []
    done = await asyncio.gather(*(scripts.checkout(args(repository), lines.append) for _ in range(10)))
    assert len({checkout.folder for checkout in done}) == 1
    assert len(list(scripts.folder.glob("*/.git"))) == 1
    again = []
    await scripts.checkout(args(repository), again.append)
    assert again == [], "what is there is not fetched again"


@pytest.mark.parametrize(
    ("branch", "commit", "says"),
    [
        ("nowhere", None, "has no branch 'nowhere'"),
        (None, "deadbeef", "git checkout failed .*deadbeef"),
    ],
)
async def test_unknown_version_is_said_and_leaves_nothing(repository, scripts, branch, commit, says):
    with pytest.raises(ScriptSourceError, match=says):
        await scripts.checkout(args(repository, branch, commit), nothing)
    assert [path.name for path in scripts.folder.glob("*") if path.is_dir()] == []


async def test_missing_repository_is_said_in_gits_words(tmp_path, scripts):
    with pytest.raises(ScriptSourceError, match=r"git ls_remote failed for .*does not appear to be a git repository"):
        await scripts.checkout(GitArgs(git_repo=str(tmp_path / "none")), nothing)


async def test_empty_repository_is_said(tmp_path, scripts):
    (tmp_path / "empty").mkdir()
    Repository(tmp_path / "empty")
    with pytest.raises(ScriptSourceError, match="no default branch"):
        await scripts.checkout(GitArgs(git_repo=str(tmp_path / "empty")), nothing)


async def test_credentials_are_not_repeated(scripts):
    with pytest.raises(ScriptSourceError) as caught:
        await scripts.checkout(GitArgs(git_repo="http://user:secret@127.0.0.1:1/r.git"), nothing)
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


async def test_failure_can_be_tried_again(repository, scripts, tmp_path):
    folder = repository.folder
    hidden = folder.rename(tmp_path / "hidden")
    with pytest.raises(ScriptSourceError):
        await scripts.checkout(args(repository), nothing)
    hidden.rename(folder)
    assert (await scripts.checkout(args(repository), nothing)).folder.is_dir()


@pytest.mark.parametrize(
    ("uri", "given", "says"),
    [
        ("file:///x.py", {}, "Incorrect prefix for GitScript: file:///x.py"),
        ("git://", {}, "Incorrect prefix for GitScript"),
        ("git://../x.py", {}, "leads out of the repository"),
        ("git://a/%2e%2e/../x.py", {}, "leads out of the repository"),
        ("git://x.py", {"git_repo": "--upload-pack=evil"}, r"\$\.script\.git_args\.git_repo"),
        ("git://x.py", {"git_repo": ""}, r"\$\.script\.git_args\.git_repo"),
        ("git://x.py", {"git_repo": "ext::sh -c evil"}, "remote helpers"),
        ("git://x.py", {"git_branch": "-evil"}, r"\$\.script\.git_args\.git_branch"),
        ("git://x.py", {"git_commit": "HEAD"}, "is not a commit hash"),
        ("git://x.py", {"git_commit": "abc"}, "is not a commit hash"),
    ],
)
async def test_what_git_could_misunderstand_is_refused_at_once(uri, given, says):
    with pytest.raises(MalformedRequest, match=says):
        git.check(uri, GitArgs(**{"git_repo": "https://example.org/r.git", **given}))


async def test_link_out_of_the_repository_is_not_followed(tmp_path):
    (tmp_path / "x.py").symlink_to("/etc/passwd")
    with pytest.raises(ScriptSourceError, match="by a symbolic link"):
        git.locate(Checkout(tmp_path, "0" * 40), "git://x.py")


async def test_script_is_found_in_its_folder(repository, scripts):
    checkout = await scripts.checkout(args(repository), nothing)
    assert git.locate(checkout, "git://sub/deep.py").read_text() == "x = 2\n"
